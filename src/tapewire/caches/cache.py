"""The Widget Data Cache contract: fenced flushes in, positions and change streams out.

A shard's **place** is ``<owner>-<flush>``: who owns it, and how many times that owner
flushed. See ``architecture.md`` decisions 5 and 6.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol, Self

from msgspec import Struct

from tapewire.model.changes import Changes, Published


class CacheError(Exception):
    """The cache refused or cannot be reached.

    CacheError
    ├── CacheUnavailable   no connection, loading, read-only: wait and try again
    ├── Fenced             a newer owner holds the shard: drop memory, close the channel
    └── StoreLostWrites    the place is missing or behind: claim again, write every row
    """


class CacheUnavailable(CacheError):
    """No answer; the flush may or may not have happened, and is safe to send again."""


class Fenced(CacheError):
    """A newer owner holds this shard."""


class StoreLostWrites(CacheError):
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


class Snapshot(Struct):
    """A shard's place and the rows asked for, taken in one ``MULTI``."""

    place: Place | None
    rows: dict[str, dict[str, bytes]]
    boards: dict[str, dict[str, float]]


class Followed(Struct):
    """One change stream entry of one shard."""

    shard: str
    place: Place
    changes: Published


class WidgetCache(Protocol):
    """What processors and readers need of WDC; ``shard`` is a shard's name (``trades.0``)."""

    async def claim(self, shard: str) -> Claim:
        """Become the owner: place ``<max(owner + 1, unix ms)>-0``, atomically."""

    async def fetch(
        self, shard: str, hashes: Mapping[str, Sequence[str] | None]
    ) -> dict[str, dict[str, bytes]]:
        """Read hashes of a shard, whole (None) or these fields."""

    async def flush(
        self, shard: str, expected: Place, positions: Mapping[str, bytes], changes: Changes
    ) -> Place:
        """Write one flush if ``expected`` is still the place; return the next place.

        Calling again after CacheUnavailable with the same arguments is safe.
        Raises CacheUnavailable, Fenced, StoreLostWrites.
        """

    async def snapshot(
        self, shard: str, hashes: Mapping[str, Sequence[str] | None], boards: Sequence[str] = ()
    ) -> Snapshot:
        """Place and rows in one MULTI."""

    def follow(self, places: Mapping[str, Place]) -> AsyncIterator[Sequence[Followed]]:
        """Change stream entries after these places, as they come (XREAD BLOCK).

        Raises StoreLostWrites when a place is older than the stream or its owner does
        not continue: snapshot again.
        """
