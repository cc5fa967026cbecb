"""The Widget Data Cache on Redis or Valkey: claims and fenced flushes as Lua scripts.

A flush sends its change stream entry once; the script (``lua/flush.lua``) reads the rows
out of that same entry, so nothing is packed or sent twice.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

import msgspec

from tapewire.caches.cache import (
    Claim,
    Fenced,
    Followed,
    Item,
    Items,
    Place,
    Snapshot,
    StoreLostWrites,
    Wanted,
    settled,
)
from tapewire.caches.connection import TIMEOUT_S, Command, Link, Script, unix_ms
from tapewire.caches.following import check_predecessor, check_stored, continues
from tapewire.caches.keys import WidgetDataCacheBounds as Bounds
from tapewire.caches.keys import WidgetDataCacheKeys, WidgetDataCacheTTL
from tapewire.caches.lives import Lives
from tapewire.model.changes import Changes, decode_published, encode_published
from tapewire.model.events import Gap
from tapewire.model.feeds import max_items

BLOCK_S: Final = 1.0
"""How long one XREAD waits before a follower looks at the places themselves."""

ENTRIES_AT_ONCE: Final = 10
"""Change stream entries of one shard per answer: bounds a reader's memory."""

SWEPT_AT_ONCE: Final = 500
"""Names that one flush looks at while outdated hashes are dropped: a few ms."""

FEW_FIELDS: Final = 16
LARGE_BYTES: Final = 4096
"""A private hash of no more fields and no fewer bytes is sent value by value."""

_encode = msgspec.msgpack.Encoder().encode
_decode_gap = msgspec.msgpack.Decoder(Gap).decode
_decode_number = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw]).decode


class Outcome(IntEnum):
    """What the flush script answers."""

    WRITTEN = 0
    DONE = 1
    FENCED = 2
    LOST = 3


class Sweep(msgspec.Struct):
    """The outdated keys of a shard are being dropped, some with each flush.

    One that its owner does not finish is finished when the next date begins.
    """

    first_kept: dict[str, str] = msgspec.field(default_factory=dict)
    cursor: str = "0"

    def extend(self, first_kept: Mapping[str, str]) -> None:
        """More is outdated: begin anew."""
        if first_kept:
            self.first_kept |= first_kept
            self.cursor = "0"

    def went_on(self, cursor: str) -> None:
        """A flush has swept up to here."""
        self.cursor = cursor
        if cursor == "0":
            self.first_kept = {}


