"""A broker's socket: how it is opened, how it is left, and what its end means.

``broker_client.py`` reads and watches it.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import Frame, Opcode

from tapewire.providers.broker import Address, Ending
from tapewire.providers.disconnects import UNTRUSTED, BackOff, Fatal

_socket_log: Final = logging.getLogger(__name__)
# At DEBUG the library writes requests and frames to its log, credentials included.
_socket_log.setLevel(logging.INFO)

AGAIN: Final = BackOff(0.0)
"""After an ending that no broker's table names: only the growing, jittered wait."""

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_LIFE: Final = frozenset({Opcode.PING, Opcode.PONG})


class ClientBounds(Struct, frozen=True):
    """What a client puts up with; seconds where nothing else is said.

    ``mute_s``: without a data frame for so long, while data is expected and we read, a
    connection is ended: pings prove that the socket lives, not that the feed does. Who
    subscribes to nothing but instruments that hardly trade raises it. ``prove_s``: how long
    subscriptions may remain without data before the connection counts as ready all the same.
    ``stable_s``: data for so long makes the next back-off start small again. A wait is the
    policy's seconds and ``draw() * min(cap, base * 2 ** n)`` more.
    """

    mute_s: float = 60.0
    life_s: float = 45.0
    prove_s: float = 15.0
    authorize_timeout_s: float = 30.0
    open_timeout_s: float = 10.0
    auth_timeout_s: float = 10.0
    send_timeout_s: float = 10.0
    close_timeout_s: float = 2.0
    ping_interval_s: float = 10.0
    watch_s: float = 1.0
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 60.0
    stable_s: float = 10.0
    max_frame_bytes: int = 16 * 1024 * 1024
    max_queued_frames: int = 256


class BrokerSocket(ClientConnection):
    """A connection that also tells of pings and pongs, which the library keeps to itself."""

    heard: Callable[[], None] | None = None

    def process_event(self, event: Any) -> None:
        """Process one event of the library's own protocol."""
        if self.heard is not None and isinstance(event, Frame) and event.opcode in _LIFE:
            self.heard()
        super().process_event(event)


async def open_socket(address: Address, bounds: ClientBounds) -> BrokerSocket:
    """Connect; raises what ``websockets.connect`` raises, and ValueError for a bad address."""
    connecting = connect(
        address.url,
        additional_headers=dict(address.headers),
        create_connection=BrokerSocket,
        logger=_socket_log,
        compression=None,
        # A proxy from the environment must not come between us and our own machine.
        proxy=None if urlsplit(address.url).hostname in _LOOPBACK else True,
        open_timeout=bounds.open_timeout_s,
        close_timeout=bounds.close_timeout_s,
        ping_interval=bounds.ping_interval_s,
        # A pong that is late under load ends nothing: what is silence, the protocol says.
        ping_timeout=None,
        max_size=bounds.max_frame_bytes,
        max_queue=bounds.max_queued_frames,
    )
    return cast("BrokerSocket", await connecting)


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


def dropped(closed: ConnectionClosed) -> Ending:
    """The ending of a connection that the other side closed, or that broke."""
    frame = closed.rcvd
    told = "without a closing frame" if frame is None else f"code {int(frame.code)} {frame.reason}"
    return Ending("dropped", AGAIN, told.strip())


def unreachable(error: Exception) -> Ending:
    """What a failed connect means. Addresses may hold credentials, so most texts are not shown."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Ending("untrusted", UNTRUSTED, error.verify_message)
    if not isinstance(error, OSError | InvalidHandshake):
        return Ending("bad_address", Fatal("check the broker's addresses in the settings"))
    detail = str(error) if isinstance(error, OSError) else type(error).__name__
    return Ending("unreachable", AGAIN, detail or type(error).__name__)
