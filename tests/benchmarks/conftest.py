from pathlib import Path

import pytest

from benchmarks.frames import Recording, of_day
from benchmarks.peak import Peak, make_peak


@pytest.fixture(scope="session")
def day(shared: Path) -> Recording:
    """The recorded day, or the generated one."""
    return of_day(shared, "a day")


@pytest.fixture(scope="session")
def small_peak(day: Recording) -> Peak:
    """20,000 events over three seconds of event time, a minute's end among them."""
    return make_peak(day, 20_000, 20_000 / 3)
