"""What came last off the socket, and the holes that reconnections leave."""

from tapewire.model.streams import Shard, Stream
from tapewire.providers.batcher import Slice
from tapewire.services.listener import newest_of
from tapewire.services.reception import MAX_HOLES, Hole, Reception
from tests.analyzers.tape import ms, trade
from tests.services.producer import wire

SECOND_NS = 1_000_000_000


def newest(*times: str) -> int | None:
    """The newest event of a frame with one trade in each of several shards."""
    return newest_of(
        [
            Slice(Shard(Stream.TRADES, k), 1, wire(trade("AAPL", 1.0, at=at)))
            for k, at in enumerate(times)
        ]
    )


def test_the_newest_event_of_a_frame_may_be_in_any_shard() -> None:
    reception = Reception()
    assert reception.newest_ms is None
    reception.note(newest("09:31:00", "09:31:00.250", "09:31:00.100"), 1, 1, "")
    assert reception.newest_ms == ms("09:31:00.250")


def test_the_newest_event_ever_does_not_depend_on_how_frames_are_cut() -> None:
    whole, cut = Reception(), Reception()
    whole.note(newest("09:31:02", "09:31:01"), 1, 1, "")
    for at in ("09:31:02", "09:31:01"):
        cut.note(newest(at), 1, 1, "")
    assert whole.latest_ms == cut.latest_ms == ms("09:31:02")
    assert cut.newest_ms == ms("09:31:01")


def test_events_without_a_time_say_nothing() -> None:
    reception = Reception()
    unread = newest_of([Slice(Shard(Stream.UNKNOWN, 0), 1, b'{"ev":"XX"}')])
    reception.note(unread, 1, 1, "")
    assert not reception.newest_ms


def test_a_new_connections_first_data_ends_a_hole() -> None:
    reception = Reception()
    assert reception.note(newest("09:31"), 5 * SECOND_NS, 1, "") is None
    assert reception.note(newest("09:31"), 6 * SECOND_NS, 1, "") is None
    hole = reception.note(newest("09:31"), 9 * SECOND_NS, 3, "dropped")
    assert hole == Hole(6_000, 9_000, "dropped")
    assert reception.note(newest("09:31"), 10 * SECOND_NS, 3, "dropped") is None
    assert reception.holes == [hole]


def test_only_the_newest_holes_are_kept() -> None:
    reception = Reception()
    for number in range(1, MAX_HOLES + 5):
        reception.note(newest("09:31"), number * SECOND_NS, number, "")
    assert len(reception.holes) == MAX_HOLES
    assert reception.holes[-1].to_ms == (MAX_HOLES + 4) * 1000
