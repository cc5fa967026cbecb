"""What a broker says on its side of a socket, without I/O: the seam of the broker simulators.

``broker_server.py`` holds sockets, tape and pacing for all brokers; each broker's module
(``upstox.py``, ``fyers.py``, ``dhan.py``) speaks for one and answers its REST calls.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick


class Account(Struct, kw_only=True):
    """The one account of a simulated broker. ``token`` None: any that is not empty is taken.

    ``max_connections`` and ``max_instruments`` bound it; None leaves it to the broker's own.
    """

    token: str | None = None
    max_connections: int | None = None
    max_instruments: int | None = None


class Market(Protocol):
    """What a voice may ask of the market that is played."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """By ``Instrument.key``."""

    def last(self, key: str) -> Tick | None:
        """The newest tick of an instrument so far; None before its first."""

    def previous_close(self, key: str) -> float:
        """The close of the session before, in rupees; 0.0 where there was none."""


class HttpAnswer(Struct, frozen=True):
    """An answer to a REST call or a refused upgrade."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


Messages = list[bytes | str]
"""To send in order: str as text frame, bytes as binary frame."""


class Voice(Protocol):
    """One client's connection from the broker's side. ``close_code`` set: close after sending."""

    close_code: int | None

    @property
    def listening(self) -> bool:
        """Whether the client was let in and has subscribed to something.

        At speed ``max`` a tape waits until somebody is.
        """

    def opened(self) -> Messages:
        """What the broker says first."""

    def receive(self, message: bytes | str) -> Messages:
        """The answer to a client's message: acknowledgements, refusals, snapshots."""

    def ticks(self, ticks: Sequence[Tick]) -> Messages:
        """Frames for those of the ticks that this client has subscribed to."""

    def disconnect(self, reason: int) -> Messages:
        """What the broker says before it ends a connection with a code of its own."""

    def closed(self) -> None:
        """The socket is gone: this connection no longer counts. Called once."""


class BrokerSide(Protocol):
    """One simulated broker: its voices and its REST side.

    ``base_url`` functions give the server's own addresses, known once it listens.
    """

    name: str
    ping_every_s: float | None
    """How often the server sends WebSocket pings; None: never."""

    def admit(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> HttpAnswer:
        """Judge an upgrade; status 101 admits it, anything else is the answer."""

    def voice(self) -> Voice:
        """A voice for a connection that was admitted."""

    def routes(self) -> Mapping[tuple[str, str], Callable[["HttpCall"], Awaitable[HttpAnswer]]]:
        """REST handlers by (method, path)."""


class HttpCall(Struct, frozen=True):
    """A REST call as a broker's handler sees it."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
