"""The broker simulators' server: sockets, tape, pacing and faults around one broker's side.

Use, embedded or from the command line alike::

    tape = parse_tape("generator:at=09:14")
    simulator = BrokerSimulator(side, tape, speed="max", once=True)
    await simulator.start()
    ...                       # clients connect to simulator.ws_url, ask simulator.rest_url
    await simulator.finished.wait()
    await simulator.stop()

The tape begins with the first subscription. At speed ``max`` it goes as fast as clients read and
waits while nobody is subscribed; at any other speed it runs on, as the real market does. What is
due together leaves in as few frames as the broker's format allows. At the end with ``once``
every connection is closed with 1000 and ``finished`` is set; else they stay open and silent.

Faults (``broker_faults.py``) are planned at the start (``faults=["drop@1000"]``), by
`BrokerSimulator.inject`, or by ``POST {rest_url}/_simulator/faults`` with ``{"fault": "drop",
"after": 1000}``; ``GET {rest_url}/_simulator/statistics`` answers with `Statistics`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
from aiohttp import web
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from tapewire.simulators.broker_faults import (
    CONNECTION_FAULTS,
    LOGIN_FAULTS,
    REST_ANSWERS,
    STRIKES,
    TICK_CHANGES,
    TICK_FAULTS,
    UPGRADE_ANSWERS,
    LoginFaults,
    parse_fault,
)
from tapewire.simulators.broker_voice import BrokerSide, HttpAnswer, HttpCall, Messages, Voice
from tapewire.simulators.faults import Fault, FaultError, FaultScript, Tampering
from tapewire.simulators.line import Line
from tapewire.simulators.pacing import Pace, Speed, SpeedKind
from tapewire.simulators.sources import TimedTick
from tapewire.simulators.statistics import Statistics
from tapewire.simulators.tick_tape import TickTape

MAX_TURN_TICKS: Final = 500
"""Ticks that leave together at speed ``max``."""
MAX_OUTBOX_BYTES: Final = 64 * 1024 * 1024
"""What is kept for a slow reader; it then pays with its connection."""

CLOSING_S: Final = 5.0
"""How long clients may take to answer the close at the end of the tape."""

_MAX_QUEUED_BYTES: Final = 256 * 1024
_SHUTDOWN_S: Final = 0.2


class Client(Line):
    """One client's socket, and the broker's voice on it."""

    def __init__(
        self, socket: ServerConnection, voice: Voice, max_bytes: int, statistics: Statistics
    ) -> None:
        super().__init__(socket, max_bytes, statistics, is_text=None)
        self.voice = voice

    async def messages(self) -> AsyncIterator[bytes | str]:
        """What the client sends, until the connection ends."""
        async for message in self._socket:
            yield message

    @property
    def listening(self) -> bool:
        """Whether ticks are to be sent to it."""
        return self.voice.listening and not self.closing

    def say(self, messages: Messages) -> None:
        """Send messages, and close behind them if the voice wants to."""
        for message in messages:
            self.put(message)
        if self.voice.close_code is not None and not self.closing:
            self.close(self.voice.close_code)

    def disconnect(self, reason: int) -> None:
        """End the connection as the broker does, for a reason of its own."""
        self.say(self.voice.disconnect(reason))
        if not self.closing:
            self.close(1000)


class BrokerSimulator:
    """A broker of one's own on ``host``, on free ports unless given.

    ``speed`` is ``max``, ``original``, ``xN`` or ``N/s``; the first ``head_start_ms`` of event
    time come at once. A client with ``max_outbox_bytes`` unread is cut off.
    """

    def __init__(
        self,
        side: BrokerSide,
        tape: TickTape,
        *,
        speed: str = "original",
        once: bool = False,
        faults: Sequence[str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        rest_port: int = 0,
        max_turn_ticks: int = MAX_TURN_TICKS,
        max_outbox_bytes: int = MAX_OUTBOX_BYTES,
        head_start_ms: int = 0,
    ) -> None:
        self.side, self.tape = side, tape
        self.statistics = Statistics()
        self.finished = asyncio.Event()
        self.event_ms = 0
        """The time of the last tick that was due; 0 before the first."""
        self._once = once
        self._host, self._port, self._rest_port = host, port, rest_port
        self._max_outbox_bytes = max_outbox_bytes
        pace = Speed.parse(speed)
        self._waits = pace.kind is SpeedKind.MAX
        self._pace = Pace(pace, max_turn_ticks, head_start_ms)
        self._clients: list[Client] = []
        self._changed = asyncio.Event()
        self._ending = (1000, "")
        self._script, self._logins = FaultScript(), LoginFaults()
        self._tampering = Tampering(TICK_CHANGES)
        self._server: Server | None = None
        self._rest: web.AppRunner | None = None
        self._playing: asyncio.Task[None] | None = None
        for fault in map(parse_fault, faults):
            self._plan(fault)

    @property
    def port(self) -> int:
        """The WebSocket's port, once started."""
        if self._server is None:
            raise RuntimeError("the simulator has no port yet; call start() first")
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def ws_url(self) -> str:
        """``ws://host:port`` of the sockets, once started."""
        return f"ws://{self._host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """``http://host:port`` of the REST side, once started."""
        if self._rest is None or not self._rest.addresses:
            raise RuntimeError("the simulator has no REST port yet; call start() first")
        return f"http://{self._host}:{self._rest.addresses[0][1]}"

    async def start(self) -> None:
        """Listen on both ports; OSError, and nothing left behind, when one is taken."""
        self._rest = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_S
        )
        await self._rest.setup()
        try:
            await web.TCPSite(self._rest, self._host, self._rest_port).start()
            self._server = await serve(
                self._attend,
                self._host,
                self._port,
                process_request=self._upgrade,
                compression=None,
                ping_interval=self.side.ping_every_s,
                ping_timeout=None,
                close_timeout=1,
            )
        except OSError:
            await self._rest.cleanup()
            raise
        self._playing = asyncio.create_task(self._play(), name="broker simulator")

    async def stop(self) -> None:
        """End the tape and close every connection with 1001; what the tape raised is raised."""
        for client in self._clients:
            if client.muted:
                client.reset()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._rest is not None:
            await self._rest.cleanup()
        if self._playing is not None:
            self._playing.cancel()
            with suppress(asyncio.CancelledError):
                await self._playing

    async def gone(self) -> None:
        """Return when nobody is connected."""
        while self._clients:
            await self._change()

    async def left(self, within_s: float) -> None:
        """Return when nobody is connected any more, at the latest ``within_s`` from now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.gone()

    async def ended(self) -> None:
        """Return when the tape has ended (with ``once``) or failed, and its clients have gone."""
        await self.finished.wait()
        if self._playing is not None:
            await asyncio.wait({self._playing}, timeout=CLOSING_S)

    def inject(self, fault: str, after: int = 0) -> None:
        """Make a fault happen once ``after`` more ticks were played; FaultError if unknown.

        A connection fault with ``after=0`` happens now, also when no ticks flow.
        """
        name = parse_fault(fault).name
        if after == 0 and _kind(name) in CONNECTION_FAULTS:
            self._happen(name)
        else:
            self._plan(Fault(self.statistics.taken + after if after else 0, name))

    def _plan(self, fault: Fault) -> None:
        if fault.name in LOGIN_FAULTS and fault.after == 0:
            self._logins.plan(fault.name)
        else:
            self._script.add(fault)

    def _happen(self, name: str) -> None:
        """Make a fault happen to all who listen, to the next login, or to the next tick."""
        kind = _kind(name)
        if kind in LOGIN_FAULTS:
            self._logins.plan(name)
            return
        self.statistics.faults[name] += 1
        if kind in TICK_FAULTS:
            self._tampering.arm(name)
            return
        for client in self._listeners():
            if kind == "disconnect":
                client.disconnect(int(name.partition(":")[2]))
            else:
                STRIKES[kind](client)

    def _upgrade(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        refused = self._logins.take(UPGRADE_ANSWERS)
        if refused is not None:
            self.statistics.faults[refused[0]] += 1
            return _response(refused[1])
        parts = urlsplit(request.path)
        answer = self.side.admit(parts.path, dict(parse_qsl(parts.query)), request.headers)
        if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        self.statistics.refused_logins += 1
        return _response(answer)

    async def _attend(self, socket: ServerConnection) -> None:
        """Serve one client from the upgrade to its end."""
        self.statistics.connections += 1
        client = Client(socket, self.side.voice(), self._max_outbox_bytes, self.statistics)
        self._clients.append(client)
        sending = asyncio.create_task(client.outbox.run())
        try:
            await self._converse(client)
        except ConnectionClosed:
            client.closing = True  # the client is gone, or was dropped by a fault
        finally:
            client.closing = True
            client.outbox.discard()
            self._clients.remove(client)
            client.voice.closed()
            self._changed.set()
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await sending

    async def _converse(self, client: Client) -> None:
        client.say(client.voice.opened())
        self._let_go(client)
        async for message in client.messages():
            if client.closing:
                continue
            client.say(client.voice.receive(message))
            self._let_go(client)
            if self.finished.is_set():
                client.close(*self._ending)
            self._changed.set()

    def _let_go(self, newcomer: Client) -> None:
        """Close whom the broker has ended for the newcomer's sake."""
        for client in self._clients:
            if client is not newcomer and client.voice.close_code is not None:
                client.say(client.voice.ticks(()))

    def _listeners(self) -> list[Client]:
        return [client for client in self._clients if client.listening]

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _present(self) -> None:
        while not self._listeners():
            await self._change()

    async def _play(self) -> None:
        try:
            await self._run()
        except Exception:
            self._end(1011, "the source failed")
            raise
        if self._once:
            self._end(1000, "end of source")
            await self.gone()

    async def _run(self) -> None:
        """Play to the end, then send what a fault still held back."""
        now_s = asyncio.get_running_loop().time
        await self._present()
        for ticks in self.tape.slices():
            await asyncio.sleep(0)
            for bundle in self._pace.bundles(ticks):
                if not self._waits:
                    await asyncio.sleep(self._pace.delay_s(bundle, now_s()))
                self.event_ms = bundle[-1][0]
                await self._deliver(bundle)
        if held := self._tampering.release():
            self._send(self._listeners(), held)

    async def _deliver(self, ticks: list[TimedTick]) -> None:
        """Send ticks to all listeners, stopping exactly where a fault is due."""
        while ticks:
            if self._waits:
                await self._present()
            listeners = self._listeners()
            if not listeners:
                self.tape.play(ticks)
                self.statistics.unheard += len(ticks)
                return
            until_fault = self._script.until_next(self.statistics.taken)
            piece, ticks = (ticks, []) if until_fault is None else _cut(ticks, until_fault)
            self.statistics.taken += len(piece)
            self.tape.play(piece)
            self._send(listeners, self._tampering.apply(piece))
            for name in self._script.due(self.statistics.taken):
                self._happen(name)
            if self._waits:
                for listener in listeners:
                    await listener.outbox.room(_MAX_QUEUED_BYTES)

    def _send(self, listeners: Sequence[Client], timed: Sequence[TimedTick]) -> None:
        ticks = [tick for _, _, tick in timed]
        for listener in listeners:
            listener.say(listener.voice.ticks(ticks))
        self.statistics.events["ticks"] += len(ticks) * len(listeners)

    def _end(self, code: int, reason: str) -> None:
        """Close every connection, and those that still come as soon as they say something."""
        self._ending = (code, reason)
        self.finished.set()
        for client in self._clients:
            client.close(code, reason)

    def _application(self) -> web.Application:
        application = web.Application()
        for (method, path), handle in self.side.routes().items():
            application.router.add_route(method, path, self._answering(handle))
        application.router.add_post("/_simulator/faults", self._take_fault)
        application.router.add_get("/_simulator/statistics", self._give_statistics)
        return application

    def _answering(
        self, handle: Callable[[HttpCall], Awaitable[HttpAnswer]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            self.statistics.calls[request.path] += 1
            refused = self._logins.take(REST_ANSWERS)
            if refused is not None:
                self.statistics.faults[refused[0]] += 1
                return _web_response(refused[1])
            call = HttpCall(dict(request.query), request.headers, await request.read())
            return _web_response(await handle(call))

        return answer

    async def _take_fault(self, request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=_AskedFault)
            self.inject(asked.fault, asked.after)
        except (msgspec.DecodeError, FaultError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({})

    async def _give_statistics(self, _: web.Request) -> web.Response:
        return web.json_response(self.statistics.as_dict())


class _AskedFault(msgspec.Struct):
    fault: str
    after: int = 0


def _kind(fault: str) -> str:
    return fault.partition(":")[0]


def _cut(ticks: list[TimedTick], count: int) -> tuple[list[TimedTick], list[TimedTick]]:
    return ticks[:count], ticks[count:]


def _response(answer: HttpAnswer) -> Response:
    """The answer to an upgrade that is refused."""
    headers = Headers({
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Connection": "close",
        **answer.headers,
    })  # fmt: skip
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)


def _web_response(answer: HttpAnswer) -> web.Response:
    kind, _, charset = answer.content_type.partition("; charset=")
    return web.Response(
        status=answer.status,
        body=answer.body,
        content_type=kind,
        charset=charset or None,
        headers=dict(answer.headers),
    )
