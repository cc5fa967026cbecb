"""What every generator of a made-up market is told: its options, its first day, its stretch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from tapewire.market.sessions import CalendarError, SessionCalendar, TradingDay
from tapewire.simulators.sources import SourceError

_AT: Final = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?")


def read_options(
    text: str, readers: Mapping[str, Callable[[str], Any]], seed: int | None
) -> dict[str, Any]:
    """Options from ``name=value,...``; ``seed`` holds where they name none."""
    given: dict[str, Any] = {} if seed is None else {"seed": seed}
    for option in filter(None, text.split(",")):
        name, _, value = option.partition("=")
        try:
            given[name] = readers[name](value)
        except (KeyError, ValueError) as error:
            raise SourceError(
                f"generator option {option!r} is wrong; expected of "
                f"{', '.join(f'{name}=' for name in readers)} each with a value that fits"
            ) from error
    return given


def session_on(calendar: SessionCalendar, date: str, *, where: str = "") -> TradingDay:
    """The session of a date; SourceError names the next one where there is none."""
    try:
        day = calendar.day(date)
    except CalendarError as error:
        raise SourceError(f"date={date}: {error}") from error
    if not day.is_session:
        following = calendar.next_session(date).date
        raise SourceError(f"date={date} has no session{where}; the next one is {following}")
    return day


class Hours(NamedTuple):
    """The times of day that a market is played in; ``said`` tells them to people."""

    first_hour: int
    said: str

    def second(self, name: str, text: str, end_s: int) -> int:
        """Seconds since the first hour of a time of day, before ``end_s``; SourceError else."""
        match = _AT.fullmatch(text)
        second = -1
        if match:
            hours, minutes, seconds = (int(part or 0) for part in match.groups())
            second = (hours - self.first_hour) * 3600 + minutes * 60 + seconds
        if not 0 <= second < end_s:
            raise SourceError(f"{name}={text} is not HH:MM[:SS] {self.said}")
        return second


class Stretch:
    """What is played: ``first`` is a second of the first day, ``seconds`` how many from it on.

    Without ``until`` there is no end: ``seconds`` is None.
    """

    def __init__(self, hours: Hours, end_s: int, at: str, until: str | None) -> None:
        self.first = hours.second("at", at, end_s)
        self.seconds: int | None = None
        self._end_s = end_s
        if until is not None:
            last = end_s if until == "end" else hours.second("until", until, end_s)
            if last <= self.first:
                raise SourceError(
                    f"until={until} is not after the beginning; expected a later time"
                )
            self.seconds = last - self.first

    def skip(self, seconds: int) -> None:
        """Begin later, at the latest with the last second that is played."""
        left = self._end_s - self.first if self.seconds is None else self.seconds
        skipped = min(seconds, left - 1)
        self.first += skipped
        if self.seconds is not None:
            self.seconds -= skipped
