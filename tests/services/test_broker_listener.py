"""BrokerDataListener: ticks into shards' queues, waiting where consumers are slow."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Struct

from tapewire.model.batch import Batch, decode_batch
from tapewire.model.events import Tick
from tapewire.model.positions import Positions, Verdict
from tapewire.model.streams import Shard, Stream
from tapewire.providers import tick_wire
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryConsumer, MemoryQueue
from tapewire.runtime.lease import LocalLease
from tapewire.runtime.service import State
from tapewire.services.broker_listener import BrokerDataListener, TakeTicks
from tapewire.services.listening import ListenerBounds
from tapewire.services.tick_queue import TickQueue
from tests.services.indian import OPEN_MS, tick
from tests.simulators.client import until

TICKS = Shard(Stream.TICKS, 0)
SLOW = ListenerBounds(heartbeat_s=60, depth_poll_s=0.005, max_ready_batches=5)
QUICK = ListenerBounds(heartbeat_s=0.02, depth_poll_s=0.005)


class Counts(Struct):
    connections: int = 1


class Hand:
    """A feed whose frames the test hands over itself."""

    def __init__(self) -> None:
        self.statistics = Counts()
        self.last_ending = ""
        self.healthy = True
        self.paused = False
        self.names = ["NIFTY-I"]
        self._stopping = asyncio.Event()
        self._take: TakeTicks | None = None

    def give(self, *ticks: Tick, frame: bytes | str = b"\x01") -> None:
        assert self._take is not None
        self._take(frame, ticks)

    @property
    def running(self) -> bool:
        return self._take is not None

    def end(self) -> None:
        self._stopping.set()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def stop(self) -> None:
        self._stopping.set()

    async def run(self, take: TakeTicks) -> None:
        self._take = take
        await self._stopping.wait()

    async def subscribe(self, names: Sequence[str]) -> list[str]:
        self.names += names
        return self.names

    async def unsubscribe(self, names: Sequence[str]) -> list[str]:
        self.names = [name for name in self.names if name not in names]
        return self.names

    def revive(self, broker: str) -> None:
        raise ValueError(f"broker {broker!r} has not ended")

    def status(self) -> Mapping[str, Any]:
        return {"active": "upstox"}


class Desk:
    """A listener on a feed in hand, and the queue that it publishes to."""

    def __init__(self, shards: int = 1, bounds: ListenerBounds = QUICK, **options: Any) -> None:
        layout = QueueLayout.lossless("test.", {Stream.TICKS: shards})
        self.queue = MemoryQueue(MemoryBroker(), layout, prefetch=3)
        self.feed = Hand()
        self.listener = BrokerDataListener(
            self.feed, self.queue, LocalLease(1000), shards=shards, bounds=bounds, **options
        )

    async def batches(self, shard: Shard = TICKS) -> list[Batch]:
        """Everything that waits in a shard's queue."""
        depth, found = await self.queue.depth(shard), list[Batch]()
        consumer = await self.queue.consume(shard)
        while len(found) < depth:
            found += await taken(consumer)
        await consumer.close()
        return found

    def detail(self, name: str) -> Any:
        return self.listener.report().detail[name]

    @property
    def held(self) -> int:
        return int(self.detail("held")["ticks"])


async def taken(consumer: MemoryConsumer) -> list[Batch]:
    """The next deliveries, acknowledged."""
    deliveries = await consumer.receive()
    await consumer.acknowledge(deliveries[-1].tag)
    return [decode_batch(one.body) for one in deliveries]


@asynccontextmanager
async def listening(desk: Desk) -> AsyncIterator[Desk]:
    await desk.listener.start()
    try:
        await until(lambda: desk.feed.running)
        yield desk
    finally:
        await desk.listener.stop()


def prices(batches: Iterable[Batch]) -> list[float]:
    return [one.last_price for batch in batches for one in tick_wire.decode(batch).events]  # type: ignore[union-attr,misc]


def frames(count: int, ticks: int = 40) -> list[list[Tick]]:
    """Frames that follow each other in price, volume and time; about two batches a second."""
    return [
        [tick(1.0 + n * ticks + k, n * ticks + k, OPEN_MS + n) for k in range(ticks)]
        for n in range(count)
    ]


