"""Upstox frames byte by byte: the fields, any order of them, and what is not protobuf."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.providers.upstox.messages import (
    FrameKind,
    InstrumentKeyError,
    Skipped,
    split_key,
)
from tapewire.providers.upstox.wire import FeedDecoder, WireError, skip, span, varint
from tapewire.simulators.upstox_frames import (
    Candle,
    Last,
    Level,
    Totals,
    feed_frame,
    full_feed,
    ltpc_feed,
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
MARKET_FRAME = f"08 02 18 {TIME} 22 16 0a0a 0a06 4e53455f4551 10 02 0a08 0a06 4253455f4551"

LAST = Last(100.5, 1_792_000_000_000, 75, 99.25)
DEPTH = [Level(10 + i, 100.25 - i, 20 + i, 100.75 + i) for i in range(5)]
TOTALS = Totals(1_234_567, 55_500.0, 100.0, 0.15, 1e6, 2e6)
CANDLES = [Candle("I1", 1.0, 2.0, 0.5, 1.5, 12_345, 1_792_000_000_000)]
WHOLE = full_feed(LAST, TOTALS, DEPTH, (0.1, -0.2, 0.3, 0.4, 0.5), CANDLES)


def entry(feed: bytes, key: bytes = b"NSE_FO|45450") -> bytes:
    """A live frame with one feed, its bytes given (short enough for lengths of one byte)."""
    pair = bytes([0x0A, len(key)]) + key + bytes([0x12, len(feed)]) + feed
    return bytes([0x08, 1, 0x12, len(pair)]) + pair


def test_the_last_trade_and_previous_close() -> None:
    feed = FeedDecoder().decode(bytes.fromhex(LTPC_FRAME))
    (update,) = feed.updates
    assert (feed.kind, feed.time_ms) == (FrameKind.LIVE_FEED, 1_792_000_000_000)
    assert update.instrument == split_key("NSE_FO|45450")
    assert (update.last_price, update.last_size, update.close) == (100.5, 75, 99.25)
    assert update.last_trade_ms == 1_792_000_000_000
    assert (update.day_volume, update.open_interest, update.bid, update.ask) == (None,) * 4
    assert not update.snapshot
    assert not feed.skipped


@pytest.mark.parametrize("frame", [FULL_FRAME, GREEKS_FRAME])
def test_volume_open_interest_and_the_best_quote(frame: str) -> None:
    feed = FeedDecoder().decode(bytes.fromhex(frame))
    (update,) = feed.updates
    assert not feed.skipped
    assert (update.last_price, update.last_size) == (100.5, 75)
    assert (update.day_volume, update.open_interest) == (1_234_567, 55_500)
    assert (update.bid, update.bid_size, update.ask, update.ask_size) == (100.25, 10, 100.75, 20)


def test_an_index_has_no_volume_and_its_unknown_field_is_skipped() -> None:
    feed = FeedDecoder().decode(bytes.fromhex(INDEX_FRAME))
    (update,) = feed.updates
    assert update.instrument.token == "Nifty_50"
    assert update.index
    assert (update.last_price, update.close, update.day_volume) == (100.5, 99.25, None)
    assert not feed.skipped


def test_a_frame_without_a_type_is_a_snapshot() -> None:
    frame = bytes.fromhex(LTPC_FRAME)[2:]
    assert FeedDecoder().decode(frame).updates[0].snapshot
    assert not FeedDecoder().decode(frame + b"\x08\x01").updates[0].snapshot


def test_the_status_of_segments() -> None:
    feed = FeedDecoder().decode(bytes.fromhex(MARKET_FRAME))
    assert feed.kind == FrameKind.MARKET_INFO
    assert feed.markets == {"NSE_EQ": "NORMAL_OPEN", "BSE_EQ": "PRE_OPEN_START"}
    odd = bytes.fromhex("08 02 22 0c 0a0a 0a06 4e53455f4551 10 09")
    assert FeedDecoder().decode(odd).markets == {"NSE_EQ": "UNKNOWN_9"}


def test_a_depth_change_has_no_last_price() -> None:
    frame = feed_frame(
        FrameKind.LIVE_FEED, [("NSE_FO|1", full_feed(None, TOTALS, DEPTH))], 1_792_000_000_000
    )
    (update,) = FeedDecoder().decode(frame).updates
    assert (update.last_price, update.last_trade_ms) == (None, 0)
    assert (update.bid, update.ask, update.day_volume) == (100.25, 100.75, 1_234_567)


def test_a_zero_volume_is_zero_where_the_mode_has_volume() -> None:
    frame = feed_frame(FrameKind.LIVE_FEED, [("NSE_FO|1", full_feed(LAST, Totals()))], 1)
    (update,) = FeedDecoder().decode(frame).updates
    assert (update.day_volume, update.open_interest, update.bid) == (0, 0, None)


FIELDS = (
    "09 0000000000205940",
    f"10 {TIME}",
    "18 4b",
    "21 0000000000d05840",
    "2a 09 09 0000000000205940",  # iep, a message
    "8501 01020304",  # field 16, four bytes
)


@pytest.mark.parametrize("order", list(permutations(FIELDS))[::7])
def test_the_order_of_fields_and_unknown_ones_do_not_matter(order: tuple[str, ...]) -> None:
    body = bytes.fromhex("".join(order))
    feed = FeedDecoder().decode(entry(bytes([0x0A, len(body)]) + body))
    (update,) = feed.updates
    assert (update.last_price, update.last_size, update.close) == (100.5, 75, 99.25)
    assert update.last_trade_ms == 1_792_000_000_000


def test_of_a_repeated_field_the_last_one_counts() -> None:
    body = bytes.fromhex(f"18 05 {LTPC}18 06")
    feed = FeedDecoder().decode(entry(bytes([0x0A, len(body)]) + body))
    assert feed.updates[0].last_size == 6


def test_the_value_may_come_before_the_key() -> None:
    feed = bytes.fromhex(f"0a 1b {LTPC}")
    pair = bytes([0x12, len(feed)]) + feed + bytes.fromhex(KEY)
    (update,) = FeedDecoder().decode(bytes([0x12, len(pair)]) + pair).updates
    assert (update.instrument.key, update.last_price) == ("NSE_FO|45450", 100.5)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"NSE_FO45450", Skipped.BAD_KEY),
        (b"NSE|FO|45450", Skipped.BAD_KEY),
        (b"", Skipped.BAD_KEY),
        (b"|45450", Skipped.EMPTY_EXCHANGE),
        (b"NSE_FO| ", Skipped.EMPTY_TOKEN),
        (b"NSE_FO|\xff", Skipped.MALFORMED_ENTRY),
    ],
)
def test_a_bad_key_loses_its_own_entry(key: bytes, reason: str) -> None:
    good = bytes.fromhex(LTPC_FRAME)
    bad = entry(bytes.fromhex(f"0a 1b {LTPC}"), key)
    feed = FeedDecoder().decode(good + bad[2:] + good[2:])
    assert [update.instrument.token for update in feed.updates] == ["45450", "45450"]
    assert feed.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        ("0a 1b 09 0000000000205940", Skipped.MALFORMED_ENTRY),  # longer than it is
        ("0a 05 09 00000000", Skipped.MALFORMED_ENTRY),  # a double cut off
        ("0a 02 0b 01", Skipped.MALFORMED_ENTRY),  # wire type 3
        ("0a 02 00 01", Skipped.MALFORMED_ENTRY),  # field number 0
        ("0a 0c 18 ffffffffffffffffffff01", Skipped.MALFORMED_ENTRY),  # eleven bytes
        ("0a 01 18", Skipped.MALFORMED_ENTRY),
        ("1a ffffffffffffffffff01 00", Skipped.MALFORMED_ENTRY),  # a negative length
        ("0a 09 09 000000000000f87f", Skipped.BAD_VALUE),  # not a number
        (f"0a 1b {LTPC.replace('0000000000205940', '000000000000f07f')}", Skipped.BAD_VALUE),
        ("12 0d 0a 0b 39 000000000000f07f 20 01", Skipped.BAD_VALUE),
    ],
)
def test_a_malformed_feed_loses_itself_only(feed: str, reason: str) -> None:
    good = bytes.fromhex(LTPC_FRAME)
    decoded = FeedDecoder().decode(good + entry(bytes.fromhex(feed))[2:] + good[2:])
    assert len(decoded.updates) == 2
    assert decoded.skipped == {reason: 1}


def test_a_negative_integer_is_twos_complement() -> None:
    body = bytes.fromhex("18 ffffffffffffffffff01")
    feed = FeedDecoder().decode(entry(bytes([0x0A, len(body)]) + body))
    assert feed.updates[0].last_size == -1


def test_a_truncated_frame_keeps_what_was_whole() -> None:
    feeds = [(f"NSE_FO|{token}", WHOLE) for token in range(3)]
    frame = feed_frame(FrameKind.LIVE_FEED, feeds, 1_792_000_000_000)
    size = (len(frame) - 2 - 7) // 3
    for cut in range(2, len(frame) - 7):
        decoded = FeedDecoder().decode(frame[:cut])
        whole, rest = divmod(cut - 2, size)
        assert len(decoded.updates) == whole
        assert decoded.skipped == ({Skipped.MALFORMED_FRAME: 1} if rest else {})


@pytest.mark.parametrize("text", ["", "hello", '{"status":"failed"}'])
def test_what_is_not_protobuf_gives_nothing(text: str) -> None:
    decoded = FeedDecoder().decode(text.encode())
    assert not decoded.updates
    assert decoded.skipped == ({Skipped.MALFORMED_FRAME: 1} if text else {})


@given(st.data())
def test_damaged_frames_never_raise(data: st.DataObject) -> None:
    feeds = [("NSE_FO|1", WHOLE), ("NSE_EQ|INE020B01018", ltpc_feed(LAST))]
    frame = bytearray(feed_frame(FrameKind.LIVE_FEED, feeds, 1_792_000_000_000))
    for _ in range(data.draw(st.integers(1, 8))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    FeedDecoder().decode(bytes(frame))


@given(st.binary(max_size=300))
def test_noise_never_raises(noise: bytes) -> None:
    FeedDecoder().decode(noise)
    FeedDecoder().decode(entry(noise[:100]))


def test_remembered_instruments_are_bounded() -> None:
    decoder = FeedDecoder(max_instruments=2)
    feeds = [(f"NSE_FO|{token}", ltpc_feed(LAST)) for token in range(5)]
    decoded = decoder.decode(feed_frame(FrameKind.LIVE_FEED, feeds, 1))
    assert [update.instrument.token for update in decoded.updates] == list("01234")
    assert len(decoder._instruments) <= 2


def test_both_halves_of_an_instrument_key() -> None:
    nifty = split_key("NSE_INDEX|Nifty 50")
    assert (nifty.exchange, nifty.token, nifty.symbol) == (
        "NSE_INDEX",
        "Nifty_50",
        "NSE_INDEX:Nifty_50",
    )
    with pytest.raises(InstrumentKeyError, match=r"'NIFTY'.*SEGMENT\|TOKEN"):
        split_key("NIFTY")


@pytest.mark.parametrize(
    ("encoded", "value"),
    [("00", 0), ("7f", 127), ("8001", 128), ("ac02", 300), ("87ad4b", 1_234_567),
     ("80808001", 1 << 21), ("8080808001", 1 << 28), (TIME, 1_792_000_000_000),
     ("ffffffffffffffff7f", (1 << 63) - 1), ("80808080808080808001", -(1 << 63))],
)  # fmt: skip
def test_varints(encoded: str, value: int) -> None:
    data = bytes.fromhex(encoded)
    assert varint(data, 0) == (value, len(data))


def test_errors_say_where() -> None:
    with pytest.raises(WireError, match="5 bytes announced at byte 0, 1 are there"):
        span(b"\x05a", 0, 2)
    with pytest.raises(WireError, match="wire type 4 at byte 0; expected 0, 1, 2 or 5"):
        skip(b"\x0c", 0, 1)
