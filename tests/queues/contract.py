"""What every queue promises, run against the in-memory twin and against RabbitMQ."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import pytest

from tapewire.model.batch import Batch, decode_batch
from tapewire.model.streams import Shard, Stream
from tapewire.queues.queue import ChannelClosed, Consumer, Delivery, Queue

TRADES = Shard(Stream.TRADES, 0)
QUOTES = Shard(Stream.QUOTES, 0)
PATIENCE_SECONDS = 10.0
A_LITTLE_SECONDS = 0.15


class Broker(Protocol):
    """What a test needs beside the queue itself."""

    async def queue(self, *, ttl_ms: int = 0, max_bytes: int = 0, prefetch: int = 500) -> Queue: ...

    async def elapse(self, milliseconds: int) -> None: ...


def batch(number: int, shard: Shard = TRADES, *, size: int = 10) -> Batch:
    """Batch ``number`` of one event; its payload has ``size`` bytes."""
    payload = str(number).encode().ljust(size)
    return Batch("massive", shard.stream, shard.index, "mdl", 1, number, 1, 0, payload)


async def publish(queue: Queue, numbers: Sequence[int], *, size: int = 10) -> None:
    for number in numbers:
        queue.publish(batch(number, size=size))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await queue.settle()


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Receive exactly ``count`` deliveries."""
    deliveries: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(deliveries) < count:
            deliveries.extend(await consumer.receive())
    assert len(deliveries) == count
    return deliveries


def offsets(deliveries: Sequence[Delivery]) -> list[int]:
    return [decode_batch(delivery.body).offset for delivery in deliveries]


async def assert_silent(consumer: Consumer) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(A_LITTLE_SECONDS):
            await consumer.receive()


async def wait_for_depth(queue: Queue, shard: Shard, depth: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await queue.depth(shard) != depth:  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.02)


