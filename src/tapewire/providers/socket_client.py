"""What every client that keeps a socket up has alike: bounds, opening, leaving, waits, pauses.

``massive/client.py`` and ``broker_client.py`` are the two; what they read, and what an ending
means, is theirs.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

_socket_log: Final = logging.getLogger(f"{__name__}.socket")
# At DEBUG the library writes requests and frames to its log, credentials included.
_socket_log.setLevel(logging.INFO)
_T = TypeVar("_T")

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class SocketBounds(Struct, frozen=True, kw_only=True):
    """What a client of a socket puts up with; seconds where nothing else is said.

    ``stable_s``: data for so long makes the next back-off start small again. A back-off is
    ``draw() * min(cap, base * 2 ** n)``.
    """

    open_timeout_s: float = 10.0
    auth_timeout_s: float = 10.0
    close_timeout_s: float = 2.0
    ping_interval_s: float = 20.0
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 30.0
    stable_s: float = 10.0
    max_frame_bytes: int = 16 * 1024 * 1024
    max_queued_frames: int = 256


_Bounds = TypeVar("_Bounds", bound=SocketBounds)


class SocketClient(Generic[_Bounds]):
    """A client that reads one socket at a time, until ``stop``, and can be paused.

    ``clock`` is monotonic seconds, ``draw`` a number in [0, 1) for the jitter. ``live`` says
    whether data is expected now (the market is open).
    """

    def __init__(
        self,
        bounds: _Bounds,
        *,
        clock: Callable[[], float],
        draw: Callable[[], float],
        live: Callable[[], bool],
    ) -> None:
        self._bounds = bounds
        self._clock = clock
        self._draw = draw
        self._live = live
        self._stopping = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._attempts = 0
        self._quiet_since = 0.0

    @property
    def paused(self) -> bool:
        """Reading has been stopped by ``pause``."""
        return not self._reading.is_set()

    def pause(self) -> None:
        """Stop reading the socket: back-pressure, for sources that can wait and nothing else."""
        self._reading.clear()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self._quiet_since = self._clock()
            self._reading.set()

    def stop(self) -> None:
        """Make ``run`` close the socket and return."""
        self._stopping.set()

    async def _unless_stopped(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """Await ``work``, but cancel it and return None when ``stop`` is called."""
        tasks = asyncio.create_task(work), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return tasks[0].result() if tasks[0].done() else None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _backoff_s(self) -> float:
        """Capped exponential back-off with full jitter."""
        ceiling = self._bounds.backoff_base_s * 2.0 ** min(self._attempts, 32)
        self._attempts += 1
        return self._draw() * min(self._bounds.backoff_cap_s, ceiling)


def connecting(
    url: str,
    bounds: SocketBounds,
    *,
    headers: Mapping[str, str] | None = None,
    kind: type[ClientConnection] = ClientConnection,
) -> connect:
    """What opens a socket, awaited or entered; it raises what ``websockets.connect`` raises.

    ValueError for an address that cannot be read. ``kind`` of connection is made.
    """
    return connect(
        url,
        additional_headers=headers,
        create_connection=kind,
        logger=_socket_log,
        compression=None,
        # A proxy from the environment must not come between us and our own machine.
        proxy=None if urlsplit(url).hostname in _LOOPBACK else True,
        open_timeout=bounds.open_timeout_s,
        close_timeout=bounds.close_timeout_s,
        ping_interval=bounds.ping_interval_s,
        # A provider does not always answer pings while it sends (massive.md 1.3), and a pong
        # that is late under load ends nothing: whether a connection lives, its bytes tell.
        ping_timeout=None,
        max_size=bounds.max_frame_bytes,
        max_queue=bounds.max_queued_frames,
    )


async def leave(socket: ClientConnection, goodbye: Sequence[bytes | str], within_s: float) -> None:
    """Close by our own will: 1000, not 1011; cut off when the other side takes too long.

    Its answer stands behind what it has already sent, which is thrown away.
    """
    closing: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(within_s):
            for message in goodbye:
                await socket.send(message)
            closing = asyncio.create_task(socket.close())
            while True:
                await socket.recv(decode=False)
    except (ConnectionClosed, TimeoutError):
        socket.transport.abort()
    finally:
        if closing is not None:
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
