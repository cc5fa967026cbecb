"""When India's exchanges trade: where silence is a fault, and where a loss leaves a hole.

Shares and what is derived from them follow the calendar of NSE. Before 09:15 there is an
auction: data comes, but nothing at all for minutes is usual (09:08 to 09:15). Currencies and
commodities have hours of their own, also on days on which shares have a holiday; of which days,
no calendar here knows.
"""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Final, NamedTuple

from tapewire.market.sessions import CalendarRangeError, Session, SessionCalendar, TradingDay
from tapewire.model.markets import minute_int


class Hours(NamedTuple):
    """A day's first minute and the one after its last, by ``minute_int`` (90000 is 09:00).

    ``longest`` is when the exchange may close at the latest.
    """

    begin: int
    end: int
    longest: int


_CURRENCIES: Final = Hours(90_000, 170_000, 170_000)
_COMMODITIES: Final = Hours(90_000, 233_000, 235_500)
"""Until 23:30, and until 23:55 while New York has winter time."""

OWN_HOURS: Final[Mapping[str, Hours]] = {
    "NCD_FO": _CURRENCIES,
    "BCD_FO": _CURRENCIES,
    "NSE_COM": _COMMODITIES,
    "MCX_FO": _COMMODITIES,
}
"""Exchange and segment -> its hours; all others have those of shares."""

_SATURDAY: Final = 5


def must_speak(exchanges: Collection[str], time_ms: int, calendar: SessionCalendar) -> bool:
    """Whether data must come now, so that silence is a fault.

    That is in the regular session of shares, and in the hours of what else is subscribed, on days
    on which shares are traded. Of no exchange (nothing is known yet) it is as of shares.
    """
    day = _day_at(time_ms, calendar)
    if day is None or not day.is_session:
        return False
    if _has_shares(exchanges) and day.session_at(time_ms) is Session.REGULAR:
        return True
    minute = minute_int(time_ms)
    return any(hours.begin <= minute < hours.end for hours in _own_hours(exchanges))


def may_speak(exchanges: Collection[str], time_ms: int, calendar: SessionCalendar) -> bool:
    """Whether data may come now, so that a lost connection leaves a hole.

    That is from the auction of shares to their close, and on any weekday in the hours of what
    else is subscribed.
    """
    day = _day_at(time_ms, calendar)
    if day is None:
        return False
    if _has_shares(exchanges) and day.session_at(time_ms) is not Session.CLOSED:
        return True
    minute = minute_int(time_ms)
    works = day.is_session or date.fromisoformat(day.date).weekday() < _SATURDAY
    return works and any(hours.begin <= minute < hours.longest for hours in _own_hours(exchanges))


def _day_at(time_ms: int, calendar: SessionCalendar) -> TradingDay | None:
    try:
        return calendar.day_at(time_ms)
    except CalendarRangeError:
        return None


def _has_shares(exchanges: Collection[str]) -> bool:
    return not exchanges or any(exchange not in OWN_HOURS for exchange in exchanges)


def _own_hours(exchanges: Collection[str]) -> list[Hours]:
    return [OWN_HOURS[exchange] for exchange in exchanges if exchange in OWN_HOURS]
