"""Trading days and sessions of an exchange, in UTC milliseconds.

A trading date runs from its turn (04:00 on the exchange's clock) to the next date's turn, so
everything that belongs to one date lies between two integers. A `TradingDay` holds these and the
session boundaries; a caller keeps the day and compares. Days come from ``calendars.json``, which
``scripts/generate_calendars.py`` makes from a calendar library; it carries the offsets from UTC
too, so no time-zone database is needed.

Errors::

    CalendarError (ValueError)
    ├── UnknownExchangeError    no calendar of that name
    ├── CalendarRangeError      a time or date outside the covered years
    └── CorrectionError         a correction whose hours do not fit its date
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Self

import msgspec

MINUTE_MS = 60_000
DAY_MS = 86_400_000
EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()


class CalendarError(ValueError):
    """Base of this module's errors."""


class UnknownExchangeError(CalendarError):
    """No calendar ships for the exchange that was named."""


class CalendarRangeError(CalendarError):
    """A time or date lies outside the years that the calendar covers."""


class CorrectionError(CalendarError):
    """A correction's hours are out of order or outside their trading date."""


class Session(StrEnum):
    """Part of a trading day, spelled the same everywhere (architecture.md, section 5)."""

    PRE = "pre"
    REGULAR = "regular"
    POST = "post"
    CLOSED = "closed"


class TradingDay(msgspec.Struct, frozen=True):
    """One trading date of an exchange; every ``*_ms`` is UTC milliseconds.

    The date spans ``[turn_ms, next_turn_ms)``; inside it pre-market is ``[pre_ms, open_ms)``,
    regular ``[open_ms, close_ms)``, post-market ``[close_ms, post_ms)``. On a date without a
    session all four equal ``turn_ms``, so these comparisons are false at any time.
    """

    exchange: str
    date: str
    is_session: bool
    early_close: bool
    turn_ms: int
    pre_ms: int
    open_ms: int
    close_ms: int
    post_ms: int
    next_turn_ms: int

    def session_at(self, timestamp_ms: int) -> Session:
        """Return the session at a time; ``CLOSED`` also outside this trading date."""
        if timestamp_ms < self.pre_ms or timestamp_ms >= self.post_ms:
            return Session.CLOSED
        if timestamp_ms < self.open_ms:
            return Session.PRE
        return Session.REGULAR if timestamp_ms < self.close_ms else Session.POST


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exchange in ``calendars.json``: usual local hours, and the dates that differ.

    ``utc_offsets`` maps a date to the minutes ahead of UTC from that date's turn on. Dates
    after ``confirmed`` are expected, not announced.
    """

    timezone: str
    first: str
    last: str
    confirmed: str
    turn: str
    pre: str
    open: str
    close: str
    post: str
    utc_offsets: dict[str, int]
    holidays: frozenset[str]
    weekend_sessions: frozenset[str]
    special_hours: dict[str, tuple[str, str]]


class Calendars(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of ``calendars.json``.

    ``aliases`` lead from a MIC to the one whose dates and hours it keeps, ``names`` from what
    people say to the MIC.
    """

    generated_from: str
    aliases: dict[str, str]
    names: dict[str, str]
    exchanges: dict[str, Hours]


