"""A simulated server's end of one socket: a bounded outbox, and the ways to end it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from websockets.asyncio.server import ServerConnection

from tapewire.simulators.statistics import Statistics


class Outbox:
    """Frames on their way to one socket, in order, with what is to happen between them.

    ``is_text`` makes all of them text frames, or binary ones; None goes by their type.
    """

    def __init__(self, socket: ServerConnection, max_bytes: int, *, is_text: bool | None) -> None:
        self._socket = socket
        self._is_text = is_text
        self._max_bytes = max_bytes
        self._items: deque[bytes | str | Callable[[], Awaitable[None]]] = deque()
        self._work = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self.bytes = 0

    def put(self, frame: bytes | str) -> bool:
        """Queue a frame; False, and nothing queued, when the reader is too far behind."""
        if self.bytes + len(frame) > self._max_bytes:
            return False
        self._items.append(frame)
        self.bytes += len(frame)
        self._work.set()
        return True

    def then(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do something once everything queued so far has been given to the socket."""
        self._items.append(action)
        self._work.set()

    async def room(self, max_bytes: int) -> None:
        """Wait until no more than ``max_bytes`` are queued, or the connection is gone."""
        while self.bytes > max_bytes:
            self._space.clear()
            await self._space.wait()

    def discard(self) -> None:
        """Forget what is queued: the connection is gone."""
        self._items.clear()
        self.bytes = 0
        self._space.set()

    async def run(self) -> None:
        """Send for ever; ends with the connection."""
        while True:
            while self._items:
                item = self._items.popleft()
                if isinstance(item, bytes | str):
                    await self._socket.send(item, text=self._is_text)
                    self.bytes -= len(item)
                    self._space.set()
                else:
                    await item()
            self._work.clear()
            await self._work.wait()


class Line:
    """One client's socket.

    ``closing`` is set as soon as it is to get no more events, so that whoever delivers can count
    exactly what it was sent.
    """

    def __init__(
        self,
        socket: ServerConnection,
        max_bytes: int,
        statistics: Statistics,
        *,
        is_text: bool | None = True,
    ) -> None:
        self._socket = socket
        self._statistics = statistics
        self.outbox = Outbox(socket, max_bytes, is_text=is_text)
        self.closing = False
        self.muted = False

    @property
    def listening(self) -> bool:
        """Whether events are to be sent to it."""
        return not self.closing

    def ended(self) -> None:
        """The connection is over. Called once."""

    def put(self, frame: bytes | str) -> None:
        """Send one frame as it is; a reader too far behind is disconnected instead."""
        if self.closing:
            return
        if self.outbox.put(frame):
            self._statistics.frames += 1
            self._statistics.bytes += len(frame)
            return
        self._statistics.slow_consumers += 1
        self.outbox.discard()
        self.cut_off()

    def cut_off(self) -> None:
        """End the connection of a reader too far behind."""
        self.drop()

    def drop(self) -> None:
        """End the TCP connection without a close frame, behind everything queued."""
        self.closing = True
        self.outbox.then(self._end)

    def reset(self) -> None:
        """Abort the TCP connection at once."""
        self.closing = True
        self.outbox.discard()
        self._socket.transport.abort()

    def mute(self) -> None:
        """Stay connected and do nothing any more, behind everything queued."""
        self.closing = self.muted = True
        self.outbox.then(self._freeze)

    def close(self, code: int, reason: str = "") -> None:
        """Close properly, behind everything queued."""
        if self.muted:
            self.reset()
            return
        self.closing = True

        async def close() -> None:
            await self._socket.close(code, reason)

        self.outbox.then(close)

    async def _end(self) -> None:
        self._socket.transport.close()

    async def _freeze(self) -> None:
        self._socket.transport.pause_reading()
        await asyncio.Event().wait()
