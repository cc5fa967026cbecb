"""MassiveDataListener with its client over real sockets and the queue's in-memory twin."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tapewire.model.batch import Batch, decode_batch
from tapewire.model.events import Trade
from tapewire.model.positions import Positions, Verdict
from tapewire.model.streams import Shard, Stream
from tapewire.providers.massive.client import ClientBounds, MassiveClient
from tapewire.providers.massive.protocol import decode
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.runtime.lease import LocalLease, Renewal
from tapewire.runtime.service import DependencyMissing, RefusedByProvider, State
from tapewire.services.listener import ListenerBounds, MassiveDataListener
from tapewire.simulators.massive import MassiveSimulator
from tests.providers.massive.events import bar, quote, trade
from tests.providers.massive.provider import Provider, Visit, playing
from tests.simulators.client import running, until
from tests.simulators.tape import START_MS, Tape

TRADES = Shard(Stream.TRADES, 0)
QUICK = ClientBounds(idle_s=0.5, backoff_base_s=0.02, close_timeout_s=0.2)


class Desk:
    """A listener, the broker it publishes to, and what can be read there."""

    def __init__(
        self,
        url: str,
        *,
        lease: Any = None,
        shards: dict[Stream, int] | None = None,
        key: str = "secret",
        once: bool = True,
        client_bounds: ClientBounds = QUICK,
        bounds: ListenerBounds | None = None,
        **options: Any,
    ) -> None:
        shards = shards or {Stream.TRADES: 1, Stream.AGGREGATE: 1}
        self.queue = MemoryQueue(MemoryBroker(), QueueLayout.lossless("test.", shards))
        self.client = MassiveClient(
            url, key, ["T.*", "A.*"], once=once, bounds=client_bounds, draw=lambda: 0.5
        )
        self.listener = MassiveDataListener(
            self.client,
            self.queue,
            lease or LocalLease(1000),
            shards=shards,
            bounds=bounds or ListenerBounds(heartbeat_s=0.05, lease_ttl_s=0.3),
            **options,
        )

    async def run(self) -> None:
        """Start, wait for the end of the source, stop."""
        await self.listener.start()
        try:
            await self.listener.wait()
        finally:
            await self.listener.stop()

    async def batches(self, shard: Shard = TRADES) -> list[Batch]:
        """Everything that waits in a shard's queue."""
        depth = await self.queue.depth(shard)
        consumer = await self.queue.consume(shard)
        batches: list[Batch] = []
        while len(batches) < depth:
            deliveries = await consumer.receive()
            batches += (decode_batch(delivery.body) for delivery in deliveries)
            await consumer.acknowledge(deliveries[-1].tag)
        await consumer.close()
        return batches

    def detail(self, name: str) -> Any:
        return self.listener.report().detail[name]


@asynccontextmanager
async def listening(desk: Desk) -> AsyncIterator[Desk]:
    await desk.listener.start()
    try:
        yield desk
    finally:
        await desk.listener.stop()


def verdicts(batches: Sequence[Batch]) -> set[Verdict]:
    positions = Positions()
    return {positions.accept(batch)[0] for batch in batches}


async def two_trades(visit: Visit) -> None:
    await visit.admit()
    await visit.say(trade("AIG", q=1), trade("IBM", q=2))
    await visit.linger()


@pytest.mark.parametrize("shards", [1, 3])
async def test_a_replay_reaches_the_queues_whole_and_in_order(shards: int) -> None:
    symbols = ("AIG", "BAC", "IBM", "SPY", "BRK.B")
    simulator = MassiveSimulator([Tape(20_000, symbols=symbols)], speed="max", once=True)
    async with running(simulator):
        desk = Desk(f"{simulator.ws_url}/stocks", shards={Stream.TRADES: shards}, lossless=True)
        await desk.run()
    taken_in = desk.detail("taken_in")
    arrived: list[int] = []
    for index in range(shards):
        shard = Shard(Stream.TRADES, index)
        batches = await desk.batches(shard)
        assert verdicts(batches) == {Verdict.FOLD}
        assert {batch.epoch for batch in batches} == {1000}
        assert sum(batch.count for batch in batches) == taken_in[shard.name]
        assert [batch.ending for batch in batches] == [False] * (len(batches) - 1) + [True]
        events = [event for batch in batches for event in decode(batch).events]
        sequences = [int(event.sequence) for event in events if isinstance(event, Trade)]
        assert sequences == sorted(sequences)
        arrived += sequences
    assert sorted(arrived) == list(range(20_000))
    assert desk.listener.report().state is State.STOPPED
    assert not desk.listener.report().healthy


