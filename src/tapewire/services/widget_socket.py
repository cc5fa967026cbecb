"""One client's socket: the WebSocket protocol without tasks, locks or queues of its own.

`websockets` does the protocol sans-IO; a frame for many clients is built once and written
to each transport. A transport whose kernel buffer is full says so, and then its client is
passed over until it has room again: nobody waits for anybody.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, cast

from msgspec import Struct
from websockets.datastructures import Headers
from websockets.exceptions import NegotiationError, PayloadTooBig
from websockets.frames import CloseCode as Standard
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tapewire.hub.protocol import Reaction
from tapewire.hub.session import Session
from tapewire.model.messages import SUBPROTOCOL, CloseCode

PING: Final = Frame(Opcode.PING, b"").serialize(mask=False)


class SocketBounds(Struct, frozen=True, kw_only=True):
    """What one socket may hold or take; its own client pays.

    ``message_bytes``: longer messages close it (4006). ``kernel_bytes``: the kernel's send
    buffer; what is in there can no longer be conflated. ``waiting_bytes``: frames that
    wait for room; more close it (4008, policy ``disconnect``). ``open_s``, ``close_s``:
    how long a handshake may take. ``ping_s``: how often an idle client is asked for a sign
    of life, ``silent_s`` after how long without one it is given up, ``stalled_s`` after how
    long without taking a byte (4008). ``connections``: more are refused (4004).
    """

    message_bytes: int = 64 * 1024
    kernel_bytes: int = 128 * 1024
    waiting_bytes: int = 64 << 20
    open_s: float = 10.0
    close_s: float = 5.0
    ping_s: float = 20.0
    silent_s: float = 60.0
    stalled_s: float = 30.0
    connections: int = 10_000


class Desk(Protocol):
    """Whoever serves the sockets."""

    bounds: SocketBounds

    def entered(self, client: "WidgetSocket") -> None:
        """A connection was made."""

    def left(self, client: "WidgetSocket") -> None:
        """A connection is gone."""

    def answer(self, request: Request) -> Response | None:
        """The answer to a plain HTTP request; None when it asks for the WebSocket."""

    def opened(self, client: "WidgetSocket", origin: str | None) -> CloseCode | None:
        """A handshake succeeded; the code to close with at once, if any."""

    def received(self, client: "WidgetSocket", data: bytes, *, is_text: bool) -> Reaction:
        """A message came."""

    def closed(self, client: "WidgetSocket") -> None:
        """The socket is gone, or going."""

    def count(self, what: str) -> None:
        """Count something worth a figure."""


class _Protocol(ServerProtocol):
    """The library's, with our code for a message that is too big."""

    def fail(self, code: int, reason: str = "") -> None:
        """Close because of what the client did."""
        ours = CloseCode.MESSAGE_TOO_BIG if code == Standard.MESSAGE_TOO_BIG else code
        super().fail(ours, reason[:100])


