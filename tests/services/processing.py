"""Processors over the in-memory queue and cache, and what they should have made of a day."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from tapewire.caches.cache import CacheUnavailable, Claim, Place, Wanted
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.model.batch import encode_batch
from tapewire.model.changes import Changes
from tapewire.model.events import Trade
from tapewire.model.feeds import BOARDS
from tapewire.model.positions import Positions
from tapewire.model.rows import Reference
from tapewire.model.streams import Shard, Stream
from tapewire.providers.massive.protocol import decode
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.services.analysis import Analysis
from tapewire.services.processor import MassiveDataProcessor
from tapewire.services.shard_owner import FINISH_S, ProcessorOptions
from tapewire.services.shard_state import PROGRESS, Totals, decode_totals
from tests.analyzers.market import Store
from tests.analyzers.tape import FRIDAY, ms
from tests.services.owner import Owner
from tests.services.producer import TRADES, Producer

SECOND_SHARD = Shard(Stream.TRADES, 1)
REFERENCES = [Reference("AAPL", FRIDAY, prev_day_close=98.0, avg_volume=1_000.0)]


class UnreliableCache(MemoryWidgetCache):
    """Goes away when told to, and can lose what it had."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.flushes = 0
        self.claims_to_refuse = 0

    def _answer(self) -> None:
        if self.away:
            raise CacheUnavailable("no answer")

    async def claim(self, shard: str) -> Claim:
        self._answer()
        if self.claims_to_refuse:
            self.claims_to_refuse -= 1
            raise CacheUnavailable("still loading")
        return await super().claim(shard)

    async def fetch(self, shard: str, hashes: Wanted) -> dict[str, dict[str, bytes]]:
        self._answer()
        return await super().fetch(shard, hashes)

    async def flush(
        self, shard: str, expected: Place, positions: Mapping[str, bytes], changes: Changes
    ) -> Place:
        self._answer()
        place = await super().flush(shard, expected, positions, changes)
        self.flushes += 1
        return place

    def lose_everything(self) -> None:
        self._shards.clear()


class FixedReferences:
    """Reference rows that do not change."""

    async def snapshot(self) -> Sequence[Reference]:
        return REFERENCES


class Platform:
    """A broker, a cache, producers, and any number of processors."""

    def __init__(self, shards: Sequence[Shard] = (TRADES,)) -> None:
        self.broker = MemoryBroker()
        self.cache = UnreliableCache()
        self.shards = shards
        self.layout = QueueLayout.lossless("", {Stream.TRADES: len(shards)})
        self.producer = Producer()
        self.homes_up: set[int] = set()
        self._publisher = MemoryQueue(self.broker, self.layout)

    @asynccontextmanager
    async def processor(
        self,
        index: int = 0,
        processors: int = 1,
        *,
        flush_s: float = 0.01,
        prefetch: int = 500,
        finish_s: float = FINISH_S,
    ) -> AsyncIterator[MassiveDataProcessor]:
        one = MassiveDataProcessor(
            MemoryQueue(self.broker, self.layout, prefetch=prefetch),
            self.cache,
            FixedReferences(),
            self.shards,
            Analysis.of(["T.*"]).maker(),
            decode,
            ProcessorOptions(
                instance=str(index),
                index=index,
                processors=processors,
                flush_s=flush_s,
                prefetch=prefetch,
                live=False,
                finish_s=finish_s,
            ),
            homes_up=self._homes_up,
        )
        await one.start()
        try:
            yield one
        finally:
            await one.stop()

    async def _homes_up(self) -> Collection[int]:
        return self.homes_up

    def publish(self, *trades: Trade, ending: bool = False) -> None:
        self._publisher.publish(self.producer.batch(*trades, ending=ending))

    async def depth(self) -> int:
        return sum([await self._publisher.depth(shard) for shard in self.shards])

    def applied(self, shard: Shard = TRADES) -> int:
        """How far the store's positions are."""
        stored = Positions.unpack(self.cache._shard(shard.name).positions)
        return sum(position.applied for position in stored.by_producer.values())

    def ended(self, shard: Shard = TRADES) -> bool:
        """The replay's end is flushed."""
        return "ended" in self.cache._shard(shard.name).hashes.get("private:" + PROGRESS, {})

    async def settled(self) -> None:
        """Everything that was published is flushed."""
        await until(lambda: self.applied() == self.producer.taken_in)

    async def stored(self) -> Store:
        """What readers find."""
        store = Store()
        for shard in self.shards:
            names = await self.cache.names(shard.name)
            boards = [name for name in names if name.partition(":")[0] in BOARDS]
            found = await self.cache.snapshot(
                shard.name, dict.fromkeys(set(names) - set(boards)), boards
            )
            for name, rows in found.rows.items():
                if not name.startswith("private:"):
                    store.rows[name] = rows
            store.boards |= found.boards
        return store

    def totals(self, shard: Shard = TRADES) -> Totals:
        stored = self.cache._shard(shard.name).hashes["private:" + PROGRESS]
        return decode_totals(stored["totals"])


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)


def day(count: int = 60) -> list[Trade]:
    """Trades of two symbols, ten a second, over a minute's end; every tenth comes late."""
    trades = []
    for number in range(count):
        t = ms("09:31:57") + number * 100 - (number % 10 == 9) * 1_500
        symbol = "AAPL" if number % 3 else "IBM"
        trades.append(Trade(symbol, 100 + number % 7, 10 + number, t, (), number + 1))
    return trades


def expected(*batches: Sequence[Trade], gaps: Sequence[int] = ()) -> Store:
    """The rows of one owner that folds everything in one go; ``gaps`` are batches lost."""
    owner = Owner()
    owner.state.refer(REFERENCES)
    bodies = [encode_batch(owner.producer.batch(*trades)) for trades in batches]
    owner.take(*(body for place, body in enumerate(bodies) if place not in gaps))
    owner.take(owner.producer.deliver(ending=True))
    owner.flush()
    return owner.store


def parts(trades: list[Trade], size: int = 5) -> list[list[Trade]]:
    return [trades[first : first + size] for first in range(0, len(trades), size)]
