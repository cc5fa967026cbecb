"""New York times from and to UTC milliseconds."""

import pytest

from tapewire.cli import new_york
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
    assert new_york.date_time(timestamp_ms) == shown
    assert new_york.clock(timestamp_ms) == shown[11:]
    assert new_york.date_of(timestamp_ms) == shown[:10]


def test_a_time_before_the_calendar_is_shown_in_utc() -> None:
    assert new_york.date_time(0) == "1970-01-01 00:00:00"


@pytest.mark.parametrize(
    "text",
    ["09:30", "9:30", "09:30:00", "2013-10-07T09:30", "2013-10-07 09:30:00",
     "2013-10-07T13:30:00Z", "2013-10-07T15:30:00+02:00", str(SUMMER_OPEN)],
)  # fmt: skip
def test_a_time_may_be_spelled_in_many_ways(text: str) -> None:
    assert new_york.to_ms(text, "2013-10-07") == SUMMER_OPEN


@pytest.mark.parametrize("text", ["25:00", "9.30", "noon", "", "09:61"])
def test_anything_else_says_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match=r"HH:MM\[:SS\]"):
        new_york.to_ms(text, "2013-10-07")


@pytest.mark.parametrize("text", ["2013-10-32", "yesterday", "1999-01-04"])
def test_a_date_that_is_none_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--date"):
        new_york.date(text)
