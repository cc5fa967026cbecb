"""Typed reading of the Widget Data Cache, over any number of shards.

What the CLI prints and the widget service shows comes from here; the same data in another
number of shards reads the same.
"""

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict

from tapewire.caches.boards import Line, merge_boards
from tapewire.caches.candles import CandleReader, Places
from tapewire.caches.decoding import decoded, decoded_candles
from tapewire.caches.records import RecordReader, feed_name
from tapewire.caches.trade_reader import TradeReader
from tapewire.model.candle_names import CandleHash
from tapewire.model.events import Gap
from tapewire.model.feeds import (
    BOARD_SIZE,
    BOARDS,
    Kind,
    all_feeds,
    board_feed,
    board_set,
    quote_hash,
)
from tapewire.model.markets import INDIA, MARKETS, US, Market, market_of_shard
from tapewire.model.rows import CandleView, QuoteRecord, decode_quote

HASHES_AT_ONCE: Final = 200
"""Candle hashes per round trip while dumping: bounds memory (a day's minutes are 60 KB)."""

_SECONDS_FEEDS: Final = "candles:1s:"

BY_FEED: Final = (INDIA, US)
"""The markets in the order of their boards' feeds."""

Row = dict[str, Any]


class Ranked(Struct):
    """A line of a board and its symbol's quote record (None while there is none)."""

    rank: int
    symbol: str
    score: float
    quote: QuoteRecord | None


class WidgetReader(CandleReader):
    """Read rows by what they are; candles as ``CandleReader`` does.

    Every method raises CacheUnavailable when the cache does not answer, and UndecodableRowError
    for a row that this version cannot read.
    """

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

    async def symbol_named(self, name: str, exchange: str) -> str | None:
        """The symbol (``NSE_EQ:2885``) of an exchange's instrument called ``RELIANCE``.

        As far as quote records know it: the newest one counts.
        """
        found = await self._quotes(None, INDIA)
        of_exchange = (one for symbol, one in found.items() if symbol.startswith(f"{exchange}:"))
        called = [one for one in of_exchange if one.name == name]
        newest = max(called, key=lambda one: one.end_timestamp, default=None)
        return newest.symbol if newest is not None else None

    async def _quotes(
        self, symbols: Sequence[str] | None, market: Market | None = None
    ) -> dict[str, QuoteRecord]:
        newest: dict[str, QuoteRecord] = {}
        for shard, names in (await self._names("quote", market)).items():
            wanted = dict.fromkeys(names, symbols)
            for name, rows in (await self._cache.fetch(shard, wanted)).items():
                for field, packed in rows.items():
                    quote = decoded(decode_quote, packed, shard, name, field)
                    known = newest.get(quote.symbol)
                    if known is None or quote.end_timestamp > known.end_timestamp:
                        newest[quote.symbol] = quote
        return newest

    async def board(
        self, name: str, limit: int, date: str | None = None, market: Market = US
    ) -> list[Ranked]:
        """The first ``limit`` lines of a market's board (``top_volume``) with their quote records.

        Of its newest trading day, or of ``date`` (``2026-11-20``). Raises ValueError for a
        name that is no board.
        """
        if name not in BOARDS:
            raise ValueError(f"{name!r} is not a board; expected one of {', '.join(BOARDS)}")
        day, lines = await self._lines(name, limit, date, market)
        quotes = await self._quotes_on(day, [line.symbol for line in lines])
        return [Ranked(*line, quote=quotes.get(line.symbol)) for line in lines]

    async def _lines(
        self, board: str, limit: int, date: str | None, market: Market
    ) -> tuple[str, list[Line]]:
        shards: list[tuple[str, Mapping[str, float]]] = []
        for shard, names in (await self._names(board, market)).items():
            wanted = [name for name in names if date is None or name == board_set(board, date)]
            found = (await self._cache.snapshot(shard, {}, wanted)).boards
            shards += [(name.rpartition(":")[2], scores) for name, scores in found.items()]
        newest = max((day for day, scores in shards if scores), default="")
        return newest, merge_boards(shards, limit)

    async def _quotes_on(self, date: str, symbols: Sequence[str]) -> dict[str, QuoteRecord]:
        found: dict[str, QuoteRecord] = {}
        name = quote_hash(date)
        if symbols:
            for shard in await self.shards():
                rows = (await self._cache.fetch(shard, {name: symbols}))[name]
                for symbol, packed in rows.items():
                    found[symbol] = decoded(decode_quote, packed, shard, name, symbol)
        return found

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
        for market, board in product(BY_FEED, BOARDS):
            if selection.has(feed := board_feed(board, market)):
                for line in (await self._lines(board, BOARD_SIZE, None, market))[1]:
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
        places = await self.candle_places()
        wanted = sorted(place for place in places if selection.has(place.feed))
        before = [place for place in wanted if place.feed < _SECONDS_FEEDS]
        async for row in self._rows_at(before, places):
            yield row
        if selection.may_have(_SECONDS_FEEDS):
            seconds = {
                CandleHash.of(market.exchange, symbol, "1s"): rows
                for market in MARKETS
                for symbol, rows in (await self._seconds(market.exchange, None)).items()
            }
            for name in sorted(seconds):
                if selection.has(name.feed):
                    for row in candle_rows(name, [seconds[name]]):
                        yield row
        async for row in self._rows_at(wanted[len(before) :], places):
            yield row

    async def _rows_at(self, wanted: Sequence[CandleHash], places: Places) -> AsyncIterator[Row]:
        for some in chunks(wanted, HASHES_AT_ONCE):
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

    async def _names(self, family: str, market: Market | None = None) -> dict[str, list[str]]:
        """Shard -> names of one family (``quote``), sorted; of one market's shards, or of all."""
        found = {}
        for shard in await self.shards():
            if market in (None, market_of_shard(shard)):
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

    def may_have(self, prefix: str) -> bool:
        """Whether a feed that begins so may be wanted."""
        literal = [re.split(r"[*?[]", wanted)[0] for wanted in self._feeds]
        return not literal or any(
            one.startswith(prefix) or prefix.startswith(one) for one in literal
        )


def candle_rows(parsed: CandleHash, hashes: Iterable[Mapping[str, bytes]]) -> Iterator[Row]:
    """The rows of some candles, wherever their parts lie, by start."""
    candles = {
        candle.start_ms: candle for rows in hashes for candle in decoded_candles(parsed, rows)
    }
    for start in sorted(candles):
        view = CandleView.of(candles[start], parsed.symbol, parsed.exchange, parsed.interval)
        yield {"feed": parsed.feed, **asdict(view)}


def chunks(values: Sequence[CandleHash], size: int) -> Iterator[Sequence[CandleHash]]:
    """Cut a sequence into parts of at most ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
