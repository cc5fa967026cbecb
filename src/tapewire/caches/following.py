"""When is a change stream's next entry really the next? The same rule for both caches."""

from collections.abc import Mapping

from tapewire.caches.cache import Place, StoreLostWrites

START = Place(0, 0)
"""The place before anybody's first flush."""


def continues(at: Place, following: Place) -> bool:
    """Whether the same owner's next flush follows ``at``; another owner needs a witness."""
    return following == at.next


def check_predecessor(shard: str, at: Place, following: Place, before: Place | None) -> None:
    """Refuse ``following`` unless the entry before it is the one that the reader is at.

    A new owner continues from what the last one flushed. If the entry between them is not
    the reader's, then entries were cut off the stream or the store forgot some.
    """
    if (before or START) != at:
        raise StoreLostWrites(
            f"shard {shard}: a reader at {at} found {following} next, which follows "
            f"{before or 'nothing'}; take a new snapshot"
        )


def check_stored(at: Mapping[str, Place], stored: Mapping[str, Place | None]) -> None:
    """Refuse to wait on for a shard whose stored place is missing or behind its reader."""
    for shard, place in at.items():
        found = stored.get(shard) or START
        if found < place:
            raise StoreLostWrites(
                f"shard {shard}: a reader at {place} found the place at "
                f"{stored.get(shard) or 'nothing'}; the store lost writes, take a new snapshot"
            )
