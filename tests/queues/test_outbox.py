from hypothesis import given
from hypothesis import strategies as st

from tapewire.model.streams import Shard, Stream
from tapewire.queues.outbox import Outboxes
from tapewire.queues.queue import OutboxStatistics

TRADES = Shard(Stream.TRADES, 0)
QUOTES = Shard(Stream.QUOTES, 0)


class Wire:
    """Sends and confirms by hand; ``sent`` is what the broker saw."""

    def __init__(self, max_bytes: int = 1_000_000) -> None:
        self.counts = OutboxStatistics()
        self.outboxes = Outboxes(max_bytes, self.counts)
        self.sent: list[bytes] = []
        self.tag = 0

    def send_all(self) -> None:
        for outbox in self.outboxes.all():
            while outbox.unsent:
                self.tag += 1
                self.sent.append(self.outboxes.send(outbox, self.tag).body)


def test_a_lost_connection_sends_again_from_the_head_before_anything_new() -> None:
    wire = Wire()
    for body in (b"a", b"b", b"c"):
        wire.outboxes.put(TRADES, body, 1)
    wire.send_all()
    wire.outboxes.confirm(wire.outboxes.all()[0], 1)
    wire.outboxes.rewind()
    wire.outboxes.put(TRADES, b"d", 1)
    wire.send_all()
    assert wire.sent == [b"a", b"b", b"c", b"b", b"c", b"d"]
    assert wire.counts.resent_batches == 2
    assert wire.counts.waiting_batches == 3


def test_confirms_may_come_in_any_order() -> None:
    wire = Wire()
    for body in (b"a", b"b", b"c"):
        wire.outboxes.put(TRADES, body, 1)
    wire.send_all()
    (outbox,) = wire.outboxes.all()
    for tag in (2, 3, 1):
        wire.outboxes.confirm(outbox, tag)
    assert wire.outboxes.empty
    assert wire.counts.confirmed_batches == 3


def test_the_fullest_shard_pays_with_its_oldest() -> None:
    wire = Wire(max_bytes=50)
    wire.outboxes.put(TRADES, b"t" * 10, 3)
    for number in range(6):
        wire.outboxes.put(QUOTES, str(number).encode() * 10, 7)
    wire.send_all()
    assert wire.sent == [b"t" * 10, b"2" * 10, b"3" * 10, b"4" * 10, b"5" * 10]
    assert (wire.counts.dropped_batches, wire.counts.dropped_events) == (2, 14)


def test_what_is_in_flight_is_not_dropped() -> None:
    wire = Wire(max_bytes=20)
    wire.outboxes.put(TRADES, b"a" * 15, 1)
    wire.send_all()
    wire.outboxes.put(TRADES, b"b" * 15, 1)
    assert wire.counts.dropped_batches == 1
    wire.outboxes.confirm(wire.outboxes.all()[0], 1)
    assert wire.outboxes.empty
    assert wire.counts.confirmed_batches == 1


def test_what_nobody_will_send_is_counted_as_dropped() -> None:
    wire = Wire()
    wire.outboxes.put(TRADES, b"a", 5)
    wire.outboxes.put(TRADES, b"b", 6)
    wire.send_all()
    wire.outboxes.drop_all()
    wire.outboxes.refuse(4)
    assert (wire.counts.dropped_batches, wire.counts.dropped_events) == (3, 15)
    assert (wire.counts.published_batches, wire.counts.published_events) == (3, 15)
    assert (wire.counts.waiting_batches, wire.counts.waiting_bytes) == (0, 0)


@given(st.lists(st.sampled_from(["put", "send", "confirm", "lose"]), max_size=60))
def test_the_broker_sees_each_batch_in_order_whatever_happens(steps: list[str]) -> None:
    wire, published, confirmed = Wire(max_bytes=64), 0, 0
    for step in steps:
        if step == "put":
            wire.outboxes.put(TRADES, published.to_bytes(8, "big"), 1)
            published += 1
        elif step == "send":
            wire.send_all()
        elif step == "lose":
            wire.outboxes.rewind()
        else:
            for outbox in wire.outboxes.all():
                for tag in range(wire.tag - outbox.in_flight + 1, wire.tag + 1):
                    wire.outboxes.confirm(outbox, tag)
                    confirmed += 1
    counts = wire.counts
    assert counts.published_batches == published
    assert counts.confirmed_batches == confirmed
    assert published == confirmed + counts.dropped_batches + counts.waiting_batches
    firsts = list(dict.fromkeys(wire.sent))
    assert firsts == sorted(firsts)
