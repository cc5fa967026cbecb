"""Off a provider's socket, into the shards' queues, and nothing else: what all listeners share.

A listener holds the lease of its source, joins what the source cut into slices to batches and
publishes them. Everything it takes in is counted by shard before anything can go wrong with
it (architecture.md 2, decision 4), so that a loss is always a counted one. What a source is
of differs: ``listener.py`` reads Massive, ``broker_listener.py`` the Indian brokers.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict

from msgspec import Struct, field, to_builtins

from tapewire.caches.cache import CacheUnavailable
from tapewire.model.batch import Batch
from tapewire.model.streams import Stream
from tapewire.providers.batcher import Batcher, Slice
from tapewire.queues.queue import Queue, QueueError
from tapewire.runtime.lease import Lease, Renewal
from tapewire.runtime.service import Report, State
from tapewire.services.reception import Hole, Reception
from tapewire.services.source import Capture, Source

_log: Final = logging.getLogger(__name__)

MAX_READY_BATCHES: Final = 2_000
"""A lossless run stops reading above this many batches ready in any shard (components.md 2)."""

MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""... or with so many, or so much, not yet confirmed: well below the outbox's bound."""


class ListenerBounds(Struct, frozen=True):
    """Intervals in seconds. The lease is renewed, and tried for, every ``lease_ttl_s / 3``."""

    lease_ttl_s: float = 15.0
    heartbeat_s: float = 1.0
    depth_poll_s: float = 0.05
    max_ready_batches: int = MAX_READY_BATCHES
    max_waiting_batches: int = MAX_READY_BATCHES
    max_waiting_bytes: int = MAX_WAITING_BYTES


class ListenerOptions(TypedDict, total=False):
    """The options of every listener, as ``Listener`` explains them."""

    instance: str
    lossless: bool
    linger: bool
    capture: Capture | None
    bounds: ListenerBounds | None
    clock_ns: Callable[[], int]
    monotonic_ns: Callable[[], int]


class ListenerStatistics(Struct):
    """What the listener counts beside its source and batcher."""

    epoch: int = 0
    lease_refused: int = 0
    lease_unanswered: int = 0
    pauses: int = 0
    depth_errors: int = 0
    captured_frames: int = 0
    capture_errors: int = 0
    holes: list[Hole] = field(default_factory=list)


class _Rates:
    """Events and batches per second by stream, over the last interval."""

    def __init__(self) -> None:
        self._before: Counter[str] = Counter()
        self._at_ns = 0
        self.now: dict[str, float] = {}

    def update(self, batcher: Batcher, now_ns: int) -> None:
        counts = Counter(batcher.events)
        counts.update({f"{stream}_batches": n for stream, n in batcher.batches.items()})
        if self._at_ns and now_ns > self._at_ns:
            seconds = (now_ns - self._at_ns) / 1e9
            self.now = {name: (n - self._before[name]) / seconds for name, n in counts.items()}
        self._before, self._at_ns = counts, now_ns


