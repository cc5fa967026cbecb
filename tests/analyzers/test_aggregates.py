"""Quote records from the provider's bars: the table of components.md 4, second column."""

import pytest

from tapewire.model.events import Clock
from tapewire.model.rows import Reference
from tests.analyzers.market import Market, aggregate_fold
from tests.analyzers.tape import FRIDAY, MONDAY, bar, clock, gap, ms


@pytest.fixture
def market() -> Market:
    return Market(aggregate_fold)


def test_every_field_of_a_row(market: Market) -> None:
    market.refer(Reference("AAPL", FRIDAY, prev_day_close=98.0, avg_volume=1_000.0))
    market.show(
        bar("AAPL", 90.0, at="09:31:01", accumulated=500),
        bar(
            "AAPL",
            *(100, 104, 99, 103),
            at="09:31:02",
            volume=600,
            accumulated=1_500,
            op=97.0,
            vwap=101.5,
            day_vwap=100.5,
            average_size=60,
        ),
    )
    row = market.quote("AAPL")
    assert (row.start_timestamp, row.end_timestamp) == (ms("09:31:02"), ms("09:31:03"))
    assert (row.volume, row.vwap, row.average_size) == (600, 101.5, 60)
    assert (row.high, row.low, row.close) == (104, 99, 103)
    assert (row.accumulated_volume, row.aggregate_vwap) == (1_500, 100.5)
    assert (row.official_open_price, row.open, row.base_note) == (97.0, 97.0, "official open")
    assert (row.day_high, row.day_low) == (104, 90.0)
    assert (row.change, row.relative_volume) == (5.0, 1.5)
    assert (row.change_since_open, row.pct_change_since_open) == (6.0, 100 * 6.0 / 97.0)


def test_what_the_provider_left_out_is_null(market: Market) -> None:
    row = market.show(bar("AAPL", 100.0, at="09:31:02")).quote("AAPL")
    assert (row.vwap, row.aggregate_vwap, row.average_size) == (None, None, None)
    assert row.official_open_price is None


def test_yesterdays_open_in_todays_pre_market_is_not_the_official_open(market: Market) -> None:
    market.show(bar("AAPL", 100.0, at="08:00", op=55.0))
    row = market.quote("AAPL")
    assert row.official_open_price is None
    assert (row.open, row.base_note) == (100.0, "first pre-market trade")
    market.show(bar("AAPL", 100.0, at="09:29:59", op=55.0))
    assert market.quote("AAPL").official_open_price is None
    market.show(bar("AAPL", 101.0, at="09:30:00", op=102.0))
    assert market.quote("AAPL").official_open_price == 102.0


def test_before_the_official_open_the_first_regular_bars_open_is_the_base(market: Market) -> None:
    market.show(bar("AAPL", 90.0, at="09:00"), bar("AAPL", 100, 105, 99, 104, at="09:30:00"))
    row = market.quote("AAPL")
    assert (row.open, row.base_note, row.change_since_open) == (100, "first regular trade", 4)


def test_a_corrected_first_bar_corrects_the_base(market: Market) -> None:
    market.show(bar("AAPL", 100.0, at="09:30:00"), bar("AAPL", 104.0, at="09:30:01"))
    market.show(bar("AAPL", 101.0, at="09:30:00"), clock("09:30:02"))
    assert market.quote("AAPL").open == 101.0
    assert market.quote("AAPL").close == 104.0


def test_an_older_bar_widens_the_day_and_leaves_the_rest(market: Market) -> None:
    market.show(bar("AAPL", 100.0, at="09:31:05", accumulated=900))
    market.show(bar("AAPL", 80, 120, 80, 110, at="09:31:02", accumulated=500))
    row = market.quote("AAPL")
    assert (row.close, row.accumulated_volume, row.start_timestamp) == (100, 900, ms("09:31:05"))
    assert (row.day_high, row.day_low) == (120, 80)


@pytest.mark.parametrize("cut_ends_it", [False, True], ids=["within its second", "after it"])
def test_the_newest_bar_sent_again_replaces_all_that_it_said(cut_ends_it: bool) -> None:
    market = Market(aggregate_fold).show(bar("AAPL", 100.0, at="09:31:04"))
    market.show(bar("AAPL", 90, 130, 70, 90, at="09:31:05", accumulated=900))
    if cut_ends_it:
        market.restart().show(clock("09:31:06"))
    market.restart().show(bar("AAPL", 95, 96, 94, 95, at="09:31:05", accumulated=800))
    row = market.quote("AAPL")
    assert (row.day_high, row.day_low, row.high, row.low) == (100.0, 94, 96, 94)
    assert (row.close, row.accumulated_volume) == (95, 800)
    assert market.show(clock("09:31:08")).quote("AAPL").day_high == 100.0
    assert market.candle("AAPL", "09:31").high == 100.0


