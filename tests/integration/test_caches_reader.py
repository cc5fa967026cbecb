"""Typed reading from a real server gives what it gives from memory."""

from collections.abc import AsyncIterator

import pytest

from tapewire.caches.cache import WidgetCache
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.caches.widget_cache import RedisWidgetCache
from tests.caches.rows import MONDAY, TUESDAY, write_market

SYMBOLS = [f"S{number:03d}" for number in range(250)]


@pytest.fixture
async def redis_reader(redis_url: str) -> AsyncIterator[WidgetReader]:
    cache = RedisWidgetCache(redis_url)
    await write_market(cache, SYMBOLS, 3)
    yield WidgetReader(cache)
    await cache.close()


@pytest.fixture
async def memory_reader() -> WidgetReader:
    cache: WidgetCache = MemoryWidgetCache()
    await write_market(cache, SYMBOLS, 1)
    return WidgetReader(cache)


async def test_redis_reads_like_memory_with_another_number_of_shards(
    redis_reader: WidgetReader, memory_reader: WidgetReader
) -> None:
    assert await redis_reader.shards() == ["trades.0", "trades.1", "trades.2"]
    assert await memory_reader.shards() == ["trades.0"]
    dumps = [[row async for row in reader.dump()] for reader in (redis_reader, memory_reader)]
    assert dumps[0] == dumps[1]
    assert len(dumps[0]) > 1_000
    for reader in (redis_reader, memory_reader):
        assert await reader.candle_dates("S001") == [MONDAY, TUESDAY]
    boards = [await r.board("top_volume", 20) for r in (redis_reader, memory_reader)]
    assert boards[0] == boards[1]
    assert set(await redis_reader.gaps()) == set(await memory_reader.gaps())
    assert await redis_reader.quote("S007") == await memory_reader.quote("S007")
