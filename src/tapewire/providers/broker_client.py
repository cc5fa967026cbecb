"""The only code that holds a broker's socket: it reads, answers, watches and reconnects.

What a frame means is the broker's ``protocol.py``; what its codes ask for is the vocabulary of
``disconnects.py``, carried out here, for all brokers alike. Which broker is listened to is
decided elsewhere (``failover.py``): a client ends for good only where trying again would not help.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeAlias

from msgspec import Struct, field, to_builtins
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.providers.broker import Address, Broker, BrokerConnection, BrokerError, Ending
from tapewire.providers.broker_socket import (
    AGAIN,
    BrokerSocket,
    ClientBounds,
    dropped,
    open_socket,
    unreachable,
    without_secrets,
)
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.providers.socket_client import SocketClient, leave
from tapewire.runtime.together import until_one_ends

_log: Final = logging.getLogger(__name__)

Take: TypeAlias = Callable[[bytes | str, Sequence[Tick]], None]
"""What the reader hands each frame to: the frame as it came, and its ticks in order."""


class ClientState(StrEnum):
    """Where a client is in its life."""

    STOPPED = "stopped"
    AUTHORIZING = "authorizing"
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    STREAMING = "streaming"
    WAITING = "waiting"
    ENDED = "ended"


class ClientStatistics(Struct):
    """Counts since the client was made. ``interruptions``: connections lost after data came."""

    connections: int = 0
    interruptions: int = 0
    reconnects: int = 0
    frames: int = 0
    ticks: int = 0
    refreshes: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class BrokerClient(SocketClient[ClientBounds]):
    """One connection to one broker at a time, kept up for as long as ``run`` runs.

    ``clock`` is monotonic seconds, ``clock_ns`` the wall clock that ticks are stamped with,
    ``draw`` a number in [0, 1) for the jitter. ``live`` says whether data is expected now
    (the market is open). ``ended`` is the Fatal ending after which ``run`` returned.
    """

    def __init__(
        self,
        broker: Broker,
        instruments: Iterable[Instrument] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        clock_ns: Callable[[], int] = time.time_ns,
        draw: Callable[[], float] = random.random,
        live: Callable[[], bool] = lambda: True,
        bounds: ClientBounds | None = None,
    ) -> None:
        super().__init__(bounds or ClientBounds(), clock=clock, draw=draw, live=live)
        self.broker = broker
        self.name = broker.name
        self._instruments = {one.key: one for one in instruments}
        self._clock_ns = clock_ns
        self._connection: BrokerConnection | None = None
        self._socket: BrokerSocket | None = None
        self._refused: str | None = None
        self._opened_at = self._life_at = 0.0
        self._first_tick_at: float | None = None
        self._verdict: Ending | None = None
        self._faults_before: Counter[str] = Counter()
        self._learned: list[Reference] = []
        self.heard_at: float | None = None
        self.state = ClientState.STOPPED
        self.ended: Ending | None = None
        self.last_ending = ""
        self.statistics = ClientStatistics()

    # -- what it says of itself

    @property
    def connected(self) -> bool:
        """A socket is open."""
        return self._socket is not None

    @property
    def authenticated(self) -> bool:
        """The broker took the credentials on this connection."""
        return self._connection is not None and self._connection.authenticated

    @property
    def proved(self) -> int:
        """Instruments of which something has come on this connection."""
        return 0 if self._connection is None else self._connection.proved

    @property
    def ready(self) -> bool:
        """Authenticated, and every subscription proved, or as many as will be.

        That is after ``prove_s``: some at least, while data is expected.
        """
        if not self.authenticated or not self.connected:
            return False
        proved, settled = self.proved, self._clock() - self._opened_at >= self._bounds.prove_s
        if proved >= len(self._instruments):
            return True
        return settled and (proved > 0 or not self._live())

    @property
    def healthy(self) -> bool:
        """Ticks came on this connection and data still does; outside the session, life does."""
        if not self.authenticated or not self.connected:
            return False
        now = self._clock()
        if self._live() and not self.paused:
            return self._first_tick_at is not None and now - self._quiet_since < self._bounds.mute_s
        return self.paused or now - self._life_at < self._bounds.life_s

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """What is subscribed to, on this connection and the next ones, by join key."""
        return self._instruments

    def references(self) -> list[Reference]:
        """Names and previous closes that were learned since the last call."""
        learned, self._learned = self._learned, []
        if self._connection is not None:
            learned += self._connection.references()
        return learned

    def status(self) -> dict[str, Any]:
        """Figures for reports; nothing in it is secret."""
        connection = self._connection
        counts: dict[str, Any] = to_builtins(self.statistics)
        counts["faults"] = dict(self._faults())
        return counts | {
            "state": self.state.value,
            "healthy": self.healthy,
            "instruments": len(self._instruments),
            "proved": self.proved,
            "last_ending": self.last_ending,
            "feed": {} if connection is None else dict(connection.status()),
        }

    # -- what it can be told

    async def subscribe(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments, now and after every reconnect.

        Raises ValueError, and adds nothing, beyond the broker's limit; without a connection
        that shows at the next one, which then is Fatal.
        """
        new = {one.key: one for one in instruments if one.key not in self._instruments}
        if self._connection is not None:
            self._connection.subscribe(list(new.values()))
        self._instruments |= new
        await self._send_pending()

    async def unsubscribe(self, keys: Iterable[str]) -> None:
        """Give instruments back by join key, now and after every reconnect."""
        gone = [one for key in keys if (one := self._instruments.pop(key, None)) is not None]
        if self._connection is not None:
            self._connection.unsubscribe(gone)
        await self._send_pending()

    # -- the run

    async def run(self, take: Take) -> Ending | None:
        """Connect, read and reconnect until ``stop`` (None) or a Fatal ending, which is returned.

        ``take`` is called for every frame on the event loop and must return at once. To run
        again is to try again, whatever was Fatal before.
        """
        self._stopping.clear()
        self.ended, self._refused, self._attempts = None, None, 0
        try:
            while not self._stopping.is_set():
                ending = await self._unless_stopped(self._session(take))
                if ending is None:
                    return None
                wait_s = self._follow(ending)
                if isinstance(wait_s, Ending):
                    self.ended = wait_s
                    return wait_s
                self.state = ClientState.WAITING
                await self._unless_stopped(asyncio.sleep(wait_s))
                self.statistics.reconnects += not self._stopping.is_set()
            return None
        finally:
            self._rest()

    def _rest(self) -> None:
        self.state = ClientState.STOPPED if self.ended is None else ClientState.ENDED

    def _follow(self, ending: Ending) -> float | Ending:
        """Seconds until the next attempt; the Fatal ending where there must be none."""
        self.last_ending = f"{ending.reason}: {ending.detail}" if ending.detail else ending.reason
        self.statistics.endings[ending.reason] += 1
        wait_s = 0.0
        match ending.policy:
            case Fatal():
                return self._fatal(ending, ending.policy)
            case RefreshToken(advice):
                self.statistics.refreshes += 1
                used, before = self.broker.credential(), self._refused
                self._refused = used
                if used == before:
                    said = f"refused twice, not changed since; {advice}"
                    return self._fatal(ending, Fatal(said, renewable=True))
            case BackOff(seconds):
                wait_s = seconds
        wait_s += self._backoff_s()
        _log.warning("%s: %s; next connection in %.1f s", self.name, self.last_ending, wait_s)
        return wait_s

    def _fatal(self, ending: Ending, policy: Fatal) -> Ending:
        _log.error("%s: %s; not tried again: %s", self.name, self.last_ending, policy.advice)
        return Ending(ending.reason, policy, ending.detail)

    # -- one connection

    async def _session(self, take: Take) -> Ending:
        """One connection from its authorization to its end; returns why it ended."""
        self.state = ClientState.AUTHORIZING
        try:
            async with asyncio.timeout(self._bounds.authorize_timeout_s):
                address = await self.broker.authorize()
        except BrokerError as refused:
            return refused.ending
        except TimeoutError:
            return Ending("unauthorized", AGAIN, "the broker's REST gave no answer in time")
        return without_secrets(await self._connect(address, take), address)

    async def _connect(self, address: Address, take: Take) -> Ending:
        """Open the socket and read it to its end; returns why it ended."""
        self.state = ClientState.CONNECTING
        try:
            socket = await open_socket(address, self._bounds)
        except InvalidStatus as refused:
            return self.broker.refused(refused.response.status_code)
        except (OSError, WebSocketException, ValueError) as error:
            return unreachable(error)
        return await self._hold(socket, take)

    async def _hold(self, socket: BrokerSocket, take: Take) -> Ending:
        """Read and watch an open socket until either has a reason to end; then leave it."""
        try:
            connection = self.broker.connection(self._clock())
        except BrokerError as refused:
            socket.transport.abort()
            return refused.ending
        self._begin(socket, connection)
        try:
            try:
                connection.subscribe(list(self._instruments.values()))
            except ValueError as error:
                return Ending("too_many_instruments", Fatal("subscribe to fewer"), str(error))
            connection.opened(self._clock())
            return await until_one_ends(
                self._read(socket, connection, take), self._watch(socket, connection)
            )
        finally:
            connection.close()
            self._finish(connection)
            await leave(socket, connection.data_to_send(), self._bounds.close_timeout_s)

    def _begin(self, socket: BrokerSocket, connection: BrokerConnection) -> None:
        self._socket, self._connection, self._verdict = socket, connection, None
        self._opened_at = self._quiet_since = self._life_at = self._clock()
        self._first_tick_at = None
        # The counter may be one that a broker's connections share.
        self._faults_before = Counter(connection.faults)
        self.state = ClientState.AUTHENTICATING
        self.statistics.connections += 1
        socket.heard = self._heard

    def _finish(self, connection: BrokerConnection) -> None:
        began = self._first_tick_at
        if began is not None:
            self.statistics.interruptions += not self._stopping.is_set()
            if self._quiet_since - began >= self._bounds.stable_s:
                self._attempts = 0
        self.statistics.faults = self._faults()
        self._learned += connection.references()
        self._socket = self._connection = None

    def _faults(self) -> Counter[str]:
        if self._connection is None:
            return self.statistics.faults
        return self.statistics.faults + (self._connection.faults - self._faults_before)

    async def _read(self, socket: BrokerSocket, connection: BrokerConnection, take: Take) -> Ending:
        """Move frames to ``take`` until the connection ends; returns why."""
        clock, clock_ns, receive = self._clock, self._clock_ns, connection.receive
        try:
            await self._send(socket, connection.data_to_send())
            while connection.ending is None:
                if self.paused:
                    await self._reading.wait()
                frame = await socket.recv()
                now = clock()
                ticks = receive(frame, clock_ns(), now)
                self._note(now, ticks)
                take(frame, ticks)
                if messages := connection.data_to_send():
                    await self._send(socket, messages)
        except ConnectionClosed as closed:
            return self._verdict or connection.ending or dropped(closed)
        return connection.ending

    def _note(self, now: float, ticks: Sequence[Tick]) -> None:
        self._quiet_since = self._life_at = now
        self.statistics.frames += 1
        if not ticks:
            return
        self.statistics.ticks += len(ticks)
        if self._first_tick_at is None:
            self._first_tick_at = now
            self._refused = None
            self.state = ClientState.STREAMING
        if not ticks[-1].flags & TICK_SNAPSHOT:
            self.heard_at = now

    def _heard(self) -> None:
        """A ping or pong came."""
        self._life_at = now = self._clock()
        if self._connection is not None:
            self._connection.heard(now)

    async def _send_pending(self) -> None:
        if self._connection is not None and self._socket is not None:
            await self._send(self._socket, self._connection.data_to_send())

    async def _send(self, socket: BrokerSocket, messages: Sequence[bytes | str]) -> None:
        """Send in order; a server that does not read for too long is left."""
        try:
            async with asyncio.timeout(self._bounds.send_timeout_s):
                for message in messages:
                    await socket.send(message)
        except TimeoutError:
            self._verdict = Ending("stuck", AGAIN, "the server does not read what we send")
            socket.transport.abort()
        except ConnectionClosed:
            return  # its reader says so

    # -- the watchdog

    async def _watch(self, socket: BrokerSocket, connection: BrokerConnection) -> Ending:
        """Drive the connection's heartbeats; return why it should end, the socket aborted."""
        while True:
            await asyncio.sleep(self._bounds.watch_s)
            now = self._clock()
            if self.paused:
                self._heard()  # whoever does not read cannot tell
            connection.due(now)
            ending = connection.ending or self._objection(connection, now)
            if ending is not None:
                # A half-open socket would keep a closing handshake waiting.
                self._verdict = ending
                socket.transport.abort()
                return ending
            await self._send(socket, connection.data_to_send())

    def _objection(self, connection: BrokerConnection, now: float) -> Ending | None:
        """Why a connection that has no complaint of its own should end all the same."""
        bounds = self._bounds
        if not connection.authenticated and now - self._opened_at > bounds.auth_timeout_s:
            return Ending("auth_timeout", AGAIN, "no answer to the credentials")
        if self.paused or not self._instruments or not self._live():
            self._quiet_since = now
        if now - self._quiet_since > bounds.mute_s:
            return Ending("mute", AGAIN, f"no data for {bounds.mute_s:g} s, only life")
        return None
