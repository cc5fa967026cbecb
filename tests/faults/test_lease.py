"""The lease of the provider's one connection: one reads, another takes over."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tapewire.caches.connection import Link
from tapewire.caches.keys import MarketDataCacheKeys
from tapewire.model.positions import Positions
from tapewire.runtime.service import State
from tapewire.services.listener import ListenerBounds
from tests.conftest import PROJECT, StartRedis
from tests.faults.books import until
from tests.faults.day import Day, candles
from tests.faults.lone_listener import LEASE, lease_of
from tests.faults.system import RealServers, System, running

DAY = Day(8_000)
TTL_S = 0.9
BOUNDS = ListenerBounds(lease_ttl_s=TTL_S, heartbeat_s=0.2)


@pytest.fixture
def servers(rabbitmq_url: str, redis_url: str) -> RealServers:
    return RealServers(rabbitmq_url, redis_url)


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[Link]:
    link = Link(redis_url)
    yield link
    await link.close()


@asynccontextmanager
async def lone_listener(
    system: System, servers: RealServers
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A listener in another process; it is gone at the end, frozen or not."""
    words = (system.simulator.ws_url, servers.rabbitmq_url, servers.redis_url, str(TTL_S))
    module = "tests.faults.lone_listener"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *words, cwd=PROJECT, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stored_epoch(system: System) -> int:
    found = await system.cache.fetch("trades.0", {"positions": None})
    return Positions.unpack(found["positions"]).by_producer["massive"].epoch


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_stand_by_takes_over_from_a_holder_that_is_killed_or_frozen(
    servers: RealServers, link: Link, sent: signal.Signals
) -> None:
    async with running(DAY, servers, speed="2000/s", listener=BOUNDS, listens=False) as system:
        async with lone_listener(system, servers) as holder:
            await until(lambda: system.processors[0].owned)
            await system.fold_more(600)
            first_epoch = await stored_epoch(system)
            system.listener = await system.start_listener(lease_of(link, "stand-by", TTL_S))
            await system.fold_more(1_500)
            assert system.listener.report().state is State.STAND_BY
            assert system.simulator.statistics.connections == 1
            os.kill(holder.pid, sent)
            began_s = time.monotonic()
            await until(lambda: system.client.subscribed)
            assert time.monotonic() - began_s < TTL_S * 4 / 3 + 2.0
            await system.fold_more(500)
            if sent is signal.SIGSTOP:
                os.kill(holder.pid, signal.SIGCONT)
                await until(lambda: system.owner().state.refusals.old_epochs)
            books = await system.end()
            provider = system.simulator.statistics
            assert (provider.connections, provider.kicked) == (2, sent is signal.SIGSTOP)
            assert await stored_epoch(system) == system.listener.statistics.epoch > first_epoch
    by_the_first = books.folded - books.taken_in
    from_then_on = len(DAY.prints) - books.taken_in
    assert 1_500 < by_the_first < from_then_on
    heard = DAY.prints[:by_the_first] + DAY.prints[from_then_on:]
    assert {gap.reason for gap in books.gaps} == {"new epoch"}
    assert books.gaps[0].events is None
    assert books.lost == 0
    assert books.candles == candles(heard, books.gaps)


async def test_a_refused_renewal_stops_the_old_holder_until_the_lease_is_free(
    servers: RealServers, link: Link
) -> None:
    lease = lease_of(link, "old holder", TTL_S)
    async with running(DAY, servers, speed="2500/s", listener=BOUNDS, lease=lease) as system:
        await until(lambda: system.taken_in() > 2_000)
        first_epoch = system.listener.statistics.epoch
        other = lease_of(link, "newer holder", 60.0)
        await link.run("DEL", MarketDataCacheKeys.lease(LEASE))
        assert (await other.acquire() or 0) > first_epoch
        await until(lambda: system.listener.report().state is State.STAND_BY, within_s=5)
        assert not system.client.connected
        stopped_at = system.taken_in()
        await asyncio.sleep(TTL_S)
        assert system.taken_in() == stopped_at
        assert system.simulator.statistics.connections == 1
        await other.release()
        await until(lambda: system.client.subscribed, within_s=5)
        books = await system.end()
        statistics = system.listener.statistics
        assert (statistics.lease_refused, statistics.epoch > first_epoch) == (1, True)
        assert system.simulator.statistics.connections == 2
    assert books.taken_in == books.folded
    again = stopped_at + len(DAY.prints) - books.taken_in
    assert (books.gaps[0].reason, books.gaps[0].events) == ("new epoch", None)
    assert books.candles == candles(DAY.prints[:stopped_at] + DAY.prints[again:], books.gaps)


async def test_a_cache_that_is_away_does_not_stop_the_holder(
    servers: RealServers, start_redis: StartRedis
) -> None:
    mdc = start_redis()
    link = Link(mdc.url, timeout_s=0.2)
    lease = lease_of(link, "holder", TTL_S)
    async with running(DAY, servers, speed="4000/s", listener=BOUNDS, lease=lease) as system:
        await until(lambda: system.taken_in() > 1_000)
        mdc.kill()
        books = await system.end()
        assert system.listener.statistics.lease_unanswered >= 3
    await link.close()
    assert (books.taken_in, books.folded, books.lost) == (8_000, 8_000, 0)
    assert books.gaps == []
    assert books.candles == candles(DAY.prints)
