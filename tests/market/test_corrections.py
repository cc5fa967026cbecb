"""Late announcements of the exchange change a calendar's days, and nothing else."""

import pytest

from tapewire.market.corrections import Correction, correct, merged
from tapewire.market.sessions import Session, SessionCalendar

HOUR_MS = 3_600_000


@pytest.fixture
def calendar() -> SessionCalendar:
    return SessionCalendar.load("XNYS")


def test_a_day_of_mourning_closes_a_usual_day(calendar: SessionCalendar) -> None:
    day = calendar.day("2026-11-20")
    corrected = correct(calendar, [Correction("2026-11-20", False, name="Mourning")])
    assert [one.date for one in corrected.days] == ["2026-11-20"]
    assert calendar.session_at(day.open_ms) is Session.CLOSED
    assert calendar.next_session("2026-11-19").date == "2026-11-23"
    assert calendar.revision == 1


def test_an_early_close_moves_the_close_and_the_post_market(calendar: SessionCalendar) -> None:
    day = calendar.day("2026-11-20")
    close_ms = day.close_ms - 3 * HOUR_MS
    correct(calendar, [Correction("2026-11-20", True, day.open_ms, close_ms)])
    corrected = calendar.day("2026-11-20")
    assert (corrected.early_close, corrected.close_ms) == (True, close_ms)
    assert corrected.post_ms == day.post_ms - 3 * HOUR_MS


def test_what_the_calendar_knows_already_changes_nothing(calendar: SessionCalendar) -> None:
    half = calendar.day("2026-11-27")
    known = [
        Correction("2026-11-26", False, name="Thanksgiving"),
        Correction("2026-11-27", True, half.open_ms, half.close_ms),
        Correction("2026-11-20", True),
    ]
    corrected = correct(calendar, known)
    assert (corrected.days, corrected.misfits, calendar.revision) == ([], [], 0)


def test_a_correction_applied_twice_is_applied_once(calendar: SessionCalendar) -> None:
    closed = [Correction("2026-11-20", False)]
    assert len(correct(calendar, closed).days) == 1
    assert len(correct(calendar, closed).days) == 0


def test_what_does_not_fit_is_said_and_the_rest_applied(calendar: SessionCalendar) -> None:
    day = calendar.day("2026-11-20")
    corrected = correct(
        calendar,
        [
            Correction("2026-11-20", True, day.close_ms, day.open_ms, "backwards"),
            Correction("1950-01-03", False, name="before our time"),
            Correction("soon", False, name="no date"),
            Correction("2026-11-23", False),
        ],
    )
    assert [one.date for one in corrected.days] == ["2026-11-23"]
    assert [misfit.partition(":")[0] for misfit in corrected.misfits] == [
        "backwards",
        "before our time",
        "no date",
    ]
    assert calendar.day("2026-11-20") == day


def test_the_newer_word_counts_and_old_dates_go() -> None:
    known = [Correction("2026-01-09", False), Correction("2026-11-20", False)]
    newer = [Correction("2026-11-20", True), Correction("2026-12-24", True)]
    assert merged(known, newer, "2026-11-01") == newer
