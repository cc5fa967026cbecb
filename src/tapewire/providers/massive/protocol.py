"""Massive's WebSocket protocol without I/O: one connection's state, and what to do when it ends.

``MassiveConnection`` takes frames and gives slices, statuses and what to send. Its states
and their answers are one table, as is what follows when a socket ends. The provider is often
silent where one would expect an answer (massive.md 1.2): acknowledgements are advisory, and
a topic is proved by its acknowledgement or by its data. ``decode`` (from ``wire``) is the
other half of the protocol, for the processor.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum, auto
from typing import Final

import msgspec
from msgspec import Struct

from tapewire.providers.batcher import Slice
from tapewire.providers.decoded import Decoded
from tapewire.providers.massive.splitter import FrameSplitter, QueueNameResolver, Status
from tapewire.providers.massive.wire import Skipped, decode

__all__ = [
    "RECONNECT",
    "Backoff",
    "CloseReason",
    "ConnectionState",
    "CoolDown",
    "Decoded",
    "FrameSplitter",
    "MassiveConnection",
    "QueueNameResolver",
    "Skipped",
    "Slice",
    "Status",
    "Stop",
    "close_reason",
    "decode",
]

END_OF_SOURCE: Final = "end of source"
"""Reason of the normal close (1000) with which a simulator ends a replay."""

CONFIRM_TIMEOUT_S: Final = 5.0
"""A topic neither acknowledged nor seen for this long is asked for again."""

MAX_REQUESTS: Final = 3
"""How often a topic is asked for on one connection before it stays unconfirmed."""


class ConnectionState(StrEnum):
    """Where one connection is in its life."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    AUTHENTICATING = "authenticating"
    SUBSCRIBING = "subscribing"
    STREAMING = "streaming"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why a connection ended, or never was."""

    AUTH_FAILED = "auth_failed"
    NOT_AUTHORIZED = "not_authorized"
    DELAYED_PLAN = "delayed_plan"
    AUTH_TIMEOUT = "auth_timeout"
    MAX_CONNECTIONS = "max_connections"
    SLOW_CONSUMER = "slow_consumer"
    FORCE_DISCONNECT = "force_disconnect"
    POLICY = "policy"
    RATE_LIMITED = "rate_limited"
    MUTE = "mute"
    DROPPED = "dropped"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    END_OF_SOURCE = "end_of_source"


class Stop(Struct, frozen=True):
    """Trying again would not help; ``advice`` is for the person who runs this."""

    advice: str


class CoolDown(Struct, frozen=True):
    """Wait at least this long: the provider still counts an older connection."""

    seconds: float = 60.0


class Backoff(Struct, frozen=True):
    """Try again after a growing, jittered wait; ``alarm`` where somebody should look."""

    alarm: bool = False


# When a socket ends, what next?
RECONNECT: Final[Mapping[CloseReason, Stop | CoolDown | Backoff]] = {
    CloseReason.AUTH_FAILED: Stop("check the API key and that its plan includes WebSockets"),
    CloseReason.NOT_AUTHORIZED: Stop("the plan includes none of the topics: ask for fewer"),
    CloseReason.DELAYED_PLAN: Stop("the plan has delayed data only: use the feed 'Delayed'"),
    CloseReason.AUTH_TIMEOUT: Backoff(alarm=True),
    CloseReason.MAX_CONNECTIONS: CoolDown(60.0),
    CloseReason.SLOW_CONSUMER: Backoff(alarm=True),
    CloseReason.FORCE_DISCONNECT: Backoff(alarm=True),
    CloseReason.POLICY: CoolDown(60.0),
    CloseReason.RATE_LIMITED: CoolDown(60.0),
    CloseReason.MUTE: Backoff(),
    CloseReason.DROPPED: Backoff(),
    CloseReason.UNREACHABLE: Backoff(),
    CloseReason.UNTRUSTED: Backoff(alarm=True),
    CloseReason.END_OF_SOURCE: Backoff(),
}

_CLOSE_CODES: Final = {1008: CloseReason.POLICY}
_UPGRADE_REFUSALS: Final = {
    401: CloseReason.AUTH_FAILED,
    403: CloseReason.AUTH_FAILED,
    429: CloseReason.RATE_LIMITED,
}


def close_reason(code: int, reason: str = "") -> CloseReason:
    """Why a socket ended, from its close code (1006 and None of it: dropped)."""
    if code == 1000 and reason == END_OF_SOURCE:
        return CloseReason.END_OF_SOURCE
    return _CLOSE_CODES.get(code, CloseReason.DROPPED)


def upgrade_refusal(http_status: int) -> CloseReason:
    """Why the upgrade was refused, from the HTTP status of the answer."""
    return _UPGRADE_REFUSALS.get(http_status, CloseReason.UNREACHABLE)


class _Kind(Enum):
    """A status as the table knows it: ``error`` is told apart by its message."""

    CONNECTED = auto()
    AUTH_SUCCESS = auto()
    SUCCESS = auto()
    NOT_AUTHORIZED = auto()
    ENDING = auto()
    OTHER = auto()


_KINDS: Final = {
    "connected": _Kind.CONNECTED,
    "auth_success": _Kind.AUTH_SUCCESS,
    "success": _Kind.SUCCESS,
}
_ENDINGS: Final = {
    "auth_failed": CloseReason.AUTH_FAILED,
    "auth_timeout": CloseReason.AUTH_TIMEOUT,
    "max_connections": CloseReason.MAX_CONNECTIONS,
    "slow_consumer": CloseReason.SLOW_CONSUMER,
    "force_disconnect": CloseReason.FORCE_DISCONNECT,
}
_NO_REAL_TIME: Final = "You don't have access real-time data"
_NOT_AUTHORIZED: Final = "not authorized"


def _ending(status: Status) -> CloseReason | None:
    if status.status == "error" and status.message.startswith(_NO_REAL_TIME):
        return CloseReason.DELAYED_PLAN
    return _ENDINGS.get(status.status)


def _kind(status: Status) -> _Kind:
    if _ending(status) is not None:
        return _Kind.ENDING
    if status.status == "error" and status.message == _NOT_AUTHORIZED:
        return _Kind.NOT_AUTHORIZED
    return _KINDS.get(status.status, _Kind.OTHER)


class _Action(Enum):
    AUTHENTICATE = auto()
    SUBSCRIBE = auto()
    CONFIRM = auto()
    REFUSE = auto()
    END = auto()


_S = ConnectionState
# state, status -> action; what is not here is noted and changes nothing
_TABLE: Final[Mapping[tuple[ConnectionState, _Kind], _Action]] = {
    (_S.CONNECTED, _Kind.CONNECTED): _Action.AUTHENTICATE,
    (_S.AUTHENTICATING, _Kind.AUTH_SUCCESS): _Action.SUBSCRIBE,
    (_S.SUBSCRIBING, _Kind.SUCCESS): _Action.CONFIRM,
    (_S.SUBSCRIBING, _Kind.NOT_AUTHORIZED): _Action.REFUSE,
    (_S.STREAMING, _Kind.SUCCESS): _Action.CONFIRM,
    (_S.STREAMING, _Kind.NOT_AUTHORIZED): _Action.REFUSE,
    (_S.CONNECTED, _Kind.ENDING): _Action.END,
    (_S.AUTHENTICATING, _Kind.ENDING): _Action.END,
    (_S.SUBSCRIBING, _Kind.ENDING): _Action.END,
    (_S.STREAMING, _Kind.ENDING): _Action.END,
}


class _Request(Struct):
    """A topic asked for: how often, and since when nobody has answered."""

    times: int = 0
    since_s: float | None = None


_encode = msgspec.json.Encoder().encode


class MassiveConnection:
    """One connection, from the open socket to its end. A new socket needs a new one.

    ``topics`` are what it subscribes to once authenticated (``T.*``, ``A.AAPL``).
    ``refused`` counts ``not authorized`` answers (they name no topic), ``notes`` statuses
    that nobody expected. ``reason`` and ``message`` say why it ended, once ``CLOSED``.
    """

    def __init__(self, key: str, topics: Iterable[str], splitter: FrameSplitter) -> None:
        self._key = key
        self._splitter = splitter
        self._seen_before = Counter(splitter.statistics.events)
        self._out: list[bytes] = []
        self._requests = {topic: _Request() for topic in topics}
        self.state = ConnectionState.CONNECTING
        self.confirmed: set[str] = set()
        self.refused = 0
        self.notes: Counter[str] = Counter()
        self.reason: CloseReason | None = None
        self.message = ""

    @property
    def topics(self) -> list[str]:
        """What is, or will be, asked for."""
        return list(self._requests)

    @property
    def authenticated(self) -> bool:
        """The key was accepted, and the connection has not ended."""
        return self.state in (ConnectionState.SUBSCRIBING, ConnectionState.STREAMING)

    def opened(self) -> None:
        """The socket is open: the provider greets first."""
        self.state = ConnectionState.CONNECTED

    def closed(self, code: int, reason: str = "") -> CloseReason:
        """The socket has ended; a reason that a status gave before is kept."""
        return self.end(close_reason(code, reason), f"closed with {code} {reason}".rstrip())

    def end(self, reason: CloseReason, message: str) -> CloseReason:
        """This connection is over; the first reason given stays."""
        if self.reason is None:
            self.reason, self.message = reason, message
        self.state = ConnectionState.CLOSED
        return self.reason

    def receive(self, frame: bytes | str) -> list[Slice | Status]:
        """Slices and statuses of one frame; answers lie in ``data_to_send`` afterwards."""
        items = self._splitter.split(frame)
        for item in items:
            if isinstance(item, Status):
                self._on_status(item)
            elif self.state is ConnectionState.SUBSCRIBING:
                self.state = ConnectionState.STREAMING
        return items

    def data_to_send(self) -> list[bytes]:
        """Text messages to send now, in order; each is given once."""
        out, self._out = self._out, []
        return out

    def subscribe(self, topics: Iterable[str]) -> None:
        """Ask for more; what is held already is not asked for again."""
        new = [topic for topic in topics if topic not in self._requests]
        self._requests.update((topic, _Request()) for topic in new)
        if self.authenticated:
            self._ask(new)

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Give topics back; unknown ones are ignored."""
        gone = [topic for topic in topics if self._requests.pop(topic, None) is not None]
        self.confirmed.difference_update(gone)
        if self.authenticated and gone:
            self._send("unsubscribe", ",".join(gone))

    def unconfirmed(self, now_s: float, timeout_s: float = CONFIRM_TIMEOUT_S) -> list[str]:
        """Topics asked for at least ``timeout_s`` ago and neither acknowledged nor seen.

        The time begins with the first call after the request: call it about once a second.
        """
        if not self.authenticated:
            return []
        overdue = []
        for topic, request in self._requests.items():
            if topic in self.confirmed or self._is_seen(topic):
                self.confirmed.add(topic)
            elif request.since_s is None:
                request.since_s = now_s
            elif now_s - request.since_s >= timeout_s:
                overdue.append(topic)
        return overdue

    def reconcile(self, now_s: float, timeout_s: float = CONFIRM_TIMEOUT_S) -> list[str]:
        """Ask again for what is unconfirmed, a bounded number of times; returns it all."""
        overdue = self.unconfirmed(now_s, timeout_s)
        again = [topic for topic in overdue if self._requests[topic].times < MAX_REQUESTS]
        self._ask(again)
        return overdue

    def _is_seen(self, topic: str) -> bool:
        """A whole type (``T.*``) is proved by any event of it on this connection."""
        event_type, _, symbol = topic.partition(".")
        seen = self._splitter.statistics.events
        return symbol == "*" and seen[event_type] > self._seen_before[event_type]

    def _on_status(self, status: Status) -> None:
        match _TABLE.get((self.state, _kind(status))):
            case _Action.AUTHENTICATE:
                self.state = ConnectionState.AUTHENTICATING
                self._send("auth", self._key)
            case _Action.SUBSCRIBE:
                self.state = ConnectionState.SUBSCRIBING
                self._ask(self.topics)
            case _Action.CONFIRM:
                self._confirm(status.message)
            case _Action.REFUSE:
                self._refuse()
            case _Action.END:
                self.end(_ending(status) or CloseReason.DROPPED, status.message or status.status)
            case None:
                self.notes[f"{status.status}: {status.message}"[:80]] += 1

    def _confirm(self, message: str) -> None:
        """Read ``subscribed to: T.AAPL``; a confirmation of anything else is noted."""
        verb, _, topic = message.partition(" to: ")
        if verb == "subscribed" and topic in self._requests:
            self.confirmed.add(topic)
        elif verb != "unsubscribed":
            self.notes[f"success: {message}"[:80]] += 1
        self._settle()

    def _refuse(self) -> None:
        self.refused += 1
        if self.refused >= len(self._requests) and not self.confirmed:
            self.end(CloseReason.NOT_AUTHORIZED, f"not authorized: {', '.join(self._requests)}")
        else:
            self._settle()

    def _settle(self) -> None:
        """Every topic has been answered: nothing is left to wait for but data."""
        answered = len(self.confirmed) + self.refused >= len(self._requests)
        if answered and self.state is ConnectionState.SUBSCRIBING:
            self.state = ConnectionState.STREAMING

    def _ask(self, topics: list[str]) -> None:
        if not topics:
            return
        for topic in topics:
            request = self._requests[topic]
            request.times += 1
            request.since_s = None
        self._send("subscribe", ",".join(topics))

    def _send(self, action: str, params: str) -> None:
        self._out.append(_encode({"action": action, "params": params}))