def _choose(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """``tapewire.v1`` where it is offered; without any offer the earlier dialect."""
    if SUBPROTOCOL in offered:
        return Subprotocol(SUBPROTOCOL)
    if offered:
        raise NegotiationError(f"no such subprotocol; expected {SUBPROTOCOL}, or none at all")
    return None


class WidgetSocket(asyncio.Protocol):
    """The server's end of one connection.

    ``session`` is there from the end of the handshake to the beginning of the close.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._bounds = desk.bounds
        self._loop = asyncio.get_running_loop()
        self._protocol = _Protocol(
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            select_subprotocol=_choose,
            max_size=self._bounds.message_bytes,
        )
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._parts: list[bytes] = []
        self._is_text = True
        self._was_answered = False
        self._timer: asyncio.TimerHandle | None = None
        self._paused_at_s: float | None = None
        self._heard_s = self._loop.time()
        self.session: Session | None = None

    # The transport speaks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what the kernel and the transport keep; wait for the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)
        made: socket.socket | None = transport.get_extra_info("socket")
        if made is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._bounds.kernel_bytes)
        self._timer = self._loop.call_later(self._bounds.open_s, self.abort)
        self._desk.entered(self)

    def data_received(self, data: bytes) -> None:
        """Give the bytes to the protocol and act on what comes out."""
        self._heard_s = self._loop.time()
        if self._protocol.state is State.CLOSED:
            return
        self._protocol.receive_data(data)
        self._after_bytes()

    def eof_received(self) -> None:
        """The client closed its side: close ours."""
        self._protocol.receive_eof()
        self._after_bytes()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._cancel_timer()
        self._drop_waiting()
        self._leave()
        if not self._was_answered:
            self._desk.count("refused_handshakes")
        self._desk.left(self)

    def pause_writing(self) -> None:
        """The kernel takes no more: pass this client over."""
        self._paused_at_s = self._loop.time()
        self._set_ready()

    def resume_writing(self) -> None:
        """There is room again: first what waits."""
        self._paused_at_s = None
        while self._waiting and self._paused_at_s is None:
            data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._write(data)
        self._set_ready()
        if (
            not self._waiting
            and self._transport is not None
            and not self._protocol.close_expected()
        ):
            self._transport.resume_reading()

    def _set_ready(self) -> None:
        if self.session is not None:
            self.session.ready = self._paused_at_s is None and not self._waiting

    # The protocol speaks

    def _after_bytes(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif isinstance(event, Frame):
                self._frame(event)
        self._send_pending()

    def _send_pending(self) -> None:
        """Send what the protocol has to say: handshake, pongs, closes."""
        transport = self._transport
        for data in self._protocol.data_to_send():
            if data:
                self._put(data)
            elif transport is not None:
                self._finish()
        if self._protocol.close_expected() and self.session is not None:
            self._count_failure()
            self._leave()
            self._wait_for_close()

    def _count_failure(self) -> None:
        failure = self._protocol.parser_exc
        if failure is not None and not isinstance(failure, EOFError):
            too_big = isinstance(failure, PayloadTooBig)
            self._desk.count("too_big" if too_big else "protocol_errors")

    def _finish(self) -> None:
        """End our side once everything is written."""
        if self._transport is not None and not self._transport.is_closing():
            if self._waiting:
                self._wait_for_close()
            else:
                self._transport.close()

    def _handshake(self, request: Request) -> None:
        self._cancel_timer()
        response = self._desk.answer(request)
        if response is not None:
            self._was_answered = True
            self._protocol.send_response(response)
            return
        origin = request.headers.get("Origin")
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        if self._protocol.state is State.OPEN:
            self._was_answered = True
            self._send_pending()
            refusal = self._desk.opened(self, origin)
            if refusal is not None:
                self.close(refusal, refusal.name.lower().replace("_", " "))

    @property
    def dialect(self) -> str:
        """The agreed subprotocol; empty for the earlier dialect."""
        return self._protocol.subprotocol or ""

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            data, self._parts = b"".join(self._parts), []
            self._message(data)

    def _message(self, data: bytes) -> None:
        if self.session is None:
            return
        reaction = self._desk.received(self, data, is_text=self._is_text)
        for text in reaction.texts:
            self.send(text_frame(text))
        if reaction.close is not None:
            self.close(reaction.close, reaction.reason)
        elif self._waiting and self._transport is not None and self.session is not None:
            self._desk.count("blocked")
            self._transport.pause_reading()

    # Whoever serves speaks

    def send(self, frame: bytes) -> None:
        """Write a whole frame, after those that wait for room; too many close the socket."""
        if self.session is None:
            return
        if self._waiting and self._waiting_bytes + len(frame) > self._bounds.waiting_bytes:
            self._give_up("more waits than one client may keep")
            return
        self._put(frame)
        self._set_ready()

    def _put(self, data: bytes) -> None:
        if self._paused_at_s is None and not self._waiting:
            self._write(data)
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self, code: CloseCode, reason: str) -> None:
        """Say why, and close; the client has ``close_s`` to answer."""
        self._leave()
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._send_pending()
            self._wait_for_close()
            if self._transport is not None:
                self._transport.resume_reading()

    def check(self, now_s: float) -> None:
        """Ask an idle client for a sign of life; give up one that is stalled or silent."""
        paused_at_s = self._paused_at_s
        if paused_at_s is not None and now_s - paused_at_s > self._bounds.stalled_s:
            self._give_up("took nothing for too long")
        elif now_s - self._heard_s > self._bounds.silent_s:
            self._desk.count("silent_disconnects")
            self.abort()
        elif now_s - self._heard_s >= self._bounds.ping_s and paused_at_s is None:
            self._write(PING)

    def _give_up(self, why: str) -> None:
        """Close a slow client: instead of what waits it gets the reason, if it reads at all."""
        if self.session is not None:
            self._desk.count("slow_disconnects")
            self._drop_waiting()
            self.close(CloseCode.SLOW_CONSUMER, why)

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    def _leave(self) -> None:
        if self.session is not None:
            self._desk.closed(self)
            self.session = None

    def _wait_for_close(self) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(self._bounds.close_s, self.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()


def text_frame(text: bytes) -> bytes:
    """A whole WebSocket text frame, unmasked, as a server sends it."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


def response(status: int, reason: str, content_type: str, body: bytes) -> Response:
    """A plain HTTP answer that ends the connection."""
    headers = Headers(
        [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
    )
    return Response(status, reason, headers, body)
