"""The Widget Data Cache contract: fenced flushes in, positions and change streams out.

A shard's **place** is ``<owner>-<flush>``: who owns it, and how many times that owner
flushed. See ``architecture.md`` decisions 5 and 6.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple, Protocol, Self

from msgspec import Struct

from tapewire.model.changes import PRIVATE, BoardChange, Changes, Published
from tapewire.model.events import Gap


class CacheError(Exception):
    """The cache refused or cannot be reached.

    CacheError
    ├── CacheUnavailable   no connection, loading, read-only: wait and try again
    ├── Fenced             a newer owner holds the shard: drop memory, close the channel
    └── StoreLostWrites    the place is missing or behind: claim again, write every row
    """


class CacheUnavailable(CacheError):  # noqa: N818 - it says what happened
    """No answer; the flush may or may not have happened, and is safe to send again."""


class Fenced(CacheError):  # noqa: N818 - it says what happened
    """A newer owner holds this shard."""


class StoreLostWrites(CacheError):  # noqa: N818 - it says what happened
    """The store forgot flushes that it had confirmed."""


class Place(NamedTuple):
    """``<owner>-<flush>``, ordered."""

    owner: int
    flush: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1763700000000-12``."""
        owner, _, flush = text.partition("-")
        return cls(int(owner), int(flush))

    def __str__(self) -> str:
        return f"{self.owner}-{self.flush}"

    @property
    def next(self) -> "Place":
        """The place after one more flush by the same owner."""
        return Place(self.owner, self.flush + 1)


class Claim(Struct):
    """What a new owner starts from. ``positions``: producer -> packed position."""

    place: Place
    positions: dict[str, bytes]


class Followed(Struct):
    """One change stream entry of one shard."""

    shard: str
    place: Place
    changes: Published


class Item(NamedTuple):
    """An event feed's item: its number in the shard, which only grows, and its packed row."""

    sequence: int
    packed: bytes


class Items(NamedTuple):
    """An event feed's items in one shard: the last number given (0: none yet), what is kept."""

    last: int
    kept: list[Item]


class Snapshot(Struct):
    """A shard's place and what was asked for, taken in one ``MULTI``."""

    place: Place | None
    rows: dict[str, dict[str, bytes]]
    boards: dict[str, dict[str, float]]
    items: dict[str, Items] = {}


Wanted = Mapping[str, Sequence[str] | None]
"""Hashes to read, by name in the shard: whole (None), or these fields."""


def settled(changes: Changes) -> Changes:
    """Changes in which no field is both removed and written: what is written stays.

    A follower may then apply removals and rows in either order. Nothing is written to a hash
    that the same flush drops.
    """
    gone = frozenset(changes.dropped)
    removed = {
        name: [field for field in fields if field not in changes.rows.get(name, ())]
        for name, fields in changes.removed.items()
    }
    boards = {
        name: BoardChange(board.put, [one for one in board.removed if one not in board.put])
        for name, board in changes.boards.items()
    }
    return Changes(
        {name: rows for name, rows in changes.rows.items() if name not in gone},
        removed,
        boards,
        changes.items,
        changes.gaps,
        {name: rows for name, rows in changes.private.items() if PRIVATE + name not in gone},
        changes.dropped,
        changes.outdated,
    )


class WidgetCache(Protocol):
    """What processors and readers need of WDC; ``shard`` is a shard's name (``trades.0``)."""

    async def claim(self, shard: str) -> Claim:
        """Become the owner: place ``<max(owner + 1, unix ms)>-0``, atomically.

        Raises CacheUnavailable; calling again is safe (the owner grows once more).
        """

    async def fetch(self, shard: str, hashes: Wanted) -> dict[str, dict[str, bytes]]:
        """Read hashes of a shard, whole (None) or these fields; absent ones stay out.

        Private hashes are named ``private:<name>``.
        """

    async def flush(
        self, shard: str, expected: Place, positions: Mapping[str, bytes], changes: Changes
    ) -> Place:
        """Write one flush if ``expected`` is still the place; return the next place.

        Calling again after CacheUnavailable with the same arguments is safe.
        Raises CacheUnavailable, Fenced, StoreLostWrites, and ValueError for a name that
        is reserved.
        """

    async def snapshot(
        self, shard: str, hashes: Wanted, boards: Sequence[str] = (), feeds: Sequence[str] = ()
    ) -> Snapshot:
        """Place, rows, boards and all items kept of event feeds in one MULTI."""

    def follow(self, places: Mapping[str, Place]) -> AsyncGenerator[Sequence[Followed], None]:
        """Change stream entries after these places, as they come (XREAD BLOCK).

        Close it (``contextlib.aclosing``). Raises StoreLostWrites when a place is older
        than the stream or its owner does not continue it: snapshot again.
        """

    async def shards(self) -> list[str]:
        """Names of the shards that were ever claimed here, sorted."""

    async def names(self, shard: str) -> list[str]:
        """Names of the shard's hashes, boards and lists that have not expired, sorted."""

    async def gaps(self, shard: str) -> list[Gap]:
        """The shard's gaps, oldest first, at most the newest 10,000.

        One that was told again, after the store had been set back, is listed once.
        """

    async def items(self, shard: str, feed: str, limit: int | None = None) -> list[Item]:
        """The newest ``limit`` items (None: all that are kept) of an event feed, oldest first."""

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
