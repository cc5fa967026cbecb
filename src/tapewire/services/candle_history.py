"""A symbol's candles over any range: what is stored, and before that the provider's bars.

Stored candles win. The store keeps the present trading date and the two sessions before it
(one-second candles: 15 minutes); for what lies before, ``/v2/aggs`` is asked where there is a
key. Provider bars are in today's shares (``adjusted``) and are told apart by ``provided``.
Brokers are not asked: of Indian instruments there is what is stored.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from msgspec import Struct

from tapewire.caches.candles import CandleReader
from tapewire.market.sessions import SessionCalendar
from tapewire.model.candle_names import INTERVALS, SECONDS_KEPT_MS
from tapewire.model.markets import US
from tapewire.model.rows import Candle
from tapewire.providers.massive.rest import RestError
from tapewire.providers.massive.rest_models import Bar

SPANS: Final = {
    "1s": (1, "second"),
    "1m": (1, "minute"),
    "5m": (5, "minute"),
    "15m": (15, "minute"),
    "1h": (1, "hour"),
    "1d": (1, "day"),
}
"""Interval -> multiplier and timespan of the provider's bars."""

_PAST_TURN_MS: Final = 5 * 3_600_000

Fetch = Callable[[str, int, str, str | int, str | int], AsyncIterator[Sequence[Bar]]]
"""Bars of (symbol, multiplier, timespan, first, last), page by page: ``MassiveRest.bars``."""


class History(Struct):
    """Candles, oldest first.

    ``provided`` are the starts of those that the provider gave; ``missing`` says why older
    ones could not be had, empty when nothing is known to be missing.
    """

    candles: list[Candle]
    provided: frozenset[int] = frozenset()
    missing: str = ""


class CandleHistory:
    """Reads ranges of candles.

    Args:
        reader: what is stored.
        calendar: trading dates.
        fetch: asks the provider; None without a key.
        now_ms: wall clock: a bar of the provider's is closed when its time is over.
    """

    def __init__(
        self,
        reader: CandleReader,
        calendar: SessionCalendar,
        fetch: Fetch | None,
        now_ms: Callable[[], int],
    ) -> None:
        self._reader = reader
        self._calendar = calendar
        self._fetch = fetch
        self._now_ms = now_ms

    async def read(
        self, symbol: str, interval: str, from_ms: int, to_ms: int, *, exchange: str = "US"
    ) -> History:
        """Candles that start at ``from_ms`` or later and before ``to_ms``.

        The provider's refusals end in ``missing``; CacheUnavailable and CalendarRangeError
        are raised.
        """
        stored = await self._reader.candle_range(
            symbol, interval, from_ms, to_ms, exchange=exchange
        )
        until_ms = min(to_ms, await self._stored_from(symbol, interval, exchange))
        if not self._may_have_traded(interval, from_ms, until_ms):
            return History(stored)
        if exchange != US.exchange:
            return History(stored, missing="brokers are not asked for what was before")
        if self._fetch is None:
            return History(stored, missing="no API key is set, so the provider was not asked")
        try:
            found = await self._provided(symbol, interval, from_ms, until_ms)
        except RestError as error:
            return History(stored, missing=str(error))
        older = [candle for candle in found if from_ms <= candle.start_ms < until_ms]
        starts = frozenset(candle.start_ms for candle in older)
        return History([*older, *stored], starts)

    async def _stored_from(self, symbol: str, interval: str, exchange: str) -> float:
        """From when on the store speaks for itself, whether or not there are candles."""
        if interval == "1s":
            newest = await self._reader.latest(symbol, "1s", exchange=exchange)
            return newest.start_ms - SECONDS_KEPT_MS if newest else float("inf")
        dates = await self._reader.candle_dates(symbol, exchange=exchange, interval=interval)
        return self._calendar.day(dates[0]).turn_ms if dates else float("inf")

    def _may_have_traded(self, interval: str, from_ms: int, until_ms: float) -> bool:
        """Whether a session falls into the time before what is stored."""
        if from_ms >= until_ms:
            return False
        day, last = self._calendar.day_at(from_ms), self._calendar.day_at(int(until_ms) - 1)
        sessions = self._calendar.sessions(day.date, last.date)
        return any(one.pre_ms < until_ms and from_ms < one.post_ms for one in sessions)

    async def _provided(
        self, symbol: str, interval: str, from_ms: int, until_ms: float
    ) -> list[Candle]:
        assert self._fetch is not None
        multiplier, span = SPANS[interval]
        first: str | int = from_ms
        last: str | int = int(until_ms) - 1
        if span == "day":
            first, last = map(self._calendar.trading_date, (from_ms, int(until_ms) - 1))
        found: dict[int, Candle] = {}
        async for bars in self._fetch(symbol, multiplier, span, first, last):
            for bar in bars:
                candle = self._candle(bar, interval)
                if candle is not None:
                    found[candle.start_ms] = candle
        return [found[start] for start in sorted(found)]

    def _candle(self, bar: Bar, interval: str) -> Candle | None:
        """A provider's bar as a candle; None for one without a price or a time."""
        if bar.start_ms is None or bar.open is None or bar.close is None:
            return None
        if bar.high is None or bar.low is None:
            return None
        start_ms, end_ms = self._span(int(bar.start_ms), interval)
        return Candle(
            start_ms,
            float(bar.open),
            float(bar.high),
            float(bar.low),
            float(bar.close),
            bar.volume or 0,
            None if bar.vwap is None else float(bar.vwap),
            int(bar.trades or 0),
            closed=end_ms <= self._now_ms(),
            revision=0,
            gap=False,
        )

    def _span(self, start_ms: int, interval: str) -> tuple[int, int]:
        """Start and end of a bar; the provider's days begin at midnight, ours at 04:00."""
        if interval != "1d":
            return start_ms, start_ms + INTERVALS[interval]
        day = self._calendar.day_at(start_ms + _PAST_TURN_MS)
        return day.turn_ms, day.next_turn_ms
