"""Upstox's WebSocket protocol without I/O: requests, one connection's state, what its end means.

``UpstoxConnection`` knows what one socket is subscribed to and gives the bytes to send and the
meaning of what came. Nothing acknowledges a subscription: its proof is the first update. Every
answer on the socket's end is a row of ``DISCONNECTS``. Source: ``brokers.md`` 1.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken
from tapewire.providers.upstox.messages import Feed, Instrument, Mode, Refusal, Update
from tapewire.providers.upstox.wire import FeedDecoder

__all__ = [
    "DISCONNECTS",
    "LIMITS",
    "PING_EVERY_S",
    "SILENT_AFTER_S",
    "End",
    "Feed",
    "FeedDecoder",
    "Instrument",
    "Limit",
    "LimitError",
    "Mode",
    "Plan",
    "Refusal",
    "Update",
    "UpstoxConnection",
    "end_of_upgrade",
    "feed_url",
    "request",
    "tick",
]

BROKER: Final = "upstox"

PING_EVERY_S: Final = 10.0
"""The server pings an idle socket and there is no other heartbeat; ours go out this often."""

SILENT_AFTER_S: Final = 40.0
"""No frame, ping or pong for this long: the socket is dead. Pongs count as life, since a
closed market sends nothing else all night."""

MAX_KEYS: Final = 500
"""Instrument keys in one request: about 10 KB."""

MAX_ERROR_CHARACTERS: Final = 200
"""How much of the provider's text is kept."""


class Plan(StrEnum):
    """The account's plan, which sets the limits."""

    STANDARD = "standard"
    PLUS = "plus"


class Limit(Struct, frozen=True):
    """Instruments in a mode when it is the only one in use, and when it is not."""

    alone: int
    combined: int


# Per user, from several independent users (there is no official page): defaults, not law.
_STANDARD: Final[Mapping[Mode, Limit]] = {
    Mode.LTPC: Limit(5000, 2000),
    Mode.OPTION_GREEKS: Limit(3000, 2000),
    Mode.FULL: Limit(2000, 1500),
}
LIMITS: Final[Mapping[Plan, Mapping[Mode, Limit]]] = {
    Plan.STANDARD: _STANDARD,
    Plan.PLUS: {**_STANDARD, Mode.FULL_D30: Limit(50, 1500)},
}
MAX_CONNECTIONS: Final[Mapping[Plan, int]] = {Plan.STANDARD: 2, Plan.PLUS: 5}


class End(StrEnum):
    """Why a connection ended, or never was."""

    TOKEN_REFUSED = "token_refused"
    CONNECTION_REFUSED = "connection_refused"
    LINK_REFUSED = "link_refused"
    RATE_LIMITED = "rate_limited"
    UNTRUSTED = "untrusted"
    SILENT = "silent"
    DROPPED = "dropped"
    UNREACHABLE = "unreachable"


# When a connection ends, what next? The address is single-use: each try asks for a new one.
DISCONNECTS: Final[Mapping[End, Policy]] = {
    End.TOKEN_REFUSED: RefreshToken("the access token has ended (daily at 03:30 IST) or is wrong"),
    End.CONNECTION_REFUSED: BackOff(
        60.0, "the plan's connections are all in use, or the token may not read the feed"
    ),
    End.LINK_REFUSED: BackOff(),
    End.RATE_LIMITED: BackOff(60.0),
    End.UNTRUSTED: Fatal("the server's certificate is not trusted: check the address and clock"),
    End.SILENT: BackOff(),
    End.DROPPED: BackOff(),
    End.UNREACHABLE: BackOff(),
}

_UPGRADE_REFUSALS: Final = {
    401: End.TOKEN_REFUSED,
    403: End.CONNECTION_REFUSED,
    404: End.LINK_REFUSED,
    410: End.LINK_REFUSED,
    429: End.RATE_LIMITED,
}


def end_of_upgrade(http_status: int) -> End:
    """Why authorization or the upgrade was refused, from the HTTP status."""
    return _UPGRADE_REFUSALS.get(http_status, End.UNREACHABLE)


class LimitError(ValueError):
    """More instruments than the plan allows; nothing was subscribed."""


class _Address(Struct):
    authorized_redirect_uri: str


class _Authorized(Struct):
    data: _Address


def feed_url(answer: bytes) -> str:
    """Read the single-use address out of the authorize call's answer.

    Raises ValueError when there is none, or it is not a WebSocket's; the error does not show
    the address, which is a credential.
    """
    try:
        url = msgspec.json.decode(answer, type=_Authorized).data.authorized_redirect_uri
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("authorize: expected data.authorized_redirect_uri in JSON") from None
    if not url.startswith(("wss://", "ws://")):
        raise ValueError("authorize: expected an address that begins with wss:// or ws://")
    return url


