"""Daily ranges and their alerts: what widens, what breaks, what is said and what is not."""

from collections.abc import Sequence

import pytest

from tapewire.analyzers.daily_range import HOD_ALERT, LOD_ALERT
from tapewire.model.events import Event
from tests.analyzers.range_desk import Desk
from tests.analyzers.tape import MONDAY, bar, clock, gap, ms, trade


def prints(*prices: tuple[str, float], symbol: str = "AAPL") -> list[Event]:
    return [trade(symbol, price, at=at) for at, price in prices]


def morning(*prices: tuple[str, float], end: str = "19:00", **rules: float) -> Desk:
    """One symbol's prints, and the clock well after."""
    return Desk(**rules).send(*prints(*prices), clock(end))  # type: ignore[arg-type]


def test_each_session_has_its_own_range_and_the_day_has_all() -> None:
    row = morning(
        ("04:00:01", 10.0), ("08:00", 12.0), ("09:29:59", 11.0), ("09:30", 11.5), ("12:00", 9.0),
        ("16:00:02", 9.5), ("18:00", 9.6),
    ).row()  # fmt: skip
    assert (row.pre_high, row.pre_low) == (12.0, 10.0)
    assert (row.regular_high, row.regular_low) == (11.5, 9.0)
    assert (row.post_high, row.post_low) == (9.6, 9.5)
    assert (row.day_high, row.day_low) == (12.0, 9.0)
    assert (row.day_high_ms, row.day_low_ms) == (ms("08:00"), ms("12:00"))
    assert (row.pre_low_ms, row.post_high_ms) == (ms("04:00:01"), ms("18:00"))
    assert (row.session, row.gap) == ("post", False)


def test_a_session_without_prints_has_no_range() -> None:
    row = morning(("10:00", 10.0)).row()
    assert (row.pre_high, row.pre_low, row.post_high_ms) == (None, None, None)
    assert (row.session, row.day_high) == ("regular", 10.0)


def test_the_first_print_of_a_session_is_silent_and_the_next_beyond_it_is_not() -> None:
    desk = morning(("09:00", 10.0), ("09:30", 12.0), ("09:31", 12.5), ("16:01", 13.0))
    assert desk.notes() == [("AAPL", "new high of day", 12.5)]
    assert desk.alerts(LOD_ALERT) == []
    (alert,) = desk.alerts()
    assert (alert.session, alert.direction, alert.kind) == ("regular", "high", "break")
    assert (alert.previous, alert.timestamp_ms) == (12.0, ms("09:31"))


def test_a_break_of_the_pre_market_high_in_the_regular_session_says_so() -> None:
    desk = morning(("08:00", 12.0), ("09:30", 11.0), ("09:31", 11.5), ("09:32", 12.1))
    assert desk.notes() == [
        ("AAPL", "new regular-session high", 11.5),
        ("AAPL", "broke pre-market high", 12.1),
    ]
    assert desk.alerts()[1].previous == 12.0


def test_lows_mirror_highs() -> None:
    desk = morning(
        ("08:00", 12.0), ("09:30", 13.0), ("09:31", 12.5), ("09:32", 11.9), ("16:05", 13.0),
        ("16:06", 11.0),
    )  # fmt: skip
    assert desk.notes(LOD_ALERT) == [
        ("AAPL", "new regular-session low", 12.5),
        ("AAPL", "broke pre-market low", 11.9),
        ("AAPL", "broke regular-session low", 11.0),
    ]
    assert desk.notes(HOD_ALERT) == []


def test_the_furthest_level_that_was_broken_is_named() -> None:
    desk = morning(("08:00", 12.0), ("09:30", 11.0), ("16:05", 10.0), ("16:06", 12.5))
    assert desk.notes() == [("AAPL", "broke pre-market high", 12.5)]


def test_during_the_cooldown_the_range_widens_and_nothing_is_said() -> None:
    desk = morning(
        ("10:00:00", 10.0), ("10:00:10", 10.1), ("10:00:39", 10.2), ("10:00:40", 10.3),
        ("10:01:09", 10.4),
    )  # fmt: skip
    assert [price for _, _, price in desk.notes()] == [10.1, 10.3]
    assert desk.alerts()[1].previous == 10.2
    assert desk.row().day_high == 10.4


def test_each_direction_and_symbol_cools_down_by_itself() -> None:
    events = [
        *prints(("10:00", 10.0), ("10:00:10", 10.1), ("10:00:11", 9.9)),
        *prints(("10:00:12", 20.0), ("10:00:13", 20.5), symbol="IBM"),
    ]
    desk = Desk().send(*events, clock("10:01"))
    assert desk.notes(HOD_ALERT) == [
        ("AAPL", "new high of day", 10.1),
        ("IBM", "new high of day", 20.5),
    ]
    assert desk.notes(LOD_ALERT) == [("AAPL", "new low of day", 9.9)]


