"""``tapewire quote``: a symbol's quote record, once or at every change."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tapewire.cli.options import Json, Symbol, Watch
from tapewire.cli.output import Column, Form, Printer, Style, named, style_in
from tapewire.market.symbols import market_of_symbol

if TYPE_CHECKING:
    from tapewire.caches.reader import WidgetReader
    from tapewire.model.rows import QuoteRecord
    from tapewire.runtime.settings import Settings

POLL_S: Final = 0.25

_FIELDS: Final[Mapping[Style, tuple[str, ...]]] = {
    Style.PRICE: (
        "official_open_price", "vwap", "open", "close", "high", "low", "aggregate_vwap",
        "prev_day_close", "prev_day_open", "prev_day_high", "prev_day_low", "prev_day_vwap",
        "day_high", "day_low", "bid", "ask",
    ),
    Style.COUNT: (
        "volume", "free_float", "accumulated_volume", "relative_volume", "average_size",
        "avg_volume", "prev_day_volume", "relative_volume_tod", "volume_1m", "volume_5m",
        "bid_size", "ask_size", "spread_pct",
    ),
    Style.CHANGE: ("change", "change_since_open"),
    Style.PERCENT: (
        "pct_change", "pct_change_since_open", "pct_change_1m", "pct_change_5m",
        "pct_change_15m",
    ),
    Style.DATE_TIME: ("start_timestamp", "end_timestamp", "news_at"),
    Style.FLAG: ("gap", "halted"),
}  # fmt: skip
STYLES: Final = {name: style for style, names in _FIELDS.items() for name in names}
"""What each field of a quote record is; text where nothing is said."""


def quote(symbol: Symbol, watch: Watch = False, json: Json = False) -> None:
    """Show a symbol's last state: price, volume, changes, the day's range."""
    from tapewire.cli.edge import load

    asyncio.run(_show(load().settings, symbol, Printer.for_stdout(json=json), watch=watch))


async def _show(settings: "Settings", symbol: str, printer: Printer, *, watch: bool) -> None:
    from tapewire.cli.stores import reader
    from tapewire.cli.watching import watching
    from tapewire.runtime.service import ServiceError

    async with reader(settings) as rows:
        if watch:
            await watching(lambda: find(rows, symbol), printer, show, POLL_S)
            return
        record = await find(rows, symbol)
        if record is None:
            known = [found.symbol for found in await rows.quotes()]
            raise ServiceError(f"no quote record of {symbol}; there are some of {named(known)}")
    show(record, printer)


async def find(rows: "WidgetReader", symbol: str) -> "QuoteRecord | None":
    """A symbol's record: as given, else in capitals, else by name (``NSE_EQ:RELIANCE``)."""
    from tapewire.cli.candle_reading import Traded

    async for meant in Traded.of(symbol).symbols(rows):
        record = await rows.quote(meant)
        if record is not None:
            return record
    return None


def show(record: "QuoteRecord", printer: Printer) -> None:
    """Print one record: an object, or a line for each field that has a value."""
    if printer.form is Form.JSON:
        printer.json(record)
        return
    columns = (Column("field", "field"), Column("value", "value"))
    title = f"{record.symbol} {record.name or ''}".rstrip()
    printer.rows(fields(record, printer.form), columns, title)


def fields(record: "QuoteRecord", form: Form) -> list[dict[str, Any]]:
    """The record's fields as they are shown; a terminal leaves out those without a value."""
    shown, market = [], market_of_symbol(record.symbol)
    for name in record.__struct_fields__:
        style = style_in(market, STYLES.get(name, Style.TEXT))
        text = Column(name, name, style).shown(record, form)
        if form is not Form.TABLE or getattr(record, name) is not None:
            shown.append({"field": name, "value": text})
    return shown