async def test_events_wait_no_longer_than_a_moment() -> None:
    async with playing(Provider(two_trades)) as provider:
        async with listening(Desk(provider.url)) as desk:
            await until(lambda: desk.detail("batches").get("trades") == 1, within_s=2)
            assert desk.detail("offsets")["trades.0"] == 2


async def test_every_shard_hears_a_heartbeat() -> None:
    async with playing(Provider(two_trades)) as provider:
        async with listening(Desk(provider.url, shards={Stream.TRADES: 2})) as desk:
            await asyncio.sleep(0.4)
            for shard in desk.listener.shards:
                beats = [batch for batch in await desk.batches(shard) if batch.count == 0]
                assert len(beats) >= 4
                assert not any(batch.ending for batch in beats)


async def test_every_kind_of_event_is_accounted_for() -> None:
    async def varied(visit: Visit) -> None:
        await visit.admit()
        await visit.say(trade(), bar(), quote(), b'{"ev":"X","sym":"AIG"}', trade(p="high"))
        await visit.socket.send("no json")
        await visit.socket.close(1000, "end of source")

    async with playing(Provider(varied)) as provider:
        desk = Desk(provider.url)
        await desk.run()
    assert desk.detail("events_by_type") == {"T": 2, "A": 1, "Q": 1}
    assert desk.detail("taken_in") == {"unknown.0": 1, "trades.0": 2, "aggregate.0": 1}
    assert desk.detail("unknown") == {"X": 1}
    assert desk.detail("bad_frames") == 1
    assert desk.listener.report().drops == {"outbox": 0, "no_shard": 1}
    trades = [batch for batch in await desk.batches() if batch.count]
    assert decode(trades[0]).skipped == {"wrong_type": 1}


async def test_a_wrong_key_ends_the_service_with_the_providers_refusal() -> None:
    simulator = MassiveSimulator([Tape(10)], key="right")
    async with running(simulator):
        desk = Desk(f"{simulator.ws_url}/stocks", key="wrong", once=False)
        with pytest.raises(RefusedByProvider, match="check the API key"):
            await desk.run()
    report = desk.listener.report()
    assert report.state is State.FAILED
    assert "check the API key" in report.reason


async def test_a_source_that_is_not_there_ends_the_service() -> None:
    async with playing(Provider(two_trades)) as provider:
        url = provider.url
    bounds = ClientBounds(backoff_base_s=0.01, max_unreachable=2)
    with pytest.raises(DependencyMissing, match="cannot reach"):
        await Desk(url, client_bounds=bounds).run()


async def test_a_drop_leaves_a_hole_and_nothing_is_counted_twice() -> None:
    async def once_and_gone(visit: Visit) -> None:
        await visit.admit()
        await visit.say(trade(q=1))
        visit.drop()

    async with playing(Provider(once_and_gone, two_trades)) as provider:
        async with listening(Desk(provider.url)) as desk:
            await until(lambda: desk.detail("taken_in")["trades.0"] == 3)
            (hole,) = desk.detail("listener")["holes"]
            assert 0 < hole["from_ms"] <= hole["to_ms"]
            assert hole["reason"].startswith("dropped")
            assert desk.detail("provider")["reconnects"] == 1
            await until(lambda: desk.detail("batches")["trades"] == 2)
            assert verdicts(await desk.batches()) == {Verdict.FOLD}


async def test_it_is_not_healthy_while_the_provider_is_away() -> None:
    async def drop_after_one(visit: Visit) -> None:
        await visit.admit()
        await visit.say(trade())
        await asyncio.sleep(0.2)
        visit.drop()

    bounds = ClientBounds(backoff_base_s=30)
    async with playing(Provider(drop_after_one)) as provider:
        async with listening(Desk(provider.url, client_bounds=bounds)) as desk:
            await until(lambda: desk.listener.report().healthy)
            assert desk.listener.report().state is State.RUNNING
            await until(lambda: not desk.listener.report().healthy)
            report = desk.listener.report()
            assert report.state is State.DEGRADED
            assert report.reason.startswith("dropped")


