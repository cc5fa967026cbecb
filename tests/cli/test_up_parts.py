"""What ``tapewire up`` would start: ports, command lines, environment."""

import socket
from pathlib import Path

import pytest
from msgspec import structs

from tapewire.caches.embedded import EmbeddedServer
from tapewire.cli.up import Feed, check_feed
from tapewire.cli.up_parts import (
    HEAD_START_S,
    Addresses,
    Played,
    UpPlan,
    choose_ports,
    environment_of,
    what_a_broker_plays,
    what_is_played,
    workers_of,
)
from tapewire.runtime.service import DependencyMissing, UsageError
from tapewire.runtime.settings import Settings
from tapewire.simulators.sources import SourceError

NOW_MS = 1_795_194_000_000  # 2026-11-20 12:00 New York
ADDRESSES = Addresses("127.0.0.1", 8001, 4203, 5000, 5001)


def plan(tmp_path: Path, played: Played | None = None, port: int | None = None) -> UpPlan:
    settings = Settings(tapewire_data_dir=tmp_path)
    return UpPlan(settings, played, "original", port, "127.0.0.1", NOW_MS)


def environment(tmp_path: Path, played: Played | None, **given: str) -> dict[str, str]:
    server = EmbeddedServer(tmp_path)
    return dict(environment_of(plan(tmp_path, played), server, ADDRESSES, given))


def test_without_a_source_a_market_is_played_that_is_about_to_open() -> None:
    played = what_is_played(None, NOW_MS)
    assert played.sources == ("generator:at=09:25",)
    assert (played.head_start_s, played.subscriptions) == (HEAD_START_S, ())


def test_a_generator_of_ones_own_plays_todays_session() -> None:
    played = what_is_played(["generator:symbols=5"], NOW_MS)
    assert (played.date, played.subscriptions) == ("2026-11-20", ("T.*", "A.*"))
    assert played.head_start_s == 0


def test_what_is_no_source_is_said_before_anything_starts() -> None:
    with pytest.raises(SourceError, match="nowhere"):
        what_is_played(["nowhere"], NOW_MS)


def test_a_broker_plays_an_indian_market_that_is_about_to_open_and_all_of_it_is_asked_for() -> None:
    played = what_a_broker_plays("fyers", None, NOW_MS)
    assert played.sources == ("generator:at=09:10,date=2026-11-20",)
    assert (played.date, played.head_start_s) == ("2026-11-20", HEAD_START_S)
    assert {"NSE_EQ:2885", "BSE_FO:8765", "NSE_INDEX:Nifty_50"} < set(played.instruments)
    with pytest.raises(UsageError, match="2 times"):
        what_a_broker_plays("fyers", ["generator", "generator"], NOW_MS)


@pytest.mark.parametrize("broker", ["upstox", "fyers", "dhan"])
def test_a_simulated_broker_is_the_only_one_and_the_core_is_its(
    tmp_path: Path, broker: str
) -> None:
    played = Played(("generator",), date="2026-11-20", broker=broker, instruments=("A", "B"))
    indian = structs.replace(plan(tmp_path, played), provider="brokers")
    simulator, core, *_ = workers_of(indian, ADDRESSES)
    assert broker in simulator.argv
    assert core.argv[-6:] == (
        "--provider", "brokers", "--after-port", "5001", "--date", "2026-11-20",
    )  # fmt: skip
    env = environment_of(indian, EmbeddedServer(tmp_path), ADDRESSES, {})
    assert (env["BROKERS"], env["BROKER_INSTRUMENTS"]) == (broker, "A,B")
    assert env[f"{broker.upper()}_REST_URL"] == "http://127.0.0.1:5001"
    assert "MASSIVE_FEED" not in env


@pytest.mark.parametrize(
    ("feed", "source", "said"),
    [
        (Feed.BROKERS, ["generator"], "--feed brokers has the provider's data"),
        (Feed.BROKERS, None, "set BROKER_INSTRUMENTS"),
        (Feed.LIVE, None, "set MASSIVE_API_KEY"),
    ],
)
def test_a_feed_without_what_it_needs_is_refused(
    tmp_path: Path, feed: Feed, source: list[str] | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        check_feed(feed, source, Settings(tapewire_data_dir=tmp_path))


def test_live_data_needs_no_simulator(tmp_path: Path) -> None:
    live = [worker.name for worker in workers_of(plan(tmp_path), ADDRESSES)]
    played = [worker.name for worker in workers_of(plan(tmp_path, Played(("x",))), ADDRESSES)]
    assert live == ["core", "widgets", "control"]
    assert played == ["simulator", *live]


def test_the_core_of_a_played_day_waits_for_the_simulator_and_knows_the_date(
    tmp_path: Path,
) -> None:
    recorded = Played(("lean:day.zip",), ("T.*",), "2013-10-07")
    _, core, *_ = workers_of(plan(tmp_path, recorded), ADDRESSES)
    assert core.argv[-4:] == ("--after-port", "5001", "--date", "2013-10-07")


def test_the_parts_find_each_other_and_nobody_elses_servers(tmp_path: Path) -> None:
    env = environment(
        tmp_path, Played(("x",)), WDC_REDIS_URL="redis://elsewhere", MASSIVE_API_KEY="mine"
    )
    assert env["WDC_REDIS_URL"].startswith("unix://")
    assert env["TAPEWIRE_HTTP_PORT_WDS"] == "4203"
    assert env["MASSIVE_FEED"] == "ws://127.0.0.1:5000"
    assert env["MASSIVE_API_KEY"] != "mine"


def test_live_data_keeps_the_providers_settings(tmp_path: Path) -> None:
    env = environment(tmp_path, None, MASSIVE_API_KEY="mine")
    assert env["MASSIVE_API_KEY"] == "mine"
    assert "MASSIVE_FEED" not in env


def test_what_a_source_has_is_subscribed_to_unless_the_settings_say_otherwise(
    tmp_path: Path,
) -> None:
    recorded = Played(("lean:day.zip",), ("T.*",), "2013-10-07")
    assert environment(tmp_path, recorded)["MASSIVE_SUBSCRIPTIONS"] == "T.*"
    given = environment(tmp_path, recorded, MASSIVE_SUBSCRIPTIONS="T.AIG")
    assert given["MASSIVE_SUBSCRIPTIONS"] == "T.AIG"


def test_a_taken_port_that_was_asked_for_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DependencyMissing, match=f"port {port} is taken.*--port"):
            choose_ports(plan(tmp_path, port=port), {})


def test_addresses_of_a_host_with_colons_are_written_in_brackets() -> None:
    addresses = Addresses("::1", 8000, 4202, 1, 2)
    assert addresses.url == "http://[::1]:8000"
    assert addresses.health == "http://[::1]:4202/livez"
