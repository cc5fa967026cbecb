"""Tests that measure real time run one after the other; everything named is there."""

import pytest

from tests.conftest import PROJECT
from tests.distribution import GROUPS, REPLAYS, TIMED, group_of, turn_of


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
        turn_of("tests/model/test_rows.py::test_a_row", needs_server=False),
    ]
    assert queue == sorted(set(queue))
