"""What every generator is told: options, the first day, the stretch that is played."""

import pytest

from tapewire.market.sessions import SessionCalendar
from tapewire.simulators.generator_options import Hours, Stretch, read_options, session_on
from tapewire.simulators.sources import SourceError

HOURS = Hours(9, "from nine to five")
END_S = 8 * 3600


def test_options_are_read_by_their_readers_and_the_seed_is_a_default() -> None:
    readers = {"seed": int, "rate": float}
    assert read_options("rate=2.5,", readers, 7) == {"seed": 7, "rate": 2.5}
    assert read_options("seed=1", readers, 7) == {"seed": 1}


@pytest.mark.parametrize("text", ["speed=1", "rate=fast", "rate"])
def test_an_option_that_is_wrong_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(SourceError, match="expected of rate= each"):
        read_options(text, {"rate": float}, None)


def test_a_date_without_a_session_names_the_next_one() -> None:
    calendar = SessionCalendar.load("XNSE")
    assert session_on(calendar, "2026-11-20").date == "2026-11-20"
    with pytest.raises(SourceError, match="no session there; the next one is 2026-11-23"):
        session_on(calendar, "2026-11-21", where=" there")


@pytest.mark.parametrize("at", ["noon", "08:59:59", "17:00", "9:30"])
def test_a_time_outside_the_hours_is_refused(at: str) -> None:
    with pytest.raises(SourceError, match=rf"at={at} is not HH:MM\[:SS\] from nine to five"):
        Stretch(HOURS, END_S, at, None)


@pytest.mark.parametrize(
    ("until", "seconds"), [(None, None), ("end", 6 * 3600), ("11:00:30", 30), ("12:00", 3600)]
)
def test_a_stretch_goes_from_its_first_second_to_its_end(
    until: str | None, seconds: int | None
) -> None:
    stretch = Stretch(HOURS, END_S, "11:00", until)
    assert (stretch.first, stretch.seconds) == (2 * 3600, seconds)


def test_a_stretch_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(SourceError, match="not after the beginning"):
        Stretch(HOURS, END_S, "11:00", "11:00")


def test_at_the_latest_the_last_second_is_played() -> None:
    stretch = Stretch(HOURS, END_S, "11:00", "12:00")
    stretch.skip(600)
    assert (stretch.first, stretch.seconds) == (2 * 3600 + 600, 3000)
    stretch.skip(99_999)
    assert (stretch.first, stretch.seconds) == (3 * 3600 - 1, 1)
    endless = Stretch(HOURS, END_S, "11:00", None)
    endless.skip(99_999)
    assert (endless.first, endless.seconds) == (END_S - 1, None)