class QueueContract:
    """The promises. A subclass brings a ``broker`` fixture."""

    async def test_batches_arrive_whole_and_in_order(self, broker: Broker) -> None:
        queue = await broker.queue()
        await publish(queue, range(100))
        deliveries = await take(await queue.consume(TRADES), 100)
        assert offsets(deliveries) == list(range(100))
        assert decode_batch(deliveries[7].body) == batch(7)
        assert [delivery.tag for delivery in deliveries] == list(range(1, 101))
        assert not any(delivery.redelivered for delivery in deliveries)

    async def test_a_big_batch_arrives_whole(self, broker: Broker) -> None:
        queue = await broker.queue()
        await publish(queue, [0], size=400_000)
        (delivery,) = await take(await queue.consume(TRADES), 1)
        assert decode_batch(delivery.body) == batch(0, size=400_000)

    async def test_shards_are_independent(self, broker: Broker) -> None:
        queue = await broker.queue()
        queue.publish(batch(1, QUOTES))
        queue.publish(batch(2, TRADES))
        await queue.settle()
        assert offsets(await take(await queue.consume(TRADES), 1)) == [2]
        assert offsets(await take(await queue.consume(QUOTES), 1)) == [1]

    async def test_a_consumer_may_come_before_any_publisher(self, broker: Broker) -> None:
        consumer = await (await broker.queue()).consume(TRADES)
        await publish(await broker.queue(), [1])
        assert offsets(await take(consumer, 1)) == [1]

    async def test_only_the_first_consumer_is_active(self, broker: Broker) -> None:
        queue, other = await broker.queue(), await broker.queue()
        active, stand_by = await queue.consume(TRADES), await other.consume(TRADES)
        await publish(queue, range(5))
        assert offsets(await take(active, 5)) == [0, 1, 2, 3, 4]
        await assert_silent(stand_by)

    async def test_stand_bys_take_over_in_order_with_what_was_not_acknowledged(
        self, broker: Broker
    ) -> None:
        queue = await broker.queue()
        first, second, third = [await queue.consume(TRADES) for _ in range(3)]
        await publish(queue, range(6))
        await take(first, 6)
        await first.acknowledge(2)
        await first.close()
        again = await take(second, 4)
        assert offsets(again) == [2, 3, 4, 5]
        assert all(delivery.redelivered for delivery in again)
        await assert_silent(third)
        await second.acknowledge(1)
        await second.close()
        assert offsets(await take(third, 3)) == [3, 4, 5]

    async def test_what_went_back_comes_before_what_is_new(self, broker: Broker) -> None:
        queue = await broker.queue()
        consumer = await queue.consume(TRADES)
        await publish(queue, [0, 1])
        await take(consumer, 2)
        await consumer.close()
        await publish(queue, [2])
        deliveries = await take(await queue.consume(TRADES), 3)
        assert offsets(deliveries) == [0, 1, 2]
        assert [delivery.redelivered for delivery in deliveries] == [True, True, False]

    async def test_acknowledged_batches_never_return(self, broker: Broker) -> None:
        queue = await broker.queue()
        consumer = await queue.consume(TRADES)
        await publish(queue, range(10))
        deliveries = await take(consumer, 10)
        await consumer.acknowledge(deliveries[4].tag)
        await consumer.acknowledge(deliveries[4].tag)
        await consumer.acknowledge(deliveries[9].tag)
        await consumer.close()
        await wait_for_depth(queue, TRADES, 0)
        await assert_silent(await queue.consume(TRADES))

    async def test_a_tag_that_was_never_delivered_is_refused(self, broker: Broker) -> None:
        queue = await broker.queue()
        consumer = await queue.consume(TRADES)
        await publish(queue, [0])
        await take(consumer, 1)
        with pytest.raises(ValueError, match="tag 2 was never delivered; the last is 1"):
            await consumer.acknowledge(2)

    async def test_prefetch_bounds_what_is_not_acknowledged(self, broker: Broker) -> None:
        queue = await broker.queue(prefetch=3)
        consumer = await queue.consume(TRADES)
        await publish(queue, range(5))
        await take(consumer, 3)
        await assert_silent(consumer)
        assert await queue.depth(TRADES) == 2
        await consumer.acknowledge(1)
        assert offsets(await take(consumer, 1)) == [3]

    async def test_a_closed_channel_ends_ownership(self, broker: Broker) -> None:
        queue = await broker.queue()
        consumer = await queue.consume(TRADES)
        waiting = asyncio.ensure_future(consumer.receive())
        await asyncio.sleep(0)
        await consumer.close()
        with pytest.raises(ChannelClosed):
            await waiting
        with pytest.raises(ChannelClosed):
            await consumer.receive()
        with pytest.raises(ChannelClosed):
            await consumer.acknowledge(0)
        await consumer.close()

    async def test_expired_batches_are_not_delivered(self, broker: Broker) -> None:
        queue = await broker.queue(ttl_ms=1_000)
        await publish(queue, [0, 1])
        await broker.elapse(1_100)
        await publish(queue, [2])
        assert await queue.depth(TRADES) == 1
        assert offsets(await take(await queue.consume(TRADES), 1)) == [2]

    async def test_the_oldest_batches_make_room(self, broker: Broker) -> None:
        queue = await broker.queue(max_bytes=4_000)
        await publish(queue, range(10), size=900)
        await wait_for_depth(queue, TRADES, 4)
        assert offsets(await take(await queue.consume(TRADES), 4)) == [6, 7, 8, 9]

    async def test_depth_counts_what_is_ready(self, broker: Broker) -> None:
        queue = await broker.queue()
        assert await queue.depth(TRADES) == 0
        await publish(queue, range(3))
        assert await queue.depth(TRADES) == 3
        await take(await queue.consume(TRADES), 3)
        assert await queue.depth(TRADES) == 0

    async def test_a_deleted_queue_is_empty_and_ends_its_consumers(self, broker: Broker) -> None:
        queue, other = await broker.queue(), await broker.queue()
        consumer = await other.consume(TRADES)
        await publish(queue, range(3))
        await take(consumer, 3)
        await queue.delete([TRADES, QUOTES])
        with pytest.raises(ChannelClosed):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await consumer.receive()
        await queue.declare([TRADES])
        assert await queue.depth(TRADES) == 0

    async def test_stopping_gives_back_what_was_not_acknowledged(self, broker: Broker) -> None:
        queue, other = await broker.queue(), await broker.queue()
        consumer, stand_by = await queue.consume(TRADES), await other.consume(TRADES)
        await publish(other, [0])
        await take(consumer, 1)
        await queue.stop()
        assert offsets(await take(stand_by, 1)) == [0]
        with pytest.raises(ChannelClosed):
            await consumer.receive()

    async def test_statistics_count_what_was_published(self, broker: Broker) -> None:
        queue = await broker.queue()
        await publish(queue, range(7))
        counts = queue.statistics
        assert (counts.published_batches, counts.published_events) == (7, 7)
        assert (counts.confirmed_batches, counts.dropped_batches) == (7, 0)
        assert (counts.waiting_batches, counts.waiting_bytes) == (0, 0)
