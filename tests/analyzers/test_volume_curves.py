"""Relative volume at this time of the day: curves of sessions, their mean, what keeps them."""

from datetime import date as calendar_date
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.analyzers.volume_curves import Curve, VolumeCurves, encode_curve
from tapewire.model.rows import Fact
from tests.analyzers.market import Market, aggregate_fold
from tests.analyzers.tape import CALENDAR, bar, clock, gap, trade

TODAY = "2026-11-20"


def sessions(count: int, until: str = TODAY) -> list[str]:
    """The last sessions before a date, oldest first."""
    found = [until]
    for _ in range(count):
        found.append(CALENDAR.previous_session(found[-1]).date)
    return found[:0:-1]


@pytest.fixture
def market() -> Market:
    return Market()


def play(market: Market, date: str, *sizes: float, symbol: str = "AAPL") -> Market:
    """A session with one trade every ten minutes from 09:30 on, of these sizes."""
    market.show(clock("09:00", date=date))
    for n, size in enumerate(sizes):
        market.show(
            trade(symbol, 10.0, at=f"{9 + (3 + n) // 6:02}:{(3 + n) % 6}0", size=size, date=date)
        )
    return market.show(clock("20:30", date=date))


def after(count: int, market: Market) -> Market:
    """That many sessions with 100 shares at 09:30 and 200 at 09:40."""
    for date in sessions(count):
        play(market, date, 100, 200)
    return market


def relative(market: Market, at: str, size: float = 60, date: str = TODAY) -> float | None:
    """The figure at a time of a day on which that many shares trade at 08:00."""
    market.show(trade("AAPL", 10.0, at="08:00", size=size, date=date), clock(at, date=date))
    return market.quote("AAPL", date).relative_volume_tod


@pytest.mark.parametrize(("count", "expected"), [(4, None), (5, 0.6)])
def test_below_five_sessions_there_is_none(
    market: Market, count: int, expected: float | None
) -> None:
    assert relative(after(count, market), "09:30:05") == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [("09:29:59", None), ("09:30:00", 0.6), ("09:39:59", 0.6), ("09:40:00", 0.2), ("15:00", 0.2)],
)
def test_the_mean_counts_up_to_and_including_this_minute(
    market: Market, at: str, expected: float | None
) -> None:
    assert relative(after(5, market), at) == expected


def test_it_moves_while_nothing_trades(market: Market) -> None:
    after(5, market)
    assert relative(market, "09:35") == 0.6
    market.show(clock("09:40", date=TODAY))
    assert market.quote("AAPL", TODAY).relative_volume_tod == 0.2


def test_a_mean_over_different_sessions(market: Market) -> None:
    for date, size in zip(sessions(5), (10, 20, 30, 40, 100), strict=True):
        play(market, date, size)
    assert relative(market, "09:31", size=80) == 2.0


def test_only_the_newest_twenty_sessions_count(market: Market) -> None:
    first, *rest = sessions(21)
    play(market, first, 1_000_000)
    for date in rest:
        play(market, date, 100)
    assert relative(market, "09:31", size=50) == 0.5


def test_sessions_in_which_a_symbol_did_not_trade_do_not_count(market: Market) -> None:
    for n, date in enumerate(sessions(9)):
        play(market, date, 100, symbol="AAPL" if n % 2 == 0 else "IBM")
    assert relative(market, "09:31", size=50) == 0.5
    market.show(trade("IBM", 10.0, at="09:32", date=TODAY), clock("09:33", date=TODAY))
    assert market.quote("IBM", TODAY).relative_volume_tod is None


def test_an_early_close_lines_up_by_the_clock(market: Market) -> None:
    dates = sessions(6, "2026-12-01")
    assert CALENDAR.day("2026-11-27").early_close
    assert "2026-11-27" in dates
    for date in dates:
        play(market, date, 100, 200)
    assert relative(market, "15:59", size=60, date="2026-12-01") == 0.2


def test_a_restart_at_any_time_changes_nothing() -> None:
    whole, restarted = Market(), Market()
    for date in sessions(5):
        play(whole, date, 100, 200)
        restarted.show(clock("09:00", date=date)).restart()
        restarted.show(trade("AAPL", 10.0, at="09:30", size=100, date=date)).restart()
        restarted.show(trade("AAPL", 10.0, at="09:40", size=200, date=date)).restart()
        restarted.show(clock("09:55:30", date=date)).restart()
        restarted.show(clock("20:30", date=date)).restart()
    for at in ("09:30:05", "09:45"):
        assert relative(restarted.restart(), at) == relative(whole, at)
        assert whole.quote("AAPL", TODAY).relative_volume_tod is not None


