"""One ranking of top trades, and one list of largest prints, from many shards'. Pure.

Each shard keeps its own best, so the best of the union lie inside the union of the shards'
(architecture, decision 9). Used by whoever shows them: reader, commands, widget service.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tapewire.model.feeds import LARGEST_PRINTS, TOP_TRADES, WINDOWS_S
from tapewire.model.rows import LargestPrint, TopTrade


class Ranking(Struct, frozen=True):
    """One shard's ranking. ``as_of_ms``: the end of its window, ms UTC."""

    as_of_ms: int
    rows: Sequence[TopTrade]


def merge_top_trades(
    shards: Iterable[Ranking], window: str, metric: str, limit: int = TOP_TRADES
) -> list[TopTrade]:
    """Merge shards' rankings of one window (``5m``) by one metric (``value``).

    Score descending, ties by symbol, dense ranks from 1. A shard that stands a whole window or
    more behind the newest takes no part. A symbol found in two shards (left over from another
    number of shards) counts as of the later one.
    """
    known = sorted(shards, key=lambda ranking: ranking.as_of_ms)
    if not known:
        return []
    oldest_ms = known[-1].as_of_ms - WINDOWS_S[window] * 1000
    union: dict[str, TopTrade] = {}
    for ranking in known:
        if ranking.as_of_ms > oldest_ms:
            union.update((row.symbol, row) for row in ranking.rows)
    best = sorted(union.values(), key=lambda row: (-getattr(row, metric), row.symbol))
    return [replace(row, rank=rank) for rank, row in enumerate(best[:limit], 1)]


def merge_prints(
    shards: Iterable[tuple[str, Sequence[LargestPrint]]], limit: int = LARGEST_PRINTS
) -> list[LargestPrint]:
    """Merge shards' largest prints, each with its trading date, of the newest date.

    Value descending; ties by symbol, time and sequence; dense ranks from 1.
    """
    known = list(shards)
    newest = max((date for date, rows in known if rows), default="")
    union = {
        (-row.value, row.symbol, row.timestamp_ms, row.sequence): row
        for date, rows in known
        if date == newest
        for row in rows
    }
    best = [union[place] for place in sorted(union)[:limit]]
    return [replace(row, rank=rank) for rank, row in enumerate(best, 1)]
