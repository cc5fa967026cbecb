"""A processor's process freezes: another takes over, and the frozen one counts nothing twice."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tapewire.caches.cache import Place
from tapewire.caches.registry import RedisRegistry
from tapewire.queues import amqp
from tapewire.runtime.process_manager import ProcessManager, Supervision, WorkerState
from tests.faults.books import until
from tests.faults.day import Day, candles, without
from tests.faults.system import RealServers, Setup, System, running, undisturbed
from tests.faults.workers import environment, processor


@pytest.fixture
def servers(rabbitmq_url: str, redis_url: str) -> RealServers:
    return RealServers(rabbitmq_url, redis_url)


class Floor:
    """Two processors' processes that share one shard, and what they say of themselves."""

    def __init__(self, manager: ProcessManager, registry: RedisRegistry) -> None:
        self.manager = manager
        self._registry = registry

    def pid(self, index: int) -> int:
        pid = self.manager.worker(f"processor-{index}").pid
        assert pid is not None
        return pid

    async def takeovers(self) -> Mapping[str, int]:
        """How often each living process became the shard's owner."""
        reports = await self._registry.reports()
        return {r.instance: r.detail.get("takeovers", {}).get("trades.0", 0) for r in reports}

    async def owner(self) -> str:
        """The process that folds the shard now, as the registry knows; "" for none."""
        reports = await self._registry.reports()
        owners = [r.instance for r in reports if "trades.0" in r.detail.get("shards", {})]
        return owners[-1] if len(owners) == 1 else ""

    async def owned_by(self, index: int, within_s: float = 20.0) -> None:
        async with asyncio.timeout(within_s):
            while await self.owner() != str(index):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.05)


@asynccontextmanager
async def two_processors(
    servers: RealServers, tmp_path: Path, times: Supervision
) -> AsyncIterator[Floor]:
    """Processes 0, the shard's own, and 1, which stands by."""
    registry = RedisRegistry(servers.redis_url)
    log = tmp_path / "workers.log"
    async with ProcessManager(times, environment(servers, tmp_path)) as manager:
        await manager.start([processor(index, 2, log) for index in (0, 1)])
        await until(lambda: all(w.state is WorkerState.RUNNING for w in manager.statistics()))
        yield Floor(manager, registry)
    await registry.close()


async def seconds_until_taken_over(system: System, before: Place) -> float:
    """Wait until another owner than ``before``'s has claimed the shard."""
    began_s = time.monotonic()
    while (await system.place()).owner == before.owner:  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


async def test_the_manager_kills_a_frozen_worker_and_the_shard_comes_home_in_time(
    servers: RealServers, tmp_path: Path
) -> None:
    day = Day(24_000)
    setup = Setup(speed="1400/s", started=())
    async with (
        two_processors(servers, tmp_path, Supervision(first_delay_s=0.1)) as floor,
        running(day, servers, setup) as system,
    ):
        await floor.owned_by(0)
        await asyncio.sleep(1.0)
        before = await system.place()
        frozen = floor.pid(0)
        os.kill(frozen, signal.SIGSTOP)
        assert 2.0 < await seconds_until_taken_over(system, before) < 6.0
        await floor.owned_by(1)
        await until(lambda: floor.manager.worker("processor-0").pid not in {None, frozen})
        restarted_s = time.monotonic()
        await floor.owned_by(0)
        assert 5.0 <= time.monotonic() - restarted_s < 12.0
        books = await system.end()
        worker = floor.manager.worker("processor-0").statistics()
        assert (worker.kills, worker.restarts, worker.last_exit) == (1, 1, -signal.SIGKILL)
        assert await floor.takeovers() == {"0": 1, "1": 1}
    assert (books.taken_in, books.folded, books.lost) == (24_000, 24_000, 0)
    assert books.gaps == []
    assert books.rows == await undisturbed(day)


async def test_a_frozen_owner_that_wakes_after_its_successor_took_over_counts_nothing_twice(
    servers: RealServers, tmp_path: Path
) -> None:
    assert amqp.HEARTBEAT_SECONDS == 5  # 2 here, to wait for three of them in less time
    servers = replace(servers, rabbitmq_url=f"{servers.rabbitmq_url}?heartbeat=2")
    day = Day(14_000)
    patient = Supervision(silence_s=60.0)
    setup = Setup(speed="1000/s", started=(), ttl_ms=2_000)
    async with (
        two_processors(servers, tmp_path, patient) as floor,
        running(day, servers, setup) as system,
    ):
        await floor.owned_by(0)
        before = await system.place()
        os.kill(floor.pid(0), signal.SIGSTOP)
        assert 2.0 < await seconds_until_taken_over(system, before) < 3 * 2 + 1
        await floor.owned_by(1)
        os.kill(floor.pid(0), signal.SIGCONT)
        await floor.owned_by(0)
        books = await system.end()
        assert await floor.takeovers() == {"0": 2, "1": 1}
        assert all(worker.restarts == 0 for worker in floor.manager.statistics())
    assert books.taken_in == 14_000
    assert books.balanced
    assert books.candles == candles(without(day.prints, books.gaps), books.gaps)