class RedisWidgetCache:
    """WidgetCache on one server.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…?db=N``.
        now_ms: wall clock, for owners and TTLs.
        timeout_s: how long one answer may take before CacheUnavailable.
    """

    def __init__(
        self,
        url: str,
        *,
        now_ms: Callable[[], int] = unix_ms,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._link = Link(url, timeout_s=timeout_s)
        self._now_ms = now_ms
        self._claim, self._flush = Script("claim"), Script("flush")
        self._lives: dict[str, Lives] = {}
        self._sweeps: dict[str, Sweep] = {}

    async def close(self) -> None:
        """Close every connection."""
        await self._link.close()

    async def claim(self, shard: str) -> Claim:
        """Become the owner (``lua/claim.lua``), and put the shard on the list of shards."""
        keys = WidgetDataCacheKeys(shard)
        await self._link.run("SADD", keys.SHARDS, shard)
        place, positions = await self._link.script(
            self._claim,
            (keys.place, keys.changes, keys.positions),
            self._now_ms(),
            WidgetDataCacheTTL.of("place"),
        )
        self._lives[shard] = Lives(self._now_ms)
        self._sweeps.pop(shard, None)  # of an owner that may have stood on a later date
        stored = {producer.decode(): packed for producer, packed in pairs(positions)}
        return Claim(Place.parse(place.decode()), stored)

    async def flush(
        self, shard: str, expected: Place, positions: Mapping[str, bytes], changes: Changes
    ) -> Place:
        """Write one flush (``lua/flush.lua``)."""
        refuse_reserved(changes)
        changes = settled(changes)
        lives = self._lives.setdefault(shard, Lives(self._now_ms))
        due = lives.due(changes)
        sweep = self._sweeps.setdefault(shard, Sweep())
        sweep.extend(changes.outdated)
        outcome, found, *rest = await self._run_flush(
            shard, expected, positions, changes, due, sweep
        )
        judge(Outcome(outcome), shard, expected, found.decode())
        if rest:
            sweep.went_on(rest[0].decode())
        lives.refreshed(due, changes)
        return expected.next

    async def _run_flush(
        self,
        shard: str,
        expected: Place,
        positions: Mapping[str, bytes],
        changes: Changes,
        due: dict[str, int],
        sweep: Sweep,
    ) -> Any:
        keys = WidgetDataCacheKeys(shard)
        packed, places, values = separated(changes.private)
        return await self._link.script(
            self._flush,
            (keys.place, keys.changes, keys.positions, keys.gaps, keys.names, keys.sequences),
            str(expected),
            str(expected.next),
            keys.prefix,
            encode_published(changes),
            packed,
            _encode(positions),
            _encode(due),
            self._now_ms(),
            Bounds.CHANGES,
            Bounds.GAPS,
            _encode({name: max_items(name) for name in changes.items}),
            _encode(changes.dropped),
            _encode(sweep.first_kept),
            sweep.cursor,
            SWEPT_AT_ONCE,
            places,
            *values,
        )

    async def fetch(self, shard: str, hashes: Wanted) -> dict[str, dict[str, bytes]]:
        """Read hashes in one round trip."""
        if not hashes:
            return {}
        keys = WidgetDataCacheKeys(shard)
        reads = [read_hash(keys.of(name), fields) for name, fields in hashes.items()]
        return hashes_of(hashes, await self._link.together(reads, atomic=False))

    async def snapshot(
        self, shard: str, hashes: Wanted, boards: Sequence[str] = (), feeds: Sequence[str] = ()
    ) -> Snapshot:
        """Place, hashes, boards and items in one MULTI."""
        keys = WidgetDataCacheKeys(shard)
        commands: list[Command] = [("GET", keys.place)]
        commands += [read_hash(keys.of(name), fields) for name, fields in hashes.items()]
        commands += [("ZRANGE", keys.of(name), 0, -1, "WITHSCORES") for name in boards]
        commands += [("LRANGE", keys.of(name), 0, -1) for name in feeds]
        commands.append(("HMGET", keys.sequences, *(feeds or ("",))))
        place, *answers, numbers = await self._link.together(commands, atomic=True)
        scored = answers[len(hashes) : len(hashes) + len(boards)]
        found = {
            name: {member.decode(): float(score) for member, score in pairs(scores)}
            for name, scores in zip(boards, scored, strict=True)
        }
        rows = hashes_of(hashes, answers[: len(hashes)])
        lists = zip(feeds, answers[len(hashes) + len(boards) :], numbers, strict=False)
        items = {
            name: Items(int(last or 0), [_decode_item(item) for item in kept])
            for name, kept, last in lists
        }
        return Snapshot(Place.parse(place.decode()) if place else None, rows, found, items)

    async def follow(self, places: Mapping[str, Place]) -> AsyncGenerator[Sequence[Followed], None]:
        """Follow change streams on a connection of its own."""
        if not places:
            raise ValueError("follow needs at least one shard's place; got none")
        reader = ChangeStreams(self._link.url, places, self._link.timeout_s)
        try:
            while True:
                entries = await reader.read()
                if entries:
                    yield entries
        finally:
            await reader.close()

    async def shards(self) -> list[str]:
        """Shards that were ever claimed here."""
        found = await self._link.run("SMEMBERS", WidgetDataCacheKeys.SHARDS)
        return sorted(name.decode() for name in found)

    async def names(self, shard: str) -> list[str]:
        """Names of the shard's hashes, boards and lists that have not expired."""
        key = WidgetDataCacheKeys(shard).names
        found = await self._link.run("ZRANGEBYSCORE", key, self._now_ms(), "+inf")
        return sorted(name.decode() for name in found)

    async def gaps(self, shard: str) -> list[Gap]:
        """The shard's gaps, oldest first."""
        packed = await self._link.run("LRANGE", WidgetDataCacheKeys(shard).gaps, 0, -1)
        return list(dict.fromkeys(map(_decode_gap, packed)))

    async def items(self, shard: str, feed: str, limit: int | None = None) -> list[Item]:
        """The newest items of an event feed."""
        key, first = WidgetDataCacheKeys(shard).of(feed), -limit if limit else 0
        return [_decode_item(item) for item in await self._link.run("LRANGE", key, first, -1)]


class ChangeStreams:
    """One reader of many shards' change streams."""

    def __init__(self, url: str, places: Mapping[str, Place], timeout_s: float) -> None:
        self._link = Link(url, timeout_s=timeout_s + BLOCK_S)
        self._at = dict(places)
        self._shards = {WidgetDataCacheKeys(shard).changes: shard for shard in places}
        self._command = ("XREAD", "COUNT", ENTRIES_AT_ONCE, "BLOCK", int(BLOCK_S * 1000), "STREAMS")
        self._check_s = 0.0

    async def read(self) -> list[Followed]:
        """The next entries of all shards; none when nothing came within ``BLOCK_S``."""
        after = [str(self._at[shard]) for shard in self._shards.values()]
        answer = await self._link.run(*self._command, *self._shards, *after)
        entries: list[Followed] = []
        for key, found in answer or ():
            entries += await self._take(self._shards[key.decode()], found)
        await self._check_places()
        return entries

    async def _take(self, shard: str, found: Sequence[Any]) -> list[Followed]:
        entries = []
        for entry_id, fields in found:
            place = Place.parse(entry_id.decode())
            if not continues(self._at[shard], place):
                before = await self._before(shard, place)
                check_predecessor(shard, self._at[shard], place, before)
            self._at[shard] = place
            entries.append(Followed(shard, place, decode_published(fields[b"changes"])))
        return entries

    async def _before(self, shard: str, place: Place) -> Place | None:
        key = WidgetDataCacheKeys(shard).changes
        found = await self._link.run("XREVRANGE", key, f"({place}", "-", "COUNT", 1)
        return Place.parse(found[0][0].decode()) if found else None

    async def _check_places(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._check_s:
            return
        self._check_s = now_s + BLOCK_S
        keys = [WidgetDataCacheKeys(shard).place for shard in self._at]
        stored = await self._link.run("MGET", *keys)
        places = [Place.parse(place.decode()) if place else None for place in stored]
        check_stored(self._at, dict(zip(self._at, places, strict=True)))

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()


def _decode_item(stored: bytes) -> Item:
    """An item as ``lua/flush.lua`` stores it: MessagePack ``[sequence, item]``."""
    sequence, packed = _decode_number(stored)
    return Item(sequence, bytes(packed))


def separated(private: Mapping[str, Mapping[str, bytes]]) -> tuple[bytes, bytes, list[bytes]]:
    """Private hashes as ``lua/flush.lua`` takes them: together, and those of large values apart.

    Returns the first packed, then hash and field of each large value, packed, and these values.
    """
    together: dict[str, Mapping[str, bytes]] = {}
    places: list[str] = []
    values: list[bytes] = []
    for name, fields in private.items():
        if len(fields) > FEW_FIELDS or sum(map(len, fields.values())) < LARGE_BYTES:
            together[name] = fields
            continue
        for field, value in fields.items():
            places += (name, field)
            values.append(value)
    return _encode(together), _encode(places), values


def refuse_reserved(changes: Changes) -> None:
    """Raise ValueError where a flush would overwrite the cache's own keys."""
    for names in (changes.rows, changes.removed, changes.boards, changes.items):
        for name in WidgetDataCacheKeys.RESERVED.intersection(names):
            raise ValueError(f"{name!r} is the cache's own; give the hash or feed another name")


def judge(outcome: Outcome, shard: str, expected: Place, found: str) -> None:
    """Raise what the flush script's outcome means, if it was not written."""
    if outcome is Outcome.FENCED:
        raise Fenced(
            f"shard {shard}: we are at {expected}, the store at {found}: a newer owner "
            "holds the shard; drop its memory and close the channel"
        )
    if outcome is Outcome.LOST:
        raise StoreLostWrites(
            f"shard {shard}: we are at {expected}, the store at {found or 'nothing'}: it lost "
            "writes; claim again and write every row"
        )


def pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Go through a flat answer (key, value, key, value) two by two."""
    values = iter(flat)
    return zip(values, values, strict=True)


def read_hash(key: str, fields: Sequence[str] | None) -> Command:
    """The command that reads a whole hash, or these fields."""
    return ("HGETALL", key) if fields is None else ("HMGET", key, *(fields or ("",)))


def hashes_of(hashes: Wanted, answers: Sequence[Any]) -> dict[str, dict[str, bytes]]:
    """Name the answers of ``read_hash``; what is absent stays out."""
    found: dict[str, dict[str, bytes]] = {}
    for (name, fields), answer in zip(hashes.items(), answers, strict=True):
        if fields is None:
            found[name] = {field.decode(): value for field, value in answer.items()}
        else:
            values = zip(fields, answer, strict=False)
            found[name] = {field: value for field, value in values if value is not None}
    return found
