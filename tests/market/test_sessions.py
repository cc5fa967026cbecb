"""Trading days: against the calendar library, and at their edges."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.market.sessions import (
    CalendarError,
    CalendarRangeError,
    CorrectionError,
    Session,
    SessionCalendar,
    TradingDay,
    UnknownExchangeError,
)

NEW_YORK = ZoneInfo("America/New_York")
KOLKATA = ZoneInfo("Asia/Kolkata")
ZONES = {"XNYS": NEW_YORK, "XBOM": KOLKATA}
COVERED = ("2000-01-01", "2027-12-31")
LIBRARY_ENDS = {"XNYS": "2027-12-31", "XBOM": "2026-12-31", "XNSE": "2026-12-31"}
HOUR_MS = 3_600_000


def ms(local: str, zone: ZoneInfo = NEW_YORK) -> int:
    """UTC ms of a local ``YYYY-MM-DD HH:MM[:SS[.fff]]``."""
    return round(dt.datetime.fromisoformat(local).replace(tzinfo=zone).timestamp() * 1000)


@pytest.fixture
def new_york() -> SessionCalendar:
    return SessionCalendar.load("XNYS")


def library(exchange: str) -> tuple[dict[str, tuple[int, int]], set[str]]:
    """The library's {date: (open ms, close ms)}, and the weekend dates that it declares open."""
    first, last = COVERED[0], LIBRARY_ENDS[exchange]
    with warnings.catch_warnings():  # the library's own quarrel with newer pandas
        warnings.simplefilter("ignore", DeprecationWarning)
        calendar: Any = exchange_calendars.get_calendar(
            exchange.replace("XNSE", "XBOM"), start=first, end=last
        )
    sessions = {
        stamp.date().isoformat(): (
            int(row.open.timestamp() * 1000),
            int(row.close.timestamp() * 1000),
        )
        for stamp, row in zip(
            calendar.schedule.index, calendar.schedule.itertuples(index=False), strict=True
        )
    }
    declared = {
        (start + dt.timedelta(days=weekday)).date().isoformat()
        for start, _end, weekmask in getattr(calendar, "special_weekmasks", ())
        for weekday in (5, 6)
        if weekmask[weekday] == "1"
    }
    return sessions, declared


@pytest.mark.parametrize("exchange", ["XNYS", "XBOM", "XNSE"])
def test_every_session_of_every_year_is_the_librarys(exchange: str) -> None:
    expected, declared = library(exchange)
    calendar = SessionCalendar.load(exchange)
    assert (calendar.first, calendar.last) == COVERED
    assert calendar.confirmed == LIBRARY_ENDS[exchange]
    found = {
        day.date: (day.open_ms, day.close_ms)
        for day in calendar.sessions(calendar.first, calendar.confirmed)
    }
    assert found.keys() == expected.keys() | declared
    assert {date: hours for date, hours in found.items() if date in expected} == expected


@pytest.mark.parametrize("exchange", ["XNYS", "XBOM"])
def test_days_follow_each_other_without_a_hole_and_turn_at_four(exchange: str) -> None:
    calendar = SessionCalendar.load(exchange)
    first, last = (dt.date.fromisoformat(date) for date in COVERED)
    previous_end = calendar.first_ms
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        date = dt.date.fromordinal(ordinal)
        day = calendar.day(date.isoformat())
        assert day.turn_ms == previous_end == ms(f"{date} 04:00", ZONES[exchange])
        assert day.turn_ms <= day.pre_ms <= day.open_ms <= day.close_ms <= day.post_ms
        assert day.post_ms <= day.next_turn_ms
        assert calendar.day_at(day.turn_ms) is calendar.day_at(day.next_turn_ms - 1) is day
        previous_end = day.next_turn_ms
    assert previous_end == calendar.end_ms


def test_a_full_day_in_new_york(new_york: SessionCalendar) -> None:
    day = new_york.day("2013-10-07")
    assert day == TradingDay(
        exchange="XNYS",
        date="2013-10-07",
        is_session=True,
        early_close=False,
        turn_ms=ms("2013-10-07 04:00"),
        pre_ms=ms("2013-10-07 04:00"),
        open_ms=ms("2013-10-07 09:30"),
        close_ms=ms("2013-10-07 16:00"),
        post_ms=ms("2013-10-07 20:00"),
        next_turn_ms=ms("2013-10-08 04:00"),
    )


