"""When bundles of events are due."""

from tapewire.simulators.pacing import OVERNIGHT_MS, Pace, Speed
from tapewire.simulators.sources import Slice

BEGIN_MS = 1_000_000


def at(*seconds: float) -> list[Slice]:
    """Bundles of one event each, so many seconds after the first."""
    return [[(BEGIN_MS + int(second * 1000), "T.AIG", "{}")] for second in seconds]


def delays(pace: Pace, *seconds: float) -> list[float]:
    """How long each waits when all are asked about at the same instant."""
    return [round(pace.delay_s(bundle, 50.0), 3) for bundle in at(*seconds)]


def test_at_original_speed_a_bundle_is_due_when_its_time_has_gone_by() -> None:
    assert delays(Pace(Speed.parse("original"), 100), 0, 0.5, 2) == [0, 0.5, 2]


def test_a_head_start_is_due_at_once_and_the_rest_from_its_end_on() -> None:
    pace = Pace(Speed.parse("original"), 100, head_start_ms=10_000)
    assert delays(pace, 0, 9.9, 10, 10.5) == [0, 0, 0, 0.5]


def test_a_head_start_is_event_time_at_any_speed() -> None:
    pace = Pace(Speed.parse("x2"), 100, head_start_ms=10_000)
    assert delays(pace, 0, 10, 14) == [0, 0, 2]


def test_a_delay_is_event_time_at_any_speed() -> None:
    minutes_ms = 15 * 60_000
    assert delays(Pace(Speed.parse("original"), 100, -minutes_ms), 0, 1) == [900, 901]
    assert delays(Pace(Speed.parse("x1000"), 100, -minutes_ms), 0, 60) == [0.9, 0.96]


def test_a_night_takes_a_second() -> None:
    night_s = 2 * OVERNIGHT_MS / 1000
    pace = Pace(Speed.parse("original"), 100)
    assert delays(pace, 0, night_s, night_s + 1) == [0, 1, 2]
