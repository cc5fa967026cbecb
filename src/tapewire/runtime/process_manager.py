"""Supervises the worker processes of one host.

Restart with back-off, health by heartbeat, drain within a deadline, statistics of every
worker, and an exit code that tells the truth. The workers hold the read end of a pipe
whose write end only this process has: when it dies, however, they see end of file.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self

import msgspec

from tapewire.runtime.logging import get_logger
from tapewire.runtime.service import Report, ServiceError, State, UsageError
from tapewire.runtime.trace import ENVIRONMENT_NAME, TraceContext
from tapewire.runtime.worker import (
    Restart,
    Supervision,
    Worker,
    WorkerSpec,
    WorkerState,
    WorkerStatistics,
    tapewire_command,
)

__all__ = [
    "ManagedWorkers",
    "ProcessManager",
    "Restart",
    "Supervision",
    "WorkerFailed",
    "WorkerSpec",
    "WorkerState",
    "WorkerStatistics",
    "tapewire_command",
]

log = get_logger(__name__)

_FINAL: Final = frozenset({WorkerState.FINISHED, WorkerState.FAILED})


class ProcessManager:
    """Runs worker specifications as processes and keeps them running.

    ``environ`` is what workers inherit (default: this process's environment). Use it as a
    context manager: leaving the block leaves no process behind.
    """

    def __init__(
        self, times: Supervision | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.times = times or Supervision()
        self._environ = dict(os.environ if environ is None else environ)
        self._trace = (
            TraceContext.parse(self._environ.get(ENVIRONMENT_NAME, "")) or TraceContext.new()
        )
        self._workers: dict[str, Worker] = {}
        self._tasks: dict[asyncio.Task[None], Worker] = {}
        self._lifeline: tuple[int, int] | None = None
        self._exit_code = 0
        self._draining = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, specs: Iterable[WorkerSpec]) -> None:
        """Start a worker per specification; may be called again with more.

        Returns at once: whether a worker runs, ``statistics`` tells. Raises UsageError
        for a name that is taken.
        """
        if self._lifeline is None:
            self._lifeline = os.pipe()
        for spec in specs:
            if spec.name in self._workers:
                raise UsageError(f"two workers are called {spec.name!r}; give each its own name")
            worker = Worker(spec, self.times, self._lifeline[0], self._environ, self._trace)
            self._workers[spec.name] = worker
            self._tasks[asyncio.create_task(worker.supervise(), name=spec.name)] = worker

    async def wait(self) -> int:
        """Return the exit code when every worker has ended for good.

        The final failure of an essential worker drains the others first. 0 only if no
        essential worker failed and every drained one ended in time.
        """
        while running := [task for task in self._tasks if not task.done()]:
            if self._first_failure() and not self._draining:
                await self.drain()
            else:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        return self._first_failure()

    async def drain(self) -> None:
        """SIGTERM to every worker, SIGKILL to those that have not ended within ``drain_s``."""
        self._draining = True
        for worker in self._workers.values():
            worker.terminate()
        running = [task for task in self._tasks if not task.done()]
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=self.times.drain_s)
        for task in late:
            self._tasks[task].kill(f"not drained within {self.times.drain_s:g} s")
        await asyncio.gather(*running)

    async def stop(self) -> None:
        """Kill whatever still runs and release everything. Safe at any time, also twice."""
        self._draining = True
        for worker in self._workers.values():
            worker.terminate()
            worker.kill("the process manager stops")
        await asyncio.gather(*self._tasks)
        if self._lifeline is not None:
            for descriptor in self._lifeline:
                os.close(descriptor)
            self._lifeline = None

    async def kill(self, name: str) -> None:
        """SIGKILL one worker and return when it is gone; it is restarted like after a crash."""
        worker = self.worker(name)
        if worker.pid is not None:
            worker.kill("asked to")
            await worker.reaped.wait()

    def worker(self, name: str) -> Worker:
        """The worker of this name; ValueError that lists the known ones."""
        if name not in self._workers:
            raise ValueError(f"no worker {name!r}; known: {', '.join(self._workers) or 'none'}")
        return self._workers[name]

    def statistics(self) -> list[WorkerStatistics]:
        """Every worker, in the order in which they were given."""
        return [worker.statistics() for worker in self._workers.values()]

    def _first_failure(self) -> int:
        """The exit code of the first final failure that counts; 0 while there is none."""
        if not self._exit_code:
            codes = (w.failure_code for w in self._workers.values() if w.spec.essential)
            self._exit_code = next(filter(None, codes), 0)
        return self._exit_code


class WorkerFailed(ServiceError):  # noqa: N818 - it says what happened
    """An essential worker failed for good; carries that worker's exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ManagedWorkers:
    """A process manager and its workers as a service, so that the runner can host it.

    Give the runner a drain deadline above the manager's own (``Supervision.drain_s``).
    """

    name = "process_manager"

    def __init__(
        self,
        manager: ProcessManager,
        specs: Iterable[WorkerSpec],
        instance: str = "0",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._manager = manager
        self._specs = tuple(specs)
        self._instance = instance
        self._since_ms = int(clock() * 1000)

    async def start(self) -> None:
        """Start the workers."""
        await self._manager.start(self._specs)

    async def wait(self) -> None:
        """Return when all have finished; raise WorkerFailed with the failed one's code."""
        code = await self._manager.wait()
        if code:
            failed = [w for w in self._manager.statistics() if w.state is WorkerState.FAILED]
            which = ", ".join(f"{w.name} (exit code {w.last_exit})" for w in failed)
            raise WorkerFailed(f"failed for good: {which}; its last lines say why", code)

    async def drain(self) -> None:
        """Drain the workers within the manager's deadline."""
        await self._manager.drain()

    async def stop(self) -> None:
        """Leave no process behind."""
        await self._manager.stop()

    def report(self) -> Report:
        """Healthy only while every worker that should run does."""
        workers = self._manager.statistics()
        active = [worker for worker in workers if worker.state not in _FINAL]
        troubled = [
            f"{worker.name}: {worker.state}"
            for worker in workers
            if worker.state not in {WorkerState.RUNNING, WorkerState.FINISHED}
        ]
        state = State.DEGRADED if troubled else State.RUNNING
        return Report(
            service=self.name,
            instance=self._instance,
            state=state if active else State.STOPPED,
            healthy=bool(active) and not troubled,
            since_ms=self._since_ms,
            detail={"workers": {w.name: msgspec.to_builtins(w) for w in workers}},
            reason="; ".join(troubled),
        )

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``restart`` (argument ``worker``) kills one worker, which comes back."""
        if name != "restart":
            raise ValueError(f"unknown command {name!r}; known: restart")
        await self._manager.kill(str(arguments.get("worker", "")))
        return {}
