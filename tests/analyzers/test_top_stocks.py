"""The leaderboard in one process: what is folded, how it is ranked, what it says of itself."""

import pytest

from tapewire.analyzers.top_stocks import TopStocksAnalyzer
from tapewire.model.rows import Reference
from tests.analyzers.tape import FRIDAY, MONDAY, bar, clock, trade


def opened(*prices: tuple[str, float, float]) -> TopStocksAnalyzer:
    """Symbols with their first and last regular price."""
    stocks = TopStocksAnalyzer()
    stocks.feed([trade(symbol, first, at="09:30") for symbol, first, _ in prices])
    stocks.feed([trade(symbol, last, at="09:31") for symbol, _, last in prices])
    stocks.feed([clock("09:32")])
    return stocks


def test_nothing_is_listed_before_the_first_event() -> None:
    stocks = TopStocksAnalyzer()
    assert stocks.top() == []
    assert (stocks.second_ms, stocks.date, stocks.skipped) == (-1, "", {})
    assert not stocks.feed([clock("09:30")])


def test_gainers_are_ranked_without_holes_ties_by_symbol() -> None:
    stocks = opened(("IBM", 100, 101), ("AAPL", 50, 50.5), ("TSLA", 10, 12), ("BAC", 10, 9))
    top = stocks.top("gainers", 3)
    assert [(one.rank, one.symbol, one.score) for one in top] == [
        (1, "TSLA", 20.0),
        (2, "AAPL", 1.0),
        (3, "IBM", 1.0),
    ]
    assert top[0].quote.close == 12
    assert [one.symbol for one in stocks.top("top_volume", 2)] == ["AAPL", "BAC"]


def test_gappers_need_the_previous_close() -> None:
    stocks = opened(("AAPL", 50, 55))
    assert stocks.top("gappers") == []
    stocks.refer([Reference("AAPL", FRIDAY, prev_day_close=44.0)])
    stocks.feed([trade("AAPL", 55, at="09:33"), clock("09:34")])
    assert [one.score for one in stocks.top("gappers")] == [25.0]


def test_a_second_that_has_ended_is_said() -> None:
    stocks = TopStocksAnalyzer()
    assert stocks.feed([trade("AAPL", 50, at="09:30:00.100")])
    assert not stocks.feed([trade("AAPL", 51, at="09:30:00.900")])
    assert stocks.feed([trade("AAPL", 51, at="09:30:01")])
    assert stocks.feed([clock("09:30:01", final=True)])


def test_of_trades_and_bars_the_first_kind_counts() -> None:
    stocks = TopStocksAnalyzer()
    stocks.feed([bar("AAPL", 10, at="09:30"), trade("AAPL", 99, at="09:30")])
    stocks.feed([bar("AAPL", 11, at="09:31", accumulated=500), clock("09:32")])
    assert [(one.score, one.quote.close) for one in stocks.top("volume")] == [(500, 11)]
    assert stocks.ignored == {"Trade": 1}


def test_the_day_turns_to_an_empty_board() -> None:
    stocks = opened(("AAPL", 50, 55))
    stocks.feed([trade("IBM", 10, at="04:00", date=MONDAY), clock("04:01", date=MONDAY)])
    assert [one.symbol for one in stocks.top("volume")] == ["IBM"]
    assert stocks.date == MONDAY


def test_a_board_as_text() -> None:
    lines = opened(("AAPL", 50, 55), ("IBM", 1000, 1500)).table("gainers", 2).splitlines()
    assert lines == [
        "2026-11-20  top gainers",
        "  1  IBM         1,500.00        +50.00 %",
        "  2  AAPL           55.00        +10.00 %",
    ]


def test_another_board_is_refused() -> None:
    with pytest.raises(ValueError, match="'losers' is not a board; expected one of gainers"):
        TopStocksAnalyzer().top("losers")