@pytest.mark.parametrize(
    ("at", "session"),
    [
        ("03:59:59.999", Session.CLOSED),
        ("04:00", Session.PRE),
        ("09:29:59.999", Session.PRE),
        ("09:30", Session.REGULAR),
        ("15:59:59.999", Session.REGULAR),
        ("16:00", Session.POST),
        ("19:59:59.999", Session.POST),
        ("20:00", Session.CLOSED),
        ("23:59:59.999", Session.CLOSED),
    ],
)
def test_session_boundaries_belong_to_the_later_session(
    new_york: SessionCalendar, at: str, session: Session
) -> None:
    assert new_york.session_at(ms(f"2013-10-07 {at}")) is session


def test_a_day_calls_times_of_other_dates_closed(new_york: SessionCalendar) -> None:
    day = new_york.day("2013-10-07")
    assert day.session_at(ms("2013-10-08 10:00")) is Session.CLOSED
    assert day.session_at(ms("2013-10-04 10:00")) is Session.CLOSED


@pytest.mark.parametrize("date", ["2026-11-27", "2026-12-24", "2013-07-03", "2003-12-26"])
def test_half_days_close_at_one_and_end_at_five(new_york: SessionCalendar, date: str) -> None:
    day = new_york.day(date)
    assert day.early_close
    assert day.session_at(ms(f"{date} 12:59:59.999")) is Session.REGULAR
    assert day.session_at(ms(f"{date} 13:00")) is Session.POST
    assert day.session_at(ms(f"{date} 16:59:59.999")) is Session.POST
    assert day.session_at(ms(f"{date} 17:00")) is Session.CLOSED


@pytest.mark.parametrize(
    "date", ["2026-11-26", "2026-12-25", "2013-10-05", "2001-09-11", "2001-09-14", "2012-10-29"]
)
def test_dates_without_a_session_are_closed_all_day(new_york: SessionCalendar, date: str) -> None:
    day = new_york.day(date)
    assert not day.is_session
    assert not day.early_close
    for hour in range(24):
        timestamp_ms = day.turn_ms + hour * HOUR_MS
        assert day.session_at(timestamp_ms) is Session.CLOSED
        assert not day.open_ms <= timestamp_ms < day.close_ms
        assert new_york.trading_date(timestamp_ms) == date


def test_sessions_step_over_the_closure_of_september_2001(new_york: SessionCalendar) -> None:
    assert new_york.next_session("2001-09-10").date == "2001-09-17"
    assert new_york.previous_session("2001-09-17").date == "2001-09-10"
    assert new_york.next_session("2001-09-12").date == "2001-09-17"
    days = [day.date for day in new_york.sessions("2001-09-10", "2001-09-18")]
    assert days == ["2001-09-10", "2001-09-17", "2001-09-18"]


def test_the_trading_day_turns_at_four_not_at_midnight(new_york: SessionCalendar) -> None:
    assert new_york.trading_date(ms("2013-10-08 00:00")) == "2013-10-07"
    assert new_york.trading_date(ms("2013-10-08 03:59:59.999")) == "2013-10-07"
    assert new_york.trading_date(ms("2013-10-08 04:00")) == "2013-10-08"
    assert new_york.trading_date(ms("2013-10-07 03:59:59.999")) == "2013-10-06"


@pytest.mark.parametrize(
    ("date", "hours"),
    [
        ("2026-03-07", 23),  # the clock jumps at 02:00 of the 8th, before that date's turn
        ("2026-03-08", 24),
        ("2026-10-31", 25),
        ("2026-11-01", 24),
        ("2006-04-01", 23),  # the rule before 2007
        ("2006-10-28", 25),
    ],
)
def test_a_trading_day_at_a_clock_change(new_york: SessionCalendar, date: str, hours: int) -> None:
    day = new_york.day(date)
    assert day.next_turn_ms - day.turn_ms == hours * HOUR_MS
    assert new_york.day_at(day.turn_ms) == day
    assert new_york.day_at(day.next_turn_ms - 1) == day


