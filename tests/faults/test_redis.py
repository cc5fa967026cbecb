"""Redis goes away under traffic: with its data, without it, frozen, full, or for too long."""

import os
import signal
from collections.abc import Sequence

import pytest

from tapewire.model.feeds import FEEDS, Kind
from tests.conftest import StartRedis
from tests.faults.books import only, until
from tests.faults.day import Candle, Day, candles, without
from tests.faults.system import RealServers, beside_the_traffic, running, undisturbed
from tests.servers import RedisServer

DAY = Day(10_000)
RATE = "4500/s"


@pytest.fixture
def redis(start_redis: StartRedis) -> RedisServer:
    return start_redis(appendonly=True)


@pytest.fixture
def servers(rabbitmq_url: str, redis: RedisServer) -> RealServers:
    return RealServers(rabbitmq_url, redis.url, cache_timeout_s=0.5)


async def test_a_restart_with_its_data_costs_nothing_and_changes_no_owner(
    servers: RealServers, redis: RedisServer
) -> None:
    async with running(DAY, servers, speed=RATE) as system:
        await until(lambda: system.taken_in() > 3_000)
        before = await system.place()
        await beside_the_traffic(redis.kill)
        await system.fold_more(2_000)
        assert not system.processors[0].report().healthy
        await beside_the_traffic(redis.start)
        await system.fold_more(1_000)
        assert system.processors[0].report().healthy
        books = await system.end()
        assert (await system.place()).owner == before.owner
        assert system.owner().cache_failures > 0
        assert system.owner().state.refusals.duplicates == 0
    assert (books.taken_in, books.folded, books.lost) == (10_000, 10_000, 0)
    assert books.gaps == []
    assert books.rows == await undisturbed(DAY)
    assert books.candles == candles(DAY.prints)


async def test_a_restart_without_its_data_gets_everything_written_again(
    servers: RealServers, redis: RedisServer
) -> None:
    async with running(DAY, servers, speed=RATE) as system:
        await until(lambda: system.taken_in() > 3_000)
        before = await system.place()
        await beside_the_traffic(redis.kill)
        await system.fold_more(2_000)
        await beside_the_traffic(lambda: redis.start(wipe=True))
        books = await system.end()
        assert (await system.place()).owner > before.owner
        assert system.owner().state.refusals.duplicates == 0
        assert only(system.processors).report().detail["takeovers"] == {"trades.0": 1}
    assert (books.taken_in, books.folded, books.lost) == (10_000, 10_000, 0)
    check_all_but_lost_items(books.rows, await undisturbed(DAY))
    assert books.candles == candles(DAY.prints)


def check_all_but_lost_items(found: Sequence[Candle], whole: Sequence[Candle]) -> None:
    """Every row is written again; items of events that the store had and lost are gone."""
    events = {feed.family for feed in FEEDS if feed.kind is Kind.EVENT}
    items = [row for row in whole if row["feed"].partition(":")[0] in events]
    assert [row for row in found if row not in items] == [row for row in whole if row not in items]
    assert all(row in whole for row in found)


async def test_a_redis_that_starts_last_finds_everything_waiting(
    servers: RealServers, redis: RedisServer
) -> None:
    redis.kill()
    async with running(DAY, servers, speed=RATE) as system:
        await until(lambda: system.taken_in() > 4_000)
        assert not system.processors[0].report().healthy
        await beside_the_traffic(redis.start)
        books = await system.end()
        assert only(system.processors).report().detail["takeovers"] == {"trades.0": 1}
    assert (books.taken_in, books.folded, books.lost) == (10_000, 10_000, 0)
    assert books.rows == await undisturbed(DAY)


async def test_gaps_told_before_the_data_was_lost_are_told_again(
    servers: RealServers, redis: RedisServer
) -> None:
    async with running(DAY, servers, speed=RATE, faults=("drop@3000",)) as system:
        await until(lambda: system.client.statistics.reconnects == 1)
        await system.fold_more(1_000)
        gap = only(await system.gaps())
        await beside_the_traffic(redis.kill)
        await beside_the_traffic(lambda: redis.start(wipe=True))
        books = await system.end()
    assert books.gaps == [gap]
    assert books.balanced


async def test_a_frozen_redis_does_not_stop_the_folding_at_the_prefetch_bound(
    servers: RealServers, redis: RedisServer
) -> None:
    async with running(DAY, servers, speed=RATE, prefetch=20) as system:
        await until(lambda: system.taken_in() > 2_000)
        os.kill(redis.pid, signal.SIGSTOP)
        await system.fold_more(4_000)
        os.kill(redis.pid, signal.SIGCONT)
        books = await system.end()
    assert (books.taken_in, books.folded, books.lost) == (10_000, 10_000, 0)
    assert books.rows == await undisturbed(DAY)


async def test_an_empty_and_full_redis_is_waited_for(
    servers: RealServers, redis: RedisServer
) -> None:
    async with running(DAY, servers, speed=RATE) as system:
        await until(lambda: system.taken_in() > 3_000)
        wiped_and_full = "EVAL \"redis.call('FLUSHALL')\" 0\r\nCONFIG SET maxmemory 1"
        assert redis.call(f"MULTI\r\n{wiped_and_full}\r\nEXEC").startswith(b"+OK")
        failures = system.owner().cache_failures
        await until(lambda: system.owner().cache_failures > failures + 2)
        await system.fold_more(1_000)
        assert redis.call("CONFIG SET maxmemory 0") == b"+OK\r\n"
        books = await system.end()
    assert (books.taken_in, books.folded, books.lost) == (10_000, 10_000, 0)
    check_all_but_lost_items(books.rows, await undisturbed(DAY))


async def test_an_owner_that_dies_while_redis_is_away_leaves_a_located_gap(
    servers: RealServers, redis: RedisServer
) -> None:
    async with running(DAY, servers, speed=RATE, prefetch=20) as system:
        await until(lambda: system.taken_in() > 3_000)
        await beside_the_traffic(redis.kill)
        await system.fold_more(4_000)
        await only(system.processors).stop()
        system.processors.clear()
        await beside_the_traffic(redis.start)
        stored = await system.folded()
        await system.start_processor()
        books = await system.end()
    assert books.balanced
    gap = only(books.losses)
    assert gap.from_offset == stored
    assert gap.events == books.lost > 2_000
    assert books.candles == candles(without(DAY.prints, [gap]), books.gaps)