class SharedLease:
    """A lease that somebody else may hold, and that may not answer."""

    def __init__(self, *, free: bool = True) -> None:
        self.free = free
        self.answer = Renewal.HELD
        self.epoch = 41
        self.released = 0

    async def acquire(self) -> int | None:
        if not self.free:
            return None
        self.epoch += 1
        return self.epoch

    async def renew(self) -> Renewal:
        return self.answer

    async def release(self) -> None:
        self.released += 1


async def test_a_stand_by_does_not_touch_the_providers_one_connection() -> None:
    lease = SharedLease(free=False)
    async with playing(Provider(two_trades)) as provider:
        async with listening(Desk(provider.url, lease=lease)) as desk:
            await asyncio.sleep(0.3)
            assert desk.listener.report().state is State.STAND_BY
            assert provider.visits == 0
            lease.free = True
            await until(lambda: desk.listener.report().healthy)
            assert desk.detail("listener")["epoch"] == 42
    assert lease.released == 1


async def test_a_refused_renewal_stops_the_reading_and_a_new_epoch_follows() -> None:
    lease = SharedLease()
    async with playing(Provider(two_trades)) as provider:
        async with listening(Desk(provider.url, lease=lease, once=False)) as desk:
            await until(lambda: desk.detail("taken_in")["trades.0"] == 2)
            lease.answer, lease.free = Renewal.REFUSED, False
            await until(lambda: desk.listener.report().state is State.STAND_BY)
            assert not desk.client.connected
            lease.answer, lease.free = Renewal.HELD, True
            await until(lambda: desk.detail("taken_in")["trades.0"] == 4)
            await until(lambda: desk.detail("batches")["trades"] == 2)
            counted = [batch for batch in await desk.batches() if batch.count]
            assert [(b.epoch, b.offset, b.count) for b in counted] == [(42, 0, 2), (43, 0, 2)]
            assert desk.detail("listener")["lease_refused"] == 1


async def test_an_unanswered_renewal_does_not_stop_the_holder() -> None:
    lease = SharedLease()
    lease.answer = Renewal.UNANSWERED
    async with playing(Provider(two_trades)) as provider:
        async with listening(Desk(provider.url, lease=lease)) as desk:
            await until(lambda: desk.detail("listener")["lease_unanswered"] >= 3)
            assert desk.listener.report().healthy
            assert provider.visits == 1


async def test_a_lossless_run_waits_for_its_consumers() -> None:
    simulator = MassiveSimulator(
        [Tape(40_000)], speed="max", once=True, max_frame_events=10, max_frame_bytes=1500
    )
    bounds = ListenerBounds(max_ready_batches=5, depth_poll_s=0.005, heartbeat_s=60)
    async with running(simulator):
        desk = Desk(f"{simulator.ws_url}/stocks", lossless=True, bounds=bounds)
        async with listening(desk):
            await until(lambda: desk.client.paused)
            await asyncio.sleep(0.2)
            taken = desk.detail("taken_in")["trades.0"]
            await asyncio.sleep(0.2)
            assert desk.detail("taken_in")["trades.0"] == taken < 40_000
            batches: list[Batch] = []
            while not (batches and batches[-1].ending):
                batches += await desk.batches()
                await asyncio.sleep(0.001)
            await desk.listener.wait()
            assert sum(batch.count for batch in batches) == 40_000
            assert verdicts(batches) == {Verdict.FOLD}
            assert desk.detail("listener")["pauses"] >= 1


async def test_draining_hands_over_what_was_taken_in() -> None:
    async with playing(Provider(two_trades)) as provider:
        desk = Desk(provider.url, bounds=ListenerBounds(heartbeat_s=60))
        async with listening(desk):
            await until(lambda: desk.detail("taken_in")["trades.0"] == 2)
            await desk.listener.drain()
            batches = await desk.batches()
            assert sum(batch.count for batch in batches) == 2
            assert not any(batch.ending for batch in batches)
            assert not desk.client.connected


