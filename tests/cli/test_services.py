"""How the parts of a service are tied together."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tapewire.caches.registry import RedisRegistry
from tapewire.cli.composed import Alongside, Composed
from tapewire.cli.data_parts import homes_up
from tapewire.cli.known_references import KnownReferences
from tapewire.cli.services import Plan
from tapewire.model.rows import Reference
from tapewire.runtime.registry import MemoryRegistry
from tapewire.runtime.service import Report, Service, State, UsageError
from tapewire.runtime.settings import Settings

NOW_MS = 1_000_000
SETTINGS = Settings(tapewire_data_dir=Path("data"), parallelism=2)


def report(service: str, instance: str, since_ms: int, *, healthy: bool = True) -> Report:
    return Report(service, instance, State.RUNNING, healthy, since_ms)


async def test_a_processor_is_at_home_once_it_has_been_healthy_for_five_seconds() -> None:
    registry = MemoryRegistry(now_s=lambda: 0.0)
    for one in (
        report("processor", "0", NOW_MS - 5_000),
        report("processor", "1", NOW_MS - 4_999),
        report("processor", "2", NOW_MS - 60_000, healthy=False),
        report("listener", "3", NOW_MS - 60_000),
    ):
        await registry.heartbeat(one)
    assert await homes_up(registry, NOW_MS) == {0}


async def test_no_shard_is_given_back_while_the_registry_is_away() -> None:
    registry = RedisRegistry("redis://127.0.0.1:1")
    assert not await homes_up(registry, NOW_MS)
    await registry.close()


def plan(service: str, index: int | None = None, capture: Path | None = None) -> Plan:
    return Plan.of(SETTINGS, service, None, index=index, http=True, capture=capture)


def test_several_processors_run_under_a_manager_unless_one_is_named() -> None:
    assert plan("processor").is_many
    assert not plan("processor", index=1).is_many
    assert not plan("listener").is_many


def test_health_listens_where_the_settings_say() -> None:
    address = plan("processor", index=1).address
    assert address == ("127.0.0.1", 4201, "TAPEWIRE_HTTP_PORT_MDP")


def test_an_index_beyond_the_processors_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="--index 2 does not exist among 2"):
        plan("processor", index=2)


@pytest.mark.parametrize(
    ("provider", "streams", "said"),
    [
        (
            "massive",
            "trades,ticks",
            "of massive has no ticks; expected --streams of trades",
        ),
        ("brokers", "trades", "of brokers has no trades; expected --streams of ticks"),
    ],
)
def test_a_listener_carries_what_its_provider_has(provider: str, streams: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Plan.of(SETTINGS, "listener", streams, index=None, http=True, provider=provider)


def test_one_broker_named_is_the_only_one() -> None:
    named = Plan.of(SETTINGS, "listener", None, index=None, http=True, provider="dhan")
    assert (named.settings.brokers, named.wiring.streams) == (("dhan",), ("ticks",))
    every = Plan.of(SETTINGS, "listener", None, index=None, http=True, provider="brokers")
    assert every.settings.brokers == ("upstox", "fyers", "dhan")


def test_only_a_listener_can_capture() -> None:
    with pytest.raises(UsageError, match="--capture"):
        plan("reference", capture=Path("x"))


async def test_known_references_are_kept_for_three_dates_and_passed_on() -> None:
    known, heard = KnownReferences(), list[str]()
    rows = [Reference("AIG", f"2026-11-{day}") for day in (17, 18, 19, 20)]
    known.take(rows[:1])
    known.refer = lambda passed: heard.extend(row.date for row in passed)
    known.take(rows[1:])
    known.take([Reference("AIG", "2026-11-20", prev_day_close=1.5)])
    found = await known.snapshot()
    assert [row.date for row in found] == ["2026-11-18", "2026-11-19", "2026-11-20"]
    assert found[-1].prev_day_close == 1.5
    assert heard == ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-20"]


class Waiting:
    """A service that runs until it is drained."""

    name = "waiting"

    def __init__(self, log: list[str]) -> None:
        self._log = log
        self._drained = asyncio.Event()

    async def start(self) -> None:
        self._log.append("start")

    async def wait(self) -> None:
        await self._drained.wait()

    async def drain(self) -> None:
        self._drained.set()

    async def stop(self) -> None:
        self._log.append("stop")

    def report(self) -> Report:
        return report("waiting", "0", 0)

    async def command(self, name: str, arguments: object) -> dict[str, object]:
        return {"name": name, "arguments": arguments}


def composed(log: list[str], failing: Exception | None = None) -> Composed:
    """A service over one connection, with work beside it that may fail."""

    async def beside() -> None:
        if failing:
            raise failing
        await asyncio.Event().wait()

    async def make(stack: AsyncExitStack, alongside: Alongside) -> Service:
        log.append("open")
        stack.callback(log.append, "close")
        alongside.run(beside(), "beside")
        return Waiting(log)

    return Composed("waiting", "0", 7, make)


async def test_connections_open_before_the_service_and_close_after_it() -> None:
    log: list[str] = []
    service = composed(log)
    assert service.report().state is State.STARTING
    await service.start()
    assert service.report().state is State.RUNNING
    assert await service.command("do", {"x": 1}) == {"name": "do", "arguments": {"x": 1}}
    waiting = asyncio.create_task(service.wait())
    await service.drain()
    await waiting
    await service.stop()
    assert log == ["open", "start", "stop", "close"]


async def test_failing_work_beside_a_service_ends_it() -> None:
    log: list[str] = []
    service = composed(log, UsageError("beside"))
    await service.start()
    with pytest.raises(UsageError, match="beside"):
        await service.wait()
    await service.stop()
    assert log[-1] == "close"
