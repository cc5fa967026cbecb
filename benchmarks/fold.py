"""``fold``: batches in memory to rows in Redis, one processor on one core.

``events_per_second`` folds a peak of the live market (``peak.py``), event time running at
wall speed; ``replay_events_per_second`` a day as it is, as fast as it goes, with every
second's cut. Timed from the first batch to the confirmed flush that ends the run.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from benchmarks import answers, machine, oracle, recorded_day
from benchmarks.batches import TRADES, bodies_of, decode_rate
from benchmarks.fit import fit
from benchmarks.frames import Recording, is_trade
from benchmarks.peak import Peak, clone_name
from benchmarks.plan import Plan
from benchmarks.report import Row, complain, say
from benchmarks.roles import FixedReferences
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.rows import Reference
from tapewire.model.streams import Shard
from tapewire.providers.massive.wire import decode
from tapewire.queues.queue import DEFAULT_PREFETCH, Delivery
from tapewire.services.analysis import Analysis
from tapewire.services.shard_owner import ProcessorOptions, ShardOwner
from tapewire.services.shard_state import ShardState
from tests.servers import RedisServer

NAME: Final = "fold"
FIRST_GUESS: Final = 300_000.0
"""Events a second for which the first run is made."""

CORE: Final = Analysis.of(["T.*"]).choosing(("quotes", "leaderboard", "candles"))
"""What this benchmark folds; ``analyzers`` folds with everything on."""


class Timing(Struct, frozen=True):
    """One run: wall seconds, events folded, flushes written."""

    seconds: float
    events: int
    flushes: int

    @property
    def rate(self) -> float:
        return self.events / self.seconds


class MemoryConsumer:
    """Batches in memory, handed on as a broker does: at most ``prefetch`` unacknowledged."""

    def __init__(self, bodies: Sequence[bytes], prefetch: int = DEFAULT_PREFETCH) -> None:
        self._bodies = bodies
        self._prefetch = prefetch
        self._sent = 0
        self._acknowledged = 0
        self._room = asyncio.Event()
        self.finished = asyncio.Event()

    async def receive(self) -> Sequence[Delivery]:
        while True:
            self._room.clear()
            end = min(len(self._bodies), self._acknowledged + self._prefetch)
            if end > self._sent:
                start, self._sent = self._sent, end
                return [Delivery(self._bodies[k], k + 1) for k in range(start, end)]
            await self._room.wait()

    async def acknowledge(self, up_to: int) -> None:
        self._acknowledged = up_to
        self._room.set()
        if up_to == len(self._bodies):
            self.finished.set()

    async def close(self) -> None:
        self._room.set()


def run(plan: Plan) -> Iterator[Row]:
    """Both metrics."""
    with redis_on_the_other_core(plan.folder) as redis:
        yield peak_row(plan, redis)
        yield replay_row(plan, redis)


@contextmanager
def redis_on_the_other_core(folder: Path) -> Iterator[RedisServer]:
    """A Redis of our own on the last core; whoever measures takes the first."""
    if len(machine.cores()) < 2:
        say("fewer than two cores can be chosen here: Redis shares the processor's")
    server = RedisServer(folder / "redis")
    with machine.on_core(-1):
        server.start()
    try:
        yield server
    finally:
        server.stop()


def peak_row(plan: Plan, redis: RedisServer) -> Row:
    """The peak, made for the speed that a few runs before reach."""
    say("fold: finding the speed to make event time for")
    peak = fit(plan, FIRST_GUESS, lambda peak: once(peak, redis).rate)
    say(f"fold: {described(plan.recording, peak)}")
    closes = previous_closes(peak)
    expected, rows = expected_of(peak, closes), references(peak, closes)
    bodies = bodies_of(peak.frames())
    timings, wrong = [], []
    for _ in plan.counted("fold"):
        timings.append(timed(bodies, redis, rows))
        wrong += answers.differences(redis.url, expected)
    tell("fold", timings, peak.events_per_second)
    complain("fold", wrong)
    reference = reference_rate(plan, bodies)
    return Row.of(NAME, "events_per_second", middle(timings), reference, wrong)


def once(peak: Peak, redis: RedisServer) -> Timing:
    """One run over a peak made for it."""
    return timed(bodies_of(peak.frames()), redis, references(peak, previous_closes(peak)))


def replay_row(plan: Plan, redis: RedisServer) -> Row:
    """The recorded day as it is."""
    recording = plan.recording
    say(f"fold: {recording.label} as they are")
    bodies = bodies_of(recording.frames)
    expected = recorded_day.expected(recording)
    timings, wrong = [], []
    for _ in plan.counted("fold, replay"):
        timings.append(timed(bodies, redis, (), live=False))
        wrong += answers.differences(redis.url, expected)
    complain("fold, replay", wrong)
    reference = reference_rate(plan, bodies)
    return Row.of(NAME, "replay_events_per_second", middle(timings), reference, wrong)


def middle(timings: Sequence[Timing]) -> float:
    """The median rate of the runs, in events a second."""
    return machine.median([timing.rate for timing in timings])


def reference_rate(plan: Plan, bodies: Sequence[bytes]) -> float:
    """Decoding alone, on the core that folded."""
    with machine.on_core(0):
        return machine.median([decode_rate(bodies) for _ in range(plan.runs)])


def timed(
    bodies: Sequence[bytes],
    redis: RedisServer,
    references: Sequence[Reference],
    *,
    live: bool = True,
    shard: Shard = TRADES,
    analysis: Analysis = CORE,
) -> Timing:
    """Fold everything once into an empty Redis, on the first core."""
    redis.call("FLUSHALL")
    with machine.on_core(0):
        state = ShardState(shard, analysis.maker()(shard), decode, live=live)
        timing = machine.run_on_loop(lambda: fold(bodies, redis.url, references, state, live=live))
    say(f"  {timing.rate:,.0f} events/s ({timing.seconds:.2f} s, {timing.flushes} flushes)")
    return timing


async def fold(
    bodies: Sequence[bytes],
    url: str,
    references: Sequence[Reference],
    state: ShardState,
    *,
    live: bool,
) -> Timing:
    """One ownership of one shard from its first batch to the flush that covers its last."""
    consumer = MemoryConsumer(bodies)
    cache = RedisWidgetCache(url)
    await cache.shards()  # connected before the clock runs
    options = ProcessorOptions(live=live)
    owner = ShardOwner(state, consumer, cache, options, lambda: time.time() * 1000)
    started = time.perf_counter()
    owning = asyncio.create_task(owner.run(await consumer.receive(), FixedReferences(references)))
    finished = asyncio.create_task(consumer.finished.wait())
    await asyncio.wait({owning, finished}, return_when=asyncio.FIRST_COMPLETED)
    seconds = time.perf_counter() - started
    finished.cancel()
    if not owning.done():
        await owner.leave()
    await owning
    await cache.close()
    return Timing(seconds, state.totals.events, owner.flushes)


def previous_closes(peak: Peak) -> dict[str, float]:
    """Made-up previous closes: each ticker's first price, so that every board has scores."""
    closes: dict[str, float] = {}
    for original in peak.originals:
        closes.setdefault(original.trade["sym"], original.trade["p"])
    return closes


