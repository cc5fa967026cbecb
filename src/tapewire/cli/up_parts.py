"""The processes behind ``tapewire up``: simulator, core, widgets, control, and Redis.

All are ordinary command lines under the process manager. When this process ends, however
it ends, they drain, and the last user of the embedded server stops it.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from msgspec import Struct

from tapewire.caches.embedded import EmbeddedServer
from tapewire.caches.replay_mark import Holding, erase, erase_and_mark, holding, take_mark
from tapewire.cli.errors import explain
from tapewire.cli.ports import any_free, given_or_next
from tapewire.runtime.process_manager import (
    ManagedWorkers,
    ProcessManager,
    Supervision,
    WorkerSpec,
    tapewire_command,
)
from tapewire.runtime.runner import Deadlines, run_service
from tapewire.runtime.service import Report, ServiceError, State, UsageError
from tapewire.runtime.settings import Settings

DASHBOARD_PORT: Final = 8000
STREAM_PORT: Final = 4202
KEY: Final = "simulator"
DRAIN_S: Final = 4.0
READY_S: Final = 30.0


class UpPlan(Struct, frozen=True):
    """One ``tapewire up`` as asked for."""

    settings: Settings
    live: bool
    sources: tuple[str, ...]
    speed: str
    port: int | None
    host: str


class Addresses(Struct, frozen=True):
    """Ports of this run."""

    dashboard: int
    stream: int
    feed: int
    rest: int


def run_up(plan: UpPlan) -> int:
    """Run until Ctrl-C; the exit code."""
    deadlines = Deadlines(drain_s=DRAIN_S + 0.5, stop_s=2.0)
    return run_service(Up(plan), deadlines=deadlines, explain=explain)


class Up:
    """The embedded server and the managed processes as one service."""

    name = "up"

    def __init__(self, plan: UpPlan) -> None:
        self._plan = plan
        self._server = EmbeddedServer(plan.settings.tapewire_data_dir)
        self._workers: ManagedWorkers | None = None

    async def start(self) -> None:
        """Start everything; return when the dashboard answers."""
        plan, began = self._plan, time.monotonic()
        addresses = choose_ports(plan)
        await self._server.start()
        await prepare_cache(self._server.wdc_url, live=plan.live)
        manager = ProcessManager(
            Supervision(drain_s=DRAIN_S), environ=environment_of(plan, self._server, addresses)
        )
        self._workers = ManagedWorkers(manager, workers_of(plan, addresses))
        await self._workers.start()
        await self._ready(addresses)
        say(f"started in {time.monotonic() - began:.1f} s; Ctrl-C ends it")
        say(f"Dashboard: http://{_literal(plan.host)}:{addresses.dashboard}")

    async def _ready(self, addresses: Addresses) -> None:
        """Wait until page and stream answer; raise when a process has ended instead."""
        assert self._workers is not None
        ending = asyncio.create_task(self._workers.wait())
        answers = asyncio.create_task(_answer(self._plan.host, addresses))
        try:
            async with asyncio.timeout(READY_S):
                await asyncio.wait({ending, answers}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise ServiceError(
                f"the dashboard does not answer after {READY_S:g} s; the lines above say why, or"
                " run again with LOG_LEVEL=DEBUG"
            ) from None
        finally:
            answers.cancel()
            if ending.done():
                ending.result()
            ending.cancel()

    async def wait(self) -> None:
        """Return when the processes have ended; raise what a failed one failed with."""
        assert self._workers is not None
        await self._workers.wait()

    async def drain(self) -> None:
        """Drain every process within its deadline."""
        if self._workers is not None:
            await self._workers.drain()

    async def stop(self) -> None:
        """Leave no process behind, the server included."""
        if self._workers is not None:
            await self._workers.stop()
        await self._server.stop()

    def report(self) -> Report:
        """What the process manager sees."""
        if self._workers is None:
            return Report(self.name, "0", State.STARTING, False, 0)
        return self._workers.report()

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``restart`` a worker."""
        if self._workers is None:
            raise ServiceError("still starting; try again")
        return await self._workers.command(name, arguments)


def choose_ports(plan: UpPlan) -> Addresses:
    """Ports of the page and the stream: those asked for, else the next free ones."""
    host, settings = plan.host, plan.settings
    dashboard = given_or_next(host, plan.port, DASHBOARD_PORT, "--port")
    set_stream = os.environ.get("TAPEWIRE_HTTP_PORT_WDS")
    given = settings.http_port("widgets") if set_stream else None
    stream = given_or_next(host, given, STREAM_PORT, "TAPEWIRE_HTTP_PORT_WDS")
    for wanted, taken, what in (
        (plan.port or DASHBOARD_PORT, dashboard, "dashboard"),
        (given or STREAM_PORT, stream, "stream"),
    ):
        if wanted != taken:
            say(f"port {wanted} is taken: the {what} is on {taken}")
    feed, rest = any_free("127.0.0.1", 2)
    return Addresses(dashboard, stream, feed, rest)


async def prepare_cache(url: str, *, live: bool) -> None:
    """Simulated results begin empty and never mix with live ones."""
    if live:
        if await take_mark(url):
            await erase(url)
        return
    if await holding(url) is Holding.LIVE:
        raise UsageError(
            "the data folder holds live data, which simulated data would replace; set"
            " TAPEWIRE_DATA_DIR to another folder for the simulator, or start with --feed live"
        )
    await erase_and_mark(url, "simulator")


def workers_of(plan: UpPlan, addresses: Addresses) -> list[WorkerSpec]:
    """What to run, in the order in which it is good to start."""
    workers = [] if plan.live else [_simulator(plan, addresses)]
    return [
        *workers,
        WorkerSpec("core", tapewire_command("core")),
        WorkerSpec("widgets", tapewire_command("run", "widgets")),
        WorkerSpec("control", tapewire_command("run", "control")),
    ]


def _simulator(plan: UpPlan, addresses: Addresses) -> WorkerSpec:
    options = [part for source in plan.sources for part in ("--source", source)]
    options += ["--speed", plan.speed, "--quiet"]
    options += ["--port", str(addresses.feed), "--rest-port", str(addresses.rest)]
    return WorkerSpec("simulator", tapewire_command("simulate", "massive", *options))


def environment_of(plan: UpPlan, server: EmbeddedServer, addresses: Addresses) -> Mapping[str, str]:
    """What the processes see: this environment, the embedded server, the ports chosen."""
    ours = {
        "WDC_REDIS_URL": server.wdc_url,
        "MDC_REDIS_URL": server.mdc_url,
        "TAPEWIRE_HTTP_HOST": plan.host,
        "TAPEWIRE_HTTP_PORT_SCP": str(addresses.dashboard),
        "TAPEWIRE_HTTP_PORT_WDS": str(addresses.stream),
        "TAPEWIRE_DRAIN_S": str(DRAIN_S),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
    }
    if not plan.live:
        ours |= {
            "MASSIVE_FEED": f"ws://127.0.0.1:{addresses.feed}",
            "MASSIVE_REST_URL": f"http://127.0.0.1:{addresses.rest}",
            "MASSIVE_API_KEY": KEY,
        }
    return {**os.environ, **ours}


async def _answer(host: str, addresses: Addresses) -> None:
    """Return when the page and the stream's health can be fetched."""
    base = f"http://{_literal(host)}"
    pages = (f"{base}:{addresses.dashboard}/", f"{base}:{addresses.stream}/livez")
    async with aiohttp.ClientSession() as session:
        for page in pages:
            while not await _is_there(session, page):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)


async def _is_there(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError):
        return False


def say(line: str) -> None:
    """One line for whoever started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
