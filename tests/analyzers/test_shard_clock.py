"""Event time of a shard: seconds, cuts, day turns, and the ranges of losses that are kept."""

from tapewire.analyzers.shard_clock import ShardClock, read_standing
from tapewire.market.sessions import Session, SessionCalendar
from tests.analyzers.tape import CALENDAR, FRIDAY, MONDAY, gap, ms


def standing_at(at: str) -> ShardClock:
    shard_clock = ShardClock(CALENDAR, [])
    shard_clock.stand(ms(at))
    return shard_clock


def test_a_cut_stands_in_the_second_of_the_event() -> None:
    shard_clock = standing_at("09:31:02")
    assert not shard_clock.cut(ms("09:31:07.250"), (), ())
    assert shard_clock.second_ms == ms("09:31:07")
    assert shard_clock.cut_ms == ms("09:31:08")


def test_the_day_turns_at_four_exactly() -> None:
    shard_clock = ShardClock(CALENDAR, [])
    shard_clock.stand(ms("03:59:59", MONDAY))
    assert shard_clock.day is not None
    assert shard_clock.day.date == "2026-11-22"
    assert shard_clock.cut(ms("04:00:00", MONDAY), (), ())
    assert shard_clock.day.date == MONDAY


def test_times_outside_the_calendar_are_not_covered() -> None:
    shard_clock = standing_at("09:31")
    assert shard_clock.covers(ms("09:31"))
    assert not shard_clock.covers(0)
    assert not shard_clock.covers(CALENDAR.end_ms)


def test_losses_within_a_second_of_one_another_are_one() -> None:
    shard_clock = standing_at("09:31")
    shard_clock.gap(gap("09:31:00", "09:31:05"))
    shard_clock.gap(gap("09:31:05.9", "09:31:08"))
    shard_clock.gap(gap("09:31:09.1", "09:31:10"))
    assert shard_clock.gaps == [
        (ms("09:31:00"), ms("09:31:08")),
        (ms("09:31:09.1"), ms("09:31:10")),
    ]


def test_old_losses_are_forgotten_but_for_the_last() -> None:
    shard_clock = standing_at("09:31")
    shard_clock.gap(gap("09:31:00", "09:31:05"))
    shard_clock.stand(ms("12:00"))
    assert len(shard_clock.gaps) == 1
    shard_clock.gap(gap("12:00", "12:00:01"))
    assert shard_clock.gaps == [(ms("12:00"), ms("12:00:01"))]


def test_a_standing_survives_packing() -> None:
    shard_clock = standing_at("09:31")
    shard_clock.gap(gap("09:31:00", "09:31:05"))
    standing = read_standing(shard_clock.pack([]))
    assert standing is not None
    assert standing.second_ms == ms("09:31")
    assert standing.gaps == shard_clock.gaps


def test_a_shard_that_nobody_folded_has_no_standing() -> None:
    assert read_standing(None) is None


def test_a_correction_moves_the_boundaries_of_the_day_that_we_are_in() -> None:
    calendar = SessionCalendar.load("XNYS")
    clock = ShardClock(calendar, [])
    clock.stand(ms("10:00:00"))
    day = calendar.day(FRIDAY)
    close_ms = ms("13:00:00")
    calendar.correct(FRIDAY, close_ms=close_ms)
    assert clock.stand(ms("10:00:01")) is False
    assert clock.day is not None
    assert (clock.day.close_ms, clock.day.next_turn_ms) == (close_ms, day.next_turn_ms)
    assert clock.day.session_at(ms("14:00:00")) is Session.POST
    assert clock.stand(day.next_turn_ms) is True
