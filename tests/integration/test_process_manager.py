"""The process manager with real processes that crash, freeze, refuse and drain."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tapewire.runtime.process_manager import (
    ManagedWorkers,
    ProcessManager,
    Restart,
    Supervision,
    WorkerFailed,
    WorkerSpec,
    WorkerState,
    WorkerStatistics,
)
from tapewire.runtime.service import State, UsageError
from tapewire.runtime.trace import TraceContext
from tests.runtime.processes import environ, lives, state, toy, until

FAST = Supervision(first_delay_s=0.1, max_delay_s=0.4, stable_s=60.0, drain_s=2.0)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def manager() -> AsyncIterator[ProcessManager]:
    async with ProcessManager(FAST, environ(TRACEPARENT=TRACEPARENT)) as running:
        yield running


def of(manager: ProcessManager, name: str = "toy") -> WorkerStatistics:
    return manager.worker(name).statistics()


async def running(manager: ProcessManager, name: str = "toy", *, after: int | None = None) -> int:
    """Wait until a worker other than process ``after`` beats; return its process id."""

    def beats() -> bool:
        seen = of(manager, name)
        return seen.state is WorkerState.RUNNING and seen.pid not in {None, after}

    await until(beats)
    pid = of(manager, name).pid
    assert pid is not None
    return pid


def script(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


async def test_a_killed_worker_comes_back_as_another_process(manager: ProcessManager) -> None:
    await manager.start([WorkerSpec("toy", toy("work"))])
    first = await running(manager)
    await manager.kill("toy")
    assert not lives(first)
    await running(manager, after=first)
    assert (of(manager).restarts, of(manager).last_exit) == (1, -signal.SIGKILL)


async def test_a_frozen_worker_is_killed_within_five_seconds_and_replaced(
    manager: ProcessManager,
) -> None:
    await manager.start([WorkerSpec("toy", toy("work"))])
    first = await running(manager)
    os.kill(first, signal.SIGSTOP)
    began_s = time.monotonic()
    await until(lambda: not lives(first))
    assert time.monotonic() - began_s < 5
    await running(manager, after=first)
    assert (of(manager).restarts, of(manager).kills) == (1, 1)


async def test_a_worker_whose_loop_is_stuck_is_killed_too(manager: ProcessManager) -> None:
    await manager.start([WorkerSpec("toy", toy("freeze"))])
    first = await running(manager)
    await running(manager, after=first)
    assert of(manager).kills == 1


async def test_a_worker_that_never_beats_is_killed_after_its_start_up_time() -> None:
    times = Supervision(startup_s=0.5, first_delay_s=60)
    async with ProcessManager(times, environ()) as manager:
        await manager.start([WorkerSpec("toy", script("import time; time.sleep(60)"))])
        await until(lambda: of(manager).state is WorkerState.BACKING_OFF)
        assert (of(manager).kills, of(manager).last_exit) == (1, -signal.SIGKILL)


async def test_a_command_without_heartbeat_is_left_alone_when_it_says_so() -> None:
    async with ProcessManager(Supervision(startup_s=0.2), environ()) as manager:
        sleeping = script("import time; time.sleep(60)")
        await manager.start([WorkerSpec("toy", sleeping, beats=False)])
        await running(manager)
        await asyncio.sleep(0.6)
        assert (of(manager).state, of(manager).kills) == (WorkerState.RUNNING, 0)


async def test_restarts_back_off_and_end_with_the_workers_code(manager: ProcessManager) -> None:
    began_s = time.monotonic()
    await manager.start([WorkerSpec("toy", script("raise SystemExit(4)"), max_restarts=3)])
    assert await manager.wait() == 4
    assert time.monotonic() - began_s >= 0.1 + 0.2 + 0.4
    assert (of(manager).restarts, of(manager).state) == (3, WorkerState.FAILED)


async def test_a_stable_run_resets_the_back_off() -> None:
    times = Supervision(first_delay_s=0.05, stable_s=0.0)
    async with ProcessManager(times, environ()) as manager:
        await manager.start([WorkerSpec("toy", script("raise SystemExit(1)"), max_restarts=1)])
        await until(lambda: of(manager).restarts >= 3)


def test_the_back_off_doubles_up_to_its_cap() -> None:
    times = Supervision(first_delay_s=0.2, max_delay_s=30)
    assert [times.delay_s(n) for n in (0, 1, 2, 7, 8, 5000)] == [0.2, 0.4, 0.8, 25.6, 30, 30]


@pytest.mark.parametrize("code", [2, 3])
async def test_a_fatal_exit_code_is_not_retried_and_ends_the_manager(
    manager: ProcessManager, code: int
) -> None:
    fatal = WorkerSpec("fatal", script(f"raise SystemExit({code})"))
    await manager.start([WorkerSpec("toy", toy("work")), fatal])
    other = await running(manager)
    assert await manager.wait() == code
    assert of(manager, "fatal").restarts == 0
    assert of(manager).state is WorkerState.FINISHED
    assert not lives(other)


async def test_a_worker_that_is_not_essential_fails_alone(manager: ProcessManager) -> None:
    fatal = WorkerSpec("fatal", script("raise SystemExit(3)"), essential=False)
    await manager.start([WorkerSpec("toy", toy("done")), fatal])
    assert await manager.wait() == 0
    assert of(manager, "fatal").state is WorkerState.FAILED


async def test_work_that_ends_is_finished_unless_it_must_always_run(
    manager: ProcessManager,
) -> None:
    always = WorkerSpec("always", script("pass"), restart=Restart.ALWAYS)
    await manager.start([WorkerSpec("toy", script("pass")), always])
    await until(lambda: of(manager, "always").restarts >= 2)
    assert (of(manager).state, of(manager).restarts) == (WorkerState.FINISHED, 0)


async def test_a_command_that_does_not_exist_ends_with_4(manager: ProcessManager) -> None:
    await manager.start([WorkerSpec("toy", ("/nowhere/tapewire",), restart=Restart.NEVER)])
    assert await manager.wait() == 4


async def test_drain_lets_every_worker_finish(manager: ProcessManager, tmp_path: Path) -> None:
    output = tmp_path / "toy.log"
    specs = [WorkerSpec(name, toy("work"), log_path=output) for name in ("one", "two")]
    await manager.start(specs)
    pids = [await running(manager, name) for name in ("one", "two")]
    async with asyncio.timeout(20):
        while output.read_text().split().count("start") < 2:  # noqa: ASYNC110 - others' words
            await asyncio.sleep(0.02)
    await manager.drain()
    assert await manager.wait() == 0
    assert not any(map(lives, pids))
    words = output.read_text().split()
    assert (words.count("drain"), words.count("stop")) == (2, 2)


async def test_a_worker_that_does_not_drain_is_killed_and_the_exit_code_says_so(
    manager: ProcessManager,
) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )
    await manager.start([WorkerSpec("toy", script(stubborn), beats=False)])
    await running(manager)
    await asyncio.sleep(0.5)
    began_s = time.monotonic()
    await manager.drain()
    assert 2 <= time.monotonic() - began_s < 3
    assert await manager.wait() == 1
    assert of(manager).kills == 1


async def test_a_worker_that_is_told_to_end_while_it_starts_has_not_failed(
    manager: ProcessManager,
) -> None:
    starting = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(130));"
        "time.sleep(60)"
    )
    await manager.start([WorkerSpec("toy", script(starting), beats=False)])
    await running(manager)
    await asyncio.sleep(0.5)
    await manager.drain()
    assert await manager.wait() == 0


async def test_a_drain_does_not_wait_for_a_worker_that_backs_off() -> None:
    async with ProcessManager(Supervision(first_delay_s=60), environ()) as manager:
        await manager.start([WorkerSpec("toy", script("raise SystemExit(1)"))])
        await until(lambda: of(manager).state is WorkerState.BACKING_OFF)
        async with asyncio.timeout(2):
            await manager.drain()
        assert of(manager).state is WorkerState.FINISHED


async def test_workers_are_told_the_trace_they_belong_to(
    manager: ProcessManager, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    code = "import os, sys; open(sys.argv[1], 'w').write(os.environ['TRACEPARENT'])"
    await manager.start([WorkerSpec("toy", (*script(code), str(told)))])
    assert await manager.wait() == 0
    ours, theirs = TraceContext.parse(TRACEPARENT), TraceContext.parse(told.read_text())
    assert ours is not None
    assert theirs is not None
    assert (theirs.trace_id, theirs.flags) == (ours.trace_id, ours.flags)
    assert theirs.span_id != ours.span_id


async def test_statistics_tell_every_workers_life(manager: ProcessManager) -> None:
    await manager.start([WorkerSpec("toy", toy("work")), WorkerSpec("done", script("pass"))])
    pid = await running(manager)
    await until(lambda: of(manager, "done").state is WorkerState.FINISHED)
    first, second = manager.statistics()
    assert (first.name, first.pid, first.restarts, first.last_exit) == ("toy", pid, 0, None)
    assert first.last_beat_s is not None
    assert first.last_beat_s < 3
    assert (second.name, second.pid, second.last_exit) == ("done", None, 0)


async def test_a_name_can_be_used_once(manager: ProcessManager) -> None:
    with pytest.raises(UsageError, match="two workers are called 'toy'"):
        await manager.start([WorkerSpec("toy", script("pass")), WorkerSpec("toy", script("pass"))])


REFUSED_AT_LAST = """
import sys, time
from pathlib import Path
while not Path(sys.argv[1]).exists():
    time.sleep(0.02)
