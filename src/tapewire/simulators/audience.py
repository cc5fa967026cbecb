"""Who is connected to a simulated server, and who among them is to get what is played."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from tapewire.simulators.line import Line

ALine = TypeVar("ALine", bound=Line)


class Audience(Generic[ALine]):
    """The lines of a server, oldest first."""

    def __init__(self) -> None:
        self.lines: list[ALine] = []
        self._changed = asyncio.Event()

    def listeners(self) -> list[ALine]:
        """Those with a subscription."""
        return [line for line in self.lines if line.listening]

    def changed(self) -> None:
        """Somebody came, went, subscribed or unsubscribed."""
        self._changed.set()

    async def present(self) -> None:
        """Wait until somebody listens."""
        while not self.listeners():
            await self._next_change()

    async def gone(self) -> None:
        """Wait until nobody is connected."""
        while self.lines:
            await self._next_change()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
