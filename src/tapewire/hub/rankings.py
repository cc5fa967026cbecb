"""Rankings that each shard keeps whole: top trades and largest prints, merged over all shards."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from tapewire.caches.rankings import Ranking, merge_prints, merge_top_trades
from tapewire.hub.decoding import Decoding
from tapewire.hub.tables import Row, Rows
from tapewire.model.feeds import AS_OF
from tapewire.model.messages import Key
from tapewire.model.rows import LargestPrint, TopTrade, decode_prints, decode_top_trades

PRINTS: Final = "prints"
"""The one field of a hash of largest prints."""

T = TypeVar("T")

_decode_ms = msgspec.msgpack.Decoder(int).decode


class RankingStore:
    """All lists of one family: shard -> its newest trading date -> field -> packed list."""

    def __init__(self, family: str, decoding: Decoding) -> None:
        self._family = family
        self._decoding = decoding
        self.ready = False
        self.generation = 0
        self.version = 0
        self._stored: dict[str, dict[str, dict[str, bytes]]] = {}

    def clear(self) -> None:
        """Forget everything; what follows has nothing to do with it."""
        self._stored.clear()
        self.generation += 1

    def put(self, shard: str, date: str, rows: Mapping[str, bytes]) -> None:
        """Take in lists of one shard and trading date; older dates are dropped."""
        dates = self._stored.setdefault(shard, {})
        dates.setdefault(date, {}).update(rows)
        for old in [day for day in dates if day < max(dates)]:
            del dates[old]
        self.version += 1

    def remove(self, shard: str, date: str, fields: Iterable[str]) -> None:
        """Take out lists that their shard removed."""
        lists = self._stored.get(shard, {}).get(date, {})
        for field in fields:
            lists.pop(field, None)
        self.version += 1

    def lists(
        self, field: str, decode: Callable[[bytes], T]
    ) -> Iterator[tuple[str, dict[str, bytes], T]]:
        """Trading date, hash and list of every shard that has this field."""
        for dates in self._stored.values():
            for date, lists in dates.items():
                found = self.value(lists, field, decode)
                if found is not None:
                    yield date, lists, found

    def value(self, lists: dict[str, bytes], field: str, decode: Callable[[bytes], T]) -> T | None:
        """A field of a hash, decoded; None without it. One that does not decode is forgotten."""
        packed = lists.get(field)
        if packed is None:
            return None
        found = self._decoding.value(self._family, decode, packed)
        if found is None:
            del lists[field]
        return found


class RankedTable:
    """One ranking: what ``merge`` makes of the shards' lists, ranks dense from 1.

    Args:
        line: what a line is; its first field is the rank.
        key: the field that rows are keyed by; by ``symbol`` the order says something.
    """

    def __init__(
        self,
        store: RankingStore,
        line: type[Struct],
        key: str,
        merge: Callable[[], Sequence[Struct]],
    ) -> None:
        self.key = key
        self.fields = line.__struct_fields__
        self.is_board = key == "symbol"
        self._store = store
        self._merge = merge
        self._place = self.fields.index(key)
        self._merged = (-1, -1)
        self._rows: dict[Key, Row] = {}

    @property
    def ready(self) -> bool:
        """As the store is."""
        return self._store.ready

    @property
    def version(self) -> int:
        """That of the store."""
        return self._store.version

    @property
    def generation(self) -> int:
        """As that of the store."""
        return self._store.generation

    def rows(self, limit: int | None) -> Rows:
        """The first ``limit`` lines, by rank."""
        at = (self.generation, self.version)
        if self._merged != at:
            self._merged = at
            lines = map(astuple, self._merge())
            self._rows = {line[self._place]: line for line in lines}
        return dict(list(self._rows.items())[:limit])

    def touched(self, since: int) -> Collection[Key] | None:
        """Ranks change without their rows: look at all."""
        return None

    def row(self, key: Key) -> Row | None:
        """Not asked."""
        return self.rows(None).get(key)


def top_trades(store: RankingStore, window: str, metric: str) -> RankedTable:
    """``top_trades:5m:value``."""
    field = f"{window}:{metric}"

    def merge() -> Sequence[TopTrade]:
        rankings = [
            Ranking(store.value(lists, AS_OF, _decode_ms) or 0, found)
            for _, lists, found in store.lists(field, decode_top_trades)
        ]
        return merge_top_trades(rankings, window, metric)

    return RankedTable(store, TopTrade, "symbol", merge)


def largest_prints(store: RankingStore, window: str, metric: str) -> RankedTable:
    """``largest_prints``, which has neither window nor metric."""

    def merge() -> Sequence[LargestPrint]:
        found = store.lists(PRINTS, decode_prints)
        return merge_prints((date, prints) for date, _, prints in found)

    return RankedTable(store, LargestPrint, "rank", merge)


RANKED_TABLES: Final[Mapping[str, Callable[[RankingStore, str, str], RankedTable]]] = {
    "top_trades": top_trades,
    "largest_prints": largest_prints,
}
"""Family -> the table of one of its feeds."""
