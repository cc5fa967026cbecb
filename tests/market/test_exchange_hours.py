"""When India's exchanges must say something, and when they may."""

from datetime import UTC, datetime, timedelta

import pytest

from tapewire.market.exchange_hours import OWN_HOURS, may_speak, must_speak
from tapewire.market.instruments import EXCHANGES
from tapewire.market.sessions import SessionCalendar

CALENDAR = SessionCalendar.load("XNSE")
FRIDAY, HOLIDAY, SATURDAY = "2026-11-20", "2026-11-24", "2026-11-21"  # a Tuesday: Guru Nanak
SHARES, RUPEE, GOLD = ("NSE_EQ", "NSE_FO", "NSE_INDEX"), ("NCD_FO",), ("MCX_FO",)


def at(date: str, clock: str) -> int:
    """UTC ms of a time in India."""
    local = datetime.fromisoformat(f"{date}T{clock}").replace(tzinfo=UTC)
    return round((local - timedelta(hours=5, minutes=30)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("exchanges", "clock", "must", "may"),
    [
        (SHARES, "08:59:59", False, False),
        (SHARES, "09:00", False, True),
        (SHARES, "09:08", False, True),  # the auction is over, nothing comes
        (SHARES, "09:14:59.999", False, True),
        (SHARES, "09:15", True, True),
        (SHARES, "15:29:59.999", True, True),
        (SHARES, "15:30", False, False),
        (RUPEE, "08:59:59", False, False),
        (RUPEE, "09:08", True, True),
        (RUPEE, "16:59:59", True, True),
        (RUPEE, "17:00", False, False),
        (GOLD, "09:00", True, True),
        (GOLD, "23:29:59", True, True),
        (GOLD, "23:30", False, True),
        (GOLD, "23:55", False, False),
        (GOLD, "00:30", False, False),
        ((*SHARES, *GOLD), "09:08", True, True),
        ((*SHARES, *GOLD), "18:00", True, True),
        ((*SHARES, *RUPEE), "18:00", False, False),
        ((), "09:08", False, True),
        ((), "09:15", True, True),
        ((), "18:00", False, False),
    ],
)
def test_hours_of_a_trading_day(
    exchanges: tuple[str, ...], clock: str, must: bool, may: bool
) -> None:
    time_ms = at(FRIDAY, clock)
    assert must_speak(exchanges, time_ms, CALENDAR) is must
    assert may_speak(exchanges, time_ms, CALENDAR) is may


def test_on_a_holiday_of_shares_silence_of_commodities_is_no_fault_but_a_loss_is_one() -> None:
    assert not CALENDAR.day(HOLIDAY).is_session
    evening = at(HOLIDAY, "19:00")
    assert not must_speak(GOLD, evening, CALENDAR)
    assert may_speak(GOLD, evening, CALENDAR)
    assert not may_speak(SHARES, at(HOLIDAY, "11:00"), CALENDAR)


@pytest.mark.parametrize("exchanges", [SHARES, RUPEE, GOLD])
def test_nothing_is_said_on_saturdays(exchanges: tuple[str, ...]) -> None:
    for clock in ("09:08", "11:00", "19:00"):
        assert not must_speak(exchanges, at(SATURDAY, clock), CALENDAR)
        assert not may_speak(exchanges, at(SATURDAY, clock), CALENDAR)


def test_a_saturday_with_a_session_is_a_day_like_others() -> None:
    special = at("2024-01-20", "11:00")
    for exchanges in (SHARES, RUPEE, GOLD):
        assert must_speak(exchanges, special, CALENDAR)
        assert may_speak(exchanges, special, CALENDAR)


def test_beyond_the_calendar_nothing_must_come() -> None:
    assert not must_speak(SHARES, CALENDAR.end_ms, CALENDAR)
    assert not may_speak(SHARES, CALENDAR.end_ms, CALENDAR)


def test_exchanges_with_hours_of_their_own_exist() -> None:
    assert set(OWN_HOURS) < set(EXCHANGES)
