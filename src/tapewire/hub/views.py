"""A view: one feed as one kind of subscriber sees it, and the deltas between its ticks.

All subscribers of a view that keep up get the same bytes. What it sent lately is kept, so
that one who missed some of it gets a single delta from where it stands.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from tapewire.hub.feeds import Target
from tapewire.hub.tables import Row, Table
from tapewire.model.messages import TICKS_PER_SECOND, Key, Since

KEPT_CHANGES: Final = 200
"""Deltas that a view remembers (drop_oldest): at most these many, and at most as many rows
as a snapshot has. Whoever is further behind gets a snapshot."""

SLACK_TICKS: Final = 3
"""How much sooner than its rate says a delta may follow one that came late."""


Position = int | Mapping[str, int] | None
"""Where a subscriber stands: a tick, or a place in an event feed (a sum of numbers, or a
number for each shard); None while it needs a snapshot."""


class Spec(Struct, frozen=True):
    """What subscribers must agree in to share a view. ``dialect`` names how it is written."""

    feed: str
    dialect: str
    fields: tuple[str, ...] | None
    limit: int | None
    rate_hz: int


class Change(Struct):
    """What happened to a view's rows from ``prev`` to ``seq``.

    ``set``: key -> changed fields (all of a row that is new); ``order`` is None unless the
    keys' order changed.
    """

    seq: int
    prev: int
    ts: int
    set: dict[Key, dict[str, Any]]
    removed: dict[Key, None]
    order: list[Key] | None = None

    def __bool__(self) -> bool:
        """Whether anything happened."""
        return bool(self.set or self.removed or self.order is not None)

    def then(self, later: "Change") -> None:
        """Put ``later`` on top of this one, in place."""
        for key in later.removed:
            self.set.pop(key, None)
            self.removed[key] = None
        for key, fields in later.set.items():
            self.removed.pop(key, None)
            self.set.setdefault(key, {}).update(fields)
        self.order = self.order if later.order is None else later.order
        self.seq, self.ts = later.seq, later.ts


class Writer(Protocol):
    """Writes a view's content as messages; one for each dialect."""

    def snapshot(self, view: "View") -> list[bytes]:
        """All rows."""

    def change(self, view: "View", change: Change) -> list[bytes]:
        """A change."""


