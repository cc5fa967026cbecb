"""The Widget Data Cache in memory: the same contract, for one process and for tests."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct, field

from tapewire.caches.cache import (
    Claim,
    Followed,
    Item,
    Items,
    Place,
    Snapshot,
    Wanted,
    settled,
)
from tapewire.caches.connection import unix_ms
from tapewire.caches.following import START, check_predecessor, check_stored, continues
from tapewire.caches.keys import WidgetDataCacheBounds as Bounds
from tapewire.caches.keys import WidgetDataCacheKeys, WidgetDataCacheTTL
from tapewire.caches.lives import touched
from tapewire.caches.widget_cache import Outcome, judge, refuse_reserved
from tapewire.model.changes import Changes, decode_published, encode_published, is_outdated
from tapewire.model.events import Gap
from tapewire.model.feeds import max_items

V = TypeVar("V")


class MemoryShard(Struct):
    """Everything stored of one shard. ``expires_ms``: name -> when it is forgotten."""

    place: Place | None = None
    positions: dict[str, bytes] = field(default_factory=dict)
    hashes: dict[str, dict[str, bytes]] = field(default_factory=dict)
    boards: dict[str, dict[str, float]] = field(default_factory=dict)
    items: dict[str, deque[tuple[int, bytes]]] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    gaps: deque[Gap] = field(default_factory=lambda: deque(maxlen=Bounds.GAPS))
    changes: deque[tuple[Place, bytes]] = field(
        default_factory=lambda: deque(maxlen=Bounds.CHANGES)
    )
    expires_ms: dict[str, int] = field(default_factory=dict)

    def write(self, changes: Changes) -> None:
        """Apply one flush's changes."""
        for name, rows in changes.rows.items():
            self.hashes.setdefault(name, {}).update(rows)
        for name, rows in changes.private.items():
            self.hashes.setdefault(WidgetDataCacheKeys.PRIVATE + name, {}).update(rows)
        for name, gone in changes.removed.items():
            remove(self.hashes, name, gone)
        for name, board in changes.boards.items():
            self.boards.setdefault(name, {}).update(board.put)
            remove(self.boards, name, board.removed)
        self.gaps.extend(changes.gaps)
        for name, items in changes.items.items():
            self._append(name, items)
        outdated = changes.outdated
        names = (*self.hashes, *self.boards) if outdated else ()
        old = [name for name in names if is_outdated(name, outdated)]
        for name in (*changes.dropped, *old):
            self.expires_ms.pop(name, None)
            self._forget(name)

    def _append(self, name: str, items: Iterable[bytes]) -> None:
        kept = self.items.setdefault(name, deque(maxlen=max_items(name)))
        for item in items:
            self.sequences[name] = self.sequences.get(name, 0) + 1
            kept.append((self.sequences[name], item))

    def expire(self, now_ms: int) -> None:
        """Forget what nobody touched for its TTL."""
        for name in [name for name, at in self.expires_ms.items() if at <= now_ms]:
            del self.expires_ms[name]
            self._forget(name)

    def _forget(self, name: str) -> None:
        if name == "place":
            self.place = None
        elif name in WidgetDataCacheKeys.RESERVED - {"names"}:
            getattr(self, name).clear()
        for kept in (self.hashes, self.boards, self.items):
            kept.pop(name, None)


def remove(hashes: dict[str, dict[str, V]], name: str, gone: Iterable[str]) -> None:
    """Take fields out; an emptied hash is gone, as in Redis."""
    values = hashes.get(name, {})
    for key in gone:
        values.pop(key, None)
    if not values:
        hashes.pop(name, None)


