"""One supervised process: start it, hear its heartbeat, end it, start it again.

Used by ``process_manager.py`` only. A worker that is alive but does not beat is as good
as dead and is killed: health is the heartbeat, not the existence of a process id.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from tapewire.runtime.logging import get_logger
from tapewire.runtime.parent import HEARTBEAT_FD, PARENT_FD
from tapewire.runtime.service import DependencyMissing, RefusedByProvider, UsageError
from tapewire.runtime.trace import ENVIRONMENT_NAME, TraceContext

log = get_logger(__name__)

FATAL_CODES: Final = frozenset({UsageError.exit_code, RefusedByProvider.exit_code})
"""Exit codes that a restart cannot mend."""

DRAINED_CODES: Final = frozenset({0, -signal.SIGTERM, 130})
"""How a process ends that was asked to: done, at once, or (130) while it was still starting."""

_STDERR: Final = 2
_POLL_S: Final = 0.05


class Restart(StrEnum):
    """When a worker that ended is started again. Fatal codes are never retried."""

    ON_FAILURE = "on_failure"
    ALWAYS = "always"
    NEVER = "never"


class WorkerState(StrEnum):
    """Where a worker is. ``finished`` and ``failed`` are final."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    DRAINING = "draining"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True)
class WorkerSpec:
    """What to run and how to keep it running.

    ``argv``: the command line (see ``tapewire_command``). ``environment`` is added to the
    manager's. ``essential``: its final failure ends the manager with the same exit code.
    ``max_restarts``: attempts in a row, without a stable run between, before the failure is
    final (None: for ever). ``beats``: False for a command that knows no heartbeat.
    ``log_path``: file that its output is appended to; None passes it to our stderr.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    restart: Restart = Restart.ON_FAILURE
    essential: bool = True
    max_restarts: int | None = None
    beats: bool = True
    log_path: Path | None = None


@dataclass(frozen=True)
class Supervision:
    """Times in seconds. The back-off doubles from ``first_delay_s`` to ``max_delay_s``.

    A run of ``stable_s`` resets it. ``silence_s``: a worker that has beaten and then is
    silent this long is killed; ``startup_s``: one that has never beaten. ``drain_s``: from
    SIGTERM to SIGKILL.
    """

    first_delay_s: float = 0.2
    max_delay_s: float = 30.0
    stable_s: float = 10.0
    silence_s: float = 3.0
    startup_s: float = 30.0
    drain_s: float = 10.0

    def delay_s(self, restarts_in_a_row: int) -> float:
        """How long to wait before the next attempt (0: the first restart)."""
        return float(min(self.max_delay_s, self.first_delay_s * 2 ** min(restarts_in_a_row, 30)))


class WorkerStatistics(Struct):
    """One worker as ``status`` shows it.

    ``restarts`` and ``kills`` (by us: silence, a missed drain, asked to) count from the manager's
    start; ``last_exit`` is an exit code, negative for a signal; ``last_beat_s`` and
    ``running_s`` are ages in seconds.
    """

    name: str
    state: WorkerState
    pid: int | None
    restarts: int
    kills: int
    last_exit: int | None
    last_beat_s: float | None
    running_s: float | None


def tapewire_command(*arguments: str) -> tuple[str, ...]:
    """The command line of ``tapewire ARGUMENTS`` with this interpreter."""
    return (sys.executable, "-m", "tapewire", *arguments)


class Worker:
    """Supervises one specification until it ends for good. ``supervise`` once."""

    def __init__(
        self,
        spec: WorkerSpec,
        times: Supervision,
        lifeline_fd: int,
        environ: Mapping[str, str],
        trace: TraceContext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.state = WorkerState.STARTING
        self.restarts = 0
        self.kills = 0
        self.last_exit: int | None = None
        self.failure_code = 0
        """The exit code of a final failure, as the manager hands it on; 0 without one."""
        self.reaped = asyncio.Event()
        """Set while no process runs."""
        self._times = times
        self._lifeline_fd = lifeline_fd
        self._environ = environ
        self._trace = trace
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._began_s = 0.0
        self._last_beat_s: float | None = None
        self._in_a_row = 0
        self._condemned = False
        self._ending = asyncio.Event()

    async def supervise(self) -> None:
        """Run the command, again and again as specified, until it ends for good."""
        while not self._ending.is_set():
            code = await self._run_once()
            self._settle(code)
            if self.state is not WorkerState.BACKING_OFF:
                return
            await self._pause(self._times.delay_s(self._in_a_row))
            self._in_a_row += 1
            self.restarts += not self._ending.is_set()
        self.state = WorkerState.FINISHED

    def terminate(self) -> None:
        """Ask it to drain and do not start it again."""
        self._ending.set()
        if self._process is not None and self._process.poll() is None:
            self.state = WorkerState.DRAINING
            self._process.send_signal(signal.SIGTERM)

    def kill(self, why: str) -> None:
        """SIGKILL the process, if one runs. Its end is handled like any other."""
        if self._process is None or self._process.poll() is not None:
            return
        self.kills += 1
        log.warning("killing worker", worker=self.spec.name, pid=self._process.pid, reason=why)
        self._process.kill()

    @property
    def pid(self) -> int | None:
        """The running process, if there is one."""
        return self._process.pid if self._process is not None else None

    def statistics(self) -> WorkerStatistics:
        """State and figures right now."""
        now_s = self._clock()
        beat_s = self._last_beat_s
        return WorkerStatistics(
            name=self.spec.name,
            state=self.state,
            pid=self.pid,
            restarts=self.restarts,
            kills=self.kills,
            last_exit=self.last_exit,
            last_beat_s=None if beat_s is None else round(now_s - beat_s, 3),
            running_s=round(now_s - self._began_s, 3) if self._process is not None else None,
        )

    async def _run_once(self) -> int:
        """One process from start to end; its exit code, or 4 or 1 when it cannot start."""
        self.state = WorkerState.STARTING
        self._began_s, self._last_beat_s, self._condemned = self._clock(), None, False
        beats_fd, child_beats_fd = os.pipe()
        try:
            self._process = self._spawn(child_beats_fd)
        except OSError as error:
            os.close(beats_fd)
            log.error(
                "cannot start worker", worker=self.spec.name, argv=self.spec.argv, error=error
            )
            missing = isinstance(error, FileNotFoundError | PermissionError)
            return DependencyMissing.exit_code if missing else 1
        finally:
            os.close(child_beats_fd)
        return await self._watch(self._process, beats_fd)

    def _spawn(self, beats_fd: int) -> "subprocess.Popen[bytes]":
        """Start the process, in a process group of its own.

        So Ctrl-C in a terminal reaches only the manager, and the kernel wakes a stopped
        worker (SIGHUP, SIGCONT) when the manager dies.
        """
        handed_down = {
            PARENT_FD: str(self._lifeline_fd),
            HEARTBEAT_FD: str(beats_fd),
            ENVIRONMENT_NAME: self._trace.child().header,
        }
        output = self._output()
        try:
            return subprocess.Popen(
                self.spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self._environ, **self.spec.environment, **handed_down},
                pass_fds=(self._lifeline_fd, beats_fd),
                process_group=0,
            )
        finally:
            if output != _STDERR:
                os.close(output)

    def _output(self) -> int:
        """Never our stdout: that is for our own results."""
        if self.spec.log_path is None:
            return _STDERR
        return os.open(self.spec.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def _watch(self, process: "subprocess.Popen[bytes]", beats_fd: int) -> int:
        loop = asyncio.get_running_loop()
        os.set_blocking(beats_fd, False)
        loop.add_reader(beats_fd, self._hear, beats_fd, loop)
        self.reaped.clear()
        log.info("worker started", worker=self.spec.name, pid=process.pid)
        looked_s = self._clock()
        try:
            while (code := process.poll()) is None:
                await asyncio.sleep(_POLL_S)
                looked_s = self._look(looked_s)
        finally:
            loop.remove_reader(beats_fd)
            os.close(beats_fd)
        self._process = None
        self.reaped.set()
        return code

    def _hear(self, beats_fd: int, loop: asyncio.AbstractEventLoop) -> None:
        if not os.read(beats_fd, 4096):
            loop.remove_reader(beats_fd)
            return
        self._last_beat_s = self._clock()
        if self.state is WorkerState.STARTING:
            self.state = WorkerState.RUNNING

    def _look(self, looked_s: float) -> float:
        """Kill a silent worker; time in which we did not run ourselves does not count."""
        now_s = self._clock()
        if (paused_s := now_s - looked_s) > 1:
            self._began_s += paused_s
            self._last_beat_s = self._last_beat_s and self._last_beat_s + paused_s
        if self._last_beat_s is None:
            silent_s, limit_s = now_s - self._began_s, self._times.startup_s
        else:
            silent_s, limit_s = now_s - self._last_beat_s, self._times.silence_s
        if self.spec.beats and silent_s > limit_s and not self._condemned:
            self._condemned = True
            self.kill(f"no heartbeat for {limit_s:g} s")
        elif not self.spec.beats and self.state is WorkerState.STARTING:
            self.state = WorkerState.RUNNING
        return now_s

    def _settle(self, code: int) -> None:
        """Decide what an end means: the new state says it."""
        self.last_exit = code
        ran_s = self._clock() - self._began_s
        self._in_a_row = 0 if ran_s >= self._times.stable_s else self._in_a_row
        self.state = self._verdict(code)
        if self.state is WorkerState.FAILED:
            self.failure_code = code if code > 0 else 1
        tell = log.info if code == 0 or self._ending.is_set() else log.warning
        tell(
            "worker ended",
            worker=self.spec.name,
            exit_code=code,
            ran_s=round(ran_s, 1),
            state=self.state,
        )

    def _verdict(self, code: int) -> WorkerState:
        spec = self.spec
        if self._ending.is_set():
            drained = code in DRAINED_CODES
            return WorkerState.FINISHED if drained else WorkerState.FAILED
        if code == 0 and spec.restart is not Restart.ALWAYS:
            return WorkerState.FINISHED
        worn_out = spec.max_restarts is not None and self._in_a_row >= spec.max_restarts
        if code in FATAL_CODES or spec.restart is Restart.NEVER or worn_out:
            return WorkerState.FAILED
        return WorkerState.BACKING_OFF

    async def _pause(self, delay_s: float) -> None:
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait({ending}, timeout=delay_s)
        ending.cancel()
