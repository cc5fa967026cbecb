"""What feeds the hub: the change streams of every shard, candles and items on demand.

Position, snapshot, follow: each shard's rows are read together with its place, and its
change stream is followed from there. A store that does not answer is asked again and the
following goes on where it was; one that lost writes is read anew.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from tapewire.caches.cache import (
    CacheError,
    CacheUnavailable,
    Followed,
    Items,
    Place,
    StoreLostWrites,
    WidgetCache,
)
from tapewire.caches.candles import by_symbol
from tapewire.caches.decoding import UNDECODABLE
from tapewire.caches.following import START
from tapewire.hub.candles import CandleTable
from tapewire.hub.events import EventLog
from tapewire.hub.feeds import ANY
from tapewire.hub.market import SHOWN_LOSSES, CandlesFound, ItemsFound
from tapewire.hub.market import Market as Tables
from tapewire.market.symbols import market_of_symbol
from tapewire.model.candle_names import (
    INTERVALS,
    SECONDS_KEPT_MS,
    CandleHash,
    SecondsHash,
    is_candles,
    is_seconds,
    midnight_ms,
    seconds_hash,
)
from tapewire.model.changes import BoardChange, Published
from tapewire.model.feeds import BOARDS
from tapewire.model.markets import Market, market_of_shard
from tapewire.runtime.logging import get_logger
from tapewire.runtime.together import until_one_ends

log = get_logger(__name__)

LOOK_S: Final = 0.5
"""Time between two looks for new shards, and between two tries at a store that is away."""

RETURN_S: Final = 0.05
"""Time between two looks at a store without rows: what was shown is old meanwhile."""

PATIENCE_S: Final = 3.0
"""How long all shards of a store that lost writes may take to come back together."""

HASHES_AT_ONCE: Final = 20
"""Candle hashes in one answer, so that reading a whole market never holds the loop long."""

MOST_SLOTS: Final = 200
"""Ten-second slots remembered before those are forgotten that are no longer shown."""


class WidgetSource:
    """Keeps a market fed from the Widget Data Cache.

    Args:
        cache: where the shards write; it belongs to the caller.
        market: told every change.
        monotonic_s: a clock that only goes forward.
    """

    def __init__(
        self, cache: WidgetCache, market: Tables, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache = cache
        self._market = market
        self._monotonic_s = monotonic_s
        self._places: dict[str, Place] = {}
        self._dates: set[str] = set()
        self._slots: dict[str, set[int]] = {}
        self._generation = 0
        self._wanted = asyncio.Event()
        self._missing: set[str] = set()
        self._missing_until_s = 0.0
        self.away = "nothing has been read yet"
        """Why the rows may be old; empty while the streams are followed."""

        self.rows_at_s: dict[Market, float] = {}
        """When a flush last brought rows of a market (of ``monotonic_s``)."""

        self.resets = 0
        self.failures = 0

    @property
    def shards(self) -> Mapping[str, Place]:
        """Shards and the places up to which the market has them."""
        return self._places

    async def run(self) -> None:
        """Feed the market for ever, whatever the store does."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_forever(), name="change streams")
            group.create_task(self._load_forever(), name="candles")

    def want(self) -> None:
        """Somebody asked for candles or items that may have to be read."""
        if self._market.wanted():
            self._wanted.set()

    async def _follow_forever(self) -> None:
        while True:
            try:
                await self._follow_on()
            except StoreLostWrites as error:
                self._lose("the widget data cache lost data and is being read again", error)
                self._missing |= self._places.keys()
                self._missing_until_s = self._monotonic_s() + PATIENCE_S
                self._places = {}
            except CacheUnavailable as error:
                self._lose("the widget data cache does not answer", error)
                await asyncio.sleep(LOOK_S)
            except CacheError as error:
                self._lose("the widget data cache refused to answer", error)
                await asyncio.sleep(LOOK_S)
            except UNDECODABLE as error:
                self._lose("what the widget data cache holds cannot be read", error)
                self._places = {}  # rows are read anew: the stream may hold what nobody can read
                await asyncio.sleep(LOOK_S)

    def _lose(self, why: str, error: Exception) -> None:
        self.failures += 1
        if self.away != why:
            log.warning("feeds are stale", reason=why, cause=str(error))
        self.away = why

    async def _follow_on(self) -> None:
        """Read what was never read, then follow until there is a new shard."""
        await self._read_new_shards()
        if not self._places:
            await asyncio.sleep(RETURN_S)
            return
        await until_one_ends(self._follow(), self._until_new_shards())

    async def _follow(self) -> None:
        async with aclosing(self._cache.follow(self._places)) as batches:
            async for entries in batches:
                self._take(entries)
                at_s = self._monotonic_s()
                with_rows = (entry.shard for entry in entries if entry.changes.rows)
                self.rows_at_s.update((market_of_shard(shard), at_s) for shard in with_rows)

    async def _until_new_shards(self) -> None:
        while not await self._new_shards():
            self.away = ""
            self.want()
            await asyncio.sleep(LOOK_S)

    async def _new_shards(self) -> list[str]:
        """Shards that hold something and are not followed yet.

        Raises StoreLostWrites when one that is followed is no longer on the list.
        """
        listed = await self._cache.shards()
        if gone := sorted(self._places.keys() - set(listed)):
            raise StoreLostWrites(f"no longer in the store: {', '.join(gone)}")
        new = [shard for shard in listed if shard not in self._places]
        return [shard for shard in new if await self._cache.names(shard)]

    async def _read_new_shards(self) -> None:
        """Read new shards; after a loss wait a while until all are back, then read them at once."""
        new = await self._new_shards()
        if not self._places:
            if self._missing - set(new) and self._monotonic_s() < self._missing_until_s:
                return
            self._missing.clear()
        if not new:
            if not self._places:
                self._market.open()
                self.away = "the widget data cache is empty"
            return
        read = [await self._read(shard) for shard in new]
        if not self._places:
            self.resets += 1
            self._market.reset()
        self._generation += 1
        for table in self._market.on_demand:
            table.unload()
        self._take(read)
        self._market.open()
        self._wanted.set()
        self.away = ""

    def _take(self, entries: Sequence[Followed]) -> None:
        self._market.take(entries)
        for entry in entries:
            self._places[entry.shard] = entry.place
            self._note(entry.changes.rows)

    def _note(self, names: Iterable[str]) -> None:
        """Remember dates and ten-second slots of which there is something to read."""
        for name in names:
            if is_seconds(name):
                slot = self._market.decoding.name(SecondsHash.parse, name)
                if slot is not None:
                    self._slots.setdefault(slot.exchange, set()).add(slot.slot_ms)
            elif _is_dated(name):
                self._dates.add(_date(name))
        for exchange, slots in self._slots.items():
            if len(slots) > MOST_SLOTS:
                oldest = max(slots) - SECONDS_KEPT_MS
                self._slots[exchange] = {slot for slot in slots if slot >= oldest}

    async def _read(self, shard: str) -> Followed:
        """A shard's rows, boards and gaps as if one flush had brought them all."""
        listed = await self._cache.names(shard)
        while True:
            names = listed
            hashes = {name: None for name in names if _family(name) in self._market.kept}
            boards = [name for name in names if _family(name) in BOARDS]
            snapshot = await self._cache.snapshot(shard, hashes, boards)
            listed = await self._cache.names(shard)
            if not any(map(self._is_read_first, {*listed} ^ {*names})):
                break
        gaps = (await self._cache.gaps(shard))[-SHOWN_LOSSES:]
        self._note(listed)
        changes = Published(
            snapshot.rows,
            {},
            {name: BoardChange(scores) for name, scores in snapshot.boards.items()},
            {},
            gaps,
        )
        return Followed(shard, snapshot.place or START, changes)

    def _is_read_first(self, name: str) -> bool:
        return _family(name) in self._market.kept or _family(name) in BOARDS

    async def _load_forever(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for table in self._market.wanted():
                try:
                    await self._load(table)
                except (CacheError, *UNDECODABLE) as error:
                    log.warning("candles or items could not be read", cause=str(error))
                    await asyncio.sleep(LOOK_S)
                    self._wanted.set()

    async def _load(self, table: CandleTable | EventLog) -> None:
        """Read one table; dropped when everything was read anew meanwhile."""
        generation = self._generation
        found: CandlesFound | ItemsFound
        if isinstance(table, EventLog):
            places, found = await self._load_items(table)
        else:
            places, found = await self._load_candles(table)
        if generation == self._generation:
            self._market.load(table, places, found)
        else:
            self._wanted.set()

    async def _load_items(self, table: EventLog) -> tuple[dict[str, Place], ItemsFound]:
        """Each shard's list with the place as of which it was read."""
        places: dict[str, Place] = {}
        found: dict[str, Items] = {}
        for shard in list(self._places):
            snapshot = await self._cache.snapshot(shard, {}, (), (table.name,))
            places[shard] = snapshot.place or START
            found[shard] = snapshot.items[table.name]
        return places, found

    async def _load_candles(self, table: CandleTable) -> tuple[dict[str, Place], CandlesFound]:
        places: dict[str, Place] = {}
        found: list[tuple[CandleHash, Mapping[str, bytes]]] = []
        for shard in list(self._places):
            place = await self._load_shard(table, shard, found)
            places[shard] = place or START
        return places, found

    async def _load_shard(
        self, table: CandleTable, shard: str, found: list[tuple[CandleHash, Mapping[str, bytes]]]
    ) -> Place | None:
        """Read a table's hashes; the place is the one before the first of them was read."""
        first: Place | None = None
        wanted = list((await self._candle_hashes(table, shard)).items())
        seconds: list[tuple[int, Mapping[str, bytes]]] = []
        for at in range(0, max(len(wanted), 1), HASHES_AT_ONCE):
            part = dict(wanted[at : at + HASHES_AT_ONCE])
            snapshot = await self._cache.snapshot(shard, part)
            first = snapshot.place if at == 0 else first
            for name, rows in snapshot.rows.items():
                if is_seconds(name):
                    seconds.append((SecondsHash.parse(name).slot_ms, rows))
                elif rows:
                    found.append(self._chosen(table, CandleHash.parse(name), rows))
        for symbol, slots in by_symbol(seconds).items():
            of_symbol = CandleHash.of(market_of_shard(shard).exchange, symbol, "1s")
            found.append(self._chosen(table, of_symbol, slots))
        return first

    def _chosen(
        self, table: CandleTable, name: CandleHash, rows: Mapping[str, bytes]
    ) -> tuple[CandleHash, Mapping[str, bytes]]:
        """All candles; where each row is the newest one, that one (of seconds, the last few)."""
        if not table.is_newest_only:
            return name, rows
        return name, self._market.decoding.newest(name, rows)

    async def _candle_hashes(
        self, table: CandleTable, shard: str
    ) -> dict[str, Sequence[str] | None]:
        """Hashes and fields: of every kept day for a symbol, of the last one for all.

        None where the shard is of another market than the symbol.
        """
        exchange = market_of_shard(shard).exchange
        if table.symbol != ANY and market_of_symbol(table.symbol).exchange != exchange:
            return {}
        intervals = INTERVALS if table.interval == ANY else (table.interval,)
        symbols = None if table.symbol == ANY else [table.symbol]
        wanted: dict[str, Sequence[str] | None] = {}
        if "1s" in intervals:
            slots = sorted(self._slots.get(exchange, ()))
            wanted.update((seconds_hash(exchange, slot), symbols) for slot in slots)
        longer = [interval for interval in intervals if interval != "1s"]
        if symbols is not None:
            for date in sorted(self._dates):
                for interval in longer:
                    names = CandleHash.of(exchange, table.symbol, interval, date).hashes()
                    wanted.update(dict.fromkeys(names))
        elif longer:
            named = filter(is_candles, await self._cache.names(shard))
            parsed = {name: self._market.decoding.name(_block, name) for name in named}
            wanted.update(dict.fromkeys(_newest(parsed, longer)))
        return wanted


def _block(name: str) -> tuple[CandleHash, int]:
    """Which candles a hash holds, and which block of them; ValueError for another's name."""
    found = CandleHash.parse(name)
    midnight_ms(found.date)
    return found, int(name.rpartition(":")[2].partition(".")[2] or 0)


def _newest(
    parsed: Mapping[str, tuple[CandleHash, int] | None], intervals: Collection[str]
) -> list[str]:
    """Each symbol's hash with the newest candles of these intervals, of the last date."""
    newest: dict[CandleHash, tuple[int, str]] = {}
    for name, found in parsed.items():
        if found is None:
            continue
        place, block = found
        if place.interval in intervals and (block, name) > newest.get(place, (-1, "")):
            newest[place] = block, name
    last = max((place.date for place in newest), default="")
    return [name for place, (_, name) in newest.items() if place.date == last]


def _family(name: str) -> str:
    return name.partition(":")[0]


def _date(name: str) -> str:
    return name.rpartition(":")[2].partition(".")[0]


def _is_dated(name: str) -> bool:
    """Whether it is a hash whose name ends in a trading date that may have candles."""
    return _family(name) in ("quote", "candles")
