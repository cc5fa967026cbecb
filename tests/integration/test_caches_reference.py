"""Reference rows on a real server keep the contract."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest

from tapewire.caches.connection import Link
from tapewire.caches.keys import MarketDataCacheBounds as Bounds
from tapewire.caches.keys import MarketDataCacheKeys, MarketDataCacheTTL
from tapewire.caches.reference import ReferenceCache, keep_following
from tapewire.model.rows import Reference
from tests.caches.reference_contract import DATE, NEXT, ReferenceStoreContract, closes, row, until
from tests.caches.widget_contract import Clock
from tests.conftest import StartRedis


class TestReferenceCache(ReferenceStoreContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    async def store(self, redis_url: str, clock: Clock) -> AsyncIterator[ReferenceCache]:
        store = ReferenceCache(redis_url, now_ms=clock)
        yield store
        await store.close()

    async def test_every_key_is_bounded_in_time_and_size(
        self, store: ReferenceCache, redis_url: str
    ) -> None:
        for number in range(3 * Bounds.REFERENCE_CHANGES):
            await store.put(DATE, [row("AIG", float(number))])
        link = Link(redis_url)
        keys = {key.decode() for key in await link.run("KEYS", "*")}
        assert keys == {
            f"reference:{DATE}",
            MarketDataCacheKeys.REFERENCE_CHANGES,
            MarketDataCacheKeys.REFERENCE_DATES,
        }
        for key in keys:
            assert 0 < await link.run("TTL", key) <= MarketDataCacheTTL.REFERENCE_S
        assert await link.run("XLEN", MarketDataCacheKeys.REFERENCE_CHANGES) <= 300
        await link.close()

    async def test_dates_that_expired_are_not_read(
        self, store: ReferenceCache, clock: Clock
    ) -> None:
        await store.put(DATE, [row("AIG", 1.0)])
        clock.now_ms += MarketDataCacheTTL.REFERENCE_S * 1000 + 1
        await store.put(NEXT, [row("AIG", 2.0, NEXT)])
        assert closes(await store.snapshot()) == {(NEXT, "AIG"): 2.0}


async def test_a_reader_outlives_a_server_that_restarts(start_redis: StartRedis) -> None:
    server = start_redis()
    store = ReferenceCache(server.url)
    held: dict[tuple[str, str], float | None] = {}

    def refer(rows: Sequence[Reference]) -> None:
        held.update(closes(rows))

    await store.put(DATE, [row("AIG", 1.0)])
    reader = asyncio.create_task(keep_following(store, refer, retry_s=0.05))
    await until(lambda: bool(held))
    server.stop()
    await asyncio.sleep(0.1)
    server.start()
    await store.put(DATE, [row("AIG", 2.0)])
    await until(lambda: held == {(DATE, "AIG"): 2.0})
    reader.cancel()
    with suppress(asyncio.CancelledError):
        await reader
    await store.close()
