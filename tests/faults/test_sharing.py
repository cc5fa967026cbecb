"""Four processors' processes share the shards: each its quarter, and what a leaver leaves."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tapewire.caches.registry import RedisRegistry
from tapewire.model.streams import Stream
from tapewire.runtime.process_manager import ProcessManager, Supervision
from tests.faults.day import Day, candles
from tests.faults.system import RealServers, Setup, running
from tests.faults.workers import environment, processor

FOUR: Final = 4
STREAMS: Final = (Stream.TRADES, Stream.AGGREGATE)
SHARDS: Final = {f"{stream.value}.{k}" for stream in STREAMS for k in range(FOUR)}
QUARTERS: Final = {str(k): {f"trades.{k}", f"aggregate.{k}"} for k in range(FOUR)}


@pytest.fixture
def servers(rabbitmq_url: str, redis_url: str) -> RealServers:
    return RealServers(rabbitmq_url, redis_url)


class Floor:
    """Processors that start one after another, and what each says that it owns."""

    def __init__(self, manager: ProcessManager, registry: RedisRegistry, log: Path) -> None:
        self._manager = manager
        self._registry = registry
        self._log = log

    async def add(self, index: int) -> None:
        """Start one more."""
        options = ("--streams", ",".join(STREAMS), "--shards", str(FOUR))
        await self._manager.start([processor(index, FOUR, self._log, *options)])

    def leave(self, index: int) -> None:
        """Ask one to drain and end."""
        pid = self._manager.worker(f"processor-{index}").pid
        assert pid is not None
        os.kill(pid, signal.SIGTERM)

    async def owned(self) -> Mapping[str, set[str]]:
        """The shards of each, as their newest reports say."""
        reports = await self._registry.reports()
        return {r.instance: set(r.detail["shards"]) for r in reports if "shards" in r.detail}

    async def settled(self, wanted: Mapping[str, set[str]], within_s: float) -> float:
        """Seconds until everybody owns what is wanted."""
        began_s, found = time.monotonic(), await self.owned()
        while {name: shards for name, shards in found.items() if shards} != wanted:
            assert time.monotonic() < began_s + within_s, f"{found} after {within_s:g} s"
            await asyncio.sleep(0.05)
            found = await self.owned()
        return time.monotonic() - began_s


@asynccontextmanager
async def floor_of(servers: RealServers, folder: Path) -> AsyncIterator[Floor]:
    registry = RedisRegistry(servers.redis_url)
    try:
        async with ProcessManager(Supervision(), environment(servers, folder)) as manager:
            yield Floor(manager, registry, folder / "workers.log")
    finally:
        await registry.close()


async def all_but(floor: Floor, index: int, within_s: float) -> float:
    """Seconds until the others own every shard, each of them by one."""
    began_s = time.monotonic()
    while True:
        found = await floor.owned()
        rest = [shards for name, shards in found.items() if name != str(index)]
        if set().union(*rest) == SHARDS and sum(map(len, rest)) == len(SHARDS):
            return time.monotonic() - began_s
        assert time.monotonic() < began_s + within_s, f"{found} after {within_s:g} s"
        await asyncio.sleep(0.05)


@pytest.mark.timeout(180)
async def test_four_started_one_after_another_own_a_quarter_each_and_one_leaves_its_to_the_others(
    servers: RealServers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = Day(15_000)
    setup = Setup(speed="700/s", started=(), shards=FOUR, streams=STREAMS)
    async with floor_of(servers, tmp_path) as floor, running(day, servers, setup) as system:
        await floor.add(0)
        await floor.settled({"0": SHARDS}, 20)
        for index in range(1, FOUR):
            await floor.add(index)
        shared_s = await floor.settled(QUARTERS, 40)
        floor.leave(2)
        left_s = await all_but(floor, 2, 15)
        books = await system.end(within_s=90)
    with capsys.disabled():
        print(f"\n  quarters after {shared_s:.1f} s, a leaver's shards taken in {left_s:.2f} s")
    assert (books.taken_in, books.folded, books.lost) == (15_000, 15_000, 0)
    assert books.gaps == []
    assert books.candles == candles(day.prints)
