"""A replay that behaves as live (``--ttl``): what it loses is counted, located and marked.

The trades that a gap names by their offsets are taken out of the recorded day, and what is
left must be exactly what was stored: so nothing is lost that is not told, and nothing is
told that was not lost.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.faults.stage import Stage
from tests.oracles import recorded as oracle
from tests.replays import (
    SYMBOLS,
    Databases,
    Ended,
    Stored,
    databases,
    environment,
    started,
    tapewire,
    trade_files,
)
from tests.servers import RabbitServer

MONDAY = "2013-10-07"
SHARD = "trades.0"
SEED = 20131007
MINUTE_MS = 60_000
SECONDS = 8.0
"""What the day is stretched to where it is disturbed: a killed processor has to be back."""

SPANS = ((0.1, 0.15), (0.4, 0.45))
"""Between which parts of the day it is frozen, and killed."""

Row = dict[str, Any]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with databases(tmp_path_factory.mktemp("live") / "redis") as found:
        yield found


@pytest.fixture(scope="module")
def tape(shared: Path) -> pl.DataFrame:
    """The whole day."""
    return tape_of(shared, *SYMBOLS)


def tape_of(shared: Path, *symbols: str) -> pl.DataFrame:
    """Symbols' day as the provider sends it: by time, then symbol. Row = offset in the shard."""
    frames = [
        oracle.trades(shared / "data", symbol, MONDAY).with_columns(symbol=pl.lit(symbol))
        for symbol in symbols
    ]
    sent = pl.concat(frames).sort("ms", "symbol", "order")
    return oracle.massive_rule(sent.with_columns(offset=pl.int_range(pl.len())))


def is_lost(gaps: Sequence[Row]) -> pl.Expr:
    lost = pl.lit(value=False)
    for gap in gaps:
        inside = pl.col("offset").is_between(gap["from_offset"], gap["to_offset"], closed="left")
        lost |= inside
    return lost


def is_marked(candle: Row, gaps: Sequence[Row]) -> bool:
    """Whether a candle's minute touches the time of a gap."""
    start = candle["start_ms"]
    return any(gap["from"] < start + MINUTE_MS and start <= gap["to"] for gap in gaps)


def expected_candles(tape: pl.DataFrame, gaps: Sequence[Row]) -> list[Row]:
    """The candles of what was not lost, marked where something was."""
    came = tape.filter(~is_lost(gaps))
    candles = [
        candle
        for symbol in sorted(set(tape["symbol"]))
        for candle in oracle.candle_rows(came.filter(pl.col("symbol") == symbol), symbol, MONDAY)
    ]
    return [candle | {"gap": is_marked(candle, gaps)} for candle in candles]


def check_books(ended: Ended, stored: Stored, tape: pl.DataFrame) -> int:
    """Taken in = folded + lost, to the event; every loss lies in a gap. Returns what was lost."""
    result = ended.result
    (progress,) = stored.progress(SHARD)
    gaps = result["gaps"]
    lost: int = sum(gap["events"] for gap in gaps)
    assert result["events"] == {"trades": len(tape)}
    assert progress.totals.events + lost == len(tape)
    assert progress.totals.lost == lost == sum(result["dropped"].values())
    last = 0
    for gap in gaps:
        assert gap["shard"] == SHARD
        assert gap["to_offset"] - gap["from_offset"] == gap["events"]
        assert last <= gap["from_offset"]
        last = gap["to_offset"]
    check_times(gaps, tape)
    return lost


def check_times(gaps: Sequence[Row], tape: pl.DataFrame) -> None:
    """A gap's time, with what became known of it later, holds every event lost in it."""
    midnight = oracle.midnight_ms(MONDAY)
    for gap in gaps:
        later = [g["to"] for g in gaps if not g["events"] and g["to_offset"] == gap["to_offset"]]
        for ms in tape.filter(is_lost([gap]))["ms"]:
            assert gap["from"] <= midnight + ms <= max(gap["to"], *later, 0)


def check_candles(ended: Ended, stored: Stored, tape: pl.DataFrame) -> None:
    """Every candle is that of the trades that came; outside the gaps it is the day's own."""
    gaps = ended.result["gaps"]
    found = stored.candles()
    assert found == expected_candles(tape, gaps)
    whole = [candle for candle in expected_candles(tape, []) if not is_marked(candle, gaps)]
    assert [candle for candle in found if not candle["gap"]] == whole


@pytest.mark.parametrize("queue", ["memory", "rabbitmq"])
def test_at_the_default_ttl_and_full_speed_the_books_balance(
    queue: str,
    results: Databases,
    shared: Path,
    tape: pl.DataFrame,
    rabbitmq_url: str,
) -> None:
    stored = Stored(results.new())
    env = environment(WDC_REDIS_URL=stored.url, RABBITMQ_URL=rabbitmq_url)
    options = ("--queue", queue, "--ttl", "5000", "--json")
    ended = tapewire("replay", *trade_files(shared, MONDAY), *options, env=env)
    check_books(ended, stored, tape)
    check_candles(ended, stored, tape)


def test_what_expires_while_the_processor_is_away_is_a_gap(
    results: Databases,
    shared: Path,
    tape: pl.DataFrame,
    rabbitmq_server: RabbitServer,
    rabbitmq_vhost: str,
) -> None:
    """Frozen for a while, then killed: each time more is lost than what it had taken."""
    chance = random.Random(SEED)
    stored = Stored(results.new())
    env = environment(
        WDC_REDIS_URL=stored.url,
        RABBITMQ_URL=rabbitmq_server.url(rabbitmq_vhost),
        PREFETCH_COUNT="16",  # what waits, waits in the queue, where it expires
    )
    speed = f"{round(len(tape) / SECONDS)}/s"
    options = ("--queue", "rabbitmq", "--ttl", "300", "--speed", speed, "--json")
    frozen_at, killed_at = (round(len(tape) * chance.uniform(*span)) for span in SPANS)
    with started("replay", *trade_files(shared, MONDAY), *options, env=env) as replay:
        stage = Stage(replay, stored, rabbitmq_server, rabbitmq_vhost)
        stage.freeze(0, frozen_at, 1.0, SHARD)
        stage.kill(0, ".trades", killed_at, SHARD)
        lost_before = stage.lost(SHARD)
        ended = replay.end()
    assert 0 < lost_before < check_books(ended, stored, tape) < len(tape)
    check_candles(ended, stored, tape)


def test_what_expires_at_the_end_is_a_gap_and_the_replay_ends_all_the_same(
    results: Databases,
    shared: Path,
    rabbitmq_server: RabbitServer,
    rabbitmq_vhost: str,
) -> None:
    tape = tape_of(shared, "IBM")
    stored = Stored(results.new())
    env = environment(
        WDC_REDIS_URL=stored.url,
        RABBITMQ_URL=rabbitmq_server.url(rabbitmq_vhost),
        PREFETCH_COUNT="16",
    )
    options = ("--queue", "rabbitmq", "--ttl", "300", "--speed", f"{len(tape) // 2}/s", "--json")
    source = trade_files(shared, MONDAY, symbols=["IBM"])
    with started("replay", *source, *options, env=env) as replay:
        stage = Stage(replay, stored, rabbitmq_server, rabbitmq_vhost)
        stage.freeze(0, len(tape) // 2, 2.5, SHARD)
        ended = replay.end()
    check_books(ended, stored, tape)
    assert ended.result["gaps"][-1]["to_offset"] == len(tape)
    check_candles(ended, stored, tape)
