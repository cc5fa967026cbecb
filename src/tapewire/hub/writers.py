"""How each dialect writes what views hold.

A *message* is one JSON text. ``tapewire.v1`` sends an array of messages in a frame; the
earlier dialect sends each message as a frame of its own.
"""

from collections.abc import Sequence
from typing import Any, Final

from tapewire.hub.event_views import EventView
from tapewire.hub.events import Entry
from tapewire.hub.views import Change, View
from tapewire.model.messages import (
    ROWS_PER_PART,
    SUBPROTOCOL,
    Delta,
    Event,
    Id,
    Missed,
    Snapshot,
    encode,
)

V1: Final = SUBPROTOCOL
EARLIER: Final = ""
"""The name of the dialect that is spoken without a subprotocol."""

FRAME_BYTES: Final = 256 * 1024
"""A frame holds more than this only if a single message does."""


class V1Writer:
    """``tapewire.v1``: snapshots in parts, deltas of changed fields."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch

    def snapshot(self, view: View) -> list[bytes]:
        """One message for every 2,000 rows; ``part`` and ``parts`` when there are several."""
        rows = [view.fields_of(row) for row in view.rows.values()]
        return self._in_parts(view, view.table.key, self._epoch, rows)

    def _in_parts(
        self, view: View | EventView, key: str, epoch: str, rows: list[Any]
    ) -> list[bytes]:
        parts = [rows[at : at + ROWS_PER_PART] for at in range(0, len(rows), ROWS_PER_PART)]
        if len(parts) <= 1:
            return [encode(Snapshot(view.spec.feed, epoch, view.seq, view.ts, key, rows))]
        begin = (view.spec.feed, epoch, view.seq, view.ts, key)
        return [
            encode(Snapshot(*begin, part, number, len(parts)))
            for number, part in enumerate(parts, 1)
        ]

    def change(self, view: View, change: Change) -> list[bytes]:
        """One ``delta``."""
        key = view.table.key
        rows = [{key: each, **fields} for each, fields in change.set.items()]
        removed = list(change.removed)
        return [
            encode(
                Delta(
                    view.spec.feed, change.seq, change.prev, change.ts, rows, removed, change.order
                )
            )
        ]

    def shown(self, view: EventView, items: Sequence[Entry]) -> list[bytes]:
        """A ``snapshot`` without a key: items oldest first."""
        rows = [view.fields_of(item) for item in items]
        return self._in_parts(view, "", view.epoch, rows)

    def event(
        self, view: EventView, items: Sequence[Entry], prev: int, epoch: str | None
    ) -> list[bytes]:
        """One ``event``."""
        rows = [view.fields_of(item) for item in items]
        return [encode(Event(view.spec.feed, view.seq, prev, view.ts, rows, epoch))]

    def missed(
        self, view: EventView, items: Sequence[Entry], span: tuple[int, int], reason: str
    ) -> list[bytes]:
        """A ``gap``, then a snapshot of what there is after it."""
        return [encode(Missed(view.spec.feed, *span, reason)), *self.shown(view, items)]


class EarlierWriter:
    """Bare rows: a board whole in one array, anything else one object for each row."""

    def snapshot(self, view: View) -> list[bytes]:
        """The board, or the last row; nothing for a wildcard."""
        if view.target.is_ranked:
            return [self._board(view)]
        if view.target.is_wildcard or not view.rows:
            return []
        return [encode(view.fields_of(list(view.rows.values())[-1]))]

    def change(self, view: View, change: Change) -> list[bytes]:
        """The board, or the rows that changed."""
        if view.target.is_ranked:
            return [self._board(view)]
        return [encode(view.fields_of(view.rows[key])) for key in change.set]

    def shown(self, view: EventView, items: Sequence[Entry]) -> list[bytes]:
        """Nothing: who wants what was there asks for it."""
        return []

    def event(
        self, view: EventView, items: Sequence[Entry], prev: int, epoch: str | None
    ) -> list[bytes]:
        """Each item as an object."""
        return [encode(view.fields_of(item)) for item in items]

    def missed(
        self, view: EventView, items: Sequence[Entry], span: tuple[int, int], reason: str
    ) -> list[bytes]:
        """What there is after the gap; this dialect has no word for it."""
        return self.event(view, items, span[1], None)

    def answer(self, view: View | EventView) -> bytes:
        """The data of a ``get``: newest first, one object for a symbol, null if unknown."""
        if isinstance(view, EventView):
            return encode([view.fields_of(item) for item in reversed(view.shown())])
        rows = [view.fields_of(row) for row in view.rows.values()]
        if not view.target.is_ranked and view.table.key == "start_ms":
            rows.reverse()
        if view.target.is_single:
            return encode(rows[0] if rows else None)
        return encode(rows)

    def _board(self, view: View) -> bytes:
        return encode([view.fields_of(row) for row in view.rows.values()])


def with_id(message: bytes, id_: Id | None) -> bytes:
    """A message with an ``id`` after its ``op``; the bytes of others stay shared."""
    if id_ is None:
        return message
    head, _, rest = message.partition(b",")
    return b'%s,"id":%s,%s' % (head, encode(id_), rest)


def frames(dialect: str, messages: Sequence[bytes]) -> list[bytes]:
    """Messages as the texts of frames; a large flush is split between messages."""
    if dialect != V1:
        return list(messages)
    texts: list[bytes] = []
    part: list[bytes] = []
    size = 0
    for message in messages:
        if part and size + len(message) > FRAME_BYTES:
            texts.append(_array(part))
            part, size = [], 0
        part.append(message)
        size += len(message)
    return [*texts, _array(part)] if part else texts


def _array(messages: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(messages) + b"]"