def test_utc_open_moves_with_daylight_saving(new_york: SessionCalendar) -> None:
    friday, monday = new_york.day("2026-03-06"), new_york.day("2026-03-09")
    assert monday.open_ms - friday.open_ms == 3 * 24 * HOUR_MS - HOUR_MS


@given(st.integers(ms("2000-01-01 04:00"), ms("2028-01-01 04:00") - 1))
def test_any_time_lies_in_the_day_that_the_zone_database_says(timestamp_ms: int) -> None:
    calendar = SessionCalendar.load("XNYS")
    local = dt.datetime.fromtimestamp(timestamp_ms // 1000, NEW_YORK)
    date = local.date() if local.hour >= 4 else local.date() - dt.timedelta(days=1)
    day = calendar.day_at(timestamp_ms)
    assert day.date == date.isoformat()
    assert day.turn_ms <= timestamp_ms < day.next_turn_ms


@given(st.lists(st.integers(ms("2013-03-01 00:00"), ms("2013-03-20 00:00")), min_size=2))
def test_answers_do_not_depend_on_the_order_of_questions(times_ms: list[int]) -> None:
    warm = SessionCalendar.load("XNYS")
    answers = [warm.day_at(at_ms) for at_ms in times_ms]
    assert answers == [SessionCalendar.load("XNYS").day_at(at_ms) for at_ms in times_ms]


def test_a_day_is_computed_once(new_york: SessionCalendar) -> None:
    noon = ms("2013-10-07 12:00")
    assert new_york.day_at(noon) is new_york.day_at(noon + HOUR_MS)
    assert new_york.day_at(noon) is new_york.day("2013-10-07")


@pytest.mark.parametrize("exchange", ["XBOM", "XNSE"])
def test_a_full_day_in_india(exchange: str) -> None:
    day = SessionCalendar.load(exchange).day("2026-01-05")
    assert day.exchange == exchange
    assert day.session_at(ms("2026-01-05 08:59:59.999", KOLKATA)) is Session.CLOSED
    assert day.session_at(ms("2026-01-05 09:00", KOLKATA)) is Session.PRE
    assert day.session_at(ms("2026-01-05 09:15", KOLKATA)) is Session.REGULAR
    assert day.session_at(ms("2026-01-05 15:29:59.999", KOLKATA)) is Session.REGULAR
    assert day.session_at(ms("2026-01-05 15:30", KOLKATA)) is Session.CLOSED


def test_indias_special_saturdays_are_sessions() -> None:
    bombay = SessionCalendar.load("XBOM")
    assert bombay.day("2024-01-20").is_session
    assert bombay.day("2025-02-01").is_session
    assert not bombay.day("2024-01-27").is_session


def test_after_what_is_announced_the_holidays_of_every_year_are_expected() -> None:
    bombay = SessionCalendar.load("XBOM")
    closed = [
        date
        for ordinal in range(bombay._covered("2027-01-01"), bombay._covered("2027-12-31") + 1)
        if (date := dt.date.fromordinal(ordinal)).weekday() < 5
        and not bombay.day(date.isoformat()).is_session
    ]
    assert list(map(str, closed)) == ["2027-01-26", "2027-03-26", "2027-04-14"]


@pytest.mark.parametrize(
    ("name", "mic"),
    [("NYSE", "XNYS"), ("NASDAQ", "XNYS"), ("US", "XNYS"), ("BSE", "XBOM"), ("NSE", "XNSE")],
)
def test_exchanges_go_by_the_names_that_people_use(name: str, mic: str) -> None:
    assert SessionCalendar.load(name).exchange == mic
    assert SessionCalendar.load(name).day("2026-01-05") == SessionCalendar.load(mic).day(
        "2026-01-05"
    )


def test_the_covered_range_ends_exactly(new_york: SessionCalendar) -> None:
    assert new_york.first_ms == ms("2000-01-01 04:00")
    assert new_york.end_ms == ms("2028-01-01 04:00")
    assert new_york.trading_date(new_york.first_ms) == "2000-01-01"
    assert new_york.trading_date(new_york.end_ms - 1) == "2027-12-31"


def test_a_time_outside_the_range_says_what_was_seen_and_what_is_covered(
    new_york: SessionCalendar,
) -> None:
    for timestamp_ms in (new_york.first_ms - 1, new_york.end_ms, 0, 10**18):
        with pytest.raises(CalendarRangeError, match="2000-01-01 to 2027-12-31") as failure:
            new_york.day_at(timestamp_ms)
        assert str(timestamp_ms) in str(failure.value)


def test_a_date_outside_the_range_is_refused(new_york: SessionCalendar) -> None:
    for date in ("1999-12-31", "2028-01-01"):
        with pytest.raises(CalendarRangeError, match=date):
            new_york.day(date)
    with pytest.raises(CalendarRangeError, match="session after 2027-12-31"):
        new_york.next_session("2027-12-31")
    with pytest.raises(CalendarRangeError, match="session before 2000-01-03"):
        new_york.previous_session("2000-01-03")


def test_what_is_not_a_date_is_refused(new_york: SessionCalendar) -> None:
    with pytest.raises(CalendarError, match="'7 October'"):
        new_york.day("7 October")


def test_an_unknown_exchange_names_the_known_ones() -> None:
    with pytest.raises(UnknownExchangeError, match=r"'XLON'.*XBOM, XNSE, XNYS"):
        SessionCalendar.load("XLON")


def test_a_correction_closes_a_date(new_york: SessionCalendar) -> None:
    open_before = new_york.day_at(ms("2026-06-15 10:00"))
    corrected = new_york.correct("2026-06-15", is_session=False)
    assert open_before.is_session
    assert not corrected.is_session
    assert new_york.session_at(ms("2026-06-15 10:00")) is Session.CLOSED
    assert new_york.next_session("2026-06-14").date == "2026-06-16"


def test_a_correction_closes_early(new_york: SessionCalendar) -> None:
    day = new_york.correct("2026-06-15", close_ms=ms("2026-06-15 13:00"))
    assert day.early_close
    assert day.post_ms == ms("2026-06-15 17:00")
    assert new_york.session_at(ms("2026-06-15 13:00")) is Session.POST


def test_a_correction_opens_late(new_york: SessionCalendar) -> None:
    day = new_york.correct("2026-06-15", open_ms=ms("2026-06-15 11:00"))
    assert not day.early_close
    assert day.session_at(ms("2026-06-15 10:59")) is Session.PRE
    assert day.close_ms == ms("2026-06-15 16:00")


def test_a_correction_makes_an_evening_session_of_a_holiday() -> None:
    bombay = SessionCalendar.load("XBOM")
    assert not bombay.day("2024-11-01").is_session
    day = bombay.correct(
        "2024-11-01",
        pre_ms=ms("2024-11-01 17:45", KOLKATA),
        open_ms=ms("2024-11-01 18:00", KOLKATA),
        close_ms=ms("2024-11-01 19:00", KOLKATA),
    )
    assert bombay.day("2024-11-01") == day
    assert day.session_at(ms("2024-11-01 17:50", KOLKATA)) is Session.PRE
    assert day.session_at(ms("2024-11-01 18:59", KOLKATA)) is Session.REGULAR
    assert day.session_at(ms("2024-11-01 19:00", KOLKATA)) is Session.CLOSED


def test_corrections_stay_with_their_calendar(new_york: SessionCalendar) -> None:
    new_york.correct("2026-06-15", is_session=False)
    assert SessionCalendar.load("XNYS").day("2026-06-15").is_session


def test_corrections_that_do_not_fit_are_refused(new_york: SessionCalendar) -> None:
    with pytest.raises(CorrectionError, match="expected"):
        new_york.correct("2026-06-15", close_ms=ms("2026-06-16 13:00"))
    with pytest.raises(CorrectionError, match="expected"):
        new_york.correct("2026-06-15", close_ms=ms("2026-06-15 09:30"))
    with pytest.raises(CorrectionError, match="has no hours"):
        new_york.correct("2026-06-15", is_session=False, open_ms=ms("2026-06-15 09:30"))
    assert new_york.day("2026-06-15").close_ms == ms("2026-06-15 16:00")
