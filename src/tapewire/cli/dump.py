"""``tapewire dump``: every final row as a canonical JSON line."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tapewire.cli.options import Json

if TYPE_CHECKING:
    from tapewire.runtime.settings import Settings

LINES_AT_ONCE: Final = 2_000

Feeds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FEED...]",
        help="Feeds or patterns such as quote:AIG or 'candles:*'; default: all.",
    ),
]


def dump(feed: Feeds = None, json: Json = False) -> None:
    """Print every final row as a JSON line, in one order: what lost nothing dumps the same."""
    from tapewire.cli.edge import load

    asyncio.run(_write(load().settings, feed or []))


async def _write(settings: "Settings", feeds: list[str]) -> None:
    from tapewire.caches.reader import Selection
    from tapewire.cli.output import json_line
    from tapewire.cli.stores import reader
    from tapewire.runtime.service import UsageError
    from tapewire.services.plugins import choose

    choose(settings.tapewire_analyzers)  # their feeds are dumped too
    try:
        Selection(feeds)
    except ValueError as error:
        raise UsageError(str(error)) from error
    async with reader(settings) as rows:
        lines: list[str] = []
        async for row in rows.dump(feeds):
            lines.append(json_line(row))
            if len(lines) >= LINES_AT_ONCE:
                sys.stdout.write("".join(lines))
                lines.clear()
    sys.stdout.write("".join(lines))
