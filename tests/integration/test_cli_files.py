"""Captures and flat files that the commands write replay to what they were written from."""

from pathlib import Path

import pytest

from tests.replays import (
    Ended,
    Row,
    databases,
    environment,
    started,
    tapewire,
    trade_files,
    wait_for,
)
from tests.servers import free_port, is_listening

DAY = "2013-10-07"


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment(TAPEWIRE_DATA_DIR=str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def source(shared: Path) -> str:
    """One symbol's trades of one recorded day."""
    (source,) = trade_files(shared, DAY, symbols=["AIG"])
    return source


def replayed(source: str, url: str, env: dict[str, str]) -> list[Row]:
    """The dump after a replay of one source."""
    env = env | {"WDC_REDIS_URL": url}
    assert tapewire("replay", source, "--json", env=env).code == 0
    return tapewire("dump", env=env).lines


def captured(source: str, path: Path, env: dict[str, str]) -> Ended:
    """Record a simulator that plays the source as fast as it goes."""
    port = free_port()
    options = ("--speed", "max", "--once", "--port", str(port), "--rest-port", str(free_port()))
    with started("simulate", "massive", "--source", source, *options, env=env) as simulator:
        wait_for(lambda: is_listening(port), "the simulator listens")
        env = env | {
            "MASSIVE_FEED": f"ws://127.0.0.1:{port}", "MASSIVE_API_KEY": "any",
            "MASSIVE_SUBSCRIPTIONS": "T.*",
        }  # fmt: skip
        ended = tapewire("capture", "--output", str(path), "--json", env=env)
        assert simulator.end().code == 0
    return ended


def test_a_capture_and_a_flat_file_replay_to_the_same_dump(
    source: str, env: dict[str, str], tmp_path: Path
) -> None:
    capture, folder = tmp_path / "day.twcap", tmp_path / "files"
    assert captured(source, capture, env).result["file"] == str(capture)
    (written,) = tapewire("flatfile", source, "--output", str(folder), "--json", env=env).lines
    assert Path(written["file"]) == folder / "trades_v1/2013/10" / f"{DAY}.csv.gz"

    with databases(tmp_path / "redis") as redis:
        recorded = replayed(source, redis.new(), env)
        assert len(recorded) > 100
        assert replayed(f"capture:{capture}", redis.new(), env) == recorded
        assert replayed(f"flatfile:{folder}", redis.new(), env) == recorded


def test_flat_files_are_not_overwritten(source: str, env: dict[str, str], tmp_path: Path) -> None:
    options = ("flatfile", source, "--output", str(tmp_path))
    assert tapewire(*options, env=env).code == 0
    again = tapewire(*options, env=env)
    assert again.code == 2
    assert "exists already" in again.stderr
