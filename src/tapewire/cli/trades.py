"""``tapewire trades``: a symbol's time and sales, once or as they come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tapewire.cli.options import Json, Symbol, Watch
from tapewire.cli.output import Column, Form, Printer, Style, named

if TYPE_CHECKING:
    from tapewire.caches.interest import RedisInterest
    from tapewire.caches.trade_reader import TradeReader
    from tapewire.model.rows import Sale
    from tapewire.runtime.settings import Settings

POLL_S: Final = 0.5
COLUMNS: Final = (
    Column("timestamp_ms", "time", Style.CLOCK),
    Column("price", "price", Style.PRICE),
    Column("size", "size", Style.COUNT),
    Column("conditions", "conditions"),
    Column("exchange", "exchange"),
    Column("sequence", "sequence"),
)
Limit = Annotated[
    int, typer.Option("--limit", min=1, max=1000, metavar="N", help="How many, the newest.")
]


def trades(symbol: Symbol, limit: Limit = 20, watch: Watch = False, json: Json = False) -> None:
    """Show a symbol's time and sales, oldest first.

    They are kept for symbols that somebody watches and for those that trade most; --watch has
    them kept.
    """
    from tapewire.cli.edge import load

    asyncio.run(_show(load().settings, symbol, limit, Printer.for_stdout(json=json), watch=watch))


async def _show(
    settings: "Settings", symbol: str, limit: int, printer: Printer, *, watch: bool
) -> None:
    from tapewire.caches.trade_reader import TradeReader
    from tapewire.cli.stores import widget_cache
    from tapewire.cli.watching import watching
    from tapewire.runtime.service import ServiceError

    tape = Tape(symbol)
    async with widget_cache(settings) as cache:
        rows = TradeReader(cache)
        if watch:
            async with watched(settings, (symbol, symbol.upper())):
                await watching(lambda: tape.read(rows, limit), printer, tape.show_new, POLL_S)
            return
        if not await tape.read(rows, limit):
            known = named(await rows.taped())
            raise ServiceError(
                f"no time and sales of {symbol}; there are some of {known}. They are kept from"
                f" when somebody watches: tapewire trades {symbol.upper()} --watch"
            )
    tape.show(printer)


class Tape:
    """A symbol's sales as they were read last, and which of them were shown."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._sales: list[Sale] = []
        self._last: Sale | None = None

    async def read(self, rows: "TradeReader", limit: int) -> "list[Sale]":
        """The newest sales of the symbol: as given, else in capitals."""
        for name in dict.fromkeys((self._symbol, self._symbol.upper())):
            self._sales = await rows.sales(name, limit)
            if self._sales:
                self._symbol = name
                break
        return self._sales

    def show(self, printer: Printer) -> None:
        """Print all of them."""
        self._print(self._sales, printer)

    def show_new(self, sales: "list[Sale]", printer: Printer) -> None:
        """A terminal shows the newest, in place; elsewhere each is printed once."""
        known = self._last in sales and printer.form is not Form.TABLE
        start = sales.index(self._last) + 1 if known and self._last is not None else 0
        self._last = sales[-1]
        self._print(sales[start:], printer)

    def _print(self, sales: "Sequence[Sale]", printer: Printer) -> None:
        printer.rows(sales, COLUMNS, f"{self._symbol}, New York time")


@asynccontextmanager
async def watched(settings: "Settings", symbols: Sequence[str]) -> AsyncIterator[None]:
    """While the block runs these symbols are watched: processors keep their time and sales."""
    from tapewire.caches.interest import RedisInterest
    from tapewire.cli.stores import address

    async with address(settings, "mdc_redis_url") as url:
        interest = RedisInterest(url)
        renewing = asyncio.create_task(_renew(interest, symbols))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await interest.close()


async def _renew(interest: "RedisInterest", symbols: Sequence[str]) -> None:
    from tapewire.caches.cache import CacheUnavailable
    from tapewire.caches.interest import RENEW_S

    while True:
        try:
            await interest.renew(symbols)
            pause_s = RENEW_S
        except CacheUnavailable:  # whoever reads says so
            pause_s = 1.0
        await asyncio.sleep(pause_s)
