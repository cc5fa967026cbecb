"""The only code that holds Massive's socket: it reads, answers, watches and reconnects.

What a frame means is the protocol's business (``protocol.py``). The provider ends slow
readers and allows one connection, so the reader does nothing but hand bytes on, and every
wait after a lost connection follows the protocol's table.
"""

import asyncio
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from msgspec import Struct, field
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from tapewire.providers.batcher import Slice
from tapewire.providers.massive.protocol import (
    RECONNECT,
    Backoff,
    CloseReason,
    ConnectionState,
    CoolDown,
    FrameSplitter,
    MassiveConnection,
    Status,
    Stop,
    upgrade_refusal,
)
from tapewire.providers.socket_client import SocketBounds, SocketClient, connecting, leave
from tapewire.runtime.service import DependencyMissing, RefusedByProvider

_log: Final = logging.getLogger(__name__)

Take: TypeAlias = Callable[[bytes, Sequence[Slice]], None]
"""What the reader hands each frame to: its bytes, and the slices that were cut from it."""


class ClientBounds(SocketBounds, frozen=True, kw_only=True):
    """What the client puts up with.

    ``idle_s``: without a byte for so long, while the feed should be live and we read, the
    connection counts as mute. ``max_unreachable``: consecutive failures to connect before
    giving up (None: never; a replay gives up, since its source will not come back).
    """

    idle_s: float = 30.0
    confirm_timeout_s: float = 5.0
    alarm_frame_bytes: int = 1_000_000
    max_unreachable: int | None = None


class ClientStatistics(Struct):
    """Counts since the client was made. ``alarms``: endings that somebody should look at."""

    connections: int = 0
    reconnects: int = 0
    large_frames: int = 0
    refused_topics: int = 0
    alarms: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


