"""``tapewire up`` as one service: the embedded server, and the processes that use it.

When this process ends, however it ends, the processes drain, and the last user of the
embedded server stops it. One run a data folder: a lock that the kernel releases.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from tapewire import __version__
from tapewire.caches.embedded import EmbeddedServer, LockFile, prepare_folder
from tapewire.cli.errors import say as explain
from tapewire.cli.up_parts import (
    DRAIN_S,
    Addresses,
    UpPlan,
    choose_ports,
    environment,
    environment_of,
    workers_of,
)
from tapewire.cli.up_store import data_path_lock, keep_store, prepare_store
from tapewire.runtime.process_manager import ManagedWorkers, ProcessManager, Supervision
from tapewire.runtime.runner import Deadlines, run_service
from tapewire.runtime.service import DependencyMissing, Report, ServiceError, State

READY_S: Final = 30.0
SUPERVISION: Final = Supervision(drain_s=DRAIN_S)


def run_up(plan: UpPlan) -> int:
    """Run until Ctrl-C; the exit code."""
    deadlines = Deadlines(drain_s=DRAIN_S + 0.5, stop_s=2.0)
    return run_service(Up(plan), deadlines=deadlines, explain=explain)


class Up:
    """The embedded server and the managed processes as one service."""

    name = "up"

    def __init__(self, plan: UpPlan) -> None:
        self._plan = plan
        self._server = EmbeddedServer(plan.folder)
        self._workers: ManagedWorkers | None = None
        self._stack = AsyncExitStack()
        self._draining = False

    async def start(self) -> None:
        """Start everything; return when the dashboard answers."""
        plan, began = self._plan, time.monotonic()
        say(f"Tapewire {__version__}: {_market(plan)}")
        prepare_folder(self._server.folder, self._server.socket)
        self._lock()
        async with data_path_lock(plan.folder).held():
            addresses, lines = choose_ports(plan, environment())
            for line in lines:
                say(line)
            await self._server.start()
            await prepare_store(self._server.wdc_url, live=plan.live)
        await self._start_workers(addresses)
        say(f"started in {time.monotonic() - began:.1f} s; Ctrl-C ends it")
        say(f"Dashboard: {addresses.url}")

    def _lock(self) -> None:
        """Take the data folder for ourselves; DependencyMissing while another run has it."""
        lock = LockFile(self._plan.folder / "up.lock")
        if not lock.take():
            raise DependencyMissing(
                f"tapewire up already runs on {self._plan.folder}; stop it, or give this one"
                " another folder with TAPEWIRE_DATA_DIR"
            )
        self._stack.callback(lock.release)

    async def _start_workers(self, addresses: Addresses) -> None:
        plan = self._plan
        environ = environment_of(plan, self._server, addresses, environment())
        manager = ProcessManager(SUPERVISION, environ=environ)
        self._workers = ManagedWorkers(manager, workers_of(plan, addresses))
        await self._workers.start()
        await self._ready(self._workers, addresses)

    async def _ready(self, workers: ManagedWorkers, addresses: Addresses) -> None:
        """Wait until page and stream answer; raise when a process has ended instead."""
        ending = asyncio.create_task(workers.wait())
        answers = asyncio.create_task(_answer(f"{addresses.url}/", addresses.health))
        tasks = {ending, answers}
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise ServiceError(
                    f"the dashboard does not answer after {READY_S:g} s; the lines above say"
                    " why, or run again with LOG_LEVEL=DEBUG"
                )
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait(self) -> None:
        """Return when the processes have ended; raise what a failed one failed with."""
        assert self._workers is not None
        keeping = asyncio.create_task(keep_store(self._server, say, live=self._plan.live))
        ending = asyncio.create_task(self._workers.wait())
        try:
            done, _ = await asyncio.wait({keeping, ending}, return_when="FIRST_COMPLETED")
            for task in done if not self._draining else ():
                task.result()
        finally:
            for task in (keeping, ending):
                task.cancel()
            await asyncio.gather(keeping, ending, return_exceptions=True)

    async def drain(self) -> None:
        """Drain every process within its deadline; raise what one failed with meanwhile."""
        self._draining = True
        if self._workers is not None:
            await self._workers.drain()
            await self._workers.wait()

    async def stop(self) -> None:
        """Leave no process behind, the server included."""
        async with self._stack:
            if self._workers is not None:
                await self._workers.stop()
            await self._server.stop()

    def report(self) -> Report:
        """What the process manager sees."""
        if self._workers is None:
            return Report(self.name, "0", State.STARTING, False, self._plan.began_ms)
        return self._workers.report()

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``restart`` a worker."""
        if self._workers is None:
            raise ServiceError("still starting; try again")
        return await self._workers.command(name, arguments)


_WHO: Final = {"massive": "Massive sends", "brokers": "the brokers send"}


def _market(plan: UpPlan) -> str:
    if plan.played is None:
        return f"the market as {_WHO[plan.provider]} it"
    if plan.played.broker and plan.played.head_start_s:
        return f"a simulated Indian market as {plan.played.broker.capitalize()} sends it"
    if plan.played.date:
        return f"playing {', '.join(plan.played.sources)}"
    return "a simulated market; its symbols, companies and prices are made up"


async def _answer(*urls: str) -> None:
    """Return when every address answers with 200."""
    for url in urls:
        while not await _is_there(urlsplit(url)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def _is_there(url: SplitResult) -> bool:
    """Ask once; the first line of the answer is all that is wanted."""
    try:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
    except OSError:
        return False
    try:
        writer.write(f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.close()


def say(line: str) -> None:
    """One line for whoever started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
