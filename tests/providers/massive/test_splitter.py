"""Cutting frames: every event goes to one shard, once, as it came."""

from collections import Counter
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.model.streams import Shard, Stream
from tapewire.providers.batcher import Slice
from tapewire.providers.massive.splitter import FrameSplitter, QueueNameResolver, Status
from tests.providers.massive.events import bar, frame, luld, quote, status, trade

SYMBOLS = ("AIG", "BAC", "IBM", "SPY", "BRK.B", "BCpC", "Ä")


def splitter(**shards: int) -> FrameSplitter:
    return FrameSplitter(QueueNameResolver({Stream(name): n for name, n in shards.items()}))


def slices(items: list[Slice | Status]) -> list[Slice]:
    return [item for item in items if isinstance(item, Slice)]


def test_a_frame_of_trades_for_one_shard_is_passed_on_whole() -> None:
    events = [trade("AIG"), trade("IBM")]
    (piece,) = splitter().split(frame(*events))
    assert piece == Slice(Shard(Stream.TRADES, 0), 2, b",".join(events))


def test_each_symbol_goes_to_the_shard_of_its_checksum() -> None:
    for piece in slices(splitter(trades=4).split(frame(*map(trade, SYMBOLS)))):
        for event in msgspec.json.decode(b"[" + piece.payload + b"]"):
            assert crc32(event["sym"].encode()) % 4 == piece.shard.index


def test_a_mixed_frame_gives_slices_and_statuses() -> None:
    items = splitter().split(frame(status("success", "ok"), trade(), bar(), luld(), quote()))
    assert Status("success", "ok") in items
    assert {piece.shard.stream: piece.count for piece in slices(items)} == {
        Stream.TRADES: 1,
        Stream.AGGREGATE: 1,
        Stream.HALTS: 1,
        Stream.QUOTES: 1,
    }


def test_second_and_minute_bars_keep_their_order_in_one_stream() -> None:
    events = [bar(event_type="AM"), bar(), bar(event_type="AM", v=3)]
    (piece,) = slices(splitter().split(frame(*events)))
    assert piece.payload == b",".join(events)


@pytest.mark.parametrize(
    "bad", [b"", b"[", b'[{"ev":"T","sym":"AIG","p":4', b'{"ev":"T"}', b"7", b"[" * 100_000]
)
def test_a_frame_that_is_no_array_is_one_counted_frame(bad: bytes) -> None:
    cutter = splitter()
    assert cutter.split(bad) == []
    assert (cutter.statistics.frames, cutter.statistics.bad_frames) == (1, 1)


def test_unknown_types_are_kept_and_counted_by_type() -> None:
    cutter = splitter()
    odd = frame(b'{"ev":"X","sym":"AIG"}', b'{"ev":"NOI","T":"AIG"}', b"7", b"{}", trade())
    pieces = {piece.shard.stream: piece.count for piece in slices(cutter.split(odd))}
    assert pieces == {Stream.UNKNOWN: 4, Stream.TRADES: 1}
    assert cutter.statistics.unknown == {"X": 1, "NOI": 1, "(unreadable)": 2}
    assert cutter.statistics.events == {"T": 1}


def test_a_flood_of_unknown_types_is_counted_within_a_bound() -> None:
    cutter = splitter()
    cutter.split(frame(*(b'{"ev":"X%d"}' % number for number in range(300))))
    assert len(cutter.statistics.unknown) == 101
    assert cutter.statistics.unknown["(other)"] == 200


@pytest.mark.parametrize("shards", [1, 4])
def test_a_trade_with_an_unreadable_symbol_stays_a_trade(shards: int) -> None:
    odd = frame(b'{"ev":"T","sym":7}', b'{"ev":"T","sym":"\xff"}', trade())
    cutter = splitter(trades=shards)
    pieces = slices(cutter.split(odd))
    assert {piece.shard.stream for piece in pieces} == {Stream.TRADES}
    assert sum(piece.count for piece in pieces) == 3


def test_a_text_frame_is_as_good_as_bytes() -> None:
    text = frame(trade("Ä")).decode()
    assert splitter().split(text) == splitter().split(text.encode())


def test_space_around_and_between_events_changes_nothing() -> None:
    spaced = b' [ {"ev": "T", "sym": "AIG"} ,\n {"ev":"T", "sym":"IBM"} ] \n'
    (piece,) = slices(splitter().split(spaced))
    assert (piece.shard.stream, piece.count) == (Stream.TRADES, 2)


_events = st.one_of(
    st.builds(lambda s, q: trade(s, q=q), st.sampled_from(SYMBOLS), st.integers(0, 10**6)),
    st.builds(lambda s, v: bar(s, v=v), st.sampled_from(SYMBOLS), st.integers(0, 10**6)),
    st.builds(lambda s: bar(s, event_type="AM"), st.sampled_from(SYMBOLS)),
    st.builds(quote, st.sampled_from(SYMBOLS)),
    st.builds(luld, st.sampled_from(SYMBOLS)),
    st.sampled_from([b'{"ev":"X","n":[{"ev":"T"},1]}', b'{"a":"},{"}', b"[1,[2]]", b"null"]),
)


@given(
    st.lists(st.lists(_events, max_size=8), max_size=6),
    st.integers(1, 5),
    st.sampled_from([b",", b" , ", b",\n"]),
)
def test_every_event_arrives_once_in_its_shards_order(
    frames: list[list[bytes]], shards: int, comma: bytes
) -> None:
    cutter = splitter(trades=shards, aggregate=shards, quotes=shards, halts=shards)
    arrived: dict[Shard, list[object]] = {}
    for events in frames:
        for piece in slices(cutter.split(b"[" + comma.join(events) + b"]")):
            decoded = msgspec.json.decode(b"[" + piece.payload + b"]")
            assert len(decoded) == piece.count
            arrived.setdefault(piece.shard, []).extend(decoded)
    sent = [msgspec.json.decode(event) for events in frames for event in events]
    everything = [event for events in arrived.values() for event in events]
    assert Counter(map(repr, everything)) == Counter(map(repr, sent))
    for events_of_shard in arrived.values():
        kept = iter(sent)
        assert all(event in kept for event in events_of_shard)  # a subsequence: order is kept


def test_queues_are_named_after_their_stream_and_shard() -> None:
    resolver = QueueNameResolver({Stream.TRADES: 4})
    shard = crc32(b"AIG") % 4
    assert resolver.queue("T", "AIG", "live.") == f"live.trades.{shard}"
    assert resolver.queue("AM", "AIG") == "aggregate"
    assert resolver.queue("FMV", "AIG") == "unknown"
