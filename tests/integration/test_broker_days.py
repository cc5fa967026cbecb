"""Recorded US trades, told as each Indian broker tells ticks, the whole way to Redis.

A simulated broker's frames over a real socket, its client, the listener, a queue, the processor,
a real Redis. Every candle that comes out is compared, every field of it, with a recomputation
from the recorded files that shares no code with the package.

Fyers and Dhan tell times in whole seconds. That changes no candle: none is shorter than a second,
and within one the volume of the day tells the order.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from tapewire.simulators.tick_tape import parse_ticks
from tests.faults.books import Books
from tests.faults.system import RealServers
from tests.faults.tick_day import closing_states
from tests.faults.tick_system import LocalQueue, Servers, TickSetup, listening
from tests.oracles import recorded as recording
from tests.oracles import ticks as oracle

US_MONDAY, US_TUESDAY = "2013-10-07", "2013-10-08"
RECORDED_TRADES: Final = 388_417
WITHIN_S: Final = 100.0
"""For a machine that has other things to do; alone it takes a tenth of that."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What a broker tells: symbols on US dates, moved to Indian ones if any are given."""

    broker: str
    symbols: Sequence[str]
    dates: Mapping[str, str]
    shards: int = 1

    @property
    def first(self) -> str:
        return next(iter(self.dates.values()))


DHAN: Final = Told("dhan", ("AIG", "BAC", "IBM", "SPY"), {US_MONDAY: US_MONDAY})
FYERS: Final = Told("fyers", ("IBM",), {US_MONDAY: "2026-11-20", US_TUESDAY: "2026-11-23"}, 2)
UPSTOX: Final = Told("upstox", ("AIG", "IBM"), {US_MONDAY: US_MONDAY})


def recorded_files(shared: Path, told: Told, folder: Path) -> Path:
    """A folder with what is told and nothing else."""
    for symbol in told.symbols:
        into = folder / "tick" / symbol.lower()
        into.mkdir(parents=True)
        for date in told.dates:
            name = f"{date.replace('-', '')}_trade.zip"
            shutil.copy(shared / "data" / "lean" / "tick" / symbol.lower() / name, into)
    return folder / "tick"


async def candles_of(told: Told, source: str, servers: Servers) -> tuple[Books, list[Row]]:
    """Let a broker tell a source to its end; the books, and every candle that is stored."""
    ticks = parse_ticks(source)
    before = closing_states(ticks.instruments.values(), "2013-10-04")
    setup = TickSetup(told.broker, lossless=True, shards=told.shards, before=before)
    async with listening(ticks, servers, setup) as system:
        books = await system.end(WITHIN_S)
    rows = [row for row in books.rows if row["feed"].startswith("candles:")]
    assert all(row.pop("feed") == f"candles:{row['interval']}:{row['symbol']}" for row in rows)
    return books, rows


def trades_of(shared: Path, told: Told) -> dict[str, pl.DataFrame]:
    """Each instrument's trades by its key, at the times at which they are told."""
    return {
        f"NSE_EQ:{90_001 + number}": pl.concat(
            told_on(recording.trades(shared / "data", symbol, us), us, indian)
            for us, indian in told.dates.items()
        )
        for number, symbol in enumerate(sorted(told.symbols))
    }


def told_on(trades: pl.DataFrame, us: str, indian: str) -> pl.DataFrame:
    """A US date's trades where they are told.

    On another date the US open falls on India's, and what would be before the turn is left out.
    """
    if us == indian:
        return oracle.told(trades, recording.midnight_ms(us))
    midnight_ms = oracle.open_ms(indian) - recording.OPEN_MS
    return oracle.since_turn(oracle.told(trades, midnight_ms), indian)


def check(books: Books, rows: list[Row], trades: Mapping[str, pl.DataFrame]) -> None:
    """Every trade was counted once, beside one baseline for each instrument."""
    told = sum(map(len, trades.values())) + len(trades)
    assert (books.taken_in, books.folded) == (told, told)
    assert (books.lost, books.gaps) == (0, [])
    assert dict(books.skipped) == {"baseline": len(trades)}
    assert rows == oracle.candle_rows(trades)
    daily = [row for row in rows if row["interval"] == "1d"]
    shares = sum(int(frame["size"].sum()) for frame in trades.values())
    assert sum(row["volume"] for row in daily) == shares


async def test_dhan_tells_the_whole_day(
    redis_url: str, shared: Path, tmp_path: Path, recorded: bool
) -> None:
    source = f"lean:{recorded_files(shared, DHAN, tmp_path)}"
    books, rows = await candles_of(DHAN, source, LocalQueue(redis_url))
    trades = trades_of(shared, DHAN)
    if recorded:
        assert sum(map(len, trades.values())) == RECORDED_TRADES
    check(books, rows, trades)


async def test_upstox_tells_two_symbols(redis_url: str, shared: Path, tmp_path: Path) -> None:
    source = f"lean:{recorded_files(shared, UPSTOX, tmp_path)}"
    books, rows = await candles_of(UPSTOX, source, LocalQueue(redis_url))
    check(books, rows, trades_of(shared, UPSTOX))


async def test_fyers_tells_two_days_over_rabbitmq(
    rabbitmq_url: str, redis_url: str, shared: Path, tmp_path: Path
) -> None:
    folder = recorded_files(shared, FYERS, tmp_path)
    servers = RealServers(rabbitmq_url, redis_url)
    books, rows = await candles_of(FYERS, f"lean:{folder},date={FYERS.first}", servers)
    check(books, rows, trades_of(shared, FYERS))
    assert len([row for row in rows if row["interval"] == "1d"]) == 2
