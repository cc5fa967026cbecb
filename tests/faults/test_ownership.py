"""Who owns a shard, and how it changes hands: fenced, handed over, not yet claimed.

Given back, too, in ``test_frozen.py``.
"""

import asyncio
import time

import pytest

from tapewire.caches.reference import ReferenceCache, keep_following
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli.known_references import KnownReferences
from tapewire.model.rows import Reference
from tapewire.services.processor import MassiveDataProcessor
from tests.conftest import StartRedis
from tests.faults.books import only, until
from tests.faults.day import Day, candles
from tests.faults.system import RealServers, System, running, undisturbed
from tests.servers import RedisServer

DAY = Day(12_000)


@pytest.fixture
def redis(start_redis: StartRedis) -> RedisServer:
    return start_redis(appendonly=True)


@pytest.fixture
def servers(rabbitmq_url: str, redis: RedisServer) -> RealServers:
    return RealServers(rabbitmq_url, redis.url, cache_timeout_s=0.5)


def takeovers(system: System) -> list[int]:
    """How often each processor became the shard's owner."""
    details = [processor.report().detail for processor in system.processors]
    return [detail["takeovers"].get("trades.0", 0) for detail in details]


async def test_an_owner_that_meets_a_newer_one_drops_its_memory_and_writes_nothing(
    servers: RealServers, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(DAY, servers, speed="4000/s") as system:
        await until(lambda: system.taken_in() > 4_000)
        fenced = system.owner()
        other = RedisWidgetCache(servers.redis_url)
        newer = (await other.claim("trades.0")).place
        await other.close()
        await until(lambda: takeovers(system) == [2])
        assert system.owner() is not fenced
        assert (await system.place()).owner > newer.owner
        books = await system.end()
    assert "a newer owner holds the shard" in caplog.text
    assert (books.taken_in, books.folded, books.lost) == (12_000, 12_000, 0)
    assert books.rows == await undisturbed(DAY)
    assert books.candles == candles(DAY.prints)


async def hand_over(
    system: System, giver: MassiveDataProcessor, taker: MassiveDataProcessor
) -> float:
    """Hand the shard over; seconds until the other has folded something."""
    refusals = system.owner().state.refusals
    began_s = time.monotonic()
    answer = await giver.command("hand_over", {"shard": "trades.0"})
    assert answer == {"handed_over": "trades.0"}
    assert giver.owned == {}
    await until(lambda: taker.owned)
    await system.fold_more(1)
    assert (refusals.duplicates, refusals.old_epochs) == (0, 0)
    return time.monotonic() - began_s


async def test_a_hand_over_under_traffic_costs_no_event_and_little_time(
    servers: RealServers,
) -> None:
    day = Day(15_000)
    async with running(day, servers, speed="2000/s", processors=2) as system:
        first, second = system.processors
        # Each stands by for the other's shard 3 s after it started, or handed over.
        await until(lambda: system.taken_in() > 6_500)
        assert await hand_over(system, first, second) < 2.0
        await asyncio.sleep(3.3)
        assert await hand_over(system, second, first) < 2.0
        books = await system.end()
        assert takeovers(system) == [2, 1]
        assert system.owner().state.refusals.duplicates == 0
    assert (books.taken_in, books.folded, books.lost) == (15_000, 15_000, 0)
    assert books.gaps == []
    assert books.rows == await undisturbed(day)


async def test_a_processor_that_waits_for_redis_can_be_drained_and_loses_nothing(
    servers: RealServers, redis: RedisServer
) -> None:
    redis.kill()
    async with running(DAY, servers, speed="4000/s") as system:
        waiting = only(system.processors)
        await until(lambda: waiting.owned)
        await until(lambda: system.owner().cache_failures > 1)
        async with asyncio.timeout(2):
            await waiting.drain()
        assert waiting.owned == {}
        redis.start()
        system.processors.clear()
        await system.start_processor()
        books = await system.end()
    assert (books.taken_in, books.folded, books.lost) == (12_000, 12_000, 0)
    assert books.rows == await undisturbed(DAY)


async def test_reference_data_that_is_away_at_the_claim_stops_no_folding(
    servers: RealServers, start_redis: StartRedis
) -> None:
    mdc = start_redis(appendonly=True)
    stored = ReferenceCache(mdc.url, timeout_s=0.5)
    await stored.put("2013-10-07", [Reference("AIG", "2013-10-07", prev_day_close=40.0)])
    mdc.kill()
    known = KnownReferences()
    following = asyncio.create_task(keep_following(stored, known.take, retry_s=0.1))
    async with running(DAY, servers, speed="4000/s", started=()) as system:
        processor = await system.start_processor(references=known)
        known.refer = processor.refer
        await until(lambda: processor.owned)
        await system.fold_more(4_000)
        mdc.start()
        books = await system.end()
    following.cancel()
    await stored.close()
    quotes = [row for row in books.rows if row["feed"].startswith("quote:")]
    closes = {row["symbol"]: row["prev_day_close"] for row in quotes}
    assert closes == {"AIG": 40.0, "BAC": None, "IBM": None}
    assert (books.taken_in, books.folded, books.lost) == (12_000, 12_000, 0)
    assert books.candles == candles(DAY.prints)
