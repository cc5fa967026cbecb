"""Which ticks count, and their instruments' names."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from tapewire.market.ticks import admitted, instrument_key, objection
from tapewire.model.events import Tick

GOOD = Tick("upstox", "NSE_FO", "8765", "NIFTY-I", 101.5, 75, 1_200, None, 1_795_000_000_000, 1)


def test_the_same_token_on_two_exchanges_is_two_instruments() -> None:
    assert instrument_key("NSE_FO", "8765") != instrument_key("BSE_FO", "8765")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"last_price": None}, "no_price"),
        ({"exchange": ""}, "empty_exchange"),
        ({"exchange": " "}, "empty_exchange"),
        ({"token": ""}, "empty_token"),
        ({"token": "  "}, "empty_token"),
        ({"last_price": 0.0}, "bad_price"),
        ({"last_price": -1.0}, "bad_price"),
        ({"last_price": float("nan")}, "bad_price"),
        ({"last_price": float("inf")}, "bad_price"),
        ({"timestamp_ms": 0}, "bad_timestamp"),
        ({"timestamp_ms": -1}, "bad_timestamp"),
    ],
)
def test_what_is_wrong_is_counted_by_reason(wrong: dict[str, Any], reason: str) -> None:
    skipped: Counter[str] = Counter()
    assert admitted([GOOD, replace(GOOD, **wrong), GOOD], skipped) == [GOOD, GOOD]
    assert skipped == {reason: 1}


def test_a_tick_before_any_trade_of_the_day_counts() -> None:
    assert objection(replace(GOOD, day_volume=0, last_size=0)) is None


def test_spaces_in_a_token_become_underscores() -> None:
    skipped: Counter[str] = Counter()
    given = replace(GOOD, token=" Nifty Fin Service ")
    assert [tick.token for tick in admitted([given], skipped)] == ["Nifty_Fin_Service"]
    assert given.token == " Nifty Fin Service "
    assert not skipped
