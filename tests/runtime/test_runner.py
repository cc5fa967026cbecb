"""How a service's process begins, ends, and what it says about it."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from tapewire.runtime.parent import HEARTBEAT_FD, PARENT_FD, ParentWatch
from tapewire.runtime.registry import Command, MemoryRegistry, Registry, RegistryError
from tapewire.runtime.runner import Deadlines, Explain, ServiceHost
from tapewire.runtime.service import Report, State
from tests.runtime.processes import environ, toy
from tests.runtime.toy_service import ToyService

Run = Callable[..., Awaitable["Toy"]]


class Toy:
    """A toy service in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.words: list[str] = []

    async def says(self, word: str) -> None:
        assert self.process.stdout is not None
        while word not in self.words:
            line = await asyncio.wait_for(self.process.stdout.readline(), 20)
            assert line, f"ended before it said {word!r}"
            self.words.append(line.decode().strip())

    async def end(self) -> tuple[int, list[dict[str, object]]]:
        """The exit code and the log lines."""
        out, err = await asyncio.wait_for(self.process.communicate(), 20)
        self.words += out.decode().split()
        assert self.process.returncode is not None
        return self.process.returncode, [json.loads(line) for line in err.decode().splitlines()]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    started: list[Toy] = []

    async def start(*arguments: str, pass_fds: tuple[int, ...] = (), **env: str) -> Toy:
        process = await asyncio.create_subprocess_exec(
            *toy(*arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ(**env),
            pass_fds=pass_fds,
        )
        started.append(Toy(process))
        return started[-1]

    yield start
    for each in started:
        with suppress(ProcessLookupError):
            each.process.kill()
        await each.process.wait()


async def test_work_that_ends_by_itself_ends_with_0(run: Run) -> None:
    service = await run("done")
    code, _ = await service.end()
    assert (code, service.words) == (0, ["start", "stop"])


@pytest.mark.parametrize(("error", "code"), [("usage", 2), ("refused", 3), ("missing", 4)])
async def test_an_error_gives_its_exit_code_and_readable_last_words(
    run: Run, error: str, code: int
) -> None:
    service = await run(error)
    seen, lines = await service.end()
    assert (seen, service.words) == (code, ["start", "stop"])
    (last_words,) = [line for line in lines if line["level"] == "error"]
    assert last_words["exit_code"] == code
    assert "open-sesame" not in json.dumps(lines)
    assert "exception" not in last_words


async def test_a_bug_ends_with_1_and_its_traceback(run: Run) -> None:
    code, lines = await (await run("bug")).end()
    assert code == 1
    assert any("RuntimeError: a bug" in str(line.get("exception")) for line in lines)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)]
)
async def test_a_signal_drains(run: Run, number: signal.Signals, code: int) -> None:
    before = signal.signal(number, signal.default_int_handler)  # nohup's children ignore it
    service = await run("work")
    signal.signal(number, before)
    await service.says("start")
    service.process.send_signal(number)
    seen, _ = await service.end()
    assert (seen, service.words) == (code, ["start", "drain", "stop"])


async def test_a_drain_that_misses_its_deadline_ends_with_1(run: Run) -> None:
    service = await run("slow_drain")
    await service.says("start")
    service.process.terminate()
    code, lines = await service.end()
    assert (code, service.words) == (1, ["start", "drain", "stop"])
    assert any("did not drain within 0.5 s" in str(line["event"]) for line in lines)


async def test_a_second_signal_stops_at_once(run: Run) -> None:
    service = await run("slow_drain")
    await service.says("start")
    service.process.terminate()
    await service.says("drain")
    service.process.terminate()
    code, _ = await service.end()
    assert (code, service.words[-1]) == (130, "stop")


async def test_a_signal_during_the_start_stops_without_draining(run: Run) -> None:
    service = await run("slow_start")
    await service.says("start")
    service.process.terminate()
    code, _ = await service.end()
    assert (code, service.words) == (0, ["start", "stop"])


async def test_a_service_that_does_not_stop_is_left_behind(run: Run) -> None:
    service = await run("slow_stop")
    await service.says("start")
    service.process.terminate()
    code, lines = await service.end()
    assert code == 1
    assert any(line["event"] == "did not stop in time" for line in lines)


