"""Reading candles: by day, across days, the newest one; over any number of shards.

One-second candles are shown up to 15 minutes before the newest second that any shard holds, so
that what is read does not depend on the number of shards.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from tapewire.caches.cache import WidgetCache
from tapewire.caches.decoding import decoded_candles, parsed_name
from tapewire.market.sessions import SessionCalendar
from tapewire.model.candle_names import (
    SECONDS_KEPT_MS,
    CandleHash,
    SecondsHash,
    is_candles,
    is_seconds,
)
from tapewire.model.markets import MARKETS, US
from tapewire.model.rows import Candle

MOST_DATES = 14
"""Trading dates of a range that are asked for by name; of a longer one those that are there."""

Places = dict[CandleHash, list[tuple[str, str]]]
"""Which candles -> (shard, hash) where they lie."""


@cache
def calendar_of(exchange: str) -> SessionCalendar:
    """The calendar that the trading dates of candles of an exchange (``US``, ``IN``) follow."""
    market = next((one for one in MARKETS if one.exchange == exchange), US)
    return SessionCalendar.load(market.calendar)


class CandleReader:
    """Candles of one cache; every method raises CacheUnavailable when it does not answer.

    And UndecodableRowError for a row that this version cannot read.

    ``interval`` is ``1s``, ``1m``, ``5m``, ``15m``, ``1h`` or ``1d``; times are ms UTC.
    """

    def __init__(self, cache: WidgetCache) -> None:
        self._cache = cache

    async def candles(
        self,
        exchange: str,
        symbol: str,
        interval: str,
        date: str,
        from_ms: int | None = None,
        to_ms: int | None = None,
    ) -> list[Candle]:
        """Candles of a trading date, oldest first.

        They start at ``from_ms`` or later and before ``to_ms``.
        """
        day = calendar_of(exchange).day(date)
        first = day.turn_ms if from_ms is None else max(from_ms, day.turn_ms)
        last = day.next_turn_ms if to_ms is None else min(to_ms, day.next_turn_ms)
        if interval == "1s":
            found = await self._seconds_of(exchange, symbol)
        else:
            found = await self._on(exchange, symbol, interval, [date])
        return [candle for candle in found if first <= candle.start_ms < last]

    async def candle_range(
        self,
        symbol: str,
        interval: str = "1m",
        from_ms: int | None = None,
        to_ms: int | None = None,
        *,
        exchange: str = "US",
    ) -> list[Candle]:
        """Stored candles that start at ``from_ms`` or later and before ``to_ms``, oldest first.

        Whatever trading dates they belong to; None means no bound.
        """
        if interval == "1s":
            found = await self._seconds_of(exchange, symbol)
        else:
            dates = await self._dates_between(exchange, symbol, interval, from_ms, to_ms)
            found = await self._on(exchange, symbol, interval, dates)
        first, last = from_ms or 0, float("inf") if to_ms is None else to_ms
        return [candle for candle in found if first <= candle.start_ms < last]

    async def latest(
        self, symbol: str, interval: str = "1m", *, exchange: str = "US"
    ) -> Candle | None:
        """A symbol's newest candle, open or closed."""
        found = await self._newest(symbol, interval, exchange)
        return found[-1] if found else None

    async def confirmed(
        self, symbol: str, interval: str = "1m", *, exchange: str = "US"
    ) -> Candle | None:
        """A symbol's newest closed candle."""
        found = await self._newest(symbol, interval, exchange)
        return next((candle for candle in reversed(found) if candle.closed), None)

    async def _newest(self, symbol: str, interval: str, exchange: str) -> list[Candle]:
        if interval == "1s":
            return await self._seconds_of(exchange, symbol)
        dates = await self.candle_dates(symbol, exchange=exchange, interval=interval)
        return await self._on(exchange, symbol, interval, dates[-2:])

    async def candle_dates(
        self, symbol: str, *, exchange: str = "US", interval: str = "1m"
    ) -> list[str]:
        """Trading dates with candles of a symbol, oldest first."""
        if interval == "1s":
            starts = [one.start_ms for one in await self._seconds_of(exchange, symbol)]
            return sorted(set(map(calendar_of(exchange).trading_date, starts)))
        places = await self.candle_places()
        wanted = CandleHash.of(exchange, symbol, interval)
        return sorted(one.date for one in places if one._replace(date="") == wanted)

    async def candle_symbols(self, *, exchange: str = "US", interval: str = "1m") -> list[str]:
        """Symbols with candles of an interval, sorted."""
        if interval == "1s":
            return sorted(await self._seconds(exchange, None))
        places = await self.candle_places()
        return sorted(
            {p.symbol for p in places if (p.exchange, p.interval) == (exchange, interval)}
        )

    async def candle_places(self) -> Places:
        """Where the candles of a minute or longer lie."""
        places: Places = {}
        for shard in await self._cache.shards():
            for name in filter(is_candles, await self._cache.names(shard)):
                place = parsed_name(CandleHash.parse, shard, name)
                places.setdefault(place, []).append((shard, name))
        return places

    async def _dates_between(
        self, exchange: str, symbol: str, interval: str, from_ms: int | None, to_ms: int | None
    ) -> list[str]:
        if from_ms is not None and to_ms is not None:
            calendar = calendar_of(exchange)
            dates = list(dates_between(calendar, from_ms, to_ms, MOST_DATES + 1))
            if len(dates) <= MOST_DATES:
                return dates
        return await self.candle_dates(symbol, exchange=exchange, interval=interval)

    async def _on(
        self, exchange: str, symbol: str, interval: str, dates: Sequence[str]
    ) -> list[Candle]:
        """Candles of a minute or longer on these dates."""
        days = [CandleHash.of(exchange, symbol, interval, date) for date in dates]
        wanted = {name: None for day in days for name in day.hashes()}
        found: dict[int, Candle] = {}
        for shard in await self._cache.shards():
            rows = await self._cache.fetch(shard, wanted)
            for day in days:
                for name in day.hashes():
                    candles = decoded_candles(day, rows.get(name, {}))
                    found.update((candle.start_ms, candle) for candle in candles)
        return [found[start] for start in sorted(found)]

    async def _seconds_of(self, exchange: str, symbol: str) -> list[Candle]:
        rows = (await self._seconds(exchange, [symbol])).get(symbol, {})
        return decoded_candles(CandleHash.of(exchange, symbol, "1s"), rows)

    async def _seconds(
        self, exchange: str, symbols: Sequence[str] | None
    ) -> dict[str, dict[str, bytes]]:
        """Symbol -> slot (ms UTC) -> packed seconds, oldest first; all symbols, or these."""
        found: list[tuple[int, Mapping[str, bytes]]] = []
        for shard in await self._cache.shards():
            names = filter(is_seconds, await self._cache.names(shard))
            parsed = {name: parsed_name(SecondsHash.parse, shard, name) for name in names}
            wanted = {name: symbols for name, one in parsed.items() if one.exchange == exchange}
            rows = await self._cache.fetch(shard, wanted)
            found += [(parsed[name].slot_ms, packed) for name, packed in rows.items()]
        return by_symbol(found)


def by_symbol(slots: Sequence[tuple[int, Mapping[str, bytes]]]) -> dict[str, dict[str, bytes]]:
    """Slots of any shards by symbol, oldest first, without those of over 15 minutes before."""
    oldest = max((slot for slot, _ in slots), default=0) - SECONDS_KEPT_MS
    found: dict[str, dict[str, bytes]] = {}
    for slot, rows in sorted(slots, key=lambda one: one[0]):
        if slot >= oldest:
            for symbol, packed in rows.items():
                found.setdefault(symbol, {})[str(slot)] = packed
    return found


def dates_between(calendar: SessionCalendar, from_ms: int, to_ms: int, most: int) -> Iterator[str]:
    """Trading dates from one time to another (not included), at most so many."""
    at = max(from_ms, calendar.first_ms)
    last = min(to_ms, calendar.end_ms)
    while at < last and most > 0:
        day = calendar.day_at(at)
        yield day.date
        at, most = day.next_turn_ms, most - 1
