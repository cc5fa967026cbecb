"""Typed reading of the Widget Data Cache, over any number of shards.

What the CLI prints and the widget service shows comes from here; the same data in another
number of shards reads the same.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from tapewire.caches.boards import Line, merge_boards
from tapewire.caches.cache import WidgetCache
from tapewire.caches.records import RecordReader, feed_name
from tapewire.caches.trade_reader import TradeReader
from tapewire.model.events import Gap
from tapewire.model.feeds import (
    BOARD_SIZE,
    BOARDS,
    Kind,
    all_feeds,
    board_set,
    candle_hash,
    quote_hash,
)
from tapewire.model.rows import Candle, CandleView, QuoteRecord, decode_candle, decode_quote

HASHES_AT_ONCE: Final = 200
"""Candle hashes per round trip while dumping: bounds memory (a day's minutes are 60 KB)."""

Row = dict[str, Any]


class Ranked(Struct):
    """A line of a board and its symbol's quote record (None while there is none)."""

    rank: int
    symbol: str
    score: float
    quote: QuoteRecord | None


class CandleHash(NamedTuple):
    """The parts of a candle hash's name; a symbol may hold colons (``O:SPY261218C00600000``)."""

    feed: str
    exchange: str
    date: str
    symbol: str
    interval: str

    @classmethod
    def parse(cls, name: str) -> "CandleHash":
        """Read ``candles:US:AIG:1m:2026-11-20``."""
        _, exchange, rest = name.split(":", 2)
        symbol, interval, date = rest.rsplit(":", 2)
        return cls(f"candles:{interval}:{symbol}", exchange, date, symbol, interval)


class WidgetReader:
    """Read rows by what they are.

    Every method raises CacheUnavailable when the cache does not answer.
    """

    def __init__(self, cache: WidgetCache) -> None:
        self._cache = cache

    async def shards(self) -> list[str]:
        """Names of the shards, sorted."""
        return await self._cache.shards()

    async def gaps(self) -> list[Gap]:
        """Gaps of all shards, by shard, oldest first."""
        return [gap for shard in await self.shards() for gap in await self._cache.gaps(shard)]

    async def quote(self, symbol: str) -> QuoteRecord | None:
        """A symbol's newest quote record."""
        return (await self._quotes([symbol])).get(symbol)

    async def quotes(self) -> list[QuoteRecord]:
        """The newest quote record of every symbol, by symbol."""
        found = await self._quotes(None)
        return [found[symbol] for symbol in sorted(found)]

    async def _quotes(self, symbols: Sequence[str] | None) -> dict[str, QuoteRecord]:
        newest: dict[str, QuoteRecord] = {}
        for shard, names in (await self._names("quote")).items():
            wanted = dict.fromkeys(names, symbols)
            for rows in (await self._cache.fetch(shard, wanted)).values():
                for quote in map(decode_quote, rows.values()):
                    known = newest.get(quote.symbol)
                    if known is None or quote.end_timestamp > known.end_timestamp:
                        newest[quote.symbol] = quote
        return newest

    async def board(self, name: str, limit: int, date: str | None = None) -> list[Ranked]:
        """The first ``limit`` lines of a board (``top_volume``) with their quote records.

        Of the newest trading day, or of ``date`` (``2026-11-20``). Raises ValueError for a
        name that is no board.
        """
        if name not in BOARDS:
            raise ValueError(f"{name!r} is not a board; expected one of {', '.join(BOARDS)}")
        day, lines = await self._lines(name, limit, date)
        quotes = await self._quotes_on(day, [line.symbol for line in lines])
        return [Ranked(*line, quote=quotes.get(line.symbol)) for line in lines]

    async def _lines(self, board: str, limit: int, date: str | None) -> tuple[str, list[Line]]:
        shards: list[tuple[str, Mapping[str, float]]] = []
        for shard, names in (await self._names(board)).items():
            wanted = [name for name in names if date is None or name == board_set(board, date)]
            found = (await self._cache.snapshot(shard, {}, wanted)).boards
            shards += [(name.rpartition(":")[2], scores) for name, scores in found.items()]
        newest = max((day for day, scores in shards if scores), default="")
        return newest, merge_boards(shards, limit)

    async def _quotes_on(self, date: str, symbols: Sequence[str]) -> dict[str, QuoteRecord]:
        found: dict[str, QuoteRecord] = {}
        if symbols:
            for shard in await self.shards():
                rows = await self._cache.fetch(shard, {quote_hash(date): symbols})
                packed = rows[quote_hash(date)]
                found.update((symbol, decode_quote(row)) for symbol, row in packed.items())
        return found

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
        name = candle_hash(exchange, symbol, interval, date)
        found: dict[int, Candle] = {}
        for shard in await self.shards():
            rows = await self._cache.fetch(shard, {name: None})
            found.update((int(start), decode_candle(row)) for start, row in rows[name].items())
        first, last = from_ms or 0, to_ms if to_ms is not None else float("inf")
        return [found[start] for start in sorted(found) if first <= start < last]

    async def candle_dates(
        self, symbol: str, *, exchange: str = "US", interval: str = "1m"
    ) -> list[str]:
        """Trading dates with candles of a symbol, oldest first."""
        feed = f"candles:{interval}:{symbol}"
        names = [name for found in (await self._names("candles")).values() for name in found]
        hashes = map(CandleHash.parse, names)
        return sorted({h.date for h in hashes if (h.feed, h.exchange) == (feed, exchange)})

    async def dump(self, feeds: Sequence[str] = ()) -> AsyncIterator[Row]:
        """Final rows of state feeds and items of event feeds, in one canonical order.

        Rows come by (feed, key), then each event feed's newest 10,000 items by (event time,
        symbol, number).

        Args:
            feeds: names or patterns (``quote:AIG``, ``candles:*``); none means all.

        No positions, wall times or process ids: what lost nothing dumps the same, whatever
        the speed, the shards and the restarts. Raises ValueError for a feed that is unknown.
        """
        selection = Selection(feeds)
        async for row in self._dump_candles(selection):
            yield row
        for quote in await self.quotes():
            if selection.has(feed := f"quote:{quote.symbol}"):
                yield {"feed": feed, **asdict(quote)}
        for board in BOARDS:
            if selection.has(feed := f"scanners:{board}"):
                for line in (await self._lines(board, BOARD_SIZE, None))[1]:
                    yield {"feed": feed, **line._asdict()}
        async for row in TradeReader(self._cache).dump(selection.has):
            yield row
        async for row in self._dump_records(selection):
            yield row

    async def _dump_records(self, selection: "Selection") -> AsyncIterator[Row]:
        records = RecordReader(self._cache)
        feeds = [feed for feed in all_feeds() if feed.row is not None]
        for feed in (one for one in feeds if one.kind is Kind.STATE):
            for row in (await records.rows(feed)).values():
                if selection.has(name := feed_name(feed, row)):
                    yield {"feed": name, **asdict(row)}
        for feed in (one for one in feeds if one.kind is Kind.EVENT):
            for name, items in (await records.items(feed)).items():
                if selection.has(name):
                    for item in items:
                        yield {"feed": name, **asdict(item)}

    async def _dump_candles(self, selection: "Selection") -> AsyncIterator[Row]:
        places: dict[CandleHash, list[tuple[str, str]]] = {}
        for shard, names in (await self._names("candles")).items():
            for name in names:
                if selection.has((parsed := CandleHash.parse(name)).feed):
                    places.setdefault(parsed, []).append((shard, name))
        for some in chunks(sorted(places), HASHES_AT_ONCE):
            rows = await self._candle_rows([place for parsed in some for place in places[parsed]])
            for parsed in some:
                for row in candle_rows(parsed, [rows[place] for place in places[parsed]]):
                    yield row

    async def _candle_rows(
        self, places: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], dict[str, bytes]]:
        wanted: dict[str, dict[str, None]] = {}
        for shard, name in places:
            wanted.setdefault(shard, {})[name] = None
        found: dict[tuple[str, str], dict[str, bytes]] = {}
        for shard, names in wanted.items():
            rows = await self._cache.fetch(shard, names)
            found.update(((shard, name), packed) for name, packed in rows.items())
        return found

    async def _names(self, family: str) -> dict[str, list[str]]:
        """Shard -> names of one family (``quote``), sorted."""
        found = {}
        for shard in await self.shards():
            names = await self._cache.names(shard)
            found[shard] = [name for name in names if name.startswith(family + ":")]
        return found


