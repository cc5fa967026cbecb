"""The RabbitMQ queue against a real server: the contract, and what only a server can do."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator
from random import Random

import msgspec
import pytest

from tapewire.model.batch import Batch, decode_batch
from tapewire.model.streams import Stream
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.queue import ChannelClosed, QueueError
from tapewire.queues.rabbitmq import OUTBOX_BYTES, RabbitConsumer, RabbitQueue
from tests.queues.contract import TRADES, QueueContract, batch, offsets, publish, take
from tests.runtime.processes import state, until
from tests.servers import RabbitServer, free_port


class RabbitWorld:
    """A virtual host of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queues: list[RabbitQueue] = []

    async def queue(
        self,
        *,
        ttl_ms: int = 0,
        max_bytes: int = 0,
        prefetch: int = 500,
        outbox_bytes: int = OUTBOX_BYTES,
    ) -> RabbitQueue:
        layout = QueueLayout(ttl_ms=ttl_ms, max_bytes=max_bytes)
        queue = RabbitQueue(self.url, layout, prefetch=prefetch, outbox_bytes=outbox_bytes)
        self.queues.append(queue)
        await queue.start()
        return queue

    async def elapse(self, milliseconds: int) -> None:
        await asyncio.sleep(milliseconds / 1000)

    async def close(self) -> None:
        for queue in self.queues:
            await queue.stop()


@pytest.fixture
async def broker(rabbitmq_url: str) -> AsyncIterator[RabbitWorld]:
    world = RabbitWorld(rabbitmq_url)
    yield world
    await world.close()


class TestRabbitQueue(QueueContract):
    """The contract, over a broker."""


# The broker is started in the main thread, which blocks the loop for some seconds: the kernel
# ends a child of the tests' servers together with the thread that started it.


class Reader:
    """Applies batches of one producer as an owner does: skips duplicates, counts gaps."""

    def __init__(self, queue: RabbitQueue) -> None:
        self._queue = queue
        self.folded: list[int] = []
        self.applied = 0
        self.lost = 0
        self.duplicates = 0

    async def read(self, until: int) -> None:
        """Read until every event up to ``until`` is applied or known to be lost."""
        while self.applied < until:
            try:
                await self._own(await self._queue.consume(TRADES), until)
            except QueueError:
                await asyncio.sleep(0.1)

    async def _own(self, consumer: RabbitConsumer, until: int) -> None:
        while self.applied < until:
            deliveries = await consumer.receive()
            for delivery in deliveries:
                self._apply(decode_batch(delivery.body).offset)
            await consumer.acknowledge(deliveries[-1].tag)
        await consumer.close()

    def _apply(self, offset: int) -> None:
        if offset < self.applied:
            self.duplicates += 1
            return
        self.lost += offset - self.applied
        self.applied = offset + 1
        self.folded.append(offset)


async def close_every_connection(server: RabbitServer, vhost: str) -> None:
    await asyncio.to_thread(
        server.evaluate,
        '[rabbit_networking:close_connection(P, "test") || P <- rabbit_networking:connections(),'
        f' [{{vhost, <<"{vhost}">>}}] =:= rabbit_reader:info(P, [vhost])], [].',
    )


@pytest.mark.stops_rabbitmq
async def test_a_broker_that_crashes_under_traffic_loses_only_what_it_held(
    broker: RabbitWorld, rabbitmq_server: RabbitServer
) -> None:
    publisher = await broker.queue()
    reader = Reader(await broker.queue())
    reading = asyncio.ensure_future(reader.read(until=4_000))
    for number in range(4_000):
        publisher.publish(batch(number, size=2_000))
        if number == 1_500:
            rabbitmq_server.kill()
        if number == 2_500:
            rabbitmq_server.start()
        await asyncio.sleep(0.0005)
    async with asyncio.timeout(30):
        await publisher.settle()
        await reading
    counts = publisher.statistics
    assert (counts.published_batches, counts.confirmed_batches) == (4_000, 4_000)
    assert (counts.dropped_batches, counts.waiting_batches, counts.reconnects) == (0, 0, 1)
    assert reader.folded == sorted(set(reader.folded))
    assert len(reader.folded) + reader.lost == 4_000
    assert reader.duplicates <= counts.resent_batches
    assert set(range(1_501, 4_000)) <= set(reader.folded)


@pytest.mark.stops_rabbitmq
async def test_unconfirmed_batches_are_sent_again_in_order(
    broker: RabbitWorld, rabbitmq_server: RabbitServer
) -> None:
    queue = await broker.queue()
    await publish(queue, [0])
    broker_pid = rabbitmq_server.pid
    os.kill(broker_pid, signal.SIGSTOP)
    await until(lambda: state(broker_pid) == "T")  # it confirms nothing any more
    for number in range(1, 11):
        queue.publish(batch(number))
    await asyncio.sleep(0.2)
    rabbitmq_server.kill()
    await asyncio.sleep(0.2)
    for number in range(11, 15):
        queue.publish(batch(number))
    rabbitmq_server.start()
    async with asyncio.timeout(20):
        await queue.settle()
    counts = queue.statistics
    assert (counts.confirmed_batches, counts.resent_batches, counts.reconnects) == (15, 10, 1)
    deliveries = await take(await queue.consume(TRADES), 14)
    assert offsets(deliveries) == list(range(1, 15))


