"""Quote records: every field of the table of components.md 4, from trades."""

import pytest

from tapewire.model.rows import BestQuote, Fact, Reference
from tests.analyzers.market import Market
from tests.analyzers.tape import (
    CORRECTED_CLOSE,
    DERIVED,
    FORM_T,
    FRIDAY,
    MONDAY,
    ODD_LOT,
    OFFICIAL_CLOSE,
    OFFICIAL_OPEN,
    OPENING_NASDAQ,
    OPENING_NYSE,
    clock,
    gap,
    ms,
    trade,
)


@pytest.fixture
def market() -> Market:
    return Market()


def reference(symbol: str = "AAPL", date: str = FRIDAY, **known: float) -> Reference:
    return Reference(symbol, date, **known)  # type: ignore[arg-type]  # prices, not the name


FULL = reference(
    prev_day_open=95.0,
    prev_day_high=99.0,
    prev_day_low=94.0,
    prev_day_close=98.0,
    prev_day_volume=5_000,
    prev_day_vwap=97.0,
    avg_volume=1_000.0,
    free_float=1_000_000,
)


def test_every_field_of_a_row(market: Market) -> None:
    market.refer(FULL).show(
        trade("AAPL", 100.0, at="09:31:02.100", size=200),
        trade("AAPL", 104.0, at="09:31:05.100", size=100),
        trade("AAPL", 102.0, at="09:31:05.200", size=300),
        trade("AAPL", 103.0, at="09:31:05.900", size=200),
        clock("09:31:06"),
    )
    row = market.quote("AAPL")
    assert row.symbol == "AAPL"
    assert (row.volume, row.high, row.low, row.close) == (600, 104.0, 102.0, 103.0)
    assert row.vwap == (104 * 100 + 102 * 300 + 103 * 200) / 600
    assert row.average_size == 200
    assert row.accumulated_volume == 800
    assert row.aggregate_vwap == (100 * 200 + 104 * 100 + 102 * 300 + 103 * 200) / 800
    assert (row.day_high, row.day_low) == (104.0, 100.0)
    assert (row.open, row.base_note) == (100.0, "first regular trade")
    assert row.official_open_price is None
    assert (row.change, row.pct_change) == (5.0, 100 * 5.0 / 98.0)
    assert (row.change_since_open, row.pct_change_since_open) == (3.0, 3.0)
    assert (row.avg_volume, row.relative_volume) == (1_000.0, 0.8)
    assert row.free_float == 1_000_000
    assert row.prev_day_close == 98.0
    assert (row.prev_day_open, row.prev_day_high, row.prev_day_low) == (95.0, 99.0, 94.0)
    assert (row.prev_day_volume, row.prev_day_vwap) == (5_000, 97.0)
    assert row.start_timestamp == ms("09:31:05")
    assert row.end_timestamp == ms("09:31:06")
    assert row.session == "regular"
    assert row.gap is False


def test_what_has_no_base_is_null(market: Market) -> None:
    row = market.show(trade("AAPL", 100.0, at="09:31")).quote("AAPL")
    assert row.prev_day_close is row.change is row.pct_change is None
    assert row.avg_volume is row.relative_volume is row.free_float is None
    assert row.prev_day_volume is row.prev_day_vwap is None


def test_a_base_of_zero_gives_null(market: Market) -> None:
    market.refer(reference(prev_day_close=0.0, avg_volume=0.0))
    row = market.show(trade("AAPL", 100.0, at="09:31")).quote("AAPL")
    assert row.change is row.pct_change is row.relative_volume is None


