"""Minute candles: the exact rule of components.md 4, in time and out of it."""

import pytest

from tapewire.analyzers.candles import AtomicOhlcEngine
from tapewire.analyzers.trades import TradeFold
from tapewire.model.events import Clock, Event
from tests.analyzers.market import Market, aggregate_fold, trade_fold
from tests.analyzers.tape import (
    CALENDAR,
    DERIVED,
    FORM_T,
    MONDAY,
    ODD_LOT,
    OFFICIAL_CLOSE,
    bar,
    clock,
    gap,
    ms,
    trade,
)


@pytest.fixture
def market() -> Market:
    return Market()


def test_a_candle_of_a_minute_of_trades(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:31:00.000", size=100),
        trade("AAPL", 103.0, at="09:31:30", size=300),
        trade("AAPL", 99.0, at="09:31:45", size=200),
        trade("AAPL", 101.0, at="09:31:59.999", size=400),
        trade("AAPL", 500.0, at="09:32:00.000"),
        clock("09:32:02"),
    )
    candle = market.candle("AAPL", "09:31")
    assert (candle.open, candle.high, candle.low, candle.close) == (100.0, 103.0, 99.0, 101.0)
    assert (candle.volume, candle.trades) == (1_000, 4)
    assert candle.vwap == (100 * 100 + 103 * 300 + 99 * 200 + 101 * 400) / 1_000
    assert candle.start_ms == ms("09:31")
    assert (candle.closed, candle.revision, candle.gap) == (True, 0, False)
    assert market.candle("AAPL", "09:32").open == 500.0


