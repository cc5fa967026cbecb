"""Upstox frames byte by byte: the fields, any order of them, and what is not protobuf."""

from collections.abc import Sequence
from itertools import permutations
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.providers.upstox.messages import Fault, FrameKind
from tapewire.providers.upstox.protocol import UpstoxConnection
from tapewire.simulators.upstox_frames import (
    Candle,
    Level,
    Totals,
    feed_frame,
    full_feed,
    ltpc_feed,
    varint_bytes,
)
from tests.providers.upstox.feeds import (
    FUTURE,
    LAST,
    NIFTY,
    RELIANCE,
    TRADE_MS,
    connection,
    future,
    futures,
)

TIME = "808098dc9334"  # 1792000000000
KEY = "0a0c 4e53455f464f7c3435343530"  # NSE_FO|45450
LTPC = f"09 0000000000205940 10 {TIME} 18 4b 21 0000000000d05840"
LTPC_FRAME = f"08 01 12 2d {KEY} 12 1d 0a 1b {LTPC} 18 {TIME}"
QUOTE = "08 0a 11 0000000000105940 18 14 21 0000000000305940"
FULL_FRAME = f"""08 01 12 63 {KEY} 12 53 12 4f 0a 4d
    0a 1b {LTPC}
    12 18 0a 16 {QUOTE}
    29 0000000000dad640  30 87ad4b  39 000000008019eb40
    20 01"""
GREEKS_FRAME = f"""08 01 12 56 {KEY} 12 46 1a 42
    0a 1b {LTPC}
    12 16 {QUOTE}
    20 87ad4b  29 000000008019eb40
    20 02"""
INDEX_FRAME = f"""12 3c 0a 12 4e53455f494e4445587c4e69667479203530
    12 26 12 22 12 20
    0a 1b {LTPC}
    a80120
    20 01"""

TOTALS = Totals(1_234_567, 55_500.0, 100.0, 0.15, 1e6, 2e6)
WHOLE = full_feed(
    LAST,
    TOTALS,
    [Level(10 + i, 100.25 - i, 20 + i, 100.75 + i) for i in range(5)],
    (0.1, -0.2, 0.3, 0.4, 0.5),
    [Candle("I1", 1.0, 2.0, 0.5, 1.5, 12_345, TRADE_MS)],
)


def message(number: int, body: bytes) -> bytes:
    """A field that is a message or a string."""
    return varint_bytes(number << 3 | 2) + varint_bytes(len(body)) + body


def entry(feed: bytes, key: bytes = b"NSE_FO|45450") -> bytes:
    """A live frame with one feed, its bytes given."""
    return b"\x08\x01" + message(2, message(1, key) + message(2, feed))


def read(frame: bytes) -> tuple[list[Tick], UpstoxConnection]:
    """The ticks of one frame, and the connection that read it."""
    socket = connection(FUTURE, NIFTY, RELIANCE)
    return socket.receive(frame, 7, 101.0), socket


def test_the_last_trade_and_previous_close() -> None:
    (tick,), socket = read(bytes.fromhex(LTPC_FRAME))
    assert (tick.last_price, tick.last_size, tick.timestamp_ms) == (100.5, 75, TRADE_MS)
    assert (tick.day_volume, tick.open_interest, tick.flags) == (None, None, 0)
    assert [r.prev_day_close for r in socket.references()] == [99.25, None, None]
    assert socket.status()["server_ms"] == TRADE_MS
    assert not socket.faults


@pytest.mark.parametrize("frame", [FULL_FRAME, GREEKS_FRAME])
def test_volume_and_open_interest(frame: str) -> None:
    (tick,), socket = read(bytes.fromhex(frame))
    assert (tick.last_price, tick.last_size) == (100.5, 75)
    assert (tick.day_volume, tick.open_interest) == (1_234_567, 55_500)
    assert not socket.faults


def test_an_index_has_no_volume_and_its_unknown_field_is_skipped() -> None:
    (tick,), socket = read(bytes.fromhex(INDEX_FRAME))
    assert (tick.token, tick.last_price, tick.day_volume) == ("Nifty_50", 100.5, None)
    assert not socket.faults


