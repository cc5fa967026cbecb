"""What every simulated provider's server has alike: two ports, clients that come and go, faults.

``massive.py`` and ``broker_server.py`` are the two; they say who is let in, what is said to
whom, and what is played.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Container
from contextlib import suppress
from typing import Any, ClassVar, Final, Generic

from aiohttp import web
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from tapewire.simulators.audience import ALine, Audience
from tapewire.simulators.faults import Fault, KnownFaults, LoginFaults, kind_of
from tapewire.simulators.playback import Playback
from tapewire.simulators.statistics import Statistics

CLOSING_S: Final = 5.0
"""How long clients may take to answer the close at the end of what is played."""

_SHUTDOWN_S: Final = 0.2
"""How long a REST call that is being answered may take once the simulator stops."""


class SimulatedServer(ABC, Generic[ALine]):
    """A provider of one's own on ``host``, on free ports unless given.

    With ``once`` every connection is closed with 1000 at the end of what is played, and
    ``finished`` is set. ``tls`` makes it ``wss``; ``ping_interval_s`` turns the protocol's own
    pings on.
    """

    known: ClassVar[KnownFaults]
    _player: Playback[Any, ALine]

    def __init__(
        self,
        *,
        once: bool,
        host: str,
        port: int,
        rest_port: int,
        ping_interval_s: float | None,
        ping_timeout_s: float | None = 20.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.statistics = Statistics()
        self.finished = asyncio.Event()
        self._once = once
        self._host, self._port, self._rest_port = host, port, rest_port
        self._ping_interval_s, self._ping_timeout_s, self._tls = (
            ping_interval_s,
            ping_timeout_s,
            tls,
        )
        self._audience: Audience[ALine] = Audience()
        self._logins = LoginFaults()
        self._ending = (1000, "")
        self._server: Server | None = None
        self._runner: web.AppRunner | None = None
        self._playing: asyncio.Task[None] | None = None

    # -- what a provider says of itself

    @abstractmethod
    def _application(self) -> web.Application:
        """The REST side."""

    @abstractmethod
    def _upgrade(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        """The refusal of a client at the door; None lets it in."""

    @abstractmethod
    def _line(self, socket: ServerConnection) -> ALine:
        """A line for a client that was let in."""

    @abstractmethod
    async def _converse(self, line: ALine) -> None:
        """Talk with a client until it leaves."""

    @abstractmethod
    def _hit(self, line: ALine, fault: str) -> None:
        """Make a connection fault happen to one client."""

    # -- its life

    @property
    def port(self) -> int:
        """The WebSocket's port, once started."""
        if self._server is None:
            raise RuntimeError("the simulator has no port yet; call start() first")
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def ws_url(self) -> str:
        """``ws://host:port`` of the sockets, once started."""
        return f"{'wss' if self._tls else 'ws'}://{self._host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """``http://host:port`` of the REST side, once started."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the simulator has no REST port yet; call start() first")
        return f"http://{self._host}:{self._runner.addresses[0][1]}"

    async def start(self) -> None:
        """Listen on both ports; OSError, and nothing left behind, when one is taken."""
        self._runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_S
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._rest_port).start()
            self._server = await self._listen()
        except OSError:
            await self._runner.cleanup()
            raise
        self._playing = asyncio.create_task(self._play(), name="simulator")

    async def _listen(self) -> Server:
        return await serve(
            self._attend,
            self._host,
            self._port,
            process_request=self._upgrade,
            compression=None,
            ping_interval=self._ping_interval_s,
            ping_timeout=self._ping_timeout_s,
            close_timeout=1,
            ssl=self._tls,
        )

    async def stop(self) -> None:
        """End what is played, with 1001 for every connection; raises what it failed with."""
        for line in self._audience.lines:
            if line.muted:
                line.reset()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._playing is not None:
            self._playing.cancel()
            with suppress(asyncio.CancelledError):
                await self._playing

    async def gone(self) -> None:
        """Return when nobody is connected."""
        await self._audience.gone()

    async def left(self, within_s: float) -> None:
        """Return when nobody is connected any more, at the latest ``within_s`` from now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.gone()

    async def ended(self) -> None:
        """Return when all is played (with ``once``) or failed, and the clients have gone."""
        await self.finished.wait()
        if self._playing is not None:
            await asyncio.wait({self._playing}, timeout=CLOSING_S)

    # -- faults

    def inject(self, fault: str, after: int = 0) -> None:
        """Make a fault happen once ``after`` more events were sent; FaultError if unknown.

        A connection fault with ``after=0`` happens now, also when no events flow.
        """
        name = self.known.parse(fault).name
        if after == 0 and kind_of(name) in self.known.connection:
            self._strike(name)
        else:
            self._plan(Fault(self.statistics.taken + after if after else 0, name))

    def _plan(self, fault: Fault) -> None:
        if fault.name in self.known.login and fault.after == 0:
            self._logins.plan(fault.name)
        else:
            self._player.plan(fault)

    def _strike(self, name: str) -> None:
        """Make a connection fault happen to all who listen, or prepare one for the next login."""
        if name in self.known.login:
            self._logins.plan(name)
            return
        self.statistics.faults[name] += 1
        for line in self._audience.listeners():
            self._hit(line, name)

    def _takes(self, among: Container[str]) -> str | None:
        """The next planned login fault of these, which happens now; None without one."""
        name = self._logins.take(among)
        if name is not None:
            self.statistics.faults[name] += 1
        return name

    # -- clients, and the end

    async def _attend(self, socket: ServerConnection) -> None:
        """Serve one client from the upgrade to its end."""
        self.statistics.connections += 1
        line = self._line(socket)
        self._audience.lines.append(line)
        sending = asyncio.create_task(line.outbox.run())
        try:
            await self._converse(line)
        except ConnectionClosed:
            line.closing = True  # the client is gone, or was dropped by a fault
        finally:
            line.closing = True
            line.outbox.discard()
            self._audience.lines.remove(line)
            line.ended()
            self._audience.changed()
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await sending

    async def _play(self) -> None:
        try:
            await self._player.run()
        except Exception:
            self._end(1011, "the source failed")
            raise
        if self._once:
            self._end(1000, "end of source")
            await self.gone()

    def _end(self, code: int, reason: str) -> None:
        """Close every connection, and those that still come as soon as they say something."""
        self._ending = (code, reason)
        self.finished.set()
        for line in self._audience.lines:
            line.close(code, reason)
