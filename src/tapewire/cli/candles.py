"""``tapewire candles``: one symbol's candles of one trading date."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tapewire.cli import new_york
from tapewire.cli.options import Json
from tapewire.cli.output import Column, Form, Printer, Style, fields_of

if TYPE_CHECKING:
    from tapewire.caches.reader import CandleHash
    from tapewire.model.rows import CandleView
    from tapewire.runtime.settings import Settings

NAMED_AT_MOST: Final = 12

PRICES: Final = (
    Column("start_ms", "start", Style.CLOCK),
    Column("open", "open", Style.PRICE),
    Column("high", "high", Style.PRICE),
    Column("low", "low", Style.PRICE),
    Column("close", "close", Style.PRICE),
    Column("volume", "volume", Style.COUNT),
    Column("vwap", "vwap", Style.PRICE),
    Column("trades", "trades", Style.COUNT),
)
FLAGS: Final = (
    Column("closed", "closed", Style.FLAG),
    Column("revision", "revision", Style.COUNT),
    Column("gap", "gap", Style.FLAG),
)


class Interval(StrEnum):
    """Lengths of candles."""

    MINUTE = "1m"


Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="A ticker such as AIG.")]
Date = Annotated[
    str | None,
    typer.Option("--date", metavar="YYYY-MM-DD", help="Trading date; default: the newest."),
]
Time = "HH:MM[:SS] in New York, an ISO date and time, or milliseconds since 1970."
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help=f"First start: {Time}")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="End, not included.")]


def candles(
    symbol: Symbol,
    interval: Annotated[Interval, typer.Option("--interval", help="Length.")] = Interval.MINUTE,
    date: Date = None,
    from_: From = None,
    to: To = None,
    exchange: Annotated[str, typer.Option("--exchange", metavar="NAME", help="Exchange.")] = "US",
    json: Json = False,
) -> None:
    """Show a symbol's candles, oldest first."""
    from tapewire.cli.edge import load

    wanted = Wanted(symbol, interval.value, exchange, date and new_york.date(date), from_, to)
    views = asyncio.run(wanted.read(load().settings))
    printer = Printer.for_stdout(json=json)
    title = f"{views[0].symbol} {interval.value}, {new_york.date_of(views[0].start_ms)} New York"
    if printer.form is Form.TABLE:
        printer.rows(map(noted, views), (*PRICES, Column("note", "")), title)
    else:
        printer.rows(views, (*PRICES, *FLAGS))


def noted(view: "CandleView") -> dict[str, Any]:
    """A candle for people: a word where it is not simply closed and whole."""
    words = (
        "" if view.closed else "open",
        f"amended {view.revision}x" if view.revision else "",
        "gap" if view.gap else "",
    )
    return fields_of(view) | {"note": " ".join(filter(None, words)) or " "}


class Wanted:
    """Which candles somebody asks for."""

    def __init__(
        self,
        symbol: str,
        interval: str,
        exchange: str,
        date: str | None,
        from_: str | None,
        to: str | None,
    ) -> None:
        self._symbol = symbol
        self._interval = interval
        self._exchange = exchange
        self._date = date
        self._from = from_
        self._to = to

    async def read(self, settings: "Settings") -> list["CandleView"]:
        """The candles; ServiceError (exit code 1) that says what there is when there are none."""
        from tapewire.caches.reader import WidgetReader
        from tapewire.cli.stores import candle_hashes, widget_cache
        from tapewire.model.rows import CandleView

        async with widget_cache(settings) as cache:
            symbol, date = self._choose(await candle_hashes(cache))
            found = await WidgetReader(cache).candles(
                self._exchange, symbol, self._interval, date, *self._bounds(date)
            )
        if not found:
            raise self._nothing(f"{symbol} has candles on {date}, but none in that time")
        return [CandleView.of(candle, symbol, self._exchange, self._interval) for candle in found]

    def _bounds(self, date: str) -> tuple[int | None, int | None]:
        first, last = (text and new_york.to_ms(text, date) for text in (self._from, self._to))
        return first or None, last or None

    def _choose(self, hashes: "list[CandleHash]") -> tuple[str, str]:
        """Symbol and date to read: the symbol as given, else in capitals; the newest date."""
        there = [h for h in hashes if (h.exchange, h.interval) == (self._exchange, self._interval)]
        symbols = {h.symbol for h in there}
        symbol = self._symbol if self._symbol in symbols else self._symbol.upper()
        dates = sorted(h.date for h in there if h.symbol == symbol)
        if not dates:
            raise self._nothing(
                f"no {self._interval} candles of {self._symbol} on exchange {self._exchange};"
                f" there are some of {named(sorted(symbols))}"
            )
        if self._date and self._date not in dates:
            raise self._nothing(
                f"no {self._interval} candles of {symbol} on {self._date}; there are some on"
                f" {named(dates)}"
            )
        return symbol, self._date or dates[-1]

    def _nothing(self, message: str) -> Exception:
        from tapewire.runtime.service import ServiceError

        return ServiceError(message)


def named(names: list[str]) -> str:
    """``AIG, BAC``; many are cut, none is ``nothing``."""
    more = len(names) - NAMED_AT_MOST
    listed = ", ".join(names[:NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed or "nothing yet"
