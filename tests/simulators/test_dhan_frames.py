"""What the simulator writes as Dhan is what the protocol reads."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tapewire.providers.dhan.packets import (
    DepthLevel,
    Disconnect,
    Full,
    MarketStatus,
    OpenInterest,
    PreviousClose,
    Quote,
    Ticker,
    decode,
    depth,
)
from tapewire.simulators.dhan_frames import encode_depth, encode_frame, encode_packet

U8, U16, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
PRICE = st.floats(width=32, allow_nan=False)
LEVEL = st.builds(DepthLevel, U32, U32, U16, U16, PRICE, PRICE)
DEPTH = st.lists(LEVEL, max_size=5).map(encode_depth)


def packets(packet: type[Any], *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(packet, U8, U32, *fields)


UPDATES = st.one_of(
    packets(Ticker, PRICE, U32),
    packets(Quote, PRICE, U16, U32, PRICE, U32, U32, U32, PRICE, PRICE, PRICE, PRICE),
    packets(OpenInterest, U32),
    packets(PreviousClose, PRICE, U32),
    packets(MarketStatus),
    packets(Full, PRICE, U16, U32, PRICE, *[U32] * 6, *[PRICE] * 4, DEPTH),
    packets(Disconnect, U16),
)


@given(st.lists(UPDATES, max_size=8))
def test_a_frame_reads_as_it_was_written(updates: list[Any]) -> None:
    faults: Counter[str] = Counter()
    assert decode(encode_frame(updates), faults) == updates
    assert not faults


@given(UPDATES, st.data())
def test_a_frame_cut_anywhere_never_raises(update: Any, data: st.DataObject) -> None:
    frame = encode_frame([update, update])
    cut = data.draw(st.integers(0, len(frame)))
    faults: Counter[str] = Counter()
    whole = cut // (len(frame) // 2)
    assert decode(frame[:cut], faults) == [update] * whole
    assert faults.total() == (cut % (len(frame) // 2) > 0)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_counted(frame: bytes) -> None:
    decode(frame, Counter())


def test_a_quote_has_the_documented_bytes() -> None:
    written = encode_packet(
        Quote(2, 49_081, 23400.05, 75, 0x65A15678, 100.0, 10**6, 1_000, 2_000, 1.0, 2.0, 3.0, 4.0)
    )
    assert written.hex(" ", 4) == bytes.fromhex(
        "04 3200 02 b9bf0000 1ad0b646 4b00 7856a165 0000c842 40420f00 e8030000 d0070000"
        "0000803f 00000040 00004040 00008040"
    ).hex(" ", 4)


def test_missing_levels_of_depth_are_empty() -> None:
    level = DepthLevel(1, 2, 3, 4, 1.0, 2.0)
    full = Full(1, 2, 1.0, 1, 1, 1.0, 1, 1, 1, 1, 1, 1, 1.0, 1.0, 1.0, 1.0, encode_depth([level]))
    assert depth(full) == [level, *[DepthLevel(0, 0, 0, 0, 0.0, 0.0)] * 4]
