"""Spacing of calls, by a clock that the test turns."""

import pytest

from tapewire.providers.massive.rest import BASIC_PLAN, PAID_PLAN
from tapewire.providers.token_bucket import RateLimit, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def starts(limit: RateLimit, calls: int) -> list[float]:
    """When calls start if each waits as told before the next one asks."""
    clock = Clock()
    bucket = TokenBucket(limit, clock)
    times = []
    for _ in range(calls):
        clock.now_s += bucket.reserve()
        times.append(clock.now_s)
    return times


def busiest(times: list[float], window_s: float) -> int:
    return max(sum(t <= other <= t + window_s for other in times) for t in times)


def test_a_burst_goes_at_once_then_calls_are_spaced() -> None:
    assert starts(RateLimit(2, 1.0, burst=3), 6) == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5])


def test_the_default_never_reaches_a_hundred_calls_in_a_second() -> None:
    assert busiest(starts(PAID_PLAN, 400), 1.0) <= 99


def test_the_basic_plan_makes_at_most_five_calls_in_a_minute() -> None:
    assert busiest(starts(BASIC_PLAN, 30), 60.0) == 5


def test_callers_who_ask_together_are_queued() -> None:
    bucket = TokenBucket(RateLimit(1, 1.0), Clock())
    assert [bucket.reserve() for _ in range(3)] == [0, 1, 2]


def test_a_pause_holds_everybody() -> None:
    clock = Clock()
    bucket = TokenBucket(RateLimit(10, 1.0, burst=5), clock)
    bucket.pause(7.0)
    assert bucket.reserve() == pytest.approx(7.0)
    assert bucket.reserve() == pytest.approx(7.1)


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    bucket = TokenBucket(RateLimit(10, 1.0), Clock())
    bucket.pause(7.0)
    bucket.pause(1.0)
    assert bucket.reserve() == pytest.approx(7.0)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        RateLimit(0, 1.0)
