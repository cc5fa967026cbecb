"""The whole way of ticks in one process: frames in memory to candles in Redis.

Everything is the real thing but the socket, which is a list of frames: the broker's connection,
the listener with its intake and wire, the queue in memory, the shard's owner with its fold,
candles and flush. Answers are read with plain Redis commands.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
import redis
from msgspec import Struct

from benchmarks.answers import same, unpacked
from benchmarks.broker_market import DATE, BrokerTape
from tapewire.caches.cache import Place
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.changes import Changes
from tapewire.model.streams import Shard, Stream
from tapewire.providers import tick_wire
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.runtime.lease import LocalLease
from tapewire.services.analysis import Analysis
from tapewire.services.broker_listener import BrokerDataListener, TakeTicks
from tapewire.services.shard_owner import ProcessorOptions, ShardOwner
from tapewire.services.shard_state import ShardState

CANDLES: Final = Analysis.of(()).choosing(("candles",))
FLUSH_S: Final = 0.05
"""``TICK_FLUSH_MS``."""

FRAMES_AT_ONCE: Final = 16
"""Frames read before the loop turns: about what one read from a busy socket brings."""

_unpack: Final = msgspec.msgpack.decode


class Timing(Struct, frozen=True):
    """One run: wall and processor seconds, and the ticks that were folded."""

    seconds: float
    cpu_s: float
    ticks: int

    @property
    def rate(self) -> float:
        """Ticks a second."""
        return self.ticks / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of processor a tick."""
        return 1e6 * self.cpu_s / self.ticks


class _Counts(Struct):
    connections: int = 1


class FramesInMemory:
    """A broker feed without its sockets.

    ``per_second`` paces the frames after the handshake; None gives them as fast as they are
    taken. ``arrivals`` has for each frame when it came and the ticks that had come with it.
    """

    def __init__(self, tape: BrokerTape, per_second: float | None = None) -> None:
        self.statistics = _Counts()
        self.last_ending = ""
        self.healthy = True
        self.paused = False
        self.began_s = self.cpu_s = 0.0
        self.arrivals: list[tuple[float, int]] = []
        self._tape = tape
        self._per_second = per_second

    def pause(self) -> None:
        """Nothing here is lossless."""

    def resume(self) -> None: ...

    def stop(self) -> None: ...

    async def subscribe(self, names: Sequence[str]) -> Sequence[str]:
        """The tape is what it is."""
        return names

    async def unsubscribe(self, names: Sequence[str]) -> Sequence[str]:
        """The tape is what it is."""
        return names

    def revive(self, broker: str) -> None: ...

    def status(self) -> Mapping[str, Any]:
        """Nothing is of interest here."""
        return {}

    async def run(self, take: TakeTicks) -> None:
        """Answer the connection, then give all frames."""
        connection, frames = self._tape.connection(), iter(self._tape.frames)
        receive = connection.receive
        count = 0
        for frame, at_ns in islice(frames, self._tape.handshake):
            ticks = receive(frame, at_ns, 0.0)
            connection.due(0.0)
            connection.data_to_send()
            count += len(ticks)
            take(frame, ticks)
        self.began_s, self.cpu_s = time.perf_counter(), time.process_time()
        while some := list(islice(frames, FRAMES_AT_ONCE)):
            for frame, at_ns in some:
                ticks = receive(frame, at_ns, 0.0)
                count += len(ticks)
                take(frame, ticks)
            connection.data_to_send()
            if self._per_second is None:
                await asyncio.sleep(0)
            else:
                await self._wait(count, len(some), self._per_second)

    async def _wait(self, count: int, frames: int, per_second: float) -> None:
        now_s = time.perf_counter()
        self.arrivals += [(now_s, count)] * frames
        due_s = self.began_s + count / per_second
        await asyncio.sleep(max(0.0, due_s - now_s))


class TimedCache(RedisWidgetCache):
    """Notes when each flush was written, and how many events it covers."""

    def __init__(self, url: str, state: ShardState) -> None:
        super().__init__(url)
        self.state = state
        self.finished = asyncio.Event()
        self.flushed: list[tuple[float, int]] = []

    async def flush(
        self, shard: str, expected: Place, positions: Mapping[str, bytes], changes: Changes
    ) -> Place:
        """Write one flush."""
        applied = self.state.applied
        place = await super().flush(shard, expected, positions, changes)
        self.flushed.append((time.perf_counter(), applied))
        if self.state.ended:
            self.finished.set()
        return place


