"""Fixtures that every test may use: real servers, the recorded days, marks by directory.

It also ends a run as failed when a process that the run started is still there.
"""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.workermanage import WorkerController

from tapewire.runtime import redact
from tests.distribution import (
    PATIENCE_S,
    QUIET_WORKER,
    GroupScheduling,
    lower_priority,
    turn_of,
)
from tests.generated_day import write_generated_day
from tests.leftovers import describe_leftovers, mark_this_run
from tests.replays import Replays, databases
from tests.servers import RabbitServer, RedisServer, ServerError
from tests.shared_rabbitmq import BrokerKeeper, SharedRabbitServer, turn

PROJECT = Path(__file__).resolve().parent.parent

SERVER_FOLDERS = frozenset({"conformance", "integration", "faults", "e2e"})
SERVER_FIXTURES = frozenset({"redis_server", "start_redis", "rabbitmq_server"})

LONG_LIST = 100

LEFT = pytest.StashKey[list[str]]()
KEEPER = pytest.StashKey[BrokerKeeper]()
ALONE = pytest.StashKey[bool]()
"""Whether the test that runs has the run's RabbitMQ to itself."""

KEEPER_FOLDER = "keeper_folder"
"""The name under which a worker is told where the keeper lives."""

StartRedis = Callable[..., RedisServer]

# How long an example takes says nothing on a busy machine; the timeout of the test does.
# Where a change is judged (CI), a run is judged by the same examples as the run before it.
settings.register_profile("tapewire", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("tapewire")


def shared_folder() -> Path:
    """Where the recorded data is looked for: ``TAPEWIRE_SHARED``, else beside the project."""
    return Path(os.environ.get("TAPEWIRE_SHARED") or PROJECT.parent / "shared").resolve()


def is_recorded() -> bool:
    """Tell whether the recorded days are on this machine."""
    return (shared_folder() / "data" / "lean" / "tick").is_dir()


def is_worker(config: pytest.Config) -> bool:
    """Tell whether this process runs tests for another one, which began and ends the run."""
    return hasattr(config, "workerinput")


def keeper_folder(config: pytest.Config) -> Path:
    """Where the keeper of the run's RabbitMQ lives."""
    if is_worker(config):
        return Path(config.workerinput[KEEPER_FOLDER])  # type: ignore[attr-defined]
    return config.stash[KEEPER].folder


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin the run; fail at once where the recorded data is required and absent.

    A run that a shell has put into the background ignores Ctrl-C, and so would what it starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_worker(session.config):
        lower_priority(session.config.workerinput["workerid"])  # type: ignore[attr-defined]
        return
    if os.environ.get("TAPEWIRE_REQUIRE_SHARED") == "1" and not is_recorded():
        raise pytest.UsageError(
            f"TAPEWIRE_REQUIRE_SHARED=1, but {shared_folder()} has no data/lean/tick: "
            "point TAPEWIRE_SHARED at the recorded data"
        )
    mark_this_run()
    session.config.stash[KEEPER] = BrokerKeeper()


def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where the keeper lives."""
    node.workerinput[KEEPER_FOLDER] = str(keeper_folder(node.config))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling | None:
    """Hand out groups of tests where whole scopes are asked for."""
    return GroupScheduling(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what belongs to the run, after its workers; fail it when it leaves a process behind."""
    if is_worker(session.config) or KEEPER not in session.config.stash:
        return
    left = end_of_keeper(session.config.stash[KEEPER]) + describe_leftovers()
    session.config.stash[LEFT] = left
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def end_of_keeper(keeper: BrokerKeeper) -> list[str]:
    """End the run's RabbitMQ; what it leaves behind."""
    try:
        keeper.close()
    except ServerError as error:
        return [f"RabbitMQ: {error}"]
    return []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that uses RabbitMQ wait for its turn, before its time is measured."""
    if "rabbitmq_server" not in getattr(item, "fixturenames", ()):
        return (yield)
    alone = item.get_closest_marker("stops_rabbitmq") is not None
    with turn(keeper_folder(item.config), alone=alone):
        item.config.stash[ALONE] = alone
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the run left behind, and whether it ran without the recorded data."""
    for process in terminalreporter.config.stash.get(LEFT, []):
        terminalreporter.write_line(f"left behind: {process}", red=True)
    if not is_recorded():
        terminalreporter.write_line(
            "recorded data absent (TAPEWIRE_SHARED): tests ran on a generated day"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test ``server`` or ``unit``; a worker's tests are put in the order of the queue."""
    for item in items:
        folders = set(item.path.relative_to(PROJECT).parts)
        fixtures = set(getattr(item, "fixturenames", ()))
        needs_server = folders & SERVER_FOLDERS or fixtures & SERVER_FIXTURES
        item.add_marker("server" if needs_server else "unit")
    if not is_worker(config):
        return
    items.sort(key=turn_in_queue)
    if config.workerinput["workerid"] == QUIET_WORKER:  # type: ignore[attr-defined]
        for item in items:
            item.add_marker(pytest.mark.timeout(PATIENCE_S))


def turn_in_queue(item: pytest.Item) -> int:
    """Where a marked test stands in the queue of a parallel run."""
    return turn_of(item.nodeid, needs_server=item.get_closest_marker("server") is not None)


@pytest.fixture(autouse=True)
def _nothing_learned() -> None:
    """What another test's accounts are called is no secret in this one."""
    redact._learned.clear()


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
    """One Redis for all tests of a process, without persistence."""
    server = RedisServer(tmp_path_factory.mktemp("redis") / "data")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty database of the process's Redis."""
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
def rabbitmq_server(pytestconfig: pytest.Config) -> RabbitServer:
    """One RabbitMQ for the whole run, started by the first test that asks for it."""
    keeper = keeper_folder(pytestconfig)
    server = SharedRabbitServer(keeper, is_alone=lambda: pytestconfig.stash[ALONE])
    server.start()
    return server


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


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Of two long lists show the first difference: a whole one takes longer than any test."""
    if op != "==" or not (isinstance(left, list) and isinstance(right, list)):
        return None
    if max(len(left), len(right)) <= LONG_LIST:
        return None
    pairs = zip_longest(left, right)
    at = next((k for k, (one, other) in enumerate(pairs) if one != other), -1)
    sizes = f"lists of {len(left)} and {len(right)}"
    return [f"{sizes} differ first at {at}", f"{left[at : at + 1]}", f"{right[at : at + 1]}"]


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
