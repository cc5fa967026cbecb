"""The hub: changes of shards in, frames for clients out, one tick after the other.

Everything that changes a row waits for the next tick, so that a tick's number names one
state of all feeds: ``seq`` of a snapshot, a delta or an answer to ``get`` means the same.
Nothing here waits or knows the time; ``services/widget_data.py`` does.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tapewire.hub.condition import Condition, Conditions
from tapewire.hub.event_views import EventView
from tapewire.hub.events import EventLog
from tapewire.hub.feeds import Target
from tapewire.hub.market import Market
from tapewire.hub.session import Allowance, Bounds, Request, Room, Session, Subscription
from tapewire.hub.tables import Table
from tapewire.hub.views import Spec, View
from tapewire.hub.writers import EARLIER, V1, EarlierWriter, V1Writer, frames, with_id
from tapewire.model.messages import (
    DEFAULT_RATE_HZ,
    TICKS_PER_SECOND,
    Id,
    Ok,
    Since,
    Status,
    encode,
)

LINGER_TICKS: Final = 30 * TICKS_PER_SECOND
"""How long an empty view is kept for a client that comes back with ``since``."""

LINGERING: Final = 1_000
"""How many empty views are kept (drop_oldest)."""

BEHIND_TICKS: Final = TICKS_PER_SECOND // 20
"""Every so many ticks it is looked whether those who fell behind can take something."""

BOARD_PUSH_HZ: Final = 1
"""The earlier dialect gets boards whole, so at the rate at which they are ranked."""


class Delivery(Struct):
    """Texts of frames, in order, and everybody who gets exactly these."""

    texts: list[bytes]
    sessions: list[Session]


Outgoing = dict[Session, list[bytes]]


class Hub:
    """Views shared by clients.

    Args:
        epoch: names this hub process in every snapshot.
        bounds: what one client may ask.
    """

    def __init__(self, epoch: str, bounds: Bounds | None = None) -> None:
        self.epoch = epoch
        self.bounds = bounds or Bounds()
        self.counters: Counter[str] = Counter()
        self.tick_number = 0
        self.now_ms = 0
        self.market = Market()
        self.conditions = Conditions()
        self._rooms: dict[Spec, Room] = {}
        self._earlier = EarlierWriter()
        self._writers: Mapping[str, V1Writer | EarlierWriter] = {
            V1: V1Writer(epoch),
            EARLIER: self._earlier,
        }
        self._status_due: dict[Subscription, None] = {}
        self._waiting: dict[Session, None] = {}
        self._restless = False
        self._look_behind = False

    def set_conditions(self, known: Mapping[str, Condition]) -> None:
        """Say how the feeds of each market are; clients are told at the next tick."""
        before, now = self.conditions, Conditions(known)
        self.conditions = now
        rooms = ((room.view.target.market, room) for room in self._rooms.values())
        self._tell_status(room for market, room in rooms if now.of(market) != before.of(market))

    def _tell_status(self, rooms: Iterable[Room]) -> None:
        for room in rooms:
            if room.view.spec.dialect == V1:
                self._status_due.update(room.group)
                self._status_due.update(room.behind)

    # What clients ask

    def connect(self, dialect: str, now_ms: float, peer: Any = None) -> Session:
        """A client came; ``dialect`` is the subprotocol, empty for the earlier one."""
        bounds = self.bounds
        allowance = Allowance(bounds.messages_per_minute, bounds.message_burst, now_ms)
        return Session(dialect, allowance, peer)

    def disconnect(self, session: Session) -> None:
        """A client is gone."""
        for feed in list(session.subscriptions):
            self.unsubscribe(session, feed)
        self._waiting.pop(session, None)

    def subscribe(
        self,
        session: Session,
        target: Target,
        *,
        fields: Sequence[str] | None = None,
        limit: int | None = None,
        rate_hz: int = DEFAULT_RATE_HZ,
        since: Since | None = None,
        id_: Id | None = None,
    ) -> None:
        """Put a client into a view; replaces its subscription to the same feed.

        Raises ValueError for fields that the feed does not have.
        """
        picked = None if fields is None else tuple(fields)
        room = self._room(target, Spec(target.name, session.dialect, picked, limit, rate_hz))
        self.unsubscribe(session, target.name)
        if room.is_empty and self._enter(room.view):
            session.allowance.charge(room.view.size)
        position = room.view.position_of(since, self.epoch) if since is not None else None
        subscription = Subscription(session, room, position, id_)
        session.subscriptions[target.name] = subscription
        room.behind[subscription] = None
        if session.dialect == V1:
            self._status_due[subscription] = None

    def _room(self, target: Target, spec: Spec) -> Room:
        room = self._rooms.get(spec)
        if room is None:
            room = self._rooms[spec] = Room(self._view(target, spec, self.market.table(target)))
        return room

    def _view(self, target: Target, spec: Spec, table: Table | EventLog) -> View | EventView:
        writer = self._writers[spec.dialect]
        if isinstance(table, EventLog):
            return EventView(target, spec, table, writer, self.epoch, self.counters)
        return View(target, spec, table, writer)

    def _enter(self, view: View | EventView) -> bool:
        """Bring a view that nobody looked at up to the present; True if it begins anew."""
        if not view.table.ready:
            return False
        if view.must_restart():
            view.restart(self.tick_number, self.now_ms)
            return True
        view.refresh(self.tick_number, self.now_ms)
        return False

    def unsubscribe(self, session: Session, feed: str) -> None:
        """Take a client out of a view; nothing happens when it is in none."""
        subscription = session.subscriptions.pop(feed, None)
        if subscription is None:
            return
        room = subscription.room
        room.group.pop(subscription, None)
        room.behind.pop(subscription, None)
        room.idle_since = self.tick_number
        self._status_due.pop(subscription, None)

    def get(self, session: Session, target: Target, limit: int | None, id_: Id | None) -> bool:
        """Answer once, as soon as the rows are there; False when too many requests wait."""
        if len(session.gets) >= self.bounds.waiting_gets:
            return False
        session.gets.append(Request(target, self.market.table(target), limit, id_))
        self._waiting[session] = None
        return True

    # What clients get

    def flush(self, session: Session) -> list[bytes]:
        """Messages that a client's requests brought up, when it can take them."""
        out: Outgoing = {}
        if session.ready:
            self._answer_gets(session, out)
            for subscription in session.subscriptions.values():
                if subscription.fresh and self._can_show(subscription.room.view):
                    self._catch_up(subscription, out)
            for subscription in session.subscriptions.values():
                self._show_status(subscription, out, {})
        return out.get(session, [])

    def _can_show(self, view: View | EventView) -> bool:
        return view.table.ready and not view.must_restart()

    def tick(self, now_ms: int, passed: int = 1) -> list[Delivery]:
        """Apply what came in, and say who gets what now.

        ``passed``: ticks since the last call; more than one where that took longer than a
        tick. Rates are kept in time, not in calls.
        """
        before = self.tick_number
        self.tick_number += passed
        self.now_ms = now_ms
        self._look_behind = self.tick_number // BEHIND_TICKS > before // BEHIND_TICKS
        changed = self.market.apply()
        out: Outgoing = {}
        for session in [session for session in self._waiting if session.ready]:
            self._answer_gets(session, out)
        if changed or self._restless or self._look_behind:
            self._restless = False
            for room in self._rooms.values():
                if not room.is_empty and room.view.table.ready:
                    self._tick_room(room, out)
        if self.tick_number // TICKS_PER_SECOND > before // TICKS_PER_SECOND:
            self._each_second()
        self._tick_status(out)
        return deliveries(out)

    def _each_second(self) -> None:
        if self.market.new_losses:
            self.market.new_losses = False
            self._tell_status(self._rooms.values())
        self._sweep()

    def _tick_room(self, room: Room, out: Outgoing) -> None:
        view = room.view
        if view.must_restart():
            view.restart(self.tick_number, self.now_ms)
            room.behind.update(room.group)
            room.group.clear()
            for subscription in room.behind:
                subscription.position = view.after_restart(subscription.position)
        elif room.group and view.is_changed:
            if view.is_due(self.tick_number):
                self._advance(room, out)
            else:
                self._restless = True
        if room.behind and self._look_behind:
            self._tick_behind(room, out)

    def _advance(self, room: Room, out: Outgoing) -> None:
        before = room.view.seq
        messages = room.view.advance(self.tick_number, self.now_ms)
        if not messages:
            return
        late = []
        for subscription in room.group:
            session = subscription.session
            if session.ready:
                out.setdefault(session, []).extend(messages)
            else:
                late.append(subscription)
        for subscription in late:
            subscription.position = before
            del room.group[subscription]
            room.behind[subscription] = None
        self.counters["conflated"] += len(late)

    def _tick_behind(self, room: Room, out: Outgoing) -> None:
        due = [each for each in room.behind if each.session.ready and self._is_due(each)]
        view = room.view
        if due and not room.group and view.is_changed and view.is_due(self.tick_number):
            view.refresh(self.tick_number, self.now_ms)
        for subscription in due:
            if size(out.get(subscription.session, ())) < self.bounds.flush_bytes:
                self._catch_up(subscription, out)

    def _is_due(self, subscription: Subscription) -> bool:
        position = subscription.position
        return (
            position is None
            or subscription.fresh
            or subscription.room.view.owes(position, self.tick_number)
        )

    def _catch_up(self, subscription: Subscription, out: Outgoing) -> None:
        room, session = subscription.room, subscription.session
        messages = room.view.catch_up(subscription.position)
        if messages is None:
            messages = room.view.snapshot()
            self.counters["snapshots"] += 1
        elif messages:
            self.counters["catch_ups"] += 1
        if subscription.fresh:
            messages = answered(messages, subscription)
        out.setdefault(session, []).extend(messages)
        subscription.fresh = False
        subscription.position = room.view.seq
        del room.behind[subscription]
        room.group[subscription] = None

    def _answer_gets(self, session: Session, out: Outgoing) -> None:
        waiting, session.gets = session.gets, []
        for request in waiting:
            if request.table.ready:
                out.setdefault(session, []).extend(self._answer(session, request))
            else:
                session.gets.append(request)
        if not session.gets:
            self._waiting.pop(session, None)

    def _answer(self, session: Session, request: Request) -> list[bytes]:
        target = request.target
        spec = Spec(target.name, session.dialect, None, request.limit, DEFAULT_RATE_HZ)
        view = self._view(target, spec, request.table)
        view.restart(self.tick_number, self.now_ms)
        session.allowance.charge(view.size)
        if session.dialect == EARLIER:
            data = self._earlier.answer(view)
            return [b'{"cache":%s,"data":%s}' % (encode(target.name), data)]
        return [with_id(message, request.id) for message in view.snapshot()]

    def _tick_status(self, out: Outgoing) -> None:
        written: dict[str, bytes] = {}
        for subscription in list(self._status_due):
            if subscription.session.ready:
                self._show_status(subscription, out, written)

    def _show_status(
        self, subscription: Subscription, out: Outgoing, written: dict[str, bytes]
    ) -> None:
        if subscription not in self._status_due:
            return
        del self._status_due[subscription]
        target = subscription.room.view.target
        if target.name not in written:
            written[target.name] = self.status(target)
        out.setdefault(subscription.session, []).append(written[target.name])

    def status(self, target: Target) -> bytes:
        """The ``status`` message of a feed as it is now."""
        now, losses = self.conditions.of(target.market), list(self.market.losses)
        return encode(Status(target.name, now.state, now.since_ms, now.reason, losses))

    def _sweep(self) -> None:
        """Forget views that nobody came back to, and candles that nobody looks at."""
        empty = [(spec, room) for spec, room in self._rooms.items() if room.is_empty]
        empty.sort(key=lambda pair: pair[1].idle_since)
        kept_from = len(empty) - LINGERING
        for place, (spec, room) in enumerate(empty):
            if place < kept_from or self.tick_number - room.idle_since > LINGER_TICKS:
                del self._rooms[spec]
        used = {id(room.view.table) for room in self._rooms.values()}
        used |= {id(each.table) for session in self._waiting for each in session.gets}
        self.market.keep_only(used)

    def watched(self, family: str) -> set[str]:
        """Symbols whose own feed of a family (``trades``) has subscribers."""
        rooms = (room for room in self._rooms.values() if not room.is_empty)
        targets = (room.view.target for room in rooms)
        return {
            target.symbol
            for target in targets
            if target.feed.family == family and not target.is_wildcard
        }

    @property
    def figures(self) -> dict[str, int]:
        """How much there is to look after."""
        return {
            "views": len(self._rooms),
            "candle_tables": len(self.market.candles),
            "event_logs": len(self.market.logs),
            "behind": sum(len(room.behind) for room in self._rooms.values()),
        }


def answered(messages: list[bytes], subscription: Subscription) -> list[bytes]:
    """The first messages of a subscription, with its id."""
    if subscription.id is None:
        return messages
    if not messages:
        return [encode(Ok(subscription.id))]
    return [with_id(message, subscription.id) for message in messages]


def size(messages: Iterable[bytes]) -> int:
    """Bytes of messages."""
    return sum(map(len, messages))


def deliveries(out: Outgoing) -> list[Delivery]:
    """Put together who gets the same messages, so that each frame is built once."""
    groups: dict[tuple[Any, ...], Delivery] = {}
    for session, messages in out.items():
        key = (session.dialect, *map(id, messages))
        group = groups.get(key)
        if group is None:
            group = groups[key] = Delivery(frames(session.dialect, messages), [])
        group.sessions.append(session)
    return list(groups.values())
