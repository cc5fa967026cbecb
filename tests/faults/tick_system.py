"""Broker ticks the whole way in one process: a simulated broker's socket to Redis, and the books.

``listening`` starts a broker's simulator, the feed with its client, a listener and processors
over real sockets; ``end()`` waits until the tape has been folded to its end.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

from tapewire.caches.cache import WidgetCache
from tapewire.caches.reference import MemoryReference
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.streams import Shard, Stream
from tapewire.providers.broker_client import BrokerClient
from tapewire.providers.broker_factory import BrokerFactory
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.queues.queue import Queue
from tapewire.queues.rabbitmq import OUTBOX_BYTES
from tapewire.runtime.lease import LocalLease
from tapewire.runtime.settings import Settings
from tapewire.services.analysis import Analysis
from tapewire.services.broker_feed import BrokerFeed
from tapewire.services.broker_listener import BrokerDataListener
from tapewire.services.decoding import decode
from tapewire.services.processor import MassiveDataProcessor
from tapewire.services.shard_owner import ProcessorOptions
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.brokers import (
    ANY_TOKEN,
    Surroundings,
    broker_simulator,
    environment,
    token_of,
)
from tapewire.simulators.sources import TimedTick
from tapewire.simulators.tick_tape import TickSource, TickTape
from tests.faults.books import Books, DataPath, until

QUICK: Final = ClientBounds(mute_s=30, watch_s=0.1, backoff_base_s=0.3, close_timeout_s=0.3)
"""A client that comes back within the patience of a test: after 0.3 s."""

EPOCH: Final = 1000


class Servers(Protocol):
    """Where queues and rows are."""

    def queue(self, name: str, layout: QueueLayout, prefetch: int, outbox_bytes: int) -> Queue: ...
    def cache(self) -> WidgetCache: ...


class LocalQueue:
    """Queues in this process, rows in a real Redis: what ``tapewire up`` has."""

    def __init__(self, redis_url: str) -> None:
        self._broker = MemoryBroker()
        self._redis_url = redis_url

    def queue(self, name: str, layout: QueueLayout, prefetch: int, outbox_bytes: int) -> Queue:
        return MemoryQueue(self._broker, layout, prefetch=prefetch)

    def cache(self) -> WidgetCache:
        return RedisWidgetCache(self._redis_url)


@dataclass(frozen=True)
class TickSetup:
    """How a system is built. ``before``: states that were told to nobody, before the tape."""

    broker: str = "upstox"
    speed: str = "max"
    once: bool = True
    lossless: bool = False
    """Whether reading stops where it would else hold ticks back; then queues lose nothing."""
    live: bool = False
    """Whether the clock of a quiet shard runs on."""
    shards: int = 1
    folds: bool = True
    """Whether a processor runs from the beginning."""
    prefetch: int = 500
    faults: tuple[str, ...] = ()
    before: Sequence[TimedTick] = ()

    @property
    def layout(self) -> QueueLayout:
        counts = {Stream.TICKS: self.shards}
        return QueueLayout.lossless("", counts) if self.lossless else QueueLayout("", counts)


class TickSystem(DataPath):
    """A simulated broker, a listener and processors over these servers."""

    listener: BrokerDataListener

    def __init__(self, source: TickSource, servers: Servers, setup: TickSetup) -> None:
        self.setup = setup
        self.servers = servers
        self.shards = [Shard(Stream.TICKS, k) for k in range(setup.shards)]
        tape = TickTape(source)
        tape.play(setup.before)
        self.instruments = list(tape.instruments)
        self._token = token_of(setup.broker, ANY_TOKEN, int(time.time() * 1000))
        self.simulator = broker_simulator(
            setup.broker,
            tape,
            Account(token=self._token),
            Surroundings(lambda: int(time.time() * 1000), lambda: token_hex(8)),
            speed=setup.speed,
            once=setup.once,
            faults=list(setup.faults),
        )
        self.processors: list[MassiveDataProcessor] = []
        self.stack = AsyncExitStack()
        """Everything in it ends with the system, in the opposite order."""
        self.cache = servers.cache()
        self.feed: BrokerFeed
        self.client: BrokerClient

    # -- its parts

    def make_feed(self) -> BrokerFeed:
        """A feed of the one broker."""
        simulator, broker = self.simulator, self.setup.broker
        given = environment(broker, simulator.rest_url, simulator.ws_url, self._token)
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        values: dict[str, Any] = {name.lower(): value for name, value in given.items()}
        settings = Settings(tapewire_data_dir=folder, **values)
        brokers = BrokerFactory(settings, lambda _: InstrumentCache(folder, time.time)).make()
        for one in brokers:
            self.stack.push_async_callback(one.close)
        return BrokerFeed(brokers, self.instruments, bounds=QUICK, draw=lambda: 1.0, judge_s=0.1)

    def make_queue(self, name: str) -> Queue:
        setup = self.setup
        return self.servers.queue(name, setup.layout, setup.prefetch, OUTBOX_BYTES)

    async def start_listener(self) -> None:
        """The listener; it and its queue end with the system."""
        queue = self.make_queue("listener")
        await queue.start()
        self.stack.push_async_callback(queue.stop)
        self.feed = self.make_feed()
        self.client = self.feed._lines[self.setup.broker].client
        self.listener = BrokerDataListener(
            self.feed,
            queue,
            LocalLease(EPOCH),
            shards=self.setup.shards,
            lossless=self.setup.lossless,
        )
        self.stack.push_async_callback(self.listener.stop)
        await self.listener.start()

    async def start_processor(self) -> MassiveDataProcessor:
        """A processor with connections of its own."""
        cache = self.servers.cache()
        processor = MassiveDataProcessor(
            self.make_queue("processor"),
            cache,
            MemoryReference(),
            self.shards,
            Analysis.of([]).maker(),
            decode,
            ProcessorOptions(prefetch=self.setup.prefetch, live=self.setup.live),
        )
        self.stack.push_async_callback(cache.close)
        self.stack.push_async_callback(processor.stop)
        await processor.start()
        self.processors.append(processor)
        return processor

    # -- its books

    @property
    def hole(self) -> range:
        """Places on the tape that nobody was told of, after the one fault that ended a socket."""
        fault = int(self.setup.faults[0].partition("@")[2])
        return range(fault, fault + self.simulator.statistics.unheard)

    async def candles(self) -> list[dict[str, Any]]:
        """The 1-minute candles that a client can read now."""
        return [row for row in await self.rows() if row["feed"].startswith("candles:1m:")]

    # -- its end

    async def played(self, within_s: float = 40.0) -> None:
        """Return when the tape has ended and everything sent was read."""
        await until(lambda: "1000" in self.client.last_ending, within_s)

    async def end(self, within_s: float = 40.0) -> Books:
        """Wait until the tape has been read, folded and flushed to its end."""
        await self.played(within_s)
        self.feed.stop()
        return await super().end(within_s)

    async def close(self) -> Books:
        """Say, after everything was drained, that the tape has ended; wait until that is folded."""
        latest_ms = self.simulator.event_ms
        self.listener._publish(self.listener._batcher.ending(time.time_ns(), latest_ms))
        return await super().end()


@asynccontextmanager
async def listening(
    source: TickSource,
    servers: Servers,
    setup: TickSetup | None = None,
    **changes: Any,
) -> AsyncIterator[TickSystem]:
    """A system that listens to ``source``: the processor first, then the listener."""
    system = TickSystem(source, servers, replace(setup or TickSetup(), **changes))
    async with system.stack as stack:
        stack.push_async_callback(system.cache.close)
        await system.simulator.start()
        stack.push_async_callback(system.simulator.stop)
        if system.setup.folds:
            await system.start_processor()
        await system.start_listener()
        yield system
