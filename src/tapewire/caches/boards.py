"""One leaderboard from many shards' leaderboards: the one merge that every reader uses.

Each shard keeps its own top 500, so the top 500 of the union lies inside the union of the
shards' top 500s (architecture, decision 9). Pure.
"""

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from typing import NamedTuple


class Line(NamedTuple):
    """One line of a board. ``rank`` counts from 1 without holes."""

    rank: int
    symbol: str
    score: float


def merge_boards(shards: Sequence[tuple[str, Mapping[str, float]]], limit: int) -> list[Line]:
    """Merge shards' boards of the newest trading day among them.

    Args:
        shards: (trading date as ``2026-11-20``, symbol -> score) of each shard; a shard that
            has not come to the newest day yet takes no part.
        limit: how many lines.

    Score descending, ties by symbol ascending. A symbol found in two shards (left over from
    another number of shards) is listed once, with its higher score.
    """
    newest = max((date for date, scores in shards if scores), default="")
    union: dict[str, float] = {}
    for date, scores in shards:
        if date == newest:
            for symbol, score in scores.items():
                union[symbol] = max(score, union.get(symbol, score))
    best = nsmallest(limit, union.items(), key=lambda line: (-line[1], line[0]))
    return [Line(rank, symbol, score) for rank, (symbol, score) in enumerate(best, 1)]