async def flood(desk: Desk, sent: Sequence[Sequence[Tick]]) -> None:
    """Give frames while the loop turns, as a reader does."""
    for n, ticks in enumerate(sent):
        desk.feed.give(*ticks)
        if n % 4 == 0:
            await asyncio.sleep(0)
        if n % 100 == 0:
            await asyncio.sleep(0.006)


async def test_ticks_reach_their_shards_in_order() -> None:
    async with listening(Desk(shards=3)) as desk:
        for n in range(50):
            desk.feed.give(*(tick(1.0 + n, n, token=str(k)) for k in range(20)))
        await desk.listener.drain()
        arrived = 0
        for index in range(3):
            batches = await desk.batches(Shard(Stream.TICKS, index))
            assert {(one.provider, one.epoch) for one in batches} == {("brokers", 1000)}
            found = prices(batches)
            assert found == sorted(found)
            arrived += len(found)
    assert arrived == 1_000 == sum(desk.detail("taken_in").values())


async def test_what_does_not_count_is_told_and_not_published() -> None:
    async with listening(Desk()) as desk:
        desk.feed.give(tick(5.0, 1), tick(None, 2), tick(-1.0, 3))
        desk.feed.give(tick(None, 2), frame='{"status":"failed"}')
        await desk.listener.drain()
        assert prices(await desk.batches()) == [5.0]
    assert desk.detail("refused") == {"no_price": 2, "bad_price": 1}
    assert (desk.detail("frames"), desk.detail("taken_in")) == (2, {"ticks.0": 1})


async def test_it_says_who_is_active_and_what_is_wrong() -> None:
    async with listening(Desk()) as desk:
        await until(lambda: desk.listener.report().healthy)
        assert desk.detail("provider") == {"active": "upstox"}
        desk.feed.healthy, desk.feed.last_ending = False, "upstox gave way to nobody"
        report = desk.listener.report()
        assert (report.state, report.reason) == (State.DEGRADED, "upstox gave way to nobody")


async def test_instruments_change_by_command() -> None:
    async with listening(Desk()) as desk:
        command = desk.listener.command
        answer = await command("subscribe", {"instruments": "NSE_EQ:2885, BANKNIFTY-I"})
        assert answer == {"instruments": ["NIFTY-I", "NSE_EQ:2885", "BANKNIFTY-I"]}
        answer = await command("unsubscribe", {"instruments": ["NIFTY-I"]})
        assert answer == {"instruments": ["NSE_EQ:2885", "BANKNIFTY-I"]}
        with pytest.raises(ValueError, match="has not ended"):
            await command("revive", {"broker": "dhan"})
        with pytest.raises(ValueError, match="expected one of subscribe, unsubscribe, revive"):
            await command("dance", {})
        with pytest.raises(ValueError, match="expected a list"):
            await command("subscribe", {"topics": "T.*"})


async def test_ticks_wait_while_consumers_are_slow_and_none_is_lost() -> None:
    sent = frames(1_500)
    async with listening(Desk(bounds=SLOW)) as desk:
        await flood(desk, sent)
        await until(lambda: desk.detail("held")["holding"])
        assert desk.held > 30_000
        assert await desk.queue.depth(TICKS) < 30
        consumer = await desk.queue.consume(TICKS)
        batches: list[Batch] = []
        while sum(one.count for one in batches) < 60_000:
            batches += await taken(consumer)
        assert desk.held == 0
    positions = Positions()
    assert {positions.accept(one)[0] for one in batches} == {Verdict.FOLD}
    assert prices(batches) == [one.last_price for ticks in sent for one in ticks]
    assert desk.listener.report().drops["tick_queue"] == 0


