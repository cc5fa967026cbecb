"""The run's one RabbitMQ: used side by side, stopped only by a test that has it to itself."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import RabbitServer, ServerError, is_listening
from tests.shared_rabbitmq import SharedRabbitServer, ask, turn


def is_held(path: Path, *, wanted: int) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, wanted | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_tests_use_the_broker_side_by_side(tmp_path: Path) -> None:
    with turn(tmp_path, alone=False), turn(tmp_path, alone=False):
        assert is_held(tmp_path / "room", wanted=fcntl.LOCK_EX)
    assert not is_held(tmp_path / "room", wanted=fcntl.LOCK_EX)


def test_a_test_that_is_alone_keeps_everybody_out(tmp_path: Path) -> None:
    with turn(tmp_path, alone=True):
        assert is_held(tmp_path / "room", wanted=fcntl.LOCK_SH)
    assert not is_held(tmp_path / "room", wanted=fcntl.LOCK_SH)


@pytest.mark.parametrize(
    "act",
    [lambda server: server.stop(), lambda server: server.kill(), lambda server: server.pid],
    ids=["stop", "kill", "pid"],
)
def test_a_test_that_is_not_alone_cannot_harm_the_broker(
    rabbitmq_server: RabbitServer, act: Callable[[RabbitServer], object]
) -> None:
    with pytest.raises(ServerError, match="stops_rabbitmq"):
        act(rabbitmq_server)
    assert is_listening(rabbitmq_server.address.port)


def test_the_broker_belongs_to_the_run(rabbitmq_server: RabbitServer) -> None:
    with pytest.raises(ServerError, match="ends with the run"):
        rabbitmq_server.close()


def test_without_its_keeper_the_broker_is_said_to_be_gone(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="is gone"):
        ask(tmp_path, "start")
    with pytest.raises(ServerError, match="is gone"):
        SharedRabbitServer(tmp_path, is_alone=lambda: True)
