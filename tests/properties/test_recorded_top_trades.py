"""Both recorded days through one fold in this process, against Polars at ten instants a day.

Rankings of every window and metric, the largest prints, and time and sales; restarted at each
of the instants.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby
from math import isclose
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec.structs import asdict

from tapewire.model.batch import Batch
from tapewire.model.events import Clock, Event, Trade
from tapewire.model.rows import decode_sale
from tapewire.model.streams import Stream
from tapewire.providers.massive.protocol import decode
from tapewire.simulators.lean import LeanSource
from tapewire.simulators.sources import MergedSources
from tests.oracles import recorded, top_trades
from tests.properties.test_top_trades import Ranked

DATES = ("2013-10-07", "2013-10-08")
INSTANTS = (
    *("08:00:00", "09:29:59", "09:30:00", "09:30:01", "09:31:00"),
    *("10:15:30", "12:00:07", "15:59:59", "16:01:10", "19:30:00"),
)
WANTED = ("rank", "symbol", "value", "size", "price", "timestamp_ms")


def seconds_of(clock: str) -> int:
    hours, minutes, seconds = map(int, clock.split(":"))
    return hours * 3_600 + minutes * 60 + seconds


def trades_of(shared: Path, date: str) -> list[Trade]:
    """A recorded day as the provider sends it, decoded."""
    name = f"{date.replace('-', '')}_trade.zip"
    files = [shared / "data" / "lean" / "tick" / s.lower() / name for s in recorded.SYMBOLS]
    texts = [
        text
        for part in MergedSources([LeanSource(file) for file in files]).slices()
        for _, _, text in part
    ]
    payload = ",".join(texts).encode()
    batch = Batch("massive", Stream.TRADES, 0, "mdl", 1, 0, len(texts), 1, payload)
    events = decode(batch).events
    assert len(events) == len(texts)
    return [event for event in events if isinstance(event, Trade)]


def up_to(trades: list[Trade], midnight: int) -> Iterator[tuple[int, list[Event]]]:
    """Each instant (second of the day), and the events between the one before and it."""
    instants = [midnight + seconds_of(clock) * 1000 for clock in INSTANTS]

    def part_of(trade: Trade) -> int:
        return bisect_right(instants, trade.timestamp_ms)

    parts: dict[int, list[Event]] = {k: list(part) for k, part in groupby(trades, part_of)}
    for k, instant in enumerate(instants):
        yield (instant - midnight) // 1000, [*parts.get(k, []), Clock(instant)]


def same(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, float):
        return isclose(found, wanted, rel_tol=1e-12)
    return bool(found == wanted)


def check_rankings(owner: Ranked, counted: pl.DataFrame, second: int) -> None:
    for window in top_trades.LENGTHS_S:
        for metric, wanted in top_trades.rankings(counted, window, second).items():
            found = [asdict(row) for row in owner.ranking(window, metric)]
            assert [row["symbol"] for row in found] == [row["symbol"] for row in wanted]
            for left, right in zip(found, wanted, strict=True):
                place = f"{window}:{metric} at {second}"
                assert all(same(left[name], right[name]) for name in left), place


@pytest.mark.parametrize("date", DATES)
def test_a_recorded_day_is_exact(shared: Path, date: str) -> None:
    trades, midnight = trades_of(shared, date), recorded.midnight_ms(date)
    frames = {
        symbol: recorded.massive_rule(recorded.trades(shared / "data", symbol, date))
        for symbol in recorded.SYMBOLS
    }
    counted, owner = top_trades.counted(frames), Ranked(size=50, prints=100)
    for second, events in up_to(trades, midnight):
        owner.show(*events)
        check_rankings(owner, counted, second)
        owner.restart()
    owner.show(*(trade for trade in trades if trade.timestamp_ms >= owner.fold.second_ms)).finish()
    day, prints = owner.prints()
    assert day == date
    found = [{name: getattr(row, name) for name in WANTED} for row in prints]
    assert found == top_trades.largest_prints(counted, midnight)
    check_tape(owner, frames, midnight)


def check_tape(owner: Ranked, frames: dict[str, pl.DataFrame], midnight: int) -> None:
    """The last 1,000 of every symbol: all four are among the most active."""
    for symbol, frame in frames.items():
        items = map(decode_sale, owner.items[f"trades:{symbol}"][-1000:])
        found = [(sale.timestamp_ms, sale.price, sale.size) for sale in items]
        assert found == top_trades.sales(frame, midnight, 1000), symbol
