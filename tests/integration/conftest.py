"""Fixtures that tests of whole replays share: each day is replayed once for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replays import Replays, databases
from tests.servers import RabbitServer


@pytest.fixture(scope="session")
def replay_vhost(rabbitmq_server: RabbitServer) -> str:
    """The virtual host of the shared replays; it stays as long as the broker."""
    rabbitmq_server.start()
    return rabbitmq_server.add_vhost()


@pytest.fixture(scope="session")
def replays(
    shared: Path,
    rabbitmq_server: RabbitServer,
    replay_vhost: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Replays]:
    """Replays of recorded days, kept."""
    with databases(tmp_path_factory.mktemp("replays") / "redis") as found:
        yield Replays(shared, found, rabbitmq_server.url(replay_vhost))
