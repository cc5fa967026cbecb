import logging

import pytest

from tapewire.queues.arguments import QueueArguments, QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.queues.queue import QueueError
from tests.queues.contract import TRADES, QueueContract, batch, offsets, publish, take


class MemoryWorld:
    """A broker whose clock the test moves."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.broker = MemoryBroker(lambda: self.now_ms)

    async def queue(
        self, *, ttl_ms: int = 0, max_bytes: int = 0, prefetch: int = 500
    ) -> MemoryQueue:
        layout = QueueLayout(ttl_ms=ttl_ms, max_bytes=max_bytes)
        queue = MemoryQueue(self.broker, layout, prefetch=prefetch)
        await queue.start()
        return queue

    async def elapse(self, milliseconds: int) -> None:
        self.now_ms += milliseconds


@pytest.fixture
def broker() -> MemoryWorld:
    return MemoryWorld()


class TestMemoryQueue(QueueContract):
    """The contract, in process."""


async def test_a_batch_that_went_back_keeps_its_age(broker: MemoryWorld) -> None:
    queue = await broker.queue(ttl_ms=100)
    consumer = await queue.consume(TRADES)
    await publish(queue, [0])
    await take(consumer, 1)
    await broker.elapse(101)
    await consumer.close()
    assert await queue.depth(TRADES) == 0
    assert broker.broker.losses.expired_batches == 1


async def test_delivered_batches_do_not_expire_in_the_consumer(broker: MemoryWorld) -> None:
    queue = await broker.queue(ttl_ms=100)
    consumer = await queue.consume(TRADES)
    await publish(queue, [0])
    await broker.elapse(101)
    assert offsets(await take(consumer, 1)) == [0]


async def test_batches_over_the_byte_bound_are_counted(broker: MemoryWorld) -> None:
    queue = await broker.queue(max_bytes=2_000)
    await publish(queue, range(5), size=900)
    assert broker.broker.losses.dropped_batches == 3
    assert queue.statistics.dropped_batches == 0


async def test_the_first_to_declare_sets_the_bounds(
    broker: MemoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await (await broker.queue(ttl_ms=100)).declare([TRADES])
    with caplog.at_level(logging.WARNING):
        await (await broker.queue(ttl_ms=200)).declare([TRADES])
    assert "queue trades is used as it is" in caplog.text
    assert "ttl_ms=100" in caplog.text
    assert "ttl_ms=200" in caplog.text
    queue = broker.broker.find("trades")
    assert queue is not None
    assert queue.arguments == QueueArguments(100, None)


async def test_a_stopped_queue_counts_what_is_published_as_dropped(broker: MemoryWorld) -> None:
    queue = await broker.queue()
    await queue.stop()
    queue.publish(batch(0))
    assert queue.statistics.dropped_batches == 1
    assert queue.statistics.dropped_events == 1
    with pytest.raises(QueueError, match="start"):
        await queue.consume(TRADES)
