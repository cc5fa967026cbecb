"""Symbols: well-formed ones, test tickers, shards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.market.symbols import MAX_SYMBOL_LENGTH, is_test_symbol, is_valid_symbol, shard_of


@pytest.mark.parametrize(
    "symbol", ["A", "AAPL", "BRK.B", "BCpC", "ABCw", "ABCr", "XYZ.U", "M&M", "BAJAJ-AUTO", "aapl"]
)
def test_tickers_of_every_notation_are_valid(symbol: str) -> None:
    assert is_valid_symbol(symbol)


@pytest.mark.parametrize(
    "symbol", ["", " ", "BRK B", "AAPL\n", "AAPL ", "\tA", "A\x00", "É", "株", "A\x7f", "A" * 33]
)
def test_what_is_no_ticker_is_refused(symbol: str) -> None:
    assert not is_valid_symbol(symbol)


def test_the_longest_symbol() -> None:
    assert is_valid_symbol("A" * MAX_SYMBOL_LENGTH)


@pytest.mark.parametrize(
    "symbol",
    ["ZBZX", "ZTST", "NTEST", "NTEST.Q", "ATEST.A", "CTEST", "ZTEST", "ZVZZT", "ZXZZT", "ZEXIT"],
)
def test_exchange_test_tickers_are_found(symbol: str) -> None:
    assert is_test_symbol(symbol)


@pytest.mark.parametrize(
    "symbol",
    ["AAPL", "ZTSTF", "zbzx", "ZBZXp", "TEST", "NTESTS", "NTEST.QQ", "NTEST.Q\n", "ATESTX", "ZZZ"],
)
def test_tickers_that_only_look_alike_are_kept(symbol: str) -> None:
    assert not is_test_symbol(symbol)


@pytest.mark.parametrize(
    ("symbol", "shards", "shard"),
    [
        ("AIG", 2, 0),
        ("BAC", 2, 0),
        ("IBM", 4, 3),
        ("SPY", 4, 3),
        ("ABCw", 7, 6),
        ("ABCw", 16, 3),
        ("ABCW", 16, 11),
    ],
)
def test_a_symbols_shard_never_changes(symbol: str, shards: int, shard: int) -> None:
    assert shard_of(symbol, shards) == shard


@given(st.text(min_size=1), st.integers(1, 64))
def test_every_symbol_has_a_shard(symbol: str, shards: int) -> None:
    assert 0 <= shard_of(symbol, shards) < shards
    assert shard_of(symbol, 1) == 0


def test_symbols_spread_evenly_over_shards() -> None:
    shards = [shard_of(f"T{number:04}", 4) for number in range(4_000)]
    assert all(900 < shards.count(shard) < 1_100 for shard in range(4))


def test_fewer_than_one_shard_is_refused() -> None:
    with pytest.raises(ValueError, match="shards is 0"):
        shard_of("AAPL", 0)
