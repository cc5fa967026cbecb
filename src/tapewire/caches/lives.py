"""When is a key's TTL due? Redis 6.2 cannot say "only where there is none" in one command."""

from collections.abc import Callable, Iterator
from itertools import islice

from tapewire.caches.keys import WidgetDataCacheKeys, WidgetDataCacheTTL
from tapewire.model.changes import Changes, is_outdated

MAX_REMEMBERED = 100_000
"""Names remembered per shard: about 20 MB. Of more the older half is forgotten, and only asked
for again when it is touched: names have dates, and few of long ago are."""


class Lives:
    """What one owner of one shard knows of its keys' TTLs.

    A name is due when the owner first touches it, then once per `WidgetDataCacheTTL.REFRESH_S`.
    A name from which something is removed is due at its next flush too: an emptied hash is
    gone, and is created anew without a TTL.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._due_ms: dict[str, int] = {}

    def due(self, changes: Changes) -> dict[str, int]:
        """Names that this flush touches and whose TTL (seconds) it must set."""
        now_ms, due_ms = self._now_ms(), self._due_ms
        names = {name for name in touched(changes) if due_ms.get(name, 0) <= now_ms}
        if names:
            names.add("names")
        return {name: WidgetDataCacheTTL.of(name) for name in names}

    def refreshed(self, names: dict[str, int], changes: Changes) -> None:
        """The flush of ``changes`` set these TTLs; ask for them again in an hour."""
        now_ms = self._now_ms()
        if outdated := changes.outdated:  # once a trading date
            kept = self._due_ms.items()
            self._due_ms = {name: due for name, due in kept if not is_outdated(name, outdated)}
        if len(self._due_ms) > MAX_REMEMBERED:
            self._due_ms = dict(islice(self._due_ms.items(), MAX_REMEMBERED // 2, None))
        self._due_ms.update(dict.fromkeys(names, now_ms + WidgetDataCacheTTL.REFRESH_S * 1000))
        for name in reduced(changes):
            self._due_ms.pop(name, None)


def reduced(changes: Changes) -> Iterator[str]:
    """Names of the hashes and boards from which a flush removes something, or everything."""
    yield from changes.dropped
    yield from (name for name, gone in changes.removed.items() if gone)
    yield from (name for name, board in changes.boards.items() if board.removed)


def touched(changes: Changes) -> Iterator[str]:
    """Names in the shard of every key that a flush writes, private and fixed ones included."""
    yield from ("place", "positions", "changes")
    yield from changes.rows
    yield from changes.boards
    yield from changes.items
    for name in changes.private:
        yield WidgetDataCacheKeys.PRIVATE + name
    if changes.items:
        yield "sequences"
    if changes.gaps:
        yield "gaps"
