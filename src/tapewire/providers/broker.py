"""What the feed needs of a broker: how to open a connection, and one connection without I/O.

Each broker's package has both: ``protocol.py`` the `BrokerConnection`, ``client.py`` the
`Broker`. ``broker_client.py`` holds the socket between them, for all brokers alike.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Protocol
from urllib.parse import unquote_plus

from msgspec import Struct

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.model.rows import Reference
from tapewire.providers.disconnects import Policy


class Ending(Struct, frozen=True):
    """Why a connection ended, or never was, and what follows.

    ``reason`` is a short word that is counted (``token_refused``, ``silent``, ``805``);
    ``detail`` is for people and holds no secret.
    """

    reason: str
    policy: Policy
    detail: str = ""


class BrokerError(Exception):
    """The broker's REST did not give what a connection needs; ``ending`` says what follows."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(f"{ending.reason}: {ending.detail}" if ending.detail else ending.reason)
        self.ending = ending


class BrokerConnection(Protocol):
    """One socket from its opening to its end, sans-IO. A new socket needs a new one.

    ``now_s`` is of any steady clock. ``ending`` is set once the connection should end or the
    broker has said that it does; ``faults`` counts what could not be used, by reason;
    ``authenticated`` is that the broker took the credentials on this socket, ``proved`` the
    number of subscribed instruments of which something has come.
    """

    faults: Counter[str]
    ending: Ending | None

    @property
    def authenticated(self) -> bool:
        """The broker accepted the credentials on this connection."""

    @property
    def proved(self) -> int:
        """Instruments of which something has come."""

    def opened(self, now_s: float) -> None:
        """The socket is open: put out what authenticates and subscribes."""

    def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Ask for instruments; ValueError, and nothing asked, beyond the broker's limit."""

    def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Give instruments back; unknown ones are ignored."""

    def data_to_send(self) -> list[bytes | str]:
        """Messages to send now, in order, each given once: str as text frame, bytes as binary."""

    def receive(self, frame: bytes | str, received_ns: int, now_s: float) -> list[Tick]:
        """Ticks of one frame, in order. Raises nothing: faults are counted.

        ``Tick.exchange`` and ``token`` are the instrument's of the master, ``symbol`` its
        trading symbol; prices lie on the instrument's grid; an update without a price is left
        out (counted as ``no_price``).
        """

    def heard(self, now_s: float) -> None:
        """A ping or pong came: the socket lives."""

    def due(self, now_s: float) -> None:
        """Called about once a second: put out heartbeats; set ``ending`` after a silence."""

    def close(self) -> None:
        """Put out a good-bye where the broker has one."""

    def references(self) -> Sequence[Reference]:
        """Names and previous closes that were learned since the last call (``date`` empty)."""

    def status(self) -> Mapping[str, object]:
        """Figures for reports: segments' market status, the clock's offset, refusals."""


def fingerprint(token: str) -> str:
    """Tell one token from another without showing either: 16 hexadecimal digits."""
    return blake2b(token.encode(), digest_size=8).hexdigest() if token else ""


class Address(Struct, frozen=True):
    """Where to connect; both parts may hold credentials and are never logged."""

    url: str
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "Address(***)"

    @property
    def secrets(self) -> list[str]:
        """What of it must not be shown: the values of its query, as written and as meant."""
        query = self.url.partition("?")[2]
        written = [part.partition("=")[2] for part in query.split("&")]
        return [*written, *map(unquote_plus, written), *self.headers.values()]


class Broker(Protocol):
    """One broker account: what is asked of its REST, and what its refusals mean."""

    name: str

    async def instruments(self) -> Sequence[Instrument]:
        """The whole instrument master; from the cache on disk when it cannot be fetched."""

    async def authorize(self) -> Address:
        """Read the token again and ask where to connect; BrokerError says what follows."""

    def credential(self) -> str:
        """The `fingerprint` of the token that ``authorize`` used last; empty before it had one.

        After a `RefreshToken` the client compares: refused again and the same is Fatal.
        """

    def connection(self, now_s: float) -> BrokerConnection:
        """A fresh connection, for the address that ``authorize`` gave last."""

    def refused(self, http_status: int) -> Ending:
        """What the refusal of the socket's upgrade means."""

    async def close(self) -> None:
        """Give back what the broker holds."""