class Listener:
    """The service around one ``Source``.

    Slices for shards that ``batcher`` does not have are counted and not published. The queue
    is started and stopped by whoever made it. With ``lossless`` (a replay) the source is not
    read while a queue is too full. The end of the source is passed on as a batch with
    ``ending`` per shard; with ``linger`` again and again until the service is drained, since
    that batch may expire or be dropped like any other.
    """

    name = "listener"

    def __init__(
        self,
        source: Source,
        batcher: Batcher,
        queue: Queue,
        lease: Lease,
        *,
        instance: str = "0",
        lossless: bool = False,
        linger: bool = False,
        capture: Capture | None = None,
        bounds: ListenerBounds | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.shards = batcher.shards
        self.statistics = ListenerStatistics()
        self._source = source
        self._batcher = batcher
        self._queue = queue
        self._lease = lease
        self._instance = instance
        self._lossless = lossless
        self._linger = linger
        self._capture = capture
        self._bounds = bounds or ListenerBounds()
        self._clock_ns = clock_ns
        self._monotonic_ns = monotonic_ns
        self._rates = _Rates()
        self._state = State.STARTING
        self._since_ms = clock_ns() // 1_000_000
        self._reason = ""
        self._held = False
        self._draining = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reception = Reception()
        self._depths: dict[str, int] = {}

    # -- life

    async def start(self) -> None:
        """Declare the queues and begin; the lease may be long in coming (stand-by)."""
        await self._queue.declare(self.shards)
        self._enter(State.STAND_BY)
        self._main = asyncio.create_task(self._run(), name="listener")

    async def wait(self) -> None:
        """Return when the source has ended or the service was drained.

        Raises RefusedByProvider or DependencyMissing when the client gave up.
        """
        if self._main is not None:
            await asyncio.shield(self._main)

    async def drain(self) -> None:
        """Stop reading, publish what was taken in, wait until the broker has it."""
        self._enter(State.DRAINING)
        self._draining.set()
        self._source.stop()
        await self.wait()

    async def stop(self) -> None:
        """Close the socket and give the lease back."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        if self._held:
            self._held = False
            await self._lease.release()
        if self._state is not State.FAILED:
            self._enter(State.STOPPED)

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out one of the source's commands; ValueError names the known ones."""
        return await self._source.command(name, arguments)

    # -- the work

    async def _run(self) -> None:
        try:
            while await self._acquire():
                if await self._read():
                    break
            await self._queue.settle()
            if self._linger:
                await self._repeat_ending()
        except Exception as error:
            self._enter(State.FAILED, str(error))
            raise
        self._enter(State.STOPPED)

    async def _repeat_ending(self) -> None:
        """Say with each heartbeat that the source has ended, until nobody need know any more."""
        while not self._draining.is_set():
            try:
                async with asyncio.timeout(self._bounds.heartbeat_s):
                    await self._draining.wait()
            except TimeoutError:
                self._publish(self._batcher.ending(self._clock_ns(), self._reception.latest_ms))

    async def _acquire(self) -> bool:
        """Stand by until the lease is ours; False when the service is to end instead."""
        while not self._draining.is_set():
            epoch, reason = await self._ask_for_lease()
            if epoch is not None:
                self._held = True
                self.statistics.epoch = epoch
                self._publish(self._batcher.begin(epoch))
                return True
            self._enter(State.STAND_BY, reason)
            try:
                async with asyncio.timeout(self._bounds.lease_ttl_s / 3):
                    await self._draining.wait()
            except TimeoutError:
                continue
        return False

    async def _ask_for_lease(self) -> tuple[int | None, str]:
        """The epoch, or None and why not. A cache that is away is no reason to end."""
        try:
            return await self._lease.acquire(), "another listener holds the lease"
        except CacheUnavailable as error:
            self.statistics.lease_unanswered += 1
            return None, f"nobody can say who holds the lease: {error}"

    async def _read(self) -> bool:
        """Read for as long as the lease is ours; True when there is nothing more to read."""
        self._enter(State.RUNNING)
        reader = asyncio.create_task(self._source.run(self._take))
        helpers = [asyncio.create_task(work) for work in self._helpers()]
        try:
            await asyncio.wait([reader, *helpers], return_when=asyncio.FIRST_COMPLETED)
            ended = reader.done()
            for task in (reader, *helpers):
                if task.done():
                    task.result()
        finally:
            await self._end_reading(reader, helpers)
        if ended and not self._draining.is_set():
            self._publish(self._batcher.ending(self._clock_ns(), self._reception.latest_ms))
        return ended

    def _helpers(self) -> Iterable[Any]:
        yield self._renew()
        yield self._beat()
        if self._lossless:
            yield self._hold_back()

    async def _end_reading(
        self, reader: asyncio.Task[None], helpers: Sequence[asyncio.Task[None]]
    ) -> None:
        self._source.stop()
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(reader, *helpers, return_exceptions=True)
        await self._hand_over()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._publish(self._batcher.flush())

    async def _hand_over(self) -> None:
        """Give what is held back to the batcher; nothing is, here."""

    def _published_ns(self) -> int:
        """Wall clock up to which everything received is published: what heartbeats tell."""
        return self._clock_ns()

    async def _renew(self) -> None:
        """Return when the lease was refused. An unanswered renewal does not stop the holder."""
        while True:
            await asyncio.sleep(self._bounds.lease_ttl_s / 3)
            match await self._lease.renew():
                case Renewal.REFUSED:
                    self.statistics.lease_refused += 1
                    self._held = False
                    _log.warning("lease refused: another listener holds it; reading stops")
                    return
                case Renewal.UNANSWERED:
                    self.statistics.lease_unanswered += 1
                case Renewal.HELD:
                    pass

    async def _beat(self) -> None:
        """Once a second an empty batch to every shard: it shows a loss before a silence."""
        while True:
            newest_ms = self._reception.newest_ms or 0
            self._publish(self._batcher.heartbeat(self._published_ns(), newest_ms))
            self._rates.update(self._batcher, self._clock_ns())
            await asyncio.sleep(self._bounds.heartbeat_s)

    async def _hold_back(self) -> None:
        """Read only while every queue has room: what a lossless run pays instead of losing."""
        while True:
            if await self._is_too_full():
                self._pause()
            else:
                self._source.resume()
            await asyncio.sleep(self._bounds.depth_poll_s)

    async def _is_too_full(self) -> bool:
        """Whether consumers or the broker are behind; ``unknown`` is nobody's duty."""
        watched = [shard for shard in self.shards if shard.stream is not Stream.UNKNOWN]
        try:
            for shard in watched:
                self._depths[shard.name] = await self._queue.depth(shard)
        except QueueError as error:
            self.statistics.depth_errors += 1
            _log.warning("publishing waits: the queues' depth is unknown (%s)", error)
            return True
        ready = max(self._depths.values(), default=0)
        return ready > self._bounds.max_ready_batches or self._is_outbox_full()

    def _is_outbox_full(self) -> bool:
        """Whether too much waits for the broker's confirms."""
        outbox, bounds = self._queue.statistics, self._bounds
        return (
            outbox.waiting_batches > bounds.max_waiting_batches
            or outbox.waiting_bytes > bounds.max_waiting_bytes
        )

    def _pause(self) -> None:
        if not self._source.paused:
            self.statistics.pauses += 1
            self._source.pause()

    def _take(self, frame: bytes, slices: Sequence[Slice], newest_ms: int | None) -> None:
        """One frame, on the reader's own turn: count, join, publish."""
        now_ns = self._clock_ns()
        if self._capture is not None and frame:
            self._record(self._capture, frame, now_ns)
        if not slices:
            return
        made = self._source.connections
        ending = "" if made == self._reception.connections else self._source.last_ending
        if self._reception.note(newest_ms, now_ns, made, ending):
            self.statistics.holes = self._reception.holes
            self._interrupt()
        self._offer(slices, now_ns)

    def _interrupt(self) -> None:
        """Say with what comes next that a reconnection left a hole before it."""
        self._publish(self._batcher.interrupt())

    def _offer(self, slices: Sequence[Slice], received_ns: int) -> None:
        """Join slices to those before, and publish what is full."""
        full = self._batcher.add(slices, received_ns)
        if full:
            self._publish(full)
        if self._timer is None:
            self._arm(self._clock_ns())

    def _record(self, capture: Capture, frame: bytes, now_ns: int) -> None:
        """Capture is a by-product: when it fails, that is said, and listening goes on."""
        try:
            capture.write(frame, now_ns, self._monotonic_ns())
            self.statistics.captured_frames += 1
        except OSError as error:
            self._capture = None
            self.statistics.capture_errors += 1
            self._reason = f"capture stopped: {error}"
            _log.error("capture stopped: %s; listening goes on", error)

    def _publish(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._queue.publish(batch)
        if self._lossless and batches and self._is_outbox_full():
            self._pause()

    def _arm(self, now_ns: int) -> None:
        due_ns = self._batcher.next_due_ns()
        if due_ns is not None:
            delay_s = max(0, due_ns - now_ns) / 1e9
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._flush_due)

    def _flush_due(self) -> None:
        self._timer = None
        now_ns = self._clock_ns()
        self._publish(self._batcher.due(now_ns))
        self._arm(now_ns)

    # -- what it says of itself

    def _enter(self, state: State, reason: str = "") -> None:
        if self._state is not state:
            self._since_ms = self._clock_ns() // 1_000_000
        if not (state is State.RUNNING and self._draining.is_set()):
            self._state, self._reason = state, reason

    def report(self) -> Report:
        """Healthy only while the lease is ours, topics are subscribed and data comes."""
        works = self._state is State.RUNNING and self._source.healthy
        running = self._state is State.RUNNING
        newest = self._reception.newest_ms
        return Report(
            service=self.name,
            instance=self._instance,
            state=State.DEGRADED if running and not works else self._state,
            healthy=works,
            since_ms=self._since_ms,
            rates=dict(self._rates.now),
            lag_ms=None if newest is None else self._clock_ns() / 1e6 - newest,
            drops=self._drops(),
            queues=dict(self._depths),
            detail=self._source.detail() | self._detail(),
            reason=self._reason or ("" if works else self._source.last_ending),
        )

    def _drops(self) -> dict[str, int]:
        return {
            "outbox": self._queue.statistics.dropped_events,
            "no_shard": self._batcher.untaken.total(),
        }

    def _detail(self) -> dict[str, Any]:
        return {
            "events": dict(self._batcher.events),
            "batches": dict(self._batcher.batches),
            "taken_in": self._batcher.taken_in,
            "offsets": self._batcher.offsets(),
            "listener": to_builtins(self.statistics),
        }