@pytest.mark.stops_rabbitmq
async def test_a_broker_that_is_away_costs_the_oldest_batches_and_each_is_counted(
    broker: RabbitWorld, rabbitmq_server: RabbitServer
) -> None:
    queue = await broker.queue(outbox_bytes=10_000)
    await queue.declare([TRADES])
    await asyncio.to_thread(rabbitmq_server.stop)
    for number in range(100):
        queue.publish(batch(number, size=900))
        await asyncio.sleep(0)
    counts = queue.statistics
    kept = counts.waiting_batches
    assert 8 <= kept <= 11
    assert counts.waiting_bytes <= 10_000
    rabbitmq_server.start()
    async with asyncio.timeout(20):
        await queue.settle()
    assert (counts.dropped_batches, counts.dropped_events) == (100 - kept, 100 - kept)
    assert counts.confirmed_batches == kept
    deliveries = await take(await queue.consume(TRADES), kept)
    assert offsets(deliveries) == list(range(100 - kept, 100))


async def test_a_lost_connection_ends_ownership_and_the_next_owner_gets_what_was_open(
    broker: RabbitWorld, rabbitmq_server: RabbitServer, rabbitmq_vhost: str
) -> None:
    queue = await broker.queue()
    consumer = await queue.consume(TRADES)
    await publish(queue, range(5))
    await take(consumer, 5)
    await consumer.acknowledge(2)
    await close_every_connection(rabbitmq_server, rabbitmq_vhost)
    with pytest.raises(ChannelClosed):
        async with asyncio.timeout(5):
            await consumer.receive()
    with pytest.raises(ChannelClosed):
        await consumer.acknowledge(5)
    await consumer.close()
    again = await take(await queue.consume(TRADES), 3)
    assert offsets(again) == [2, 3, 4]
    assert all(delivery.redelivered for delivery in again)
    await publish(queue, [5])
    assert queue.statistics.reconnects == 1


async def test_a_queue_with_other_arguments_is_used_as_it_is(
    broker: RabbitWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await (await broker.queue(ttl_ms=60_000)).declare([TRADES])
    queue = await broker.queue(ttl_ms=70_000)
    await queue.declare([TRADES])
    await publish(queue, range(3))
    assert offsets(await take(await queue.consume(TRADES), 3)) == [0, 1, 2]
    warnings = [record.getMessage() for record in caplog.records if "as it is" in record.msg]
    assert len(warnings) == 1
    assert "queue trades exists with other arguments" in warnings[0]
    assert "'x-message-ttl': 70000" in warnings[0]
    assert "current is '60000'" in warnings[0]


async def test_an_absent_broker_is_named_without_its_password() -> None:
    queue = RabbitQueue(f"amqp://me:hush@127.0.0.1:{free_port()}/")
    with pytest.raises(QueueError, match=r"amqp://127\.0\.0\.1:\d+/ cannot be used") as refusal:
        await queue.start()
    assert "hush" not in str(refusal.value)
    assert "check that RabbitMQ runs there" in str(refusal.value)


async def test_a_wrong_password_and_a_wrong_virtual_host_are_told_apart(
    rabbitmq_server: RabbitServer, rabbitmq_url: str
) -> None:
    user, _, rest = rabbitmq_url.rpartition("@")
    with pytest.raises(QueueError, match="check the user name and password"):
        await RabbitQueue(f"{user}x@{rest}").start()
    with pytest.raises(QueueError, match="check that the virtual host"):
        await RabbitQueue(rabbitmq_server.url("nowhere")).start()


async def test_publishing_without_a_broker_neither_raises_nor_blocks() -> None:
    queue = RabbitQueue(f"amqp://127.0.0.1:{free_port()}/")
    for number in range(10):
        queue.publish(batch(number))
    await asyncio.sleep(0.3)
    assert queue.statistics.waiting_batches == 10
    await queue.stop()
    counts = queue.statistics
    assert (counts.dropped_batches, counts.waiting_batches, counts.reconnects) == (10, 0, 0)


async def test_five_thousand_batches_of_64_kb_pass_in_seconds(broker: RabbitWorld) -> None:
    publisher, reader = await broker.queue(), Reader(await broker.queue())
    payload = batch(0, size=65_536)
    started_s, cpu_s = time.perf_counter(), time.process_time()
    reading = asyncio.ensure_future(reader.read(until=5_000))
    for number in range(5_000):
        publisher.publish(msgspec.structs.replace(payload, offset=number))
        if number % 50 == 0:
            while publisher.statistics.waiting_batches > 500:  # noqa: ASYNC110 - a bound
                await asyncio.sleep(0.001)
    async with asyncio.timeout(60):
        await publisher.settle()
        await reading
    seconds = time.perf_counter() - started_s
    cpu_us = (time.process_time() - cpu_s) / 5_000 * 1e6
    print(f"{5_000 / seconds:,.0f} batches/s, {cpu_us:.0f} us CPU for both ends of a batch")
    assert (reader.lost, len(reader.folded)) == (0, 5_000)
    assert 5_000 / seconds > 500


async def test_a_queue_stops_whatever_its_publisher_is_doing(rabbitmq_url: str) -> None:
    delays = Random(7)
    for _ in range(40):
        queue = RabbitQueue(rabbitmq_url, QueueLayout(prefix="stop."))
        await queue.start()
        queue.publish(Batch("p", Stream.TRADES, 0, "producer", 1, 0, 0, 0))
        await asyncio.sleep(delays.random() * 0.03)
        async with asyncio.timeout(3):
            await queue.stop()
    gc.collect()  # a task that was left behind would complain here, and not in another test
