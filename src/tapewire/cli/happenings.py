"""``tapewire alerts`` and ``tapewire halts``: what event feeds hold, newest last."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec import Struct

from tapewire.cli.options import Json
from tapewire.cli.output import Column, Printer, Style

if TYPE_CHECKING:
    from tapewire.runtime.settings import Settings

ALERTS: Final = ("daily_range_hod_alert", "daily_range_lod_alert")
HALTS: Final = ("halts",)

ALERT_COLUMNS: Final = (
    Column("timestamp_ms", "at", Style.DATE_TIME),
    Column("symbol", "symbol"),
    Column("session", "session"),
    Column("note", "alert"),
    Column("price", "price", Style.PRICE),
    Column("previous", "before", Style.PRICE),
)
HALT_COLUMNS: Final = (
    Column("timestamp_ms", "at", Style.DATE_TIME),
    Column("symbol", "symbol"),
    Column("kind", "what"),
    Column("reason", "why"),
    Column("band_low", "from", Style.PRICE),
    Column("band_high", "to", Style.PRICE),
)
HALTED_COLUMNS: Final = (
    Column("symbol", "symbol"),
    Column("since_ms", "since", Style.DATE_TIME),
    Column("reason", "why"),
    Column("limit_state", "limit"),
    Column("band_low", "from", Style.PRICE),
    Column("band_high", "to", Style.PRICE),
)

Limit = Annotated[
    int, typer.Option("--limit", min=1, max=10_000, metavar="N", help="How many lines.")
]
Of = Annotated[
    str | None, typer.Option("--symbol", metavar="SYMBOL", help="Only this symbol; default: all.")
]
Now = Annotated[bool, typer.Option("--now", help="Which symbols are halted now.")]


def alerts(symbol: Of = None, limit: Limit = 20, json: Json = False) -> None:
    """Show the last alerts of daily highs and lows."""
    from tapewire.cli.edge import load

    printer = Printer.for_stdout(json=json)
    rows = asyncio.run(_items(load().settings, ALERTS, symbol, limit))
    printer.rows(rows, ALERT_COLUMNS, "Range alerts, New York time")


def halts(symbol: Of = None, limit: Limit = 20, now: Now = False, json: Json = False) -> None:
    """Show the last halts, reopenings and limit states, or who is halted now."""
    from tapewire.cli.edge import load

    printer, settings = Printer.for_stdout(json=json), load().settings
    if now:
        rows, columns = asyncio.run(_halted(settings, symbol, limit)), HALTED_COLUMNS
    else:
        rows, columns = asyncio.run(_items(settings, HALTS, symbol, limit)), HALT_COLUMNS
    printer.rows(rows, columns, "Halts, New York time")


async def _items(
    settings: "Settings", feeds: Sequence[str], symbol: str | None, limit: int
) -> list[Struct]:
    from tapewire.caches.records import RecordReader, time_of
    from tapewire.cli.stores import widget_cache
    from tapewire.model.feeds import FEEDS

    found: list[Struct] = []
    async with widget_cache(settings) as cache:
        for feed in (feed for feed in FEEDS if feed.pattern in feeds):
            for items in (await RecordReader(cache).items(feed)).values():
                found += [item for item in items if symbol in (None, getattr(item, "symbol", ""))]
    return sorted(found, key=time_of)[-limit:]


async def _halted(settings: "Settings", symbol: str | None, limit: int) -> list[Struct]:
    from tapewire.caches.records import RecordReader
    from tapewire.cli.stores import widget_cache
    from tapewire.model.feeds import FEEDS

    (feed,) = (feed for feed in FEEDS if feed.family == "halt_state")
    async with widget_cache(settings) as cache:
        rows = await RecordReader(cache).rows(feed, symbol)
    return [row for row in rows.values() if getattr(row, "halted", False)][:limit]
