"""The three boards: scores, bases, ties, bounds, cuts and restarts."""

from functools import partial

import pytest

from tapewire.analyzers.leaderboard import Board, BoardFilter
from tapewire.model.changes import BoardChange
from tapewire.model.rows import Reference
from tests.analyzers.market import Market, aggregate_fold, trade_fold
from tests.analyzers.tape import FRIDAY, MONDAY, ODD_LOT, OPENING_NYSE, bar, clock, trade


@pytest.fixture
def market() -> Market:
    return Market()


def closes(**prices: float) -> list[Reference]:
    """Previous closes by symbol."""
    return [Reference(symbol, FRIDAY, prev_day_close=price) for symbol, price in prices.items()]


def test_volume_gappers_and_gainers(market: Market) -> None:
    market.refer(*closes(AAPL=80.0, IBM=25.0)).show(
        trade("AAPL", 100.0, at="09:30:01", size=300),
        trade("IBM", 20.0, at="09:30:01", size=500),
        trade("AAPL", 110.0, at="09:30:02", size=100),
        clock("09:30:03"),
    )
    assert market.scores("top_volume") == {"IBM": 500, "AAPL": 400}
    assert market.scores("top_gappers") == {"AAPL": 37.5, "IBM": -20.0}
    assert market.scores("top_gainers") == {"AAPL": 10.0, "IBM": 0.0}


def test_a_symbol_without_the_base_is_not_listed(market: Market) -> None:
    market.refer(*closes(AAPL=80.0, IBM=0.0))
    market.show(
        trade("AAPL", 100.0, at="09:30:01"),
        trade("IBM", 20.0, at="09:30:01"),
        trade("MSFT", 30.0, at="09:30:01"),
        trade("TSLA", 40.0, at="09:30:01", size=5, conditions=(ODD_LOT,)),
        clock("09:30:02"),
    )
    assert list(market.scores("top_gappers")) == ["AAPL"]
    assert set(market.scores("top_gainers")) == {"AAPL", "IBM", "MSFT"}
    assert set(market.scores("top_volume")) == {"AAPL", "IBM", "MSFT", "TSLA"}


