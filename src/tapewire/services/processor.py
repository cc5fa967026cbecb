"""MassiveDataProcessor: owns shards, folds their batches, flushes what changed.

Ownership (architecture decision 3): attach to a shard's queue; with the first delivery
claim, restore, fold; every 100 ms one fenced flush, then acknowledge. It ends when the
channel closes or a newer owner is met: memory is dropped and the shard attached anew.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

from tapewire.caches.cache import Fenced, WidgetCache
from tapewire.market.symbols import shard_of
from tapewire.model.rows import Fact, Reference
from tapewire.model.streams import Shard
from tapewire.queues.queue import ChannelClosed, Consumer, Queue, QueueError
from tapewire.runtime.service import Report, State
from tapewire.services.facts import SOURCES, FactFollower
from tapewire.services.shard_owner import RETRY_S, ProcessorOptions, References, ShardOwner
from tapewire.services.shard_state import Decode, ShardState, TimedAnalyzer

_log = logging.getLogger(__name__)

STAND_BY_S: Final = 3.0
"""How long after its own shards a processor attaches to the others."""

CALM_S: Final = 0.01
CALM_LOOKS: Final = 2
"""How often, and for how many times in a row, nothing is to be seen before a drain goes on."""


class MassiveDataProcessor:
    """A service that owns its shards and stands by for the others'.

    ``shards`` are the same list, in the same order, for all processors that share them.
    ``make_analyzers`` builds fresh analyzers for each ownership of a shard; ``homes_up``
    tells the indices of the processors that have been up for 5 s; ``sink_drops`` what a sink
    that takes from the decoding has dropped, by reason, for the report.
    """

    name = "processor"

    def __init__(
        self,
        queue: Queue,
        cache: WidgetCache,
        references: References,
        shards: Sequence[Shard],
        make_analyzers: Callable[[Shard], Sequence[TimedAnalyzer]],
        decode: Decode,
        options: ProcessorOptions,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
        homes_up: Callable[[], Awaitable[Collection[int]]] | None = None,
        sink_drops: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._queue = queue
        self._cache = cache
        self._references = references
        self._shards = tuple(shards)
        self._homes = {shard: k % options.processors for k, shard in enumerate(self._shards)}
        self._make_analyzers = make_analyzers
        self._decode = decode
        self._options = options
        self._now_ms = now_ms
        self._homes_up = homes_up or _nobody
        self._sink_drops = sink_drops
        self._owners: dict[Shard, ShardOwner] = {}
        self._consumers: dict[Shard, Consumer] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._facts = FactFollower(cache, self.learn)
        self._following: asyncio.Task[None] | None = None
        self._state = State.STARTING
        self._since_ms = int(now_ms())
        self._takeovers: Counter[str] = Counter()
        self._folded_before = 0
        self._rates = RateMeter()
        self._failed: asyncio.Future[None] | None = None
        self._draining = asyncio.Event()

    async def start(self) -> None:
        """Attach to every shard: its own now, the others as stand-by 3 s later."""
        await self._queue.start()
        await self._queue.declare(self._shards)
        self._failed = asyncio.get_running_loop().create_future()
        self._following = asyncio.create_task(self._facts.run(), name="facts")
        self._following.add_done_callback(self._on_done)
        for shard in self._shards:
            self._watch(asyncio.create_task(self._hold(shard), name=f"hold {shard.name}"))
        if self._options.processors > 1:
            self._watch(asyncio.create_task(self._give_back(), name="give back"))
        self._state = State.RUNNING

    def _watch(self, task: "asyncio.Task[None]") -> None:
        task.add_done_callback(self._on_done)
        self._tasks.append(task)

    def home_of(self, shard: Shard) -> int:
        """The index of the shard's own processor.

        Shards are dealt out in turn, over all streams, so that several streams of few shards
        occupy as many processors as there are shards.
        """
        return self._homes[shard]

    def is_home(self, shard: Shard) -> bool:
        """Whether this processor is the shard's own."""
        return self.home_of(shard) == self._options.index

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error and self._failed and not self._failed.done():
            self._state = State.FAILED
            self._failed.set_exception(error)

    async def wait(self) -> None:
        """Return never by itself; raise what ended a shard's task."""
        assert self._failed is not None
        await self._failed

    async def _hold(self, shard: Shard) -> None:
        if not self.is_home(shard):
            await self._pause(STAND_BY_S)
        while not self._draining.is_set():
            pause_s = RETRY_S
            try:
                await self._own(shard)
                pause_s = STAND_BY_S  # handed over: let the shard's own processor have it
            except* ChannelClosed:
                _log.info("%s: the channel closed; attaching again", shard.name)
            except* QueueError as errors:
                _log.warning("%s: %s", shard.name, errors.exceptions[0])
            except* Fenced as errors:
                _log.warning("%s: %s; memory dropped", shard.name, errors.exceptions[0])
            await self._pause(pause_s)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not while draining."""
        try:
            await asyncio.wait_for(self._draining.wait(), seconds)
        except TimeoutError:
            return

    async def _own(self, shard: Shard) -> None:
        consumer = await self._queue.consume(shard)
        self._consumers[shard] = consumer
        try:
            first = await consumer.receive()
            options = self._options
            state = ShardState(
                shard,
                self._make_analyzers(shard),
                self._decode,
                live=options.live,
                delay_ms=options.delay_of(shard.stream),
            )
            owner = ShardOwner(state, consumer, self._cache, self._options, self._now_ms)
            self._owners[shard] = owner
            state.learn(self._concerning(shard, self._facts.known()))
            self._takeovers[shard.name] += 1
            await owner.run(first, self._references)
        finally:
            await consumer.close()
            self._forget(shard)

    def _forget(self, shard: Shard) -> None:
        owner = self._owners.pop(shard, None)
        if owner:
            self._folded_before += owner.state.folded
            owner.closed.set()
        self._consumers.pop(shard, None)

    def refer(self, references: Sequence[Reference]) -> None:
        """Give changed reference rows to every owned shard."""
        for owner in self._owners.values():
            owner.state.refer(references)

    def learn(self, facts: Sequence[Fact]) -> None:
        """Give facts to the owned shards whose symbols they are about."""
        for shard, owner in self._owners.items():
            owner.state.learn(self._concerning(shard, facts))

    def _concerning(self, shard: Shard, facts: Sequence[Fact]) -> Sequence[Fact]:
        count = sum(other.stream is shard.stream for other in self._shards)
        if count == 1:
            return facts
        return [fact for fact in facts if shard_of(fact.symbol, count) == shard.index]

    async def hand_over(self, shard: Shard) -> None:
        """Flush, acknowledge, close the channel: another processor takes the shard at once.

        Returns when the channel has closed.
        """
        owner = self._owners.get(shard)
        if owner:
            await owner.leave()
            await owner.closed.wait()

    async def _give_back(self) -> None:
        """Hand shards over whose own processor has been up for a while.

        A shard that was just taken over stays: its own processor's death may be so fresh that
        nobody has heard of it.
        """
        while not self._draining.is_set():
            await self._pause(1.0)
            up = await self._homes_up()
            settled_s = time.monotonic() - STAND_BY_S
            for shard, owner in list(self._owners.items()):
                known = owner.began_s < settled_s and not self.is_home(shard)
                if known and self.home_of(shard) in up:
                    _log.info("%s: giving it back to its own processor", shard.name)
                    await self.hand_over(shard)

    async def drain(self) -> None:
        """Fold what waits, hand every shard over, and stop standing by for the others.

        Shards that tell facts go first: what they and others have flushed is learned before the
        last rows are written.
        """
        self._state = State.DRAINING
        await self._catch_up()
        self._draining.set()
        for shard in [shard for shard in self._owners if shard.stream in SOURCES]:
            await self.hand_over(shard)
        if self._owners and self._following and not self._following.done():
            await self._facts.catch_up()
        while holding := [task for task in self._tasks if not task.done()]:
            for shard, consumer in list(self._consumers.items()):
                if shard in self._owners:  # others that drain may just have made it ours
                    await self.hand_over(shard)
                else:
                    await consumer.close()
            await asyncio.wait(holding, timeout=0.01)

    async def _catch_up(self) -> None:
        """Fold what waits for shards of our own, unless that takes too long; the rest goes back.

        Twice nothing may wait: a delivery can be on its way from the queue to its owner.
        """
        calm = 0
        try:
            async with asyncio.timeout(self._options.finish_s):
                while calm < CALM_LOOKS:
                    await asyncio.sleep(CALM_S)
                    calm = calm + 1 if await self._is_calm() else 0
        except TimeoutError:
            _log.warning("what waits is left in the queues: it takes too long")

    async def _is_calm(self) -> bool:
        """Whether nothing waits, or cannot be folded now: there is no cache to continue from."""
        for shard in self._shards:
            owner = self._owners.get(shard)
            if owner is None and not self.is_home(shard):
                continue
            if owner is not None and owner.place is None and owner.cache_gone:
                continue
            try:
                waits = await self._queue.depth(shard) > 0
            except QueueError:
                continue
            if waits or (owner is not None and not owner.idle):
                return False
        return True

    async def stop(self) -> None:
        """Close everything.

        Asks again: on Python 3.11 ``wait_for`` in a library may lose a cancellation.
        """
        tasks = [*self._tasks, *([self._following] if self._following else [])]
        while running := [task for task in tasks if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=0.5)
        await self._queue.stop()
        self._state = State.STOPPED

    @property
    def owned(self) -> dict[str, ShardState]:
        """The states of the shards that this processor owns now, by shard name."""
        return {shard.name: owner.state for shard, owner in self._owners.items()}

    def report(self) -> Report:
        """Figures of the owned shards."""
        states = [owner.state for owner in self._owners.values()]
        now_ms = self._now_ms()
        folded = self._folded_before + sum(state.folded for state in states)
        newest = max((state.second_ms for state in states), default=-1)
        drops: Counter[str] = Counter(self._sink_drops())
        for state in states:
            drops.update(state.skips())
        failing = any(owner.cache_gone for owner in self._owners.values())
        return Report(
            service=self.name,
            instance=self._options.instance,
            state=State.DEGRADED if failing else self._state,
            healthy=self._state is State.RUNNING and not failing,
            since_ms=self._since_ms,
            rates={"events": self._rates.measure(folded, now_ms)},
            lag_ms=now_ms - newest if newest >= 0 else None,
            gaps={state.shard.name: state.lost for state in states},
            drops=dict(drops),
            detail=self._detail(now_ms),
            reason="the widget data cache does not answer" if failing else "",
        )

    def _detail(self, now_ms: float) -> dict[str, Any]:
        return {
            "shards": {
                shard.name: {
                    "place": str(owner.place),
                    "flushes": owner.flushes,
                    "flush_ms": round(owner.flush_s * 1000, 2),
                    "lag_ms": _lag_ms(owner.state, now_ms),
                    "applied": owner.state.applied,
                    "events": owner.state.totals.events,
                    "candles": owner.state.candles,
                    "lost": owner.state.lost,
                    "duplicates": owner.state.refusals.duplicates,
                    "batches": owner.state.totals.batches,
                    "ended": owner.state.ended,
                }
                for shard, owner in self._owners.items()
            },
            "takeovers": dict(self._takeovers),
        }

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``hand_over`` {shard}: give a shard to whoever stands by."""
        if name != "hand_over":
            raise ValueError(f"unknown command {name!r}; known: hand_over")
        shard = Shard.parse(str(arguments.get("shard", "")))
        await self.hand_over(shard)
        return {"handed_over": shard.name}


def _lag_ms(state: ShardState, now_ms: float) -> float | None:
    """How far a shard's event time is behind the clock, None before its first event."""
    return now_ms - state.second_ms if state.second_ms >= 0 else None


async def _nobody() -> Collection[int]:
    return ()


class RateMeter:
    """Events a second between two looks."""

    def __init__(self) -> None:
        self._count = 0
        self._at_ms = 0.0

    def measure(self, count: int, now_ms: float) -> float:
        """Rate since the last call; 0 at the first."""
        seconds = (now_ms - self._at_ms) / 1000 if self._at_ms else 0.0
        rate = (count - self._count) / seconds if seconds > 0 else 0.0
        self._count, self._at_ms = count, now_ms
        return round(rate, 1)