def test_the_alerts_of_a_second_come_in_order_of_symbol() -> None:
    events = prints(("10:00", 10.0), symbol="ZZZ") + prints(("10:00", 10.0), symbol="AAA")
    later = prints(("10:00:05", 10.5), symbol="ZZZ") + prints(("10:00:05", 10.5), symbol="AAA")
    desk = Desk().send(*events, *later, clock("10:01"))
    assert [symbol for symbol, *_ in desk.notes()] == ["AAA", "ZZZ"]


RISING = (
    ("10:00:00", 100.0), ("10:00:40", 90.0), ("10:01:00", 99.80), ("10:01:01", 99.85),
    ("10:01:02", 99.90),
)  # fmt: skip


def test_three_rising_closes_near_the_high_are_running_up() -> None:
    (alert,) = morning(*RISING).alerts()
    assert (alert.kind, alert.price, alert.previous) == ("running_up", 99.90, 100.0)
    assert alert.note == "running up to the high of day"
    assert alert.timestamp_ms == ms("10:01:02")


def test_three_falling_closes_near_the_low_are_running_down() -> None:
    desk = morning(
        ("10:00:00", 90.0), ("10:00:40", 100.0), ("10:01", 90.2), ("10:02", 90.1), ("10:03", 90.0)
    )
    (alert,) = desk.alerts(LOD_ALERT)
    assert (alert.kind, alert.price, alert.previous) == ("running_down", 90.0, 90.0)


@pytest.mark.parametrize(
    "prices",
    [
        (("10:01:00", 99.80), ("10:01:01", 99.90)),  # two are too few
        (("10:01:00", 99.80), ("10:01:01", 99.80), ("10:01:02", 99.90)),  # equal is not rising
        (("10:01:00", 99.80), ("10:01:01", 99.74), ("10:01:02", 99.90)),  # one was too far away
        (("10:01:00", 99.70), ("10:01:01", 99.74), ("10:01:02", 99.90)),
        (("10:01:00", 99.80), ("10:01:01", 99.85), ("10:01:02", 99.83)),
    ],
)
def test_less_than_that_is_not_running_up(prices: Sequence[tuple[str, float]]) -> None:
    assert morning(("10:00", 100.0), ("10:00:40", 90.0), *prices).alerts() == []


def test_running_up_is_said_once_in_five_minutes_and_not_after_a_break() -> None:
    again = (("10:01:03", 99.92), ("10:06:01", 99.93), ("10:06:02", 99.94))
    kinds = [(one.kind, one.timestamp_ms) for one in morning(*RISING, *again).alerts()]
    assert kinds == [("running_up", ms("10:01:02")), ("running_up", ms("10:06:02"))]
    broke = (("10:01:03", 100.1), ("10:01:04", 99.9), ("10:01:05", 100.0), ("10:01:06", 100.05))
    assert [one.kind for one in morning(*RISING, *broke).alerts()] == ["running_up", "break"]


def test_the_rules_are_parameters() -> None:
    prices = (("10:00", 100.0), ("10:01", 99.0), ("10:02", 99.5), ("10:03", 101), ("10:03:05", 102))
    kinds = [one.kind for one in morning(*prices, near_pct=1.0, rising=2, cooldown_s=5.0).alerts()]
    assert kinds == ["running_up", "break", "break"]


def test_a_late_trade_widens_its_session_silently() -> None:
    desk = Desk().send(
        *prints(("09:29", 10.0), ("09:31", 10.0), ("09:32", 10.1), ("09:32:05", 10.0)),
        trade("AAPL", 15.0, at="09:29:30"),
        trade("AAPL", 5.0, at="09:31:30"),
        clock("10:00"),
    )
    row = desk.row()
    assert (row.pre_high, row.pre_high_ms) == (15.0, ms("09:29:30"))
    assert (row.regular_low, row.day_low, row.day_high) == (5.0, 5.0, 15.0)
    assert desk.notes() == [("AAPL", "broke pre-market high", 10.1)]
    assert desk.alerts(LOD_ALERT) == []


def test_of_equal_prices_the_earliest_time_counts_whatever_came_first() -> None:
    events = [*prints(("10:00", 10.0), ("10:02", 11.0)), trade("AAPL", 11.0, at="10:01")]
    assert Desk().send(*events, clock("10:05")).row().day_high_ms == ms("10:01")


def test_ineligible_and_closed_prints_do_not_count() -> None:
    desk = Desk().send(
        trade("AAPL", 10.0, at="10:00"),
        trade("AAPL", 50.0, at="10:00:01", conditions=[37]),
        trade("AAPL", 60.0, at="20:30"),
        clock("21:00"),
    )
    assert desk.row().day_high == 10.0
    assert desk.alerts() == []


