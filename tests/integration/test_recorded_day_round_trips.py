"""The same events by another way give the same dump: files, shards, processes, speeds, again.

What is compared is every line that ``tapewire dump`` prints.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.oracles import recorded as oracle
from tests.replays import SYMBOLS, Ended, Replays, environment, started, tapewire, wait_for
from tests.servers import free_port, is_listening

MONDAY, TUESDAY = "2013-10-07", "2013-10-08"

Dump = list[str]
Replay = Callable[..., Dump]


@pytest.fixture
def replay(redis_url: str, rabbitmq_url: str) -> Replay:
    """Replay sources with options, and return what ``tapewire dump`` then prints."""
    env = environment(WDC_REDIS_URL=redis_url, RABBITMQ_URL=rabbitmq_url)

    def run(*arguments: str) -> Dump:
        result = tapewire("replay", *arguments, "--json", env=env).result
        assert (result["gaps"], result["dropped"]) == ([], {})
        return lines_of(tapewire("dump", env=env))

    return run


def lines_of(ended: Ended) -> Dump:
    assert ended.code == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture(scope="session")
def day(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one day's trades of all symbols, as LEAN lays them out."""
    folder = tmp_path_factory.mktemp("day")
    for symbol in SYMBOLS:
        name = Path("tick") / symbol.lower() / "20131007_trade.zip"
        (folder / name).parent.mkdir(parents=True)
        (folder / name).symlink_to(shared / "data" / "lean" / name)
    return folder


def test_dump_prints_every_row_of_the_day(replays: Replays) -> None:
    monday = replays.of(MONDAY, "--queue", "memory")
    env = environment(WDC_REDIS_URL=monday.stored.url)
    printed = [json.loads(line) for line in lines_of(tapewire("dump", env=env))]
    assert printed == json.loads(json.dumps(monday.stored.dump))
    families = {row["feed"].partition(":")[0] for row in printed}
    alerts = {"daily_range_hod_alert", "daily_range_lod_alert"}
    assert {"candles", "quote", "scanners", "daily_range", *alerts} <= families


def test_a_capture_replays_to_the_same_dump(
    replays: Replays, replay: Replay, day: Path, tmp_path: Path
) -> None:
    tape = tmp_path / "day.twcap"
    port = free_port()
    options = ("--speed", "max", "--once", "--port", str(port), "--rest-port", str(free_port()))
    source = ("simulate", "massive", "--source", f"lean:{day}")
    with started(*source, *options, env=environment()) as simulator:
        wait_for(lambda: is_listening(port), "the simulator listens")
        env = environment(
            MASSIVE_FEED=f"ws://127.0.0.1:{port}",
            MASSIVE_API_KEY="any",
            MASSIVE_SUBSCRIPTIONS="T.*",
        )
        (captured,) = tapewire("capture", "--output", str(tape), "--json", env=env).lines
        assert simulator.end().code == 0
    assert captured["frames"] > 0
    assert replay(f"capture:{tape}") == dump_of(replays)


def test_a_flat_file_replays_to_the_same_dump(
    replays: Replays, replay: Replay, day: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "flat"
    written = tapewire(
        "flatfile", f"lean:{day}", "--output", str(folder), "--json", env=environment()
    ).lines
    assert [Path(row["file"]).name for row in written] == [f"{MONDAY}.csv.gz"]
    assert replay(f"flatfile:{folder}") == dump_of(replays)


def dump_of(replays: Replays) -> Dump:
    """The day's dump as the command prints it."""
    env = environment(WDC_REDIS_URL=replays.of(MONDAY, "--queue", "memory").stored.url)
    return lines_of(tapewire("dump", env=env))


def test_a_replay_over_an_earlier_result_leaves_nothing_of_it(
    replays: Replays, replay: Replay, day: Path
) -> None:
    ibm = f"lean:{day / 'tick' / 'ibm'}"
    first = replay(ibm, "--conditions", "regular")
    assert replay(f"lean:{day}", "--speed", "1000000/s") == dump_of(replays)
    assert replay(ibm, "--conditions", "regular") == first


GENERATOR = "generator:date=2026-06-15,at=09:29:55,until=09:30:10,symbols=200"


def test_the_generators_market_gives_one_dump_per_seed(replay: Replay) -> None:
    source = f"{GENERATOR},seed=7"
    first = replay(source)
    assert len(first) > 200
    assert replay(source) == first
    spread = ("--queue", "rabbitmq", "--shards", "3", "--processors", "2")
    # Each shard chooses whose time and sales it keeps: those differ where symbols are many.
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