async def test_draining_ends_a_stand_by() -> None:
    desk = Desk("ws://127.0.0.1:1/stocks", lease=SharedLease(free=False))
    async with listening(desk):
        await desk.listener.drain()
    assert desk.listener.report().state is State.STOPPED


async def test_topics_change_by_command() -> None:
    async with playing(Provider(two_trades)) as provider:
        async with listening(Desk(provider.url)) as desk:
            answer = await desk.listener.command("subscribe", {"topics": "Q.*, LULD.*"})
            assert answer == {"topics": ["T.*", "A.*", "Q.*", "LULD.*"]}
            answer = await desk.listener.command("unsubscribe", {"topics": ["A.*"]})
            assert answer == {"topics": ["T.*", "Q.*", "LULD.*"]}
            with pytest.raises(ValueError, match="expected one of subscribe, unsubscribe"):
                await desk.listener.command("dance", {})
            with pytest.raises(ValueError, match="expected a list"):
                await desk.listener.command("subscribe", {"topics": 7})


class Tapes:
    """A capture with room for so many frames."""

    def __init__(self, room: int) -> None:
        self.frames: list[bytes] = []
        self._room = room

    def write(self, frame: bytes, received_ns: int, monotonic_ns: int) -> None:
        if len(self.frames) >= self._room:
            raise OSError(28, "No space left on device")
        assert received_ns > 0 < monotonic_ns
        self.frames.append(frame)


async def test_capture_gets_every_frame_as_it_came() -> None:
    simulator = MassiveSimulator([Tape(1000)], speed="max", once=True)
    capture = Tapes(room=1_000_000)
    async with running(simulator):
        desk = Desk(f"{simulator.ws_url}/stocks", capture=capture)
        await desk.run()
    assert len(capture.frames) == desk.detail("frames")
    assert sum(map(len, capture.frames)) == desk.detail("bytes")
    assert b"Connected Successfully" in capture.frames[0]


async def test_a_listener_that_lingers_tells_the_end_until_it_is_drained() -> None:
    simulator = MassiveSimulator([Tape(1000)], speed="max", once=True)
    async with running(simulator):
        bounds = ListenerBounds(heartbeat_s=0.02)
        desk = Desk(f"{simulator.ws_url}/stocks", linger=True, bounds=bounds)
        async with listening(desk):
            await until(lambda: desk.queue.statistics.confirmed_batches > 20)
            await desk.listener.drain()
    endings = [batch for batch in await desk.batches() if batch.ending]
    assert len(endings) > 2
    assert {(batch.offset, batch.count) for batch in endings} == {(1000, 0)}
    assert {batch.newest_ms for batch in endings} == {START_MS + 999}


async def test_a_full_disk_ends_the_capture_and_not_the_listening() -> None:
    simulator = MassiveSimulator([Tape(1000)], speed="max", once=True)
    async with running(simulator):
        desk = Desk(f"{simulator.ws_url}/stocks", capture=Tapes(room=2))
        await desk.run()
    assert desk.detail("taken_in")["trades.0"] == 1000
    statistics = desk.detail("listener")
    assert (statistics["captured_frames"], statistics["capture_errors"]) == (2, 1)


async def test_faults_of_the_feed_are_counted_to_the_event() -> None:
    faults = [
        "unknown_event@100",
        "bad_event@200",
        "float@300",
        "duplicate@400",
        "out_of_order@500",
        "invalid_json@600",
        "not_array@700",
        "drop@800",
    ]
    simulator = MassiveSimulator([Tape(1000)], speed="max", once=True, faults=faults)
    async with running(simulator):
        desk = Desk(f"{simulator.ws_url}/stocks")
        await desk.run()
        sent = simulator.statistics
        assert not sent.unheard
    # 1000 events, one of them twice, a bad one; the drop comes after what was sent
    assert desk.detail("taken_in")["trades.0"] == 1002
    assert sum(desk.detail("unknown").values()) == 1
    assert desk.detail("bad_frames") == 2
    assert desk.detail("provider")["endings"] == {"dropped": 1, "end_of_source": 1}
    decoded = [decode(batch) for batch in await desk.batches()]
    assert sum(len(one.events) for one in decoded) == 1001
    assert [dict(one.skipped) for one in decoded if one.skipped] == [{"wrong_type": 1}]
