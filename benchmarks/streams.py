"""Many WebSocket clients in one process that only take the time and look for a number.

A client library of the usual kind would spend more on 20,000 frames a second than the
server does; these read frames' headers and search their bytes.
"""

import asyncio
import base64
import os
import re
import time
from collections.abc import Callable
from typing import Final, cast

from tapewire.model.messages import SUBPROTOCOL

REQUEST: Final = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
)
PREV: Final = re.compile(rb'"seq":(\d+),"prev":(\d+)')

Took = Callable[["StreamClient", bytes, float], None]
"""Given a client, a frame's text and the time (monotonic seconds) of its last byte."""


class StreamClient(asyncio.Protocol):
    """One client: says what it wants, then passes on each frame.

    ``broken`` counts deltas that did not follow the one before; ``mark`` belongs to ``took``.
    """

    def __init__(self, port: int, wants: bytes, took: Took) -> None:
        self._port, self._wants, self._took = port, wants, took
        self._buffer = b""
        self._is_open = False
        self._seq = -1
        self.broken = 0
        self.mark = -1
        self.frames = 0
        self.ended: BaseException | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(REQUEST.format(port=self._port, key=key).encode())

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        data = self._buffer + data if self._buffer else data
        if not self._is_open:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._is_open = True
            self._send(self._wants)
        self._buffer = self._frames(data, now_s)

    def _frames(self, data: bytes, now_s: float) -> bytes:
        """Pass whole frames on; returns what is left."""
        at, size = 0, len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + length > size:
                break
            if data[at] == 0x81:
                self._text(data[start : start + length], now_s)
            elif data[at] == 0x89:
                self._control(0x8A)
            at = start + length
        return data[at:]

    def _text(self, text: bytes, now_s: float) -> None:
        self.frames += 1
        found = PREV.search(text)
        if found:
            self.broken += self._seq >= 0 and int(found[2]) != self._seq
            self._seq = int(found[1])
        self._took(self, text, now_s)

    def _send(self, text: bytes) -> None:
        assert self.transport is not None
        assert len(text) < 65536
        size = len(text)
        head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        self.transport.write(head + b"\0\0\0\0" + text)

    def _control(self, opcode: int) -> None:
        assert self.transport is not None
        self.transport.write(bytes([opcode, 0x80]) + b"\0\0\0\0")

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = exc or EOFError("the server closed")


async def connect(port: int, clients: int, wants: bytes, took: Took) -> list[StreamClient]:
    """Open the connections, some at a time."""
    loop = asyncio.get_running_loop()
    made: list[StreamClient] = []
    for _ in range(clients):
        client = StreamClient(port, wants, took)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        made.append(client)
    return made


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of them are."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
