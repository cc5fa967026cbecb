"""Wall-clock times of the markets from and to UTC milliseconds, for people.

A market's calendar knows every date's 04:00 in UTC, so no time-zone database is needed.
"""

import datetime as dt
import re
from functools import cached_property
from typing import Final

from tapewire.market.sessions import CalendarRangeError, SessionCalendar
from tapewire.model.markets import INDIA, MARKETS, US, Market
from tapewire.runtime.service import UsageError

TURN_MS: Final = 4 * 3_600_000
DAY_MS: Final = 86_400_000

_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock arithmetic


class WallClock:
    """The clock on the wall where a market is; ``place`` says where that is."""

    def __init__(self, market: Market) -> None:
        self.place = market.clock
        self._exchange = market.calendar

    @cached_property
    def calendar(self) -> SessionCalendar:
        """The market's trading days."""
        return SessionCalendar.load(self._exchange)

    def moment(self, timestamp_ms: float) -> dt.datetime:
        """The clock at a time; UTC where the calendar does not reach."""
        whole_ms = int(timestamp_ms)
        try:
            day = self.calendar.day_at(whole_ms)
        except CalendarRangeError:
            return _EPOCH + dt.timedelta(milliseconds=whole_ms)
        midnight = dt.datetime.fromisoformat(day.date)
        return midnight + dt.timedelta(milliseconds=TURN_MS + whole_ms - day.turn_ms)

    def date_time(self, timestamp_ms: float) -> str:
        """``2013-10-07 09:31:00``."""
        return self.moment(timestamp_ms).strftime("%Y-%m-%d %H:%M:%S")

    def date_of(self, timestamp_ms: float) -> str:
        """``2013-10-07``."""
        return self.moment(timestamp_ms).strftime("%Y-%m-%d")

    def clock(self, timestamp_ms: float) -> str:
        """``09:31:00``."""
        return self.moment(timestamp_ms).strftime("%H:%M:%S")

    def date(self, text: str) -> str:
        """Check a trading date; UsageError for all but ``YYYY-MM-DD`` that the calendar has."""
        try:
            return self.calendar.day(text).date
        except ValueError as error:
            raise UsageError(f"--date: {error}") from error

    def to_ms(self, text: str, trading_date: str) -> int:
        """UTC ms of a time on a trading date.

        ``text`` is ``HH:MM[:SS]`` on this clock, an ISO date and time (this clock's unless it
        says otherwise), or ms since 1970. Raises UsageError for anything else.
        """
        if text.isdigit():
            return int(text)
        if (found := _CLOCK.fullmatch(text)) is not None:
            hours, minutes, seconds = (int(part or 0) for part in found.groups())
            if hours < 24 and minutes < 60 and seconds < 60:
                return self._at(trading_date, ((hours * 60 + minutes) * 60 + seconds) * 1000)
        try:
            given = dt.datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(
                f"time {text!r} is not valid; expected HH:MM[:SS] in {self.place}, an ISO date and"
                " time, or milliseconds since 1970"
            ) from None
        if given.tzinfo is not None:
            return int(given.timestamp() * 1000)
        passed = given - dt.datetime.combine(given.date(), dt.time())
        return self._at(self.date(given.date().isoformat()), passed // dt.timedelta(milliseconds=1))

    def _at(self, trading_date: str, since_midnight_ms: int) -> int:
        return self.calendar.day(trading_date).turn_ms + since_midnight_ms - TURN_MS


CLOCKS: Final = {market: WallClock(market) for market in MARKETS}
NEW_YORK: Final = CLOCKS[US]
IN_INDIA: Final = CLOCKS[INDIA]