def test_a_frame_without_a_type_is_a_snapshot() -> None:
    frame = bytes.fromhex(LTPC_FRAME)[2:]
    assert read(frame)[0][0].flags == TICK_SNAPSHOT
    assert read(frame + b"\x08\x01")[0][0].flags == 0


FIELDS = (
    "09 0000000000205940",
    f"10 {TIME}",
    "18 4b",
    "21 0000000000d05840",
    "2a 09 09 0000000000205940",  # iep, a message
    "8501 01020304",  # field 16, four bytes
)


@pytest.mark.parametrize("order", list(permutations(FIELDS))[::29])
def test_the_order_of_fields_and_unknown_ones_do_not_matter(order: tuple[str, ...]) -> None:
    (tick,), _ = read(entry(message(1, bytes.fromhex("".join(order)))))
    assert (tick.last_price, tick.last_size, tick.timestamp_ms) == (100.5, 75, TRADE_MS)


def test_of_a_repeated_field_the_last_one_counts() -> None:
    (tick,), _ = read(entry(message(1, bytes.fromhex(f"18 05 {LTPC} 18 06"))))
    assert tick.last_size == 6


def test_of_two_forms_of_a_feed_the_later_one_counts() -> None:
    ltpc, full = ltpc_feed(LAST), full_feed(LAST._replace(price=50.0), Totals(9))
    assert [(t.last_price, t.day_volume) for t in read(entry(ltpc + full))[0]] == [(50.0, 9)]
    assert [(t.last_price, t.day_volume) for t in read(entry(full + ltpc))[0]] == [(100.5, None)]


def test_the_value_may_come_before_the_key() -> None:
    pair = message(2, message(1, bytes.fromhex(LTPC))) + message(1, b"NSE_FO|45450")
    (tick,), _ = read(message(2, pair))
    assert (tick.token, tick.last_price) == ("45450", 100.5)


@pytest.mark.parametrize("key", [b"", b"NSE_FO45450", b"NSE_FO|\xff", b"|45450", b"NSE_FO|45451"])
def test_a_key_that_was_not_asked_for_loses_its_own_entry(key: bytes) -> None:
    good = bytes.fromhex(LTPC_FRAME)
    bad = entry(bytes.fromhex(f"0a 1b {LTPC}"), key)
    ticks, socket = read(good + bad[2:] + good[2:])
    assert [tick.token for tick in ticks] == ["45450", "45450"]
    assert socket.faults == {Fault.NOT_SUBSCRIBED: 1}


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        ("0a 1b 09 0000000000205940", Fault.MALFORMED_ENTRY),  # longer than it is
        ("0a 05 09 00000000", Fault.MALFORMED_ENTRY),  # a double cut off
        ("0a 02 0f 01", Fault.MALFORMED_ENTRY),  # wire type 7
        ("0a 02 00 01", Fault.MALFORMED_ENTRY),  # field number 0
        ("0a 0c 18 ffffffffffffffffffff01", Fault.MALFORMED_ENTRY),  # eleven bytes
        ("0a 01 18", Fault.MALFORMED_ENTRY),
        ("1a ffffffffffffffffff01 00", Fault.MALFORMED_ENTRY),  # a negative length
        ("0a 09 09 000000000000f87f", Fault.BAD_VALUE),  # not a number
        (f"0a 1b {LTPC.replace('0000000000205940', '000000000000f07f')}", Fault.BAD_VALUE),
        ("12 0d 0a 0b 39 000000000000f07f 20 01", Fault.BAD_VALUE),
    ],
)
def test_a_malformed_feed_loses_itself_only(feed: str, reason: str) -> None:
    good = bytes.fromhex(LTPC_FRAME)
    ticks, socket = read(good + entry(bytes.fromhex(feed))[2:] + good[2:])
    assert [tick.last_price for tick in ticks] == [100.5, 100.5]
    assert [tick.flags for tick in ticks] == [0, 0]
    assert socket.faults == {reason: 1}