def test_a_candle_closes_when_time_passes_its_end_by_the_grace(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:10"), clock("09:32:01.999"))
    assert not market.candle("AAPL", "09:31").closed
    market.show(clock("09:32:02"))
    assert market.candle("AAPL", "09:31").closed


def test_the_grace_is_a_setting() -> None:
    market = Market(lambda: TradeFold(CALENDAR, [AtomicOhlcEngine(CALENDAR, grace_ms=10_000)]))
    market.show(trade("AAPL", 100.0, at="09:31:10"), clock("09:32:09"))
    assert not market.candle("AAPL", "09:31").closed
    market.show(clock("09:32:10"))
    assert market.candle("AAPL", "09:31").closed


def test_the_end_of_a_replay_closes_every_candle(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:10"), trade("IBM", 20.0, at="09:32:00.5"))
    market.finish()
    assert market.candle("AAPL", "09:31").closed
    assert market.candle("IBM", "09:32").closed
    assert market.candle("IBM", "09:32").revision == 0


def test_a_long_silence_closes_what_was_open(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:10"))
    market.show(trade("IBM", 20.0, at="15:00"))
    assert market.candle("AAPL", "09:31").closed


def test_a_late_trade_amends_its_own_minute(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:30:10"),
        trade("AAPL", 103.0, at="09:31:01"),
        trade("AAPL", 99.0, at="09:30:58"),
        clock("09:31:02"),
    )
    assert market.candle("AAPL", "09:30").close == 99.0
    assert market.candle("AAPL", "09:30").revision == 0
    assert market.candle("AAPL", "09:31").open == 103.0


def test_the_revision_counts_amendments_after_the_close_only(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:30:10"), trade("AAPL", 103.0, at="09:31:30"))
    market.show(trade("AAPL", 98.0, at="09:30:50"), clock("09:31:31"))
    assert market.candle("AAPL", "09:30").revision == 1
    market.show(
        trade("AAPL", 97.0, at="09:30:51"), trade("AAPL", 96.0, at="09:30:52"), clock("09:32")
    )
    candle = market.candle("AAPL", "09:30")
    assert (candle.revision, candle.low, candle.close, candle.closed) == (3, 96.0, 96.0, True)


def test_a_late_trade_without_effect_is_no_amendment(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:30:10"), trade("AAPL", 103.0, at="09:31:30"))
    market.show(trade("AAPL", 98.0, at="09:30:50", conditions=(OFFICIAL_CLOSE,)), clock("09:31:31"))
    assert market.candle("AAPL", "09:30").revision == 0


def test_a_candle_that_a_late_trade_makes_is_closed_when_its_time_is_over(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:30:10"), clock("09:35"))
    market.show(trade("IBM", 20.0, at="09:30:20"), clock("09:35:01"))
    candle = market.candle("IBM", "09:30")
    assert (candle.closed, candle.revision) == (True, 1)
    market.show(trade("MSFT", 30.0, at="09:31:20"), clock("09:35:02"))
    candle = market.candle("MSFT", "09:31")
    assert (candle.closed, candle.revision) == (True, 1)


def test_a_late_trade_within_the_grace_is_no_revision_even_as_the_first(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:01"), trade("IBM", 20.0, at="09:30:59"))
    market.show(clock("09:31:02"))
    assert market.candle("IBM", "09:30").revision == 0
    assert market.candle("IBM", "09:30").closed


def test_lateness_ends_at_fifteen_minutes(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="10:00:00"))
    market.show(
        trade("AAPL", 90.0, at="09:45:00"),
        trade("AAPL", 80.0, at="09:44:59.999"),
        clock("10:00:01"),
    )
    assert market.candle("AAPL", "09:45").close == 90.0
    assert ms("09:44") not in market.candles("AAPL")
    assert market.fold.skipped == {"too_late": 1}
    assert market.quote("AAPL").accumulated_volume == 200


def test_out_of_order_within_a_second_by_time_then_sequence(market: Market) -> None:
    market.show(
        trade("AAPL", 101.0, at="09:31:00.300", sequence=3),
        trade("AAPL", 102.0, at="09:31:00.300", sequence=2),
        trade("AAPL", 99.0, at="09:31:00.100", sequence=8),
        clock("09:31:01"),
    )
    candle = market.candle("AAPL", "09:31")
    assert (candle.open, candle.close) == (99.0, 101.0)


def test_without_sequences_the_arrival_decides(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:31:00.1", sequence=0),
        trade("AAPL", 101.0, at="09:31:00.1", sequence=0),
        trade("AAPL", 101.0, at="09:31:00.1", sequence=0),
        clock("09:31:01"),
    )
    candle = market.candle("AAPL", "09:31")
    assert (candle.open, candle.close, candle.trades) == (100.0, 101.0, 3)


def test_a_minute_without_an_eligible_price_makes_no_candle(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:31:10", size=7, conditions=(ODD_LOT,)),
        trade("AAPL", 90.0, at="09:31:20", size=50, conditions=(DERIVED,)),
        trade("AAPL", 101.0, at="09:32:10"),
    ).finish()
    assert list(market.candles("AAPL")) == [ms("09:32")]
    assert market.quote("AAPL").accumulated_volume == 157


def test_odd_lots_count_in_a_candle_that_has_a_price(market: Market) -> None:
    market.show(
        trade("AAPL", 150.0, at="09:31:10", size=7, conditions=(ODD_LOT,)),
        trade("AAPL", 100.0, at="09:31:20"),
        clock("09:31:21"),
    )
    candle = market.candle("AAPL", "09:31")
    assert (candle.open, candle.high, candle.volume, candle.trades) == (100.0, 100.0, 107, 2)


def test_all_conditions_count_and_any_no_wins(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="09:31:10"),
        trade("AAPL", 150.0, at="09:31:11", conditions=(0, 14, ODD_LOT)),
        trade("AAPL", 160.0, at="09:31:12", conditions=(38, ODD_LOT)),
        clock("09:31:13"),
    )
    candle = market.candle("AAPL", "09:31")
    assert (candle.high, candle.volume, candle.trades) == (100.0, 200, 2)


@pytest.mark.parametrize(
    ("at", "counts"),
    [("09:29:59.999", True), ("09:30", False), ("15:59:59.999", False), ("16:00", True)],
)
def test_form_t_makes_candles_outside_the_regular_session(
    market: Market, at: str, *, counts: bool
) -> None:
    market.show(trade("AAPL", 100.0, at=at, conditions=(FORM_T,))).finish()
    assert bool(market.candles("AAPL")) is counts


def test_the_session_ends_early_on_a_half_day(market: Market) -> None:
    half_day = "2026-11-27"
    market.show(
        trade("AAPL", 100.0, at="12:59:59", conditions=(FORM_T,), date=half_day),
        trade("AAPL", 101.0, at="13:00:00", conditions=(FORM_T,), date=half_day),
    ).finish()
    assert list(market.candles("AAPL", half_day)) == [ms("13:00", half_day)]


def test_under_leans_rule_only_regular_trades_make_prices() -> None:
    market = Market(lambda: trade_fold("regular"))
    market.show(
        trade("AAPL", 100.0, at="09:31:10"),
        trade("AAPL", 105.0, at="09:31:11", conditions=(14,)),
        trade("AAPL", 106.0, at="09:31:12", conditions=(17,)),
        trade("AAPL", 101.0, at="09:31:13", conditions=(0, 14)),
        clock("09:31:14"),
    )
    candle = market.candle("AAPL", "09:31")
    assert (candle.high, candle.close, candle.volume, candle.trades) == (101.0, 101.0, 300, 3)


def test_the_open_candle_is_written_once_a_second(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:10.1"))
    assert market.candles("AAPL") == {}
    assert not any(
        "candles" in name
        for name in market.send(trade("AAPL", 101.0, at="09:31:10.2")).flush().rows
    )
    changes = market.send(trade("AAPL", 102.0, at="09:31:11.2")).flush()
    assert sum("candles" in name for name in changes.rows) == 1
    assert market.candle("AAPL", "09:31").close == 101.0


def test_candles_of_a_night_belong_to_the_day_before(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="03:59:10", date=MONDAY)).finish()
    assert list(market.candles("AAPL", "2026-11-22")) == [ms("03:59", MONDAY)]
    assert market.candles("AAPL", MONDAY) == {}


def test_a_late_trade_over_the_day_turn_amends_the_old_days_candle(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="04:00:03", date=MONDAY),
        trade("AAPL", 50.0, at="03:59:58", date=MONDAY),
    ).finish()
    assert market.candles("AAPL", "2026-11-22")[ms("03:59", MONDAY)].close == 50.0
    assert market.candle("AAPL", "04:00", MONDAY).close == 100.0


def test_memory_holds_only_what_can_still_change(market: Market) -> None:
    for minute in range(60):
        market.show(trade("AAPL", 100.0, at=f"10:{minute:02}:30"))
    engine = market.fold._clock.parts[2]
    assert isinstance(engine, AtomicOhlcEngine)
    assert engine.held == {"1s": 16, "1m": 15, "5m": 4, "15m": 2, "1h": 1, "1d": 1}
    assert len(market.candles("AAPL")) == 59


class TestGaps:
    def test_candles_that_touch_a_gap_are_marked(self, market: Market) -> None:
        market.show(
            trade("AAPL", 100.0, at="09:30:59"),
            trade("AAPL", 100.0, at="09:31:10"),
            gap("09:31:50", "09:32:05"),
            trade("AAPL", 100.0, at="09:32:05"),
            trade("AAPL", 100.0, at="09:33:05"),
        ).finish()
        assert not market.candle("AAPL", "09:30").gap
        assert market.candle("AAPL", "09:31").gap
        assert market.candle("AAPL", "09:32").gap
        assert not market.candle("AAPL", "09:33").gap

    def test_a_candle_that_begins_after_the_gap_in_its_minute_is_marked(
        self, market: Market
    ) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:10"), gap("09:31:11", "09:31:12"))
        market.show(trade("IBM", 20.0, at="09:31:40"), clock("09:31:41"))
        assert market.candle("IBM", "09:31").gap

    def test_a_new_owner_marks_the_candles_to_come(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:10"), gap("09:31:11", "09:31:12"))
        market.restart()
        market.show(trade("IBM", 20.0, at="09:31:40"), clock("09:31:41"))
        assert market.candle("IBM", "09:31").gap

    def test_the_mark_outlives_a_second_restart(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:10"), gap("09:31:11", "09:31:12"))
        market.restart().show(clock("09:31:20"))
        market.restart().show(trade("IBM", 20.0, at="09:31:40"), clock("09:31:41"))
        assert market.candle("IBM", "09:31").gap
        assert market.quote("IBM").gap

    def test_a_gap_over_the_day_turn_outlives_a_restart(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="03:59:30", date=MONDAY))
        lost = gap("03:59:30", "04:00:20", date=MONDAY)
        market.show(lost, trade("AAPL", 100.0, at="04:00:20", date=MONDAY))
        market.restart()
        market.show(trade("IBM", 20.0, at="04:00:40", date=MONDAY)).finish()
        assert market.candle("IBM", "04:00", MONDAY).gap
        assert market.quote("IBM", MONDAY).gap


class TestAggregates:
    @pytest.fixture
    def market(self) -> Market:
        return Market(aggregate_fold)

    def test_second_bars_make_minutes(self, market: Market) -> None:
        market.show(
            bar("AAPL", 100, 102, 99, 101, at="09:31:00", volume=300, vwap=100.5, average_size=100),
            bar("AAPL", 101, 105, 101, 104, at="09:31:59", volume=100, vwap=103.0, average_size=50),
            clock("09:32:02"),
        )
        candle = market.candle("AAPL", "09:31")
        assert (candle.open, candle.high, candle.low, candle.close) == (100, 105, 99, 104)
        assert (candle.volume, candle.trades, candle.closed) == (400, 5, True)
        assert candle.vwap == (100.5 * 300 + 103.0 * 100) / 400

    def test_a_corrected_bar_replaces_the_second(self, market: Market) -> None:
        market.show(
            bar("AAPL", 100.0, at="09:31:00", volume=300),
            bar("AAPL", 101.0, at="09:31:01", volume=100),
            bar("AAPL", 90.0, at="09:31:00", volume=50),
        ).finish()
        candle = market.candle("AAPL", "09:31")
        assert (candle.open, candle.high, candle.volume) == (90.0, 101.0, 150)

    def test_a_repeated_bar_is_no_amendment(self, market: Market) -> None:
        again = bar("AAPL", 100.0, at="09:31:00")
        market.show(again, clock("09:35"), again, clock("09:36"))
        assert market.candle("AAPL", "09:31").revision == 0
        market.show(bar("AAPL", 101.0, at="09:31:00"))
        assert market.candle("AAPL", "09:31").revision == 1

    def test_a_late_first_bar_of_a_closed_minute_is_closed(self, market: Market) -> None:
        market.show(bar("AAPL", 100.0, at="09:31:00"), clock("09:35"))
        market.show(bar("IBM", 20.0, at="09:31:05"), clock("09:36"))
        candle = market.candle("IBM", "09:31")
        assert (candle.closed, candle.revision) == (True, 1)

    def test_minute_bars_are_candles(self) -> None:
        market = Market(lambda: aggregate_fold(60_000))
        market.show(
            bar("AAPL", 100, 105, 99, 104, at="09:31", seconds=60, volume=1_000, vwap=101.0),
            bar("AAPL", 1.0, at="09:31:05"),
            Clock(ms("09:32:02")),
        )
        candle = market.candle("AAPL", "09:31")
        assert (candle.open, candle.close, candle.volume, candle.vwap) == (100, 104, 1_000, 101.0)
        assert candle.closed
        assert market.fold.skipped == {"other_length": 1}


LONGER = ("5m", "15m", "1h", "1d")


class TestEveryInterval:
    """Longer candles are what the same trades make in a longer time; seconds in a shorter."""

    def test_trades_make_a_candle_of_every_length(self, market: Market) -> None:
        market.show(
            trade("AAPL", 100.0, at="09:31:10", size=100),
            trade("AAPL", 103.0, at="09:31:10.5", size=50),
            trade("AAPL", 99.0, at="09:34:59", size=200),
            trade("AAPL", 101.0, at="09:36:00", size=400),
            trade("AAPL", 110.0, at="10:00:00", size=100),
        ).finish()
        five = market.candle("AAPL", "09:30", interval="5m")
        assert (five.open, five.high, five.low, five.close) == (100.0, 103.0, 99.0, 99.0)
        assert (five.volume, five.trades, five.closed, five.revision) == (350, 3, True, 0)
        assert market.candle("AAPL", "09:35", interval="5m").open == 101.0
        assert market.candle("AAPL", "09:30", interval="15m").volume == 750
        hours = market.candles("AAPL", interval="1h")
        assert list(hours) == [ms("09:00"), ms("10:00")]
        assert (hours[ms("09:00")].close, hours[ms("10:00")].volume) == (101.0, 100)
        [day] = market.candles("AAPL", interval="1d").values()
        assert (day.start_ms, day.open, day.close, day.volume) == (ms("04:00"), 100.0, 110.0, 850)

    def test_a_second_closes_two_seconds_later(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:10.2"), clock("09:31:12.999"))
        assert not market.candle("AAPL", "09:31:10", interval="1s").closed
        market.show(clock("09:31:13"))
        assert market.candle("AAPL", "09:31:10", interval="1s").closed

    def test_longer_candles_change_when_a_minute_closes(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:10"), clock("09:32:01"))
        assert market.candles("AAPL", interval="5m") == {}
        market.show(clock("09:32:02"))
        assert [market.candle("AAPL", "09:30", interval=each).closed for each in LONGER[:2]] == [
            False,
            False,
        ]
        market.show(trade("AAPL", 105.0, at="09:33:10"), clock("09:35:02"))
        five = market.candle("AAPL", "09:30", interval="5m")
        assert (five.close, five.closed) == (105.0, True)
        assert not market.candle("AAPL", "09:30", interval="15m").closed

    def test_a_late_trade_amends_every_candle_that_it_belongs_to(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:34:10"), clock("09:40"))
        market.show(trade("AAPL", 90.0, at="09:34:10.5", size=7), clock("09:41"))
        amended = {"1s": "09:34:10", "1m": "09:34", "5m": "09:30"}
        still_open = {"15m": "09:30", "1h": "09:00", "1d": "04:00"}
        for interval, at in (amended | still_open).items():
            candle = market.candle("AAPL", at, interval=interval)
            assert (candle.low, candle.close, candle.volume) == (90.0, 90.0, 107), interval
            assert candle.revision == (interval in amended), interval

    def test_a_late_trade_in_a_minute_that_is_open_amends_nothing_longer(
        self, market: Market
    ) -> None:
        market.show(trade("AAPL", 100.0, at="09:34:10"), trade("AAPL", 101.0, at="09:34:20"))
        market.show(trade("AAPL", 90.0, at="09:34:10.5"), clock("09:36"))
        five = market.candle("AAPL", "09:30", interval="5m")
        assert (five.low, five.trades, five.revision) == (90.0, 3, 0)

    def test_the_day_turns_at_four(self, market: Market) -> None:
        market.show(
            trade("AAPL", 100.0, at="03:59:59", date=MONDAY),
            trade("AAPL", 101.0, at="04:00:00", date=MONDAY),
        ).finish()
        [before] = market.candles("AAPL", "2026-11-22", "1d").values()
        [after] = market.candles("AAPL", MONDAY, "1d").values()
        assert (before.close, before.closed, after.open) == (100.0, True, 101.0)
        assert after.start_ms == ms("04:00", MONDAY)

    def test_a_gap_marks_what_it_touches_in_every_interval(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:10"), clock("09:31:15"))
        market.show(gap("09:31:10.5", "09:31:12"), clock("09:33"))
        assert market.candle("AAPL", "09:31:10", interval="1s").gap
        market.show(trade("IBM", 20.0, at="11:00:00"), trade("IBM", 20.0, at="13:00")).finish()
        for interval, at in (("1m", "09:31"), ("5m", "09:30"), ("15m", "09:30"), ("1h", "09:00")):
            assert market.candle("AAPL", at, interval=interval).gap, interval
        assert market.candle("IBM", "04:00", interval="1d").gap, "trades of it may have been lost"
        assert not market.candle("IBM", "11:00", interval="1h").gap
        assert not market.candle("IBM", "11:00", interval="1m").gap

    def test_a_gap_is_known_after_a_restart_to_days_that_begin_later(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:10"), gap("09:31:10.5", "09:31:12"))
        market.show(clock("10:30")).restart().show(trade("IBM", 20.0, at="11:00")).finish()
        assert market.candle("IBM", "04:00", interval="1d").gap

    def test_seconds_go_when_newer_ones_have_come(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:10"), clock("12:00"))
        assert list(market.candles("AAPL", interval="1s")) == [ms("09:31:10")]
        market.show(trade("AAPL", 100.0, at="12:00:10"), clock("12:00:11"))
        assert list(market.candles("AAPL", interval="1s")) == [ms("12:00:10")]

    def test_candles_of_dates_before_the_last_two_sessions_go(self, market: Market) -> None:
        dates = ("2026-11-18", "2026-11-19", "2026-11-20", MONDAY)
        for date in dates:
            market.show(trade("AAPL", 100.0, at="10:00", date=date))
        market.finish()
        kept = [date for date in dates if market.candles("AAPL", date)]
        assert kept == ["2026-11-19", "2026-11-20", MONDAY]
        assert [date for date in dates if market.candles("AAPL", date, "1d")] == kept

    def test_a_day_of_trades_leaves_little_private_state(self, market: Market) -> None:
        for minute in range(0, 360, 5):
            at = f"{9 + (30 + minute) // 60:02}:{(30 + minute) % 60:02}"
            market.show(trade("AAPL", 100.0, at=at), clock(at + ":30"))
        names = [name for name in market.store.private if name.startswith("buckets:")]
        assert len(names) <= 12
        assert sum(name.startswith("seconds:") for name in market.store.rows) <= 4


class TestEveryIntervalOfAggregates:
    """A corrected bar amends the longer candles as well."""

    @pytest.fixture
    def market(self) -> Market:
        return Market(aggregate_fold)

    def test_seconds_make_every_length(self, market: Market) -> None:
        market.show(
            bar("AAPL", 100.0, at="09:31:00", volume=300),
            bar("AAPL", 101.0, at="09:31:01", volume=100),
            bar("AAPL", 104.0, at="09:33:01", volume=100),
        ).finish()
        assert list(market.candles("AAPL", interval="1s")) == [
            ms("09:31:00"), ms("09:31:01"), ms("09:33:01"),
        ]  # fmt: skip
        for interval, at in (("5m", "09:30"), ("15m", "09:30"), ("1h", "09:00"), ("1d", "04:00")):
            candle = market.candle("AAPL", at, interval=interval)
            assert (candle.open, candle.close, candle.volume) == (100.0, 104.0, 500), interval

    @pytest.mark.parametrize("seconds", [1, 60])
    @pytest.mark.parametrize("restarts", [False, True])
    def test_a_late_correction_amends_the_longer_candles(
        self, seconds: int, *, restarts: bool
    ) -> None:
        market = Market(lambda: aggregate_fold(seconds * 1000))

        def show(*events: Event) -> None:
            market.show(*events)
            if restarts:
                market.crash()

        show(bar("AAPL", 120.0, at="09:05", seconds=seconds, volume=10))
        show(bar("AAPL", 150.0, at="09:31", seconds=seconds, volume=300))
        show(bar("AAPL", 101.0, at="09:32", seconds=seconds, volume=100))
        show(clock("09:40"))
        show(bar("AAPL", 100.0, at="09:31", seconds=seconds, volume=30), clock("09:41"))
        market.finish()
        for interval, at in (("1m", "09:31"), ("5m", "09:30"), ("15m", "09:30")):
            candle = market.candle("AAPL", at, interval=interval)
            assert (candle.open, candle.volume > 100) == (100.0, interval != "1m"), interval
        assert market.candle("AAPL", "09:31").revision == 1
        assert market.candle("AAPL", "09:30", interval="5m").revision == 1
        hour = market.candle("AAPL", "09:00", interval="1h")
        assert (hour.open, hour.high, hour.close, hour.volume) == (120.0, 120.0, 101.0, 140)
        day = market.candle("AAPL", "04:00", interval="1d")
        assert (day.high, day.volume, day.revision) == (120.0, 140, 0)

    def test_minute_bars_make_no_seconds(self) -> None:
        market = Market(lambda: aggregate_fold(60_000))
        market.show(bar("AAPL", 100, 105, 99, 104, at="09:31", seconds=60, volume=1_000)).finish()
        assert market.candles("AAPL", interval="1s") == {}
        assert market.candle("AAPL", "09:30", interval="5m").high == 105