class Selection:
    """Which feeds are wanted: names and shell patterns; none means all."""

    def __init__(self, feeds: Sequence[str]) -> None:
        known = sorted({feed.pattern.partition(":")[0] for feed in all_feeds()})
        for feed in feeds:
            if not any(fnmatchcase(family, feed.partition(":")[0]) for family in known):
                patterns = ", ".join(feed.pattern for feed in all_feeds())
                raise ValueError(f"{feed!r} is not a feed; expected one of {patterns}, or with *")
        self._feeds = tuple(feeds)

    def has(self, feed: str) -> bool:
        """Whether a feed's name is wanted."""
        return not self._feeds or any(
            feed == wanted or fnmatchcase(feed, wanted) for wanted in self._feeds
        )


def candle_rows(parsed: CandleHash, hashes: Iterable[Mapping[str, bytes]]) -> Iterator[Row]:
    """The rows of one candle hash, wherever its parts lie, by start."""
    packed = {int(start): row for rows in hashes for start, row in rows.items()}
    for start in sorted(packed):
        candle = decode_candle(packed[start])
        view = CandleView.of(candle, parsed.symbol, parsed.exchange, parsed.interval)
        yield {"feed": parsed.feed, **asdict(view)}


def chunks(values: Sequence[CandleHash], size: int) -> Iterator[Sequence[CandleHash]]:
    """Cut a sequence into parts of at most ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
