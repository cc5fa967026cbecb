"""The whole data path in one process, over real servers: provider to Redis, and its books.

``System`` starts a simulated provider, a listener and processors over real sockets, a real
RabbitMQ and a real Redis. ``end()`` waits until the source has been folded to its end and
returns the books of the run: what was taken in, folded, lost and refused, and the rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tapewire.caches.cache import WidgetCache
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reference import MemoryReference
from tapewire.caches.widget_cache import RedisWidgetCache
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
from tapewire.services.shard_owner import ProcessorOptions, References
from tapewire.simulators.connection import Account
from tapewire.simulators.massive import MassiveSimulator
from tests.faults.books import DataPath
from tests.faults.day import Candle, Day

QUICK: Final = ClientBounds(idle_s=1.0, backoff_base_s=0.05, close_timeout_s=0.2)
"""A client that notices and comes back within the patience of a test."""

EPOCH: Final = 1000

_SERVERS: Final = ThreadPoolExecutor(1, "servers")
"""Starts and stops servers beside the traffic. The kernel ends a server together with the
thread that started it, so this one lives as long as the run."""


async def beside_the_traffic(work: Callable[[], Any]) -> None:
    """Do something that blocks (a server's start or stop) while the system runs on."""
    await asyncio.get_running_loop().run_in_executor(_SERVERS, work)


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


class System(DataPath):
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
