"""A view of an event feed: every item once and in order, or told as a gap."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from tapewire.hub.events import Entry, EventLog, Numbers, epoch_of, numbers_of, readable
from tapewire.hub.feeds import Target
from tapewire.hub.views import Pace, Position, Spec, pick
from tapewire.model.messages import Since

SHOWN: Final = 1_000
"""Items in a snapshot when the client names no limit, the newest."""

BACKLOG: Final = 1_000
"""Items that one client may be behind (drop_oldest); the others are told as a gap."""

BEGAN_ANEW: Final = -1
"""The position of a client whose items' numbers mean nothing any more."""

TOO_SLOW: Final = f"a client is kept {BACKLOG:,} items; these were dropped"
UNREADABLE: Final = "these cannot be read by this version"
NOT_KEPT: Final = "these are no longer kept"
LOST: Final = "the store lost items; numbers began anew"


class EventWriter(Protocol):
    """Writes items as messages; one for each dialect."""

    def shown(self, view: "EventView", items: Sequence[Entry]) -> list[bytes]:
        """The last items."""

    def event(
        self, view: "EventView", items: Sequence[Entry], prev: int, epoch: str | None
    ) -> list[bytes]:
        """Items that follow position ``prev``; ``epoch`` where it is another one since."""

    def missed(
        self, view: "EventView", items: Sequence[Entry], span: tuple[int, int], reason: str
    ) -> list[bytes]:
        """Numbers ``span`` (after, up to) are lost for this client; it goes on with ``items``."""


class EventView:
    """One event feed as one kind of subscriber sees it.

    ``seq`` is the position of everybody who keeps up.

    Args:
        hub_epoch: names this process; positions of wildcards hold within it.
        counters: ``dropped_items`` are counted here.
    """

    def __init__(
        self,
        target: Target,
        spec: Spec,
        log: EventLog,
        writer: EventWriter,
        hub_epoch: str,
        counters: Counter[str],
    ) -> None:
        self.target = target
        self.spec = spec
        self.table = log
        self.fields, self._picked = pick(log, spec.fields)
        self.seq = 0
        self.ts = 0
        self.epoch = ""
        self._hub_epoch = hub_epoch
        self._counters = counters
        self._writer = writer
        self._numbers: Numbers = {}
        self._pace = Pace(spec.rate_hz)
        self._generation = -1
        self._snapshot: list[bytes] | None = None
        self._caught_up: dict[int, list[bytes]] = {}

    @property
    def size(self) -> int:
        """Items in a snapshot."""
        return len(self.shown())

    @property
    def is_changed(self) -> bool:
        """Whether there are newer items."""
        return self.seq != self.table.end

    def is_due(self, tick: int) -> bool:
        """Whether its rate allows another message."""
        return self._pace.is_due(tick, self.table.version)

    def must_restart(self) -> bool:
        """Whether the numbers of items began anew."""
        return self._generation != self.table.generation

    def restart(self, tick: int, ts: int) -> None:
        """Begin anew from the log."""
        self._generation = self.table.generation
        self._move(tick, ts)

    def after_restart(self, position: Position) -> Position:
        """Where a client stands then: what it was told by another server still holds."""
        return BEGAN_ANEW if isinstance(position, int) else position

    def _move(self, tick: int, ts: int) -> None:
        self.seq, self.ts = self.table.end, ts
        self._numbers = dict(self.table.numbers)
        self.epoch = self._hub_epoch if self.table.is_wildcard else epoch_of(self._numbers)
        self._snapshot = None
        self._caught_up.clear()
        self._pace.moved(tick, self.table.version)

    def refresh(self, tick: int, ts: int) -> None:
        """Come up to the present while nobody looks."""
        if self.is_changed:
            self._move(tick, ts)

    def advance(self, tick: int, ts: int) -> list[bytes]:
        """Take in what came; the messages that say so, none if nothing did."""
        if not self.is_changed:
            return []
        before, epoch = self.seq, self.epoch
        self._move(tick, ts)
        return self._since(before, None if self.epoch == epoch else self.epoch)

    def _since(self, position: int, epoch: str | None) -> list[bytes]:
        entries = self.table.between(max(position, self.seq - BACKLOG), self.seq)
        return self._told(entries, position, epoch, TOO_SLOW)

    def _told(
        self, entries: Sequence[Entry], position: int, epoch: str | None, reason: str
    ) -> list[bytes]:
        """What leads from ``position`` to ``seq`` by these entries; what they lack is a gap.

        Items that cannot be read are lost too: a gap of as many, then the others.
        """
        items, owed = readable(entries), self.seq - position
        if len(items) == owed:
            return self._writer.event(self, items, position, epoch) if items else []
        dropped = max(owed - len(entries), 0)
        self._counters["dropped_items"] += dropped
        up_to = max(self.seq - len(items), position)
        return self._writer.missed(
            self, items, (position, up_to), reason if dropped else UNREADABLE
        )

    def position_of(self, since: Since, hub_epoch: str) -> Position:
        """Where a client that comes back stands; None where that means nothing here."""
        if not self.table.is_wildcard:
            return numbers_of(since)
        is_ours = since.epoch == hub_epoch and 0 <= since.seq <= self.table.end
        return since.seq if is_ours else None

    def owes(self, position: Position, tick: int) -> bool:
        """Who is behind gets what there is as soon as there is room."""
        return True

    def snapshot(self) -> list[bytes]:
        """The last items; written once however many ask."""
        if self._snapshot is None:
            self._snapshot = self._writer.shown(self, self.shown())
        return self._snapshot

    def shown(self) -> list[Entry]:
        """The items of a snapshot, oldest first."""
        limit = self.spec.limit or SHOWN
        newest = self.table.between(self.seq - limit, self.seq)
        items = readable(newest)
        if len(items) < len(newest):
            items = readable(self.table.between(self.table.first, self.seq))[-limit:]
        return items

    def catch_up(self, position: Position) -> list[bytes] | None:
        """What leads from ``position`` to ``seq``; None if only a snapshot does."""
        if position is None:
            return None
        if isinstance(position, Mapping):
            return self._resumed(position)
        if position == BEGAN_ANEW:
            span = (self.seq, self.seq)
            return self._writer.missed(self, self.shown(), span, LOST)
        if position == self.seq:
            return []
        if position not in self._caught_up:
            self._caught_up[position] = self._since(position, self.epoch)
        return self._caught_up[position]

    def _resumed(self, numbers: Numbers) -> list[bytes] | None:
        """Items with later numbers; None for who is further than we are."""
        if any(self._numbers.get(shard, 0) < number for shard, number in numbers.items()):
            return None
        position = sum(numbers.values())
        kept = self.table.between(self.table.first, self.seq)
        entries = [entry for entry in kept if entry.number > numbers.get(entry.shard, 0)]
        return self._told(entries[-BACKLOG:], position, self.epoch, NOT_KEPT)

    def fields_of(self, item: Entry) -> dict[str, object]:
        """An item's fields by name."""
        row = item.item
        return {name: row[i] for name, i in zip(self.fields, self._picked, strict=True)}
