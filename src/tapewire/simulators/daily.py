"""A ticker's official daily bar: added up from its trades, and taken apart into minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tapewire.market.conditions import HIGH_LOW, OPEN_CLOSE, VOLUME, ConditionTable
from tapewire.market.sessions import TradingDay
from tapewire.simulators.made_up_market import uniform
from tapewire.simulators.sources import DailyBar

MINUTE_MS: Final = 60_000

_effects = ConditionTable.named("massive").regular


class DailyTally:
    """One ticker's day.

    ``open`` and ``close`` are the first and last open/close-eligible trade of the regular
    session, high and low its extremes; volume counts every volume-eligible trade of the day.
    """

    __slots__ = ("_close", "_day", "_high", "_low", "_open", "_trades", "_value", "_volume")

    def __init__(self, day: TradingDay) -> None:
        self._day = day
        self._open = self._close = 0.0
        self._high, self._low = 0.0, float("inf")
        self._volume = self._trades = 0
        self._value = 0.0

    def add(self, timestamp_ms: int, price: float, size: int, conditions: tuple[int, ...]) -> None:
        """Take one trade, in the order of the tape."""
        effects = _effects[conditions]
        if effects & VOLUME:
            self._volume += size
            self._value += price * size
            self._trades += 1
        if not self._day.open_ms <= timestamp_ms < self._day.close_ms:
            return
        if effects & HIGH_LOW:
            self._high = max(self._high, price)
            self._low = min(self._low, price)
        if effects & OPEN_CLOSE:
            self._open = self._open or price
            self._close = price

    def bar(self) -> DailyBar | None:
        """The bar so far; None without an eligible price or without volume."""
        if not self._close or not self._volume:
            return None
        vwap = round(self._value / self._volume, 4)
        high, low = max(self._high, self._close), min(self._low, self._close)
        prices = (self._open, high, low, self._close)
        return DailyBar(*prices, volume=self._volume, vwap=vwap, trades=self._trades)


def minutes_of(bar: DailyBar, day: TradingDay, seed: int) -> list[tuple[int, DailyBar]]:
    """A finished session as minute bars that add up to its daily bar; ``(start_ms, bar)`` each.

    Recorded days keep no minutes here and made-up ones have none, so the way from the open to
    the close is made up, between low and high; open, extremes, close and volume are the day's.
    """
    count = (day.close_ms - day.open_ms) // MINUTE_MS
    ends = [_on_the_way(bar, seed, minute, count) for minute in range(count + 1)]
    ends[count // 3], ends[2 * count // 3] = bar.low, bar.high
    ends[0], ends[count] = bar.open, bar.close
    minutes = []
    for minute in range(count):
        opens, closes = ends[minute], ends[minute + 1]
        volume = bar.volume * (minute + 1) // count - bar.volume * minute // count
        trades = max(bar.trades // count, 1)
        prices = (opens, max(opens, closes), min(opens, closes), closes)
        mean = round((opens + closes) / 2, 4)
        made = DailyBar(*prices, volume=volume, vwap=mean, trades=trades)
        minutes.append((day.open_ms + minute * MINUTE_MS, made))
    return minutes


def merged(bars: Sequence[DailyBar]) -> DailyBar:
    """Several bars in their order as one."""
    volume = sum(bar.volume for bar in bars)
    value = sum(bar.vwap * bar.volume for bar in bars)
    return DailyBar(
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        volume=volume,
        vwap=round(value / volume, 4) if volume else bars[-1].vwap,
        trades=sum(bar.trades for bar in bars),
    )


def _on_the_way(bar: DailyBar, seed: int, minute: int, count: int) -> float:
    straight = bar.open + (bar.close - bar.open) * minute / count
    noise = (uniform(seed, minute) - 0.5) * (bar.high - bar.low) / 4
    return round(min(max(straight + noise, bar.low), bar.high), 2)
