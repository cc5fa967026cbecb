"""Frames as the batches that a listener would publish, and how fast they decode alone."""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from tapewire.model.batch import decode_batch, encode_batch
from tapewire.model.streams import Shard, Stream
from tapewire.providers.batcher import Batcher, Slice
from tapewire.providers.massive.splitter import FrameSplitter, QueueNameResolver
from tapewire.providers.massive.wire import decode

TRADES: Final = Shard(Stream.TRADES, 0)
EPOCH: Final = 1


def bodies_of(frames: Iterable[bytes], shard: Shard = TRADES) -> list[bytes]:
    """A shard's events in frames as encoded batches of 64 KB, then the batch that ends the run.

    Split and joined by the listener's own parts; a batch never leaves for its age here.
    """
    splitter = FrameSplitter(QueueNameResolver({shard.stream: 1}))
    batcher = Batcher("massive", "benchmark", [shard])
    batcher.begin(EPOCH)
    bodies: list[bytes] = []
    for frame in frames:
        slices = [item for item in splitter.split(frame) if isinstance(item, Slice)]
        bodies += map(encode_batch, batcher.add(slices, 0))
    bodies += map(encode_batch, batcher.ending(0))
    return bodies


def decode_rate(bodies: Sequence[bytes]) -> float:
    """Events a second of decoding these batches and nothing else."""
    events = 0
    started = time.perf_counter()
    for body in bodies:
        events += len(decode(decode_batch(body)).events)
    return events / (time.perf_counter() - started)
