"""Items of event feeds as views show them: in order, each with its number.

Every shard numbers the items of a feed as it stores them, so a reader's **position** is the
last number of each shard that it has. On the wire that is ``(epoch, seq)``: ``seq`` is the
sum of the numbers, ``epoch`` says how they add up. Every service that follows the same store
understands both, so a client may go on anywhere.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from tapewire.caches.cache import Items, Place
from tapewire.caches.records import TIMES
from tapewire.hub.decoding import Decoding
from tapewire.hub.feeds import ANY
from tapewire.hub.loading import OnDemand
from tapewire.hub.tables import Row
from tapewire.model.feeds import Feed
from tapewire.model.messages import Since

Numbers = Mapping[str, int]
"""Shard -> the last number of it that a reader has."""

NOTHING: Final = "none"
"""The epoch of a feed without items."""


def epoch_of(numbers: Numbers) -> str:
    """``halts.0`` where one shard has items; else ``halts.0@12+halts.1@7``."""
    known = sorted((shard, number) for shard, number in numbers.items() if number)
    if len(known) <= 1:
        return known[0][0] if known else NOTHING
    return "+".join(f"{shard}@{number}" for shard, number in known)


def numbers_of(since: Since) -> dict[str, int] | None:
    """The position that a client names; None for what is none of ours."""
    epoch, seq = str(since.epoch), since.seq
    if epoch == NOTHING:
        return {} if seq == 0 else None
    if "@" not in epoch:
        return {epoch: seq} if seq >= 0 else None
    pairs = [part.rpartition("@") for part in epoch.split("+")]
    if not all(number.isdecimal() and len(number) < 16 for _, _, number in pairs):
        return None
    numbers = {shard: int(number) for shard, _, number in pairs}
    return numbers if sum(numbers.values()) == seq else None


class Entry(NamedTuple):
    """One item: which shard gave it which number, and its fields (none if it cannot be read)."""

    shard: str
    number: int
    item: Row


class EventLog(OnDemand[Sequence[bytes]]):
    """The newest items of ``halts`` or ``trades:AAPL``, in the order in which they came.

    Of a wildcard (``trades:*``) what came since somebody asked for it, numbered here: its
    lists are too many for one position. Bounded as the feed is in the store (drop_oldest).
    ``name`` is that of the list in the store. An item that does not decode keeps its number, so
    that it is missing instead of those after it being taken for others.
    """

    key = ""
    is_board = False

    def __init__(self, feed: Feed, name: str, decoding: Decoding) -> None:
        super().__init__()
        if feed.row is None:
            raise ValueError(f"event feed {feed.pattern!r} has no row in the feed table")
        own = feed.row.__struct_fields__
        self._is_named = "{symbol}" in feed.pattern and "symbol" not in own
        self.fields = ("symbol", *own) if self._is_named else own
        self.name = name
        self.is_wildcard = name.endswith(f":{ANY}")
        self.ready = self.is_wildcard
        self.generation = 0
        self.numbers: dict[str, int] = {}
        self.end = 0
        """The position after the newest item: the sum of all numbers given."""

        self._decode = decoding.rows(feed.family, feed.row)
        self._time = next((self.fields.index(name) for name in TIMES if name in own), None)
        self._symbol = self.fields.index("symbol") if "symbol" in self.fields else None
        self._entries: deque[Entry] = deque(maxlen=feed.max_items)

    @property
    def version(self) -> int:
        """Grows with every item."""
        return self.end

    @property
    def first(self) -> int:
        """The position before the oldest item that is kept."""
        return self.end - len(self._entries)

    def unload(self) -> None:
        """Wait for the store again; a wildcard has nothing to wait for."""
        if not self.is_wildcard:
            super().unload()

    def take(self, shard: str, name: str, value: Sequence[bytes]) -> None:
        """Take in items that a flush added to a list."""
        numbered = "" if self.is_wildcard else shard
        symbol = name.partition(":")[2]
        for packed in value:
            number = self.numbers.get(numbered, 0) + 1
            self.numbers[numbered] = number
            self._entries.append(Entry(numbered, number, self._item(packed, symbol)))
        self.end += len(value)

    def _item(self, packed: bytes, symbol: str) -> Row:
        fields = self._decode(packed)
        return (symbol, *fields) if self._is_named and fields else fields

    def load(self, places: Mapping[str, Place], found: Mapping[str, Items]) -> None:
        """Take in each shard's list, and its place when it was read.

        What is known already stays. Where numbers are missing between that and the list, all
        that was known goes, so that nobody takes what follows for its continuation; where
        numbers went back the feed begins anew. Nothing is taken in if too much came meanwhile.
        """
        if self.was_overrun():
            return
        if any(found.get(shard, _NO_ITEMS).last < last for shard, last in self.numbers.items()):
            self._begin_anew()
        new = list(self._new(found))
        last = {shard: items.last for shard, items in found.items() if items.last}
        if sum(last.values()) - self.end != len(new):
            self._entries.clear()
        self._entries.extend(new)
        self.numbers, self.end = last, sum(last.values())
        self.follow(places)

    def _begin_anew(self) -> None:
        self._entries.clear()
        self.numbers, self.end = {}, 0
        self.generation += 1

    def _new(self, found: Mapping[str, Items]) -> Iterator[Entry]:
        """Items with numbers that are not known yet, by (time, symbol, number)."""
        symbol = self.name.partition(":")[2]
        new: list[tuple[tuple[int, str, int, str], Entry]] = []
        for shard, items in found.items():
            known, at = self.numbers.get(shard, 0), (0, "")
            for number, packed in items.kept:
                if number > known:
                    item = self._item(packed, symbol)
                    at = self._place(item) if item else at
                    new.append(((*at, number, shard), Entry(shard, number, item)))
        return (entry for _, entry in sorted(new, key=lambda one: one[0]))

    def _place(self, item: Row) -> tuple[int, str]:
        """An item's time and symbol, by which items of several shards are ordered."""
        of = item[self._symbol] if self._symbol is not None else ""
        return (int(item[self._time]) if self._time is not None else 0), of

    def between(self, after: int, up_to: int) -> list[Entry]:
        """Items after one position up to another, oldest first, as far as they are kept.

        Those that cannot be read are among them; ``readable`` leaves them out.
        """
        start = max(after - self.first, 0)
        return list(islice(self._entries, start, max(up_to - self.first, 0)))


def readable(entries: Iterable[Entry]) -> list[Entry]:
    """Those whose fields are known."""
    return [entry for entry in entries if entry.item]


_NO_ITEMS: Final = Items(0, [])
