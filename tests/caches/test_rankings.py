"""Rankings of shards become one: order, ties, ranks, shards that stand behind."""

from tapewire.caches.rankings import Ranking, merge_prints, merge_top_trades
from tapewire.model.rows import LargestPrint, TopTrade


def row(symbol: str, value: float, rank: int = 1) -> TopTrade:
    return TopTrade(rank, symbol, 5, 100, value, value / 100, 20.0, 50, None)


def largest(symbol: str, value: float, sequence: int = 1) -> LargestPrint:
    return LargestPrint(1, symbol, value, 100, value / 100, 1_000, (), 4, sequence)


def lines(rows: list[TopTrade]) -> list[tuple[int, str]]:
    return [(one.rank, one.symbol) for one in rows]


def test_scores_descend_and_ties_go_by_symbol() -> None:
    shards = [Ranking(60_000, [row("IBM", 9.0), row("BAC", 5.0, 2)]), Ranking(60_000, [])]
    shards.append(Ranking(60_000, [row("AIG", 5.0)]))
    assert lines(merge_top_trades(shards, "1m", "value")) == [(1, "IBM"), (2, "AIG"), (3, "BAC")]
    assert lines(merge_top_trades(shards, "1m", "value", 1)) == [(1, "IBM")]
    assert merge_top_trades([], "1m", "value") == []


def test_a_shard_a_whole_window_behind_takes_no_part() -> None:
    shards = [Ranking(600_000, [row("IBM", 1.0)]), Ranking(540_000, [row("AIG", 9.0)])]
    assert lines(merge_top_trades(shards, "1m", "value")) == [(1, "IBM")]
    assert lines(merge_top_trades(shards, "5m", "value")) == [(1, "AIG"), (2, "IBM")]


def test_a_symbol_of_two_shards_counts_as_of_the_later_one() -> None:
    shards = [Ranking(61_000, [row("IBM", 2.0)]), Ranking(60_000, [row("IBM", 9.0)])]
    (found,) = merge_top_trades(shards, "1m", "value")
    assert found.value == 2.0


def test_prints_are_those_of_the_newest_date() -> None:
    monday = [largest("AIG", 99.0)]
    tuesday = [largest("IBM", 5.0, 2), largest("IBM", 5.0, 1)]
    found = merge_prints([("2013-10-07", monday), ("2013-10-08", tuesday), ("2013-10-09", [])])
    assert [(one.rank, one.symbol, one.sequence) for one in found] == [(1, "IBM", 1), (2, "IBM", 2)]
    assert merge_prints([]) == []