def test_the_unfinished_second_is_shown(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:02.1"))
    assert market.quote("AAPL").accumulated_volume == 100
    market.show(trade("AAPL", 101.0, at="09:31:02.2"))
    assert market.quote("AAPL").accumulated_volume == 200
    assert market.quote("AAPL").close == 101.0


def test_a_row_never_goes_back_when_a_reference_comes(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:01"))
    market.show(trade("AAPL", 101.0, at="09:31:02.1"))
    market.refer(FULL).flush()
    row = market.quote("AAPL")
    assert (row.accumulated_volume, row.close) == (200, 101.0)
    assert row.pct_change == 100 * 3.0 / 98.0


def test_a_reference_reaches_a_symbol_of_the_first_second(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:01"))
    market.refer(FULL).flush()
    assert market.quote("AAPL").prev_day_close == 98.0


def test_references_create_no_row(market: Market) -> None:
    market.show(trade("IBM", 100.0, at="09:31"))
    market.refer(FULL).show(clock("09:32"))
    assert market.quoted() == {"IBM"}


def test_a_reference_of_another_date_changes_nothing(market: Market) -> None:
    market.refer(reference(date=MONDAY, prev_day_close=50.0))
    market.show(trade("AAPL", 100.0, at="09:31"))
    assert market.quote("AAPL").prev_day_close is None


def test_the_last_reference_of_a_date_counts(market: Market) -> None:
    market.refer(reference(prev_day_close=50.0))
    market.show(trade("AAPL", 100.0, at="09:31"))
    market.refer(reference(prev_day_close=80.0)).show(clock("09:32"))
    assert market.quote("AAPL").change == 20.0


@pytest.mark.parametrize("condition", [OPENING_NYSE, OPENING_NASDAQ])
def test_the_official_open_is_the_opening_print_at_or_after_the_open(
    market: Market, condition: int
) -> None:
    market.show(trade("AAPL", 99.0, at="09:29:59.999", conditions=(condition,)))
    assert market.quote("AAPL").official_open_price is None
    market.show(trade("AAPL", 100.0, at="09:30:00.000", conditions=(condition,)))
    assert market.quote("AAPL").official_open_price == 100.0
    market.show(trade("AAPL", 105.0, at="09:30:05", conditions=(condition,)))
    row = market.quote("AAPL")
    assert (row.official_open_price, row.open, row.base_note) == (100.0, 100.0, "official open")


def test_the_first_opening_print_by_order_counts_whenever_it_arrives(market: Market) -> None:
    first = trade("AAPL", 100.0, at="09:30:01", conditions=(OPENING_NYSE,))
    second = trade("AAPL", 105.0, at="09:30:09", conditions=(OPENING_NYSE,))
    market.show(second, first, clock("09:30:10"))
    assert market.quote("AAPL").official_open_price == 100.0


def test_the_base_turns_at_the_open_exactly(market: Market) -> None:
    market.show(
        trade("AAPL", 90.0, at="08:00"),
        trade("AAPL", 99.0, at="09:29:59.999"),
    )
    row = market.quote("AAPL")
    assert (row.open, row.base_note) == (90.0, "first pre-market trade")
    assert row.pct_change_since_open == 10.0
    market.show(trade("AAPL", 100.0, at="09:30:00.000"))
    row = market.quote("AAPL")
    assert (row.open, row.base_note, row.change_since_open) == (100.0, "first regular trade", 0.0)


def test_at_the_open_every_row_loses_its_pre_market_base(market: Market) -> None:
    market.show(trade("AAPL", 90.0, at="08:00"), trade("IBM", 20.0, at="09:30:00"))
    row = market.quote("AAPL")
    assert (row.open, row.base_note, row.change_since_open) == (None, None, None)


def test_the_clock_alone_turns_the_base(market: Market) -> None:
    market.show(trade("AAPL", 90.0, at="08:00"), clock("09:29:59.999"))
    assert market.quote("AAPL").open == 90.0
    market.show(clock("09:30"))
    assert market.quote("AAPL").open is None


def test_the_official_open_replaces_the_first_regular_trade(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:30:01"))
    market.show(trade("AAPL", 102.0, at="09:30:03", conditions=(OPENING_NYSE,)))
    assert market.quote("AAPL").open == 102.0


def test_the_base_holds_after_the_close(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="15:59"), trade("AAPL", 110.0, at="16:30"))
    row = market.quote("AAPL")
    assert (row.open, row.pct_change_since_open, row.session) == (100.0, 10.0, "post")


def test_a_late_pre_market_trade_corrects_the_pre_market_base(market: Market) -> None:
    market.show(trade("AAPL", 90.0, at="08:05"), trade("AAPL", 45.0, at="08:00"), clock("08:05:01"))
    assert market.quote("AAPL").open == 45.0


def test_a_late_trade_counts_for_the_day_and_leaves_the_last_second(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:31:10"),
        trade("AAPL", 120.0, at="09:31:02", size=50),
        clock("09:31:11"),
    )
    row = market.quote("AAPL")
    assert (row.accumulated_volume, row.day_high, row.close) == (150, 120.0, 100.0)
    assert (row.volume, row.high, row.start_timestamp) == (100, 100.0, ms("09:31:10"))
    assert row.open == 120.0


def test_a_late_trade_joins_the_last_second_of_its_symbol(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:31:02.1"),
        trade("IBM", 20.0, at="09:31:05"),
        trade("AAPL", 104.0, at="09:31:02.9", size=300),
        clock("09:31:06"),
    )
    row = market.quote("AAPL")
    assert (row.volume, row.vwap, row.high, row.low) == (400, 103.0, 104.0, 100.0)
    assert (row.average_size, row.start_timestamp) == (200, ms("09:31:02"))


def test_out_of_order_within_a_second_the_sequence_decides_the_close(market: Market) -> None:
    market.show(
        trade("AAPL", 101.0, at="09:31:02.500", sequence=7),
        trade("AAPL", 100.0, at="09:31:02.500", sequence=6),
        trade("AAPL", 99.0, at="09:31:02.100", sequence=9),
        clock("09:31:03"),
    )
    assert market.quote("AAPL").close == 101.0
    assert market.quote("AAPL").open == 99.0


def test_duplicates_change_nothing(market: Market) -> None:
    once = trade("AAPL", 100.0, at="09:31:02.1")
    market.show(once, once, trade("AAPL", 100.0, at="09:31:04"), once, clock("09:31:05"))
    assert market.quote("AAPL").accumulated_volume == 200
    assert market.fold.skipped == {"duplicate": 2}


def test_an_odd_lot_counts_for_volume_only(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:31:02.1"),
        trade("AAPL", 150.0, at="09:31:02.2", size=5, conditions=(ODD_LOT,)),
    )
    row = market.quote("AAPL")
    assert (row.accumulated_volume, row.close, row.day_high, row.high) == (105, 100, 100, 100)


def test_a_symbol_with_odd_lots_only_has_volume_and_no_price(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:02", size=5, conditions=(ODD_LOT,)))
    row = market.quote("AAPL")
    assert (row.accumulated_volume, row.aggregate_vwap) == (5, 100.0)
    assert row.close is row.high is row.low is row.day_high is row.day_low is row.open is None


def test_form_t_is_eligible_outside_the_regular_session_only(market: Market) -> None:
    market.show(trade("AAPL", 90.0, at="09:29:59.999", conditions=(FORM_T,)))
    assert market.quote("AAPL").close == 90.0
    market.show(trade("AAPL", 95.0, at="09:30:00", conditions=(FORM_T,)))
    assert market.quote("AAPL").close == 90.0
    assert market.quote("AAPL").accumulated_volume == 200
    market.show(trade("AAPL", 96.0, at="15:59:59.999", conditions=(FORM_T,)))
    assert market.quote("AAPL").close == 90.0
    market.show(trade("AAPL", 97.0, at="16:00:00", conditions=(FORM_T,)))
    assert market.quote("AAPL").close == 97.0


def test_a_late_form_t_is_judged_by_its_own_session(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:30:02"),
        trade("AAPL", 130.0, at="09:29:58", conditions=(FORM_T,)),
        trade("IBM", 100.0, at="16:00:02"),
        trade("IBM", 130.0, at="15:59:58", conditions=(FORM_T,)),
        clock("16:00:03"),
    )
    assert market.quote("AAPL").day_high == 130.0
    assert market.quote("IBM").day_high == 100.0


@pytest.mark.parametrize("condition", [OFFICIAL_CLOSE, OFFICIAL_OPEN])
def test_official_prices_update_nothing(market: Market, condition: int) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:31:02"),
        trade("AAPL", 150.0, at="09:31:04", conditions=(condition,)),
        trade("IBM", 150.0, at="09:31:04", conditions=(condition,)),
    )
    market.show(clock("09:31:05"))
    row = market.quote("AAPL")
    assert (row.accumulated_volume, row.close, row.start_timestamp) == (100, 100.0, ms("09:31:02"))
    assert market.quoted() == {"AAPL"}


def test_a_corrected_close_moves_prices_and_no_volume(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="16:00:02"))
    market.show(trade("AAPL", 101.0, at="16:00:09", size=500, conditions=(CORRECTED_CLOSE,)))
    row = market.quote("AAPL")
    assert (row.close, row.day_high, row.accumulated_volume, row.volume) == (101.0, 101.0, 100, 0)
    assert row.vwap is row.average_size is None


def test_a_derived_price_widens_the_range_and_is_no_close(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:02"))
    market.show(trade("AAPL", 90.0, at="09:31:03", conditions=(DERIVED,)))
    row = market.quote("AAPL")
    assert (row.close, row.day_low, row.low) == (100.0, 90.0, 90.0)


def test_fractions_of_shares_count(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:02", size=0.5))
    market.show(trade("AAPL", 104.0, at="09:31:02.5", size=1.5), clock("09:31:03"))
    row = market.quote("AAPL")
    assert (row.accumulated_volume, row.aggregate_vwap) == (2.0, 103.0)


def test_bad_prices_are_counted_and_not_applied(market: Market) -> None:
    market.show(
        trade("AAPL", 0.0, at="09:31:01"),
        trade("AAPL", 100.0, at="09:31:02"),
        trade("AAPL", -5.0, at="09:31:02.1"),
        trade("AAPL", 0.0, at="09:31:02.2", conditions=(ODD_LOT,)),
        clock("09:31:03"),
    )
    assert market.quote("AAPL").day_low == 100.0
    assert market.quote("AAPL").accumulated_volume == 100
    assert market.fold.skipped == {"bad_price": 3}


class TestDayTurn:
    def test_a_new_day_begins_empty_at_four(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="19:59:59"))
        market.show(
            trade("AAPL", 120.0, at="04:00:00", date=MONDAY), clock("04:00:01", date=MONDAY)
        )
        row = market.quote("AAPL", MONDAY)
        assert (row.accumulated_volume, row.day_low, row.open) == (100, 120.0, 120.0)
        assert market.quote("AAPL").accumulated_volume == 100

    def test_the_old_day_keeps_its_last_second(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="19:59:58"))
        market.send(trade("AAPL", 105.0, at="19:59:59.9"))
        market.show(trade("AAPL", 120.0, at="04:00:00", date=MONDAY))
        row = market.quote("AAPL")
        assert (row.accumulated_volume, row.close) == (200, 105.0)
        assert list(market.scores("top_volume")) == ["AAPL"]
        assert market.scores("top_volume") == {"AAPL": 200}

    def test_a_day_that_came_and_went_between_two_flushes_is_written(self, market: Market) -> None:
        market.send(
            trade("AAPL", 100.0, at="10:00"),
            trade("AAPL", 110.0, at="10:00", date=MONDAY),
            trade("AAPL", 120.0, at="10:00", date="2026-11-24"),
        ).flush()
        assert market.quote("AAPL").close == 100.0
        assert market.quote("AAPL", MONDAY).close == 110.0
        assert market.quote("AAPL", "2026-11-24").close == 120.0
        assert market.candle("AAPL", "10:00").closed
        assert market.scores("top_volume", MONDAY) == {"AAPL": 100}

    def test_midnight_is_no_boundary(self, market: Market) -> None:
        market.show(
            trade("AAPL", 100.0, at="19:59"), trade("IBM", 10.0, at="03:59:59", date=MONDAY)
        )
        market.show(trade("IBM", 10.0, at="04:00:01", date=MONDAY), clock("04:00:02", date=MONDAY))
        assert market.quoted("2026-11-22") == {"IBM"}
        assert market.quoted(MONDAY) == {"IBM"}

    def test_a_late_trade_of_the_old_day_stays_out_of_the_new_one(self, market: Market) -> None:
        tuesday = "2026-11-24"
        market.show(
            trade("AAPL", 100.0, at="04:00:03", date=tuesday),
            trade("AAPL", 50.0, at="03:59:58", date=tuesday),
            clock("04:00:04", date=tuesday),
        )
        row = market.quote("AAPL", tuesday)
        assert (row.accumulated_volume, row.day_low) == (100, 100.0)

    def test_sequences_begin_again_with_the_day(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="10:00", sequence=1))
        market.show(
            trade("AAPL", 101.0, at="10:00", sequence=1, date=MONDAY),
            clock("10:01", date=MONDAY),
        )
        assert market.quote("AAPL", MONDAY).close == 101.0
        assert market.fold.skipped == {}


class TestGaps:
    def test_rows_carry_the_mark_until_the_session_ends(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:40"), trade("IBM", 20.0, at="09:41"))
        market.show(gap("09:41", "09:42"), trade("AAPL", 101.0, at="09:42"))
        assert market.quote("AAPL").gap
        assert market.quote("IBM").gap
        market.show(clock("15:59:59"))
        assert market.quote("IBM").gap
        market.show(clock("16:00"))
        assert not market.quote("IBM").gap
        assert not market.quote("AAPL").gap

    def test_a_symbol_that_comes_after_the_gap_carries_it_too(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:40"), gap("09:41", "09:42"))
        market.show(trade("IBM", 20.0, at="10:30"))
        assert market.quote("IBM").gap

    def test_a_gap_into_the_next_session_marks_both(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="15:59:58"), gap("15:59:58", "16:00:03"))
        assert market.quote("AAPL").gap
        market.show(trade("AAPL", 100.0, at="16:00:03"), clock("16:00:04"))
        assert market.quote("AAPL").gap
        market.show(clock("20:00"))
        assert not market.quote("AAPL").gap

    def test_a_gap_before_the_first_event_marks_the_rows(self, market: Market) -> None:
        market.show(gap("09:41", "09:42"), trade("AAPL", 100.0, at="09:42"))
        assert market.quote("AAPL").gap

    def test_a_gap_over_the_day_turn_marks_the_new_day(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="19:59"))
        market.show(
            gap("19:59", "09:35", until=MONDAY), trade("AAPL", 101.0, at="09:35", date=MONDAY)
        )
        assert market.quote("AAPL", MONDAY).gap

    @pytest.mark.parametrize("later", ["09:45", "15:59:59", "16:00"])
    def test_a_new_owner_knows_of_the_gap(self, market: Market, later: str) -> None:
        other = Market()
        for each in (market, other):
            each.show(trade("AAPL", 100.0, at="09:40"), gap("09:40", "09:41"))
        market.restart()
        for each in (market, other):
            each.show(trade("IBM", 20.0, at=later), clock("16:00:05"))
        assert market.store.public() == other.store.public()


def best(symbol: str = "AAPL", bid: float | None = 99.0, ask: float | None = 101.0) -> BestQuote:
    return BestQuote(symbol, bid, ask, 3, 5, ms("09:31"))


def test_facts_fill_fields(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31"))
    row = market.quote("AAPL")
    assert row.halted is row.news_at is row.bid is row.ask is row.spread_pct is None
    market.fold.learn(
        [
            Fact("AAPL", "halted", True, FRIDAY),
            Fact("AAPL", "news_at", ms("09:30")),
            Fact("AAPL", "best_quote", best(), FRIDAY),
        ]
    )
    market.flush()
    row = market.quote("AAPL")
    assert (row.halted, row.news_at) == (True, ms("09:30"))
    assert (row.bid, row.ask, row.bid_size, row.ask_size) == (99.0, 101.0, 3, 5)
    assert row.spread_pct == 2.0
    market.fold.learn([Fact("AAPL", "halted", False, FRIDAY)])
    market.flush()
    assert market.quote("AAPL").halted is False


@pytest.mark.parametrize(("bid", "ask"), [(None, 101.0), (99.0, None), (None, None)])
def test_without_a_side_there_is_no_spread(
    market: Market, bid: float | None, ask: float | None
) -> None:
    market.fold.learn([Fact("AAPL", "best_quote", best(bid=bid, ask=ask), FRIDAY)])
    row = market.show(trade("AAPL", 100.0, at="09:31")).quote("AAPL")
    assert (row.bid, row.ask, row.spread_pct) == (bid, ask, None)


def test_facts_create_no_row_and_wait_for_their_day(market: Market) -> None:
    facts = [Fact("AAPL", "halted", True, FRIDAY), Fact("AAPL", "news_at", 5)]
    market.fold.learn(facts)
    market.show(trade("IBM", 100.0, at="09:31"))
    assert market.quoted() == {"IBM"}
    market.show(trade("AAPL", 100.0, at="09:32"))
    assert (market.quote("AAPL").halted, market.quote("AAPL").news_at) == (True, 5)
    market.show(trade("AAPL", 100.0, at="09:31", date=MONDAY))
    row = market.quote("AAPL", MONDAY)
    assert (row.halted, row.news_at) == (None, 5)


def test_a_fact_does_not_hide_the_running_second(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:00"), trade("AAPL", 101.0, at="09:31:01.5"))
    market.fold.learn([Fact("AAPL", "halted", True, FRIDAY)])
    market.flush()
    assert (market.quote("AAPL").close, market.quote("AAPL").halted) == (101.0, True)


def test_a_fact_that_nobody_knows_is_refused(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31"))
    with pytest.raises(ValueError, match="expected best_quote"):
        market.fold.learn([Fact("AAPL", "mood", 5, FRIDAY)])


def test_the_end_of_the_day_brings_every_window_to_rest(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="19:59:59", size=7), clock("20:00"))
    assert market.quote("AAPL").volume_5m == 7
    market.show(trade("AAPL", 100.0, at="04:00", date=MONDAY))
    assert market.quote("AAPL", FRIDAY).volume_5m == 0
