"""The in-memory Widget Data Cache keeps the contract."""

import msgspec
import pytest

from tapewire.caches.cache import Place, WidgetCache
from tapewire.caches.memory import MemoryShard, MemoryWidgetCache
from tapewire.model.changes import Changes
from tapewire.model.feeds import DAY_S
from tests.caches.widget_contract import QUOTES, SHARD, Clock, WidgetCacheContract, quotes


class TestMemoryWidgetCache(WidgetCacheContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def cache(self, clock: Clock) -> MemoryWidgetCache:
        return MemoryWidgetCache(now_ms=clock)

    async def lose(self, cache: WidgetCache) -> None:
        assert isinstance(cache, MemoryWidgetCache)
        cache._shards.clear()

    async def put_back(self, cache: WidgetCache, place: Place) -> None:
        assert isinstance(cache, MemoryWidgetCache)
        cache._shard(SHARD).place = place

    async def stored_items(self, cache: WidgetCache, name: str) -> list[tuple[int, object]]:
        assert isinstance(cache, MemoryWidgetCache)
        kept = cache._shard(SHARD).items[name]
        return [(sequence, msgspec.msgpack.decode(item)) for sequence, item in kept]

    async def test_what_nobody_touches_is_forgotten_after_its_ttl(
        self, cache: MemoryWidgetCache, clock: Clock
    ) -> None:
        place = (await cache.claim(SHARD)).place
        place = await cache.flush(SHARD, place, {"mdl-1": b"1"}, quotes(AIG=1))
        clock.now_ms += 3 * DAY_S * 1000
        await cache.flush(SHARD, place, {}, Changes(rows={"quote:2026-11-23": {"AIG": b"1"}}))
        clock.now_ms += 2 * DAY_S * 1000
        assert await cache.names(SHARD) == ["quote:2026-11-23"]
        assert (await cache.snapshot(SHARD, {QUOTES: None})).rows == {QUOTES: {}}
        clock.now_ms += 3 * DAY_S * 1000
        assert cache._shard(SHARD) == MemoryShard()
        assert (await cache.claim(SHARD)).positions == {}

    async def test_what_a_reader_got_is_its_own(self, cache: MemoryWidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        await cache.flush(SHARD, place, {}, quotes(AIG=1))
        (await cache.fetch(SHARD, {QUOTES: None}))[QUOTES].clear()
        assert (await cache.fetch(SHARD, {QUOTES: None})) == quotes(AIG=1).rows
