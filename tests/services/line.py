"""A whole line in one process on a clock that the test moves: frames in, a cache's rows out.

The listener's splitter and batcher, each shard's owner with whatever analyzers the settings
wire, and the in-memory cache. There is no socket, no queue and no waiting in between, so a test
says itself where batches end, what comes twice, when something is flushed, and who crashes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tapewire.caches.cache import Place
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.model.batch import Batch, encode_batch
from tapewire.model.rows import Reference
from tapewire.model.streams import Shard, Stream
from tapewire.providers.batcher import Batcher, Slice
from tapewire.providers.massive.protocol import decode
from tapewire.providers.massive.splitter import FrameSplitter, QueueNameResolver
from tapewire.services.analysis import Analysis
from tapewire.services.listener import newest_of
from tapewire.services.reception import Reception
from tapewire.services.shard_owner import stored_name
from tapewire.services.shard_state import ShardState

NAMES = {"T": Stream.TRADES, "A": Stream.AGGREGATE, "Q": Stream.QUOTES, "LULD": Stream.HALTS}

Row = dict[str, Any]


class Line:
    """``topics`` such as ``T.*`` decide what is folded from what; ``shards`` holds per stream."""

    def __init__(
        self,
        *topics: str,
        shards: int = 1,
        live: bool = False,
        delay_ms: int | None = None,
        references: Iterable[Reference] = (),
    ) -> None:
        streams = dict.fromkeys((NAMES[topic.partition(".")[0]] for topic in topics), shards)
        self.shards = [Shard(stream, k) for stream, n in streams.items() for k in range(n)]
        self.now_ms = 0
        self.cache = MemoryWidgetCache()
        self.states: dict[Shard, ShardState] = {}
        self._places: dict[Shard, Place] = {}
        self._make = Analysis.of(topics).maker()
        self._live, self._delay_ms = live, delay_ms
        self._references = list(references)
        self._splitter = FrameSplitter(QueueNameResolver(streams))
        self._batcher = Batcher("massive", "massive", self.shards)
        self._batcher.begin(1)
        self._reception = Reception()

    async def start(self) -> "Line":
        """Claim every shard."""
        for shard in self.shards:
            await self.claim(shard)
        return self

    async def claim(self, shard: Shard) -> None:
        """A new owner, that continues from what is stored; what was not flushed is gone."""
        state = ShardState(
            shard, self._make(shard), decode, live=self._live, delay_ms=self._delay_ms
        )
        claim = await self.cache.claim(shard.name)
        first = await self._private(shard, state.first_hashes())
        further = await self._private(shard, state.further_hashes(first))
        state.restore(claim.positions, first | further)
        state.refer(self._references)
        self.states[shard], self._places[shard] = state, claim.place

    async def _private(self, shard: Shard, names: Sequence[str]) -> dict[str, dict[str, bytes]]:
        stored = {stored_name(name): name for name in names}
        found = await self.cache.fetch(shard.name, dict.fromkeys(stored))
        return {stored[name]: values for name, values in found.items()}

    def batches(self, frame: Sequence[str]) -> list[Batch]:
        """What the listener publishes for a frame of events, at once."""
        split = self._splitter.split(f"[{','.join(frame)}]")
        slices = [each for each in split if isinstance(each, Slice)]
        self._reception.note(newest_of(slices), self._now_ns, 1, "")
        full = self._batcher.add(slices, self._now_ns)
        return [*full, *self._batcher.flush()]

    def heartbeats(self) -> list[Batch]:
        """An empty batch for every shard."""
        return self._batcher.heartbeat(self._now_ns, self._reception.newest_ms or 0)

    def endings(self) -> list[Batch]:
        """The batches that end a replay."""
        return self._batcher.ending(self._now_ns, self._reception.latest_ms)

    @property
    def _now_ns(self) -> int:
        return self.now_ms * 1_000_000

    def take(self, batches: Iterable[Batch]) -> None:
        """Deliver to the owners."""
        for batch in batches:
            if batch.destination in self.states:  # what no stream folds has no owner here
                self.states[batch.destination].take(encode_batch(batch))

    async def flush(self, *shards: Shard) -> None:
        """Flush these shards, or all of them."""
        for shard in shards or self.shards:
            state = self.states[shard]
            changes, positions = state.drain(), state.positions.pack()
            self._places[shard] = await self.cache.flush(
                shard.name, self._places[shard], positions, changes
            )

    async def finish(self) -> list[Row]:
        """End the replay; the dump."""
        self.take(self.endings())
        await self.flush()
        return await self.dump()

    async def dump(self) -> list[Row]:
        """What ``tapewire dump`` prints."""
        return [row async for row in WidgetReader(self.cache).dump()]

    def skipped(self) -> dict[str, int]:
        """Events not applied, by reason, over all shards."""
        found: dict[str, int] = defaultdict(int)
        for state in self.states.values():
            for reason, count in state.skips().items():
                found[reason] += count
        return dict(found)
