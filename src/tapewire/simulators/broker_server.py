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

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from tapewire.simulators.broker_faults import (
    KNOWN,
    REST_ANSWERS,
    STRIKES,
    UPGRADE_ANSWERS,
    parse_fault,
)
from tapewire.simulators.broker_voice import BrokerSide, HttpAnswer, HttpCall
from tapewire.simulators.controls import Controls
from tapewire.simulators.pacing import Speed
from tapewire.simulators.server import SimulatedServer
from tapewire.simulators.tick_player import TickPlayer
from tapewire.simulators.tick_tape import TickTape
from tapewire.simulators.voiced_line import VoicedLine

MAX_TURN_TICKS: Final = 500
"""Ticks that leave together at speed ``max``."""
MAX_OUTBOX_BYTES: Final = 64 * 1024 * 1024
"""What is kept for a slow reader; it then pays with its connection."""


class BrokerSimulator(SimulatedServer[VoicedLine]):
    """A broker of one's own on ``host``, on free ports unless given.

    ``speed`` is ``max``, ``original``, ``xN`` or ``N/s``; the first ``head_start_ms`` of event
    time come at once. A client with ``max_outbox_bytes`` unread is cut off.
    """

    known = KNOWN
    _player: TickPlayer

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
        super().__init__(
            once=once,
            host=host,
            port=port,
            rest_port=rest_port,
            ping_interval_s=side.ping_every_s,
            ping_timeout_s=None,
        )
        self.side, self.tape = side, tape
        self._max_outbox_bytes = max_outbox_bytes
        self._player = TickPlayer(
            tape,
            Speed.parse(speed),
            self._audience,
            self.statistics,
            self._strike,
            max_turn_ticks=max_turn_ticks,
            head_start_ms=head_start_ms,
        )
        for fault in map(parse_fault, faults):
            self._plan(fault)

    @property
    def event_ms(self) -> int:
        """The time of the last tick that was due; 0 before the first."""
        return self._player.event_ms

    def _upgrade(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        refused = self._takes(UPGRADE_ANSWERS)
        if refused is not None:
            return _response(UPGRADE_ANSWERS[refused])
        parts = urlsplit(request.path)
        answer = self.side.admit(parts.path, dict(parse_qsl(parts.query)), request.headers)
        if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        self.statistics.refused_logins += 1
        return _response(answer)

    def _line(self, socket: ServerConnection) -> VoicedLine:
        return VoicedLine(socket, self.side.voice(), self._max_outbox_bytes, self.statistics)

    async def _converse(self, line: VoicedLine) -> None:
        line.say(line.voice.opened())
        self._let_go(line)
        async for message in line.messages():
            if line.closing:
                continue
            line.say(line.voice.receive(message))
            self._let_go(line)
            if self.finished.is_set():
                line.close(*self._ending)
            self._audience.changed()

    def _let_go(self, newcomer: VoicedLine) -> None:
        """Close whom the broker has ended for the newcomer's sake."""
        for line in self._audience.lines:
            if line is not newcomer and line.voice.close_code is not None:
                line.say(line.voice.ticks(()))

    def _hit(self, line: VoicedLine, fault: str) -> None:
        kind, _, code = fault.partition(":")
        if kind == "disconnect":
            line.disconnect(int(code))
        else:
            STRIKES[kind](line)

    def _application(self) -> web.Application:
        application = web.Application()
        for (method, path), handle in self.side.routes().items():
            application.router.add_route(method, path, self._answering(handle))
        application.add_routes(Controls(self.statistics, self.inject).routes())
        return application

    def _answering(
        self, handle: Callable[[HttpCall], Awaitable[HttpAnswer]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            self.statistics.calls[request.path] += 1
            refused = self._takes(REST_ANSWERS)
            if refused is not None:
                return _web_response(REST_ANSWERS[refused])
            call = HttpCall(dict(request.query), request.headers, await request.read())
            return _web_response(await handle(call))

        return answer


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
