"""Facts for quote records from the rows of other streams: halts, best quotes.

Each processor follows the change streams of the shards that publish such rows, wherever
they are folded, and gives what they say to the shards that it owns: position, snapshot,
follow, like any other reader. A store that does not answer is asked again; meanwhile what
was learned stays.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Final

from tapewire.caches.cache import CacheError, Followed, Place, StoreLostWrites, WidgetCache
from tapewire.caches.following import START
from tapewire.model.changes import Published
from tapewire.model.rows import Fact, decode_best_quote, decode_halt_state
from tapewire.model.streams import Shard, Stream
from tapewire.runtime.together import until_one_ends

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""Time between two looks for new shards, and between two tries at a store that is away."""

DATES_KEPT: Final = 3

Read = Callable[[str, str, bytes], Fact]
"""Trading date, field of the hash, packed row -> the fact that it tells."""


def _halted(date: str, symbol: str, packed: bytes) -> Fact:
    return Fact(symbol, "halted", decode_halt_state(packed).halted, date)


def _best_quote(date: str, symbol: str, packed: bytes) -> Fact:
    return Fact(symbol, "best_quote", decode_best_quote(packed), date)


SOURCES: Final[Mapping[Stream, Mapping[str, Read]]] = {
    Stream.HALTS: {"halt_state": _halted},
    Stream.QUOTES: {"best_quote": _best_quote},
}
"""Stream -> family of its hashes (``halt_state:2026-11-20``) -> how to read a row."""


class FactFollower:
    """Every fact that was published, by date and symbol; passes on what changes.

    Args:
        cache: where the shards write; it belongs to the caller.
        learn: told facts as they come, many at once.
    """

    def __init__(self, cache: WidgetCache, learn: Callable[[Sequence[Fact]], None]) -> None:
        self._cache = cache
        self._learn = learn
        self._places: dict[str, Place] = {}
        self._known: dict[str, dict[tuple[str, str], Fact]] = {}
        self._moved = asyncio.Event()
        self.failures = 0

    def known(self) -> list[Fact]:
        """Every fact of the newest dates."""
        return [fact for facts in self._known.values() for fact in facts.values()]

    async def run(self) -> None:
        """Follow for ever, whatever the store does."""
        while True:
            try:
                await self._follow_on()
            except StoreLostWrites as error:
                _log.info("facts are read anew: %s", error)
                self._places = {}
            except CacheError as error:
                self.failures += 1
                _log.warning("facts of other streams are old: %s", error)
                await asyncio.sleep(LOOK_S)

    async def catch_up(self, timeout_s: float = 1.0) -> bool:
        """Wait until all that has been flushed by now was learned; False if it takes too long."""
        with suppress(TimeoutError, CacheError):
            async with asyncio.timeout(timeout_s):
                wanted = {shard: await self._place(shard) for shard in await self._sources()}
                while any(self._places.get(shard, START) < at for shard, at in wanted.items()):
                    await self._moved.wait()
                return True
        return False

    async def _place(self, shard: str) -> Place:
        return (await self._cache.snapshot(shard, {})).place or START

    async def _sources(self) -> list[str]:
        """Names of the shards that publish facts."""
        return [name for name in await self._cache.shards() if families_of(name)]

    async def _follow_on(self) -> None:
        """Read what was never read, then follow until there is a new shard."""
        for shard in await self._sources():
            if shard not in self._places:
                await self._read(shard)
        if not self._places:
            await asyncio.sleep(LOOK_S)
            return
        await until_one_ends(self._follow(), self._until_new())

    async def _until_new(self) -> None:
        while set(await self._sources()) == self._places.keys():  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_S)

    async def _follow(self) -> None:
        async with aclosing(self._cache.follow(self._places)) as batches:
            async for entries in batches:
                self._take(entries)

    async def _read(self, shard: str) -> None:
        """A shard's rows of the newest dates, with the place that they are of."""
        families = families_of(shard)
        names = [name for name in await self._cache.names(shard) if _family(name) in families]
        newest = sorted({_date(name) for name in names})[-DATES_KEPT:]
        wanted = {name: None for name in names if _date(name) in newest}
        snapshot = await self._cache.snapshot(shard, wanted)
        changes = Published(snapshot.rows, {}, {}, {}, [])
        self._take([Followed(shard, snapshot.place or START, changes)])

    def _take(self, entries: Iterable[Followed]) -> None:
        facts: list[Fact] = []
        for entry in entries:
            facts += facts_of(entry.shard, entry.changes)
            self._places[entry.shard] = entry.place
        for fact in facts:
            self._known.setdefault(fact.date, {})[fact.symbol, fact.field] = fact
        for past in sorted(self._known)[:-DATES_KEPT]:
            del self._known[past]
        if facts:
            self._learn(facts)
        self._moved.set()
        self._moved = asyncio.Event()


def families_of(shard: str) -> Mapping[str, Read]:
    """Families of a shard's hashes that tell facts, and how to read them."""
    return SOURCES.get(Shard.parse(shard).stream, {})


def facts_of(shard: str, changes: Published) -> list[Fact]:
    """What one flush of a shard tells."""
    families = families_of(shard)
    return [
        read(_date(name), symbol, packed)
        for name, rows in changes.rows.items()
        if (read := families.get(_family(name)))
        for symbol, packed in rows.items()
    ]


def _family(name: str) -> str:
    return name.partition(":")[0]


def _date(name: str) -> str:
    return name.rpartition(":")[2]
