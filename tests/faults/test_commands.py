"""Services as commands: how they end, with which code and words, and what is left of the flow."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tapewire.simulators.massive import MassiveSimulator
from tests.faults.day import Day, candles
from tests.faults.system import RealServers, running
from tests.replays import Ended, command, environment
from tests.servers import free_port
from tests.simulators.client import running as simulating

NOWHERE = f"127.0.0.1:{free_port()}"


@pytest.fixture
def servers(rabbitmq_url: str, redis_url: str) -> RealServers:
    return RealServers(rabbitmq_url, redis_url)


@dataclass(frozen=True)
class Commands:
    """``tapewire`` over these servers, in processes beside this loop."""

    env: dict[str, str]

    @asynccontextmanager
    async def started(
        self, *arguments: str, **settings: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command(*arguments), env=self.env | settings, stdout=pipe, stderr=pipe
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def run(self, *arguments: str, **settings: str) -> Ended:
        """Run a command to its end, which must come soon."""
        async with self.started(*arguments, **settings) as process, asyncio.timeout(20):
            return await ended(process)


async def ended(process: asyncio.subprocess.Process) -> Ended:
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())


@pytest.fixture
def commands(servers: RealServers, tmp_path: Path) -> Commands:
    env = environment(
        RABBITMQ_URL=servers.rabbitmq_url,
        MDC_REDIS_URL=servers.redis_url,
        WDC_REDIS_URL=servers.redis_url,
        MASSIVE_API_KEY="secret-key",
        MASSIVE_SUBSCRIPTIONS="T.*",
        MARKET_DATA_MESSAGE_TTL="none",
        TAPEWIRE_DATA_DIR=str(tmp_path),
    )
    return Commands(env)


async def test_a_wrong_key_is_tried_once_and_ends_the_listener(commands: Commands) -> None:
    async with simulating(MassiveSimulator([Day(100)], key="another")) as simulator:
        began_s = time.monotonic()
        listener = await commands.run(
            "run", "listener", "--http", "off", MASSIVE_FEED=simulator.ws_url
        )
        assert time.monotonic() - began_s < 10
        statistics = simulator.statistics
    assert listener.code == 3
    assert "Massive refused: auth_failed: authentication failed" in listener.stderr
    assert "check the API key" in listener.stderr
    assert "secret-key" not in listener.stderr
    assert (statistics.connections, statistics.refused_logins, statistics.logins) == (1, 1, 0)


async def test_a_key_that_is_withdrawn_ends_the_listener_at_its_next_login(
    commands: Commands,
) -> None:
    faults = ("drop@500", "bad_key@500")
    async with simulating(MassiveSimulator([Day(1_000)], speed="max", faults=faults)) as simulator:
        listener = await commands.run(
            "run", "listener", "--http", "off", MASSIVE_FEED=simulator.ws_url
        )
        statistics = simulator.statistics
    assert listener.code == 3
    assert (statistics.connections, statistics.logins, statistics.refused_logins) == (2, 1, 1)
    assert statistics.events == {"T": 500}


@pytest.mark.parametrize(
    ("service", "setting"),
    [
        ("processor", "TAPEWIRE_HTTP_PORT_MDP"),
        ("reference", "TAPEWIRE_HTTP_PORT_REF"),
    ],
)
async def test_a_health_port_in_use_names_its_setting(
    commands: Commands, servers: RealServers, service: str, setting: str
) -> None:
    taken = servers.redis_url.rpartition(":")[2].partition("/")[0]
    outcome = await commands.run("run", service, **{setting: taken})
    assert outcome.code == 4
    assert setting in outcome.stderr
    assert taken in outcome.stderr


@pytest.mark.parametrize(
    ("service", "setting"),
    [
        ("listener", "RABBITMQ_URL"),
        ("listener", "MDC_REDIS_URL"),
        ("reference", "MDC_REDIS_URL"),
    ],
)
async def test_a_server_that_cannot_be_reached_names_its_setting(
    commands: Commands, service: str, setting: str
) -> None:
    scheme = "amqp" if setting == "RABBITMQ_URL" else "redis"
    outcome = await commands.run(
        "run", service, "--http", "off", **{setting: f"{scheme}://me:hidden@{NOWHERE}"}
    )
    assert outcome.code == 4
    assert f"{setting}: " in outcome.stderr
    assert NOWHERE in outcome.stderr
    assert "hidden" not in outcome.stderr


async def test_a_capture_that_cannot_be_written_names_its_folder(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "day.twcap"
    outcome = await commands.run("run", "listener", "--http", "off", "--capture", str(place))
    assert outcome.code == 4
    assert str(place.parent) in outcome.stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_processor_told_to_end_hands_over_without_a_loss(
    commands: Commands, servers: RealServers, sent: signal.Signals, code: int
) -> None:
    day = Day(6_000)
    async with running(day, servers, speed="1000/s", started=()) as system:
        arguments = ("run", "processor", "--http", "off", "--lossless")
        async with commands.started(*arguments) as process, asyncio.timeout(20):
            while await system.folded() < 1_000:  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.02)
            os.kill(process.pid, sent)
            outcome = await ended(process)
        assert outcome.code == code
        assert "Traceback" not in outcome.stderr
        flushed = await system.folded()
        await system.start_processor()
        books = await system.end()
    assert 1_000 <= flushed < 6_000
    assert (books.taken_in, books.folded, books.lost) == (6_000, 6_000, 0)
    assert books.gaps == []
    assert books.candles == candles(day.prints)
