"""Both recorded days' ranges and range alerts, in order, against an independent recomputation."""

from pathlib import Path

import pytest

from tests.oracles import ranges as oracle
from tests.replays import SYMBOLS, Day, Replays

OPTIONS = {"2013-10-07": ("--queue", "memory"), "2013-10-08": ("--conditions", "regular")}
"""As other tests replay these days; ranges follow the provider's rule in either case."""


@pytest.fixture(params=OPTIONS)
def date(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def day(replays: Replays, date: str) -> Day:
    return replays.of(date, *OPTIONS[date])


def test_the_ranges_of_every_session_are_exact(day: Day, date: str, shared: Path) -> None:
    expected = [oracle.range_row(shared / "data", symbol, date) for symbol in SYMBOLS]
    assert day.stored.rows("daily_range") == expected


@pytest.mark.parametrize("direction", ["high", "low"])
def test_the_alerts_are_exact_and_in_order(
    day: Day, date: str, shared: Path, direction: str
) -> None:
    expected = oracle.alerts(shared / "data", SYMBOLS, date, direction)
    feed = "daily_range_hod_alert" if direction == "high" else "daily_range_lod_alert"
    assert day.stored.rows(feed) == expected
    assert {alert["kind"].partition("_")[0] for alert in expected} == {"break", "running"}
    assert {alert["symbol"] for alert in expected} == set(SYMBOLS)
