"""Changes and volumes over the last whole seconds, from trades and from a provider's bars."""

import pytest

from tapewire.model.rows import QuoteRecord
from tests.analyzers.market import Market, aggregate_fold
from tests.analyzers.tape import FRIDAY, MONDAY, ODD_LOT, OFFICIAL_CLOSE, bar, clock, trade


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.fixture
def bars() -> Market:
    return Market(aggregate_fold)


def volumes(row: QuoteRecord) -> tuple[float, float]:
    return row.volume_1m, row.volume_5m


def changes(row: QuoteRecord) -> tuple[float | None, float | None, float | None]:
    return row.pct_change_1m, row.pct_change_5m, row.pct_change_15m


def test_a_window_holds_whole_seconds_up_to_the_cut(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="10:00:00.999", size=10))
    assert volumes(market.quote("AAPL")) == (0, 0)
    market.show(trade("AAPL", 100.0, at="10:00:01", size=7))
    assert volumes(market.quote("AAPL")) == (10, 10)
    market.show(clock("10:00:02"))
    assert volumes(market.quote("AAPL")) == (17, 17)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("10:01:00.999", (10, 10)),
        ("10:01:01", (0, 10)),
        ("10:05:00.999", (0, 10)),
        ("10:05:01", (0, 0)),
    ],
)
def test_a_second_leaves_though_nothing_trades(
    market: Market, at: str, expected: tuple[int, int]
) -> None:
    market.show(trade("AAPL", 100.0, at="10:00:00.500", size=10))
    market.show(clock("10:00:01")).show(clock(at))
    assert volumes(market.quote("AAPL")) == expected


def test_the_base_is_the_last_price_before_the_window(market: Market) -> None:
    market.show(
        trade("AAPL", 80.0, at="09:59:59.100"),
        trade("AAPL", 100.0, at="09:59:59.900"),
        trade("AAPL", 90.0, at="10:00:00"),
        trade("AAPL", 110.0, at="10:00:59.9"),
        clock("10:01:00"),
    )
    assert changes(market.quote("AAPL")) == (10.0, None, None)
    market.show(clock("10:01:01"))
    assert changes(market.quote("AAPL")) == (100 * 20 / 90, None, None)
    market.show(clock("10:05:00"))
    assert changes(market.quote("AAPL")) == (0.0, 10.0, None)
    market.show(clock("10:15:00"))
    assert changes(market.quote("AAPL")) == (0.0, 0.0, 10.0)
    market.show(clock("10:16:00"))
    assert changes(market.quote("AAPL")) == (0.0, 0.0, 0.0)


def test_only_eligible_trades_count(market: Market) -> None:
    market.show(
        trade("AAPL", 100.0, at="10:00:00", size=10),
        trade("AAPL", 150.0, at="10:00:30", size=5, conditions=(ODD_LOT,)),
        trade("AAPL", 170.0, at="10:00:40", size=9, conditions=(OFFICIAL_CLOSE,)),
        clock("10:01:10"),
    )
    row = market.quote("AAPL")
    assert (row.pct_change_1m, row.volume_1m) == (0.0, 5)


def test_the_running_second_shows_in_the_close_only(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="10:00:00"), trade("AAPL", 101.0, at="10:01:30.5"))
    row = market.quote("AAPL")
    assert (row.close, row.pct_change_1m, row.volume_1m) == (101.0, 0.0, 0)
    market.show(clock("10:01:31"))
    assert market.quote("AAPL").pct_change_1m == pytest.approx(1.0)


def test_a_late_trade_counts_in_its_own_second(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="10:00:00", sequence=10))
    market.show(clock("10:06:00"))
    market.show(trade("AAPL", 104.0, at="10:05:30", size=40, sequence=12))
    market.show(trade("AAPL", 96.0, at="10:03:30", size=30, sequence=11), clock("10:06:01"))
    row = market.quote("AAPL")
    assert volumes(row) == (40, 70)
    assert changes(row) == (100 * 8 / 96, 100 * 4 / 100, None)


def test_late_prices_of_one_second_keep_their_order(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="10:00:00.500", sequence=10), clock("10:02"))
    market.show(trade("AAPL", 90.0, at="10:00:00.400", sequence=9), clock("10:02:01"))
    assert market.quote("AAPL").pct_change_1m == 0.0
    market.show(trade("AAPL", 80.0, at="10:00:00.500", sequence=11), clock("10:02:02"))
    assert (market.quote("AAPL").close, market.quote("AAPL").pct_change_1m) == (80.0, 0.0)


def test_a_trade_a_quarter_of_an_hour_late_moves_the_oldest_base(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="10:00:00"), clock("10:15:10"))
    market.show(trade("AAPL", 50.0, at="10:00:10", size=1), clock("10:15:11"))
    assert market.quote("AAPL").pct_change_15m == 0.0
    assert market.restart().quote("AAPL").close == 50.0


