"""``tapewire sessions``: an exchange's trading days and hours, from the shipped calendar."""

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tapewire.cli.options import Json
from tapewire.cli.output import Column, Form, Printer, Style

if TYPE_CHECKING:
    from tapewire.market.sessions import SessionCalendar, TradingDay

FIELDS: Final = ("exchange", "date", "pre_ms", "open_ms", "close_ms", "post_ms", "early_close")
"""A session as JSON: times are UTC milliseconds, post-market ends at ``post_ms``."""

HOURS: Final = ("pre", "open", "close", "post")

COLUMNS: Final = (
    Column("exchange", "exchange"),
    Column("date", "date"),
    Column("weekday", "weekday"),
    *(Column(name, name) for name in HOURS),
    Column("early_close", "early close", Style.FLAG),
)

DEFAULT_DAYS: Final = 30
"""How long a span without an end is."""

Exchange = Annotated[
    str,
    typer.Option(
        "--exchange", metavar="NAME", help="XNYS, XNSE, XBOM, or NYSE, NASDAQ, US, NSE, BSE."
    ),
]
From = Annotated[
    str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First date; default: today.")
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="YYYY-MM-DD", help="Last date, included; default: 30 days after the first."
    ),
]


def sessions(
    exchange: Exchange = "XNYS", from_: From = None, to: To = None, json: Json = False
) -> None:
    """Show an exchange's sessions, weekends and holidays left out."""
    from tapewire.cli.clock import wall_ms
    from tapewire.market.sessions import SessionCalendar

    calendar = SessionCalendar.load(exchange.upper())
    first, last = span(calendar, from_, to, wall_ms())
    days = calendar.sessions(first, last)
    printer = Printer.for_stdout(json=json)
    _note(calendar, last)
    if printer.form is Form.JSON:
        printer.rows(({name: getattr(day, name) for name in FIELDS} for day in days), ())
    else:
        printer.rows(map(shown, days), COLUMNS, f"{calendar.exchange}, exchange time")


def span(
    calendar: "SessionCalendar", from_: str | None, to: str | None, now_ms: int
) -> tuple[str, str]:
    """First and last date of what is asked for.

    Raises CalendarError (exit code 2) for what is no date or is not covered, and UsageError
    for a span that ends before it begins.
    """
    from tapewire.runtime.service import UsageError

    first = calendar.day(from_).date if from_ else calendar.trading_date(now_ms)
    if to:
        last = calendar.day(to).date
    else:
        end = dt.date.fromisoformat(first) + dt.timedelta(days=DEFAULT_DAYS)
        last = min(end.isoformat(), calendar.last)
    if last < first:
        raise UsageError(f"--to {last} is before --from {first}; expected a later date")
    return first, last


def shown(day: "TradingDay") -> dict[str, Any]:
    """A session for people: hours as the exchange's own clocks show them."""
    times = (day.pre_ms, day.open_ms, day.close_ms, day.post_ms)
    hours = {name: _local(day, at_ms) for name, at_ms in zip(HOURS, times, strict=True)}
    weekday = dt.date.fromisoformat(day.date).strftime("%a")
    own = {"exchange": day.exchange, "date": day.date, "weekday": weekday}
    return {**own, **hours, "early_close": day.early_close}


def _local(day: "TradingDay", at_ms: int) -> str:
    """``09:30``; the trading date turns at 04:00 on the exchange's clock."""
    hours, minutes = divmod((at_ms - day.turn_ms) // 60_000 + 4 * 60, 60)
    return f"{hours % 24:02}:{minutes:02}"


def _note(calendar: "SessionCalendar", last: str) -> None:
    """Say where the dates are expected, not announced."""
    if last > calendar.confirmed:
        sys.stderr.write(
            f"tapewire: note: {calendar.exchange} has announced its holidays up to"
            f" {calendar.confirmed}; later dates are what is usual\n"
        )
