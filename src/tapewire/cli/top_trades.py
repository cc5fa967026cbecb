"""``tapewire top-trades`` and ``tapewire prints``: who trades most, and the largest trades."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tapewire.cli.options import Json, MarketName, MarketOption, Watch
from tapewire.cli.output import Column, Printer, Style
from tapewire.model.markets import BY_NAME

if TYPE_CHECKING:
    from tapewire.caches.trade_reader import TradeReader
    from tapewire.runtime.settings import Settings

POLL_S: Final = 1.0
"""Rankings change once a second."""


class Window(StrEnum):
    """Windows that end now."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    DAY = "1d"


class Metric(StrEnum):
    """What is ranked by."""

    TRADES = "trades"
    VOLUME = "volume"
    VALUE = "value"
    ACCELERATION = "acceleration"


RANKED: Final = (
    Column("rank", "#", Style.COUNT),
    Column("symbol", "symbol"),
    Column("trades", "trades", Style.COUNT),
    Column("volume", "volume", Style.COUNT),
    Column("value", "value", Style.COUNT),
    Column("vwap", "vwap", Style.PRICE),
    Column("average_size", "avg size", Style.COUNT),
    Column("largest_size", "largest", Style.COUNT),
    Column("acceleration", "acceleration", Style.COUNT),
)
PRINTED: Final = (
    Column("rank", "#", Style.COUNT),
    Column("symbol", "symbol"),
    Column("value", "value", Style.COUNT),
    Column("size", "size", Style.COUNT),
    Column("price", "price", Style.PRICE),
    Column("timestamp_ms", "time", Style.CLOCK),
    Column("conditions", "conditions"),
    Column("exchange", "exchange"),
)
Lines = Annotated[int, typer.Option("--limit", min=1, max=50, metavar="N", help="How many lines.")]
Prints = Annotated[
    int, typer.Option("--limit", min=1, max=100, metavar="N", help="How many lines.")
]
Read = Callable[["TradeReader"], Awaitable[list[Any]]]


def top_trades(
    window: Annotated[Window, typer.Option("--window", help="How long.")] = Window.FIVE_MINUTES,
    metric: Annotated[Metric, typer.Option("--metric", help="Ranked by what.")] = Metric.VALUE,
    limit: Lines = 20,
    market: MarketOption = MarketName.US,
    watch: Watch = False,
    json: Json = False,
) -> None:
    """Show which symbols trade most."""
    title = f"Top trades of {window.value} by {metric.value}"

    def read(rows: "TradeReader") -> Awaitable[list[Any]]:
        return rows.top_trades(window.value, metric.value, limit, BY_NAME[market.value])

    _run(read, RANKED, title, json=json, watch=watch)


def prints(limit: Prints = 20, watch: Watch = False, json: Json = False) -> None:
    """Show the largest single trades of the newest trading day."""

    def read(rows: "TradeReader") -> Awaitable[list[Any]]:
        return rows.largest_prints(limit)

    _run(read, PRINTED, "Largest prints, New York time", json=json, watch=watch)


def _run(read: Read, columns: Sequence[Column], title: str, *, json: bool, watch: bool) -> None:
    from tapewire.cli.edge import load

    printer = Printer.for_stdout(json=json)
    asyncio.run(_show(load().settings, read, columns, title, printer, watch=watch))


async def _show(
    settings: "Settings",
    read: Read,
    columns: Sequence[Column],
    title: str,
    printer: Printer,
    *,
    watch: bool,
) -> None:
    from tapewire.caches.trade_reader import TradeReader
    from tapewire.cli.stores import widget_cache
    from tapewire.cli.watching import watching
    from tapewire.runtime.service import ServiceError

    def show(lines: list[Any], to: Printer) -> None:
        to.rows(lines, columns, title)

    async with widget_cache(settings) as cache:
        rows = TradeReader(cache)
        if watch:
            await watching(lambda: read(rows), printer, show, POLL_S)
            return
        lines = await read(rows)
    if not lines:
        raise ServiceError(f"nothing to show: {title.lower()} are empty")
    show(lines, printer)
