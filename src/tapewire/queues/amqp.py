"""What the platform needs of AMQP 0-9-1, on top of ``aiormq``: addresses, connections, frames.

``aiormq`` is used without ``aio-pika`` above it: consuming must not reconnect by itself
(ownership and order hang on the channel), and publishing must not cost a task per batch.
"""

import asyncio
import logging
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import aiormq
from aiormq.abc import ChannelFrame
from msgspec import Struct

from tapewire.model.streams import Shard
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.queue import QueueError

_log: Final = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 5
CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0

READ_BUFFER_BYTES: Final = 1024 * 1024
"""More than a batch of 64 KB, or the socket is paused and resumed for every message."""

FAILURES: Final = (aiormq.AMQPError, aiormq.ChannelInvalidStateError, OSError, TimeoutError)
"""What a broker that is away, refuses or breaks off looks like."""

_CLOSED_BY_US: Final = aiormq.ConnectionClosed(None, "closed by this process")

SCHEMES: Final = ("amqp", "amqps")


class BrokerAddress(Struct, frozen=True):
    """A broker's address: ``url`` to connect with, ``shown`` to print (no user, no password)."""

    url: str
    shown: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``amqp[s]://user:password@host:port/vhost``; raise QueueError on anything else."""
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
        if parts.scheme not in SCHEMES or host is None:
            raise QueueError(
                "RABBITMQ_URL is not a broker's address: expected "
                "amqp://USER:PASSWORD@HOST:PORT/VHOST (or amqps://)"
            )
        query = {"heartbeat": [str(HEARTBEAT_SECONDS)], **parse_qs(parts.query)}
        return cls(parts._replace(query=urlencode(query, doseq=True)).geturl(), shown)


# What failed -> what to check; the first that fits. An invalid frame is what the client
# library makes of a refused connection.open.
_HINTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (aiormq.AuthenticationError, "check the user name and password in RABBITMQ_URL"),
    (aiormq.ProbableAuthenticationError, "check the user name and password in RABBITMQ_URL"),
    (aiormq.InvalidFrameError, "check that the virtual host in RABBITMQ_URL exists for this user"),
    (aiormq.ConnectionNotAllowed, "check that the user may use the virtual host in RABBITMQ_URL"),
    (aiormq.ChannelAccessRefused, "check the user's permissions in the virtual host"),
    (Exception, "check that RabbitMQ runs there and that RABBITMQ_URL has the right host and port"),
)


def unusable(address: BrokerAddress, error: Exception) -> QueueError:
    """A QueueError that says what failed and what to check, without the password."""
    what = "no answer in time" if isinstance(error, TimeoutError) else str(error) or repr(error)
    hint = next(hint for kind, hint in _HINTS if isinstance(error, kind))
    return QueueError(f"RabbitMQ at {address.shown} cannot be used: {what}; {hint}")


@contextmanager
def answers(address: BrokerAddress) -> Iterator[None]:
    """Turn whatever ends a conversation with the broker into a QueueError.

    ``aiormq`` cancels those who wait on a connection that ends; for a task that nobody asked
    to stop this is a failure like the others. The other way round, its ``wait_for`` forgets a
    cancellation that arrives together with the answer (Python 3.11): that is caught up here,
    or who cancelled would wait for ever.
    """
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        yield
    except FAILURES as error:
        raise unusable(address, error) from error
    except asyncio.CancelledError as error:
        if task is None or task.cancelling():
            raise
        ended = aiormq.ConnectionClosed(None, "the connection ended before the answer")
        raise unusable(address, ended) from error
    if task and task.cancelling() > cancelled_before:
        raise asyncio.CancelledError


async def connect(address: BrokerAddress, name: str) -> aiormq.Connection:
    """Open a connection that the broker lists under ``name``. Raises QueueError."""
    connection = aiormq.Connection(
        address.url, client_properties={"connection_name": name}, limit=READ_BUFFER_BYTES
    )
    try:
        with answers(address):
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()
    except BaseException:
        await disconnect(connection)  # its tasks would outlive whoever gave it up
        raise
    return connection


async def disconnect(connection: aiormq.Connection) -> None:
    """Close a connection; one that does not answer is given up after CLOSE_SECONDS."""
    try:
        await connection.close(_CLOSED_BY_US, timeout=CLOSE_SECONDS)
    except FAILURES as error:
        _log.warning("RabbitMQ did not answer the end of a connection: %r", error)