def test_what_an_older_bar_widened_stays_when_the_newest_is_corrected(market: Market) -> None:
    market.show(bar("AAPL", 100.0, at="09:31:04"), bar("AAPL", 101.0, at="09:31:05"))
    market.show(bar("AAPL", 100, 120, 80, 100, at="09:31:04"))
    market.restart().show(bar("AAPL", 99.0, at="09:31:05"), clock("09:31:06"))
    row = market.quote("AAPL")
    assert (row.day_high, row.day_low, row.close) == (120, 80, 99.0)


@pytest.mark.parametrize("cut_ends_it", [False, True], ids=["within its second", "after it"])
def test_whether_a_bar_is_corrected_as_an_older_one_does_not_depend_on_cuts(
    cut_ends_it: bool,
) -> None:
    market = Market(aggregate_fold).show(bar("AAPL", 120.0, at="09:31:04"))
    market.show(bar("AAPL", 101.0, at="09:31:05"))
    if cut_ends_it:
        market.show(bar("IBM", 20.0, at="09:31:06"))
    market.restart().show(bar("AAPL", 100.0, at="09:31:04")).finish()
    assert (market.quote("AAPL").day_high, market.quote("AAPL").close) == (120.0, 101.0)


def test_a_waiting_bar_is_shown_again_with_what_became_known(market: Market) -> None:
    market.show(bar("AAPL", 110.0, at="09:31:05"))
    assert not market.flush().rows
    market.refer(Reference("AAPL", FRIDAY, prev_day_close=100.0)).flush()
    assert market.quote("AAPL").change == 10.0
    market.show(bar("AAPL", 150.0, at="09:31:04"))
    assert (market.quote("AAPL").day_high, market.quote("AAPL").close) == (150.0, 110.0)


def test_bars_that_begin_within_one_second_all_count(market: Market) -> None:
    first, second = bar("AAPL", 100.0, at="09:31:04.100"), bar("AAPL", 90.0, at="09:31:04.600")
    for one, other in ((first, second), (second, first)):
        market = Market(aggregate_fold).show(one).restart().show(other).restart().finish()
        row = market.quote("AAPL")
        assert (row.day_high, row.day_low, row.close) == (100.0, 90.0, 90.0)


def test_the_same_bar_again_changes_nothing(market: Market) -> None:
    same = bar("AAPL", 100.0, at="09:31:05", accumulated=900)
    before = market.show(same).quote("AAPL")
    assert market.show(same, same).quote("AAPL") == before


def test_what_is_refused_is_counted(market: Market) -> None:
    market.show(
        bar("AAPL", 100.0, at="10:00"),
        bar("AAPL", 100.0, at="09:44:58"),
        bar("AAPL", 100.0, at="10:00", seconds=60),
        bar("AAPL", 0.0, at="10:00"),
        bar("AAPL", 100.0, at="10:00", date="1999-12-31"),
    )
    assert market.fold.skipped == {
        "too_late": 1,
        "other_length": 1,
        "bad_price": 1,
        "bad_timestamp": 1,
    }


def test_an_empty_replay_ends_without_a_trace(market: Market) -> None:
    assert not market.send(Clock(0, final=True)).flush()


def test_a_new_day_begins_empty(market: Market) -> None:
    market.show(bar("AAPL", 100.0, at="19:59", accumulated=900))
    market.send(bar("AAPL", 101.0, at="19:59:59", accumulated=950))
    market.show(bar("AAPL", 120.0, at="04:00", accumulated=10, date=MONDAY))
    assert market.quote("AAPL").accumulated_volume == 950
    assert market.quote("AAPL", MONDAY).accumulated_volume == 10
    assert market.quote("AAPL", MONDAY).day_low == 120.0


def test_a_restart_changes_nothing(market: Market) -> None:
    bars = [
        bar(
            "AAPL", 100.0 + n % 7, at=f"09:{29 + n // 60}:{n % 60:02}", accumulated=100 * n, op=99.0
        )
        for n in range(40, 130)
    ]
    other = Market(aggregate_fold).show(*bars, gap("09:31", "09:32")).finish()
    for each in bars:
        market.show(each).restart()
    market.show(gap("09:31", "09:32")).finish()
    assert market.store.public() == other.store.public()