class MemoryWidgetCache:
    """WidgetCache in one process; followers wake as soon as something is flushed.

    Args:
        now_ms: wall clock, for owners and TTLs.
    """

    def __init__(self, *, now_ms: Callable[[], int] = unix_ms) -> None:
        self._now_ms = now_ms
        self._shards: dict[str, MemoryShard] = {}
        self._flushed = asyncio.Event()

    def _shard(self, name: str) -> MemoryShard:
        shard = self._shards.setdefault(name, MemoryShard())
        shard.expire(self._now_ms())
        return shard

    async def close(self) -> None:
        """Nothing to close."""

    async def claim(self, shard: str) -> Claim:
        """Become the owner."""
        stored = self._shard(shard)
        newest = max((place for place, _ in stored.changes), default=START)
        last = max(stored.place or START, newest)
        stored.place = Place(max(last.owner + 1, self._now_ms()), 0)
        self._keep(stored, ["place"])
        return Claim(stored.place, dict(stored.positions))

    async def flush(
        self, shard: str, expected: Place, positions: Mapping[str, bytes], changes: Changes
    ) -> Place:
        """Write one flush, with the outcomes of ``lua/flush.lua``."""
        refuse_reserved(changes)
        stored, changes = self._shard(shard), settled(changes)
        outcome = compare(stored.place, expected)
        judge(outcome, shard, expected, str(stored.place or ""))
        if outcome is Outcome.WRITTEN:
            stored.place = expected.next
            stored.changes.append((expected.next, encode_published(changes)))
            stored.positions.update(positions)
            stored.write(changes)
            self._keep(stored, touched(changes))
            self._flushed.set()
            self._flushed = asyncio.Event()
        return expected.next

    def _keep(self, stored: MemoryShard, names: Iterable[str]) -> None:
        now_ms = self._now_ms()
        for name in names:
            stored.expires_ms[name] = now_ms + WidgetDataCacheTTL.of(name) * 1000

    async def fetch(self, shard: str, hashes: Wanted) -> dict[str, dict[str, bytes]]:
        """Copies of hashes, whole or these fields."""
        stored = self._shard(shard).hashes
        return {name: part(stored.get(name, {}), fields) for name, fields in hashes.items()}

    async def snapshot(
        self, shard: str, hashes: Wanted, boards: Sequence[str] = (), feeds: Sequence[str] = ()
    ) -> Snapshot:
        """Place and copies of rows and items."""
        stored = self._shard(shard)
        found = {name: dict(stored.boards.get(name, {})) for name in boards}
        items = {
            name: Items(
                stored.sequences.get(name, 0), [Item(*item) for item in stored.items.get(name, ())]
            )
            for name in feeds
        }
        return Snapshot(stored.place, await self.fetch(shard, hashes), found, items)

    async def follow(self, places: Mapping[str, Place]) -> AsyncGenerator[Sequence[Followed], None]:
        """Follow change streams."""
        if not places:
            raise ValueError("follow needs at least one shard's place; got none")
        at = dict(places)
        while True:
            flushed = self._flushed
            entries = [entry for shard in at for entry in self._after(shard, at)]
            check_stored(at, {shard: self._shard(shard).place for shard in at})
            if entries:
                yield entries
            else:
                await flushed.wait()

    def _after(self, shard: str, at: dict[str, Place]) -> list[Followed]:
        entries: list[Followed] = []
        before: Place | None = None
        for place, packed in self._shard(shard).changes:
            if place > at[shard]:
                if not continues(at[shard], place):
                    check_predecessor(shard, at[shard], place, before)
                at[shard] = place
                entries.append(Followed(shard, place, decode_published(packed)))
            before = place
        return entries

    async def shards(self) -> list[str]:
        """Shards that were ever claimed here."""
        return sorted(name for name, shard in self._shards.items() if shard.place)

    async def names(self, shard: str) -> list[str]:
        """Names of hashes, boards and lists."""
        stored = self._shard(shard)
        return sorted({*stored.hashes, *stored.boards, *stored.items})

    async def gaps(self, shard: str) -> list[Gap]:
        """The shard's gaps, oldest first."""
        return list(dict.fromkeys(self._shard(shard).gaps))

    async def items(self, shard: str, feed: str, limit: int | None = None) -> list[Item]:
        """The newest items of an event feed."""
        kept = self._shard(shard).items.get(feed, ())
        return [Item(*item) for item in kept][-limit if limit else None :]


def compare(stored: Place | None, expected: Place) -> Outcome:
    """What ``lua/flush.lua`` decides before it writes."""
    if stored == expected:
        return Outcome.WRITTEN
    if stored == expected.next:
        return Outcome.DONE
    return Outcome.LOST if stored is None or stored < expected else Outcome.FENCED


def part(values: Mapping[str, bytes], fields: Sequence[str] | None) -> dict[str, bytes]:
    """A hash's copy, whole or these fields."""
    if fields is None:
        return dict(values)
    return {name: values[name] for name in fields if name in values}
