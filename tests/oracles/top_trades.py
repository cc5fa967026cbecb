"""Top trades, largest prints and time and sales of a recorded day, recomputed with Polars.

Shares no code with the package; rules from ``components.md`` section 4. Frames are those of
``recorded.massive_rule``: ms since midnight, prices in 1/10000.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

LENGTHS_S = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
METRICS = ("trades", "volume", "value", "acceleration")
Row = dict[str, Any]


def counted(days: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Trades of all symbols that count for volume; ``days``: symbol -> its frame."""
    frames = [frame.with_columns(symbol=pl.lit(symbol)) for symbol, frame in days.items()]
    return pl.concat(frames).filter("V")


def rankings(trades: pl.DataFrame, window: str, end_s: int) -> dict[str, list[Row]]:
    """Metric -> the ranking as of a second of the day: windows end before it."""
    length = LENGTHS_S[window]
    second = pl.col("ms") // 1000
    inside = trades.filter(second.is_between(end_s - length, end_s, closed="left"))
    before = trades.filter(second.is_between(end_s - 2 * length, end_s - length, closed="left"))
    rows = (
        inside.group_by("symbol")
        .agg(
            trades=pl.len(),
            volume=pl.col("size").sum(),
            value=(pl.col("price") * pl.col("size")).sum() / 10_000,
            largest_size=pl.col("size").max(),
        )
        .join(before.group_by("symbol").agg(before=pl.len()), on="symbol", how="left")
        .with_columns(
            vwap=pl.col("value") / pl.col("volume"),
            average_size=pl.col("volume") / pl.col("trades"),
            acceleration=pl.col("trades") / pl.col("before"),
        )
        .drop("before")
        .to_dicts()
    )
    return {metric: _ranked(rows, metric) for metric in METRICS}


def _ranked(rows: list[Row], metric: str) -> list[Row]:
    scored = [row for row in rows if row[metric] is not None]
    ordered = sorted(scored, key=lambda row: (-row[metric], row["symbol"]))
    return [{"rank": rank} | row for rank, row in enumerate(ordered, 1)]


def largest_prints(trades: pl.DataFrame, midnight: int, size: int = 100) -> list[Row]:
    """The day's largest single trades by value; ties by symbol, time, order."""
    ranked = (
        trades.with_columns(value=pl.col("price") * pl.col("size"))
        .sort(["value", "symbol", "ms", "order"], descending=[True, False, False, False])
        .head(size)
    )
    return [
        {
            "rank": rank,
            "symbol": row["symbol"],
            "value": row["value"] / 10_000,
            "size": row["size"],
            "price": row["price"] / 10_000,
            "timestamp_ms": midnight + row["ms"],
        }
        for rank, row in enumerate(ranked.iter_rows(named=True), 1)
    ]


def sales(frame: pl.DataFrame, midnight: int, last: int) -> list[tuple[int, float, int]]:
    """(ms UTC, price, size) of a symbol's last trades, whatever they count for, in order."""
    newest = frame.sort("ms", "order").tail(last)
    return [
        (midnight + ms, price / 10_000, size)
        for ms, price, size in newest.select("ms", "price", "size").iter_rows()
    ]
