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

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from aiohttp import web
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from tapewire.simulators.connection import Account, Connection, Excess
from tapewire.simulators.faults import (
    CONNECTION_FAULTS,
    CUT_OFF_FRAME,
    LOGIN_FAULTS,
    NOT_AN_ARRAY,
    Fault,
)
from tapewire.simulators.massive_rest import RestSide
from tapewire.simulators.pacing import Speed
from tapewire.simulators.player import Audience, Player
from tapewire.simulators.rest_faults import RestFaults
from tapewire.simulators.sources import MergedSources, Source
from tapewire.simulators.statistics import Statistics

_PATH = "/stocks"
_SHUTDOWN_S = 0.2
"""How long a REST call that is being answered may take once the simulator stops."""


class MassiveSimulator:
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
        self.source = MergedSources(sources)
        self.account = account or Account()
        self._key = key
        self.statistics = Statistics()
        self.finished = asyncio.Event()
        self._once = once
        self._ending = (1000, "")
        self._host, self._port, self._rest_port = host, port, rest_port
        self._tls, self._ping_interval_s = tls, ping_interval_s
        self._audience = Audience()
        self._login_faults: list[str] = []
        self._server: Server | None = None
        self._playing: asyncio.Task[None] | None = None
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
        self._rest_runner: web.AppRunner | None = None
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

    @property
    def port(self) -> int:
        """The WebSocket's port, once started."""
        if self._server is None:
            raise RuntimeError("the simulator has no port yet; call start() first")
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def ws_url(self) -> str:
        """``ws://host:port``; clients append ``/stocks``."""
        return f"{'wss' if self._tls else 'ws'}://{self._host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """``http://host:port`` of the REST side, once started."""
        if self._rest_runner is None or not self._rest_runner.addresses:
            raise RuntimeError("the simulator has no REST port yet; call start() first")
        return f"http://{self._host}:{self._rest_runner.addresses[0][1]}"

    async def start(self) -> None:
        """Listen on both ports; OSError, and nothing left behind, when one is taken."""
        self._rest_runner = web.AppRunner(
            self._rest.application(), access_log=None, shutdown_timeout=_SHUTDOWN_S
        )
        await self._rest_runner.setup()
        try:
            await web.TCPSite(self._rest_runner, self._host, self._rest_port).start()
            await self._listen()
        except OSError:
            await self._rest_runner.cleanup()
            raise
        self._playing = asyncio.create_task(self._play(), name="simulator")

    async def _listen(self) -> None:
        self._server = await serve(
            self._attend,
            self._host,
            self._port,
            process_request=self._upgrade,
            compression=None,
            ping_interval=self._ping_interval_s,
            close_timeout=1,
            ssl=self._tls,
        )

    async def stop(self) -> None:
        """End the stream and close every connection with 1001; what the stream raised is raised."""
        for connection in self._audience.connections:
            if connection.muted:
                connection.reset()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._rest_runner is not None:
            await self._rest_runner.cleanup()
        if self._playing is not None:
            self._playing.cancel()
            with suppress(asyncio.CancelledError):
                await self._playing

    def inject(self, fault: str, after: int = 0) -> None:
        """Make a fault happen once ``after`` more events were sent; FaultError if unknown.

        A connection fault with ``after=0`` happens now, also when no events flow.
        """
        name = Fault.parse(fault).name
        if name in CONNECTION_FAULTS and after == 0:
            self._strike(name)
        else:
            self._plan(Fault(self.statistics.taken + after if after else 0, name))

    def _plan(self, fault: Fault) -> None:
        if fault.name in LOGIN_FAULTS and fault.after == 0:
            self._login_faults.append(fault.name)
        else:
            self._player.plan(fault)

    def _strike(self, name: str) -> None:
        """Make a connection fault happen to all who listen, or prepare one for the next login."""
        if name in LOGIN_FAULTS:
            self._login_faults.append(name)
            return
        self.statistics.faults[name] += 1
        for connection in self._audience.listeners():
            _STRIKES[name](connection)

    def _takes_login_fault(self, name: str) -> bool:
        if name not in self._login_faults:
            return False
        self._login_faults.remove(name)
        self.statistics.faults[name] += 1
        return True

    def _upgrade(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        if request.path.partition("?")[0] != _PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "404 page not found\n")
        if self._takes_login_fault("refuse_upgrade"):
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "try again later\n")
        return None

    async def _attend(self, socket: ServerConnection) -> None:
        """Serve one client from greeting to close."""
        self.statistics.connections += 1
        connection = Connection(socket, self.account, self.statistics)
        self._audience.connections.append(connection)
        sending = asyncio.create_task(connection.outbox.run())
        try:
            await self._converse(connection)
        except ConnectionClosed:
            connection.closing = True  # the client is gone, or was dropped by a fault
        finally:
            connection.closing = True
            connection.outbox.discard()
            self._audience.connections.remove(connection)
            self._audience.changed()
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await sending

    async def _converse(self, connection: Connection) -> None:
        connection.say("connected")
        if await self._admit(connection):
            connection.say("auth_success")
            self._enforce_limit(connection, Excess.KILL_OLDEST)
        async for request in connection.requests():
            if connection.closing:
                continue
            connection.handle(request)
            if connection.listening:
                self._enforce_limit(connection, Excess.REJECT_NEWCOMER)
            if self.finished.is_set():
                connection.close(*self._ending)
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
        if self._takes_login_fault("bad_key") or not self._accepts(key):
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
        holding = [one for one in self._audience.connections if one.holds_a_place]
        losers = [newcomer] if policy is Excess.REJECT_NEWCOMER else holding
        for loser in losers[: max(0, len(holding) - self.account.max_connections)]:
            self.statistics.kicked += 1
            loser.kick("max_connections")

    async def _play(self) -> None:
        try:
            await self._player.run()
        except Exception:
            self._end(1011, "the source failed")
            raise
        if self._once:
            self._end(1000, "end of source")
            await self._audience.gone()

    def _end(self, code: int, reason: str) -> None:
        """Close every connection, and those that still come as soon as they subscribe."""
        for connection in self._audience.connections:
            connection.close(code, reason)
        self._ending = (code, reason)
        self.finished.set()


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