async def end_channel(channel: aiormq.Channel) -> None:
    """Close a channel and wait until the broker has; one that does not answer is cut off.

    Cut off means that its connection is closed, since a channel that only the broker believes
    in would keep its queue from every other consumer.
    """
    try:
        await channel.close(_CLOSED_BY_US, timeout=CLOSE_SECONDS)
    except FAILURES as error:
        _log.warning("RabbitMQ did not answer the end of a channel: %r", error)
        await disconnect(cast("aiormq.Connection", channel.connection))


async def open_channel(connection: aiormq.Connection, *, confirms: bool = False) -> aiormq.Channel:
    """Open a channel, with publisher confirms or without. Raises one of FAILURES.

    Its frame buffer has no length: what fills it is bounded by prefetch or by the number of
    confirms that are due, and a full one would stop the connection's other channels.
    """
    if connection.is_closed:
        raise aiormq.ConnectionClosed(None, "the connection was closed")
    channel = await connection.channel(
        publisher_confirms=confirms, frame_buffer_size=0, timeout=ANSWER_SECONDS
    )
    return cast("aiormq.Channel", channel)


def write_now(channel: aiormq.Channel, payload: bytes) -> bool:
    """Hand frames to the connection's writer; False when its queue is full."""
    if channel.write_queue.full():
        return False
    channel.write_queue.put_nowait(ChannelFrame(payload=payload, should_close=False))
    return True


async def write(channel: aiormq.Channel, payload: bytes) -> None:
    """Hand frames to the connection's writer; waits while its queue is full.

    A connection that has ended never empties that queue: the caller watches for the end.
    """
    await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))


def when_closed(source: aiormq.Connection | aiormq.Channel, react: Callable[[str], None]) -> None:
    """Call ``react`` once with the reason when ``source`` has closed."""

    def closed(future: asyncio.Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, asyncio.CancelledError):
            react("cut off: the broker was not heard for three heartbeats")
        else:
            react("closed" if error is None else str(error) or repr(error))

    source.closing.add_done_callback(closed)


class QueueDeclarer:
    """Declares queues as the layout says; one found with other arguments is used as it is."""

    def __init__(self, layout: QueueLayout) -> None:
        self._layout = layout
        self._warned: set[str] = set()

    async def declare(self, connection: aiormq.Connection, shard: Shard) -> str:
        """Declare a shard's queue on a channel of its own; return its name.

        Raises one of FAILURES.
        """
        name = self._layout.name(shard)
        arguments = self._layout.arguments(shard).for_broker()
        channel = await open_channel(connection)
        try:
            await channel.queue_declare(
                name, durable=True, arguments=dict(arguments), timeout=ANSWER_SECONDS
            )
        except aiormq.ChannelPreconditionFailed as error:
            if name not in self._warned:
                self._warned.add(name)
                _log.warning(
                    "queue %s exists with other arguments and is used as it is; "
                    "asked for: %s; the broker says: %s",
                    name,
                    arguments,
                    error,
                )
            return name
        await end_channel(channel)
        return name


class PublishFrames:
    """Builds the frames of ``basic.publish`` to one queue on one channel.

    AMQP 0-9-1, 4.2.3 to 4.2.6: a method frame, a content header frame, body frames of at
    most ``frame_max``. All but the sizes is the same for every batch, so it is made once.
    """

    _FRAME_START: Final = struct.Struct(">BHI")
    _HEADER: Final = struct.Struct(">BHIHHQ")
    _HEADER_FRAME, _BODY_FRAME = 2, 3
    _BASIC_CLASS = 60
    _FRAME_END = b"\xce"
    # Flags (content type, delivery mode), then the two values; mode 1 is transient.
    _PROPERTIES = b"\x90\x00" + b"\x13application/msgpack" + b"\x01"

    def __init__(self, channel: aiormq.Channel, queue: str) -> None:
        self._number = channel.number
        self._max_body = channel.max_content_size
        method = aiormq.spec.Basic.Publish(routing_key=queue)
        self._method = ChannelFrame.marshall(channel.number, [method]).payload

    def build(self, body: bytes) -> bytes:
        """Every frame of one message."""
        size = len(body)
        length = 12 + len(self._PROPERTIES)
        header = self._HEADER.pack(
            self._HEADER_FRAME, self._number, length, self._BASIC_CLASS, 0, size
        )
        parts = [self._method, header, self._PROPERTIES, self._FRAME_END]
        for start in range(0, size, self._max_body):
            piece = body if size <= self._max_body else body[start : start + self._max_body]
            parts.append(self._FRAME_START.pack(self._BODY_FRAME, self._number, len(piece)))
            parts += (piece, self._FRAME_END)
        return b"".join(parts)
