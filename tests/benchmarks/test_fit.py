from pathlib import Path

import pytest

from benchmarks.fit import CLOSE, MOST, fit
from benchmarks.frames import Recording
from benchmarks.peak import Peak
from benchmarks.plan import Plan


@pytest.fixture
def plan(day: Recording, tmp_path: Path) -> Plan:
    return Plan(day, tmp_path, seconds=2.0)


def test_event_time_is_made_for_the_speed_that_is_reached(plan: Plan) -> None:
    peak = fit(plan, 100.0, lambda peak: 5_000.0)
    assert peak.events_per_second == 5_000.0
    assert peak.count / 5_000.0 > plan.seconds


def test_a_speed_that_changes_is_followed_for_a_while(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[float] = []

    def faster_each_time(peak: Peak) -> float:
        tried.append(peak.events_per_second)
        return peak.events_per_second * (1 + 2 * CLOSE)

    fit(plan, 1_000.0, faster_each_time)
    assert len(tried) == MOST + 1
    assert tried == sorted(tried)
    assert "does not settle" in capsys.readouterr().err
