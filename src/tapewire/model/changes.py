"""What one flush of one shard changes in the Widget Data Cache.

Names of hashes and sorted sets are relative to the shard: the cache puts the shard's
hash tag before them (``quote:2026-11-20`` -> ``{trades.0}:quote:2026-11-20``). The part
of a name before its first colon is its family; the feed table (``model/feeds.py``) knows
each family's TTL and who may read it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from tapewire.model.events import Gap

PRIVATE = "private:"
"""What the names of private hashes begin with where they stand beside others."""

_TOKEN = re.compile(r"[^:]+:(?:.*:)?([^:.]+)(?:\.\d+)?")


def family_of(name: str) -> str:
    """What a name begins with; of a private hash with ``private:`` before it."""
    family, colon, rest = name.partition(":")
    return family + colon + rest.partition(":")[0] if name.startswith(PRIVATE) else family


def is_outdated(name: str, first_kept: Mapping[str, str]) -> bool:
    """Whether a hash's date or time, the end of its name, is before its family's first kept.

    Of ``candles:US:AIG:1m:2026-11-20.3`` that is ``2026-11-20``: a block's number counts not.
    """
    first, found = first_kept.get(family_of(name)), _TOKEN.fullmatch(name)
    return first is not None and found is not None and found[1] < first


class BoardChange(Struct, array_like=True):
    """Members of a sorted set to put (symbol -> score) and to take out."""

    put: dict[str, float] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def merge(self, later: "BoardChange") -> None:
        """Put ``later`` on top of this one, in place."""
        _take_out(self.put, later.removed)
        self.put.update(later.put)
        self.removed = sorted({*self.removed, *later.removed} - self.put.keys())


def _take_out(values: dict[str, Any], gone: Iterable[str]) -> None:
    for name in gone:
        values.pop(name, None)


class Changes(Struct, array_like=True):
    """Rows by hash and field, removals, boards, event items, private state.

    ``rows`` and ``private``: hash -> field -> packed value; both are written, only
    ``rows`` are published. ``items``: event feed -> packed items, oldest first.

    What event time has left behind is forgotten and not published: ``dropped`` are names of
    hashes (private ones with ``private:``) that end after everything else is written;
    ``outdated`` says of families (``quote``, ``private:days``) which date or time, the end of a
    hash's or board's name, is the first kept.
    """

    rows: dict[str, dict[str, bytes]] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    boards: dict[str, BoardChange] = field(default_factory=dict)
    items: dict[str, list[bytes]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    private: dict[str, dict[str, bytes]] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    outdated: dict[str, str] = field(default_factory=dict)

    def merge(self, later: "Changes") -> None:
        """Put ``later`` on top of this one, in place: one flush that does what both would."""
        for name, gone in later.removed.items():
            _take_out(self.rows.get(name, {}), gone)
            self.removed.setdefault(name, []).extend(gone)
        for mine, theirs in ((self.rows, later.rows), (self.private, later.private)):
            for name, values in theirs.items():
                mine.setdefault(name, {}).update(values)
        for name, board in later.boards.items():
            self.boards.setdefault(name, BoardChange()).merge(board)
        for name, items in later.items.items():
            self.items.setdefault(name, []).extend(items)
        self.gaps.extend(later.gaps)
        self.outdated.update(later.outdated)
        for name in later.dropped:
            self.rows.pop(name, None)
            self.private.pop(name.removeprefix(PRIVATE), None)
            self.dropped.append(name)

    def __bool__(self) -> bool:
        """False when a flush would write nothing but the place."""
        written = (self.rows, self.removed, self.boards, self.items, self.gaps, self.private)
        return any(written) or bool(self.dropped or self.outdated)


class Published(Struct, array_like=True):
    """A change stream entry: what readers follow. The private state stays out."""

    rows: dict[str, dict[str, bytes]]
    removed: dict[str, list[str]]
    boards: dict[str, BoardChange]
    items: dict[str, list[bytes]]
    gaps: list[Gap]


_encode = msgspec.msgpack.Encoder().encode
decode_published = msgspec.msgpack.Decoder(Published).decode
"""bytes of a change stream entry -> Published."""


def encode_published(changes: Changes) -> bytes:
    """The change stream entry of one flush."""
    return _encode(
        Published(changes.rows, changes.removed, changes.boards, changes.items, changes.gaps)
    )
