"""A broker's socket: how it is opened, and what its end means.

``broker_client.py`` reads and watches it.
"""

import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from msgspec import structs
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import Frame, Opcode

from tapewire.providers.broker import Address, Ending
from tapewire.providers.disconnects import UNTRUSTED, BackOff, Fatal
from tapewire.providers.socket_client import SocketBounds, connecting
from tapewire.runtime.redact import Redactor

AGAIN: Final = BackOff(0.0)
"""After an ending that no broker's table names: only the growing, jittered wait."""

BAD_ADDRESS: Final = Fatal(
    "check the broker's addresses in the settings, and a proxy's in the environment"
)

_LIFE: Final = frozenset({Opcode.PING, Opcode.PONG})


class ClientBounds(SocketBounds, frozen=True, kw_only=True):
    """What a client puts up with; seconds where nothing else is said.

    ``mute_s``: without a data frame for so long, while data is expected and we read, a
    connection is ended: pings prove that the socket lives, not that the feed does. Who
    subscribes to nothing but instruments that hardly trade raises it. ``prove_s``: how long
    subscriptions may remain without data before the connection counts as ready all the same.
    A wait is the policy's seconds and the back-off more.
    """

    mute_s: float = 60.0
    life_s: float = 45.0
    prove_s: float = 15.0
    authorize_timeout_s: float = 30.0
    send_timeout_s: float = 10.0
    ping_interval_s: float = 10.0
    watch_s: float = 1.0
    backoff_cap_s: float = 60.0


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
    made = connecting(address.url, bounds, headers=dict(address.headers), kind=BrokerSocket)
    return cast("BrokerSocket", await made)


def without_secrets(ending: Ending, address: Address) -> Ending:
    """An ending that shows nothing of what the address carried, whoever repeated it."""
    return structs.replace(ending, detail=Redactor(address.secrets).text(ending.detail))


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
        return Ending("bad_address", BAD_ADDRESS)
    detail = str(error) if isinstance(error, OSError) else type(error).__name__
    return Ending("unreachable", AGAIN, detail or type(error).__name__)
