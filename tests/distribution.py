"""Which tests run one after the other when a run has several workers (``make test``).

A group is one worker's, whole. A file is a group by itself, so that what its fixtures prepare
is prepared once, except where several files share more than that (``GROUPS``).
"""

import os
from pathlib import PurePosixPath
from typing import Any, Final

from xdist.scheduler import LoadScopeScheduling

TIMED: Final = "timed"
"""Tests that hold real systems to a time: never two of them at the same moment."""

REPLAYS: Final = "replays"
"""Tests that look at the same replays of whole days."""

COMPONENTS: Final = "components"
"""The dashboard's own tests: in the folder of the browser's, but without a browser."""

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
    "tests/e2e/test_components.py": COMPONENTS,
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
    """Where a test's group stands in the queue: long ones, servers, the rest, quiet ones."""
    group = group_of(test_id)
    if group in FIRST:
        return FIRST.index(group)
    return len(FIRST) + (2 if is_quiet(group) else 0 if needs_server else 1)


QUIET_WORKER: Final = "gw2"
"""The third worker. It runs at low priority and so takes only the time in which the others wait:
tests of systems wait a third of it, but can spare none when they work."""

QUIET: Final = (
    COMPONENTS,
    "tests/analyzers",
    "tests/benchmarks/test_oracle.py",
    "tests/benchmarks/test_peak.py",
    "tests/docs",
    "tests/hub",
    "tests/market",
    "tests/model",
    "tests/properties",
    "tests/services/test_delayed_feed.py",
    "tests/services/test_session_boundaries.py",
    "tests/services/test_tick_queue.py",
    "tests/simulators/test_fyers_frames.py",
    "tests/simulators/test_flatfile.py",
    "tests/simulators/test_generator.py",
    "tests/simulators/test_indian_market.py",
    "tests/simulators/test_lean.py",
    "tests/simulators/test_tick_tape.py",
    "tests/simulators/test_upstox_frames.py",
)
"""Groups and folders that compute, and do not mind how long it takes: what the third runs."""


def is_quiet(group: str) -> bool:
    """Whether a group of tests is one of ``QUIET``, or in one of its folders."""
    path = PurePosixPath(group)
    return any(str(one) in QUIET for one in (path, *path.parents))


PATIENCE_S: Final = 900
"""How long a test of the third worker may take: while the others work it hardly gets on."""


def lower_priority(worker: str) -> None:
    """Let the third worker stand back."""
    if worker == QUIET_WORKER:
        os.nice(10)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Hand out whole groups in the order in which the tests were collected; quiet ones last.

    The third worker gets the quiet ones, and has done when there are none left.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        if node.gateway.id == QUIET_WORKER:
            last = next(reversed(self.workqueue))
            if not is_quiet(last):
                node.shutdown()
                return
            self.workqueue.move_to_end(last, last=False)
        super()._assign_work_unit(node)