sys.exit(3)
"""


async def test_the_manager_as_a_service_reports_its_workers_and_their_failure(
    manager: ProcessManager, tmp_path: Path
) -> None:
    refused = (*script(REFUSED_AT_LAST), str(tmp_path / "now"))
    specs = [WorkerSpec("toy", toy("work")), WorkerSpec("refused", refused, beats=False)]
    service = ManagedWorkers(manager, specs)
    await service.start()
    assert not service.report().healthy
    await running(manager)
    await until(lambda: service.report().healthy)
    assert set(service.report().detail["workers"]) == {"toy", "refused"}
    (tmp_path / "now").touch()
    with pytest.raises(WorkerFailed, match=r"refused \(exit code 3\)") as failed:
        await service.wait()
    assert failed.value.exit_code == 3
    assert (service.report().state, service.report().healthy) == (State.STOPPED, False)
    with pytest.raises(ValueError, match="known: restart"):
        await service.command("dance", {})


MANAGER = """
import asyncio, sys
from tapewire.runtime.process_manager import ProcessManager, Supervision, WorkerSpec
from tapewire.runtime.runner import run_async

async def main():
    manager = ProcessManager(Supervision(drain_s=2))
    toy, *names = sys.argv[1:]
    await manager.start(WorkerSpec(name, (sys.executable, toy, name)) for name in names)
    while any(worker.pid is None for worker in manager.statistics()):
        await asyncio.sleep(0.01)
    print(*(worker.pid for worker in manager.statistics()), flush=True)
    return await manager.wait()

run_async(main())
"""


async def test_a_killed_manager_leaves_no_child_within_five_seconds() -> None:
    behaviours = ("work", "slow_drain", "freeze", "stuck_in_import")
    argv = (*script(MANAGER), toy()[1], *behaviours)
    manager = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, env=environ()
    )
    try:
        assert manager.stdout is not None
        pids = [int(pid) for pid in (await manager.stdout.readline()).split()]
        assert len(pids) == len(behaviours)
        await asyncio.sleep(1)
        assert all(map(lives, pids))
        os.kill(pids[0], signal.SIGSTOP)
        await until(lambda: state(pids[0]) == "T")  # it stops when it next gets a processor
    finally:
        manager.kill()
        await manager.wait()
    await until(lambda: not any(map(lives, pids)), within_s=5)
