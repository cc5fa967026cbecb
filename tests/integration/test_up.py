"""``tapewire up`` and ``make up``: one command, the dashboard, and nothing left behind."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.replays import environment, tapewire, trade_files
from tests.servers import free_port, is_listening, wait_until
from tests.up_process import (
    UpProcess,
    build_dashboard,
    listening_addresses,
    messages,
    running_up,
    seconds_until_rows_move,
    subscribe,
)

MOVES_WITHIN_S = 5.0
ENDS_WITHIN_S = 5.0
LOOPBACK = "0100007F"
"""127.0.0.1 as ``/proc/net/tcp`` writes it."""


@pytest.fixture(scope="module", autouse=True)
def dashboard() -> None:
    """The built dashboard."""
    build_dashboard()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """One run for the tests that leave it running."""
    with running_up(tmp_path_factory.mktemp("up") / "data") as one:
        seconds_until_rows_move(one)
        yield one


def seconds_until_nothing_remains(up: UpProcess) -> float:
    began_s = time.monotonic()
    wait_until(lambda: not up.remains(), f"nothing is left: {up.remains()}", 20)
    return time.monotonic() - began_s


def test_the_second_make_up_shows_moving_rows_within_five_seconds_and_ctrl_c_ends_it(
    tmp_path: Path,
) -> None:
    with running_up(tmp_path / "data", make=True, usual_ports=True) as first:
        assert first.url
        first.interrupt()
        first.end()
    with running_up(tmp_path / "data", make=True, usual_ports=True) as second:
        taken_s = seconds_until_rows_move(second)
        assert taken_s < MOVES_WITHIN_S, second.text
        second.interrupt()
        assert seconds_until_nothing_remains(second) < ENDS_WITHIN_S
        second.end()


def test_ctrl_c_ends_with_the_code_of_an_interrupt_and_says_nothing_more(tmp_path: Path) -> None:
    with running_up(tmp_path / "data") as up:
        seconds_until_rows_move(up)
        said = len(up.lines)
        up.interrupt()
        assert up.end(ENDS_WITHIN_S) == 130
        assert up.lines[said:] == []
        assert up.remains() == []


def test_a_killed_parent_leaves_no_process_socket_or_lock_within_five_seconds(
    tmp_path: Path,
) -> None:
    with running_up(tmp_path / "data") as up:
        seconds_until_rows_move(up)
        assert len(up.processes()) == 6
        up.kill()
        assert seconds_until_nothing_remains(up) < ENDS_WITHIN_S


def test_a_run_after_a_killed_one_waits_for_its_data_path(tmp_path: Path) -> None:
    with running_up(tmp_path / "data") as killed:
        seconds_until_rows_move(killed)
        killed.kill()
        with running_up(tmp_path / "data") as up:
            seconds_until_rows_move(up)
            assert "already runs" not in up.text


def test_everything_listens_on_this_machine_alone(up: UpProcess) -> None:
    addresses = listening_addresses(list(up.processes()))
    assert addresses == {LOOPBACK}


def test_a_second_run_on_the_same_folder_is_refused_and_the_first_goes_on(up: UpProcess) -> None:
    ended = tapewire("up", env=environment(TAPEWIRE_DATA_DIR=str(up.folder)))
    assert ended.code == 4
    assert "already runs" in ended.stderr
    assert "TAPEWIRE_DATA_DIR" in ended.stderr
    with up.stream() as client:
        subscribe(client, "scanners:top_volume")
        assert any(message["op"] == "delta" for message in messages(client, 10))


@pytest.mark.parametrize("part", ["control", "widgets", "simulator", "core", "server"])
def test_a_part_that_is_killed_comes_back_by_itself(up: UpProcess, part: str) -> None:
    pid = up.pid(part)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: up.restarted(part, pid), f"{part} comes back", 20)
    wait_until(lambda: rows_move(up), f"rows move again:\n{up.text}", 30)


def rows_move(up: UpProcess) -> bool:
    """Whether the page is there, and the stream brings changes."""
    try:
        with up.stream() as client:
            subscribe(client, "scanners:top_volume")
            return any(message["op"] == "delta" for message in messages(client, 2))
    except OSError:
        return False


def test_taken_ports_are_passed_over_in_one_line_each(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for port in (8000, 4202):
            if not is_listening(port):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        up = stack.enter_context(running_up(tmp_path / "data", usual_ports=True))
        assert up.url != "http://127.0.0.1:8000"
        assert ":4202/" not in up.config["wds_url"]
    said = [line for line in up.lines if "is taken" in line]
    assert [line.partition(" is on ")[0] for line in said] == [
        "port 8000 is taken: the dashboard",
        "port 4202 is taken: the stream",
    ]


def refused(tmp_path: Path, *options: str, code: int, **settings: str) -> str:
    """Run ``tapewire up`` that is expected to end at once; what it says."""
    env = environment(TAPEWIRE_DATA_DIR=str(tmp_path / "data"), **settings)
    ended = tapewire("up", *options, env=env)
    assert ended.code == code, ended
    return ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_another_host_is_refused(tmp_path: Path, host: str) -> None:
    assert "no accounts" in refused(tmp_path, "--host", host, code=2)


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in refused(tmp_path, "--port", str(port), code=4)


def test_a_port_of_the_stream_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(tmp_path, code=4, TAPEWIRE_HTTP_PORT_WDS=port)
    assert f"port {port} is taken" in said
    assert "TAPEWIRE_HTTP_PORT_WDS" in said


def test_live_data_without_a_key_is_refused(tmp_path: Path) -> None:
    assert "MASSIVE_API_KEY" in refused(tmp_path, "--feed", "live", code=2)


def test_a_source_that_is_none_ends_it_with_what_was_expected(tmp_path: Path) -> None:
    assert "generator" in refused(tmp_path, "--source", "nowhere", code=2)


def test_a_recorded_file_is_played_and_measured_against_the_day_before(
    tmp_path: Path, shared: Path
) -> None:
    (source,) = trade_files(shared, "2013-10-08", symbols=("AIG",))
    port = str(free_port())
    options = ("--source", source, "--speed", "x60", "--port", port)
    with running_up(tmp_path / "data", *options) as up:
        assert up.url == f"http://127.0.0.1:{port}"
        with up.stream() as client:
            subscribe(client, "scanners:top_gappers")
            changes = (
                row
                for one in messages(client, 40)
                for row in (*one.get("rows", ()), *one.get("set", ()))
                if row.get("pct_change")
            )
            row = next(changes)
    assert row["symbol"] == "AIG"
    assert abs(row["pct_change"]) < 20
