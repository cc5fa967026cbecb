"""What a simulator is told to play."""

from pathlib import Path

import pytest

from tapewire.cli.simulate_broker import build, playing
from tapewire.cli.simulated import Asked, Beginning, beginning, session_date, sources_of
from tapewire.cli.wall_clock import IN_INDIA
from tapewire.market.instrument_names import read_names
from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import Settings

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


def test_the_first_time_a_head_start_is_played_at_once() -> None:
    begin = beginning(FRIDAY_NOON, FRIDAY_NOON + 2000, "original", 290)
    assert begin == Beginning(skipped_ms=0, at_once_ms=290_000)


@pytest.mark.parametrize(("speed", "skipped_ms"), [("original", 310_000), ("x2.5", 340_000)])
def test_started_again_it_plays_on_from_where_it_would_be(speed: str, skipped_ms: int) -> None:
    begin = beginning(FRIDAY_NOON, FRIDAY_NOON + 20_000, speed, 290)
    assert begin == Beginning(skipped_ms=skipped_ms, at_once_ms=0)


@pytest.mark.parametrize("speed", ["max", "500/s"])
def test_a_speed_that_is_not_that_of_time_has_no_such_place(speed: str) -> None:
    assert beginning(FRIDAY_NOON, FRIDAY_NOON + 20_000, speed, 290) == Beginning()


def test_a_brokers_market_is_that_of_indias_session() -> None:
    saturday_in_india = FRIDAY_NOON + 6 * HOUR_MS  # 2026-11-21 04:30 in India
    assert session_date(saturday_in_india, IN_INDIA) == "2026-11-23"
    assert sources_of(None, None, FRIDAY_NOON, IN_INDIA) == ["generator:date=2026-11-20"]


def asked(**given: object) -> Asked:
    usual = Asked(None, "max", None, 0, 0, None, (), False, FRIDAY_NOON, Beginning(), False)
    return usual._replace(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("broker", ["upstox", "fyers", "dhan"])
async def test_a_simulated_broker_tells_the_settings_with_which_it_is_found(broker: str) -> None:
    options = asked(key="a-key")
    simulator = build(broker, options)
    await simulator.start()
    try:
        told = playing(broker, simulator, options)
    finally:
        await simulator.stop()
    assert told.environment["BROKERS"] == broker
    settings = Settings(
        tapewire_data_dir=Path("data"),
        **{name.lower(): value for name, value in told.environment.items()},  # type: ignore[arg-type]
    )
    assert settings.required(f"{broker}_rest_url") == told.rest_url
    assert settings.required(f"{broker}_access_token")
    keys = read_names(settings.required("broker_instruments"))
    assert len({simulator.tape.instruments[key].exchange for key in keys}) == 6


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"delayed": True}, "--delayed is Massive's"),
        ({"sources": ["generator", "generator:seed=2"]}, "2 times; a broker plays one"),
    ],
)
def test_what_a_broker_cannot_be_told_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build("upstox", asked(**given))