def test_a_restart_in_the_middle_of_the_minute_that_settles(market: Market) -> None:
    for date in sessions(5):
        market.show(clock("09:00", date=date))
        for second in (10, 20, 30, 40):
            market.show(trade("AAPL", 10.0, at=f"09:30:{second}", size=25, date=date))
        market.show(clock("09:45:25", date=date)).restart()
        market.show(clock("09:45:45", date=date)).restart()
    assert relative(market, "09:31", size=50) == 0.5


def test_a_late_trade_counts_in_its_own_minute(market: Market) -> None:
    for date in sessions(5):
        market.show(clock("09:00", date=date))
        market.show(trade("AAPL", 10.0, at="09:40", size=100, date=date))
        market.show(trade("AAPL", 10.0, at="09:30", size=50, date=date), clock("16:00", date=date))
    assert relative(market, "09:35", size=25) == 0.5


def test_a_session_joined_after_its_open_is_no_measure(market: Market) -> None:
    market.show(trade("AAPL", 10.0, at="11:00", size=5, date=sessions(5)[0]))
    for date in sessions(4):
        play(market, date, 100)
    assert relative(market, "09:31") is None


@pytest.mark.parametrize(("until", "expected"), [("10:00:59", 0.6), ("10:10", None)])
def test_a_session_with_a_long_hole_is_no_measure(
    market: Market, until: str, expected: float | None
) -> None:
    *before, last = sessions(5)
    for date in before:
        play(market, date, 100)
    market.show(clock("09:00", date=last)).show(trade("AAPL", 10.0, at="09:30", date=last))
    market.show(gap("10:00", until, date=last)).restart().show(clock("20:30", date=last))
    assert relative(market, "09:31") == expected


def test_days_without_a_session_leave_nothing(market: Market) -> None:
    friday = CALENDAR.previous_session(TODAY).date
    assert friday == "2026-11-19"
    market.show(trade("AAPL", 10.0, at="10:00", date="2026-11-22")).show(
        clock("12:00", date="2026-11-22")
    )
    assert "volume_curves:2026-11-22" not in market.store.private


def test_a_new_installation_is_warmed_from_outside(market: Market) -> None:
    market.fold.learn(
        [
            Fact("AAPL", "volume_curve", encode_curve({330: 100, 340: 300}), date)
            for date in sessions(5)
        ]
    )
    assert relative(market, "09:30:05") == 0.6
    market.show(clock("09:40", date=TODAY))
    assert market.quote("AAPL", TODAY).relative_volume_tod == 0.2


def test_what_was_seen_here_goes_before_what_was_told(market: Market) -> None:
    after(5, market)
    told = Fact("AAPL", "volume_curve", encode_curve({330: 7}), sessions(1)[0])
    market.fold.learn([told])
    assert relative(market, "09:30:05") == 0.6


def test_curves_from_a_providers_bars() -> None:
    market = Market(aggregate_fold)
    for date in sessions(5):
        market.show(clock("09:00", date=date))
        market.show(bar("AAPL", 10.0, at="09:30", volume=100, accumulated=100, date=date))
        market.show(bar("AAPL", 10.0, at="09:30", volume=120, accumulated=120, date=date))
        market.show(clock("20:00", date=date))
    market.show(bar("AAPL", 10.0, at="09:30", volume=60, accumulated=60, date=TODAY))
    market.show(clock("09:30:05", date=TODAY))
    assert market.quote("AAPL", TODAY).relative_volume_tod == 0.5


def test_a_store_that_lost_everything_gets_the_sessions_again(market: Market) -> None:
    after(5, market)
    market.store.private = {}
    market.fold.renew()
    for _ in range(6):
        market.flush()
    assert relative(market.restart(), "09:30:05") == 0.6


def test_curves_older_than_the_search_are_forgotten() -> None:
    curves = VolumeCurves()
    old = (calendar_date.fromisoformat(TODAY) - timedelta(days=46)).isoformat()
    curves.warm(old, "AAPL", encode_curve({1: 1}))
    curves.begin(CALENDAR.day(TODAY), CALENDAR.day(TODAY).turn_ms)
    assert curves._warm == {}


@given(st.dictionaries(st.integers(0, 1_439), st.integers(0, 1 << 40), max_size=60))
def test_a_curve_reads_back(volumes: dict[int, int]) -> None:
    curve = Curve()
    for minute in sorted(volumes):
        curve.add(minute, volumes[minute])
    read = dict(Curve.read(curve.pack()).rows())
    assert {minute: read.get(minute, 0) for minute in volumes} == volumes
    assert sum(read.values()) == sum(volumes.values())


def test_a_curve_is_small() -> None:
    curve = Curve()
    for minute in range(330, 720):
        curve.add(minute, 50_000)
    assert len(curve.pack()) < 1_200


@pytest.mark.parametrize("packed", [b"", b"\x03abc", b"\x02ab"])
def test_other_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="no volume curve"):
        Curve.read(packed)
