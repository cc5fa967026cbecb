"""The pass-through: every event of any stream, in order, bounded and counted."""

import msgspec

from tapewire.analyzers.massive_data import MassiveDataAnalyzer
from tapewire.model.changes import Changes
from tapewire.model.events import Luld, Quote
from tapewire.model.rows import RawEvent
from tapewire.model.streams import Stream
from tests.analyzers.tape import bar, clock, gap, ms, trade

decode = msgspec.msgpack.Decoder(RawEvent).decode


def passed(changes: Changes, feed: str) -> list[RawEvent]:
    return [decode(item) for item in changes.items[feed]]


def test_each_kind_of_event_keeps_its_fields_by_their_standard_names() -> None:
    at, fields = ms("10:00"), {}
    for stream, event, name in (
        (Stream.TRADES, trade("AIG", 50.5, at="10:00", conditions=[14], sequence=7), "trade"),
        (Stream.QUOTES, Quote("AIG", at, bid=50.0, ask=50.1), "quote"),
        (Stream.HALTS, Luld("AIG", 51.0, 49.0, at, (17,), 1, 7), "luld"),
    ):
        analyzer = MassiveDataAnalyzer(stream)
        analyzer.apply([event])
        (raw,) = passed(analyzer.drain(), f"raw:{stream.value}")
        assert (raw.stream, raw.event, raw.symbol) == (stream.value, name, "AIG")
        assert raw.timestamp_ms == at
        assert analyzer.second_ms == at
        fields = raw.fields
    assert fields == {
        "high": 51.0, "low": 49.0, "indicators": [17], "tape": 1, "sequence": 7
    }  # fmt: skip


def test_a_bars_time_is_the_last_that_it_covers() -> None:
    analyzer = MassiveDataAnalyzer(Stream.AGGREGATE)
    analyzer.apply([bar("AIG", 50, at="10:00:00")])
    (raw,) = passed(analyzer.drain(), "raw:aggregate")
    assert raw.timestamp_ms == ms("10:00:00.999")
    assert raw.fields["start_timestamp"] == ms("10:00:00")


def test_order_is_that_of_arrival_and_each_is_given_once() -> None:
    analyzer = MassiveDataAnalyzer(Stream.TRADES)
    analyzer.apply([trade("B", 1, at="10:00"), clock("10:01"), trade("A", 2, at="09:59")])
    analyzer.apply([gap("10:00", "10:01")])
    assert [raw.symbol for raw in passed(analyzer.drain(), "raw:trades")] == ["B", "A"]
    assert not analyzer.drain()


def test_of_more_than_a_flush_may_take_the_oldest_go_and_are_counted() -> None:
    analyzer = MassiveDataAnalyzer(Stream.TRADES, max_items=3)
    analyzer.apply([trade("A", price, at="10:00") for price in range(1, 6)])
    assert [raw.fields["price"] for raw in passed(analyzer.drain(), "raw:trades")] == [3, 4, 5]
    assert analyzer.skipped == {"not_passed_on": 2}
