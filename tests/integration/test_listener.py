"""The listener from a simulated provider into a real RabbitMQ."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tapewire.model.batch import Batch, decode_batch
from tapewire.model.events import Trade
from tapewire.model.positions import Position, Positions, Verdict
from tapewire.model.streams import Shard, Stream
from tapewire.providers.massive.client import ClientBounds, MassiveClient
from tapewire.providers.massive.protocol import decode
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.rabbitmq import RabbitQueue
from tapewire.runtime.lease import LocalLease
from tapewire.services.listener import ListenerBounds, MassiveDataListener
from tapewire.simulators.massive import MassiveSimulator
from tests.servers import RabbitServer
from tests.simulators.client import running, until
from tests.simulators.tape import Tape

SHARDS = {Stream.TRADES: 2}
EPOCH = 1000


@asynccontextmanager
async def listening(
    simulator: MassiveSimulator, queue: RabbitQueue, bounds: ListenerBounds
) -> AsyncIterator[MassiveDataListener]:
    await queue.start()
    client = MassiveClient(
        f"{simulator.ws_url}/stocks",
        "secret",
        ["T.*"],
        once=True,
        # Starting and stopping the broker blocks this test's loop for seconds.
        bounds=ClientBounds(idle_s=120, auth_timeout_s=60),
    )
    listener = MassiveDataListener(
        client, queue, LocalLease(EPOCH), shards=SHARDS, lossless=True, bounds=bounds
    )
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()
        await queue.stop()


async def read_to_the_end(queue: RabbitQueue, shard: Shard) -> list[Batch]:
    consumer = await queue.consume(shard)
    batches: list[Batch] = []
    while not (batches and batches[-1].ending):
        deliveries = await consumer.receive()
        batches += (decode_batch(delivery.body) for delivery in deliveries)
        await consumer.acknowledge(deliveries[-1].tag)
    await consumer.close()
    return batches


async def test_a_lossless_run_fills_the_queues_only_so_far_and_loses_nothing(
    rabbitmq_url: str,
) -> None:
    simulator = MassiveSimulator(
        [Tape(60_000)], speed="max", once=True, max_frame_events=10, max_frame_bytes=1500
    )
    queue = RabbitQueue(rabbitmq_url, QueueLayout.lossless("replay.", SHARDS))
    bounds = ListenerBounds(max_ready_batches=5, depth_poll_s=0.01, heartbeat_s=60)
    async with running(simulator), listening(simulator, queue, bounds) as listener:
        await until(lambda: listener.report().detail["provider"]["paused"])
        assert sum(listener.report().detail["taken_in"].values()) < 60_000
        # Both at once: a queue that nobody reads holds back the other too.
        read = await asyncio.gather(
            *(read_to_the_end(queue, Shard(Stream.TRADES, index)) for index in range(2))
        )
        await listener.wait()
    sequences = []
    for batches in read:
        positions = Positions()
        assert {positions.accept(batch)[0] for batch in batches} == {Verdict.FOLD}
        events = [event for batch in batches for event in decode(batch).events]
        sequences += [event.sequence for event in events if isinstance(event, Trade)]
    assert sorted(sequences) == list(range(60_000))


@pytest.mark.stops_rabbitmq
async def test_a_broker_that_restarts_costs_only_what_is_counted(
    rabbitmq_server: RabbitServer, rabbitmq_url: str
) -> None:
    simulator = MassiveSimulator([Tape(8_000)], speed="4000/s", once=True)
    queue = RabbitQueue(rabbitmq_url, QueueLayout.lossless("restart.", SHARDS))
    async with running(simulator), listening(simulator, queue, ListenerBounds()) as listener:
        await until(lambda: sum(listener.report().detail["taken_in"].values()) > 1_000)
        rabbitmq_server.restart()
        await listener.wait()
        taken_in = listener.report().detail["taken_in"]
        assert sum(taken_in.values()) == 8_000
        for shard in (Shard(Stream.TRADES, 0), Shard(Stream.TRADES, 1)):
            positions = Positions({"massive": Position(EPOCH)})
            folded = 0
            for batch in await read_to_the_end(queue, shard):
                if positions.accept(batch)[0] is not Verdict.DUPLICATE:
                    folded += batch.count
            lost = positions.by_producer["massive"].lost
            assert 0 < folded == taken_in[shard.name] - lost


@pytest.mark.stops_rabbitmq
async def test_a_lossless_run_waits_for_a_broker_that_does_not_confirm(
    rabbitmq_server: RabbitServer, rabbitmq_url: str
) -> None:
    simulator = MassiveSimulator([Tape(30_000)], speed="20000/s", once=True)
    layout = QueueLayout.lossless("slow.", SHARDS)
    queue = RabbitQueue(rabbitmq_url, layout, outbox_bytes=512 * 1024)
    bounds = ListenerBounds(max_waiting_bytes=128 * 1024)
    async with running(simulator), listening(simulator, queue, bounds) as listener:
        await until(lambda: sum(listener.report().detail["taken_in"].values()) > 1_000)
        os.kill(rabbitmq_server.pid, signal.SIGSTOP)
        try:
            await until(lambda: listener.report().detail["provider"]["paused"])
            await asyncio.sleep(0.5)
        finally:
            os.kill(rabbitmq_server.pid, signal.SIGCONT)
        await listener.wait()
        assert sum(listener.report().detail["taken_in"].values()) == 30_000
    assert queue.statistics.dropped_batches == 0