class SessionCalendar:
    """Trading days of one exchange, computed when first asked for and kept.

    Repeated calls within one trading date cost two comparisons. ``first_ms`` and ``end_ms``
    bound the covered times, ``[first_ms, end_ms)``; a time outside raises `CalendarRangeError`,
    so a caller with untrusted times compares with these first. ``first`` and ``last`` are the
    covered dates, ``confirmed`` the last one that is announced and not only expected.
    ``revision`` counts corrections: whoever keeps a day asks for it again when it has grown.
    """

    def __init__(self, exchange: str, hours: Hours) -> None:
        self.exchange = exchange
        self._hours = hours
        self.first, self.last, self.confirmed = hours.first, hours.last, hours.confirmed
        self._first = _ordinal(hours.first)
        self._last = _ordinal(hours.last)
        self._offset_from = [_ordinal(date) for date in hours.utc_offsets]
        self._offsets = list(hours.utc_offsets.values())
        self._turn_minutes = _minutes(hours.turn)
        self._days: dict[int, TradingDay] = {}
        self.revision = 0
        self.first_ms = self._at(self._first, hours.turn)
        self.end_ms = self._at(self._last + 1, hours.turn)
        self._latest = self._day(self._first)

    @classmethod
    def load(cls, exchange: str) -> Self:
        """Return the shipped calendar of an exchange by its MIC (``XNYS``, ``XBOM``, ``XNSE``).

        ``NYSE``, ``NASDAQ``, ``US``, ``BSE`` and ``NSE`` name them too. Each call returns a
        calendar of its own, so corrections do not spread.
        """
        shipped = _shipped()
        mic = shipped.names.get(exchange, exchange)
        hours = shipped.exchanges.get(shipped.aliases.get(mic, mic))
        if hours is None:
            mics = ", ".join(sorted([*shipped.exchanges, *shipped.aliases]))
            names = ", ".join(sorted(shipped.names))
            raise UnknownExchangeError(
                f"no calendar for exchange {exchange!r}; there are: {mics} ({names})"
            )
        return cls(mic, hours)

    def day_at(self, timestamp_ms: int) -> TradingDay:
        """Return the trading day whose ``[turn_ms, next_turn_ms)`` holds a UTC ms time.

        Weekends and holidays are days too, with ``is_session`` false.
        """
        latest = self._latest
        if latest.turn_ms <= timestamp_ms < latest.next_turn_ms:
            return latest
        if not self.first_ms <= timestamp_ms < self.end_ms:
            raise self._out_of_range(f"time {timestamp_ms} ms ({_describe(timestamp_ms)})")
        self._latest = day = self._find(timestamp_ms)
        return day

    def trading_date(self, timestamp_ms: int) -> str:
        """Return the ISO trading date of a UTC ms time; before 04:00 local, the date before."""
        return self.day_at(timestamp_ms).date

    def session_at(self, timestamp_ms: int) -> Session:
        """Return the session at a UTC ms time."""
        return self.day_at(timestamp_ms).session_at(timestamp_ms)

    def day(self, date: str) -> TradingDay:
        """Return the trading day of an ISO date (``YYYY-MM-DD``), session or not."""
        return self._day(self._covered(date))

    def sessions(self, from_date: str, to_date: str) -> list[TradingDay]:
        """Return the days with a session from one ISO date to another, both included."""
        first, last = self._covered(from_date), self._covered(to_date)
        days = (self._day(ordinal) for ordinal in range(first, last + 1))
        return [day for day in days if day.is_session]

    def next_session(self, date: str) -> TradingDay:
        """Return the first day with a session after an ISO date."""
        return self._seek(date, step=1)

    def previous_session(self, date: str) -> TradingDay:
        """Return the last day with a session before an ISO date."""
        return self._seek(date, step=-1)

    def correct(
        self,
        date: str,
        *,
        is_session: bool = True,
        pre_ms: int | None = None,
        open_ms: int | None = None,
        close_ms: int | None = None,
    ) -> TradingDay:
        """Replace what is known of a date, and return the corrected day.

        Hours are UTC ms; one not given is that of a full day, and post-market keeps its usual
        length after the close. ``is_session=False`` closes the date. Days handed out earlier
        do not change: their holders ask again. Raises `CorrectionError` on hours that do not fit.
        """
        ordinal = self._covered(date)
        given = (pre_ms, open_ms, close_ms)
        if not is_session and given != (None, None, None):
            raise CorrectionError(f"{self.exchange} {date}: a closed date has no hours; drop them")
        day = self._session_day(ordinal, given) if is_session else self._closed_day(ordinal)
        self._days[ordinal] = day
        self._latest = day
        self.revision += 1
        return day

    def _find(self, timestamp_ms: int) -> TradingDay:
        """Return the day of a covered time.

        One step is exact: the offset in force at the turn that falls on a UTC date decides on
        which side of it that date's times lie.
        """
        offset_minutes = self._offset_on(timestamp_ms // DAY_MS + EPOCH_ORDINAL)
        since_turn_ms = timestamp_ms + (offset_minutes - self._turn_minutes) * MINUTE_MS
        return self._day(since_turn_ms // DAY_MS + EPOCH_ORDINAL)

    def _day(self, ordinal: int) -> TradingDay:
        day = self._days.get(ordinal)
        if day is None:
            day = self._days[ordinal] = self._compute(ordinal)
        return day

    def _compute(self, ordinal: int) -> TradingDay:
        date, hours = dt.date.fromordinal(ordinal), self._hours
        iso = date.isoformat()
        weekend = date.weekday() >= 5 and iso not in hours.weekend_sessions
        if weekend or iso in hours.holidays:
            return self._closed_day(ordinal)
        opens, closes = hours.special_hours.get(iso, (hours.open, hours.close))
        return self._session_day(
            ordinal, (None, self._at(ordinal, opens), self._at(ordinal, closes))
        )

    def _closed_day(self, ordinal: int) -> TradingDay:
        turn_ms = self._at(ordinal, self._hours.turn)
        return TradingDay(
            exchange=self.exchange,
            date=dt.date.fromordinal(ordinal).isoformat(),
            is_session=False,
            early_close=False,
            turn_ms=turn_ms,
            pre_ms=turn_ms,
            open_ms=turn_ms,
            close_ms=turn_ms,
            post_ms=turn_ms,
            next_turn_ms=self._at(ordinal + 1, self._hours.turn),
        )

    def _session_day(
        self, ordinal: int, given: tuple[int | None, int | None, int | None]
    ) -> TradingDay:
        hours, closed = self._hours, self._closed_day(ordinal)
        usual = [self._at(ordinal, at) for at in (hours.pre, hours.open, hours.close)]
        pre_ms, open_ms, close_ms = (
            default if ms is None else ms for ms, default in zip(given, usual, strict=True)
        )
        post_length_ms = (_minutes(hours.post) - _minutes(hours.close)) * MINUTE_MS
        post_ms = min(close_ms + post_length_ms, closed.next_turn_ms)
        if not closed.turn_ms <= pre_ms <= open_ms < close_ms <= post_ms:
            raise self._misfit(closed, pre_ms, open_ms, close_ms)
        return msgspec.structs.replace(
            closed,
            is_session=True,
            early_close=close_ms < usual[2],
            pre_ms=pre_ms,
            open_ms=open_ms,
            close_ms=close_ms,
            post_ms=post_ms,
        )

    def _seek(self, date: str, *, step: int) -> TradingDay:
        ordinal = self._covered(date) + step
        while self._first <= ordinal <= self._last:
            day = self._day(ordinal)
            if day.is_session:
                return day
            ordinal += step
        side = "after" if step > 0 else "before"
        raise self._out_of_range(f"the session {side} {date}")

    def _offset_on(self, ordinal: int) -> int:
        """Return the minutes ahead of UTC; the nearest known ones beyond the covered dates."""
        return self._offsets[max(bisect_right(self._offset_from, ordinal) - 1, 0)]

    def _at(self, ordinal: int, local: str) -> int:
        """Return the UTC ms of a local ``HH:MM``, which is at or after the turn, on a date."""
        minutes = _minutes(local) - self._offset_on(ordinal)
        return (ordinal - EPOCH_ORDINAL) * DAY_MS + minutes * MINUTE_MS

    def _covered(self, date: str) -> int:
        ordinal = _ordinal(date)
        if not self._first <= ordinal <= self._last:
            raise self._out_of_range(f"date {date}")
        return ordinal

    def _out_of_range(self, seen: str) -> CalendarRangeError:
        hours = self._hours
        return CalendarRangeError(
            f"{seen} is outside the {self.exchange} calendar, which covers trading dates "
            f"{hours.first} to {hours.last}; check the time's unit, or install a newer release"
        )

    def _misfit(self, day: TradingDay, *hours_ms: int) -> CorrectionError:
        return CorrectionError(
            f"{self.exchange} {day.date}: pre, open, close {hours_ms} ms do not fit; expected "
            f"{day.turn_ms} <= pre <= open < close <= {day.next_turn_ms}"
        )


@cache
def _shipped() -> Calendars:
    raw = files("tapewire.market").joinpath("calendars.json").read_bytes()
    return msgspec.json.decode(raw, type=Calendars)


def _ordinal(date: str) -> int:
    try:
        return dt.date.fromisoformat(date).toordinal()
    except ValueError:
        raise CalendarError(f"{date!r} is not a date; expected YYYY-MM-DD") from None


def _minutes(local: str) -> int:
    hour, minute = local.split(":")
    return int(hour) * 60 + int(minute)


def _describe(timestamp_ms: int) -> str:
    try:
        return dt.datetime.fromtimestamp(timestamp_ms / 1000, dt.UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return "beyond any date"
