"""The circuit breaker's timing, by a clock that the test turns."""

import pytest

from tapewire.providers.circuit_breaker import BreakerState, CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def state(breaker: CircuitBreaker) -> BreakerState:
    return breaker.state


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        ticket = breaker.begin()
        assert ticket is not None
        breaker.failed(ticket)


def test_the_fifth_failure_within_thirty_seconds_opens_it(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 4)
    assert state(breaker) is BreakerState.CLOSED
    clock.now_s += 30.0
    fail(breaker)
    assert state(breaker) is BreakerState.OPEN
    assert breaker.begin() is None
    assert breaker.counts.opened == 1
    assert breaker.counts.rejected == 1


def test_five_failures_over_a_longer_time_leave_it_closed(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 4)
    clock.now_s += 30.001
    fail(breaker, 4)
    assert state(breaker) is BreakerState.CLOSED
    fail(breaker)
    assert breaker.counts.opened == 1


def test_successes_in_between_do_not_hide_the_failures(breaker: CircuitBreaker) -> None:
    for _ in range(5):
        ticket = breaker.begin()
        assert ticket is not None
        breaker.succeeded(ticket)
        fail(breaker)
    assert breaker.counts.opened == 1


def test_the_wait_for_a_probe_doubles_from_ten_to_sixty_seconds(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 5)
    waits = []
    for _ in range(5):
        waits.append(breaker.retry_in_s)
        clock.now_s += breaker.retry_in_s - 0.001
        assert breaker.begin() is None
        clock.now_s += 0.001
        fail(breaker)
    assert waits == pytest.approx([10, 20, 40, 60, 60])
    assert breaker.counts.opened == 6


def test_one_probe_at_a_time(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now_s += 10
    assert breaker.begin() is not None
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.begin() is None


def test_a_successful_probe_closes_it_and_forgets(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now_s += 10
    fail(breaker)
    clock.now_s += 20
    probe = breaker.begin()
    assert probe is not None
    breaker.succeeded(probe)
    fail(breaker, 4)
    assert state(breaker) is BreakerState.CLOSED
    fail(breaker)
    assert breaker.retry_in_s == 10


def test_a_slow_call_from_before_is_not_the_probe(breaker: CircuitBreaker, clock: Clock) -> None:
    slow = breaker.begin()
    assert slow is not None
    fail(breaker, 5)
    clock.now_s += 10
    probe = breaker.begin()
    assert probe is not None
    breaker.succeeded(slow)
    assert state(breaker) is BreakerState.HALF_OPEN
    breaker.failed(slow)
    assert state(breaker) is BreakerState.HALF_OPEN
    breaker.succeeded(probe)
    assert state(breaker) is BreakerState.CLOSED


def test_a_cancelled_probe_lets_another_go_at_once(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now_s += 10
    probe = breaker.begin()
    assert probe is not None
    breaker.abandoned(probe)
    assert breaker.begin() is not None


def test_a_breaker_that_opens_at_nothing_is_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="failures is 0"):
        CircuitBreaker(clock, failures=0)
