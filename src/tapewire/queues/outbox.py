"""Batches that wait for the broker's confirm: one order per shard, one bound for all.

A parcel leaves its outbox when it is confirmed. After a lost connection everything that
was sent and not confirmed is unsent again, in front of what came later, so the broker sees
each shard in order; what arrived twice is skipped by its offset (architecture decision 4).
Pure: the publisher moves the bytes.
"""

from collections import deque

from msgspec import Struct

from tapewire.model.streams import Shard
from tapewire.queues.queue import OutboxStatistics


class Parcel(Struct):
    """An encoded batch and how many events it carries."""

    body: bytes
    events: int
    was_sent: bool = False


class Outbox:
    """One shard's parcels, oldest first: those in flight, then those not sent."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.waiting_bytes = 0
        self.in_flight_bytes = 0
        self._unsent: deque[Parcel] = deque()
        self._in_flight: dict[int, Parcel] = {}

    def __len__(self) -> int:
        return len(self._unsent) + len(self._in_flight)

    @property
    def unsent(self) -> int:
        """How many parcels wait to be sent."""
        return len(self._unsent)

    @property
    def in_flight(self) -> int:
        """How many parcels were sent and not confirmed."""
        return len(self._in_flight)

    def put(self, parcel: Parcel) -> None:
        """Append a parcel."""
        self._unsent.append(parcel)
        self.waiting_bytes += len(parcel.body)

    def send(self, tag: int) -> Parcel:
        """Take the oldest unsent parcel into flight under the channel's delivery tag."""
        parcel = self._in_flight[tag] = self._unsent.popleft()
        self.in_flight_bytes += len(parcel.body)
        return parcel

    def confirm(self, tag: int) -> Parcel:
        """Remove the parcel in flight under this tag. Raises KeyError for an unknown one."""
        parcel = self._in_flight.pop(tag)
        self.waiting_bytes -= len(parcel.body)
        self.in_flight_bytes -= len(parcel.body)
        return parcel

    def rewind(self) -> None:
        """The channel is gone: what was in flight is unsent again, in front and in order."""
        self._unsent.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()
        self.in_flight_bytes = 0

    def drop_oldest(self) -> Parcel | None:
        """Drop the oldest parcel that is not in flight; None when there is none."""
        if not self._unsent:
            return None
        parcel = self._unsent.popleft()
        self.waiting_bytes -= len(parcel.body)
        return parcel


class Outboxes:
    """The outboxes of one producer and the byte bound that they share.

    When all of them together hold more than ``max_bytes``, the fullest one pays with its
    oldest parcel, so a flood of quotes never costs a trade. A parcel in flight is not
    dropped: its bytes are in the socket already. After a lost connection nothing is in
    flight, so a dropped parcel may have arrived before; ``dropped_*`` is an upper bound of
    what consumers miss.
    """

    def __init__(self, max_bytes: int, statistics: OutboxStatistics) -> None:
        self._max_bytes = max_bytes
        self._statistics = statistics
        self._outboxes: dict[Shard, Outbox] = {}

    def put(self, shard: Shard, body: bytes, events: int) -> None:
        """Append an encoded batch to its shard's outbox and keep the bound."""
        outbox = self._outboxes.get(shard)
        if outbox is None:
            outbox = self._outboxes[shard] = Outbox(shard)
        outbox.put(Parcel(body, events))
        statistics = self._statistics
        statistics.published_batches += 1
        statistics.published_events += events
        statistics.waiting_batches += 1
        statistics.waiting_bytes += len(body)
        while statistics.waiting_bytes > self._max_bytes and self._drop_one():
            pass

    def send(self, outbox: Outbox, tag: int) -> Parcel:
        """Take the outbox's oldest unsent parcel into flight."""
        parcel = outbox.send(tag)
        self._statistics.resent_batches += parcel.was_sent
        parcel.was_sent = True
        return parcel

    def confirm(self, outbox: Outbox, tag: int) -> None:
        """The broker has the parcel that went out under this tag."""
        parcel = outbox.confirm(tag)
        self._statistics.confirmed_batches += 1
        self._leave(parcel)

    def refuse(self, events: int) -> None:
        """Count a batch that nobody will send."""
        self._statistics.published_batches += 1
        self._statistics.published_events += events
        self._statistics.dropped_batches += 1
        self._statistics.dropped_events += events

    def count_refusal(self) -> None:
        """The broker gave a negative confirm; the parcel stays and is sent again."""
        self._statistics.refused_batches += 1

    def rewind(self) -> None:
        """The connection is gone: every parcel is unsent again."""
        for outbox in self._outboxes.values():
            outbox.rewind()

    def drop_all(self) -> None:
        """Nobody will send these any more: count them as dropped."""
        self.rewind()
        while self._drop_one():
            pass

    def all(self) -> list[Outbox]:
        """Every outbox, in the order of their first batches."""
        return list(self._outboxes.values())

    @property
    def empty(self) -> bool:
        """Whether everything was confirmed or dropped."""
        return self._statistics.waiting_batches == 0

    def _drop_one(self) -> bool:
        fullest = max(self._outboxes.values(), key=_droppable_bytes, default=None)
        parcel = None if fullest is None else fullest.drop_oldest()
        if parcel is None:
            return False
        self._statistics.dropped_batches += 1
        self._statistics.dropped_events += parcel.events
        self._leave(parcel)
        return True

    def _leave(self, parcel: Parcel) -> None:
        self._statistics.waiting_batches -= 1
        self._statistics.waiting_bytes -= len(parcel.body)


def _droppable_bytes(outbox: Outbox) -> int:
    return outbox.waiting_bytes - outbox.in_flight_bytes