def test_the_day_turns_to_new_ranges() -> None:
    desk = morning(("10:00", 10.0), ("10:01", 11.0))
    desk.send(trade("AAPL", 5.0, at="04:00", date=MONDAY), clock("04:01", date=MONDAY))
    assert desk.row().day_low == 10.0
    assert (desk.row(date=MONDAY).day_high, desk.row(date=MONDAY).pre_high) == (5.0, 5.0)
    assert desk.alerts(LOD_ALERT) == []


def test_a_gap_marks_the_rows_until_its_session_ends() -> None:
    desk = Desk().send(*prints(("10:00", 10.0)), gap("10:01", "10:02"), clock("10:03"))
    assert desk.row().gap
    assert not desk.send(clock("16:00:00")).row().gap


def test_a_restart_between_any_two_events_changes_nothing() -> None:
    events: list[Event] = [
        *prints(*RISING, ("10:01:03", 99.95), ("10:01:20", 100.2), ("10:01:30", 100.4)),
        trade("AAPL", 120.0, at="10:01:10"),
        gap("10:01:30", "10:01:40"),
        *prints(("10:01:51", 120.5), ("10:01:52", 89.0), ("16:00", 95.0), ("16:01", 130.0)),
        clock("20:01"),
    ]
    whole, restarted = Desk().send(*events), Desk()
    for event in events:
        restarted.send(event).restart()
    assert restarted.items == whole.items
    assert [alert.kind for alert in whole.alerts()] == ["running_up", "break", "break", "break"]
    assert restarted.row() == whole.row()


def test_a_store_that_lost_everything_gets_the_rows_again_and_no_alert_twice() -> None:
    desk = morning(("10:00", 10.0), ("10:01", 11.0))
    desk.rows.clear()
    desk.fold.renew()
    assert desk.flush().row().day_high == 11.0
    assert len(desk.alerts()) == 1


def seconds(*bars: tuple[str, float, float, float, float]) -> list[Event]:
    return [bar("AAPL", *prices, at=at) for at, *prices in bars]


def test_a_providers_bars_are_judged_at_their_cut() -> None:
    events = seconds(
        ("10:00:00", 10, 11, 9, 10), ("10:00:05", 10, 12, 9.5, 11), ("10:00:06", 11, 11, 8, 9)
    )
    desk = Desk("aggregates").send(*events)
    assert desk.notes(LOD_ALERT) == []
    desk.send(clock("10:00:07"))
    assert desk.notes() == [("AAPL", "new high of day", 12.0)]
    assert desk.notes(LOD_ALERT) == [("AAPL", "new low of day", 8.0)]
    assert desk.row().day_high_ms == ms("10:00:05")


def test_a_correction_widens_and_never_alerts() -> None:
    first, second, again, earlier = seconds(
        ("10:00:00", 10, 11, 9, 10),
        ("10:00:05", 10, 10.5, 9.5, 10),
        ("10:00:05", 10, 12, 9.5, 10),
        ("10:00:00", 10, 13, 7, 10),
    )
    desk = Desk("aggregates").send(first, second, clock("10:00:06"), again, earlier)
    assert desk.alerts() == desk.alerts(LOD_ALERT) == []
    assert (desk.row().day_high, desk.row().day_low) == (13.0, 7.0)


def test_of_a_bar_that_comes_again_within_its_second_the_last_is_judged() -> None:
    morning_bar, first, again = seconds(
        ("10:00:00", 10, 11, 10, 10), ("10:00:05", 10, 15, 10, 10), ("10:00:05", 10, 12, 10, 10)
    )
    for events in ([first, again], [again]):
        desk = Desk("aggregates").send(morning_bar)
        for event in events:
            desk.send(event).restart()
        assert desk.send(clock("10:00:06")).notes() == [("AAPL", "new high of day", 12.0)]
        assert desk.row().day_high == 12.0


def test_a_restart_between_a_bar_and_its_correction_changes_nothing() -> None:
    first, again = seconds(("10:00:05", 10, 11, 10, 10), ("10:00:05", 10, 12, 9, 10))
    desk = Desk("aggregates").send(*seconds(("10:00:00", 10, 11, 10, 10)), first)
    desk.send(clock("10:00:06")).restart()
    assert desk.send(again).alerts() == []
    assert desk.row().day_high == 12.0


def test_a_distance_of_exactly_the_limit_is_near() -> None:
    prices = (("10:01:00", 99.75), ("10:01:01", 99.76), ("10:01:02", 99.77))
    (alert,) = morning(("10:00:00", 100.0), ("10:00:40", 90.0), *prices).alerts()
    assert alert.price == 99.77