async def test_what_no_queue_can_hold_is_conflated_and_then_a_counted_gap() -> None:
    sent = frames(1_500)
    queue = TickQueue(max_ticks=1_000)
    async with listening(Desk(bounds=SLOW, held=queue, hand_over_s=0.1)) as desk:
        await flood(desk, sent)
        assert desk.held <= 1_000
        await desk.listener.drain()
        batches = await desk.batches()
    positions, missing = Positions(), []
    for batch in batches:
        verdict, lost = positions.accept(batch)
        assert verdict is Verdict.FOLD
        missing.append(lost.events or 0 if lost else 0)
    held = desk.detail("held")
    assert held["conflated"] > 0
    assert sum(missing) == held["dropped"] == desk.listener.report().drops["tick_queue"]
    assert desk.detail("taken_in")["ticks.0"] == 60_000 - held["conflated"]
    assert sum(one.count for one in batches) == 60_000 - held["conflated"] - held["dropped"]
    assert prices(batches)[-1] == 60_000


async def test_a_heartbeat_is_not_ahead_of_what_waits() -> None:
    now = [1_000]

    def clock_ns() -> int:
        return now[0] * 1_000_000

    bounds = ListenerBounds(heartbeat_s=0.01, depth_poll_s=0.005, max_ready_batches=5)
    async with listening(Desk(bounds=bounds, clock_ns=clock_ns, hand_over_s=0.1)) as desk:
        await until(lambda: desk.detail("held")["holding"])  # heartbeats nobody takes
        desk.feed.give(tick(1.0, 1))
        now[0] = 9_000
        published = desk.queue.statistics.published_batches
        await until(lambda: desk.queue.statistics.published_batches > published + 2)
        await desk.listener.drain()
        batches = await desk.batches()
    received = [one.received_ns // 1_000_000 for one in batches]
    assert received == sorted(received)
    assert max(received) == 1_000


async def test_an_interruption_is_told_before_what_came_after_it() -> None:
    async with listening(Desk(bounds=SLOW)) as desk:
        desk.feed.give(tick(1.0, 1))
        desk.feed.give(tick(2.0, 2))
        desk.feed.statistics.connections, desk.feed.last_ending = 2, "fyers gave way to dhan"
        desk.feed.give(tick(3.0, 3))
        desk.feed.give(tick(4.0, 4))
        await desk.listener.drain()
        batches = [one for one in await desk.batches() if one.count]
    assert [(prices([one]), one.interrupted) for one in batches] == [
        ([1.0, 2.0], False),
        ([3.0, 4.0], True),
    ]
    (hole,) = desk.detail("listener")["holes"]
    assert hole["reason"] == "fyers gave way to dhan"


async def test_an_interruption_waits_with_the_ticks() -> None:
    async with listening(Desk(bounds=SLOW, hand_over_s=0.1)) as desk:
        await flood(desk, frames(600))
        await until(lambda: desk.held > 0)
        desk.feed.statistics.connections = 2
        desk.feed.give(tick(99_999.0, 99_999))
        await desk.listener.drain()
        batches = await desk.batches()
    marked = [one for one in batches if one.interrupted]
    assert [prices([one]) for one in marked] == [[99_999.0]]


async def test_draining_publishes_fifty_thousand_waiting_ticks_in_time() -> None:
    async with listening(Desk(bounds=SLOW, hand_over_s=0.5)) as desk:
        await flood(desk, frames(1_500))
        assert desk.held > 30_000
        for ticks in frames(1_500)[:500]:
            desk.feed.give(*ticks)
        assert desk.held > 50_000
        async with asyncio.timeout(5):
            await desk.listener.drain()
        assert desk.held == 0
        assert sum(one.count for one in await desk.batches()) == 80_000


async def test_the_end_of_the_source_comes_after_what_waited() -> None:
    async with listening(Desk(bounds=SLOW, hand_over_s=0.1)) as desk:
        await flood(desk, frames(600))
        assert desk.held
        desk.feed.end()
        await desk.listener.wait()
        batches = await desk.batches()
    assert [one.ending for one in batches] == [False] * (len(batches) - 1) + [True]
    assert batches[-1].offset == 24_000


async def test_a_lossless_run_stops_reading_instead() -> None:
    async with listening(Desk(bounds=SLOW, lossless=True)) as desk:
        await flood(desk, frames(600))
        await until(lambda: desk.feed.paused)
        assert desk.held == 0
        assert desk.detail("taken_in")["ticks.0"] == 24_000
