"""The queue contract: ordered batches to shards, one active consumer each.

Implementations: ``queues/memory.py`` (in process) and ``queues/rabbitmq.py``. Both keep
``architecture.md`` decision 3 and section 4: FIFO per shard, TTL and byte bound from one
table, at most one active consumer, whose ownership begins with its first delivery and
ends when its channel closes for any reason.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from tapewire.model.batch import Batch
from tapewire.model.streams import Shard

DEFAULT_PREFETCH: Final = 500
"""Unacknowledged deliveries per consumer (``PREFETCH_COUNT``)."""


class QueueError(Exception):
    """The broker cannot be reached or refused; the message says what to do."""


class ChannelClosed(QueueError):  # noqa: N818 - a state that is expected, not a mistake
    """The consumer's channel closed: ownership of the shard has ended."""


class Delivery(Struct, gc=False, frozen=True):
    """One message for the active consumer; ``tag`` grows by one per delivery of a channel."""

    body: bytes
    tag: int
    redelivered: bool = False


class OutboxStatistics(Struct):
    """Counts of one producer: published = confirmed + dropped + waiting, in batches.

    ``dropped_*`` are batches that the byte bound pushed out, or that were not confirmed when
    the queue stopped; ``resent_batches`` those sent again after a lost connection;
    ``refused_batches`` negative confirms (each is sent again); ``reconnects`` the
    publisher's connections after its first.
    """

    published_batches: int = 0
    published_events: int = 0
    confirmed_batches: int = 0
    dropped_batches: int = 0
    dropped_events: int = 0
    resent_batches: int = 0
    refused_batches: int = 0
    reconnects: int = 0
    waiting_batches: int = 0
    waiting_bytes: int = 0


class Consumer(Protocol):
    """One attachment to one shard's queue: exactly one channel."""

    async def receive(self) -> Sequence[Delivery]:
        """Wait for deliveries and return all that are here, in order (never empty).

        Raises ChannelClosed when the channel has ended, whoever ended it.
        """

    async def acknowledge(self, up_to: int) -> None:
        """Acknowledge every delivery of this channel up to tag ``up_to`` (AMQP multiple).

        Nothing happens for a tag that is acknowledged already. Raises ValueError for a tag
        that was never delivered, ChannelClosed when the channel has ended.
        """

    async def close(self) -> None:
        """Close the channel (never ``basic.cancel``); unacknowledged deliveries go back."""


class Queue(Protocol):
    """A connection to the broker, or its in-memory twin."""

    async def start(self) -> None:
        """Connect; raises QueueError naming the address when it cannot."""

    async def stop(self) -> None:
        """Close everything; what was not confirmed is counted as dropped."""

    async def declare(self, shards: Sequence[Shard]) -> None:
        """Declare these shards' queues; one found with other arguments is used with a warning."""

    def publish(self, batch: Batch) -> None:
        """Put a batch into its shard's ordered outbox; O(1), never blocks.

        Never raises for a lost connection: over the byte bound the oldest batches are
        dropped and counted.

        A shard that was not declared is declared before its first batch is sent.
        """

    async def settle(self) -> None:
        """Return when every outbox is empty (everything confirmed or dropped)."""

    async def consume(self, shard: Shard) -> Consumer:
        """Attach to a shard's queue, which is declared if it does not exist.

        The first delivery may be long in coming (stand-by). Raises QueueError when the
        broker cannot be reached.
        """

    async def depth(self, shard: Shard) -> int:
        """Batches ready for delivery, not counting unacknowledged ones (passive declare).

        0 for a queue that does not exist.
        """

    async def delete(self, shards: Sequence[Shard]) -> None:
        """Delete these shards' queues (a replay removes its own)."""

    @property
    def statistics(self) -> OutboxStatistics:
        """Counts since ``start``."""
