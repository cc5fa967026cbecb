"""One ownership of one shard: claim, restore, fold, flush, leave.

It begins with the first delivery and ends when the channel closes or a newer owner is met
(architecture decision 3). A cache that is away stops no folding (section 7).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from tapewire.analyzers.analyzer import ROWS
from tapewire.caches.cache import CacheUnavailable, Place, StoreLostWrites, WidgetCache
from tapewire.model.changes import PRIVATE, Changes
from tapewire.model.rows import Reference
from tapewire.model.streams import Stream
from tapewire.queues.queue import Consumer, Delivery
from tapewire.services.shard_state import ShardState

_log = logging.getLogger(__name__)

RETRY_S: Final = 0.2
"""Wait before a refused attachment or an unavailable cache is tried again."""

FINISH_S: Final = 2.0
"""How long a processor that drains goes on to fold what waits: who comes after it may come
later than that is kept."""


class References(Protocol):
    """Reference rows as this process knows them: no server is asked, nothing is waited for."""

    async def snapshot(self) -> Sequence[Reference]:
        """All rows of the current dates."""


class ProcessorOptions(Struct, frozen=True, kw_only=True):
    """How a processor runs. ``index`` of ``processors`` says which shards are its own.

    ``live`` lets quiet shards' clocks run at wall speed; a replay must not. ``delay_ms`` is how
    far the feed is behind the wall clock, None where any day may be played (``ShardState``);
    ``tick_delay_ms`` the same of brokers' ticks, whose feed is another. ``flush_s`` is the time
    between two flushes of a shard, ``tick_flush_s`` of one of ticks. ``finish_s`` bounds how
    long a drain folds what waits.
    """

    instance: str = "0"
    index: int = 0
    processors: int = 1
    flush_s: float = 0.1
    tick_flush_s: float = 0.05
    prefetch: int = 500
    live: bool = True
    finish_s: float = FINISH_S
    delay_ms: int | None = None
    tick_delay_ms: int | None = None

    def delay_of(self, stream: Stream) -> int | None:
        """How far the feed that a stream comes from is behind the wall clock."""
        return self.tick_delay_ms if stream is Stream.TICKS else self.delay_ms

    def flush_s_of(self, stream: Stream) -> float:
        """Seconds between two flushes of a stream's shards."""
        return self.tick_flush_s if stream is Stream.TICKS else self.flush_s


