"""The commands of a live system, each a process, over real servers and the simulator."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tapewire.providers.capture import CaptureReader
from tests.conftest import StartRedis
from tests.replays import Running, environment, started, tapewire, wait_for
from tests.servers import free_port, is_listening

SOURCE = "generator:symbols=200,rate=400"

Environment = dict[str, str]


@contextmanager
def simulating(env: Environment, *options: str) -> Iterator[tuple[Running, Environment]]:
    """A simulator that listens, and the environment with which others find it."""
    port, rest_port = free_port(), free_port()
    places = ("--port", str(port), "--rest-port", str(rest_port))
    with started("simulate", "massive", *places, *options, env=env) as running:
        wait_for(lambda: is_listening(port) or not running.runs, "the simulator listens")
        yield (
            running,
            env
            | {
                "MASSIVE_FEED": f"ws://127.0.0.1:{port}",
                "MASSIVE_REST_URL": f"http://127.0.0.1:{rest_port}",
                "MASSIVE_API_KEY": "any",
            },
        )


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    """Settings without servers."""
    return environment(TAPEWIRE_DATA_DIR=str(tmp_path / "data"))


@pytest.fixture
def servers(env: Environment, start_redis: StartRedis, rabbitmq_url: str) -> Environment:
    """Settings with a broker and both caches."""
    mdc, wdc = start_redis(), start_redis()
    return env | {
        "RABBITMQ_URL": rabbitmq_url, "MDC_REDIS_URL": mdc.url, "WDC_REDIS_URL": wdc.url,
    }  # fmt: skip


def tell(running: Running, number: signal.Signals) -> int:
    """Send a signal; the exit code."""
    os.kill(running.pid, number)
    return running.end().code


def test_the_whole_system_runs_is_read_and_ends_when_told(servers: Environment) -> None:
    with ExitStack() as stack:
        _, env = stack.enter_context(simulating(servers, "--source", SOURCE))
        run = ("run", "--http", "off", "--shards", "2")
        services = {
            name: stack.enter_context(started(*run, *options, env=env))
            for name, options in {
                "processor": ("processor", "--processors", "2"),
                "reference": ("reference",),
                "listener": ("listener",),
            }.items()
        }

        def healthy() -> list[tuple[str, str]]:
            rows = tapewire("status", "--json", env=env).lines
            return sorted((row["service"], row["instance"]) for row in rows if row["healthy"])

        whole = [
            ("listener", "0"), ("process_manager", "0"), ("processor", "0"), ("processor", "1"),
            ("reference", "0"),
        ]  # fmt: skip
        wait_for(lambda: healthy() == whole, f"{whole} are healthy", 40)

        def ranked() -> bool:
            return tapewire("top", "gappers", "--json", env=env).code == 0

        wait_for(ranked, "something is ranked", 30)
        gappers = tapewire("top", "gappers", "--limit", "3", "--json", env=env).lines
        assert [row["rank"] for row in gappers] == [1, 2, 3]
        assert all(row["prev_day_close"] and row["avg_volume"] for row in gappers)
        (quote,) = tapewire("quote", gappers[0]["symbol"], "--json", env=env).lines
        assert quote["pct_change"] == pytest.approx(gappers[0]["pct_change"], abs=1)
        board = tapewire("top", "volume", "--limit", "1", "--json", env=env).lines
        assert tapewire("candles", board[0]["symbol"], "--json", env=env).lines

        for name in ("listener", "processor", "reference"):
            assert tell(services[name], signal.SIGTERM) == 0, name
        assert tapewire("status", "--json", env=env).stdout == ""


def test_watching_prints_every_change_until_interrupted(servers: Environment) -> None:
    with ExitStack() as stack:
        _, env = stack.enter_context(simulating(servers, "--source", SOURCE))
        stack.enter_context(started("run", "processor", "--http", "off", env=env))
        stack.enter_context(started("run", "listener", "--http", "off", env=env))
        watching = stack.enter_context(
            started("top", "volume", "--limit", "1", "--watch", "--json", env=env)
        )
        wait_for(lambda: tapewire("top", "volume", env=env).code == 0, "the board has lines")
        first, *_ = tapewire("top", "volume", "--limit", "1", "--json", env=env).lines
        seen = {first["accumulated_volume"]}

        def grown_twice() -> bool:
            row = tapewire("quote", first["symbol"], "--json", env=env).lines[0]
            seen.add(row["accumulated_volume"])
            return len(seen) > 2

        wait_for(grown_twice, "more is traded, and again")
        os.kill(watching.pid, signal.SIGINT)
        ended = watching.end()
        assert ended.code == 130
        assert ended.stderr == ""
        volumes = [json.loads(line)["accumulated_volume"] for line in ended.stdout.splitlines()]
        assert len(volumes) >= 2
        assert volumes == sorted(set(volumes))


def test_a_wrong_key_is_exit_code_3(servers: Environment, tmp_path: Path) -> None:
    with simulating(servers, "--source", SOURCE, "--key", "right") as (_, env):
        env |= {"MASSIVE_API_KEY": "wrong-key"}
        capture = ("capture", "--output", str(tmp_path / "refused.twcap"))
        for arguments in (("run", "listener", "--http", "off"), capture):
            ended = tapewire(*arguments, env=env)
            assert ended.code == 3, ended
            assert "check the API key" in ended.stderr
            assert "wrong-key" not in ended.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_simulator_runs_until_it_is_told_to_end(
    number: signal.Signals, code: int, env: Environment
) -> None:
    with simulating(env, "--source", SOURCE, "--json") as (simulator, where):
        os.kill(simulator.pid, number)
        ended = simulator.end()
    assert ended.code == code
    assert ended.stderr == ""
    said = json.loads(ended.stdout)
    assert said["ws"] == f"{where['MASSIVE_FEED']}/stocks"
    assert said["rest"] == where["MASSIVE_REST_URL"]
    assert said["environment"]["MASSIVE_FEED"] == where["MASSIVE_FEED"]


def test_a_simulator_in_a_pipe_prints_an_environment_file(env: Environment) -> None:
    with simulating(env, "--source", SOURCE, "--key", "right") as (simulator, where):
        os.kill(simulator.pid, signal.SIGTERM)
        lines = dict(line.split("=", 1) for line in simulator.end().stdout.splitlines())
    assert lines == {name: where[name] for name in lines} | {"MASSIVE_API_KEY": "right"}


def test_a_capture_stops_after_its_time_and_says_what_it_holds(
    env: Environment, tmp_path: Path
) -> None:
    path = tmp_path / "day.twcap"
    options = ("--output", str(path), "--seconds", "2", "--json")
    with simulating(env, "--source", SOURCE) as (_, env):
        (summary,) = tapewire("capture", *options, env=env).lines
        again = tapewire("capture", *options, env=env)
    frames = list(CaptureReader(path))
    assert summary["frames"] == len(frames) > 10
    assert summary["frame_bytes"] == sum(len(frame.data) for frame in frames)
    assert summary["file_bytes"] == path.stat().st_size
    assert again.code == 2
    assert "exists already" in again.stderr


def test_an_interrupted_capture_keeps_what_came(env: Environment, tmp_path: Path) -> None:
    path = tmp_path / "day.twcap"
    with simulating(env, "--source", SOURCE) as (_, env):
        with started("capture", "--output", str(path), env=env) as capture:
            wait_for(lambda: _sent_events(env) > 100, "events have been sent")
            assert tell(capture, signal.SIGINT) == 130
    assert list(CaptureReader(path))


def _sent_events(env: Environment) -> int:
    """How many events the simulator has sent to anybody."""
    url = f"{env['MASSIVE_REST_URL']}/_simulator/statistics"
    with urlopen(url, timeout=5) as answer:
        return sum(json.load(answer)["events"].values())


def test_a_listener_records_what_it_reads(servers: Environment, tmp_path: Path) -> None:
    path = tmp_path / "day.twcap"
    with simulating(servers, "--source", SOURCE) as (_, env):
        options = ("--http", "off", "--capture", str(path))
        with started("run", "listener", *options, env=env) as listener:

            def captured() -> bool:
                rows = tapewire("status", "--json", env=env).lines if path.exists() else []
                figures = [row["detail"]["listener"] for row in rows if "listener" in row["detail"]]
                return any(figure["captured_frames"] > 50 for figure in figures)

            wait_for(captured, "frames are captured")
            assert tell(listener, signal.SIGTERM) == 0
    assert len(list(CaptureReader(path))) > 50
