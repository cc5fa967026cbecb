"""How much one client may ask."""

from tapewire.hub.session import Allowance


def spend(allowance: Allowance, now_ms: float) -> int:
    """How many messages are left at a moment."""
    taken = 0
    while allowance.take(now_ms):
        taken += 1
    return taken


def test_a_burst_and_then_so_many_a_minute() -> None:
    allowance = Allowance(600, 256, now_ms=0)
    assert spend(allowance, 0) == 256
    assert spend(allowance, 1_000) == 10
    assert spend(allowance, 1_050) == 0
    assert spend(allowance, 61_000) == 256, "never more than a burst"


def test_large_snapshots_cost_more() -> None:
    allowance = Allowance(600, 20, now_ms=0)
    allowance.charge(10_500)
    assert spend(allowance, 0) == 10
    allowance.charge(30_000)
    assert spend(allowance, 1_000) == 0, "a debt is paid first"


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    allowance = Allowance(600, 20, now_ms=3_600_000)
    assert allowance.take(0)
    assert spend(allowance, 0) == 19
    assert spend(allowance, 1_000) == 10
