"""A lease on a real server has one holder and an epoch that only grows."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import Link
from tapewire.caches.lease import RedisLease
from tapewire.runtime.lease import Lease, Renewal
from tests.caches.widget_contract import Clock
from tests.conftest import StartRedis

TakeLease = Callable[[str], RedisLease]


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[Link]:
    link = Link(redis_url)
    yield link
    await link.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease_of(link: Link, clock: Clock) -> TakeLease:
    return lambda holder: RedisLease(link, "listener:massive", holder, 15.0, now_ms=clock)


async def test_one_holder_at_a_time(lease_of: TakeLease, clock: Clock) -> None:
    first, second = lease_of("a"), lease_of("b")
    assert await first.acquire() == clock.now_ms
    assert await second.acquire() is None
    assert await second.renew() is Renewal.REFUSED
    assert await first.renew() is Renewal.HELD
    await second.release()
    assert await first.renew() is Renewal.HELD


async def test_epochs_grow_over_release_and_a_clock_that_goes_back(
    lease_of: TakeLease, clock: Clock
) -> None:
    first, second = lease_of("a"), lease_of("b")
    epoch = await first.acquire()
    await first.release()
    clock.now_ms -= 1_000_000
    assert epoch is not None
    assert await second.acquire() == epoch + 1
    assert await first.renew() is Renewal.REFUSED


async def test_a_lease_that_runs_out_goes_to_the_next(link: Link) -> None:
    first: Lease = RedisLease(link, "x", "a", 0.05)
    second: Lease = RedisLease(link, "x", "b", 5.0)
    epoch = await first.acquire()
    await asyncio.sleep(0.1)
    later = await second.acquire()
    assert epoch is not None
    assert later is not None
    assert later > epoch
    assert await first.renew() is Renewal.REFUSED


async def test_a_lease_that_ran_out_and_nobody_took_is_still_its_holders(link: Link) -> None:
    first = RedisLease(link, "x", "a", 0.05)
    await first.acquire()
    await asyncio.sleep(0.1)
    assert await first.renew() is Renewal.HELD


async def test_a_server_without_its_data_keeps_the_holder_and_its_epoch(
    link: Link, lease_of: TakeLease
) -> None:
    first, second = lease_of("a"), lease_of("b")
    epoch = await first.acquire()
    await link.run("FLUSHALL")
    assert await first.renew() is Renewal.HELD
    assert await second.acquire() is None
    await first.release()
    assert epoch is not None
    assert await second.acquire() == epoch + 1


async def test_no_answer_does_not_stop_the_holder(start_redis: StartRedis) -> None:
    server = start_redis()
    link = Link(server.url)
    lease = RedisLease(link, "x", "a", 15.0)
    await lease.acquire()
    server.stop()
    assert await lease.renew() is Renewal.UNANSWERED
    await lease.release()
    with pytest.raises(CacheUnavailable):
        await lease.acquire()
    await link.close()
