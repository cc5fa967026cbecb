"""Follows the shards of ticks and writes their minutes to the earlier tick engine's keys.

``COMPAT_KEYS=on``. One at a time does it, by lease; the others stand by. It reads what
processors have flushed, like any other follower, so no flush ever waits for it. First come all
minutes of the newest trading date, then every change.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Any, Final

from tapewire.caches.cache import CacheError, Followed, Place, StoreLostWrites, WidgetCache
from tapewire.caches.connection import Command, Link, unix_ms
from tapewire.caches.decoding import UNDECODABLE
from tapewire.caches.following import START
from tapewire.caches.keys import EarlierEngineKeys
from tapewire.model.candle_names import CandleHash
from tapewire.model.markets import INDIA, market_of_shard
from tapewire.model.rows import Candle
from tapewire.runtime.lease import Lease, Renewal
from tapewire.runtime.logging import get_logger
from tapewire.runtime.service import Report, State
from tapewire.runtime.together import until_one_ends
from tapewire.sinks.compat_keys import CompatKeys, minutes_in

log = get_logger(__name__)

LOOK_S: Final = 0.5
"""Between two looks for new shards, and between two tries at a server that is away."""

WRITE_S: Final = 0.05
KEYS_AT_ONCE: Final = 1_000
HASHES_AT_ONCE: Final = 100

MOST_WAITING: Final = 200_000
"""Keys that wait to be written; who follows waits when there are more (block)."""


class CompatKeyService:
    """A service that keeps the compatible keys up to date.

    Args:
        cache: where shards write; it belongs to the caller, as does the next one.
        link: the server to write to.
        lease: whose holder writes.
        lease_ttl_s: how long it lasts without a renewal.
    """

    name = "sinks"

    def __init__(
        self,
        cache: WidgetCache,
        link: Link,
        lease: Lease,
        *,
        instance: str = "0",
        lease_ttl_s: float = 15.0,
        now_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._cache = cache
        self._link = link
        self._lease = lease
        self._instance = instance
        self._ask_s = lease_ttl_s / 3
        self._since_ms = now_ms()
        self._keys = CompatKeys()
        self._places: dict[str, Place] = {}
        self._unread: deque[tuple[str, str]] = deque()
        self._touched: set[tuple[str, str, str]] = set()
        self._waiting: dict[str, bytes] = {}
        self._state = State.STARTING
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None
        self.counts: Counter[str] = Counter()

    async def start(self) -> None:
        """Begin; the lease and the store may come later."""
        self._task = asyncio.create_task(self._run(), name="compatible keys")

    async def wait(self) -> None:
        """Return never by itself."""
        assert self._task is not None
        await self._task

    async def drain(self) -> None:
        """Let another one write."""
        self._state = State.DRAINING
        await self.stop()

    async def stop(self) -> None:
        """Write no more, and give the lease back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._lease.release()
            self._task = None
        self._state = State.STOPPED

    async def _run(self) -> None:
        while True:
            if await self._acquired():
                self._state = State.RUNNING
                await self._while_held()
            self._state = State.STAND_BY
            await asyncio.sleep(self._ask_s)

    async def _acquired(self) -> bool:
        try:
            return await self._lease.acquire() is not None
        except CacheError as error:
            self._failed(error)
            return False

    async def _while_held(self) -> None:
        """Work until the lease is refused; then whatever was known may be old."""
        self._begin_anew()
        await until_one_ends(
            self._hold(), self._follow_forever(), self._read_forever(), self._write_forever()
        )

    def _begin_anew(self) -> None:
        self._places = {}
        self._unread.clear()
        self._touched.clear()
        self._waiting.clear()

    async def _hold(self) -> None:
        """Return when the lease was refused; an unanswered renewal stops nobody."""
        while True:
            await asyncio.sleep(self._ask_s)
            if await self._lease.renew() is Renewal.REFUSED:
                log.warning("another one writes the compatible keys now")
                return

    # What is flushed

    async def _follow_forever(self) -> None:
        while True:
            try:
                await self._follow_on()
            except StoreLostWrites as error:
                self._failed(error)
                self._places, self._keys = {}, CompatKeys()  # time may have gone back
            except CacheError as error:
                self._failed(error)
                await asyncio.sleep(LOOK_S)

    async def _follow_on(self) -> None:
        """Follow the shards of ticks until there is a new one."""
        for shard in await self._new_shards():
            await self._enter(shard)
        self._trouble = ""
        if not self._places:
            await asyncio.sleep(LOOK_S)
            return
        await until_one_ends(self._follow(), self._until_new())

    async def _new_shards(self) -> list[str]:
        listed = [one for one in await self._cache.shards() if market_of_shard(one) == INDIA]
        return [shard for shard in listed if shard not in self._places]

    async def _until_new(self) -> None:
        while not await self._new_shards():  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_S)

    async def _enter(self, shard: str) -> None:
        """Follow a shard from now on; what it holds is to be read meanwhile."""
        place = (await self._cache.snapshot(shard, {})).place or START
        minutes = self._minutes(await self._cache.names(shard))
        newest = max((found.date for found in minutes.values()), default="")
        self._unread.extend((shard, name) for name, one in minutes.items() if one.date == newest)
        self._places[shard] = place

    def _minutes(self, names: Sequence[str]) -> dict[str, CandleHash]:
        """The hashes with Indian minutes; names of another layout are counted."""
        found: dict[str, CandleHash] = {}
        for name in names:
            try:
                one = minutes_in(name)
            except ValueError:
                self.counts["undecodable"] += 1
                continue
            if one is not None:
                found[name] = one
        return found

    async def _follow(self) -> None:
        async with aclosing(self._cache.follow(self._places)) as batches:
            async for entries in batches:
                self._trouble = ""
                for entry in entries:
                    self._take(entry)
                while len(self._waiting) > MOST_WAITING:  # noqa: ASYNC110 - the writer makes room
                    await asyncio.sleep(WRITE_S)

    def _take(self, entry: Followed) -> None:
        rows = entry.changes.rows
        for name, found in self._minutes(list(rows)).items():
            if self._unread:
                self._touched.update((entry.shard, name, field) for field in rows[name])
            self._put(found, rows[name])
        self._places[entry.shard] = entry.place

    def _put(self, name: CandleHash, rows: Mapping[str, bytes]) -> None:
        """Have candles written; those that cannot be read are counted."""
        candles: list[Candle] = []
        for field, packed in rows.items():
            try:
                candles += name.candles({field: packed})
            except UNDECODABLE:
                self.counts["undecodable"] += 1
        candles.sort(key=lambda one: one.start_ms)
        for key, value in self._keys.of(name.symbol, candles).items():
            self._waiting.pop(key, None)  # it goes to the end: keys are written in this order
            self._waiting[key] = value

    # What was there before

    async def _read_forever(self) -> None:
        while True:
            if self._unread and len(self._waiting) < MOST_WAITING:
                await self._read_some()
            else:
                await asyncio.sleep(WRITE_S)

    async def _read_some(self) -> None:
        """Read some hashes; what the changes brought since they were listed is newer."""
        shard = self._unread[0][0]
        some = [name for of, name in islice(self._unread, HASHES_AT_ONCE) if of == shard]
        try:
            found = await self._cache.fetch(shard, dict.fromkeys(some))
        except CacheError as error:
            self._failed(error)
            await asyncio.sleep(LOOK_S)
            return
        for name, minutes in self._minutes(some).items():
            rows = found.get(name, {})
            older = {f: row for f, row in rows.items() if (shard, name, f) not in self._touched}
            self._put(minutes, older)
        for _ in some:
            self._unread.popleft()
        if not self._unread:
            self._touched.clear()

    # What is written

    async def _write_forever(self) -> None:
        while True:
            while self._waiting:
                await self._write(dict(islice(self._waiting.items(), KEYS_AT_ONCE)))
            await asyncio.sleep(WRITE_S)

    async def _write(self, keys: Mapping[str, bytes]) -> None:
        """Write some keys; those that could not be, and have not changed since, wait on."""
        for key in keys:
            del self._waiting[key]
        try:
            await write_keys(self._link, keys)
        except CacheError as error:
            self._failed(error)
            self._waiting = {**keys, **self._waiting}
            await asyncio.sleep(LOOK_S)
        else:
            self._trouble = ""
            self.counts["written"] += len(keys)

    def _failed(self, error: Exception) -> None:
        self.counts["failures"] += 1
        if not self._trouble:
            log.warning("compatible keys are old", cause=str(error))
        self._trouble = str(error)

    # What operators ask

    def report(self) -> Report:
        """Healthy while the changes are followed, or while another one does it."""
        works = self._state in (State.RUNNING, State.STAND_BY) and not self._trouble
        running = self._state is State.RUNNING
        return Report(
            service=self.name,
            instance=self._instance,
            state=State.DEGRADED if running and self._trouble else self._state,
            healthy=works,
            since_ms=self._since_ms,
            drops={name: self.counts[name] for name in ("undecodable",) if self.counts[name]},
            detail={
                "compat_keys": {
                    "written": self.counts["written"],
                    "waiting": len(self._waiting),
                    "unread": len(self._unread),
                    "failures": self.counts["failures"],
                    "shards": {shard: str(place) for shard, place in self._places.items()},
                }
            },
            reason=self._trouble,
        )

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """There are none."""
        raise ValueError(f"unknown command {name!r}; the sinks know none")


async def write_keys(link: Link, keys: Mapping[str, bytes]) -> None:
    """Set some keys in one round trip; CacheError when the server did not take them all."""
    ttl_s = EarlierEngineKeys.TTL_S
    sets: Iterator[Command] = (("SET", key, value, "EX", ttl_s) for key, value in keys.items())
    await link.together(sets, atomic=False)
