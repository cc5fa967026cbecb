"""The ``tapewire`` command as a process: exit codes, messages, forms of output."""

import asyncio
import json
import os
import pty
import re
import subprocess
import time
from pathlib import Path

import pytest

from tapewire import __version__
from tapewire.caches.registry import RedisRegistry
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.runtime.service import Report, State
from tests.caches.rows import MONDAY_MS, write_market
from tests.replays import Ended, command, environment, tapewire
from tests.servers import free_port

SYMBOLS = ["AIG", "BAC", "IBM"]
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A command's settings without any server."""
    return environment(TAPEWIRE_DATA_DIR=str(tmp_path / "data"))


@pytest.fixture
async def market(redis_url: str, env: dict[str, str]) -> dict[str, str]:
    """Settings with a WDC in which two days of three symbols lie in two shards."""
    cache = RedisWidgetCache(redis_url)
    await write_market(cache, SYMBOLS, 2)
    await cache.close()
    return env | {"WDC_REDIS_URL": redis_url}


def in_terminal(*arguments: str, env: dict[str, str]) -> str:
    """What a command shows in a terminal of 80 columns, without colours."""
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), env=env | {"COLUMNS": "80", "TERM": "xterm"},
        stdin=terminal, stdout=terminal, stderr=subprocess.STDOUT,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(reader, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(reader)
    assert process.wait(30) == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r\n", "\n")


def only_line(ended: Ended) -> str:
    """The one line that a failed command says."""
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return line


class TestUsage:
    def test_the_version_is_shown(self, env: dict[str, str]) -> None:
        assert tapewire("--version", env=env) == Ended(0, f"tapewire {__version__}\n", "")

    def test_help_lists_every_command_and_is_quick(self, env: dict[str, str]) -> None:
        seconds = []
        ended = Ended(1, "", "not run")
        for _ in range(5):
            began = time.perf_counter()
            ended = tapewire("--help", env=env)
            seconds.append(time.perf_counter() - began)
        assert ended.code == 0
        for name in ("run", "simulate", "replay", "candles", "top", "quote", "dump", "status",
                     "capture", "flatfile", "config"):  # fmt: skip
            assert f" {name} " in ended.stdout
        assert min(seconds) < 1.0  # 0.2 s on a quiet machine

    @pytest.mark.parametrize(
        "arguments",
        ["--nope", "nope", "run", "run teller", "candles", "candles AIG --interval 2m",
         "top losers", "top gainers --limit 0", "simulate massive --speed fast",
         "simulate massive --source nope", "simulate massive --fault nope",
         "simulate massive --source lean:/nowhere", "run listener --http maybe",
         "run processor --capture x.twcap", "run processor --index 3",
         "run listener --streams trades,teller", "dump teller", "candles AIG --date yesterday",
         "replay"],
    )  # fmt: skip
    def test_a_mistake_is_one_line_and_exit_code_2(
        self, arguments: str, env: dict[str, str]
    ) -> None:
        ended = tapewire(*arguments.split(), env=env)
        assert ended.code == 2, ended
        assert only_line(ended).startswith("tapewire: ")

    @pytest.mark.parametrize(
        ("name", "value"),
        [("LOG_LEVEL", "loud"), ("TAPEWIRE_SHARDS", "many"), ("WDC_REDIS_URL", "http://x"),
         ("MASSIVE_FEED", "Fastest"), ("TAPEWIRE_SHARD", "2")],
    )  # fmt: skip
    def test_a_wrong_setting_is_named(self, name: str, value: str, env: dict[str, str]) -> None:
        ended = tapewire("config", env=env | {name: value})
        assert ended.code == 2
        assert name in only_line(ended)

    def test_no_traceback_unless_debugging(self, env: dict[str, str]) -> None:
        assert "Traceback" not in tapewire("dump", "teller", env=env).stderr
        debugging = tapewire("dump", "teller", env=env | {"LOG_LEVEL": "debug"})
        assert debugging.code == 2
        assert "Traceback" in debugging.stderr


class TestConfig:
    def test_every_setting_says_where_it_comes_from_and_keeps_its_secret(
        self, env: dict[str, str]
    ) -> None:
        env |= {"MASSIVE_API_KEY": "very-secret", "RABBITMQ_URL": "amqp://me:secret@host/"}
        ended = tapewire("config", "--json", env=env)
        rows = {row["name"]: row for row in ended.lines}
        assert "secret" not in ended.stdout
        assert rows["RABBITMQ_URL"]["value"] == "amqp://me:***@host/"
        assert rows["RABBITMQ_URL"]["source"] == "environment"
        assert rows["LOG_LEVEL"] == {
            "name": "LOG_LEVEL", "value": "INFO", "source": "default",
            "help": "The least severe log line shown.",
        }  # fmt: skip


class TestReading:
    def test_candles_are_objects_with_every_field(self, market: dict[str, str]) -> None:
        rows = tapewire("candles", "AIG", "--date", "2013-10-07", "--json", env=market).lines
        assert rows[0] == {
            "symbol": "AIG", "exchange": "US", "interval": "1m", "start_ms": MONDAY_MS,
            "open": 50.0, "high": 51.0, "low": 49.0, "close": 50.0, "volume": 200, "vwap": 50.0,
            "trades": 10, "closed": True, "revision": 0, "gap": False, "minute_int": None,
            "estimated": False,
        }  # fmt: skip
        assert [row["start_ms"] for row in rows] == [MONDAY_MS, MONDAY_MS + 60_000]

    def test_candles_are_of_the_newest_date_unless_one_is_given(
        self, market: dict[str, str]
    ) -> None:
        newest, *_ = tapewire("candles", "aig", "--json", env=market).lines
        assert newest["start_ms"] == MONDAY_MS + 86_400_000

    @pytest.mark.parametrize(
        ("from_", "to", "minutes"),
        [("09:31", "09:32", [1]), ("09:30:00", "09:31", [0]), ("2013-10-07T13:31:00Z", None, [1]),
         (str(MONDAY_MS), None, [0, 1])],
    )  # fmt: skip
    def test_candles_of_a_stretch_of_time(
        self, from_: str, to: str | None, minutes: list[int], market: dict[str, str]
    ) -> None:
        options = ["--date", "2013-10-07", "--from", from_, *(["--to", to] if to else [])]
        rows = tapewire("candles", "AIG", *options, "--json", env=market).lines
        assert [(row["start_ms"] - MONDAY_MS) // 60_000 for row in rows] == minutes

    @pytest.mark.parametrize(
        ("from_", "to", "days"),
        [("2013-10-07", "2013-10-09", [0, 0, 1, 1]), ("2013-10-08", None, [1, 1]),
         ("2013-10-07T09:31", "2013-10-08T09:31", [0, 1]), (str(MONDAY_MS), None, [0, 0, 1, 1])],
    )  # fmt: skip
    def test_a_range_that_names_days_goes_across_them(
        self, from_: str, to: str | None, days: list[int], market: dict[str, str]
    ) -> None:
        options = ["--from", from_, *(["--to", to] if to else [])]
        rows = tapewire("candles", "AIG", *options, "--json", env=market).lines
        assert [(row["start_ms"] - MONDAY_MS) // 86_400_000 for row in rows] == days

    def test_the_newest_candle_and_the_newest_closed_one(self, market: dict[str, str]) -> None:
        for which in ("--latest", "--confirmed"):
            (row,) = tapewire("candles", "AIG", which, "--json", env=market).lines
            assert row["start_ms"] == MONDAY_MS + 86_400_000 + 60_000

    def test_older_candles_than_the_store_has_are_said_to_be_missing(
        self, market: dict[str, str]
    ) -> None:
        ended = tapewire("candles", "AIG", "--from", "2013-10-01", "--json", env=market)
        assert len(ended.lines) == 4
        assert "older candles are missing" in ended.stderr
        assert "no API key" in ended.stderr

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [("candles NONE", "AIG, BAC, IBM"), ("candles IBM --date 2013-10-08", "2013-10-07"),
         ("candles AIG --from 15:00", "2013-10-08"), ("candles AIG --exchange XX", "exchange XX"),
         ("quote NONE", "AIG, BAC, IBM")],
    )  # fmt: skip
    def test_what_is_not_there_is_exit_code_1_and_says_what_is(
        self, arguments: str, named: str, market: dict[str, str]
    ) -> None:
        for json_ in ([], ["--json"]):
            ended = tapewire(*arguments.split(), *json_, env=market)
            assert ended.code == 1
            assert named in only_line(ended)

    def test_a_board_without_a_base_for_anybody_is_empty_and_says_why(
        self, market: dict[str, str]
    ) -> None:
        ended = tapewire("top", "gainers", "--json", env=market)
        assert (ended.code, ended.stdout) == (0, "")
        assert "no symbol has an open" in ended.stderr
        assert "gappers, volume" in ended.stderr

    def test_a_board_is_ranked_over_all_shards(self, market: dict[str, str]) -> None:
        rows = tapewire("top", "volume", "--json", env=market).lines
        assert [(row["rank"], row["symbol"], row["score"]) for row in rows] == [
            (1, "BAC", 61_000.0), (2, "AIG", 60_000.0),
        ]  # fmt: skip
        assert rows[0]["accumulated_volume"] == 1000
        assert len(tapewire("top", "volume", "--limit", "1", "--json", env=market).lines) == 1

    def test_a_quote_is_the_whole_record(self, market: dict[str, str]) -> None:
        (row,) = tapewire("quote", "AIG", "--json", env=market).lines
        assert (row["symbol"], row["close"], row["session"]) == ("AIG", 61.0, "regular")
        assert {"prev_day_close", "relative_volume", "gap"} <= row.keys()

    def test_a_dump_is_every_row_in_one_order(self, market: dict[str, str]) -> None:
        rows = tapewire("dump", env=market).lines
        families = [row["feed"].partition(":")[0] for row in rows]
        assert families == ["candles"] * 10 + ["quote"] * 3 + ["scanners"] * 4
        assert tapewire("dump", "quote:AIG", env=market).lines[0]["close"] == 61.0
        assert len(tapewire("dump", "candles:*:BAC", "quote:*", env=market).lines) == 4 + 3

    def test_a_reader_that_leaves_early_is_no_error(self, market: dict[str, str]) -> None:
        script = " ".join(command("dump")) + " | head -n 1"
        done = subprocess.run(
            ["/bin/sh", "-c", script], env=market, capture_output=True, timeout=60, check=True
        )
        assert json.loads(done.stdout)["feed"] == "candles:1m:AIG"
        assert done.stderr == b""

    def test_lines_in_a_pipe_are_tab_separated(self, market: dict[str, str]) -> None:
        lines = tapewire("candles", "AIG", env=market).stdout.splitlines()
        assert lines[0].split("\t")[:6] == ["start", "open", "high", "low", "close", "volume"]
        assert lines[1].split("\t")[:6] == [
            "2013-10-08 09:30:00", "60.00", "61.00", "59.00", "60.00", "200",
        ]  # fmt: skip

    def test_a_terminal_gets_a_table_that_fits(self, market: dict[str, str]) -> None:
        shown = in_terminal("candles", "AIG", env=market)
        assert "AIG 1m, 2013-10-08 New York" in shown
        assert "09:30:00" in shown
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= 80

    def test_a_terminal_gets_a_board_that_fits(self, market: dict[str, str]) -> None:
        shown = in_terminal("top", "gappers", env=market)
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= 80

    def test_without_a_redis_the_embedded_server_is_asked_and_then_stopped(
        self, env: dict[str, str]
    ) -> None:
        ended = tapewire("candles", "AIG", env=env)
        assert ended.code == 1
        assert "there are some of nothing yet" in only_line(ended)
        assert not (Path(env["TAPEWIRE_DATA_DIR"]) / "redis" / "server.sock").exists()


class TestStatus:
    async def test_a_service_is_one_object(self, redis_url: str, env: dict[str, str]) -> None:
        registry = RedisRegistry(redis_url)
        report = Report(
            "listener", "0", State.RUNNING, True, 1, {"trades": 5.0}, 12.5, {}, {"outbox": 3}, {}
        )
        await registry.heartbeat(report)
        env |= {"MDC_REDIS_URL": redis_url}
        (row,) = (await asyncio.to_thread(tapewire, "status", "--json", env=env)).lines
        wanted = {
            "service": "listener", "instance": "0", "state": "running", "healthy": True,
            "since_ms": 1, "rates": {"trades": 5.0}, "lag_ms": 12.5, "gaps": {},
            "drops": {"outbox": 3}, "queues": {},
        }  # fmt: skip
        assert {name: row[name] for name in wanted} == wanted
        await registry.heartbeat(report)  # a report is old news after ten seconds
        await registry.close()
        shown = await asyncio.to_thread(in_terminal, "status", env=env)
        assert "dropped 3" in shown

    def test_nobody_running_is_said_and_is_no_failure(
        self, redis_url: str, env: dict[str, str]
    ) -> None:
        ended = tapewire("status", "--json", env=env | {"MDC_REDIS_URL": redis_url})
        assert (ended.code, ended.stdout) == (0, "")
        assert "no service" in ended.stderr


class TestMissing:
    @pytest.mark.parametrize(
        ("service", "names"),
        [("listener", "RABBITMQ_URL MDC_REDIS_URL"), ("reference", "MDC_REDIS_URL"),
         ("processor", "RABBITMQ_URL MDC_REDIS_URL WDC_REDIS_URL")],
    )  # fmt: skip
    def test_a_server_that_is_not_set_is_exit_code_4_with_the_settings_name(
        self, service: str, names: str, redis_url: str, env: dict[str, str]
    ) -> None:
        servers = {
            "RABBITMQ_URL": f"amqp://{NOWHERE}", "MDC_REDIS_URL": redis_url,
            "WDC_REDIS_URL": redis_url,
        }  # fmt: skip
        for missing in names.split():
            given = {name: url for name, url in servers.items() if name != missing}
            ended = tapewire(
                "run", service, "--http", "off", env=env | given | {"MASSIVE_API_KEY": "key"}
            )
            assert ended.code == 4, ended
            assert f"{missing} is not set" in ended.stderr

    @pytest.mark.parametrize("unreachable", ["RABBITMQ_URL", "MDC_REDIS_URL", "WDC_REDIS_URL"])
    def test_a_server_that_does_not_answer_is_exit_code_4(
        self, unreachable: str, redis_url: str, rabbitmq_url: str, env: dict[str, str]
    ) -> None:
        env |= {
            "RABBITMQ_URL": rabbitmq_url, "MDC_REDIS_URL": redis_url, "WDC_REDIS_URL": redis_url,
            "MASSIVE_API_KEY": "key",
        }  # fmt: skip
        scheme = "amqp" if unreachable == "RABBITMQ_URL" else "redis"
        ended = tapewire(
            "run", "processor", "--http", "off", env=env | {unreachable: f"{scheme}://{NOWHERE}"}
        )
        assert ended.code == 4, ended
        assert f"{unreachable}: " in ended.stderr
        assert "Traceback" not in ended.stderr

    @pytest.mark.parametrize("arguments", ["candles AIG", "top volume", "quote AIG", "dump"])
    def test_reading_from_a_redis_that_is_away(self, arguments: str, env: dict[str, str]) -> None:
        ended = tapewire(*arguments.split(), env=env | {"WDC_REDIS_URL": f"redis://{NOWHERE}"})
        assert ended.code == 4
        assert only_line(ended).startswith("tapewire: WDC_REDIS_URL: no answer from")

    def test_status_from_a_redis_that_is_away(self, env: dict[str, str]) -> None:
        ended = tapewire("status", env=env | {"MDC_REDIS_URL": f"redis://{NOWHERE}"})
        assert ended.code == 4
        assert "MDC_REDIS_URL" in only_line(ended)

    def test_a_data_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        folder = tmp_path / "file" / "data"
        ended = tapewire("dump", env=environment(TAPEWIRE_DATA_DIR=str(folder)))
        assert ended.code == 4
        assert str(folder) in only_line(ended)
        assert "TAPEWIRE_DATA_DIR" in ended.stderr

    def test_a_health_port_that_is_taken(
        self, redis_server: object, redis_url: str, rabbitmq_url: str, env: dict[str, str]
    ) -> None:
        taken = redis_url.rpartition(":")[2].partition("/")[0]
        env |= {
            "RABBITMQ_URL": rabbitmq_url, "MDC_REDIS_URL": redis_url, "MASSIVE_API_KEY": "key",
            "TAPEWIRE_HTTP_PORT_MDL": taken, "MASSIVE_FEED": f"ws://{NOWHERE}",
        }  # fmt: skip
        ended = tapewire("run", "listener", env=env)
        assert ended.code == 4
        assert "TAPEWIRE_HTTP_PORT_MDL" in ended.stderr

    def test_a_simulators_port_that_is_taken(self, redis_url: str, env: dict[str, str]) -> None:
        taken = redis_url.rpartition(":")[2].partition("/")[0]
        options = ["--port", taken, "--rest-port", str(free_port())]
        ended = tapewire(
            "simulate", "massive", "--source", "generator:symbols=50", *options, env=env
        )
        assert ended.code == 4
        assert "in use" in only_line(ended)
