"""Reading feeds whose rows all readers treat alike: those with a ``row`` in the feed table.

A state feed's rows lie in hashes ``<family>:<date>``, an event feed's items in a list of the
feed's own name (with a colon in it where there is one list a symbol). Both lie in any number
of shards; what is read here is the same for each number.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from tapewire.caches.cache import WidgetCache
from tapewire.caches.decoding import decoded
from tapewire.model.feeds import MAX_ITEMS, Feed, Kind

TIMES: Final = ("timestamp_ms", "end_timestamp")
"""Fields that an item's time is read from; the first that there is counts."""


@cache
def decoder(row: type[Struct]) -> msgspec.msgpack.Decoder[Any]:
    """The one decoder of a kind of row."""
    return msgspec.msgpack.Decoder(row)


class RecordReader:
    """Rows and items of such feeds, over all shards of a cache.

    Raises CacheUnavailable, and UndecodableRowError for a row that this version cannot read.
    """

    def __init__(self, cache: WidgetCache) -> None:
        self._cache = cache

    async def rows(self, feed: Feed, key: str | None = None) -> dict[str, Struct]:
        """Key -> row of the newest trading date that has the key, by key; all keys, or one."""
        newest: dict[str, _Dated] = {}
        for shard in await self._cache.shards():
            names = await self._names(shard, feed)
            found = await self._cache.fetch(
                shard, dict.fromkeys(names, None if key is None else [key])
            )
            for name, values in found.items():
                _keep_newest(newest, shard, name, values)
        decode = decoder(_row_of(feed)).decode
        return {
            field: decoded(decode, one.packed, one.shard, one.name, field)
            for field, one in sorted(newest.items())
        }

    async def items(self, feed: Feed, limit: int = MAX_ITEMS) -> dict[str, list[Struct]]:
        """List name -> its newest items of all shards, by (time, symbol, number), oldest first.

        Each shard keeps its newest 10,000, so the newest 10,000 of all are among them.
        """
        lists: dict[str, list[tuple[int, str, int, Struct]]] = {}
        decode = decoder(_row_of(feed)).decode
        for shard in await self._cache.shards():
            for name in await self._names(shard, feed):
                for sequence, packed in await self._cache.items(shard, name, limit):
                    item = decoded(decode, packed, shard, name, f"number {sequence}")
                    place = (time_of(item), getattr(item, "symbol", ""), sequence)
                    lists.setdefault(name, []).append((*place, item))
        return {
            name: [item for *_, item in sorted(found, key=lambda one: one[:3])[-limit:]]
            for name, found in sorted(lists.items())
        }

    async def _names(self, shard: str, feed: Feed) -> list[str]:
        names = await self._cache.names(shard)
        if feed.kind is Kind.EVENT and feed.pattern == feed.family:
            return [name for name in names if name == feed.family]
        return [name for name in names if name.startswith(feed.family + ":")]


def feed_name(feed: Feed, row: Struct) -> str:
    """The name under which a row of a state feed is asked for: ``daily_range:AIG``."""
    name = feed.pattern
    for field in row.__struct_fields__:
        if f"{{{field}}}" in name:
            name = name.replace(f"{{{field}}}", str(getattr(row, field)))
    return name


def time_of(item: Struct) -> int:
    """An item's event time in ms; 0 for one without."""
    return int(next((getattr(item, name) for name in TIMES if hasattr(item, name)), 0))


class _Dated(NamedTuple):
    """A packed row and where it lies."""

    date: str
    packed: bytes
    shard: str
    name: str


def _keep_newest(
    newest: dict[str, _Dated], shard: str, name: str, values: Mapping[str, bytes]
) -> None:
    date = name.rpartition(":")[2]
    for key, packed in values.items():
        if key not in newest or date > newest[key].date:
            newest[key] = _Dated(date, packed, shard, name)


def _row_of(feed: Feed) -> type[Struct]:
    if feed.row is None:
        raise ValueError(f"feed {feed.pattern!r} has no row in the feed table")
    return feed.row
