"""Second and minute bars added up from the trades that are sent, as the provider would send them.

Which trade counts for what is `tapewire.market.conditions`; a bucket without an open/close-eligible
trade makes no bar, and its volume counts for the day (components.md, section 4).
"""

from __future__ import annotations

from typing import Final

from tapewire.market.conditions import HIGH_LOW, OPEN_CLOSE, OPENING, VOLUME, ConditionTable
from tapewire.simulators.sources import Slice

_TABLE: Final = ConditionTable.named("massive")


class DayTotals:
    """What a ticker's bars say of its whole day: volume, value, official open."""

    __slots__ = ("official_open", "value", "volume")

    def __init__(self, volume: int, price: float, official_open: float | None) -> None:
        """Begin a day at ``volume`` shares that traded at ``price`` on average."""
        self.volume = volume
        self.value = volume * price
        self.official_open = official_open


class _Bucket:
    """One ticker's trades of one second or minute."""

    __slots__ = ("close", "count", "high", "low", "open", "value", "volume")

    def __init__(self) -> None:
        self.open = self.high = self.close = 0.0
        self.low = float("inf")
        self.volume = self.count = 0
        self.value = 0.0

    def add(self, price: float, size: int, effects: int) -> None:
        if effects & VOLUME:
            self.volume += size
            self.value += price * size
            self.count += 1
        if effects & HIGH_LOW:
            self.high = max(self.high, price)
            self.low = min(self.low, price)
        if effects & OPEN_CLOSE:
            self.open = self.open or price
            self.close = price


class Bars:
    """The bars of all tickers, of one length: ``A`` (1 s) or ``AM`` (1 min).

    The two share their tickers' `DayTotals`; only one of them (``counts_day``) adds to these.
    """

    def __init__(
        self, topic: str, length_ms: int, totals: dict[str, DayTotals], *, counts_day: bool
    ) -> None:
        self._topic = topic
        self._length_ms = length_ms
        self._totals = totals
        self._counts_day = counts_day
        self._buckets: dict[str, _Bucket] = {}

    def add(
        self, symbol: str, price: float, size: int, conditions: tuple[int, ...], regular: bool
    ) -> None:
        """Take a trade of the present second or minute, in the order of the tape."""
        effects = (_TABLE.regular if regular else _TABLE.extended)[conditions]
        bucket = self._buckets.get(symbol)
        if bucket is None:
            bucket = self._buckets[symbol] = _Bucket()
        bucket.add(price, size, effects)
        if not self._counts_day:
            return
        totals = self._totals[symbol]
        if effects & VOLUME:
            totals.volume += size
            totals.value += price * size
        if effects & OPENING and regular and totals.official_open is None:
            totals.official_open = price

    def close(self, start_ms: int, first_due_ms: int, spread_ms: int) -> Slice:
        """End the second or minute that began at ``start_ms``: its bars, and when each is due.

        They are due from ``first_due_ms`` on, spread over ``spread_ms``.
        """
        bars = [item for item in self._buckets.items() if item[1].close]
        self._buckets = {}
        return [
            (
                first_due_ms + number * spread_ms // len(bars),
                f"{self._topic}.{symbol}",
                self._text(symbol, bucket, start_ms),
            )
            for number, (symbol, bucket) in enumerate(bars)
        ]

    def _text(self, symbol: str, bucket: _Bucket, start_ms: int) -> str:
        totals = self._totals[symbol]
        opened = "" if totals.official_open is None else f'"op":{totals.official_open},'
        # A bar of price-eligible trades without volume (38 alone) has no average.
        vwap = round(bucket.value / bucket.volume, 4) if bucket.volume else bucket.close
        day_vwap = round(totals.value / totals.volume, 4) if totals.volume else vwap
        high, low = max(bucket.high, bucket.close), min(bucket.low, bucket.close)
        return (
            f'{{"ev":"{self._topic}","sym":"{symbol}","v":{bucket.volume},"av":{totals.volume},'
            f'{opened}"vw":{vwap},"o":{bucket.open},"c":{bucket.close},"h":{high},"l":{low},'
            f'"a":{day_vwap},"z":{bucket.volume // max(1, bucket.count)},"s":{start_ms},'
            f'"e":{start_ms + self._length_ms}}}'
        )
