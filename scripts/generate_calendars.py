"""Write ``src/tapewire/market/calendars.json`` from the calendar library.

A development tool: the package ships the file, so that no process pays for pandas. The file
holds usual hours and what departs from them (holidays, weekend sessions, special hours, changes
of the offset from UTC). Where the library ends before the year asked for (India's holidays are
announced in December), the rest is what can be expected: weekdays, but for the dates that were
closed in every year, and Good Friday. ``confirmed`` says up to where the library knows.
Run it when the library knows new dates:

    python scripts/generate_calendars.py [--through YEAR]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import exchange_calendars  # type: ignore[import-untyped]
from pandas.tseries.holiday import GoodFriday

FIRST = dt.date(2000, 1, 1)
TARGET = Path(__file__).resolve().parent.parent / "src/tapewire/market/calendars.json"
ALIASES = {"XNSE": "XBOM"}
"""NSE keeps BSE's hours and holidays; the library has only the latter."""

NAMES = {"NYSE": "XNYS", "NASDAQ": "XNYS", "US": "XNYS", "BSE": "XBOM", "NSE": "XNSE"}
"""What people call them. Every US equities exchange keeps the hours of XNYS."""


@dataclass(frozen=True)
class Usual:
    """An exchange's hours on a full day, local ``HH:MM`` (architecture.md, section 5)."""

    turn: str
    pre: str
    open: str
    close: str
    post: str


USUAL = {
    "XNYS": Usual(turn="04:00", pre="04:00", open="09:30", close="16:00", post="20:00"),
    "XBOM": Usual(turn="04:00", pre="09:00", open="09:15", close="15:30", post="15:30"),
}


def dates(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """Yield every date from ``first`` to ``last``, both included."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        yield dt.date.fromordinal(ordinal)


def utc_offsets(zone: dt.tzinfo, turn: str, first: dt.date, last: dt.date) -> dict[str, int]:
    """Return {date: minutes ahead of UTC at that date's turn}, only where it changes."""
    changes: dict[str, int] = {}
    current: int | None = None
    for date in dates(first, last):
        moment = dt.datetime.combine(date, dt.time.fromisoformat(turn), zone)
        offset = moment.utcoffset()
        assert offset is not None
        minutes = int(offset.total_seconds()) // 60
        if minutes != current:
            changes[date.isoformat()] = current = minutes
    return changes


def sessions(calendar: exchange_calendars.ExchangeCalendar) -> dict[dt.date, tuple[str, str]]:
    """Return {date: (open, close)} of every session, local ``HH:MM``."""
    frame = calendar.schedule
    opens = frame["open"].dt.tz_convert(calendar.tz).dt.strftime("%H:%M")
    closes = frame["close"].dt.tz_convert(calendar.tz).dt.strftime("%H:%M")
    days = [stamp.date() for stamp in frame.index]
    return dict(zip(days, zip(opens, closes, strict=True), strict=True))


def weekend_sessions(calendar: exchange_calendars.ExchangeCalendar) -> list[dt.date]:
    """Return weekend dates that the library declares as sessions (BSE's special Saturdays).

    Read from the declaration: with pandas 3 the library's schedule leaves them out.
    """
    return [
        day
        for first, last, weekmask in getattr(calendar, "special_weekmasks", ())
        for day in dates(first.date(), last.date())
        if day.weekday() >= 5 and weekmask[day.weekday()] == "1"
    ]


def weekday_holidays(found: Collection[dt.date], last: dt.date) -> list[dt.date]:
    """Return the weekdays up to ``last`` that are no sessions."""
    return [day for day in dates(FIRST, last) if day.weekday() < 5 and day not in found]


def expected_holidays(known: Collection[dt.date], after: dt.date, last: dt.date) -> list[dt.date]:
    """Return the weekdays after ``after`` that the library's holidays let one expect.

    These are Good Friday, if it always was one, and each date of the year that was a holiday
    whenever it fell on a weekday.
    """
    years = range(FIRST.year, after.year + 1)
    fridays = {stamp.date() for stamp in GoodFriday.dates(str(FIRST), str(last))}
    good_friday = all(day in known for day in fridays if day <= after)

    def is_every_year(day: dt.date) -> bool:
        same = [day.replace(year=year) for year in years]
        return all(each in known for each in same if each.weekday() < 5)

    return [
        day
        for day in dates(after + dt.timedelta(days=1), last)
        if day.weekday() < 5 and (is_every_year(day) or (good_friday and day in fridays))
    ]


def describe(name: str, through: int) -> dict[str, Any]:
    """Return one exchange's entry of the file."""
    bound = exchange_calendars.get_calendar(name).bound_max()
    last = dt.date(through, 12, 31)
    known = last if bound is None else min(last, bound.date())
    calendar = exchange_calendars.get_calendar(name, start=FIRST.isoformat(), end=known.isoformat())
    usual, found = USUAL[name], sessions(calendar)
    hours = (usual.open, usual.close)
    holidays = weekday_holidays(found, known)
    holidays += expected_holidays(frozenset(holidays), known, last)
    return {
        "timezone": calendar.tz.key,
        "first": FIRST.isoformat(),
        "last": last.isoformat(),
        "confirmed": known.isoformat(),
        **vars(usual),
        "utc_offsets": utc_offsets(calendar.tz, usual.turn, FIRST, last),
        "holidays": [day.isoformat() for day in holidays],
        "weekend_sessions": [day.isoformat() for day in weekend_sessions(calendar)],
        "special_hours": {day.isoformat(): list(at) for day, at in found.items() if at != hours},
    }


def main() -> None:
    """Write the file, through the end of next year unless told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    next_year = dt.datetime.now(dt.UTC).year + 1
    parser.add_argument("--through", type=int, default=next_year, metavar="YEAR")
    through = parser.parse_args().through
    document = {
        "generated_from": f"exchange_calendars {exchange_calendars.__version__}",
        "aliases": ALIASES,
        "names": NAMES,
        "exchanges": {name: describe(name, through) for name in USUAL},
    }
    TARGET.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
