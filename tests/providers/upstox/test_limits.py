"""The limits of Upstox's plans."""

import pytest

from tapewire.providers.upstox.limits import LIMITS, LimitError, Plan, check
from tapewire.providers.upstox.messages import Mode

STANDARD = LIMITS[Plan.STANDARD]


@pytest.mark.parametrize(
    ("mode", "alone"), [(Mode.LTPC, 5000), (Mode.OPTION_GREEKS, 3000), (Mode.FULL, 2000)]
)
def test_a_mode_alone_may_be_used_up_to_its_limit(mode: Mode, alone: int) -> None:
    check([mode] * alone, STANDARD)
    with pytest.raises(LimitError, match=f"{alone + 1} instruments in mode {mode}"):
        check([mode] * (alone + 1), STANDARD)


def test_beside_another_mode_less_is_allowed() -> None:
    check([Mode.LTPC] * 2000 + [Mode.FULL] * 1500, STANDARD)
    with pytest.raises(LimitError, match="2001 instruments in mode ltpc; the plan allows 2000"):
        check([Mode.LTPC] * 2001 + [Mode.FULL], STANDARD)


def test_thirty_levels_are_for_the_plus_plan() -> None:
    check([Mode.FULL_D30] * 50, LIMITS[Plan.PLUS])
    with pytest.raises(LimitError, match="it has ltpc, option_greeks, full"):
        check([Mode.FULL_D30], STANDARD)
