"""How an exchange spells its derivatives."""

import pytest

from tapewire.market.instruments import InstrumentKind, derivative_symbol


@pytest.mark.parametrize(
    ("strike", "spelled"), [(24000.0, "24000"), (97.25, "97.25"), (22.0, "22"), (0.5, "0.5")]
)
def test_strikes_are_spelled_without_needless_zeros(strike: float, spelled: str) -> None:
    symbol = derivative_symbol("X", "2026-01-06", InstrumentKind.CALL, strike, weekly=False)
    assert symbol == f"X26JAN{spelled}CE"


def test_a_weekly_of_the_last_months_has_a_letter() -> None:
    symbols = [
        derivative_symbol("X", f"2026-{month:02}-01", InstrumentKind.CALL, 1.0, weekly=True)
        for month in (1, 9, 10, 11, 12)
    ]
    assert symbols == ["X261011CE", "X269011CE", "X26O011CE", "X26N011CE", "X26D011CE"]
