"""The in-process twin of RabbitMQ: the embedded default's queue, and the tests'.

It keeps what the rest of the platform leans on: FIFO per shard, one active consumer with
stand-bys in the order they attached, TTL and byte bound with the oldest dropped, a bound
on unacknowledged deliveries, and unacknowledged deliveries going back in order when a
channel closes. Several ``MemoryQueue`` handles (one per service) share a ``MemoryBroker``.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from tapewire.model.batch import Batch, encode_batch
from tapewire.model.streams import Shard
from tapewire.queues.arguments import QueueArguments, QueueLayout
from tapewire.queues.queue import (
    DEFAULT_PREFETCH,
    ChannelClosed,
    Delivery,
    OutboxStatistics,
    QueueError,
)

_log: Final = logging.getLogger(__name__)


def monotonic_ms() -> float:
    """The default clock for TTLs, in milliseconds."""
    return time.monotonic() * 1000.0


class QueueLosses(Struct):
    """Batches that the bounds of the queues took, which consumers see as gaps."""

    expired_batches: int = 0
    dropped_batches: int = 0


class _Message(Struct):
    body: bytes
    expires_ms: float | None
    redelivered: bool = False


class MemoryConsumer:
    """One attachment to a shard's queue: the twin of one AMQP channel."""

    def __init__(self, source: "_ShardQueue", prefetch: int) -> None:
        self._source = source
        self._prefetch = prefetch
        self._inbox: list[Delivery] = []
        self._unacknowledged: deque[_Message] = deque()
        self._last_tag = 0
        self._changed = asyncio.Event()
        self._closed = False

    async def receive(self) -> Sequence[Delivery]:
        """Wait for deliveries and return all that are here, in order."""
        while not self._inbox:
            self._raise_if_closed()
            self._changed.clear()
            await self._changed.wait()
        self._raise_if_closed()
        deliveries, self._inbox = self._inbox, []
        return deliveries

    async def acknowledge(self, up_to: int) -> None:
        """Acknowledge every delivery up to tag ``up_to``; free prefetch for the next ones."""
        self._raise_if_closed()
        if up_to > self._last_tag:
            raise ValueError(f"tag {up_to} was never delivered; the last is {self._last_tag}")
        waiting = self._unacknowledged
        for _ in range(up_to - (self._last_tag - len(waiting))):
            waiting.popleft()
        self._source.feed()

    async def close(self) -> None:
        """Close the channel; unacknowledged deliveries go back, the next in line is active."""
        if not self._closed:
            self._source.detach(self)

    @property
    def closed(self) -> bool:
        """Whether the channel has ended."""
        return self._closed

    @property
    def room(self) -> int:
        """How many more deliveries the prefetch bound allows."""
        return self._prefetch - len(self._unacknowledged)

    def deliver(self, message: _Message) -> None:
        """Take a message (called by the queue, within ``room``)."""
        self._last_tag += 1
        self._unacknowledged.append(message)
        self._inbox.append(Delivery(message.body, self._last_tag, message.redelivered))
        self._changed.set()

    def end(self) -> list[_Message]:
        """End the channel and hand back what was not acknowledged, oldest first."""
        self._closed = True
        self._changed.set()
        self._inbox.clear()
        returned = list(self._unacknowledged)
        self._unacknowledged.clear()
        return returned

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise ChannelClosed(f"the channel to {self._source.name} is closed")


