"""``tapewire candles``: one symbol's candles of a trading date or of any range of time."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tapewire.cli.options import Json, Symbol
from tapewire.cli.output import Column, Form, Printer, Style, columns_in, fields_of

if TYPE_CHECKING:
    from tapewire.model.rows import CandleView

START: Final = Column("start_ms", "start", Style.CLOCK)
DATED_START: Final = Column("start_ms", "start", Style.DATE_TIME)
PRICES: Final = (
    Column("open", "open", Style.PRICE),
    Column("high", "high", Style.PRICE),
    Column("low", "low", Style.PRICE),
    Column("close", "close", Style.PRICE),
    Column("volume", "volume", Style.COUNT),
    Column("vwap", "vwap", Style.PRICE),
    Column("trades", "trades", Style.COUNT),
)
PRICES_IN_INDIA: Final = PRICES[:-2]
"""What there is room for beside an index: prices are longer in rupees, and ticks are no trades."""

FLAGS: Final = (
    Column("closed", "closed", Style.FLAG),
    Column("revision", "revision", Style.COUNT),
    Column("gap", "gap", Style.FLAG),
)
ORIGIN: Final = Column("origin", "origin")
MINUTE_INT: Final = Column("minute_int", "minute_int")
NOTE: Final = Column("note", "")


class Interval(StrEnum):
    """Lengths of candles."""

    SECOND = "1s"
    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    DAY = "1d"


Date = Annotated[
    str | None,
    typer.Option("--date", metavar="YYYY-MM-DD", help="Trading date; default: the newest."),
]
Time = "HH:MM[:SS] at the exchange, a date, an ISO date and time, or milliseconds since 1970."
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help=f"First start: {Time}")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="End, not included.")]
Exchange = Annotated[
    str,
    typer.Option(
        "--exchange",
        metavar="NAME",
        help="US, or that of an Indian token or trading symbol, such as NSE_FO.",
    ),
]


def candles(
    symbol: Symbol,
    interval: Annotated[Interval, typer.Option("--interval", help="Length.")] = Interval.MINUTE,
    date: Date = None,
    from_: From = None,
    to: To = None,
    latest: Annotated[bool, typer.Option("--latest", help="Only the newest one.")] = False,
    confirmed: Annotated[bool, typer.Option("--confirmed", help="Only the newest closed.")] = False,
    exchange: Exchange = "US",
    json: Json = False,
) -> None:
    """Show a symbol's candles, oldest first.

    Of a trading date; across dates where --from or --to name a day. What is older than the
    store is asked of the provider, if there is a key (of Indian instruments there is none).
    """
    from tapewire.cli.candle_reading import Newest, Traded, Wanted
    from tapewire.cli.edge import load

    newest = Newest.LATEST if latest else Newest.CONFIRMED if confirmed else None
    traded = Traded.of(symbol, exchange)
    day = date and traded.clock.date(date)
    wanted = Wanted(traded, interval.value, day, from_, to, newest)
    found = asyncio.run(wanted.read(load().settings))
    if found.missing:
        typer.echo(f"tapewire: older candles are missing: {found.missing}", err=True)
    printer = Printer.for_stdout(json=json)
    if printer.form is Form.JSON:
        printer.rows(found.views, ())
        return
    columns: tuple[Column, ...] = (START, *PRICES, *FLAGS)
    if printer.form is Form.TABLE:
        prices = PRICES_IN_INDIA if traded.is_indian else PRICES
        columns = (START if found.is_one_day else DATED_START, *prices, NOTE)
    elif found.has_provided:
        columns = (*columns, ORIGIN)
    elif traded.is_indian:
        columns = (*columns, MINUTE_INT)
    printer.rows(map(noted, found.views), columns_in(traded.market, columns), found.title)


def noted(view: "CandleView") -> dict[str, Any]:
    """A candle for people: a word where it is not simply closed and whole."""
    words = (
        "" if view.closed else "open",
        f"amended {view.revision}x" if view.revision else "",
        "gap" if view.gap else "",
        "estimated" if view.estimated else "",
        getattr(view, "origin", ""),
    )
    return fields_of(view) | {"note": " ".join(filter(None, words)) or " "}