class Pace:
    """When a view may send: at its rate on the average, in step with whoever writes."""

    def __init__(self, rate_hz: int) -> None:
        self.every = TICKS_PER_SECOND // rate_hz
        self._next = 0
        self._noted = -2
        self._waits_from = 0
        """Tick since which one change waits; 0 while none does, -1 when there were more."""

    def is_due(self, tick: int, version: int) -> bool:
        """Whether the rate allows it; notes since when a table's version waits if not."""
        if tick >= self._next:
            return True
        if self._noted != version:
            self._waits_from = -1 if self._waits_from else tick
            self._noted = version
        return False

    def moved(self, tick: int, version: int) -> None:
        """Something was sent: when the next may be, on the average ``every`` ticks later.

        After one that came late it may be sooner, by at most ``SLACK_TICKS``. After one that
        brought a single change which had to wait it is a tick sooner, so that a view falls
        into step with a writer of its own rate, and its rows no longer wait.
        """
        slack = min(self.every // 2, SLACK_TICKS)
        waited = tick - self._waits_from if self._waits_from > 0 else 0
        sooner = waited > 1 and self._noted == version
        on_average = max(self._next + self.every - sooner, tick + self.every - slack)
        self._next = min(on_average, tick + self.every)  # restarts come before their time
        self._waits_from = 0


class View:
    """The rows of one feed as of its last tick.

    ``seq`` is that tick: the position of everybody who keeps up.
    """

    def __init__(self, target: Target, spec: Spec, table: Table, writer: Writer) -> None:
        self.target = target
        self.spec = spec
        self.table = table
        self.fields, self._picked = pick(table, spec.fields)
        self.rows: dict[Key, Row] = {}
        self.seq = -1
        self.ts = 0
        self._writer = writer
        self._pace = Pace(spec.rate_hz)
        self._version = -2
        self._generation = -1
        self._history: deque[Change] = deque()
        self._history_rows = 0
        self._snapshot: list[bytes] | None = None
        self._caught_up: dict[int, list[bytes]] = {}

    @property
    def size(self) -> int:
        """Rows in a snapshot."""
        return len(self.rows)

    @property
    def is_changed(self) -> bool:
        """Whether the table may hold something else by now."""
        return self._version != self.table.version

    def is_due(self, tick: int) -> bool:
        """Whether its rate allows another delta."""
        return self._pace.is_due(tick, self.table.version)

    def must_restart(self) -> bool:
        """Whether its rows have nothing to do with the table's any more."""
        return self._generation != self.table.generation

    def restart(self, tick: int, ts: int) -> None:
        """Begin anew from the table; every subscriber needs a snapshot."""
        self.rows = dict(self.table.rows(self.spec.limit))
        self._version, self._generation = self.table.version, self.table.generation
        self._history.clear()
        self._history_rows = 0
        self._move(tick, ts)

    def after_restart(self, position: Position) -> Position:
        """Where a client stands then: nowhere."""
        return None

    def _move(self, tick: int, ts: int) -> None:
        self.seq, self.ts = tick, ts
        self._snapshot = None
        self._caught_up.clear()
        self._pace.moved(tick, self.table.version)

    def refresh(self, tick: int, ts: int) -> None:
        """Come up to the present while nobody looks."""
        if self.seq < tick:
            self.advance(tick, ts)

    def position_of(self, since: Since, hub_epoch: str) -> Position:
        """Where a client that comes back stands; None where that means nothing here."""
        return since.seq if since.epoch == hub_epoch else None

    def owes(self, position: Position, tick: int) -> bool:
        """Whether the rate allows a delta to somebody who is behind."""
        return not isinstance(position, int) or tick - position >= self._pace.every

    def advance(self, tick: int, ts: int) -> list[bytes]:
        """Move to ``tick``; the messages that say what changed, none if nothing did."""
        change = Change(tick, self.seq, ts, {}, {})
        touched = None if self.spec.limit else self.table.touched(self._version)
        if touched is None:
            self._compare_all(change)
        else:
            self._compare_some(change, touched)
        self._version = self.table.version
        if not change:
            return []
        self._move(tick, ts)
        self._remember(change)
        return self._writer.change(self, change)

    def _compare_all(self, change: Change) -> None:
        known, rows = self.rows, dict(self.table.rows(self.spec.limit))
        for key, row in rows.items():
            before = known.get(key)
            if before is not row and (fields := self._changed(before, row)):
                change.set[key] = fields
        if known.keys() != rows.keys():
            change.removed = dict.fromkeys(key for key in known if key not in rows)
        if self.table.is_board and list(known) != (order := list(rows)):
            change.order = order
        self.rows = rows

    def _compare_some(self, change: Change, touched: Iterable[Key]) -> None:
        known = self.rows
        for key in touched:
            row, before = self.table.row(key), known.get(key)
            if row is None:
                if before is not None:
                    change.removed[key] = None
                    del known[key]
            elif before is not row:
                known[key] = row
                if fields := self._changed(before, row):
                    change.set[key] = fields

    def _changed(self, before: Row | None, row: Row) -> dict[str, Any]:
        names, picked = self.fields, self._picked
        if before is None:
            return {name: row[i] for name, i in zip(names, picked, strict=True)}
        return {name: row[i] for name, i in zip(names, picked, strict=True) if row[i] != before[i]}

    def _remember(self, change: Change) -> None:
        self._history.append(change)
        self._history_rows += len(change.set)
        most = max(len(self.rows), 100)
        while len(self._history) > KEPT_CHANGES or self._history_rows > most:
            self._history_rows -= len(self._history.popleft().set)

    def fields_of(self, row: Row) -> dict[str, Any]:
        """A row's fields by name."""
        return {name: row[i] for name, i in zip(self.fields, self._picked, strict=True)}

    def snapshot(self) -> list[bytes]:
        """Everything, at ``seq``; written once however many ask."""
        if self._snapshot is None:
            self._snapshot = self._writer.snapshot(self)
        return self._snapshot

    def catch_up(self, position: Position) -> list[bytes] | None:
        """What leads from ``position`` to ``seq``: at most one delta; None if it is too old."""
        if position == self.seq:
            return []
        if not isinstance(position, int):
            return None
        if position not in self._caught_up:
            missed = [change for change in self._history if change.prev >= position]
            if not missed or missed[0].prev != position:
                return None
            self._caught_up[position] = self._writer.change(self, merged(missed))
        return self._caught_up[position]


def merged(changes: Sequence[Change]) -> Change:
    """One change that does what all of them do, in order; they stay as they are."""
    first = changes[0]
    whole = Change(first.seq, first.prev, first.ts, {}, {})
    for change in changes:
        whole.then(change)
    return whole


class Picked(Protocol):
    """What has named fields, one of them the key (empty: none)."""

    @property
    def key(self) -> str:
        """Name of the key."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of a row's values."""


def pick(table: Picked, wanted: Iterable[str] | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and places of the fields to show, the key's first.

    Raises ValueError that names fields which the table does not have.
    """
    key = (table.key,) if table.key else ()
    names = table.fields if wanted is None else tuple(dict.fromkeys((*key, *wanted)))
    if strange := [name for name in names if name not in table.fields]:
        known = ", ".join(table.fields)
        raise ValueError(f"no such fields: {', '.join(strange)[:200]}; expected some of {known}")
    return names, tuple(table.fields.index(name) for name in names)