def test_the_unfinished_second_does_not_count(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:30:01.1"))
    assert market.scores("top_volume") == {}
    market.show(trade("AAPL", 105.0, at="09:30:02.1"))
    assert market.scores("top_volume") == {"AAPL": 100}
    assert market.scores("top_gainers") == {"AAPL": 0.0}
    market.show(trade("IBM", 20.0, at="09:30:03"))
    assert market.scores("top_gainers") == {"AAPL": 5.0}


def test_boards_do_not_depend_on_when_a_flush_happens(market: Market) -> None:
    tape = [trade("AAPL", 100.0 + n, at=f"09:30:{n // 2:02}.{n % 2 * 5}") for n in range(20)]
    often = Market()
    for each in tape:
        often.show(each)
    assert market.show(*tape).store.boards == often.store.boards


def test_gainers_leave_their_pre_market_base_at_the_open(market: Market) -> None:
    market.show(trade("AAPL", 50.0, at="08:00"), trade("AAPL", 60.0, at="09:29:58"))
    market.show(clock("09:29:59"))
    assert market.scores("top_gainers") == {"AAPL": 20.0}
    market.show(trade("IBM", 20.0, at="09:30:00"))
    assert market.scores("top_gainers") == {}
    market.show(clock("09:30:01"))
    assert market.scores("top_gainers") == {"IBM": 0.0}
    market.show(trade("AAPL", 66.0, at="09:31"), trade("AAPL", 60.0, at="09:32"), clock("09:33"))
    assert market.scores("top_gainers") == {"IBM": 0.0, "AAPL": 100 * -6.0 / 66.0}


def test_gainers_take_the_official_open_once_there_is_one(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:30:01"),
        trade("AAPL", 120.0, at="09:30:05", conditions=(OPENING_NYSE,)),
        trade("AAPL", 126.0, at="09:30:06"),
        clock("09:30:07"),
    )
    assert market.scores("top_gainers") == {"AAPL": 5.0}


def test_a_reference_that_comes_later_lists_the_symbol_at_the_next_cut(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:30:01"), clock("09:30:02"))
    market.refer(*closes(AAPL=80.0)).flush()
    assert market.scores("top_gappers") == {}
    market.show(clock("09:30:03"))
    assert market.scores("top_gappers") == {"AAPL": 25.0}


def test_a_new_day_has_new_boards(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="19:59"))
    market.show(trade("IBM", 20.0, at="04:00:01", date=MONDAY), clock("04:00:02", date=MONDAY))
    assert market.scores("top_volume", MONDAY) == {"IBM": 100}
    assert market.scores("top_volume") == {"AAPL": 100}


def test_five_hundred_symbols_of_a_shard_are_listed(market: Market) -> None:
    market.show(
        *(trade(f"S{n:03}", 10.0, at="09:30:01", size=1_000 + n) for n in range(600)),
        clock("09:30:02"),
    )
    listed = list(market.scores("top_volume"))
    assert len(listed) == 500
    assert (listed[0], listed[-1]) == ("S599", "S100")
    market.show(trade("S000", 10.0, at="09:30:03", size=9_000), clock("09:30:04"))
    listed = list(market.scores("top_volume"))
    assert (listed[0], listed[-1], len(listed)) == ("S000", "S101", 500)


def test_ties_at_the_bound_go_by_symbol() -> None:
    market = Market(lambda: trade_fold(board_size=2))
    for symbol in ("MSFT", "AAPL", "IBM"):
        market.send(trade(symbol, 10.0, at="09:30:01"))
    market.show(clock("09:30:02"))
    assert list(market.scores("top_volume")) == ["AAPL", "IBM"]


def test_a_new_owner_corrects_what_stands_in_the_store() -> None:
    market = Market(lambda: trade_fold(board_size=1))
    market.show(trade("AAPL", 100.0, at="09:30:01", size=200), trade("IBM", 20.0, at="09:30:01"))
    market.show(clock("09:30:02"))
    market.store.boards["top_volume:2026-11-20"] = {"AAPL": 7.0, "IBM": 100.0}
    market.restart().flush()
    assert market.scores("top_volume") == {"AAPL": 200}


def test_boards_are_whole_right_after_a_restart(market: Market) -> None:
    market.refer(*closes(AAPL=80.0)).show(trade("AAPL", 100.0, at="09:30:01"), clock("09:30:02"))
    before = {name: dict(scores) for name, scores in market.store.boards.items()}
    assert len(before) == 3
    market.restart().flush()
    assert market.store.boards == before


def test_a_store_that_lost_everything_gets_the_boards_back(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:30:01"), clock("09:30:02"))
    market.store.boards.clear()
    market.fold.renew()
    market.flush()
    assert market.scores("top_volume") == {"AAPL": 100}
    assert market.scores("top_gainers") == {"AAPL": 0.0}


def test_boards_from_aggregates() -> None:
    market = Market(aggregate_fold)
    market.refer(*closes(AAPL=80.0)).show(
        bar("AAPL", 100, 100, 90, 90, at="09:30:00", accumulated=300),
        bar("AAPL", 110.0, at="09:30:01", accumulated=400),
        clock("09:30:02"),
    )
    assert market.scores("top_volume") == {"AAPL": 400}
    assert market.scores("top_gappers") == {"AAPL": 37.5}
    assert market.scores("top_gainers") == {"AAPL": 10.0}


class TestBoard:
    def test_only_changes_are_drained(self) -> None:
        board = Board()
        board.put("AAPL", 1.0)
        board.put("IBM", 2.0)
        assert board.drain() == BoardChange({"AAPL": 1.0, "IBM": 2.0}, [])
        assert board.drain() is None
        board.put("IBM", 3.0)
        assert board.drain() == BoardChange({"IBM": 3.0}, [])

    def test_who_loses_the_score_or_is_pushed_out_is_removed(self) -> None:
        board = Board(size=2)
        board.put("AAPL", 1.0)
        board.put("IBM", 2.0)
        board.drain()
        board.put("MSFT", 3.0)
        assert board.drain() == BoardChange({"MSFT": 3.0}, ["AAPL"])
        board.put("IBM", None)
        assert board.drain() == BoardChange({"AAPL": 1.0}, ["IBM"])

    def test_in_doubt_everything_is_written(self) -> None:
        board = Board()
        board.put("AAPL", 1.0)
        board.drain()
        board.doubt(["AAPL", "IBM"])
        assert board.drain() == BoardChange({"AAPL": 1.0}, ["IBM"])


def filtered(**bounds: float) -> Market:
    """A market whose boards list what is within bounds."""
    return Market(partial(trade_fold, listed=BoardFilter(**bounds)))


def floats(**shares: float) -> list[Reference]:
    return [Reference(symbol, FRIDAY, free_float=count) for symbol, count in shares.items()]


@pytest.mark.parametrize(
    ("bounds", "listed"),
    [
        ({}, {"AAPL", "IBM", "TSLA"}),
        ({"min_price": 50.0}, {"AAPL", "TSLA"}),
        ({"max_price": 100.0}, {"AAPL", "IBM"}),
        ({"min_price": 100.0, "max_price": 100.0}, {"AAPL"}),
        ({"min_volume": 301}, {"IBM", "TSLA"}),
        ({"max_volume": 300}, {"AAPL"}),
        ({"min_float": 1_000}, {"AAPL"}),
        ({"max_float": 999}, {"IBM"}),
        ({"min_price": 50.0, "max_float": 999}, set()),
    ],
)
def test_what_is_outside_the_bounds_is_not_listed(
    bounds: dict[str, float], listed: set[str]
) -> None:
    market = filtered(**bounds).refer(*floats(AAPL=1_000, IBM=999))
    market.show(
        trade("AAPL", 100.0, at="09:31", size=300),
        trade("IBM", 20.0, at="09:31", size=500),
        trade("TSLA", 300.0, at="09:31", size=400),
        clock("09:32"),
    )
    assert set(market.scores("top_volume")) == set(market.scores("top_gainers")) == listed
    assert market.quoted() == {"AAPL", "IBM", "TSLA"}


def test_a_symbol_comes_and_goes_with_its_price() -> None:
    market = filtered(min_price=10.0)
    market.show(trade("AAPL", 9.0, at="09:31:00"), clock("09:31:01"))
    assert market.scores("top_volume") == {}
    market.show(trade("AAPL", 10.0, at="09:31:02"), clock("09:31:03"))
    assert market.scores("top_volume") == {"AAPL": 200}
    market.restart().show(trade("AAPL", 9.99, at="09:31:04"), clock("09:31:05"))
    assert market.scores("top_volume") == {}
