"""New York wall-clock times from and to UTC milliseconds, for people.

The exchange's calendar knows every date's 04:00 in UTC, so no time-zone database is needed.
"""

import datetime as dt
import re
from functools import cache
from typing import Final

from tapewire.market.sessions import CalendarRangeError, SessionCalendar
from tapewire.runtime.service import UsageError

TURN_MS: Final = 4 * 3_600_000
DAY_MS: Final = 86_400_000

_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock arithmetic


@cache
def calendar() -> SessionCalendar:
    """The calendar of the US exchanges."""
    return SessionCalendar.load("XNYS")


def moment(timestamp_ms: float) -> dt.datetime:
    """New York's wall clock at a time; UTC where the calendar does not reach."""
    whole_ms = int(timestamp_ms)
    try:
        day = calendar().day_at(whole_ms)
    except CalendarRangeError:
        return _EPOCH + dt.timedelta(milliseconds=whole_ms)
    midnight = dt.datetime.fromisoformat(day.date)
    return midnight + dt.timedelta(milliseconds=TURN_MS + whole_ms - day.turn_ms)


def date_time(timestamp_ms: float) -> str:
    """``2013-10-07 09:31:00``."""
    return moment(timestamp_ms).strftime("%Y-%m-%d %H:%M:%S")


def date_of(timestamp_ms: float) -> str:
    """``2013-10-07``."""
    return moment(timestamp_ms).strftime("%Y-%m-%d")


def clock(timestamp_ms: float) -> str:
    """``09:31:00``."""
    return moment(timestamp_ms).strftime("%H:%M:%S")


def date(text: str) -> str:
    """Check a trading date; UsageError for anything but ``YYYY-MM-DD`` that the calendar has."""
    try:
        return calendar().day(text).date
    except ValueError as error:
        raise UsageError(f"--date: {error}") from error


def to_ms(text: str, trading_date: str) -> int:
    """UTC ms of a time on a trading date.

    ``text`` is New York's ``HH:MM[:SS]``, an ISO date and time (New York's unless it says
    otherwise), or ms since 1970. Raises UsageError for anything else.
    """
    if text.isdigit():
        return int(text)
    if (found := _CLOCK.fullmatch(text)) is not None:
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        if hours < 24 and minutes < 60 and seconds < 60:
            return _at(trading_date, ((hours * 60 + minutes) * 60 + seconds) * 1000)
    try:
        given = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"time {text!r} is not valid; expected HH:MM[:SS] in New York, an ISO date and time,"
            " or milliseconds since 1970"
        ) from None
    if given.tzinfo is not None:
        return int(given.timestamp() * 1000)
    midnight = dt.datetime.combine(given.date(), dt.time())
    return _at(date(given.date().isoformat()), (given - midnight) // dt.timedelta(milliseconds=1))


def _at(trading_date: str, since_midnight_ms: int) -> int:
    return calendar().day(trading_date).turn_ms + since_midnight_ms - TURN_MS
