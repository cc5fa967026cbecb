"""What clients and the widget service say to each other (``docs/wire-protocol.md``).

The structs are the messages of the dialect ``tapewire.v1``: one JSON object each, ``op``
first. Unknown fields are ignored on both sides, so either may be newer.
"""

from enum import IntEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

SUBPROTOCOL: Final = "tapewire.v1"

TICKS_PER_SECOND: Final = 100
"""``seq`` counts these; a view sends at one of every ``TICKS_PER_SECOND / rate_hz``."""

RATES_HZ: Final = (1, 2, 5, 10, 20)
DEFAULT_RATE_HZ: Final = 10
ROWS_PER_PART: Final = 2_000

Id = str | int
Rate = Literal[1, 2, 5, 10, 20]
Limit = Annotated[int, Meta(ge=1, le=100_000)]
Key = str | int


class CloseCode(IntEnum):
    """Why the service closes a socket; 4000 to 4999 are free for applications (RFC 6455)."""

    DRAINING = 4000
    AUTHENTICATION_FAILED = 4001
    EXPIRED = 4002
    FORBIDDEN_ORIGIN = 4003
    TOO_MANY_CONNECTIONS = 4004
    PROTOCOL_ERROR = 4005
    MESSAGE_TOO_BIG = 4006
    RATE_LIMITED = 4007
    SLOW_CONSUMER = 4008
    INSUFFICIENT_STATE = 4010


class ErrorCode:
    """``code`` of an ``error`` message."""

    BAD_REQUEST: Final = "bad_request"
    UNKNOWN_FEED: Final = "unknown_feed"
    UNKNOWN_FIELD: Final = "unknown_field"
    UNSUPPORTED: Final = "unsupported"
    TOO_MANY_SUBSCRIPTIONS: Final = "too_many_subscriptions"


class Since(Struct, frozen=True):
    """Where a client stands: what the last message of a feed said."""

    epoch: str | int
    seq: int


class Auth(Struct, tag_field="op", tag="auth"):
    """Say who you are."""

    ticket: str | None = None
    token: str | None = None
    id: Id | None = None


class Subscribe(Struct, tag_field="op", tag="subscribe"):
    """Get snapshots, then deltas."""

    feed: str | None = None
    feeds: Annotated[list[str], Meta(max_length=128)] = []
    since: Since | None = None
    rate_hz: Rate = DEFAULT_RATE_HZ
    limit: Limit | None = None
    filter: Any = None
    fields: Annotated[list[str], Meta(max_length=128)] | None = None
    id: Id | None = None


class Unsubscribe(Struct, tag_field="op", tag="unsubscribe"):
    """Get no more of these."""

    feed: str | None = None
    feeds: Annotated[list[str], Meta(max_length=128)] = []
    id: Id | None = None


class Get(Struct, tag_field="op", tag="get"):
    """Get one snapshot."""

    feed: str
    limit: Limit | None = None
    id: Id | None = None


class Ping(Struct, tag_field="op", tag="ping"):
    """Ask for a sign of life."""

    t: Any = None
    id: Id | None = None


ClientMessage = Auth | Subscribe | Unsubscribe | Get | Ping


class EarlierRequest(Struct):
    """A message of the dialect without a subprotocol."""

    action: str
    feed: str | None = None
    cache: str | None = None
    limit: Limit | None = None


class Snapshot(Struct, tag_field="op", tag="snapshot", omit_defaults=True):
    """All rows of a feed at a position; ``part`` counts from 1 when there are several."""

    feed: str
    epoch: str
    seq: int
    ts: int
    key: str
    rows: list[Any]
    part: int | None = None
    parts: int | None = None


class Delta(Struct, tag_field="op", tag="delta", omit_defaults=True):
    """What changed between the positions ``prev`` and ``seq``.

    ``set``: rows, the key first, then only changed fields (all of a new row); ``removed``
    (``del`` on the wire): keys; ``order``: a board's keys by rank, when they changed.
    """

    feed: str
    seq: int
    prev: int
    ts: int
    set: list[Any] = []
    removed: list[Key] = field(default_factory=list, name="del")
    order: list[Key] | None = None


class Event(Struct, tag_field="op", tag="event", omit_defaults=True):
    """Items between the positions ``prev`` and ``seq``; ``epoch`` where it is another one."""

    feed: str
    seq: int
    prev: int
    ts: int
    items: list[Any]
    epoch: str | None = None


class Missed(Struct, tag_field="op", tag="gap"):
    """The items after ``from`` up to ``to`` are lost for this client; a snapshot follows."""

    feed: str
    after: int = field(name="from")
    up_to: int = field(name="to")
    reason: str


class Loss(Struct, frozen=True):
    """Events lost upstream; ``events`` is None when nobody knows how many."""

    shard: str
    from_ms: int
    to_ms: int
    events: int | None


class Status(Struct, tag_field="op", tag="status"):
    """How a feed is: ``live``, ``stale``, ``closed`` or ``delayed``, since when and why."""

    feed: str
    state: str
    since: int
    reason: str
    gaps: list[Loss]


class Ok(Struct, tag_field="op", tag="ok", omit_defaults=True):
    """Done."""

    id: Id | None = None


class Error(Struct, tag_field="op", tag="error", omit_defaults=True):
    """Not done; ``code`` is one of ``ErrorCode``."""

    code: str
    message: str
    id: Id | None = None


class Pong(Struct, tag_field="op", tag="pong", omit_defaults=True):
    """``t`` as it came, and the service's time in ms UTC."""

    t: Any
    time: int
    id: Id | None = None


class _Head(Struct):
    id: Id | None = None


encode = msgspec.json.Encoder().encode
decode_client = msgspec.json.Decoder(ClientMessage).decode
decode_earlier = msgspec.json.Decoder(EarlierRequest).decode
decode_head = msgspec.json.Decoder(_Head).decode
"""Only the ``id`` of a message that is otherwise wrong."""
