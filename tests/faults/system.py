"""The whole data path in one process, over real servers: provider to Redis, and its books.

``System`` starts a simulated provider, a listener and processors over real sockets, a real
RabbitMQ and a real Redis. ``end()`` waits until the source has been folded to its end and
returns the books of the run: what was taken in, folded, lost and refused, and the rows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from tapewire.caches.cache import CacheUnavailable, Place, WidgetCache
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.caches.reference import MemoryReference
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.changes import PRIVATE
from tapewire.model.events import Gap
from tapewire.model.positions import Positions
from tapewire.model.streams import Shard, Stream
from tapewire.providers.massive.client import ClientBounds, MassiveClient
from tapewire.providers.massive.protocol import (
    RECONNECT,
    Backoff,
    CloseReason,
    CoolDown,
    Stop,
    decode,
)
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.queues.queue import OutboxStatistics, Queue
from tapewire.queues.rabbitmq import OUTBOX_BYTES, RabbitQueue
from tapewire.runtime.lease import Lease, LocalLease
from tapewire.services.analysis import Analysis
from tapewire.services.listener import ListenerBounds, MassiveDataListener
from tapewire.services.processor import MassiveDataProcessor
from tapewire.services.shard_owner import ProcessorOptions, References, ShardOwner
from tapewire.services.shard_state import PROGRESS, Totals, decode_totals
from tapewire.simulators.connection import Account
from tapewire.simulators.massive import MassiveSimulator
from tests.faults.day import Candle, Day

QUICK: Final = ClientBounds(idle_s=1.0, backoff_base_s=0.05, close_timeout_s=0.2)
"""A client that notices and comes back within the patience of a test."""

EPOCH: Final = 1000

_T = TypeVar("_T")

_SERVERS: Final = ThreadPoolExecutor(1, "servers")
"""Starts and stops servers beside the traffic. The kernel ends a server together with the
thread that started it, so this one lives as long as the run."""


async def beside_the_traffic(work: Callable[[], Any]) -> None:
    """Do something that blocks (a server's start or stop) while the system runs on."""
    await asyncio.get_running_loop().run_in_executor(_SERVERS, work)


async def until(happened: Callable[[], object], within_s: float = 15.0) -> None:
    """Wait for something that nobody signals; TimeoutError when it does not happen."""
    async with asyncio.timeout(within_s):
        while not happened():  # noqa: ASYNC110 - that is what this is for
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class RealServers:
    """A virtual host of a RabbitMQ and a Redis."""

    rabbitmq_url: str
    redis_url: str
    cache_timeout_s: float = 5.0

    def queue(self, name: str, layout: QueueLayout, prefetch: int, outbox_bytes: int) -> Queue:
        return RabbitQueue(
            self.rabbitmq_url, layout, prefetch=prefetch, outbox_bytes=outbox_bytes, name=name
        )

    def cache(self) -> WidgetCache:
        return RedisWidgetCache(self.redis_url, timeout_s=self.cache_timeout_s)


class NoServers:
    """The in-memory twins, for the run that nothing disturbs."""

    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self._cache = MemoryWidgetCache()

    def queue(self, name: str, layout: QueueLayout, prefetch: int, outbox_bytes: int) -> Queue:
        return MemoryQueue(self._broker, layout, prefetch=prefetch)

    def cache(self) -> WidgetCache:
        return self._cache


@dataclass(frozen=True)
class Setup:
    """How a system is built. ``speed`` ``max`` waits for the listener, ``N/s`` does not."""

    speed: str = "max"
    once: bool = True
    listens: bool = True
    """Whether the listener runs from the beginning."""
    shards: int = 1
    """Of each stream."""
    streams: tuple[Stream, ...] = (Stream.TRADES,)
    """What queues there are; the source has trades."""
    processors: int = 1
    started: tuple[int, ...] | None = None
    """Which processors run from the beginning; None for all of them."""
    prefetch: int = 500
    ttl_ms: int | None = None
    outbox_bytes: int = OUTBOX_BYTES
    faults: tuple[str, ...] = ()
    key: str = "secret"
    account: Account = field(default_factory=Account)
    client: ClientBounds = QUICK
    listener: ListenerBounds = field(default_factory=lambda: ListenerBounds(heartbeat_s=0.2))
    reconnect: Mapping[CloseReason, Stop | CoolDown | Backoff] = field(
        default_factory=lambda: RECONNECT
    )
    max_frame_events: int = 500


@dataclass(frozen=True)
class Books:
    """What a finished run says of itself, over all shards."""

    taken_in: int
    folded: int
    lost: int
    skipped: Mapping[str, int]
    gaps: Sequence[Gap]
    rows: Sequence[Candle]

    @property
    def balanced(self) -> bool:
        """Every event that was taken in was folded or is known to be lost."""
        return self.taken_in == self.folded + self.lost == self.folded + self.lost_in_gaps

    @property
    def lost_in_gaps(self) -> int:
        """The sum of the gaps whose size is known."""
        return sum(gap.events or 0 for gap in self.gaps)

    @property
    def losses(self) -> list[Gap]:
        """The gaps in which events are missing.

        A loss that a heartbeat shows before the next event comes is told in two parts; the
        second has no events of its own, only the time up to that event.
        """
        return [gap for gap in self.gaps if gap.events != 0]

    @property
    def candles(self) -> list[Candle]:
        """The 1-minute candles; the longer ones are folded from the same trades."""
        return [row for row in self.rows if row["feed"].startswith("candles:1m:")]


class System:
    """Provider, listener and processors over these servers."""

    def __init__(self, day: Day, servers: RealServers | NoServers, setup: Setup) -> None:
        self.setup = setup
        self.servers = servers
        self.shards = [Shard(stream, k) for stream in setup.streams for k in range(setup.shards)]
        counts = dict.fromkeys(setup.streams, setup.shards)
        self.layout = replace_ttl(QueueLayout.lossless("", counts), setup.ttl_ms)
        self.simulator = MassiveSimulator(
            [day],
            speed=setup.speed,
            once=setup.once,
            account=setup.account,
            faults=setup.faults,
            max_frame_events=setup.max_frame_events,
        )
        self.processors: list[MassiveDataProcessor] = []
        self.listener: MassiveDataListener
        self.client: MassiveClient
        self.stack = AsyncExitStack()
        """Everything in it ends with the system, in the opposite order."""
        self.cache = servers.cache()

    # -- its parts

    def make_client(self) -> MassiveClient:
        """A client of the simulator that ends with its source."""
        setup = self.setup
        return MassiveClient(
            f"{self.simulator.ws_url}/stocks",
            setup.key,
            ["T.*"],
            draw=lambda: 0.5,
            once=True,
            bounds=setup.client,
            reconnect=setup.reconnect,
        )

    def make_queue(self, name: str) -> Queue:
        setup = self.setup
        return self.servers.queue(name, self.layout, setup.prefetch, setup.outbox_bytes)

    async def start_listener(self, lease: Lease | None = None) -> MassiveDataListener:
        """One listener; it and its queue end with the system."""
        queue = self.make_queue("listener")
        await queue.start()
        self.stack.push_async_callback(queue.stop)
        self.client = self.make_client()
        listener = MassiveDataListener(
            self.client,
            queue,
            lease or LocalLease(EPOCH),
            shards=dict.fromkeys(self.setup.streams, self.setup.shards),
            bounds=self.setup.listener,
        )
        self.stack.push_async_callback(listener.stop)
        await listener.start()
        return listener

    async def start_processor(
        self, index: int = 0, references: References | None = None
    ) -> MassiveDataProcessor:
        """One processor with connections of its own."""
        options = ProcessorOptions(
            instance=str(index),
            index=index,
            processors=self.setup.processors,
            prefetch=self.setup.prefetch,
            live=False,
        )
        processor = MassiveDataProcessor(
            self.make_queue(f"processor {index}"),
            self.servers.cache(),
            references or MemoryReference(),
            self.shards,
            Analysis.of(["T.*"]).maker(),
            decode,
            options,
        )
        self.stack.push_async_callback(processor._cache.close)
        self.stack.push_async_callback(processor.stop)
        await processor.start()
        self.processors.append(processor)
        return processor

    @property
    def outbox(self) -> OutboxStatistics:
        """What the listener published, and what became of it."""
        return self.listener._queue.statistics

    # -- its books

    def owner(self, shard: int = 0) -> ShardOwner:
        """Whoever owns a shard now."""
        wanted = self.shards[shard]
        return only([p._owners[wanted] for p in self.processors if wanted in p._owners])

    async def fold_more(self, events: int) -> None:
        """Wait until the first shard's owner has folded so many more, stored or not."""
        state = self.owner().state
        goal = state.folded + events
        await until(lambda: state.folded >= goal)

    def taken_in(self) -> int:
        """Events that the listener took in, by its own count."""
        taken = self.listener.report().detail["taken_in"]
        return sum(taken[shard.name] for shard in self.shards)

    async def folded(self) -> int:
        """Events that the stored rows hold."""
        return sum(totals.events for totals in await self._totals())

    async def lost(self) -> int:
        """Events that the stored positions know to be lost."""
        total = 0
        for shard in self.shards:
            found = await self.cache.fetch(shard.name, {"positions": None})
            positions = Positions.unpack(found["positions"]).by_producer.values()
            total += sum(position.lost for position in positions)
        return total

    async def place(self, shard: int = 0) -> Place:
        """Who owns a shard, and how often that owner flushed."""
        place = (await self.cache.snapshot(self.shards[shard].name, {})).place
        assert place is not None
        return place

    async def gaps(self) -> list[Gap]:
        return [gap for shard in self.shards for gap in await self.cache.gaps(shard.name)]

    async def rows(self) -> list[Candle]:
        """Every row that a client can read, in canonical order."""
        return [row async for row in WidgetReader(self.cache).dump()]

    async def _totals(self) -> list[Totals]:
        return [totals for totals, _ in await self._progress()]

    async def _progress(self) -> list[tuple[Totals, bool]]:
        progress = []
        for shard in self.shards:
            name = PRIVATE + PROGRESS
            found = (await self.cache.fetch(shard.name, {name: None}))[name]
            totals = decode_totals(found["totals"]) if "totals" in found else Totals()
            progress.append((totals, "ended" in found))
        return progress

    # -- its end

    async def end(self, within_s: float = 40.0) -> Books:
        """Wait until the source has been read, folded and flushed to its end."""
        failures = [asyncio.ensure_future(p.wait()) for p in self.processors]
        ended = asyncio.ensure_future(self._until_ended())
        try:
            async with asyncio.timeout(within_s):
                await asyncio.wait({ended, *failures}, return_when=asyncio.FIRST_COMPLETED)
            for task in failures:
                if task.done():
                    task.result()
            await ended
        finally:
            for task in (ended, *failures):
                task.cancel()
            await asyncio.gather(ended, *failures, return_exceptions=True)
        return await self.books()

    async def _until_ended(self) -> None:
        await self.listener.wait()
        while not await self._all_ended():  # noqa: ASYNC110 - another part ends it
            await asyncio.sleep(0.02)

    async def _all_ended(self) -> bool:
        try:
            return all(ended for _, ended in await self._progress())
        except CacheUnavailable:
            return False

    async def books(self) -> Books:
        """What the store and the listener say now."""
        skipped: Counter[str] = Counter()
        for totals in await self._totals():
            skipped.update(totals.skipped)
        return Books(
            self.taken_in(),
            await self.folded(),
            await self.lost(),
            dict(skipped),
            await self.gaps(),
            await self.rows(),
        )


@asynccontextmanager
async def running(
    day: Day,
    servers: RealServers | NoServers,
    setup: Setup | None = None,
    *,
    lease: Lease | None = None,
    **changes: Any,
) -> AsyncIterator[System]:
    """A system that reads ``day``: every processor first, then the listener."""
    system = System(day, servers, replace(setup or Setup(), **changes))
    async with system.stack as stack:
        stack.push_async_callback(system.cache.close)
        await system.simulator.start()
        stack.push_async_callback(system.simulator.stop)
        started = system.setup.started
        for index in range(system.setup.processors) if started is None else started:
            await system.start_processor(index)
        if system.setup.listens:
            system.listener = await system.start_listener(lease)
        yield system


async def undisturbed(day: Day) -> Sequence[Candle]:
    """The rows of a run in which nothing happens, over the in-memory twins."""
    async with running(day, NoServers()) as system:
        books = await system.end()
    assert books.balanced
    assert books.lost == 0
    return books.rows


def replace_ttl(layout: QueueLayout, ttl_ms: int | None) -> QueueLayout:
    """The layout with a time to live."""
    return QueueLayout(
        layout.prefix, layout.shards, ttl_ms=ttl_ms, news_ttl_ms=None, max_bytes=None
    )


def only(values: Sequence[_T]) -> _T:
    """The only element."""
    (value,) = values
    return value
