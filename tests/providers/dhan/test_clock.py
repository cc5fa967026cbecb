"""Whose clock the feed writes is told by packets that cannot be old, and by no others."""

import pytest

from tapewire.providers.dhan.clock import IST_OFFSET_S, FeedClock

NOW_S = 1_790_000_000


def live(clock: FeedClock, *times_s: int, offset_s: int = 0) -> None:
    """Live packets of trades at these times of ours, each received at once."""
    for time_s in times_s:
        clock.observe(time_s + offset_s, time_s, live=True)


@pytest.mark.parametrize("offset_s", [0, IST_OFFSET_S])
def test_live_packets_tell_the_offset(offset_s: int) -> None:
    clock = FeedClock()
    live(clock, NOW_S, NOW_S + 1, NOW_S + 2, offset_s=offset_s)
    assert clock.offset_s == offset_s


@pytest.mark.parametrize("offset_s", [0, IST_OFFSET_S])
@pytest.mark.parametrize("skew_s", [-7_000, -30, 30, 7_000])
def test_a_receiver_whose_clock_is_off_still_tells(offset_s: int, skew_s: int) -> None:
    clock = FeedClock()
    for second in range(3):
        clock.observe(NOW_S + second + offset_s, NOW_S + second + skew_s, live=True)
    assert clock.offset_s == offset_s


def test_a_moment_of_packets_is_not_enough() -> None:
    clock = FeedClock()
    live(clock, *[NOW_S] * 50)
    assert clock.offset_s is None
    live(clock, NOW_S + 1)
    assert clock.offset_s == 0


@pytest.mark.parametrize("age_s", [0, 60, 5 * 3_600, 19_800, 86_400, 40 * 86_400])
def test_an_old_state_tells_nothing_on_the_clock_of_utc(age_s: int) -> None:
    clock = FeedClock()
    for second in range(10):
        assert clock.observe(NOW_S - age_s, NOW_S + second, live=False)
    assert clock.offset_s is None


@pytest.mark.parametrize("age_s", [4 * 3_600, 19_800, 86_400])
def test_an_old_state_on_the_indian_clock_is_never_taken_for_utc(age_s: int) -> None:
    """5 h 30 min old it looks like one of just now."""
    clock = FeedClock()
    for second in range(10):
        assert clock.observe(NOW_S - age_s + IST_OFFSET_S, NOW_S + second, live=False)
    assert clock.offset_s is None


def test_a_time_hours_ahead_can_only_be_the_indian_clock() -> None:
    clock = FeedClock()
    for second in range(3):
        clock.observe(NOW_S - 600 + IST_OFFSET_S, NOW_S + second, live=False)
    assert clock.offset_s == IST_OFFSET_S


def test_one_that_disagrees_begins_the_count_anew() -> None:
    clock = FeedClock()
    live(clock, NOW_S, NOW_S + 1)
    clock.observe(NOW_S + 2 + IST_OFFSET_S, NOW_S + 2, live=True)
    live(clock, NOW_S + 3, NOW_S + 4)
    assert clock.offset_s is None
    live(clock, NOW_S + 5)
    assert clock.offset_s == 0


@pytest.mark.parametrize(
    ("ahead_s", "is_live"), [(IST_OFFSET_S + 7_201, False), (86_400, True), (-7_201, True)]
)
def test_a_time_that_fits_neither_clock_is_said_to(ahead_s: int, is_live: bool) -> None:
    clock = FeedClock()
    for second in range(5):
        assert not clock.observe(NOW_S + second + ahead_s, NOW_S + second, live=is_live)
    assert clock.offset_s is None


def test_a_choice_that_time_disproves_is_taken_back() -> None:
    clock = FeedClock()
    live(clock, NOW_S, NOW_S + 1, NOW_S + 2)
    assert clock.offset_s == 0
    live(clock, NOW_S + 3, NOW_S + 4, NOW_S + 5, offset_s=IST_OFFSET_S)
    assert clock.offset_s == IST_OFFSET_S


def test_times_are_bounded_by_what_the_clock_allows() -> None:
    clock = FeedClock()
    assert clock.latest_s(NOW_S) == 0
    live(clock, NOW_S, NOW_S + 1, NOW_S + 2)
    assert NOW_S < clock.latest_s(NOW_S) < NOW_S + IST_OFFSET_S


@pytest.mark.parametrize("offset_s", [0, IST_OFFSET_S])
def test_a_given_offset_is_not_asked_after(offset_s: int) -> None:
    clock = FeedClock(offset_s)
    assert clock.observe(NOW_S, NOW_S + 400 * 86_400, live=True)
    assert clock.observe(NOW_S + 400 * 86_400, NOW_S, live=True)
    assert clock.offset_s == offset_s
    assert clock.latest_s(NOW_S) > NOW_S + 400 * 86_400
