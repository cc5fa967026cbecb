"""Ticks survive their way through a batch, however pieces are joined."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import astuple

from tapewire.model.batch import Batch
from tapewire.model.events import Tick
from tapewire.model.streams import Shard, Stream
from tapewire.providers import tick_wire
from tapewire.providers.batcher import Batcher, Slice

TICKS = Shard(Stream.TICKS, 0)
whole = st.integers(0, 2**63 - 1)
names = st.text(min_size=1, max_size=20)
ticks = st.builds(
    Tick,
    st.sampled_from(["upstox", "fyers", "dhan"]),
    names,
    names,
    names,
    st.none() | st.floats(allow_nan=False),
    whole,
    st.none() | whole,
    st.none() | whole,
    whole,
    whole,
    st.integers(0, 15),
)


def batch(payload: bytes, count: int) -> Batch:
    return Batch("brokers", Stream.TICKS, 0, "brokers", 1, 0, count, 1, payload)


@given(st.lists(st.lists(ticks, min_size=1, max_size=40), max_size=5))
def test_joined_pieces_hold_every_tick_in_order(frames: Sequence[list[Tick]]) -> None:
    one = Batcher("brokers", "b", [TICKS], separator=tick_wire.SEPARATOR)
    one.begin(1)
    for frame in frames:
        one.add([Slice(TICKS, len(frame), tick_wire.encode(frame))], 1)
    found = [event for each in one.flush() for event in tick_wire.decode(each).events]
    assert [astuple(event) for event in found] == [astuple(tick) for f in frames for tick in f]
    assert all(isinstance(event, Tick) for event in found)


@pytest.mark.parametrize("count", [1, 15, 16, 65_535, 65_536])
def test_any_number_of_ticks_makes_one_piece(count: int) -> None:
    tick = Tick("dhan", "NSE_FO", "8765", "NIFTY-I", 1.5, 1, 2, None, 3, 4, 0)
    payload = tick_wire.encode([tick] * count)
    decoded = tick_wire.decode(batch(payload, count))
    assert (len(decoded.events), decoded.skipped) == (count, {})


def test_what_there_is_little_of_is_read_as_one_string() -> None:
    tick = Tick("dhan", "NSE_FO", "8765", "NIFTY-I", 1.5, 1, 2, None, 3, 4, 0)
    first, second = tick_wire.read(tick_wire.encode([tick, tick]), 2)
    assert first.exchange is second.exchange
    assert first.broker is second.broker
    elsewhere = structs.replace(tick, exchange="ELSEWHERE")
    assert tick_wire.read(tick_wire.encode([elsewhere]), 1)[0].exchange == "ELSEWHERE"


def test_a_heartbeat_holds_no_ticks() -> None:
    assert tick_wire.decode(batch(b"", 0)) == ([], {})


@pytest.mark.parametrize("payload", [b"\xc1", b"\x93", tick_wire.encode([]) + b"\x01"])
def test_what_is_not_ticks_is_counted_and_raises_nothing(payload: bytes) -> None:
    assert tick_wire.decode(batch(payload, 3)) == ([], {"malformed": 3})


def test_bytes_beyond_the_count_are_a_fault() -> None:
    tick = Tick("dhan", "NSE_FO", "8765", "NIFTY-I", 1.5, 1, 2, None, 3, 4, 0)
    assert tick_wire.decode(batch(tick_wire.encode([tick, tick]), 1)).skipped == {"malformed": 1}
