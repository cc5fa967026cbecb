"""Which tests run one after the other when a run has several workers (``make test``).

A group is one worker's, whole. A file is a group by itself, so that what its fixtures prepare
is prepared once, except where several files share more than that (``GROUPS``).
"""

from pathlib import PurePosixPath
from typing import Final

from xdist.scheduler import LoadScopeScheduling

LIVE: Final = "live"
"""Tests of running systems that measure real time: never two of them at the same time."""

REPLAYS: Final = "replays"
"""Tests that look at the same replays of whole days."""

GROUPS: Final = {
    "tests/faults": LIVE,
    "tests/e2e": LIVE,
    "tests/benchmarks/test_latency.py": LIVE,
    "tests/benchmarks/test_widgets.py": LIVE,
    "tests/integration/test_cli_live.py": LIVE,
    "tests/integration/test_process_manager.py": LIVE,
    "tests/integration/test_up.py": LIVE,
    "tests/integration/test_widget_data.py": LIVE,
    "tests/integration/test_recorded_day.py": REPLAYS,
    "tests/integration/test_recorded_day_lean.py": REPLAYS,
    "tests/integration/test_recorded_day_round_trips.py": REPLAYS,
}
"""By folder or file."""

FIRST: Final = (LIVE, REPLAYS)
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
