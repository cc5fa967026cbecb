"""Boards of many shards merge into what one shard would have kept."""

from hypothesis import given
from hypothesis import strategies as st

from tapewire.caches.boards import Line, merge_boards
from tapewire.market.symbols import shard_of

DAY = "2026-11-20"
SCORES = st.dictionaries(
    st.text("ABCDE", min_size=1, max_size=3),
    st.floats(-1e12, 1e12, allow_nan=False) | st.integers(-3, 3).map(float),
    max_size=60,
)


def test_ties_go_by_symbol_and_ranks_have_no_holes() -> None:
    merged = merge_boards([(DAY, {"B": 2.0, "A": 1.0}), (DAY, {"C": 1.0, "D": 2.0})], 3)
    assert merged == [Line(1, "B", 2.0), Line(2, "D", 2.0), Line(3, "A", 1.0)]


def test_only_the_newest_trading_day_counts() -> None:
    shards = [("2026-11-19", {"A": 9.0}), (DAY, {"B": 1.0}), ("2026-11-23", {})]
    assert merge_boards(shards, 10) == [Line(1, "B", 1.0)]


def test_no_boards_merge_to_none() -> None:
    assert merge_boards([], 10) == []
    assert merge_boards([(DAY, {})], 10) == []


def test_a_symbol_in_two_shards_is_listed_once() -> None:
    assert merge_boards([(DAY, {"A": 1.0}), (DAY, {"A": -1.0})], 10) == [Line(1, "A", 1.0)]


@given(SCORES, st.integers(1, 5), st.integers(0, 12))
def test_any_number_of_shards_merges_alike(
    scores: dict[str, float], shards: int, limit: int
) -> None:
    parts: list[tuple[str, dict[str, float]]] = [(DAY, {}) for _ in range(shards)]
    for symbol, score in scores.items():
        parts[shard_of(symbol, shards)][1][symbol] = score
    assert merge_boards(parts, limit) == merge_boards([(DAY, scores)], limit)


@given(SCORES, st.integers(1, 5), st.integers(1, 12))
def test_shards_may_keep_only_their_own_best(
    scores: dict[str, float], shards: int, limit: int
) -> None:
    best: list[tuple[str, dict[str, float]]] = []
    for index in range(shards):
        mine = {s: score for s, score in scores.items() if shard_of(s, shards) == index}
        lines = merge_boards([(DAY, mine)], limit)
        best.append((DAY, {line.symbol: line.score for line in lines}))
    assert merge_boards(best, limit) == merge_boards([(DAY, scores)], limit)


@given(SCORES, st.integers(0, 100))
def test_lines_are_ordered_ranked_and_at_most_the_limit(
    scores: dict[str, float], limit: int
) -> None:
    merged = merge_boards([(DAY, scores)], limit)
    assert len(merged) == min(limit, len(scores))
    assert [line.rank for line in merged] == list(range(1, len(merged) + 1))
    order = [(-line.score, line.symbol) for line in merged]
    assert order == sorted(order)
    assert all(scores[line.symbol] == line.score for line in merged)