async def test_a_taken_port_is_named_and_ends_with_4(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = await run("work", str(port))
        code, lines = await service.end()
    assert (code, service.words) == (4, ["stop"])
    (message,) = [str(line["event"]) for line in lines if line["level"] == "error"]
    assert f"port {port}" in message
    assert "TAPEWIRE_HTTP_PORT" in message


@pytest.mark.parametrize("behaviour", ["work", "slow_drain", "slow_stop", "freeze"])
async def test_a_child_whose_parent_is_gone_ends_within_five_seconds(
    run: Run, behaviour: str
) -> None:
    theirs, ours = os.pipe()
    service = await run(behaviour, pass_fds=(theirs,), **{PARENT_FD: str(theirs)})
    os.close(theirs)
    await service.says("start")
    began_s = time.monotonic()
    os.close(ours)
    await service.end()
    assert time.monotonic() - began_s < 5


async def test_a_child_stuck_in_an_import_ends_with_its_parent(run: Run) -> None:
    theirs, ours = os.pipe()
    service = await run("stuck_in_import", pass_fds=(theirs,), **{PARENT_FD: str(theirs)})
    os.close(theirs)
    await service.says("importing")
    os.close(ours)
    code, _ = await service.end()
    assert code == -signal.SIGKILL


async def test_the_loop_beats_into_the_managers_pipe(run: Run) -> None:
    beats, theirs = os.pipe()
    service = await run("work", pass_fds=(theirs,), **{HEARTBEAT_FD: str(theirs)})
    os.close(theirs)
    await service.says("start")
    assert await asyncio.to_thread(os.read, beats, 1) == b"."
    assert await asyncio.to_thread(os.read, beats, 1) == b"."
    os.close(beats)


def host(behaviour: str, registry: Registry, explain: Explain | None = None) -> ServiceHost:
    times = Deadlines(drain_s=0.2, stop_s=0.2, heartbeat_s=0.02)
    parent = ParentWatch(None, None)
    if explain is None:
        return ServiceHost(ToyService(behaviour), registry, None, times, parent)
    return ServiceHost(ToyService(behaviour), registry, None, times, parent, explain)


async def until_listed(registry: Registry, state: State) -> Report:
    async with asyncio.timeout(5):
        while True:
            for report in await registry.reports():
                if report.state is state:
                    return report
            await asyncio.sleep(0.01)


async def test_a_service_is_listed_while_it_runs_and_leaves_the_list_when_it_stops() -> None:
    registry = MemoryRegistry(time.monotonic)
    ending = asyncio.create_task(host("work", registry).run())
    assert (await until_listed(registry, State.RUNNING)).service == "toy"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ending == 0
    assert await registry.reports() == []


async def test_the_registry_hears_why_a_service_failed() -> None:
    registry = MemoryRegistry(time.monotonic)
    assert await host("usage", registry).run() == 2
    (last,) = await registry.reports()
    assert (last.state, last.healthy) == (State.FAILED, False)
    assert "MASSIVE_FEED" in last.reason


async def test_a_command_reaches_the_service_and_its_answer_the_sender() -> None:
    registry = MemoryRegistry(time.monotonic)
    ending = asyncio.create_task(host("work", registry).run())
    await until_listed(registry, State.RUNNING)
    assert await registry.send("toy", "0", "echo", {"word": "hello"}, 5) == {"word": "hello"}
    with pytest.raises(RegistryError, match="known: echo"):
        await registry.send("toy", "0", "dance", {}, 5)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ending == 0


async def test_errors_of_other_layers_get_their_exit_code_from_the_caller() -> None:
    def explain(error: Exception) -> tuple[int, str]:
        return 4, f"missing: {error}"

    registry = MemoryRegistry(time.monotonic)
    assert await host("bug", registry, explain).run() == 4
    (last,) = await registry.reports()
    assert last.reason == "missing: a bug"


def test_drain_and_stop_fit_into_what_the_supervisor_grants() -> None:
    deadlines = Deadlines.within(10)
    assert deadlines.drain_s + deadlines.stop_s < 10


class UnansweringRegistry(MemoryRegistry):
    """A registry whose server is slow, or gone."""

    def __init__(self, delay_s: float, error: Exception | None) -> None:
        super().__init__(time.monotonic)
        self._delay_s = delay_s
        self._error = error

    async def heartbeat(self, report: Report) -> None:
        await asyncio.sleep(self._delay_s)
        if self._error:
            raise self._error

    async def take(self, service: str, instance: str, wait_s: float) -> Command | None:
        await asyncio.sleep(self._delay_s)
        raise self._error or AssertionError("the delay is longer than the test")


@pytest.mark.parametrize(("delay_s", "error"), [(60, None), (0, ConnectionError("gone"))])
async def test_a_registry_that_does_not_answer_is_counted_and_disturbs_nobody(
    delay_s: float, error: Exception | None
) -> None:
    service = host("work", UnansweringRegistry(delay_s, error))
    asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGTERM)
    assert await service.run() == 0
    assert service.report().detail["registry_failures"] >= 5
