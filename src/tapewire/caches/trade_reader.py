"""Reading top trades, largest prints and time and sales, over any number of shards."""

from collections.abc import AsyncIterator, Callable
from itertools import product
from typing import Any, Final

from msgspec import msgpack
from msgspec.structs import asdict

from tapewire.caches.cache import WidgetCache
from tapewire.caches.decoding import decoded
from tapewire.caches.rankings import Ranking, merge_prints, merge_top_trades
from tapewire.model.feeds import (
    AS_OF,
    LARGEST_PRINTS,
    METRICS,
    TOP_TRADES,
    WINDOWS_S,
    max_items,
    tape_feed,
    top_trades_feed,
)
from tapewire.model.markets import MARKETS, US, Market, market_of_shard
from tapewire.model.rows import (
    LargestPrint,
    Sale,
    TopTrade,
    decode_prints,
    decode_sale,
    decode_top_trades,
)

_FAMILY: Final = "top_trades:"
_PRINTS: Final = "largest_prints:"
_decode_ms = msgpack.Decoder(int).decode


class TradeReader:
    """Rankings and single trades, merged.

    Every method raises CacheUnavailable, and UndecodableRowError for a row that this version
    cannot read.
    """

    def __init__(self, cache: WidgetCache) -> None:
        self._cache = cache

    async def top_trades(
        self, window: str, metric: str, limit: int = TOP_TRADES, market: Market = US
    ) -> list[TopTrade]:
        """The first lines of a market's ranking, as of each shard's newest cut.

        Raises ValueError for a window or metric that there is not.
        """
        if window not in WINDOWS_S or metric not in METRICS:
            raise ValueError(
                f"no top trades {window}:{metric}; expected one of {', '.join(WINDOWS_S)}"
                f" by one of {', '.join(METRICS)}"
            )
        rankings = []
        field = f"{window}:{metric}"
        newest = await self._newest(_FAMILY, (AS_OF, field), market)
        for shard, (date, fields) in newest.items():
            packed, name = fields.get(field), _FAMILY + date
            if packed is not None:
                as_of_ms = decoded(_decode_ms, fields[AS_OF], shard, name, AS_OF)
                ranked = decoded(decode_top_trades, packed, shard, name, field)
                rankings.append(Ranking(as_of_ms, ranked))
        return merge_top_trades(rankings, window, metric, limit)

    async def largest_prints(self, limit: int = LARGEST_PRINTS) -> list[LargestPrint]:
        """The largest single trades of the newest trading date."""
        found = (await self._newest(_PRINTS, ("prints",), US)).items()
        shards = [
            (date, decoded(decode_prints, fields["prints"], shard, _PRINTS + date, "prints"))
            for shard, (date, fields) in found
            if fields
        ]
        return merge_prints(shards, limit)

    async def sales(self, symbol: str, limit: int = 0) -> list[Sale]:
        """A symbol's time and sales, oldest first: the newest ``limit``, or all that are kept."""
        name, found = tape_feed(symbol), []
        for shard in await self._cache.shards():
            items = await self._cache.items(shard, name, limit or max_items(name))
            found += [
                (decoded(decode_sale, packed, shard, name, f"number {number}"), number)
                for number, packed in items
            ]
        found.sort(key=lambda one: (one[0].timestamp_ms, one[1]))
        return [sale for sale, _ in found][-limit if limit else None :]

    async def taped(self) -> list[str]:
        """Symbols of which time and sales are kept, sorted."""
        prefix = tape_feed("")
        names = [name for shard in await self._cache.shards() for name in await self._names(shard)]
        return sorted({name.removeprefix(prefix) for name in names if name.startswith(prefix)})

    async def _names(self, shard: str) -> list[str]:
        return await self._cache.names(shard)

    async def _newest(
        self, family: str, fields: tuple[str, ...], market: Market
    ) -> dict[str, tuple[str, dict[str, bytes]]]:
        """A market's shard -> its newest date of a family and these fields."""
        found = {}
        for shard in await self._cache.shards():
            if market_of_shard(shard) != market:
                continue
            names = [name for name in await self._names(shard) if name.startswith(family)]
            if names:
                name = max(names)
                rows = await self._cache.fetch(shard, {name: fields})
                found[shard] = (name.removeprefix(family), rows[name])
        return found

    async def dump(self, has: Callable[[str], bool]) -> AsyncIterator[dict[str, Any]]:
        """Rows of the feeds that are wanted: rankings by window and metric, then prints."""
        for market, window, metric in product(MARKETS, WINDOWS_S, METRICS):
            if has(feed := top_trades_feed(window, metric, market)):
                for row in await self.top_trades(window, metric, market=market):
                    yield {"feed": feed, **asdict(row)}
        if has(feed := _PRINTS.rstrip(":")):
            for largest in await self.largest_prints():
                yield {"feed": feed, **asdict(largest)}