def test_a_new_day_begins_without_a_past(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="19:59:59"), clock("20:30"))
    market.show(trade("AAPL", 50.0, at="04:00:00", size=5, date=MONDAY))
    market.show(clock("04:16", date=MONDAY))
    row = market.quote("AAPL", MONDAY)
    assert changes(row) == (0.0, 0.0, 0.0)
    assert volumes(row) == (0, 0)
    assert changes(market.quote("AAPL", FRIDAY)) == (0.0, 0.0, 0.0)


def test_fractions_of_shares_leave_nothing_behind(market: Market) -> None:
    sizes = (0.1, 0.2, 0.7, 1e-6)
    market.show(*(trade("AAPL", 1.0, at=f"10:00:0{n}", size=size) for n, size in enumerate(sizes)))
    market.show(clock("10:00:10"))
    assert market.quote("AAPL").volume_1m == 1.000001
    market.show(clock("10:02"))
    assert volumes(market.quote("AAPL")) == (0, 1.000001)


def test_a_restart_keeps_every_window(market: Market) -> None:
    market.show(
        trade("AAPL", 90.0, at="09:40:00", size=3),
        trade("AAPL", 100.0, at="10:00:00", size=10),
        trade("AAPL", 101.0, at="10:14:00", size=20),
    )
    market.show(clock("10:14:30"))
    market.restart().show(trade("IBM", 1.0, at="10:14:31"))
    market.restart().show(clock("10:14:40")).show(trade("AAPL", 102.0, at="10:14:41", size=1))
    market.restart().show(clock("10:14:50"))
    row = market.quote("AAPL")
    assert volumes(row) == (21, 21)
    assert changes(row) == (2.0, 2.0, 100 * (102.0 - 90.0) / 90.0)


def test_a_store_that_lost_everything_gets_the_windows_again(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="10:00:00", size=10), clock("10:00:30"))
    market.show(trade("AAPL", 110.0, at="10:00:20", size=5), clock("10:00:31"))
    market.store.rows, market.store.private = {}, {}
    market.fold.renew()
    market.restart().show(clock("10:01:15"))
    assert volumes(market.quote("AAPL")) == (5, 15)
    assert market.quote("AAPL").pct_change_1m == 10.0


def test_bars_of_a_provider(bars: Market) -> None:
    bars.show(
        bar("AAPL", 100.0, at="10:00:00", volume=10, accumulated=10),
        bar("AAPL", 110.0, at="10:00:50", volume=5, accumulated=15),
        clock("10:01:00.5"),
    )
    row = bars.quote("AAPL")
    assert (row.volume_1m, row.pct_change_1m) == (15, None)
    bars.show(clock("10:01:01"))
    row = bars.quote("AAPL")
    assert (row.volume_1m, row.pct_change_1m) == (5, 10.0)


def test_the_second_of_a_bar_is_whole_at_its_cut(bars: Market) -> None:
    bars.show(bar("AAPL", 100.0, at="10:00:00", volume=10))
    assert bars.quote("AAPL").volume_1m == 0
    bars.show(bar("IBM", 20.0, at="10:00:01"))
    assert bars.quote("AAPL").volume_1m == 10


def test_a_bar_sent_again_replaces_its_second(bars: Market) -> None:
    bars.show(bar("AAPL", 100.0, at="10:00:00", volume=10), clock("10:00:10"))
    bars.show(bar("AAPL", 101.0, at="10:00:00", volume=14), clock("10:00:11"))
    assert bars.quote("AAPL").volume_1m == 14
    bars.restart().show(bar("AAPL", 101.0, at="10:00:00", volume=14), clock("10:01:10"))
    assert (bars.quote("AAPL").volume_1m, bars.quote("AAPL").pct_change_1m) == (0, 0.0)


def test_a_minute_bar_counts_at_its_last_second() -> None:
    minutes = Market(lambda: aggregate_fold(60_000))
    minutes.show(bar("AAPL", 100.0, at="10:00", seconds=60, volume=10), clock("10:01:58"))
    assert minutes.quote("AAPL").volume_1m == 10
    minutes.show(clock("10:02:00"))
    assert minutes.quote("AAPL").volume_1m == 0


def test_what_has_left_memory_is_dropped_from_it(market: Market) -> None:
    for minute in range(40):
        market.send(trade("AAPL", 100.0, at=f"10:{minute:02}:30"))
        market.flush()
    names = market.fold.further_hashes(market.store.private)
    kept = [name for name in names if name.startswith("windows:")]
    assert len(kept) <= 5
    stored = {name for name in market.store.private if name.startswith("windows:")}
    assert stored
    assert stored <= set(kept)
    market.show(trade("AAPL", 100.0, at="04:00", date=MONDAY), clock("04:02", date=MONDAY))
    assert len([name for name in market.store.private if name.startswith("windows:")]) == 1