def previous_closes_of(recording: Recording) -> dict[str, float]:
    """The same of a whole recording."""
    closes: dict[str, float] = {}
    for text in recording.events():
        event = json.loads(text)
        if is_trade(event):
            closes.setdefault(event["sym"], event["p"])
    return closes


def names_of(peak: Peak, symbol: str) -> list[str]:
    """The tickers that a recorded ticker stands for."""
    if peak.clones == 1:
        return [symbol]
    return [clone_name(symbol, k) for k in range(peak.clones)]


def references(peak: Peak, closes: dict[str, float]) -> list[Reference]:
    """Reference rows of every ticker of the peak."""
    date = oracle.half_hour(peak.originals[0].trade["t"] // 1_800_000)[0]
    return [
        Reference(name, date, prev_day_close=close, avg_volume=1e6)
        for symbol, close in closes.items()
        for name in names_of(peak, symbol)
    ]


def expected_of(peak: Peak, closes: dict[str, float]) -> oracle.Answers:
    """What must stand in Redis after the peak."""
    answers_of_originals = oracle.of_trades((one.trade for one in peak.originals), closes)
    names = {symbol: names_of(peak, symbol) for symbol in closes}
    return oracle.cloned(answers_of_originals, names)


def described(recording: Recording, peak: Peak) -> str:
    """What a run folds, in words."""
    clones = f", cloned × {peak.clones}" if peak.clones > 1 else ""
    return (
        f"{recording.label}{clones}: {peak.count:,} events,"
        f" {peak.events_per_second:,.0f} of them in a second of event time"
    )


def tell(name: str, timings: Sequence[Timing], events_per_second: float) -> None:
    """Say how event time ran, so that nobody has to believe it."""
    shortest = min(timing.seconds for timing in timings)
    say(
        f"{name}: {middle(timings) / events_per_second:.2f} cuts a second of wall time;"
        f" the shortest run took {shortest:.1f} s"
    )
