"""Halts and best quotes of other streams' shards in the quote records."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from tapewire.caches.cache import Place
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.model.changes import Changes
from tapewire.model.feeds import best_quote_hash, halt_hash, quote_hash
from tapewire.model.rows import BestQuote, Fact, HaltState, QuoteRecord, decode_quote, encode_row
from tapewire.model.streams import Shard, Stream
from tapewire.providers.massive.protocol import decode
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.services import facts as facts_module
from tapewire.services.analysis import Analysis
from tapewire.services.facts import FactFollower
from tapewire.services.processor import MassiveDataProcessor
from tapewire.services.shard_owner import ProcessorOptions
from tests.analyzers.tape import FRIDAY, MONDAY, ms, trade
from tests.services.processing import FixedReferences, UnreliableCache, until
from tests.services.producer import TRADES, Producer

QUOTES = Shard(Stream.QUOTES, 0)
HALTS = "halts.0"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_module, "LOOK_S", 0.01)


class Source:
    """A shard of another stream that publishes rows."""

    def __init__(self, cache: MemoryWidgetCache, shard: str) -> None:
        self._cache = cache
        self._shard = shard
        self._place: Place | None = None

    async def publish(self, name: str, **rows: bytes) -> None:
        if self._place is None:
            self._place = (await self._cache.claim(self._shard)).place
        changes = Changes(rows={name: dict(rows)})
        self._place = await self._cache.flush(self._shard, self._place, {}, changes)

    async def halt(self, symbol: str, halted: bool, date: str = FRIDAY) -> None:
        state = HaltState(symbol, halted, None, None, None, None, None, 0, False)
        await self.publish(halt_hash(date), **{symbol: encode_row(state)})

    async def quote(self, symbol: str, bid: float, date: str = FRIDAY) -> None:
        row = BestQuote(symbol, bid, bid + 1, 1, 1, 0)
        await self.publish(best_quote_hash(date), **{symbol: encode_row(row)})


class Learner:
    """Whoever is told facts: the last value of each."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, str, str], object] = {}

    def learn(self, facts: Sequence[Fact]) -> None:
        self.facts |= {(fact.date, fact.symbol, fact.field): fact.value for fact in facts}

    def value(self, symbol: str, field: str = "halted", date: str = FRIDAY) -> object:
        return self.facts.get((date, symbol, field))


@asynccontextmanager
async def following(cache: MemoryWidgetCache) -> AsyncIterator[tuple[FactFollower, Learner]]:
    learner = Learner()
    follower = FactFollower(cache, learner.learn)
    running = asyncio.create_task(follower.run())
    try:
        yield follower, learner
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_was_there_and_what_comes() -> None:
    cache = MemoryWidgetCache()
    halts = Source(cache, HALTS)
    await halts.halt("AAPL", True)
    async with following(cache) as (follower, learner):
        await until(lambda: learner.value("AAPL") is True)
        await halts.halt("IBM", True)
        await halts.halt("AAPL", False)
        await until(lambda: learner.value("AAPL") is False)
        assert learner.value("IBM") is True
        assert {(f.symbol, f.value) for f in follower.known()} == {("AAPL", False), ("IBM", True)}


async def test_a_shard_that_begins_later_is_followed_too() -> None:
    cache = MemoryWidgetCache()
    async with following(cache) as (_, learner):
        await Source(cache, HALTS).halt("AAPL", True)
        await until(lambda: learner.value("AAPL") is True)
        await Source(cache, "quotes.0").quote("AAPL", 10.0)
        await until(lambda: learner.value("AAPL", "best_quote") is not None)


async def test_other_streams_tell_nothing() -> None:
    cache = MemoryWidgetCache()
    await Source(cache, "trades.0").halt("AAPL", True)
    async with following(cache) as (follower, learner):
        await Source(cache, HALTS).halt("IBM", True)
        await until(lambda: learner.value("IBM") is True)
        assert [fact.symbol for fact in follower.known()] == ["IBM"]


async def test_a_store_that_lost_everything_is_read_anew() -> None:
    cache = UnreliableCache()
    await Source(cache, HALTS).halt("AAPL", True)
    async with following(cache) as (_, learner):
        await until(lambda: learner.value("AAPL") is True)
        cache.lose_everything()
        await Source(cache, HALTS).halt("IBM", True)
        await until(lambda: learner.value("IBM") is True)