def test_a_snapshot_stays_one_beside_a_malformed_feed() -> None:
    bad = entry(bytes.fromhex("0a 01 18"))
    (tick,), _ = read(bytes.fromhex(LTPC_FRAME)[2:] + bad[2:])
    assert tick.flags == TICK_SNAPSHOT


def test_a_negative_integer_is_twos_complement() -> None:
    body = bytes.fromhex("09 0000000000205940 18 ffffffffffffffffff01")
    (tick,), _ = read(entry(message(1, body)))
    assert tick.last_size == -1


def test_a_frame_that_ends_early_is_one_malformed_frame() -> None:
    feeds = [(f"NSE_FO|{token}", WHOLE) for token in range(3)]
    frame = feed_frame(FrameKind.LIVE_FEED, feeds, TRADE_MS)
    size = (len(frame) - 2 - 7) // 3
    for cut in range(2, len(frame) - 7):
        socket = connection(*futures(3))
        ticks = socket.receive(frame[:cut], 7, 101.0)
        whole, rest = divmod(cut - 2, size)
        assert len(ticks) == (0 if rest else whole)
        assert socket.faults == ({Fault.MALFORMED_FRAME: 1} if rest else {})


@pytest.mark.parametrize("text", ["", "hello", '{"status":"failed"}'])
def test_what_is_not_protobuf_gives_nothing(text: str) -> None:
    ticks, socket = read(text.encode())
    assert not ticks
    assert socket.faults == ({Fault.MALFORMED_FRAME: 1} if text else {})


def test_a_malformed_market_status_is_one_malformed_frame() -> None:
    ticks, socket = read(bytes.fromhex(LTPC_FRAME) + message(4, b"\x0a\x7f"))
    assert len(ticks) == 1
    assert socket.faults == {Fault.MALFORMED_FRAME: 1}


@given(st.integers(0, 9), st.binary(max_size=60))
def test_what_stands_beside_a_damaged_entry_survives(place: int, noise: bytes) -> None:
    """Whatever an entry's value is, the other nine are read, to the same ticks."""
    instruments = futures(10)
    feeds = [(each.broker_key, WHOLE) for each in instruments]
    whole = connection(*instruments).receive(feed_frame(FrameKind.LIVE_FEED, feeds, 1), 7, 101.0)
    feeds[place] = (instruments[place].broker_key, noise)
    socket = connection(*instruments)
    ticks = socket.receive(feed_frame(FrameKind.LIVE_FEED, feeds, 1), 7, 101.0)
    others = [tick for tick in ticks if tick.token != str(place)]
    assert others == [tick for tick in whole if tick.token != str(place)]
    assert len(ticks) + socket.faults.total() == 10


ASKED_FOR = {(each.exchange, each.token) for each in (FUTURE, NIFTY, RELIANCE)}


def assert_sound(ticks: Sequence[Tick]) -> None:
    """Whatever a frame says: of instruments that were asked for, at prices that are numbers."""
    for tick in ticks:
        assert (tick.exchange, tick.token) in ASKED_FOR
        assert tick.last_price is not None
        assert isfinite(tick.last_price)


@given(st.data())
def test_damaged_frames_give_sound_ticks_or_none(data: st.DataObject) -> None:
    feeds = [("NSE_FO|45450", WHOLE), (RELIANCE.broker_key, ltpc_feed(LAST))]
    frame = bytearray(feed_frame(FrameKind.LIVE_FEED, feeds, TRADE_MS))
    for _ in range(data.draw(st.integers(1, 8))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    assert_sound(read(bytes(frame))[0])


@given(st.binary(max_size=300))
def test_noise_gives_sound_ticks_or_none(noise: bytes) -> None:
    assert_sound(read(noise)[0])
    assert_sound(read(entry(noise))[0])


def test_the_same_instrument_twice_in_a_frame_is_two_ticks() -> None:
    feeds = [("NSE_FO|1", ltpc_feed(LAST)), ("NSE_FO|1", ltpc_feed(LAST._replace(price=101.0)))]
    ticks = connection(future(1)).receive(feed_frame(FrameKind.LIVE_FEED, feeds, 1), 7, 101.0)
    assert [tick.last_price for tick in ticks] == [100.5, 101.0]
