"""Tests that measure real time run one after the other; everything named is there."""

from types import SimpleNamespace

import pytest

from tests.conftest import PROJECT
from tests.distribution import (
    GROUPS,
    QUIET,
    QUIET_WORKER,
    REPLAYS,
    TIMED,
    GroupScheduling,
    group_of,
    is_quiet,
    turn_of,
)


@pytest.mark.parametrize("path", GROUPS)
def test_what_is_grouped_exists(path: str) -> None:
    assert (PROJECT / path).exists()


@pytest.mark.parametrize(
    ("test_id", "group"),
    [
        ("tests/faults/test_redis.py::test_a_restart", TIMED),
        ("tests/e2e/test_dashboard.py::test_the_boards_move[x/y::z]", TIMED),
        ("tests/e2e/test_components.py::test_the_dashboards_own_tests_pass[test]", "components"),
        ("tests/integration/test_recorded_day.py::test_candles", REPLAYS),
        ("tests/integration/test_cli.py::test_help", "tests/integration/test_cli.py"),
        ("tests/model/test_rows.py::test_a_row", "tests/model/test_rows.py"),
    ],
)
def test_a_file_is_a_group_unless_it_shares_more(test_id: str, group: str) -> None:
    assert group_of(test_id) == group


def test_long_groups_are_handed_out_first_and_tests_without_servers_last() -> None:
    queue = [
        turn_of("tests/faults/test_redis.py::test_a_restart", needs_server=True),
        turn_of("tests/integration/test_recorded_day.py::test_candles", needs_server=True),
        turn_of("tests/integration/test_cli.py::test_help", needs_server=True),
        turn_of("tests/runtime/test_settings.py::test_a_name", needs_server=False),
        turn_of("tests/model/test_rows.py::test_a_row", needs_server=False),
    ]
    assert queue == sorted(set(queue))


@pytest.mark.parametrize("path", [path for path in QUIET if path not in GROUPS.values()])
def test_what_is_quiet_exists(path: str) -> None:
    assert (PROJECT / path).exists()
    assert is_quiet(path if path.endswith(".py") else f"{path}/test_rows.py")


@pytest.mark.parametrize("group", [TIMED, REPLAYS, "tests/test_servers.py"])
def test_what_needs_the_time_of_the_clock_is_not_quiet(group: str) -> None:
    assert not is_quiet(group)


class Node:
    """A worker as the scheduler sees it."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.sent: list[int] = []

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.sent += numbers

    def shutdown(self) -> None:
        self.shutting_down = True


def test_the_third_worker_gets_quiet_groups_and_the_others_everything() -> None:
    option = SimpleNamespace(loadscopereorder=False)
    config = SimpleNamespace(getvalue=lambda _: ["3*popen"], option=option)
    scheduler = GroupScheduling(config)
    nodes = [Node("gw0"), Node("gw1"), Node(QUIET_WORKER)]
    tests = [
        *(f"tests/faults/test_redis.py::test_{k}" for k in range(3)),
        *(f"tests/cli/test_output.py::test_{k}" for k in range(3)),
        *(f"tests/runtime/test_redact.py::test_{k}" for k in range(3)),
        *(f"tests/model/test_rows.py::test_{k}" for k in range(3)),
    ]
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()
    assert [node.sent for node in nodes] == [[0, 1, 2], [3, 4, 5], [9, 10, 11]]
    for number in (9, 10):
        scheduler.mark_test_complete(nodes[2], number)
    assert nodes[2].shutting_down
    for number in (0, 1):
        scheduler.mark_test_complete(nodes[0], number)
    assert nodes[0].sent == [0, 1, 2, 6, 7, 8]
