"""Second bars made of recorded trades, fed as the provider's, give the candles of the trades."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tapewire.model.events import Aggregate, Clock
from tests.analyzers.market import Market, aggregate_fold
from tests.oracles import recorded as oracle

DATE = "2013-10-07"
OHLCV = ("open", "high", "low", "close", "volume")


def seconds_of(shared: Path, symbol: str) -> list[oracle.Row]:
    """What a provider's ``A`` would say of each second with an open and a close."""
    trades = oracle.massive_rule(oracle.trades(shared / "data", symbol, DATE))
    return oracle.candles(trades, DATE, "1s")


def bar_of(symbol: str, second: oracle.Row) -> Aggregate:
    start_ms = second["start_ms"]
    return Aggregate(
        symbol,
        second["open"],
        second["high"],
        second["low"],
        second["close"],
        second["volume"],
        start_ms,
        start_ms + 1000,
        vwap=second["vwap"] or second["close"],
        average_size=second["volume"] / second["trades"] if second["trades"] else None,
    )


def summed(seconds: list[oracle.Row], interval: str) -> dict[int, tuple[Any, ...]]:
    """Start -> open, high, low, close, volume of the seconds in each span."""
    length = oracle.INTERVALS[interval]
    offset = oracle.midnight_ms(DATE) + oracle.TURN_MS if interval == "1d" else 0
    bucket = (pl.col("start_ms") - offset).floordiv(length) * length + offset
    grouped = pl.DataFrame(seconds).sort("start_ms").group_by(bucket, maintain_order=True)
    found = grouped.agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    return {row["start_ms"]: tuple(row[name] for name in OHLCV) for row in found.to_dicts()}


@pytest.mark.parametrize("symbol", ["AIG", "IBM"])
def test_provider_seconds_give_the_candles_of_their_trades(shared: Path, symbol: str) -> None:
    seconds = seconds_of(shared, symbol)
    market = Market(aggregate_fold)
    for k, second in enumerate(seconds):
        market.send(bar_of(symbol, second))
        if k % 5_000 == 0:
            market.restart()
    market.show(Clock(seconds[-1]["start_ms"], final=True))
    for interval in oracle.INTERVALS:
        found = {
            start: tuple(getattr(candle, name) for name in OHLCV)
            for start, candle in market.candles(symbol, DATE, interval).items()
        }
        expected = summed(seconds, interval)
        if interval == "1s":
            expected = {start: row for start, row in expected.items() if start >= min(found)}
            assert expected
        assert found == expected, interval