class MassiveClient(SocketClient[ClientBounds]):
    """One connection to Massive at a time, kept up for as long as ``run`` runs.

    ``url`` is from ``feeds.endpoint``. ``live`` says whether data is expected now (the market
    is open); ``clock`` is monotonic seconds, ``draw`` a number in [0, 1) for the jitter.
    ``once`` ends the run when a replay's source ends.
    """

    def __init__(
        self,
        url: str,
        key: str,
        topics: Iterable[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        live: Callable[[], bool] = lambda: True,
        once: bool = False,
        bounds: ClientBounds | None = None,
        reconnect: Mapping[CloseReason, Stop | CoolDown | Backoff] = RECONNECT,
    ) -> None:
        super().__init__(bounds or ClientBounds(), clock=clock, draw=draw, live=live)
        self.url = url
        self._key = key
        self._topics = dict.fromkeys(topics)
        self._once = once
        self._reconnect = reconnect
        self._unreachable = 0
        self._connection: MassiveConnection | None = None
        self._socket: ClientConnection | None = None
        self._first_data_at: float | None = None
        self.last_bytes_at: float | None = None
        self.unconfirmed: list[str] = []
        self.last_ending = ""
        self.statistics = ClientStatistics()

    # -- what it says of itself

    @property
    def state(self) -> ConnectionState:
        """The state of the connection that is, ``closed`` between two of them."""
        return self._connection.state if self._connection else ConnectionState.CLOSED

    @property
    def connected(self) -> bool:
        """A socket is open."""
        return self._socket is not None and self.state is not ConnectionState.CLOSED

    @property
    def authenticated(self) -> bool:
        """The provider accepted the key on this connection."""
        return self._connection is not None and self._connection.authenticated

    @property
    def subscribed(self) -> bool:
        """Topics are confirmed or data flows on this connection."""
        return self.state is ConnectionState.STREAMING

    @property
    def healthy(self) -> bool:
        """Subscribed, and bytes came lately wherever they are expected."""
        return self.subscribed and not self._is_mute(self._clock())

    @property
    def topics(self) -> list[str]:
        """What is subscribed to, on this connection and the next ones."""
        return list(self._topics)

    # -- what it can be told

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Add topics, now and after every reconnect."""
        self._topics.update(dict.fromkeys(topics))
        if self._connection is not None:
            self._connection.subscribe(topics)
            await self._send_pending()

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give topics back, now and after every reconnect."""
        for topic in topics:
            self._topics.pop(topic, None)
        if self._connection is not None:
            self._connection.unsubscribe(topics)
            await self._send_pending()

    # -- the run

    async def run(self, splitter: FrameSplitter, take: Take) -> None:
        """Connect, read and reconnect until ``stop`` or, with ``once``, the source's end.

        ``take`` is called for every frame on the event loop and must return at once.
        Raises RefusedByProvider when trying again would not help, DependencyMissing when
        a replay's source cannot be reached.
        """
        self._stopping.clear()
        while not self._stopping.is_set():
            reason = await self._unless_stopped(self._session(splitter, take))
            if reason is None or (self._once and reason is CloseReason.END_OF_SOURCE):
                return
            await self._unless_stopped(asyncio.sleep(self._wait_s(reason)))
            self.statistics.reconnects += 1

    def _wait_s(self, reason: CloseReason) -> float:
        """Seconds until the next attempt; raises where there must be none."""
        detail = self.last_ending
        wait_s = self._backoff_s()
        match self._reconnect[reason]:
            case Stop(advice):
                raise RefusedByProvider(f"Massive refused: {detail}; {advice}")
            case CoolDown(seconds):
                wait_s += seconds
            case Backoff(alarm):
                self.statistics.alarms += alarm
        limit = self._bounds.max_unreachable
        if limit is not None and self._unreachable >= limit:
            raise DependencyMissing(
                f"cannot reach {self.url} ({detail}) after {self._unreachable} attempts; "
                "is the server running?"
            )
        _log.warning("connection ended (%s: %s); next in %.1f s", reason, detail, wait_s)
        return wait_s

    async def _session(self, splitter: FrameSplitter, take: Take) -> CloseReason:
        """One connection from its first byte to its end; returns why it ended."""
        connection = MassiveConnection(self._key, self._topics, splitter)
        self._connection = connection
        self._first_data_at = None
        try:
            async with connecting(self.url, self._bounds) as socket:
                self._begin(socket, connection)
                watchdog = asyncio.create_task(self._watch(socket, connection))
                try:
                    await self._read(socket, connection, take)
                except asyncio.CancelledError:
                    await leave(socket, (), self._bounds.close_timeout_s)
                    raise
                finally:
                    watchdog.cancel()
                    await asyncio.gather(watchdog, return_exceptions=True)
        except ConnectionClosed as closed:
            frame = closed.rcvd
            connection.closed(frame.code if frame else 1006, frame.reason if frame else "")
        except (OSError, InvalidHandshake, InvalidURI) as error:
            self._unreachable += 1
            connection.end(_connect_failure(error), str(error) or type(error).__name__)
        finally:
            self._finish(connection)
        return connection.reason or CloseReason.DROPPED

    def _begin(self, socket: ClientConnection, connection: MassiveConnection) -> None:
        self._socket = socket
        self._unreachable = 0
        self._quiet_since = self._clock()
        self.statistics.connections += 1
        connection.opened()

    def _finish(self, connection: MassiveConnection) -> None:
        self._socket = None
        began, last = self._first_data_at, self.last_bytes_at
        if began is not None and last is not None and last - began >= self._bounds.stable_s:
            self._attempts = 0
        ending = connection.end(CloseReason.DROPPED, "stopped")
        self.last_ending = f"{ending.value}: {connection.message}"
        if not self._stopping.is_set():
            self.statistics.endings[ending.value] += 1
        self.statistics.refused_topics += connection.refused
        self.statistics.notes.update(connection.notes)

    async def _read(
        self, socket: ClientConnection, connection: MassiveConnection, take: Take
    ) -> None:
        """Move frames to ``take`` until the connection ends."""
        while connection.state is not ConnectionState.CLOSED:
            if self.paused:
                await self._reading.wait()
            frame = await socket.recv(decode=False)
            self._note_bytes(len(frame))
            items = connection.receive(frame)
            slices = [item for item in items if isinstance(item, Slice)]
            if slices:
                self._note_data()
            take(frame, slices)
            if len(slices) < len(items):
                self._log_statuses(items)
                await self._send_pending()

    def _note_bytes(self, size: int) -> None:
        self.last_bytes_at = self._quiet_since = self._clock()
        if size > self._bounds.alarm_frame_bytes:
            self.statistics.large_frames += 1

    def _note_data(self) -> None:
        """Remember when data first came: a stable connection forgives earlier failures."""
        if self._first_data_at is None:
            self._first_data_at = self._quiet_since

    def _log_statuses(self, items: Sequence[Slice | Status]) -> None:
        for item in items:
            if isinstance(item, Status):
                _log.debug("status %s: %s", item.status, item.message)

    async def _send_pending(self) -> None:
        connection, socket = self._connection, self._socket
        if connection is None or socket is None:
            return
        for message in connection.data_to_send():
            # When the socket has just ended, its reader says so.
            with suppress(ConnectionClosed):
                await socket.send(message, text=True)

    # -- the watchdog

    async def _watch(self, socket: ClientConnection, connection: MassiveConnection) -> None:
        """End a connection that does not authenticate, or carries no bytes; ask again."""
        bounds = self._bounds
        opened = self._clock()
        while True:
            await asyncio.sleep(min(1.0, bounds.idle_s / 4, bounds.auth_timeout_s / 4))
            now = self._clock()
            if not connection.authenticated and now - opened > bounds.auth_timeout_s:
                _abort(socket, connection, CloseReason.AUTH_TIMEOUT, "no answer to the key")
            elif self._is_mute(now):
                _abort(socket, connection, CloseReason.MUTE, f"no bytes for {bounds.idle_s:g} s")
            else:
                self.unconfirmed = connection.reconcile(now, bounds.confirm_timeout_s)
                await self._send_pending()

    def _is_mute(self, now: float) -> bool:
        """No bytes for too long, counted only while we read and data is expected."""
        if self.paused or not self._live():
            self._quiet_since = now
        return now - self._quiet_since > self._bounds.idle_s


def _abort(
    socket: ClientConnection, connection: MassiveConnection, reason: CloseReason, message: str
) -> None:
    """End at once: a half-open socket would keep a closing handshake waiting."""
    connection.end(reason, message)
    socket.transport.abort()


def _connect_failure(error: Exception) -> CloseReason:
    if isinstance(error, InvalidStatus):
        return upgrade_refusal(error.response.status_code)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CloseReason.UNTRUSTED
    return CloseReason.UNREACHABLE
