"""A ticker's official daily bar, added up from its trades."""

from __future__ import annotations

from tapewire.market.conditions import HIGH_LOW, OPEN_CLOSE, VOLUME, ConditionTable
from tapewire.market.sessions import TradingDay
from tapewire.simulators.sources import DailyBar

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
