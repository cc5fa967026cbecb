"""Candles of recorded US trades that were told as an Indian broker's ticks, with Polars.

Shares no code with the package. Every trade counts, whatever its conditions say, since a broker
tells none. India's trading dates turn at 04:00 there, which is 18:30 in New York's summer.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from tests.oracles.recorded import INTERVALS, SECONDS_MS, SLOT_MS

Row = dict[str, Any]

INDIA_MS = 19_800_000
"""How far ahead of UTC the Indian wall clock is."""

TURN_MS, OPEN_MS = 14_400_000, 33_300_000
DAY_MS = 86_400_000


def told(trades: pl.DataFrame, midnight_ms: int) -> pl.DataFrame:
    """One file's trades in their order: ``t`` (ms on the Indian wall clock), price and size."""
    in_time = trades.sort("ms", "order")
    return in_time.select(t=pl.col("ms") + midnight_ms + INDIA_MS, price="price", size="size")


def since_turn(frame: pl.DataFrame, date: str) -> pl.DataFrame:
    """Without trades before the turn of a trading date: those are not told."""
    return frame.filter(pl.col("t") >= _midnight_ms(date) + TURN_MS)


def open_ms(date: str) -> int:
    """When India's markets open on a date, ms UTC."""
    return _midnight_ms(date) + OPEN_MS - INDIA_MS


def _midnight_ms(date: str) -> int:
    """Midnight of a date on the Indian wall clock."""
    return round(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1000)


def candles(frame: pl.DataFrame, interval: str) -> Iterator[Row]:
    """The candles of one instrument's trades, in order of time."""
    offset = TURN_MS if interval == "1d" else 0
    length = INTERVALS[interval]
    bucket = (pl.col("t") - offset).floordiv(length) * length + offset
    grouped = frame.with_columns(start=bucket).group_by("start", maintain_order=True)
    made = grouped.agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
        volume=pl.col("size").sum(),
        notional=(pl.col("price") * pl.col("size")).sum(),
        trades=(pl.col("size") > 0).sum(),
    )
    for row in made.iter_rows(named=True):
        yield {
            "start_ms": row["start"] - INDIA_MS,
            **{name: row[name] / 10_000 for name in ("open", "high", "low", "close")},
            "volume": row["volume"],
            "vwap": row["notional"] / (row["volume"] * 10_000),
            "trades": row["trades"],
            "minute_int": minute_int(row["start"]),
        }


def minute_int(wall_ms: int) -> int:
    """09:15 as 91500."""
    minutes = wall_ms % DAY_MS // 60_000
    return int(minutes // 60 * 10_000 + minutes % 60 * 100)


def candle_rows(frames: Mapping[str, pl.DataFrame]) -> list[Row]:
    """Every interval's candles of instruments' trades (by key), as a dump lists them.

    Of one-second candles those from 15 minutes before the last ten seconds with a trade on.
    """
    newest = max(int(frame["t"][-1]) for frame in frames.values())
    first_ms = newest // SLOT_MS * SLOT_MS - SECONDS_MS - INDIA_MS
    return [
        {"symbol": key, "exchange": "IN", "interval": interval}
        | candle
        | {"closed": True, "revision": 0, "gap": False, "estimated": False}
        for interval in INTERVALS
        for key, frame in frames.items()
        for candle in candles(frame, interval)
        if interval != "1s" or candle["start_ms"] >= first_ms
    ]
