"""Packed candles are small and lose nothing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.model.packed_candles import (
    CENTS,
    candle_fields,
    decode_candle,
    encode_candle,
    encode_packed,
)
from tapewire.model.rows import Candle, vwap

PRICES = st.one_of(
    st.integers(1, 10**9).map(lambda price: price / 10_000),
    st.integers(1, 10**7).map(lambda price: price / 100),
    st.floats(allow_nan=False, allow_infinity=False),
)
VOLUMES = st.integers(0, 10**12) | st.floats(0, 1e12)


@given(
    st.tuples(PRICES, PRICES, PRICES, PRICES),
    VOLUMES,
    st.none() | PRICES,
    st.integers(0, 10**9),
    st.tuples(st.booleans(), st.integers(0, 100), st.booleans()),
    st.integers(0, 2**42),
)
def test_any_candle_reads_back_as_it_was(
    prices: tuple[float, float, float, float],
    volume: float,
    price: float | None,
    trades: int,
    state: tuple[bool, int, bool],
    start_ms: int,
) -> None:
    candle = Candle(start_ms, *prices, volume, price, trades, *state)
    found = decode_candle(encode_candle(candle), start_ms)
    assert found == candle
    assert type(found.volume) is type(volume)


@given(
    st.lists(st.tuples(st.integers(1, 10**8), st.integers(1, 10**6)), min_size=1, max_size=20),
    st.sampled_from([1, 100]),
)
def test_a_candle_of_whole_ticks_has_the_vwap_of_its_exact_sum(
    trades: list[tuple[int, int]], tick: int
) -> None:
    prices = [price * tick / 10_000 for price, _ in trades]
    notional = sum(price * tick * 100 * size for price, size in trades)
    volume = sum(size for _, size in trades)
    ohlc = (prices[0], max(prices), min(prices), prices[-1])
    packed = encode_packed(candle_fields(1, ohlc, volume, len(trades), notional))
    candle = decode_candle(packed, 60_000)
    assert (candle.open, candle.high, candle.low, candle.close) == ohlc
    assert candle.vwap == vwap(notional, volume)


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ((145.01, 145.1, 144.9, 145.0), [1 | CENTS, 14_501, 9, 11, -1, 9_000, 40, -450_000]),
        ((145.0099, 145.1, 144.9, 145.0), [1, 1_450_099, 901, 1_099, -99, 9_000, 40, -441_000]),
    ],
)
def test_the_form_of_a_usual_candle_is_fixed_and_small(
    prices: tuple[float, float, float, float], expected: list[int]
) -> None:
    notional = 9_000 * 145_005_000
    packed = encode_packed(candle_fields(1, prices, 9_000, 40, notional))
    assert msgspec.msgpack.decode(packed) == expected
    assert len(packed) <= 30


def test_prices_finer_than_a_ten_thousandth_are_kept_as_they_are() -> None:
    candle = Candle(0, 0.00012, 0.00013, 0.00011, 0.000125, 10**9, 0.00012, 4, True, 0, False)
    packed = encode_candle(candle)
    assert msgspec.msgpack.decode(packed)[1] == 0.00012
    assert decode_candle(packed, 0) == candle
