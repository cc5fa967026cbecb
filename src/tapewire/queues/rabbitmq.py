"""RabbitMQ as the queue: what connects listeners and processors in production.

Publishing and consuming use a connection each, since a broker that stops reading from a
busy publisher must not stop acknowledgements. The publisher reconnects by itself and keeps
its order (``publisher.py``). The consumers' connection does not: when it or a channel ends,
``receive()`` raises ChannelClosed, ownership is over, and the next ``consume()`` connects
anew. Hand-over is the end of the channel; ``basic.cancel`` is never sent, since it crashes
a single-active-consumer queue of RabbitMQ 3.10 (architecture decision 3).
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiormq
from aiormq.abc import ChannelFrame, DeliveredMessage

from tapewire.model.batch import Batch
from tapewire.model.streams import Shard
from tapewire.queues import amqp
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.publisher import Publisher
from tapewire.queues.queue import (
    DEFAULT_PREFETCH,
    ChannelClosed,
    Delivery,
    OutboxStatistics,
    QueueError,
)

OUTBOX_BYTES: Final = 64 * 1024 * 1024


class RabbitConsumer:
    """One attachment to one shard's queue: exactly one AMQP channel."""

    def __init__(self, connection: aiormq.Connection, channel: aiormq.Channel, queue: str) -> None:
        self._connection = connection
        self._channel = channel
        self._queue = queue
        self._inbox: list[Delivery] = []
        self._last_tag = 0
        self._acknowledged = 0
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()
        self._reason: str | None = None
        self._closing: asyncio.Future[None] | None = None
        amqp.when_closed(channel, self._finish)
        amqp.when_closed(connection, self._finish)
        channel.on_consumer_cancel_callbacks.add(self._cancelled)

    async def receive(self) -> Sequence[Delivery]:
        """Wait for deliveries and return all that are here, in order."""
        while not self._inbox:
            self._raise_if_ended()
            self._changed.clear()
            await self._changed.wait()
        self._raise_if_ended()
        deliveries, self._inbox = self._inbox, []
        return deliveries

    async def acknowledge(self, up_to: int) -> None:
        """Acknowledge every delivery up to tag ``up_to`` with one ``basic.ack`` (multiple)."""
        self._raise_if_ended()
        if up_to > self._last_tag:
            raise ValueError(f"tag {up_to} was never delivered; the last is {self._last_tag}")
        if up_to <= self._acknowledged:
            return
        self._acknowledged = up_to
        ack = aiormq.spec.Basic.Ack(delivery_tag=up_to, multiple=True)
        payload = ChannelFrame.marshall(self._channel.number, [ack]).payload
        if not amqp.write_now(self._channel, payload):
            await self._write_later(payload)

    async def close(self) -> None:
        """Close the channel and wait until the broker has; what was not acknowledged goes back.

        A broker that does not answer leaves the shard with a channel that nobody serves, so
        the whole connection is closed then.
        """
        if self._reason is None:
            self._finish("closed by its owner")
            await amqp.end_channel(self._channel)

    async def deliver(self, message: DeliveredMessage) -> None:
        """Take a message (the channel's callback)."""
        tag = message.delivery_tag or 0
        self._last_tag = tag
        self._inbox.append(Delivery(message.body, tag, bool(message.redelivered)))
        self._changed.set()

    async def _write_later(self, payload: bytes) -> None:
        """Write through a full queue, which an ended connection never empties."""
        writing = asyncio.ensure_future(amqp.write(self._channel, payload))
        ended = asyncio.ensure_future(self._closed.wait())
        await asyncio.wait({writing, ended}, return_when=asyncio.FIRST_COMPLETED)
        writing.cancel()
        ended.cancel()
        self._raise_if_ended()

    def _cancelled(self, _: aiormq.spec.Basic.Cancel) -> None:
        """The broker ended the consumer (its queue was deleted): so ends the channel.

        In a task of its own, since the channel's reader, which calls this, hears the answer.
        """
        self._finish("the broker cancelled the consumer; was the queue deleted?")
        self._closing = asyncio.ensure_future(amqp.end_channel(self._channel))

    def _finish(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._inbox.clear()
        self._changed.set()
        self._closed.set()

    def _raise_if_ended(self) -> None:
        if self._reason is not None:
            raise ChannelClosed(f"the channel to {self._queue} ended: {self._reason}")


class RabbitQueue:
    """A connection to RabbitMQ (see ``queues/queue.py`` for the contract).

    ``outbox_bytes`` bounds what waits for the broker's confirms; ``prefetch`` the deliveries
    that a consumer has not acknowledged; ``name`` is how the broker lists the connections.
    Raises QueueError for an address that is none.
    """

    def __init__(
        self,
        url: str,
        layout: QueueLayout | None = None,
        *,
        prefetch: int = DEFAULT_PREFETCH,
        outbox_bytes: int = OUTBOX_BYTES,
        name: str = "tapewire",
    ) -> None:
        self._address = amqp.BrokerAddress.parse(url)
        self._layout = layout or QueueLayout()
        self._prefetch = prefetch
        self._name = name
        self._declarer = amqp.QueueDeclarer(self._layout)
        self._publisher = Publisher(
            self._address, self._declarer, max_bytes=outbox_bytes, name=f"{name} publisher"
        )
        self._connecting = asyncio.Lock()
        self._connection: aiormq.Connection | None = None
        self._asking: aiormq.Channel | None = None
        self._stopped = False

    async def start(self) -> None:
        """Connect; raises QueueError that names the address and what to check."""
        self._stopped = False
        self._publisher.resume()
        await self._connected()

    async def stop(self) -> None:
        """Close both connections; what was not confirmed is counted as dropped."""
        self._stopped = True
        await self._publisher.stop()
        async with self._connecting:
            connection, self._connection = self._connection, None
            if connection is not None:
                await amqp.disconnect(connection)

    async def declare(self, shards: Sequence[Shard]) -> None:
        """Declare these shards' queues; raises QueueError when the broker is away."""
        connection = await self._connected()
        with amqp.answers(self._address):
            for shard in shards:
                await self._declarer.declare(connection, shard)

    def publish(self, batch: Batch) -> None:
        """Put a batch into its shard's ordered outbox; O(1), never blocks."""
        self._publisher.put(batch)

    async def settle(self) -> None:
        """Return when every batch was confirmed or dropped."""
        await self._publisher.settle()

    async def consume(self, shard: Shard) -> RabbitConsumer:
        """Attach to a shard's queue on a channel of its own, connecting anew where needed."""
        connection = await self._connected()
        with amqp.answers(self._address):
            queue = await self._declarer.declare(connection, shard)
            channel = await amqp.open_channel(connection)
            await channel.basic_qos(prefetch_count=self._prefetch, timeout=amqp.ANSWER_SECONDS)
            consumer = RabbitConsumer(connection, channel, queue)
            await channel.basic_consume(queue, consumer.deliver, timeout=amqp.ANSWER_SECONDS)
        return consumer

    async def depth(self, shard: Shard) -> int:
        """Batches ready for delivery (passive declare); 0 for a queue that does not exist."""
        name = self._layout.name(shard)
        connection = await self._connected()
        with amqp.answers(self._address):
            channel = await self._asking_channel(connection)
            try:
                answer = await channel.queue_declare(
                    name, passive=True, timeout=amqp.ANSWER_SECONDS
                )
            except aiormq.ChannelNotFoundEntity:
                return 0
        return answer.message_count or 0

    async def delete(self, shards: Sequence[Shard]) -> None:
        """Delete these shards' queues with everything in them."""
        connection = await self._connected()
        with amqp.answers(self._address):
            channel = await self._asking_channel(connection)
            for shard in shards:
                await channel.queue_delete(self._layout.name(shard), timeout=amqp.ANSWER_SECONDS)

    @property
    def statistics(self) -> OutboxStatistics:
        """Counts since the queue was made."""
        return self._publisher.statistics

    async def _connected(self) -> aiormq.Connection:
        """The connection for everything but publishing, opened anew when it is gone."""
        async with self._connecting:
            if self._stopped:
                raise QueueError("the queue was stopped; call start() first")
            if self._connection is None or not self._connection.is_opened:
                self._connection = await amqp.connect(self._address, self._name)
            return self._connection

    async def _asking_channel(self, connection: aiormq.Connection) -> aiormq.Channel:
        """The channel for passive declares and deletes, opened anew when a refusal closed it."""
        asking = self._asking
        if asking is None or asking.is_closed or asking.connection is not connection:
            asking = self._asking = await amqp.open_channel(connection)
        return asking
