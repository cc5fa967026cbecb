"""Broker ticks while Redis restarts, a socket closes, everything is told to end.

A simulated broker over a real socket, the listener, a real RabbitMQ, a processor, a real Redis.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from tapewire.cli.core import Together
from tapewire.runtime.runner import Deadlines
from tapewire.runtime.settings import Settings
from tests.conftest import StartRedis
from tests.faults.books import only, until
from tests.faults.system import RealServers, beside_the_traffic
from tests.faults.tick_day import Deal, DealTape, Trading, candles, closing_states, shares
from tests.faults.tick_system import LocalQueue, Servers, TickSetup, TickSystem, listening
from tests.servers import RedisServer

BROKERS = ("upstox", "fyers", "dhan")
LISTED = shares(60)
DEALS = Trading().stretch(LISTED, 16_000, 80, "09:15:00")
RATE: Final = "8000/s"
DRAIN_S: Final = Deadlines.within(Settings.model_fields["tapewire_drain_s"].default).drain_s


@pytest.fixture
def redis(start_redis: StartRedis) -> RedisServer:
    return start_redis(appendonly=True)


@pytest.fixture
def servers(rabbitmq_url: str, redis: RedisServer) -> RealServers:
    return RealServers(rabbitmq_url, redis.url, cache_timeout_s=0.5)


@asynccontextmanager
async def told(
    servers: Servers, deals: Sequence[Deal] = DEALS, **setup: Any
) -> AsyncIterator[TickSystem]:
    """Deals that are told at the rate at which the earlier engine lost two thirds of them."""
    before = closing_states(LISTED)
    usual = TickSetup(speed=RATE, before=before)
    async with listening(DealTape(deals), servers, usual, **setup) as system:
        yield system


class TestRedisRestarts:
    async def test_with_its_data(self, servers: RealServers, redis: RedisServer) -> None:
        async with told(servers) as system:
            await self.restart(system, redis, wipe=False)
            books = await system.end()
            assert system.owner().cache_failures > 0
        assert (books.balanced, books.lost, books.gaps) == (True, 0, [])
        assert books.candles == candles(DEALS)

    async def test_without_its_data(self, servers: RealServers, redis: RedisServer) -> None:
        async with told(servers) as system:
            await self.restart(system, redis, wipe=True)
            books = await system.end()
        assert (books.balanced, books.lost, books.gaps) == (True, 0, [])
        assert books.candles == candles(DEALS)

    async def restart(self, system: TickSystem, redis: RedisServer, *, wipe: bool) -> None:
        """Kill it under traffic, when a minute has closed, and start it when more has come."""
        await until(lambda: system.taken_in() > 7_000)
        await beside_the_traffic(redis.kill)
        await system.fold_more(2_000)
        await beside_the_traffic(lambda: redis.start(wipe=wipe))


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("ending", ["drop", "close"])
async def test_what_is_traded_while_a_socket_is_away_is_a_gap_and_counts_for_nobody(
    servers: RealServers, broker: str, ending: str
) -> None:
    async with told(servers, broker=broker, faults=(f"{ending}@6000",)) as system:
        books = await system.end()
        hole = system.hole
    assert len(hole) > 500
    gap = only(books.gaps)
    assert (gap.events, gap.reason) == (None, "provider connection lost")
    deals = [deal if broker == "upstox" else deal.to_the_second() for deal in DEALS]
    assert gap.from_ms == deals[hole.start - 1].time_ms
    expected = candles(deals, [gap], missed=hole)
    assert books.candles == expected
    # What was not told counts nowhere, and is known to be missing.
    assert sum(one["volume"] for one in expected) == sum(
        deal.size for place, deal in enumerate(DEALS) if place not in hole
    )
    assert books.skipped["missed"] == len(LISTED)
    assert {one["minute_int"] for one in books.candles if one["gap"]} <= {91_600, 91_700}


class TestShutdown:
    """The listener first, then the processor, as one process does that has both."""

    DEALS: Final = Trading().stretch(LISTED, 50_000, 400, "09:15:00")
    TICKS: Final = len(DEALS) + len(LISTED)

    async def end(self, system: TickSystem) -> float:
        """Tell everything to end; seconds that it took."""
        began = time.monotonic()
        await Together([system.listener, *system.processors], 0).drain()
        return time.monotonic() - began

    async def check(self, system: TickSystem, took_s: float) -> None:
        """All are in Redis: whoever comes then has everything, with nothing from the queue."""
        assert took_s < DRAIN_S
        assert (await system.folded(), await system.lost()) == (self.TICKS, 0)
        processor = only(system.processors)
        assert await processor._queue.depth(system.shards[0]) == 0
        await processor.stop()
        system.processors.clear()
        await system.start_processor()
        books = await system.close()
        assert (books.folded, books.gaps) == (self.TICKS, [])
        assert books.candles == candles(deal.to_the_second() for deal in self.DEALS)

    async def test_with_50000_ticks_queued_in_rabbitmq(self, servers: RealServers) -> None:
        await self.with_50000_queued(servers)

    async def test_with_50000_ticks_queued_in_one_process(self, redis: RedisServer) -> None:
        await self.with_50000_queued(LocalQueue(redis.url))

    async def with_50000_queued(self, servers: Servers) -> None:
        """Nobody folds until they are all queued, and then everything is told to end."""
        setup = {"broker": "fyers", "speed": "max", "folds": False}
        async with told(servers, self.DEALS, **setup) as system:
            await system.played()
            assert system.client.statistics.ticks == self.TICKS
            await system.start_processor()
            await self.check(system, await self.end(system))

    async def test_while_redis_was_frozen(self, servers: RealServers, redis: RedisServer) -> None:
        setup = {"broker": "fyers", "speed": "max", "prefetch": 20}
        async with told(servers, self.DEALS, **setup) as system:
            await until(lambda: system.processors[0].owned and system.owner().flushes)
            os.kill(redis.pid, signal.SIGSTOP)
            await system.played()
            ending = asyncio.create_task(self.end(system))
            await asyncio.sleep(0.5)
            os.kill(redis.pid, signal.SIGCONT)
            await self.check(system, await ending)
