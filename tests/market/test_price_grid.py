"""Prices put back on an instrument's grid."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.market.price_grid import PriceGrid


def as_float32(price: float) -> float:
    (narrow,) = struct.unpack("<f", struct.pack("<f", price))
    assert isinstance(narrow, float)
    return narrow


@pytest.mark.parametrize(
    ("price", "tick_size"),
    [(23400.05, 0.05), (83.4275, 0.0025), (71235.0, 1), (415.3, 0.1), (0.05, 0.05), (12.5, 2.5)],
)
def test_a_price_that_travelled_as_float32_comes_back(price: float, tick_size: float) -> None:
    assert PriceGrid(tick_size).nearest(as_float32(price)) == price


@given(ticks=st.integers(1, 2**23))
def test_every_price_up_to_the_limit_of_float32_comes_back(ticks: int) -> None:
    price = ticks * 5 / 100
    assert PriceGrid(0.05).nearest(as_float32(price)) == price


@pytest.mark.parametrize("price", [float("inf"), float("-inf")])
def test_a_price_that_is_no_number_is_left_for_validation(price: float) -> None:
    assert PriceGrid(0.05).nearest(price) == price


@pytest.mark.parametrize("tick_size", [0, -0.05, float("nan"), float("inf"), 1e-12])
def test_an_impossible_tick_size_is_refused(tick_size: float) -> None:
    with pytest.raises(ValueError, match="tick size"):
        PriceGrid(tick_size)
