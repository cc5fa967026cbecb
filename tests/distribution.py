"""Which tests run one after the other when a run has several workers (``make test``).

A group is one worker's, whole. A file is a group by itself, so that what its fixtures prepare
is prepared once, except where several files share more than that (``GROUPS``).
"""

from pathlib import PurePosixPath
from typing import Final

from xdist.scheduler import LoadScopeScheduling

TIMED: Final = "timed"
"""Tests that hold real systems to a time: never two of them at the same moment."""

REPLAYS: Final = "replays"
"""Tests that look at the same replays of whole days."""

GROUPS: Final = {
    "tests/faults/test_frozen.py": TIMED,
    "tests/faults/test_kills.py": REPLAYS,
    "tests/faults/test_lease.py": TIMED,
    "tests/faults/test_ownership.py": TIMED,
    "tests/faults/test_provider.py": TIMED,
    "tests/faults/test_rabbitmq.py": TIMED,
    "tests/faults/test_redis.py": TIMED,
    "tests/faults/test_sharing.py": TIMED,
    "tests/faults/test_stampede.py": TIMED,
    "tests/faults/test_tick_load.py": TIMED,
    "tests/e2e": TIMED,
    "tests/e2e/test_components.py": "components",
    "tests/integration/test_delayed_feed.py": TIMED,
    "tests/integration/test_process_manager.py": TIMED,
    "tests/integration/test_up.py": TIMED,
    "tests/integration/test_widget_data.py": TIMED,
    "tests/integration/test_recorded_day.py": REPLAYS,
    "tests/integration/test_recorded_day_lean.py": REPLAYS,
    "tests/integration/test_recorded_day_ranges.py": REPLAYS,
    "tests/integration/test_recorded_day_round_trips.py": REPLAYS,
    "tests/integration/test_sharded_day.py": REPLAYS,
}
"""By folder or file. ``test_up`` and ``e2e`` are in one for the ports 8000 and 4202, too."""

FIRST: Final = (TIMED, REPLAYS)
"""The long ones begin; the short ones fill what time is left."""


def group_of(test_id: str) -> str:
    """The group of a test, given as pytest names it (``tests/model/test_rows.py::test_…``)."""
    file = PurePosixPath(test_id.partition("::")[0])
    for path in (file, *file.parents):
        if group := GROUPS.get(str(path)):
            return group
    return str(file)


def turn_of(test_id: str, *, needs_server: bool) -> int:
    """Where a test's group stands in the queue: long groups, then servers, then the rest."""
    group = group_of(test_id)
    if group in FIRST:
        return FIRST.index(group)
    return len(FIRST) + (0 if needs_server else 1)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Hand out whole groups, in the order in which the tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