async def test_only_the_newest_dates_are_kept() -> None:
    cache = MemoryWidgetCache()
    halts = Source(cache, HALTS)
    dates = [FRIDAY, "2026-11-21", "2026-11-22", MONDAY]
    async with following(cache) as (follower, learner):
        for date in dates:
            await halts.halt("AAPL", True, date)
            await until(lambda date=date: learner.value("AAPL", date=date) is True)  # type: ignore[misc]
        assert sorted(fact.date for fact in follower.known()) == dates[1:]


async def test_catching_up_waits_for_what_is_flushed() -> None:
    cache = MemoryWidgetCache()
    quotes = Source(cache, "quotes.0")
    async with following(cache) as (follower, learner):
        for bid in range(1, 40):
            await quotes.quote("AAPL", bid)
        assert await follower.catch_up()
        found = learner.value("AAPL", "best_quote")
        assert isinstance(found, BestQuote)
        assert found.bid == 39


async def test_catching_up_gives_up_when_nobody_follows() -> None:
    cache = MemoryWidgetCache()
    await Source(cache, HALTS).halt("AAPL", True)
    follower = FactFollower(cache, Learner().learn)
    assert not await follower.catch_up(0.01)


class System:
    """One processor that owns trades and quotes, and what it is sent."""

    def __init__(self) -> None:
        self.cache = MemoryWidgetCache()
        self.trades, self.quotes = Producer(), Producer(shard=QUOTES)
        broker = MemoryBroker()
        layout = QueueLayout.lossless("", {Stream.TRADES: 1, Stream.QUOTES: 1})
        self.queue = MemoryQueue(broker, layout)
        self.processor = MassiveDataProcessor(
            MemoryQueue(broker, layout),
            self.cache,
            FixedReferences(),
            [TRADES, QUOTES],
            Analysis.of(["T.*", "Q.*"]).maker(),
            decode,
            ProcessorOptions(flush_s=0.005, live=False),
        )

    def send_quote(self, symbol: str, bid: float, ask: float, at: str) -> None:
        fields = {"ev": "Q", "sym": symbol, "bp": bid, "bs": 2, "ap": ask, "as": 3, "t": ms(at)}
        self.queue.publish(self.quotes.batch(extra=(msgspec.json.encode(fields),)))

    def end(self) -> None:
        for producer in (self.trades, self.quotes):
            self.queue.publish(producer.batch(ending=True))

    async def row(self, symbol: str = "AAPL") -> QuoteRecord | None:
        found = await self.cache.fetch(TRADES.name, {quote_hash(FRIDAY): [symbol]})
        packed = found[quote_hash(FRIDAY)].get(symbol)
        return decode_quote(packed) if packed else None


@asynccontextmanager
async def running() -> AsyncIterator[System]:
    system = System()
    await system.processor.start()
    try:
        yield system
    finally:
        await system.processor.stop()


async def test_a_quote_record_has_the_best_quote() -> None:
    async with running() as system:
        system.queue.publish(system.trades.batch(trade("AAPL", 100.0, at="09:31")))
        system.send_quote("AAPL", 99.0, 101.0, "09:31:01")
        system.send_quote("IBM", 20.0, 20.5, "09:31:02")
        system.end()
        await until(lambda: [s.ended for s in system.processor.owned.values()] == [True, True])
        await system.processor.drain()
        row = await system.row()
        assert row is not None
        assert (row.bid, row.ask, row.bid_size, row.ask_size) == (99.0, 101.0, 2, 3)
        assert row.spread_pct == 2.0
        assert await system.row("IBM") is None


async def test_an_owner_that_comes_later_knows_what_was_told() -> None:
    async with running() as system:
        system.send_quote("AAPL", 99.0, 101.0, "09:31:01")
        system.send_quote("AAPL", 98.0, 101.0, "09:31:02")
        await until(lambda: bool(system.processor._facts.known()))
        system.queue.publish(system.trades.batch(trade("AAPL", 100.0, at="09:31"), ending=True))
        await until(lambda: "trades.0" in system.processor.owned)
        await until(lambda: system.processor.owned["trades.0"].ended)
        await system.processor.drain()
        row = await system.row()
        assert row is not None
        assert row.bid == 99.0