class _NoReferences:
    async def snapshot(self) -> Sequence[Any]:
        return ()


def state_of(shard: Shard) -> ShardState:
    """A shard's memory as a live processor has it, for candles."""
    return ShardState(shard, CANDLES.maker()(shard), tick_wire.decode)


class Line:
    """One run of a tape; ``shard`` is where its instruments are said to belong."""

    def __init__(self, tape: BrokerTape, url: str, *, per_second: float | None = None) -> None:
        self.feed = FramesInMemory(tape, per_second)
        self.state = state_of(Shard(Stream.TICKS, 0))
        self.cache = TimedCache(url, self.state)
        self.queue = MemoryQueue(MemoryBroker(), QueueLayout())
        self.listener = BrokerDataListener(self.feed, self.queue, LocalLease(1))

    async def run(self, started: Callable[[], Awaitable[None]] | None = None) -> Timing:
        """From the first frame after the handshake to the flush that holds the last tick."""
        await self.cache.shards()  # connected before the clock runs
        if started is not None:
            await started()
        options = ProcessorOptions(flush_s=FLUSH_S)
        consumer = await self.queue.consume(self.state.shard)
        owner = ShardOwner(self.state, consumer, self.cache, options, lambda: time.time() * 1e3)
        await self.listener.start()
        owning = asyncio.create_task(owner.run(await consumer.receive(), _NoReferences()))
        finished = asyncio.create_task(self.cache.finished.wait())
        await asyncio.wait({owning, finished}, return_when=asyncio.FIRST_COMPLETED)
        seconds = time.perf_counter() - self.feed.began_s
        cpu_s = time.process_time() - self.feed.cpu_s
        finished.cancel()
        await owner.leave()
        await owning
        await self.listener.stop()
        await self.cache.close()
        return Timing(seconds, cpu_s, self.state.totals.events)

    def waits_s(self) -> list[float]:
        """Of each frame, from its arrival to the flush that holds its ticks."""
        flushed, found = iter(self.cache.flushed), []
        done_s, covered = 0.0, 0
        for came_s, count in self.feed.arrivals:
            while covered < count:
                done_s, covered = next(flushed)
            found.append(done_s - came_s)
        return found


def differences(url: str, tapes: Sequence[BrokerTape], shard: str = "ticks.0") -> list[str]:
    """What in Redis is not what the trades come to, in words."""
    candles = {key: rows for tape in tapes for key, rows in tape.candles.items()}
    ticks = sum(tape.ticks for tape in tapes)
    with redis.Redis.from_url(url, protocol=2) as store:
        return [*_counts(store, ticks, shard), *_candles(store, candles, shard)]


def _counts(store: Any, ticks: int, shard: str) -> Iterator[str]:
    packed = store.hget(f"{{{shard}}}:private:progress", "totals")
    totals = _unpack(packed) if packed else {}
    found = {"events": totals.get("events"), "lost": totals.get("lost")}
    if found != {"events": ticks, "lost": 0}:
        yield f"taken in {found}, expected {ticks} ticks and none lost"


def _candles(
    store: Any, wanted: Mapping[str, Mapping[int, Mapping[str, Any]]], shard: str
) -> Iterator[str]:
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    prefix = f"{{{shard}}}:candles:IN:"
    keys = sorted(key.decode() for key in store.scan_iter(f"{prefix}*:1m:*", count=5000))
    with store.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hgetall(key)
        for key, rows in zip(keys, pipeline.execute(), strict=True):
            symbol = key.removeprefix(prefix).partition(":1m:")[0]
            found[symbol].update(unpacked(DATE, rows))
    for symbol in sorted(found.keys() | wanted.keys()):
        there, right = found.get(symbol, {}), wanted.get(symbol, {})
        for start_ms in sorted(there.keys() | right.keys()):
            if start_ms not in there or start_ms not in right:
                yield f"{symbol} {start_ms}: {'not expected' if start_ms in there else 'missing'}"
                continue
            for name, value in right[start_ms].items():
                if not same(there[start_ms][name], value):
                    seen = there[start_ms][name]
                    yield f"{symbol} {start_ms}: {name} is {seen}, expected {value}"
