"""What a simulator is told to play."""

import pytest

from tapewire.cli.simulate import played_since, session_date, sources_of

FRIDAY_NOON = 1_795_194_000_000  # 2026-11-20 12:00 New York
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("now_ms", "date"),
    [
        (FRIDAY_NOON, "2026-11-20"),
        (FRIDAY_NOON + 12 * HOUR_MS, "2026-11-20"),
        (FRIDAY_NOON + 15.75 * HOUR_MS, "2026-11-23"),
        (FRIDAY_NOON + 24 * HOUR_MS, "2026-11-23"),
    ],
)
def test_the_session_is_todays_or_the_next_one(now_ms: float, date: str) -> None:
    assert session_date(int(now_ms)) == date


def test_without_a_source_the_market_of_the_current_session_is_generated() -> None:
    assert sources_of(None, None, FRIDAY_NOON) == ["generator:date=2026-11-20"]


def test_seed_and_date_complete_a_generator_and_never_replace_what_it_says() -> None:
    given = ["generator:symbols=5", "generator:seed=1,date=2020-01-02", "lean:folder"]
    assert sources_of(given, 9, FRIDAY_NOON) == [
        "generator:symbols=5,seed=9,date=2026-11-20",
        "generator:seed=1,date=2020-01-02",
        "lean:folder",
    ]


@pytest.mark.parametrize(
    ("speed", "played_ms"), [("original", 2000), ("x2.5", 5000), ("max", 0), ("500/s", 0)]
)
def test_event_time_goes_by_at_the_speed_of_playing(speed: str, played_ms: int) -> None:
    assert played_since(FRIDAY_NOON, FRIDAY_NOON + 2000, speed) == played_ms
