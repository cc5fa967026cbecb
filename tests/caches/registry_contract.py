"""What every registry does: one suite, run against each implementation."""

import asyncio

import pytest

from tapewire.runtime.registry import MAX_COMMANDS, Registry, RegistryError, Reply
from tapewire.runtime.service import Report, State


def report(service: str = "listener", instance: str = "0", state: State = State.RUNNING) -> Report:
    return Report(service, instance, state, True, 1_000, rates={"trades": 1.5}, lag_ms=3.5)


class Timepiece:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_795_000_000.0

    def seconds(self) -> float:
        return self.now_s

    def ms(self) -> int:
        return int(self.now_s * 1000)


class RegistryContract:
    """Subclasses give the fixtures ``registry`` and ``time``."""

    async def test_it_lists_the_last_report_of_each_living_instance(
        self, registry: Registry, time: Timepiece
    ) -> None:
        assert await registry.reports() == []
        await registry.heartbeat(report("processor", "1"))
        await registry.heartbeat(report("listener", "0", State.STARTING))
        await registry.heartbeat(report("listener", "0"))
        assert await registry.reports() == [report("listener", "0"), report("processor", "1")]
        time.now_s += 6
        await registry.heartbeat(report("processor", "1"))
        time.now_s += 5
        assert await registry.reports() == [report("processor", "1")]

    async def test_reports_that_may_be_last_words_can_be_left_out(
        self, registry: Registry, time: Timepiece
    ) -> None:
        await registry.heartbeat(report("processor", "0"))
        time.now_s += 3
        await registry.heartbeat(report("processor", "1"))
        assert len(await registry.reports()) == 2
        assert await registry.reports(max_age_s=2.5) == [report("processor", "1")]

    async def test_who_stopped_in_good_order_is_not_listed(self, registry: Registry) -> None:
        await registry.heartbeat(report())
        await registry.forget("listener", "0")
        await registry.forget("listener", "0")
        assert await registry.reports() == []

    async def test_a_command_reaches_its_instance_and_its_result_comes_back(
        self, registry: Registry
    ) -> None:
        sent = asyncio.create_task(registry.send("listener", "0", "subscribe", {"to": ["T.*"]}, 5))
        assert await registry.take("listener", "1", 0.05) is None
        command = await registry.take("listener", "0", 5)
        assert command is not None
        assert (command.name, command.arguments) == ("subscribe", {"to": ["T.*"]})
        await registry.answer(command, Reply({"topics": 1}))
        assert await sent == {"topics": 1}

    async def test_a_refusal_names_the_instance_and_its_reason(self, registry: Registry) -> None:
        sent = asyncio.create_task(registry.send("listener", "0", "fly", {}, 5))
        command = await registry.take("listener", "0", 5)
        assert command is not None
        await registry.answer(command, Reply(error="unknown command; known: pause"))
        with pytest.raises(RegistryError, match="listener 0 refused 'fly': unknown command"):
            await sent

    async def test_nobody_there_is_said_after_the_wait(self, registry: Registry) -> None:
        with pytest.raises(RegistryError, match=r"listener 9 did not answer 'pause' within 0\.1 s"):
            await registry.send("listener", "9", "pause", {}, 0.1)

    async def test_commands_that_nobody_takes_are_bounded(self, registry: Registry) -> None:
        for first in range(0, MAX_COMMANDS + 5, 35):
            names = [f"c{number}" for number in range(first, first + 35)]
            sends = [registry.send("listener", "0", name, {}, 0.1) for name in names]
            for outcome in await asyncio.gather(*sends, return_exceptions=True):
                assert isinstance(outcome, RegistryError)
        taken = 0
        while await registry.take("listener", "0", 0.05):
            taken += 1
        assert taken == MAX_COMMANDS
