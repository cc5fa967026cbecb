"""The same events by another way give the same dump: files, shards, processes, speeds, again.

What is compared is every line that ``tapewire dump`` prints.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.oracles import recorded as oracle
from tests.replays import Ended, Replays, databases, environment, started, tapewire, wait_for
from tests.servers import free_port, is_listening

MONDAY, TUESDAY = "2013-10-07", "2013-10-08"
TWO = ("AIG", "IBM")
"""Two symbols' day tells as much about a file as four would."""

Dump = list[str]
Replay = Callable[..., Dump]


@pytest.fixture
def replay(redis_url: str, rabbitmq_url: str) -> Replay:
    """Replay sources with options, and return what ``tapewire dump`` then prints."""
    return replaying(WDC_REDIS_URL=redis_url, RABBITMQ_URL=rabbitmq_url)


def replaying(**settings: str) -> Replay:
    env = environment(**settings)

    def run(*arguments: str) -> Dump:
        result = tapewire("replay", *arguments, "--json", env=env).result
        assert (result["gaps"], result["dropped"]) == ([], {})
        return lines_of(tapewire("dump", env=env))

    return run


def lines_of(ended: Ended) -> Dump:
    assert ended.code == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture(scope="module")
def day(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with one day's trades of two symbols, as LEAN lays them out, as a source."""
    folder = tmp_path_factory.mktemp("day")
    for symbol in TWO:
        name = Path("tick") / symbol.lower() / "20131007_trade.zip"
        (folder / name).parent.mkdir(parents=True)
        (folder / name).symlink_to(shared / "data" / "lean" / name)
    return f"lean:{folder}"


@pytest.fixture(scope="module")
def dump(day: str, tmp_path_factory: pytest.TempPathFactory) -> Dump:
    """The dump of that day."""
    with databases(tmp_path_factory.mktemp("direct") / "redis") as found:
        lines = replaying(WDC_REDIS_URL=found.new())(day)
    assert len(lines) > 1_000
    return lines


def test_dump_prints_every_row_of_the_day(replays: Replays) -> None:
    monday = replays.of(MONDAY, "--queue", "memory")
    env = environment(WDC_REDIS_URL=monday.stored.url)
    printed = [json.loads(line) for line in lines_of(tapewire("dump", env=env))]
    assert printed == json.loads(json.dumps(monday.stored.dump))
    families = {row["feed"].partition(":")[0] for row in printed}
    alerts = {"daily_range_hod_alert", "daily_range_lod_alert"}
    assert {"candles", "quote", "scanners", "daily_range", *alerts} <= families


def test_a_capture_replays_to_the_same_dump(
    dump: Dump, replay: Replay, day: str, tmp_path: Path
) -> None:
    tape = tmp_path / "day.twcap"
    port = free_port()
    options = ("--speed", "max", "--once", "--port", str(port), "--rest-port", str(free_port()))
    with started("simulate", "massive", "--source", day, *options, env=environment()) as simulator:
        wait_for(lambda: is_listening(port), "the simulator listens")
        env = environment(
            MASSIVE_FEED=f"ws://127.0.0.1:{port}",
            MASSIVE_API_KEY="any",
            MASSIVE_SUBSCRIPTIONS="T.*",
        )
        (captured,) = tapewire("capture", "--output", str(tape), "--json", env=env).lines
        assert simulator.end().code == 0
    assert captured["file"] == str(tape)
    assert captured["frames"] > 0
    assert replay(f"capture:{tape}") == dump


def test_a_flat_file_replays_to_the_same_dump(
    dump: Dump, replay: Replay, day: str, tmp_path: Path
) -> None:
    write = ("flatfile", day, "--output", str(tmp_path), "--json")
    (written,) = tapewire(*write, env=environment()).lines
    assert Path(written["file"]) == tmp_path / "trades_v1/2013/10" / f"{MONDAY}.csv.gz"
    assert replay(f"flatfile:{tmp_path}") == dump
    again = tapewire(*write, env=environment())
    assert again.code == 2
    assert "exists already" in again.stderr


def test_a_replay_over_an_earlier_result_leaves_nothing_of_it(
    dump: Dump, replay: Replay, day: str
) -> None:
    ibm = f"{day}/tick/ibm"
    first = replay(ibm, "--conditions", "regular")
    assert replay(day, "--speed", "1000000/s") == dump
    assert replay(ibm, "--conditions", "regular") == first


GENERATOR = "generator:date=2026-06-15,at=09:29:55,until=09:30:10,symbols=200"


def test_the_generators_market_gives_one_dump_per_seed(replay: Replay) -> None:
    source = f"{GENERATOR},seed=7"
    first = replay(source)
    assert len(first) > 200
    # Each shard chooses whose time and sales it keeps: those differ where symbols are many.
    assert without_tapes(replay(source, "--shards", "2")) == without_tapes(first)
    spread = ("--queue", "rabbitmq", "--shards", "3", "--processors", "2")
    assert without_tapes(replay(source, *spread)) == without_tapes(first)
    assert replay(f"{GENERATOR},seed=8") != first


def without_tapes(dump: list[str]) -> list[str]:
    return [line for line in dump if not line.startswith('{"feed":"trades:')]


def test_candles_quote_and_top_print_the_days_rows(replays: Replays) -> None:
    stored = replays.of(TUESDAY, "--conditions", "regular").stored
    env = environment(WDC_REDIS_URL=stored.url)
    for symbol in ("AIG", "SPY"):
        candles = tapewire("candles", symbol, "--interval", "1m", "--json", env=env).lines
        assert candles == [c for c in stored.candles() if c["symbol"] == symbol]
        (quote,) = tapewire("quote", symbol, "--json", env=env).lines
        assert quote == next(q for q in stored.rows("quote") if q["symbol"] == symbol)
    for name in oracle.SCORES:
        lines = tapewire("top", name.removeprefix("top_"), "--json", env=env).lines
        ranked = [{field: line[field] for field in ("rank", "symbol", "score")} for line in lines]
        assert ranked == stored.board(name)