class ShardOwner:
    """One ownership of one shard, from the first delivery to the closed channel."""

    def __init__(
        self,
        state: ShardState,
        consumer: Consumer,
        cache: WidgetCache,
        options: ProcessorOptions,
        now_ms: Callable[[], float],
    ) -> None:
        self.state = state
        self.began_s = time.monotonic()
        self.place: Place | None = None
        self.flushes = 0
        self.cache_failures = 0
        self.flush_s = 0.0
        self._consumer = consumer
        self._cache = cache
        self._options = options
        self._now_ms = now_ms
        self._taken_tag = 0
        self._acknowledged_tag = 0
        self._unflushed = False
        self.cache_gone = False
        self.idle = False
        """Everything that was delivered is folded."""
        self.closed = asyncio.Event()
        """Set by whoever runs it, when the channel has closed."""
        self._leaving = asyncio.Event()
        self._left = asyncio.Event()
        self._folding: asyncio.Task[None] | None = None

    async def run(self, first: Sequence[Delivery], references: References) -> None:
        """Claim, restore, then fold and flush until the channel closes or it is fenced.

        Returns after ``leave``, with everything flushed and acknowledged.
        """
        try:
            if await self._claim():
                self.state.refer(await references.snapshot())
                async with asyncio.TaskGroup() as tasks:
                    self._folding = tasks.create_task(self._fold(first))
                    tasks.create_task(self._flush_regularly())
                    if self._leaving.is_set():
                        self._folding.cancel()
        finally:
            self._left.set()

    async def leave(self) -> None:
        """Stop folding, flush and acknowledge; ``run`` returns and the channel may close.

        An owner that still waits for the cache has folded nothing and leaves without it.
        """
        self._leaving.set()
        if self._folding:
            self._folding.cancel()
        await self._left.wait()

    async def _claim(self) -> bool:
        """Take the shard over; waits for a cache that is away, since nothing is lost by it.

        False when it was asked to leave before.
        """
        while not self._leaving.is_set():
            try:
                await self._claim_once()
                return True
            except CacheUnavailable as error:
                await self._wait_for_cache(error)
        return False

    async def _claim_once(self) -> None:
        name, state = self.state.shard.name, self.state
        claim = await self._cache.claim(name)
        first = await self._fetch(state.first_hashes())
        private = first | await self._fetch(state.further_hashes(first))
        state.restore(claim.positions, private)
        self.place = claim.place

    async def _fetch(self, names: Sequence[str]) -> dict[str, dict[str, bytes]]:
        stored = {stored_name(name): name for name in names}
        found = await self._cache.fetch(self.state.shard.name, dict.fromkeys(stored))
        return {stored[name]: values for name, values in found.items()}

    async def _fold(self, deliveries: Sequence[Delivery]) -> None:
        while True:
            for delivery in deliveries:
                self.state.take(delivery.body)
                self._taken_tag = delivery.tag
                self._unflushed = True
                await asyncio.sleep(0)
            await self._make_room()
            self.idle = True
            deliveries = await self._consumer.receive()
            self.idle = False

    async def _make_room(self) -> None:
        """While the cache is away, acknowledge the older half rather than stop folding.

        Called by whoever folds, and by whoever waits for the cache: the folding may have come
        to its bound before anybody knew.
        """
        waiting = self._taken_tag - self._acknowledged_tag
        if self.cache_gone and waiting >= self._options.prefetch - 1:
            await self._acknowledge(self._acknowledged_tag + (waiting + 1) // 2)

    async def _acknowledge(self, up_to: int) -> None:
        if up_to > self._acknowledged_tag:
            self._acknowledged_tag = up_to  # first: two tasks may acknowledge
            await self._consumer.acknowledge(up_to)

    async def _flush_regularly(self) -> None:
        while not self._leaving.is_set():
            started = time.perf_counter()
            self.state.tick(self._now_ms())
            await self.flush()
            self.flush_s = time.perf_counter() - started
            flush_s = self._options.flush_s_of(self.state.shard.stream)
            await self._pause(max(0.001, flush_s - self.flush_s))
        await self.flush()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._leaving.wait(), seconds)
        except TimeoutError:
            return

    async def flush(self) -> None:
        """Write what changed, then acknowledge what it covers."""
        tag, changes = self._taken_tag, self.state.drain()
        if not changes and not self._unflushed:
            return
        self._unflushed = False
        positions = self.state.positions.pack()
        await self._write(positions, changes)
        self.flushes += 1
        await self._acknowledge(tag)

    async def _write(self, positions: Mapping[str, bytes], changes: Changes) -> None:
        """One flush, sent again until there is an answer; Fenced ends the ownership."""
        name = self.state.shard.name
        while True:
            try:
                if self.place is None:
                    self.place, positions, changes = await self._begin_again(changes)
                self.place = await self._cache.flush(name, self.place, positions, changes)
                self.cache_gone = False
                return
            except CacheUnavailable as error:
                await self._wait_for_cache(error)
            except StoreLostWrites as error:
                _log.warning("%s: %s; writing every row again", name, error)
                self.place = None

    async def _begin_again(self, lost: Changes) -> tuple[Place, dict[str, bytes], Changes]:
        """Claim again after the store lost writes: the next flush carries everything."""
        claim = await self._cache.claim(self.state.shard.name)
        self.state.renew()
        lost.gaps = []  # among those that the state tells again
        lost.merge(self.state.drain())
        return claim.place, self.state.positions.pack(), lost

    async def _wait_for_cache(self, error: CacheUnavailable) -> None:
        if not self.cache_gone:
            _log.warning("%s: %s; folding on and trying again", self.state.shard.name, error)
        self.cache_gone = True
        self.cache_failures += 1
        await self._make_room()
        await asyncio.sleep(RETRY_S)


def stored_name(name: str) -> str:
    """Where a hash lies that an analyzer restores from: with the private ones or the rows."""
    return name.removeprefix(ROWS) if name.startswith(ROWS) else PRIVATE + name
