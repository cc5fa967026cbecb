"""Running one service in one process: signals, deadlines, heartbeats, health, exit code.

Everything that ends a service meets here: its own end, an error, SIGTERM, SIGINT or SIGHUP,
and the end of the process manager that started it.

=====================================  ==========================================
what happened                          exit code
=====================================  ==========================================
the work ended by itself               0
SIGTERM, SIGHUP or parent gone         0 once drained
SIGINT (Ctrl-C), or a second signal    130
a ``ServiceError``                     its own: 1, 2 usage, 3 refused, 4 missing
any other error, a deadline missed     1
=====================================  ==========================================
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from tapewire.runtime.health import HttpAddress
from tapewire.runtime.logging import get_logger
from tapewire.runtime.parent import ParentWatch, watch_parent
from tapewire.runtime.presence import Presence
from tapewire.runtime.registry import Registry
from tapewire.runtime.service import Report, Service, ServiceError, State

if TYPE_CHECKING:
    from tapewire.runtime.health_server import HealthServer

log = get_logger(__name__)

Explain = Callable[[Exception], tuple[int, str]]
"""Exit code and message of an error that ended a service."""

INTERRUPTED: Final = 130
FAILED: Final = 1

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Deadlines:
    """Seconds that the parts of an end may take. Who misses one is left behind, exit code 1.

    The orphan's are short: nobody waits for it, and it holds shards that others need
    (``parent.ORPHAN_GRACE_S`` bounds both together).
    """

    drain_s: float = 8.0
    stop_s: float = 2.0
    orphan_drain_s: float = 2.0
    orphan_stop_s: float = 0.5
    heartbeat_s: float = 1.0

    @classmethod
    def within(cls, total_s: float) -> Self:
        """Drain and stop together inside what a supervisor grants (``TAPEWIRE_DRAIN_S``)."""
        return cls(drain_s=0.8 * total_s, stop_s=0.15 * total_s)


def run_service(
    service: Service,
    *,
    registry: Registry | None = None,
    http: HttpAddress | None = None,
    deadlines: Deadlines | None = None,
    explain: Explain | None = None,
    close: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Run ``service`` in a new event loop until it ends; return the process's exit code.

    ``registry``: told once a second (None: nobody to tell). ``http``: where health and
    metrics listen (None: headless, ``--http off``). ``explain``: exit codes for the errors
    of parts that this layer does not know (default: a ``ServiceError``'s own, else 1).
    ``close``: awaited last, for what outlives the service (the registry's connection).
    """
    host = ServiceHost(
        service, registry, http, deadlines or Deadlines(), watch_parent(), explain or _explain
    )

    async def run() -> int:
        try:
            return await host.run()
        finally:
            if close is not None:
                await close()

    return run_async(run())


def _explain(error: Exception) -> tuple[int, str]:
    if isinstance(error, ServiceError):
        return error.exit_code, str(error)
    return FAILED, f"{type(error).__name__}: {error}"


