"""A widget service on a free port, and clients with real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tapewire.caches.cache import Place, WidgetCache
from tapewire.caches.interest import Interest
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.model.changes import BoardChange, Changes
from tapewire.model.feeds import board_set, quote_hash
from tapewire.model.messages import SUBPROTOCOL
from tapewire.model.rows import QuoteRecord, encode_row
from tapewire.runtime.service import Report
from tapewire.services.widget_data import WidgetDataService, WidgetOptions
from tests.hub.stage import FRIDAY, Held, quote

PATIENCE_S = 5.0


async def nobody() -> Sequence[Report]:
    """An empty registry."""
    return []


@asynccontextmanager
async def serving(
    cache: WidgetCache | None = None,
    options: WidgetOptions | None = None,
    reports: Callable[[], Any] = nobody,
    *,
    interest: Interest | None = None,
    is_open: bool = True,
) -> AsyncIterator[WidgetDataService]:
    """A running service; its store is memory unless there is another."""
    service = WidgetDataService(
        cache or MemoryWidgetCache(),
        reports,
        options or WidgetOptions(port=0),
        interest=interest,
        is_open=lambda market: is_open,
    )
    await service.start()
    try:
        async with viewer(service.port) as first:
            await first.subscribe("quote:*", limit=1)
        yield service
    finally:
        await service.stop()


class Shard:
    """One shard's owner: flushes to a cache.

    ``written`` counts flushes; each puts its number into ``volume`` of every symbol.
    """

    def __init__(self, cache: WidgetCache, name: str = "trades.0") -> None:
        self.cache = cache
        self.name = name
        self.written = 0
        self._place: Place | None = None

    async def flush(self, *symbols: str, close: float = 1.0, extra: Changes | None = None) -> None:
        """New prices; a board in the order of the symbols."""
        if self._place is None:
            await self.claim()
        assert self._place is not None
        changes = self.changes(symbols, close)
        if extra is not None:
            changes.merge(extra)
        self._place = await self.cache.flush(self.name, self._place, {}, changes)

    async def claim(self) -> None:
        """Become the owner, again after the store lost everything."""
        self._place = (await self.cache.claim(self.name)).place

    def changes(self, symbols: Sequence[str], close: float) -> Changes:
        """What a flush writes."""
        self.written += 1
        rows = {symbol: encode_row(self.record(symbol, close)) for symbol in symbols}
        scores = {symbol: float(len(symbols) - at) for at, symbol in enumerate(symbols)}
        return Changes(
            rows={quote_hash(FRIDAY): rows},
            boards={board_set("top_volume", FRIDAY): BoardChange(scores)},
        )

    def record(self, symbol: str, close: float) -> QuoteRecord:
        """A record that tells which flush wrote it."""
        return quote(symbol, close, volume=self.written)


class Viewer:
    """A client of ``tapewire.v1`` that applies what it gets."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.feeds: dict[str, Held] = {}
        self.messages: list[dict[str, Any]] = []

    async def say(self, message: object) -> None:
        """Send one message."""
        await self.socket.send(json.dumps(message))

    async def subscribe(self, *feeds: str, **options: object) -> None:
        """Subscribe and wait for the first snapshot of each."""
        await self.say({"op": "subscribe", "feeds": list(feeds), **options})
        await self.until(lambda: all(f in self.feeds and self.feeds[f].seq >= 0 for f in feeds))

    async def read(self) -> list[dict[str, Any]]:
        """One frame's messages, applied."""
        frame = json.loads(await self.socket.recv())
        for message in frame:
            self.messages.append(message)
            if "feed" in message and message["op"] not in ("event", "gap"):
                self.feeds.setdefault(message["feed"], Held()).take(message)
        return list(frame)

    async def until(self, holds: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Read until something holds; TimeoutError otherwise."""
        async with asyncio.timeout(seconds):
            while not holds():
                await self.read()

    async def until_status(self, feed: str, state: str, seconds: float = PATIENCE_S) -> None:
        """Read until a feed's status says so."""
        await self.until(
            lambda: feed in self.feeds and self.feeds[feed].status.get("state") == state, seconds
        )

    async def read_for(self, seconds: float) -> None:
        """Read whatever comes for a while."""
        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self.read()
            except TimeoutError:
                return

    async def until_close(
        self, feed: str, symbol: str, close: float, seconds: float = PATIENCE_S
    ) -> None:
        """Read until a symbol has a price."""
        await self.until(lambda: self.close_of(feed, symbol) == close, seconds)

    def is_at_least(self, feed: str, symbol: str, close: float) -> bool:
        """Whether a symbol's price has come so far."""
        return (self.close_of(feed, symbol) or 0) >= close

    def close_of(self, feed: str, symbol: str) -> float | None:
        """The price that it shows."""
        row = self.feeds[feed].rows.get(symbol) if feed in self.feeds else None
        return row["close"] if row is not None else None


@asynccontextmanager
async def viewer(port: int, **options: Any) -> AsyncIterator[Viewer]:
    """A connected client of ``tapewire.v1``."""
    async with connect(
        f"ws://127.0.0.1:{port}/ws",
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
        compression=None,
        close_timeout=0.5,
        **options,
    ) as socket:
        yield Viewer(socket)


async def closing_of(socket: ClientConnection, seconds: float = PATIENCE_S) -> int | None:
    """Read to the end; the code that the server closed with (None: no close frame)."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None
