"""``--watch``: show something again whenever it changes, until Ctrl-C."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tapewire.caches.cache import CacheUnavailable
from tapewire.cli.output import Printer

T = TypeVar("T")


async def watching(
    read: Callable[[], Awaitable[T | None]],
    printer: Printer,
    show: Callable[[T, Printer], None],
    every_s: float,
) -> None:
    """Read every ``every_s`` and show what differs from before; a terminal is redrawn.

    A cache that does not answer is said once and asked again.
    """
    seen: T | None = None
    silent = False
    with printer.redrawn() as screen:
        while True:
            try:
                found = await read()
                silent = False
            except CacheUnavailable as error:
                found = None
                silent = silent or _say(f"{error}; trying again")
            if found and found != seen:
                seen = found
                show(found, screen)
            await asyncio.sleep(every_s)


def _say(message: str) -> bool:
    sys.stderr.write(f"tapewire: {message}\n")
    return True
