"""The markets' times from and to UTC milliseconds."""

import pytest

from tapewire.cli.wall_clock import IN_INDIA, NEW_YORK
from tapewire.runtime.service import UsageError

SUMMER_OPEN = 1_381_152_600_000  # 2013-10-07 09:30 EDT
WINTER_OPEN = 1_795_185_000_000  # 2026-11-20 09:30 EST
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("timestamp_ms", "shown"),
    [
        (SUMMER_OPEN, "2013-10-07 09:30:00"),
        (WINTER_OPEN, "2026-11-20 09:30:00"),
        (SUMMER_OPEN + 15 * HOUR_MS, "2013-10-08 00:30:00"),
        (SUMMER_OPEN + 999, "2013-10-07 09:30:00"),
    ],
)
def test_times_are_new_yorks_in_summer_in_winter_and_after_midnight(
    timestamp_ms: int, shown: str
) -> None:
    assert NEW_YORK.date_time(timestamp_ms) == shown
    assert NEW_YORK.clock(timestamp_ms) == shown[11:]
    assert NEW_YORK.date_of(timestamp_ms) == shown[:10]


def test_a_time_before_the_calendar_is_shown_in_utc() -> None:
    assert NEW_YORK.date_time(0) == "1970-01-01 00:00:00"


@pytest.mark.parametrize(
    "text",
    ["09:30", "9:30", "09:30:00", "2013-10-07T09:30", "2013-10-07 09:30:00",
     "2013-10-07T13:30:00Z", "2013-10-07T15:30:00+02:00", str(SUMMER_OPEN)],
)  # fmt: skip
def test_a_time_may_be_spelled_in_many_ways(text: str) -> None:
    assert NEW_YORK.to_ms(text, "2013-10-07") == SUMMER_OPEN


@pytest.mark.parametrize("text", ["25:00", "9.30", "noon", "", "09:61"])
def test_anything_else_says_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match=r"HH:MM\[:SS\]"):
        NEW_YORK.to_ms(text, "2013-10-07")


@pytest.mark.parametrize("text", ["2013-10-32", "yesterday", "1999-01-04"])
def test_a_date_that_is_none_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--date"):
        NEW_YORK.date(text)


def test_indias_clock_is_five_and_a_half_hours_ahead_all_year() -> None:
    for date, utc_ms in (("2026-06-15", 1_781_495_100_000), ("2026-11-20", 1_795_146_300_000)):
        assert IN_INDIA.date_time(utc_ms) == f"{date} 09:15:00"
        assert IN_INDIA.to_ms("09:15", date) == utc_ms
    with pytest.raises(UsageError, match=r"HH:MM\[:SS\] in India"):
        IN_INDIA.to_ms("noon", "2026-11-20")
