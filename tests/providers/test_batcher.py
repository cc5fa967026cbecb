"""Batches: joined by size and age, counted by offset, each event once."""

from hypothesis import given
from hypothesis import strategies as st

from tapewire.model.batch import Batch
from tapewire.model.positions import Positions, Verdict
from tapewire.model.streams import Shard, Stream
from tapewire.providers.batcher import Batcher, Slice

TRADES = Shard(Stream.TRADES, 0)
QUOTES = Shard(Stream.QUOTES, 0)
MS = 1_000_000


def batcher(max_bytes: int = 100, *shards: Shard) -> Batcher:
    made = Batcher("massive", "m", shards or (TRADES,), max_bytes=max_bytes, max_wait_ns=10 * MS)
    made.begin(7)
    return made


def piece(count: int, size: int = 10, shard: Shard = TRADES) -> Slice:
    return Slice(shard, count, b"x" * size)


def test_slices_are_joined_until_the_batch_is_large() -> None:
    one = batcher(25)
    assert one.add([piece(2)], 5) == []
    assert one.add([piece(1)], 6) == []
    (batch,) = one.add([piece(3)], 7)
    assert (batch.epoch, batch.offset, batch.count, batch.received_ns) == (7, 0, 6, 5)
    assert batch.payload == b",".join([b"x" * 10] * 3)


def test_a_batch_leaves_when_its_first_event_is_old() -> None:
    one = batcher()
    assert one.next_due_ns() is None
    one.add([piece(1)], 3 * MS)
    one.add([piece(1)], 9 * MS)
    assert one.next_due_ns() == 13 * MS
    assert one.due(13 * MS - 1) == []
    assert [batch.count for batch in one.due(13 * MS)] == [2]
    assert one.next_due_ns() is None


def test_a_heartbeat_follows_what_is_open_and_says_where_the_shard_is() -> None:
    one = batcher(100, TRADES, QUOTES)
    one.add([piece(4)], 1)
    batches = one.heartbeat(2)
    assert [(b.destination, b.offset, b.count) for b in batches] == [
        (TRADES, 0, 4),
        (TRADES, 4, 0),
        (QUOTES, 0, 0),
    ]
    assert not any(batch.ending for batch in batches)


def test_the_end_of_a_replay_reaches_every_shard() -> None:
    one = batcher(100, TRADES, QUOTES)
    one.add([piece(4)], 1)
    assert [(b.destination, b.ending) for b in one.ending(2)] == [
        (TRADES, False),
        (TRADES, True),
        (QUOTES, True),
    ]


def test_an_epoch_begins_at_offset_zero_and_ends_with_what_was_open() -> None:
    one = batcher()
    one.add([piece(4)], 1)
    (rest,) = one.begin(8)
    assert (rest.epoch, rest.offset, rest.count) == (7, 0, 4)
    one.add([piece(2)], 2)
    (first,) = one.flush()
    assert (first.epoch, first.offset, first.count) == (8, 0, 2)
    assert one.taken_in == {"trades.0": 6}


def test_events_of_a_stream_without_a_shard_are_counted() -> None:
    one = batcher()
    assert one.add([piece(3, 200, QUOTES)], 1) == []
    assert one.untaken == {"quotes": 3}


def test_what_will_never_be_published_is_a_gap_after_what_was() -> None:
    one = batcher(100, TRADES, QUOTES)
    one.add([piece(4)], 1)
    (before,) = one.lose([piece(3), piece(2, shard=Shard(Stream.HALTS, 0))])
    assert (before.offset, before.count) == (0, 4)
    one.add([piece(5)], 2)
    (after,) = one.flush()
    assert (after.offset, after.count) == (7, 5)
    assert one.taken_in == {"trades.0": 12, "quotes.0": 0}
    assert one.untaken == {"halts": 2}
    positions = Positions()
    verdicts = [positions.accept(batch) for batch in (before, after)]
    assert [missing.events if missing else 0 for _, missing in verdicts] == [0, 3]


def test_slices_are_joined_by_the_separator_of_their_wire_format() -> None:
    one = Batcher("brokers", "b", [TRADES], separator=b"")
    one.add([piece(1, 2), piece(1, 2)], 1)
    assert [batch.payload for batch in one.flush()] == [b"xxxx"]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 60), st.integers(0, 20)), max_size=40),
    st.integers(1, 120),
)
def test_no_reader_finds_a_gap(steps: list[tuple[int, int, int]], max_bytes: int) -> None:
    one = batcher(max_bytes)
    batches: list[Batch] = []
    now_ns = 0
    for count, size, waited_ms in steps:
        now_ns += waited_ms * MS
        batches += one.due(now_ns)
        batches += one.add([piece(count, size)], now_ns)
        if waited_ms == 20:
            batches += one.heartbeat(now_ns)
    batches += one.ending(now_ns)
    positions = Positions()
    positions.accept(Batch("massive", Stream.TRADES, 0, "m", 7, 0, 0, 0))
    assert {positions.accept(batch)[0] for batch in batches} == {Verdict.FOLD}
    assert positions.by_producer["m"].applied == sum(count for count, _, _ in steps)
    assert one.taken_in == {"trades.0": sum(count for count, _, _ in steps)}
    assert one.offsets() == one.taken_in
