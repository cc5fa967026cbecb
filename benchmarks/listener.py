"""``listener``: frames in memory to batches at the broker's door, on one core.

The real listener and protocol run; only the socket is replaced by a list of frames and the
broker by a list that keeps every batch. Timed from the first frame to the batch that ends
the run, with one shard and with four.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NoReturn
from zlib import crc32

from benchmarks import machine
from benchmarks.batches import bodies_of, decode_rate
from benchmarks.frames import Recording
from benchmarks.peak import make_peak
from benchmarks.plan import Plan
from benchmarks.report import Row, complain, say
from tapewire.model.batch import Batch
from tapewire.model.streams import Shard, Stream
from tapewire.providers.batcher import Slice
from tapewire.providers.massive.client import MassiveClient, Take
from tapewire.providers.massive.protocol import FrameSplitter, MassiveConnection
from tapewire.queues.queue import OutboxStatistics, QueueError
from tapewire.runtime.lease import LocalLease
from tapewire.services.listener import MassiveDataListener

NAME: Final = "listener"
EVENTS_PER_SECOND: Final = 200_000
"""A run has this many events for each second asked for: a million by default."""

FRAMES_AT_ONCE: Final = 16
"""Frames read before the loop turns: about what one read from a busy socket brings."""

STREAMS: Final = {
    "T": "trades", "A": "aggregate", "AM": "aggregate", "Q": "quotes", "LULD": "halts",
}  # fmt: skip
"""Event type -> stream, as ``massive.md`` 1.4 has the types; all others are ``unknown``."""

METRICS: Final = {1: "events_per_second", 4: "events_per_second_4_shards"}

DIALOGUE: Final = (
    b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]',
    b'[{"ev":"status","status":"auth_success","message":"authenticated"}]',
    b'[{"ev":"status","status":"success","message":"subscribed to: T.*"}]',
)
"""What the provider says before the first event."""


class FramesInMemory(MassiveClient):
    """The client without its socket: the same protocol over a list of frames."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        super().__init__("ws://127.0.0.1/stocks", "benchmark", ["T.*"], once=True)
        self._frames = frames
        self.started = 0.0

    async def run(self, splitter: FrameSplitter, take: Take) -> None:
        connection = MassiveConnection("benchmark", ["T.*"], splitter)
        connection.opened()
        for frame in DIALOGUE:
            connection.receive(frame)
            connection.data_to_send()
        remaining = iter(self._frames)
        self.started = time.perf_counter()
        while some := list(islice(remaining, FRAMES_AT_ONCE)):
            for frame in some:
                items = connection.receive(frame)
                take(frame, [item for item in items if isinstance(item, Slice)])
            await asyncio.sleep(0)


class Sink:
    """Where a broker would be: keeps every batch, and when the last one came."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.ended = 0.0
        self.statistics = OutboxStatistics()

    def publish(self, batch: Batch) -> None:
        self.batches.append(batch)
        if batch.ending:
            self.ended = time.perf_counter()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def declare(self, shards: Sequence[Shard]) -> None: ...

    async def settle(self) -> None: ...

    async def depth(self, shard: Shard) -> int:
        return 0

    async def delete(self, shards: Sequence[Shard]) -> None: ...

    async def consume(self, shard: Shard) -> NoReturn:
        raise QueueError(f"nobody consumes {shard.name} here")


def run(plan: Plan) -> Iterator[Row]:
    """One row for one shard, one for four."""
    recording = frames_of(plan)
    count = sum(len(lines) for lines in routed(recording.events(), 1).values())
    say(f"listener: {recording.label}: {count:,} events in {len(recording.frames):,} frames")
    with machine.on_core(0):
        bodies = bodies_of(recording.frames)
        reference = machine.median([decode_rate(bodies) for _ in range(plan.runs)])
    for shards, metric in METRICS.items():
        yield row(plan, recording, shards, metric, reference)


def frames_of(plan: Plan) -> Recording:
    """The file's frames as they are; else the first million events of the peak."""
    if plan.recording.lean is None:
        return plan.recording
    events = round(EVENTS_PER_SECOND * plan.seconds)
    peak = make_peak(plan.recording, events, EVENTS_PER_SECOND)
    return Recording(f"{plan.recording.label}, cloned × {peak.clones}", peak.frames())


def row(plan: Plan, recording: Recording, shards: int, metric: str, reference: float) -> Row:
    """The median of the runs; every run's batches are checked."""
    expected = routed(recording.events(), shards)
    rates, wrong = [], []
    for _ in plan.counted(f"listener, {shards} shard(s)"):
        seconds, sink = listen(recording.frames, shards)
        rates.append(sum(map(len, expected.values())) / seconds)
        say(f"  {rates[-1]:,.0f} events/s ({seconds:.2f} s, {len(sink.batches)} batches)")
        wrong += differences(sink.batches, expected)
    complain(NAME, wrong)
    return Row.of(NAME, metric, machine.median(rates), reference, wrong)


def listen(frames: Sequence[bytes], shards: int) -> tuple[float, Sink]:
    """Read all frames once, on the first core: seconds, and the batches that came out."""
    sink = Sink()
    with machine.on_core(0):
        seconds = machine.run_on_loop(lambda: _listen(frames, shards, sink))
    return seconds, sink


async def _listen(frames: Sequence[bytes], shards: int, sink: Sink) -> float:
    client = FramesInMemory(frames)
    streams = {Stream(name): shards for name in STREAMS.values()}
    service = MassiveDataListener(client, sink, LocalLease(1), shards=streams)
    await service.start()
    await service.wait()
    await service.stop()
    return sink.ended - client.started


Routed = dict[tuple[str, int], list[bytes]]
"""(stream, shard) -> the events that belong there, in order."""


def routed(events: Iterable[bytes], shards: int) -> Routed:
    """Where every event has to go, by ``crc32(symbol) % shards``; statuses go nowhere."""
    places: Routed = defaultdict(list)
    for text in events:
        event = json.loads(text)
        if not isinstance(event, dict):
            places["unknown", 0].append(text)
            continue
        stream = STREAMS.get(event.get("ev", ""), "unknown")
        if event.get("ev") == "status":
            continue
        symbol = event.get("sym") or event.get("T") or ""
        known = stream != "unknown"
        places[stream, crc32(symbol.encode()) % shards if known else 0].append(text)
    return places


def differences(batches: Sequence[Batch], expected: Routed) -> list[str]:
    """Which shards did not get exactly their events, once each, in order and unchanged."""
    found: dict[tuple[str, int], list[Batch]] = defaultdict(list)
    for batch in batches:
        if batch.count:
            found[batch.stream.value, batch.shard].append(batch)
    places = sorted(found.keys() | expected.keys())
    return [line for place in places for line in _wrong(place, found[place], expected)]


def _wrong(place: tuple[str, int], batches: list[Batch], expected: Routed) -> Iterator[str]:
    events = expected.get(place, [])
    if b",".join(batch.payload for batch in batches) != b",".join(events):
        yield f"{place}: the events are not those that belong there"
    offset = 0
    for batch in batches:
        if batch.offset != offset:
            yield f"{place}: a batch begins at {batch.offset}, expected {offset}"
        offset = batch.offset + batch.count
    if offset != len(events):
        yield f"{place}: {offset} events counted, expected {len(events)}"
