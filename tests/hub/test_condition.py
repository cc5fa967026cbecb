"""Live, delayed, closed or stale: one word for how the feeds are."""

import pytest

from tapewire.hub.condition import Condition, Signs, judge, next_condition

MINUTE_MS = 60_000.0


@pytest.mark.parametrize(
    ("signs", "state", "reason"),
    [
        (Signs("the cache is away", 0), "stale", "the cache is away"),
        (Signs("", 900), "live", ""),
        (Signs("", 900, is_open=False), "live", ""),
        (Signs("", 900, lag_ms=15 * MINUTE_MS), "delayed", "about 15 min behind the clock"),
        (Signs("", 900, lag_ms=1e12), "live", ""),
        (Signs("", 11_000), "stale", "nothing new from the market"),
        (Signs("", None), "stale", "nothing new from the market"),
        (Signs("", 11_000, trouble="no key"), "stale", "no key"),
        (Signs("", 11_000, is_open=False), "closed", "the market is closed"),
    ],
)
def test_signs_make_a_state(signs: Signs, state: str, reason: str) -> None:
    assert judge(signs) == (state, reason)


def test_a_state_keeps_its_beginning() -> None:
    first = next_condition(Condition(), Signs("away", 0), 100)
    assert first == Condition("stale", 100, "away")
    assert next_condition(first, Signs("still away", 0), 200) == Condition(
        "stale", 100, "still away"
    )
    assert next_condition(first, Signs("", 0), 300) == Condition("live", 300, "")
