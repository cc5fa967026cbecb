"""One client as the hub knows it: what it subscribed to, and how much it may ask."""

from typing import Any

from msgspec import Struct

from tapewire.hub.event_views import EventView
from tapewire.hub.events import EventLog
from tapewire.hub.feeds import Target
from tapewire.hub.tables import Table
from tapewire.hub.views import Position, View
from tapewire.model.messages import Id


class Bounds(Struct, frozen=True, kw_only=True):
    """What one client may ask of the hub; the client pays when it is hit.

    ``subscriptions``: more are answered with an error. ``messages_per_minute`` with bursts
    of ``message_burst``: more close the socket (4007). ``waiting_gets``: requests whose
    rows are still being read. ``flush_bytes``: how much of what a client missed goes out
    at one tick; the rest waits for the next (conflate).
    """

    subscriptions: int = 128
    messages_per_minute: int = 600
    message_burst: int = 256
    waiting_gets: int = 128
    flush_bytes: int = 1 << 20


class Allowance:
    """A token bucket of messages.

    Args:
        per_minute: how fast it fills.
        burst: how many it holds; it begins full.
    """

    def __init__(self, per_minute: int, burst: int, now_ms: float) -> None:
        self._per_ms = per_minute / 60_000
        self._burst = burst
        self._left = float(burst)
        self._at_ms = now_ms

    def take(self, now_ms: float) -> bool:
        """Use one; False when none is left. A clock that was set back gives nothing."""
        passed_ms = max(0.0, now_ms - self._at_ms)
        self._left = min(self._burst, self._left + passed_ms * self._per_ms)
        self._at_ms = now_ms
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def charge(self, rows: int) -> None:
        """Have the client pay for rows that were written for it alone: one for a thousand."""
        self._left -= rows // 1_000


class Subscription:
    """One client's place in one view.

    ``position`` is where it stands, None while it needs a snapshot; while it is in the
    view's group its position is the view's. ``fresh`` until its first answer,
    which carries ``id``.
    """

    __slots__ = ("fresh", "id", "position", "room", "session")

    def __init__(
        self, session: "Session", room: "Room", position: Position, id_: Id | None
    ) -> None:
        self.session = session
        self.room = room
        self.position = position
        self.id = id_
        self.fresh = True


class Room:
    """A view and who is in it: the ``group`` that keeps up, and those ``behind``."""

    __slots__ = ("behind", "group", "idle_since", "view")

    def __init__(self, view: View | EventView) -> None:
        self.view = view
        self.group: dict[Subscription, None] = {}
        self.behind: dict[Subscription, None] = {}
        self.idle_since = 0

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it."""
        return not self.group and not self.behind


class Request(Struct):
    """A ``get`` that waits until its table has been read."""

    target: Target
    table: Table | EventLog
    limit: int | None
    id: Id | None


class Session:
    """One connected client.

    ``ready`` is False while its socket takes no more; ``peer`` belongs to whoever made it.
    """

    __slots__ = ("allowance", "dialect", "gets", "peer", "ready", "subscriptions")

    def __init__(self, dialect: str, allowance: Allowance, peer: Any = None) -> None:
        self.dialect = dialect
        self.allowance = allowance
        self.peer = peer
        self.ready = True
        self.subscriptions: dict[str, Subscription] = {}
        self.gets: list[Request] = []
