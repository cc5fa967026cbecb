"""Fixtures that every test may use: real servers, the recorded days, marks by directory.

It also ends a run as failed when a process that the run started is still there.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.generated_day import write_generated_day
from tests.leftovers import describe_leftovers, mark_this_run
from tests.servers import RabbitServer, RedisServer

PROJECT = Path(__file__).resolve().parent.parent

SERVER_FOLDERS = frozenset({"integration", "faults", "e2e"})
SERVER_FIXTURES = frozenset({"redis_server", "start_redis", "rabbitmq_server"})

LEFT = pytest.StashKey[list[str]]()

StartRedis = Callable[..., RedisServer]

# How long an example takes says nothing on a busy machine; the timeout of the test does.
settings.register_profile("tapewire", deadline=None)
settings.load_profile("tapewire")


def shared_folder() -> Path:
    """Where the recorded data is looked for: ``TAPEWIRE_SHARED``, else beside the project."""
    return Path(os.environ.get("TAPEWIRE_SHARED") or PROJECT.parent / "shared").resolve()


def is_recorded() -> bool:
    """Tell whether the recorded days are on this machine."""
    return (shared_folder() / "data" / "lean" / "tick").is_dir()


def pytest_sessionstart() -> None:
    """Fail at once where the recorded data is required and absent."""
    if os.environ.get("TAPEWIRE_REQUIRE_SHARED") == "1" and not is_recorded():
        raise pytest.UsageError(
            f"TAPEWIRE_REQUIRE_SHARED=1, but {shared_folder()} has no data/lean/tick: "
            "point TAPEWIRE_SHARED at the recorded data"
        )
    mark_this_run()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when it leaves a process behind."""
    left = describe_leftovers()
    session.config.stash[LEFT] = left
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the run left behind, and whether it ran without the recorded data."""
    for process in terminalreporter.config.stash.get(LEFT, []):
        terminalreporter.write_line(f"process left behind: {process}", red=True)
    if not is_recorded():
        terminalreporter.write_line(
            "recorded data absent (TAPEWIRE_SHARED): tests ran on a generated day"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test ``server`` or ``unit`` by its folder and its fixtures."""
    for item in items:
        folders = set(item.path.relative_to(PROJECT).parts)
        fixtures = set(getattr(item, "fixturenames", ()))
        needs_server = folders & SERVER_FOLDERS or fixtures & SERVER_FIXTURES
        item.add_marker("server" if needs_server else "unit")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds ``data/lean``: the recorded days, or generated ones like them."""
    if is_recorded():
        return shared_folder()
    return write_generated_day(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def recorded() -> bool:
    """Whether ``shared`` holds the recorded days (True) or generated ones (False)."""
    return is_recorded()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the whole run, without persistence."""
    server = RedisServer(tmp_path_factory.mktemp("redis") / "data")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty database of the run's Redis."""
    redis_server.start()
    assert redis_server.call("FLUSHALL") == b"+OK\r\n"
    return redis_server.url


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Start Redis servers of the test's own: ``start_redis(appendonly=..., port=...)``."""
    servers: list[RedisServer] = []

    def start(*, appendonly: bool = False, port: int | None = None) -> RedisServer:
        folder = tmp_path / f"redis-{len(servers)}"
        server = RedisServer(folder, appendonly=appendonly, port=port)
        servers.append(server)
        server.start()
        return server

    try:
        yield start
    finally:
        for server in servers:
            server.stop()


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """One RabbitMQ for the whole run, started by the first test that asks for it."""
    server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def rabbitmq_vhost(rabbitmq_server: RabbitServer) -> Iterator[str]:
    """The name of a fresh virtual host; it is gone after the test."""
    rabbitmq_server.start()
    vhost = rabbitmq_server.add_vhost()
    yield vhost
    rabbitmq_server.start()
    rabbitmq_server.delete_vhost(vhost)


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitServer, rabbitmq_vhost: str) -> str:
    """The address of a fresh virtual host of the run's RabbitMQ."""
    return rabbitmq_server.url(rabbitmq_vhost)
