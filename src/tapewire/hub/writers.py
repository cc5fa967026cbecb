"""How each dialect writes what views hold.

A *message* is one JSON text. ``tapewire.v1`` sends an array of messages in a frame; the
earlier dialect sends each message as a frame of its own.
"""

from collections.abc import Sequence
from typing import Any, Final

from tapewire.hub.views import Change, View
from tapewire.model.feeds import Kind
from tapewire.model.messages import (
    ROWS_PER_PART,
    SUBPROTOCOL,
    Delta,
    Id,
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
        parts = [rows[at : at + ROWS_PER_PART] for at in range(0, len(rows), ROWS_PER_PART)]
        if len(parts) <= 1:
            return [encode(self._snapshot(view, rows))]
        return [
            encode(self._snapshot(view, part, number, len(parts)))
            for number, part in enumerate(parts, 1)
        ]

    def _snapshot(
        self, view: View, rows: list[Any], part: int | None = None, parts: int | None = None
    ) -> Snapshot:
        key = view.table.key
        return Snapshot(view.spec.feed, self._epoch, view.seq, view.ts, key, rows, part, parts)

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


class EarlierWriter:
    """Bare rows: a board whole in one array, anything else one object for each row."""

    def snapshot(self, view: View) -> list[bytes]:
        """The board, or the last row; nothing for a wildcard."""
        if view.target.feed.kind is Kind.BOARD:
            return [self._board(view)]
        if view.target.is_wildcard or not view.rows:
            return []
        return [encode(view.fields_of(list(view.rows.values())[-1]))]

    def change(self, view: View, change: Change) -> list[bytes]:
        """The board, or the rows that changed."""
        if view.target.feed.kind is Kind.BOARD:
            return [self._board(view)]
        return [encode(view.fields_of(view.rows[key])) for key in change.set]

    def answer(self, view: View) -> bytes:
        """The data of a ``get``: newest first, one object for a symbol, null if unknown."""
        rows = [view.fields_of(row) for row in view.rows.values()]
        if view.target.feed.kind is not Kind.BOARD and view.table.key != "symbol":
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