class _ShardQueue:
    """One queue: ready messages, oldest first, and its consumers, the first of them active."""

    def __init__(
        self,
        name: str,
        arguments: QueueArguments,
        clock_ms: Callable[[], float],
        losses: QueueLosses,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self._clock_ms = clock_ms
        self._losses = losses
        self._ready: deque[_Message] = deque()
        self._ready_bytes = 0
        self._consumers: list[MemoryConsumer] = []

    def put(self, body: bytes) -> None:
        """Append a message, deliver what can be delivered, drop the oldest over the bound."""
        ttl_ms = self.arguments.ttl_ms
        expires_ms = None if ttl_ms is None else self._clock_ms() + ttl_ms
        self._ready.append(_Message(body, expires_ms))
        self._ready_bytes += len(body)
        self.feed()
        bound = self.arguments.max_bytes
        while bound is not None and self._ready_bytes > bound:
            self._take()
            self._losses.dropped_batches += 1

    def attach(self, prefetch: int) -> MemoryConsumer:
        """Add a consumer behind those that are here."""
        consumer = MemoryConsumer(self, prefetch)
        self._consumers.append(consumer)
        self.feed()
        return consumer

    def detach(self, consumer: MemoryConsumer) -> None:
        """Remove a consumer; what it did not acknowledge goes back to the head."""
        self._consumers.remove(consumer)
        for message in reversed(consumer.end()):
            message.redelivered = True
            self._ready.appendleft(message)
            self._ready_bytes += len(message.body)
        self.feed()

    def feed(self) -> None:
        """Move ready messages to the active consumer, as far as its prefetch goes."""
        self._expire()
        if not self._consumers:
            return
        active = self._consumers[0]
        while self._ready and active.room > 0:
            active.deliver(self._take())

    def depth(self) -> int:
        """Messages ready for delivery."""
        self._expire()
        return len(self._ready)

    def end(self) -> None:
        """The queue is deleted: its consumers' channels end, its messages are gone."""
        for consumer in self._consumers:
            consumer.end()
        self._consumers.clear()
        self._ready.clear()
        self._ready_bytes = 0

    def _take(self) -> _Message:
        message = self._ready.popleft()
        self._ready_bytes -= len(message.body)
        return message

    def _expire(self) -> None:
        if not self._ready or self.arguments.ttl_ms is None:
            return
        now_ms = self._clock_ms()
        while self._ready:
            expires_ms = self._ready[0].expires_ms
            if expires_ms is None or expires_ms > now_ms:
                return
            self._take()
            self._losses.expired_batches += 1


class MemoryBroker:
    """The queues of one process. ``clock_ms`` drives TTLs (milliseconds, any origin)."""

    def __init__(self, clock_ms: Callable[[], float] = monotonic_ms) -> None:
        self._clock_ms = clock_ms
        self._queues: dict[str, _ShardQueue] = {}
        self.losses = QueueLosses()

    def declare(self, name: str, arguments: QueueArguments) -> _ShardQueue:
        """The queue of this name; the first to ask for it sets its bounds."""
        queue = self._queues.get(name)
        if queue is None:
            queue = _ShardQueue(name, arguments, self._clock_ms, self.losses)
            self._queues[name] = queue
        elif queue.arguments != arguments:
            _log.warning(
                "queue %s is used as it is: it has %s, asked for was %s",
                name,
                queue.arguments,
                arguments,
            )
        return queue

    def find(self, name: str) -> _ShardQueue | None:
        """The queue of this name, if somebody declared it."""
        return self._queues.get(name)

    def delete(self, name: str) -> None:
        """Delete a queue with everything in it; no error when there is none."""
        queue = self._queues.pop(name, None)
        if queue is not None:
            queue.end()


class MemoryQueue:
    """One service's handle on a ``MemoryBroker`` (see ``queues/queue.py`` for the contract).

    There is no connection to lose, so a batch is confirmed as it is published.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        layout: QueueLayout | None = None,
        *,
        prefetch: int = DEFAULT_PREFETCH,
    ) -> None:
        self._broker = broker
        self._layout = layout or QueueLayout()
        self._prefetch = prefetch
        self._consumers: list[MemoryConsumer] = []
        self._declared: dict[Shard, str] = {}
        self._statistics = OutboxStatistics()
        self._stopped = False

    async def start(self) -> None:
        """Nothing to connect to."""
        self._stopped = False

    async def stop(self) -> None:
        """Close this handle's consumers; batches stay in the broker."""
        self._stopped = True
        consumers, self._consumers = self._consumers, []
        for consumer in consumers:
            await consumer.close()

    async def declare(self, shards: Sequence[Shard]) -> None:
        """Declare these shards' queues."""
        for shard in shards:
            self._declare(shard)

    def publish(self, batch: Batch) -> None:
        """Append a batch to its shard's queue; a stopped handle counts it as dropped."""
        statistics = self._statistics
        statistics.published_batches += 1
        statistics.published_events += batch.count
        if self._stopped:
            statistics.dropped_batches += 1
            statistics.dropped_events += batch.count
            return
        shard = batch.destination
        queue = self._broker.find(self._declared.get(shard, "")) or self._declare(shard)
        queue.put(encode_batch(batch))
        statistics.confirmed_batches += 1

    async def settle(self) -> None:
        """Return at once: what was published is confirmed."""

    async def consume(self, shard: Shard) -> MemoryConsumer:
        """Attach to a shard's queue, behind the consumers that are here."""
        if self._stopped:
            raise QueueError("the queue was stopped; call start() before consume()")
        consumer = self._declare(shard).attach(self._prefetch)
        self._consumers = [open_ for open_ in self._consumers if not open_.closed] + [consumer]
        return consumer

    async def depth(self, shard: Shard) -> int:
        """Batches ready for delivery; 0 for a queue that does not exist."""
        queue = self._broker.find(self._layout.name(shard))
        return 0 if queue is None else queue.depth()

    async def delete(self, shards: Sequence[Shard]) -> None:
        """Delete these shards' queues with everything in them."""
        for shard in shards:
            self._broker.delete(self._layout.name(shard))
            self._declared.pop(shard, None)

    @property
    def statistics(self) -> OutboxStatistics:
        """Counts since the handle was made."""
        return self._statistics

    def _declare(self, shard: Shard) -> _ShardQueue:
        name = self._declared[shard] = self._layout.name(shard)
        return self._broker.declare(name, self._layout.arguments(shard))