def run_async(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on uvloop where it is installed, else on the standard loop."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


class EndRequests:
    """What asks a service to end: the first signal drains, the second stops at once."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.stop = asyncio.Event()
        self.reason = ""
        self.exit_code = 0
        self.orphaned = False

    @contextmanager
    def listening(self, parent: ParentWatch) -> Iterator[None]:
        """Listen to signals and to the parent's end while the block runs.

        A signal that is ignored (``nohup``) stays ignored; a third one kills.
        """
        loop = asyncio.get_running_loop()
        installed = [s for s in _SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
        for number in installed:
            loop.add_signal_handler(number, self._signalled, number, installed)
        parent.on_gone(lambda: loop.call_soon_threadsafe(self._parent_gone))
        try:
            yield
        finally:
            for number in installed:
                loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals, installed: list[signal.Signals]) -> None:
        if not self.drain.is_set():
            self.reason = number.name
            self.exit_code = INTERRUPTED if number is signal.SIGINT else 0
            self.drain.set()
            return
        self.exit_code = INTERRUPTED
        self.stop.set()
        for each in installed:
            signal.signal(each, signal.SIG_DFL)

    def _parent_gone(self) -> None:
        self.orphaned = True
        self.reason = self.reason or "the process manager is gone"
        self.drain.set()


class ServiceHost:
    """One service's life in this process. ``run`` once.

    ``exit_now`` ends a process whose service does not let itself be stopped.
    """

    def __init__(
        self,
        service: Service,
        registry: Registry | None,
        http: HttpAddress | None,
        deadlines: Deadlines,
        parent: ParentWatch,
        explain: Explain = _explain,
        exit_now: Callable[[int], None] = os._exit,
    ) -> None:
        self._service = service
        self._deadlines = deadlines
        self._parent = parent
        self._explain = explain
        self._exit_now = exit_now
        self._health = self._health_server(http) if http else None
        self._failure = ""
        self._draining = False
        self._stopped = False
        self._background: list[asyncio.Task[None]] = []
        self._presence: Presence | None = None
        if registry is not None:
            self._presence = Presence(service, registry, self.report, deadlines.heartbeat_s)

    def _health_server(self, http: HttpAddress) -> "HealthServer":
        from tapewire.runtime.health_server import HealthServer  # costs 0.15 s, so only if wanted

        return HealthServer(self.report, http)

    async def run(self) -> int:
        """Start, serve until the end, drain, stop; return the exit code."""
        requests = EndRequests()
        with requests.listening(self._parent):
            self._in_background(self._beat_forever())
            if self._presence is not None:
                self._in_background(self._presence.beat_forever())
            code = await self._guarded(self._serve(requests))
            stopped = await self._stop(requests, code)
            code = code or stopped
            self._stopped = True
            await _cancelled(*self._background)
            if self._presence is not None:
                await self._presence.leave(in_good_order=not self._failure)
        log.info("ended", service=self._service.name, exit_code=code, cause=requests.reason)
        return code

    def report(self) -> Report:
        """The service's report, with what only its host knows."""
        report = self._service.report()
        if self._presence is not None:
            detail = {**report.detail, "registry_failures": self._presence.failures}
            report = msgspec.structs.replace(report, detail=detail)
        if self._failure:
            return msgspec.structs.replace(
                report, state=State.FAILED, healthy=False, reason=self._failure
            )
        if self._stopped:
            return msgspec.structs.replace(report, state=State.STOPPED, healthy=False)
        if self._draining and report.state is State.RUNNING:
            return msgspec.structs.replace(report, state=State.DRAINING)
        return report

    async def _serve(self, requests: EndRequests) -> int:
        """The part that may fail: start, work until the end or until asked, drain."""
        if self._health is not None:
            await self._health.start()
        asked = asyncio.create_task(requests.drain.wait())
        starting = asyncio.create_task(self._service.start())
        working: asyncio.Task[None] | None = None
        try:
            if not await _first(starting, asked):
                return requests.exit_code
            log.info("started", service=self._service.name)
            if self._presence is not None:
                self._in_background(self._presence.obey_forever())
            working = asyncio.create_task(self._service.wait())
            if await _first(working, asked):
                return 0
            return await self._drain(requests, working)
        finally:
            await _cancelled(asked, starting, *([working] if working else []))

    async def _drain(self, requests: EndRequests, working: asyncio.Task[None]) -> int:
        limit_s = self._deadlines.orphan_drain_s if requests.orphaned else self._deadlines.drain_s
        log.info("draining", service=self._service.name, cause=requests.reason, limit_s=limit_s)
        self._draining = True
        draining = asyncio.create_task(self._service.drain())
        stop = asyncio.create_task(requests.stop.wait())
        try:
            await asyncio.wait({draining, stop}, timeout=limit_s, return_when="FIRST_COMPLETED")
            if draining.done():
                await draining
                if working.done():
                    await working
                return requests.exit_code
            if requests.stop.is_set():
                log.warning("second signal: not drained", service=self._service.name)
                return requests.exit_code
            raise ServiceError(
                f"{self._service.name} did not drain within {limit_s:g} s; what it had taken in"
                " and not handed over is left to the next owner. Raise TAPEWIRE_DRAIN_S if it"
                " needs longer."
            )
        finally:
            await _cancelled(draining, stop)

    async def _stop(self, requests: EndRequests, so_far: int) -> int:
        """Release everything; a service that does not return in time is left behind.

        What had ended it before (``so_far``) stays the exit code.
        """
        limit_s = self._deadlines.orphan_stop_s if requests.orphaned else self._deadlines.stop_s
        stopping = asyncio.create_task(self._service.stop())
        await asyncio.wait({stopping}, timeout=limit_s)
        if not stopping.done():
            log.error("did not stop in time", service=self._service.name, limit_s=limit_s)
            _flush_output()
            self._exit_now(so_far or FAILED)
            return so_far or FAILED
        code = await self._guarded(_result(stopping))
        if self._health is not None:
            await self._health.stop()
        return code

    async def _guarded(self, part: Awaitable[int]) -> int:
        """Turn what ended the service into its last words and an exit code."""
        try:
            return await part
        except Exception as error:
            code, self._failure = self._explain(error)
            unexpected = code == FAILED and not isinstance(error, ServiceError)
            log.error(
                self._failure,
                service=self._service.name,
                exit_code=code,
                exc_info=error if unexpected else None,
            )
            return code

    async def _beat_forever(self) -> None:
        """One byte at once, then one a heartbeat, from the loop: a stuck loop is silent."""
        while True:
            if not self._parent.beat():
                return
            await asyncio.sleep(self._deadlines.heartbeat_s)

    def _in_background(self, part: Coroutine[Any, Any, None]) -> None:
        self._background.append(asyncio.create_task(part))


async def _first(task: asyncio.Task[None], asked: asyncio.Task[Any]) -> bool:
    """True when ``task`` has ended (raises its error), False when asked to end before."""
    await asyncio.wait({task, asked}, return_when="FIRST_COMPLETED")
    if task.done():
        await task
        return True
    return False


async def _result(task: asyncio.Task[None]) -> int:
    await task
    return 0


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs and give it a second to go; say what it failed with."""
    running = {task for task in tasks if not task.done()}
    for task in running:
        task.cancel()
    ended, _ = await asyncio.wait(running, timeout=1) if running else (set(), None)
    for task in ended:
        if not task.cancelled() and (error := task.exception()):
            log.warning("failed while being cancelled", error=error)


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