def request(guid: str, method: str, keys: Sequence[str], mode: Mode | None = None) -> bytes:
    """JSON to be sent as a *binary* frame (text is ignored): ``sub``, ``change_mode``, ``unsub``.

    ``mode`` is left out for ``unsub``.
    """
    data: dict[str, Any] = {} if mode is None else {"mode": mode}
    data["instrumentKeys"] = keys
    return msgspec.json.encode({"guid": guid, "method": method, "data": data})


def tick(update: Update, received_ns: int) -> Tick:
    """Make the tick of all brokers, to be admitted by ``market.ticks``.

    Whether it is a trade is not said here: the change of ``day_volume`` decides.
    """
    instrument = update.instrument
    return Tick(
        BROKER,
        instrument.exchange,
        instrument.token,
        instrument.symbol,
        update.last_price,
        update.last_size,
        update.day_volume,
        update.open_interest,
        update.last_trade_ms,
        received_ns,
        TICK_SNAPSHOT * update.snapshot | TICK_INDEX * update.index,
    )


def _batches(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(keys)
    while batch := list(islice(rest, size)):
        yield batch


def _check(modes: Mapping[str, Mode], limits: Mapping[Mode, Limit]) -> None:
    counts = Counter(modes.values())
    for mode, count in counts.items():
        limit = limits.get(mode)
        if limit is None:
            raise LimitError(f"mode {mode} is not in the plan; it has {', '.join(limits)}")
        allowed = limit.alone if len(counts) == 1 else limit.combined
        if count > allowed:
            raise LimitError(f"{count} instruments in mode {mode}; the plan allows {allowed}")


class UpstoxConnection:
    """One socket, from its opening to its end. A new socket needs a new one.

    ``new_guid`` names requests; times are seconds of any steady clock. ``skipped`` counts
    what frames had and updates have not, by reason; ``markets`` is each segment's last
    status; ``refusals`` counts requests that were not taken, and ``refusal`` is the last.
    """

    def __init__(
        self,
        new_guid: Callable[[], str],
        decoder: FeedDecoder,
        *,
        now_s: float,
        limits: Mapping[Mode, Limit] = LIMITS[Plan.STANDARD],
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._new_guid = new_guid
        self._decoder = decoder
        self._limits = limits
        self._max_keys = max_keys
        self._alive_s = now_s
        self._modes: dict[str, Mode] = {}
        self._unproved: set[str] = set()
        self.markets: dict[str, str] = {}
        self.skipped: Counter[str] = Counter()
        self.refusals = 0
        self.refusal: Refusal | None = None

    @property
    def modes(self) -> Mapping[str, Mode]:
        """What this socket has asked for: instrument key -> mode."""
        return self._modes

    @property
    def unproved(self) -> set[str]:
        """Keys asked for of which nothing has come yet."""
        return self._unproved

    def subscribe(self, keys: Iterable[str], mode: Mode) -> list[bytes]:
        """Frames that bring ``keys`` into ``mode``; those already there are left alone.

        Raises LimitError, and then nothing has changed.
        """
        wanted = dict.fromkeys(keys, mode)
        _check({**self._modes, **wanted}, self._limits)
        new = [key for key in wanted if key not in self._modes]
        moved = [key for key in wanted if self._modes.get(key, mode) != mode]
        self._modes.update(wanted)
        self._unproved.update(new)
        return [*self._requests("sub", new, mode), *self._requests("change_mode", moved, mode)]

    def unsubscribe(self, keys: Iterable[str]) -> list[bytes]:
        """Frames that end the subscription of ``keys``; others than subscribed are left out."""
        gone = [key for key in dict.fromkeys(keys) if self._modes.pop(key, None) is not None]
        self._unproved.difference_update(gone)
        return list(self._requests("unsub", gone))

    def receive(self, frame: bytes | str, now_s: float) -> Feed | Refusal:
        """Take one frame: binary is a feed, text a refusal. Raises nothing."""
        self._alive_s = now_s
        if isinstance(frame, str):
            return self._refused(frame)
        feed = self._decoder.decode(frame)
        if feed.skipped:
            self.skipped.update(feed.skipped)
        if feed.markets:
            self.markets.update(feed.markets)
        if self._unproved:
            self._unproved.difference_update(update.instrument.key for update in feed.updates)
        return feed

    def heard(self, now_s: float) -> None:
        """Note a ping or a pong: the socket lives, though it has no data."""
        self._alive_s = now_s

    def silent(self, now_s: float, after_s: float = SILENT_AFTER_S) -> bool:
        """Whether nothing has come for ``after_s``: end it as ``End.SILENT``."""
        return now_s - self._alive_s >= after_s

    def _requests(
        self, method: str, keys: Sequence[str], mode: Mode | None = None
    ) -> Iterator[bytes]:
        for batch in _batches(keys, self._max_keys):
            yield request(self._new_guid(), method, batch, mode)

    def _refused(self, text: str) -> Refusal:
        try:
            refusal = msgspec.json.decode(text, type=Refusal)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            refusal = Refusal("unreadable", error=text[:MAX_ERROR_CHARACTERS])
        self.refusals += 1
        self.refusal = refusal
        return refusal
