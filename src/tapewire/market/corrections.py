"""Days whose hours differ from the shipped calendar's, as the exchange announced them late.

A correction is applied to a process's own `SessionCalendar` at run time. It is taken once for
what it says of its date; that a list does not mention a date corrects nothing.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from tapewire.market.sessions import CalendarError, SessionCalendar, TradingDay


class Correction(Struct, frozen=True, array_like=True):
    """One date: closed, or a session with these hours (UTC ms; None: those of a full day)."""

    date: str
    is_session: bool
    open_ms: int | None = None
    close_ms: int | None = None
    name: str = ""


class Corrected(Struct):
    """What became of a list: days that changed, and in words what did not fit."""

    days: list[TradingDay]
    misfits: list[str]


def correct(calendar: SessionCalendar, corrections: Iterable[Correction]) -> Corrected:
    """Apply corrections; a date that is already so is left alone, a misfit changes nothing."""
    corrected = Corrected([], [])
    for correction in corrections:
        try:
            day = _correct(calendar, correction)
        except CalendarError as error:
            corrected.misfits.append(f"{correction.name or 'correction'}: {error}")
            continue
        if day is not None:
            corrected.days.append(day)
    return corrected


def _correct(calendar: SessionCalendar, correction: Correction) -> TradingDay | None:
    """The day after its correction; None when it was so before."""
    known = calendar.day(correction.date)
    if not correction.is_session:
        return calendar.correct(known.date, is_session=False) if known.is_session else None
    opens, closes = correction.open_ms, correction.close_ms
    fits = opens in (None, known.open_ms) and closes in (None, known.close_ms)
    if known.is_session and fits:
        return None
    return calendar.correct(known.date, open_ms=opens, close_ms=closes)


def merged(
    known: Iterable[Correction], newer: Iterable[Correction], oldest: str
) -> Sequence[Correction]:
    """Two lists as one by date: the newer one's word counts, dates before ``oldest`` go."""
    by_date = {one.date: one for one in (*known, *newer)}
    return [by_date[date] for date in sorted(by_date) if date >= oldest]
