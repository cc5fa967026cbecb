"""The sending half of the RabbitMQ queue: outboxes, confirms in a pipeline, reconnects.

One connection, one channel per queue, one task. The task sends what is unsent, as far as
the window of each shard goes, and sleeps until there is a batch, a confirm or an end. The
broker's confirms come back through the futures of the channel; nothing waits for them one
by one.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import aiormq

from tapewire.model.batch import Batch, encode_batch
from tapewire.model.streams import Shard
from tapewire.queues import amqp
from tapewire.queues.outbox import Outbox, Outboxes
from tapewire.queues.queue import OutboxStatistics, QueueError

_log: Final = logging.getLogger(__name__)

WINDOW_BATCHES: Final = 128
WINDOW_BYTES: Final = 8 * 1024 * 1024
"""What one shard may have in flight; the rest waits, and may be dropped, in the outbox."""

FIRST_DELAY_SECONDS: Final = 0.1
LONGEST_DELAY_SECONDS: Final = 5.0


class _Lane:
    """One shard's way to the broker in one connection: its channel and its frames."""

    def __init__(self, channel: aiormq.Channel, queue: str, outbox: Outbox) -> None:
        self.channel = channel
        self.outbox = outbox
        self.frames = amqp.PublishFrames(channel, queue)

    @property
    def may_send(self) -> bool:
        """Whether there is something to send and room in the window."""
        outbox = self.outbox
        return (
            outbox.unsent > 0
            and outbox.in_flight < WINDOW_BATCHES
            and outbox.in_flight_bytes < WINDOW_BYTES
        )


class _Session:
    """One connection's life. ``lost`` is done as soon as it can be used no longer."""

    def __init__(
        self,
        connection: aiormq.Connection,
        declarer: amqp.QueueDeclarer,
        outboxes: Outboxes,
        wake: asyncio.Event,
        confirmed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._declarer = declarer
        self._outboxes = outboxes
        self._wake = wake
        self._confirmed = confirmed
        self._lanes: dict[Shard, _Lane] = {}
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        amqp.when_closed(connection, self._lose)

    async def send(self) -> None:
        """Send whatever may be sent until the session is lost. Raises ``amqp.FAILURES``.

        ``lost`` is looked at before waiting, since aiormq may have forgotten a cancellation
        that came together with the broker's answer (``amqp.answers``).
        """
        while True:
            self._wake.clear()
            for outbox in self._outboxes.all():
                lane = self._lanes.get(outbox.shard) or await self._open(outbox)
                while lane.may_send and not self.lost.done():
                    await self._send_one(lane)
            if self.lost.done():
                return
            await self._wake.wait()

    async def _open(self, outbox: Outbox) -> _Lane:
        queue = await self._declarer.declare(self._connection, outbox.shard)
        channel = await amqp.open_channel(self._connection, confirms=True)
        amqp.when_closed(channel, self._lose)
        lane = _Lane(channel, queue, outbox)
        self._lanes[outbox.shard] = lane
        return lane

    async def _send_one(self, lane: _Lane) -> None:
        channel = lane.channel
        channel.delivery_tag = tag = channel.delivery_tag + 1
        confirmation = asyncio.get_running_loop().create_future()
        confirmation.add_done_callback(partial(self._answered, lane, tag))
        channel.confirmations[tag] = confirmation
        parcel = self._outboxes.send(lane.outbox, tag)
        await amqp.write(channel, lane.frames.build(parcel.body))

    def _answered(self, lane: _Lane, tag: int, confirmation: asyncio.Future[object]) -> None:
        error = None if confirmation.cancelled() else confirmation.exception()
        if error is not None:
            self._outboxes.count_refusal()
            self._lose("the broker refused a batch")
        elif not self.lost.done():  # else it was rewound: sent again, skipped by its offset
            self._outboxes.confirm(lane.outbox, tag)
            self._confirmed()

    def end(self) -> None:
        """Hear nothing more of this connection."""
        self._lose("closed by this process")

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)


class Publisher:
    """Sends batches in order, one outbox per shard, over connections that may come and go.

    ``max_bytes`` bounds what waits for a confirm, all shards together; the oldest batches of
    the fullest shard pay when it is reached.
    """

    def __init__(
        self,
        address: amqp.BrokerAddress,
        declarer: amqp.QueueDeclarer,
        *,
        max_bytes: int,
        name: str,
    ) -> None:
        self._address = address
        self._declarer = declarer
        self._name = name
        self.statistics = OutboxStatistics()
        self._outboxes = Outboxes(max_bytes, self.statistics)
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._delay_seconds = FIRST_DELAY_SECONDS

    def put(self, batch: Batch) -> None:
        """Put a batch into its outbox; the first one starts the task that sends."""
        if self._stopped:
            self._outboxes.refuse(batch.count)
            return
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="publisher")
        self._outboxes.put(batch.destination, encode_batch(batch), batch.count)
        self._settled.clear()
        self._wake.set()

    async def settle(self) -> None:
        """Return when every batch was confirmed or dropped."""
        await self._settled.wait()

    async def stop(self) -> None:
        """Stop sending, close the connection, count what was not confirmed as dropped."""
        self._stopped = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._outboxes.drop_all()
        self._settled.set()

    def resume(self) -> None:
        """Take batches again after ``stop``."""
        self._stopped = False

    async def _run(self) -> None:
        was_connected = False
        while True:
            try:
                connection = await amqp.connect(self._address, self._name)
                self.statistics.reconnects += was_connected
                was_connected = True
                reason = await self._serve(connection)
            except QueueError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001 - the outbox outlives any library's error
                reason = f"{error!r}"
                _log.exception("publishing to RabbitMQ failed in an unknown way; trying again")
            self._outboxes.rewind()
            _log.warning(
                "RabbitMQ at %s is lost for publishing (%s); %d batches wait; next try in %.1f s",
                self._address.shown,
                reason,
                self.statistics.waiting_batches,
                self._delay_seconds,
            )
            await asyncio.sleep(self._delay_seconds)
            self._delay_seconds = min(2 * self._delay_seconds, LONGEST_DELAY_SECONDS)

    async def _serve(self, connection: aiormq.Connection) -> str:
        """Send over this connection until it ends; return why it did."""
        session = _Session(connection, self._declarer, self._outboxes, self._wake, self._confirmed)
        sending = asyncio.ensure_future(session.send())
        ends: set[asyncio.Future[Any]] = {sending, session.lost}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                with amqp.answers(self._address):
                    sending.result()
            return session.lost.result()
        finally:
            self._outboxes.rewind()
            session.end()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await amqp.disconnect(connection)

    def _confirmed(self) -> None:
        self._delay_seconds = FIRST_DELAY_SECONDS
        self._wake.set()
        if self._outboxes.empty:
            self._settled.set()
