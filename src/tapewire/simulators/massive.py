"""The Massive simulator: the provider's WebSocket and REST service, played from a source.

Use, embedded or from the command line alike::

    simulator = MassiveSimulator([parse_source("lean:PATH")], speed="max", once=True)
    await simulator.start()
    ...                         # clients connect to f"{simulator.ws_url}/stocks"
    await simulator.finished.wait()
    await simulator.stop()

The stream begins with the first subscription. At speed ``max`` it goes as fast as clients read
and waits while nobody is subscribed, so nothing is lost; at any other speed it runs on, as the
real one does, whether somebody listens or not. After a reconnection nothing is replayed. At the
end of the source with ``once`` every connection is closed with 1000 "end of source" and
``finished`` is set; else connections stay open and silent. A source that fails on the way (an
unreadable row) closes them with 1011 and sets ``finished``; `stop` then raises its error.

Faults are planned at the start (``faults=["drop@1000"]``), by `MassiveSimulator.inject`, or by
``POST {rest_url}/_simulator/faults`` with ``{"fault": "drop", "after": 1000}``; those of the REST
side, at any time, by ``POST {rest_url}/_simulator/rest_faults`` (``rest_faults.py``);
``POST {rest_url}/_simulator/price`` with ``{"symbol": "AIG", "price": 50.25}`` makes a ticker
trade at a price now; ``GET {rest_url}/_simulator/statistics`` answers with `Statistics`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from tapewire.simulators.connection import Account, Connection, Excess
from tapewire.simulators.faults import CUT_OFF_FRAME, KNOWN, NOT_AN_ARRAY, Fault
from tapewire.simulators.massive_rest import RestSide
from tapewire.simulators.pacing import Speed
from tapewire.simulators.player import Player
from tapewire.simulators.rest_faults import RestFaults
from tapewire.simulators.server import SimulatedServer
from tapewire.simulators.sources import MergedSources, Source

_PATH = "/stocks"


class MassiveSimulator(SimulatedServer[Connection]):
    """A provider of one's own on ``host``, on free ports unless given.

    ``key`` is the only one that may log in; without it any that is not empty may. ``account``
    holds the limits and switches of the one account there is. ``speed`` is ``max``,
    ``original``, ``xN`` or ``N/s``. Frames hold at most ``max_frame_events`` and
    ``max_frame_bytes`` (the provider publishes no bound). ``tls`` makes it ``wss``;
    ``ping_interval_s`` turns the protocol's own pings on. The first ``head_start_ms`` of event
    time come at once, so that whoever subscribes finds a market that has been open for a while;
    ``delay_ms`` sends everything so much event time late, as a delayed feed does (speeds ``max``
    and ``N/s`` know no time to be late for).
    """

    known = KNOWN
    _player: Player

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        speed: str = "original",
        once: bool = False,
        key: str | None = None,
        account: Account | None = None,
        faults: Sequence[str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        rest_port: int = 0,
        max_frame_events: int = 500,
        max_frame_bytes: int = 65_536,
        ping_interval_s: float | None = None,
        head_start_ms: int = 0,
        delay_ms: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(
            once=once,
            host=host,
            port=port,
            rest_port=rest_port,
            ping_interval_s=ping_interval_s,
            tls=tls,
        )
        self.source = MergedSources(sources)
        self.account = account or Account()
        self._key = key
        self._player = Player(
            self.source,
            Speed.parse(speed),
            self._audience,
            self.statistics,
            self._strike,
            max_frame_events=max_frame_events,
            max_frame_bytes=max_frame_bytes,
            head_start_ms=head_start_ms - delay_ms,
        )
        self._rest = self._rest_side(key)
        for fault in map(Fault.parse, faults):
            self._plan(fault)

    def _rest_side(self, key: str | None) -> RestSide:
        return RestSide(
            self.source.reference,
            key=key,
            account=self.account,
            statistics=self.statistics,
            now_ms=lambda: self._player.event_ms,
            last_date=max(self.source.dates, default=""),
            inject=self.inject,
            trade=self._player.trade,
            latest=self._player.latest,
        )

    @property
    def faults(self) -> RestFaults:
        """The REST side's faults still to come."""
        return self._rest.faults

    def _application(self) -> web.Application:
        return self._rest.application()

    def _upgrade(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        if request.path.partition("?")[0] != _PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "404 page not found\n")
        if self._takes(("refuse_upgrade",)):
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "try again later\n")
        return None

    def _line(self, socket: ServerConnection) -> Connection:
        return Connection(socket, self.account, self.statistics)

    async def _converse(self, line: Connection) -> None:
        line.say("connected")
        if await self._admit(line):
            line.say("auth_success")
            self._enforce_limit(line, Excess.KILL_OLDEST)
        async for request in line.requests():
            if line.closing:
                continue
            line.handle(request)
            if line.listening:
                self._enforce_limit(line, Excess.REJECT_NEWCOMER)
            if self.finished.is_set():
                line.close(*self._ending)
            self._audience.changed()

    async def _admit(self, connection: Connection) -> bool:
        """Whether the client logged in; if not, its connection ends without a close frame."""
        try:
            key = await connection.login()
        except TimeoutError:
            connection.say("auth_timeout")
            connection.drop()
            return False
        if key is None:
            return False
        if self._takes(("bad_key",)) or not self._accepts(key):
            self.statistics.refused_logins += 1
            connection.say("auth_failed")
            connection.drop()
            return False
        self.statistics.logins += 1
        connection.authenticated = True
        return True

    def _accepts(self, key: str) -> bool:
        return bool(key) if self._key is None else key == self._key

    def _enforce_limit(self, newcomer: Connection, policy: Excess) -> None:
        """Close whoever loses when the account has too many connections (massive.md, 1.3)."""
        if self.account.on_excess is not policy:
            return
        holding = [one for one in self._audience.lines if one.holds_a_place]
        losers = [newcomer] if policy is Excess.REJECT_NEWCOMER else holding
        for loser in losers[: max(0, len(holding) - self.account.max_connections)]:
            self.statistics.kicked += 1
            loser.kick("max_connections")

    def _hit(self, line: Connection, fault: str) -> None:
        _STRIKES[fault](line)


_STRIKES: Final[Mapping[str, Callable[[Connection], None]]] = {
    "drop": Connection.drop,
    "reset": Connection.reset,
    "mute": Connection.mute,
    "close": lambda connection: connection.close(1001, "going away"),
    "kick": lambda connection: connection.kick("max_connections"),
    "force_disconnect": lambda connection: connection.kick("force_disconnect"),
    "invalid_json": lambda connection: connection.put(CUT_OFF_FRAME),
    "not_array": lambda connection: connection.put(NOT_AN_ARRAY),
}
