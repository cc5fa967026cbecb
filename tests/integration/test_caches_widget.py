"""The Widget Data Cache on a real server keeps the contract."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tapewire.caches.cache import CacheError, CacheUnavailable, Place, WidgetCache
from tapewire.caches.keys import WidgetDataCacheBounds as Bounds
from tapewire.caches.keys import WidgetDataCacheKeys
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.changes import BoardChange, Changes
from tapewire.model.feeds import DAY_S
from tests.caches.widget_contract import (
    BOARD,
    DAY_MS,
    QUOTES,
    SHARD,
    Clock,
    WidgetCacheContract,
    flush_times,
    gap,
    quotes,
)
from tests.conftest import StartRedis

KEYS = WidgetDataCacheKeys(SHARD)


async def command(cache: WidgetCache, *arguments: Any) -> Any:
    """One plain command on the cache's own server."""
    assert isinstance(cache, RedisWidgetCache)
    return await cache._link.run(*arguments)


class TestRedisWidgetCache(WidgetCacheContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    async def cache(self, redis_url: str, clock: Clock) -> AsyncIterator[RedisWidgetCache]:
        cache = RedisWidgetCache(redis_url, now_ms=clock)
        yield cache
        await cache.close()

    async def lose(self, cache: WidgetCache) -> None:
        await command(cache, "FLUSHALL")

    async def put_back(self, cache: WidgetCache, place: Place) -> None:
        await command(cache, "SET", KEYS.place, str(place))

    async def stored_items(self, cache: WidgetCache, name: str) -> list[tuple[int, object]]:
        return [
            msgspec.msgpack.decode(packed, type=tuple[int, object])
            for packed in await command(cache, "LRANGE", KEYS.of(name), 0, -1)
        ]

    async def flush_beyond_the_stream(self, cache: WidgetCache, place: Place) -> None:
        await super().flush_beyond_the_stream(cache, place)
        assert await command(cache, "XLEN", KEYS.changes) < 3 * Bounds.CHANGES

    async def test_every_key_of_a_flush_has_a_ttl(self, cache: RedisWidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        changes = Changes(
            rows=quotes(AIG=1).rows,
            boards={BOARD: BoardChange({"AIG": 1})},
            items={"halts": [b"\x01"]},
            gaps=[gap(1)],
            private={"days": {"AIG": b"1"}},
        )
        await cache.flush(SHARD, place, {"mdl-1": b"1"}, changes)
        keys = {key.decode() for key in await command(cache, "KEYS", KEYS.prefix + "*")}
        fixed = {KEYS.of(name) for name in KEYS.RESERVED}
        named = {KEYS.of(name) for name in (QUOTES, BOARD, "halts", "private:days")}
        assert keys == fixed | named
        for key in keys:
            assert 4 * DAY_S - 5 <= await command(cache, "TTL", key) <= 7 * DAY_S

    async def test_a_ttl_is_refreshed_once_an_hour_and_when_a_hash_was_emptied(
        self, cache: RedisWidgetCache, clock: Clock
    ) -> None:
        key = KEYS.of(QUOTES)
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        await command(cache, "EXPIRE", key, 100)
        place = await flush_times(cache, place, 1)
        assert await command(cache, "TTL", key) <= 100
        clock.now_ms += 3_600_000
        place = await flush_times(cache, place, 1)
        assert await command(cache, "TTL", key) > 100
        place = await cache.flush(SHARD, place, {}, Changes(removed={QUOTES: ["AIG"]}))
        assert await command(cache, "EXISTS", key) == 0
        place = await flush_times(cache, place, 1)
        assert await command(cache, "TTL", key) > 100

    async def test_names_that_expired_leave_the_index(
        self, cache: RedisWidgetCache, clock: Clock
    ) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        clock.now_ms += 5 * DAY_MS
        assert await cache.names(SHARD) == []
        await cache.flush(SHARD, place, {}, Changes(rows={"quote:2026-11-25": {"A": b"1"}}))
        assert await command(cache, "ZCARD", KEYS.names) == 1

    async def test_a_server_that_forgot_the_scripts_gets_them_again(
        self, cache: RedisWidgetCache
    ) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        await command(cache, "SCRIPT", "FLUSH")
        assert await flush_times(cache, place, 2) == Place(place.owner, 3)
        await command(cache, "SCRIPT", "FLUSH")
        assert (await cache.claim(SHARD)).place.owner == place.owner + 1

    async def test_a_refused_flush_wrote_nothing(self, cache: RedisWidgetCache) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        await command(cache, "DEL", KEYS.changes)
        await command(cache, "SET", KEYS.changes, "not a stream")
        with pytest.raises(CacheError, match="WRONGTYPE"):
            await cache.flush(SHARD, place, {"mdl-1": b"1"}, quotes(BAC=1))
        snapshot = await cache.snapshot(SHARD, {QUOTES: ["BAC"], "positions": None})
        assert snapshot.place == place
        assert snapshot.rows == {QUOTES: {}, "positions": {}}

    async def test_all_keys_of_a_flush_carry_the_shards_tag(self, cache: RedisWidgetCache) -> None:
        await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        keys = {key.decode() for key in await command(cache, "KEYS", "*")}
        assert {key for key in keys if not key.startswith("{trades.0}:")} == {KEYS.SHARDS}


async def test_nobody_there_is_unavailable_and_names_the_address_without_the_password() -> None:
    cache = RedisWidgetCache("redis://someone:hunter2@127.0.0.1:1/3")
    with pytest.raises(CacheUnavailable, match=r"127\.0\.0\.1:1/3") as refused:
        await cache.claim(SHARD)
    assert "hunter2" not in str(refused.value)
    await cache.close()


async def test_a_wrong_password_is_no_reason_to_wait(start_redis: StartRedis) -> None:
    server = start_redis()
    cache = RedisWidgetCache(server.url.replace("redis://", "redis://:hunter2@"))
    with pytest.raises(CacheError, match="refused") as refused:
        await cache.claim(SHARD)
    assert not isinstance(refused.value, CacheUnavailable)
    assert "hunter2" not in str(refused.value)
    await cache.close()


async def test_a_flush_goes_on_after_the_server_restarted_with_its_data(
    start_redis: StartRedis,
) -> None:
    server = start_redis(appendonly=True)
    cache = RedisWidgetCache(server.url)
    place = await flush_times(cache, (await cache.claim(SHARD)).place, 2)
    server.stop()
    with pytest.raises(CacheUnavailable):
        await cache.flush(SHARD, place, {}, quotes(AIG=9))
    server.start()
    following = await cache.flush(SHARD, place, {}, quotes(AIG=9))
    assert following == place.next
    assert (await cache.fetch(SHARD, {QUOTES: None})) == quotes(AIG=9).rows
    await cache.close()


async def test_a_frozen_server_costs_one_timeout_and_the_flush_counts_once(
    start_redis: StartRedis,
) -> None:
    server = start_redis()
    cache = RedisWidgetCache(server.url, timeout_s=0.3)
    place = await flush_times(cache, (await cache.claim(SHARD)).place, 1)
    os.kill(server.pid, signal.SIGSTOP)
    started = asyncio.get_running_loop().time()
    with pytest.raises(CacheUnavailable):
        await cache.flush(SHARD, place, {}, Changes(items={"halts": [b"\x01"]}))
    assert asyncio.get_running_loop().time() - started < 1.5
    os.kill(server.pid, signal.SIGCONT)
    await asyncio.sleep(0.1)
    again = await cache.flush(SHARD, place, {}, Changes(items={"halts": [b"\x01"]}))
    assert again == place.next
    assert await command(cache, "LLEN", KEYS.of("halts")) == 1
    await cache.close()


async def test_a_replica_that_takes_no_writes_is_unavailable(start_redis: StartRedis) -> None:
    server = start_redis()
    cache = RedisWidgetCache(server.url)
    place = (await cache.claim(SHARD)).place
    await command(cache, "REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(CacheUnavailable, match="cannot serve now"):
        await cache.flush(SHARD, place, {}, quotes(AIG=1))
    await command(cache, "REPLICAOF", "NO", "ONE")
    assert await cache.flush(SHARD, place, {}, quotes(AIG=1)) == place.next
    await cache.close()


async def test_a_full_server_is_unavailable_and_nothing_of_the_flush_is_written(
    start_redis: StartRedis,
) -> None:
    cache = RedisWidgetCache(start_redis().url)
    place = (await cache.claim(SHARD)).place
    await command(cache, "CONFIG", "SET", "maxmemory", "1")
    changes = Changes(rows=quotes(AIG=1).rows, gaps=[gap(1)])
    with pytest.raises(CacheUnavailable, match="cannot serve now"):
        await cache.flush(SHARD, place, {}, changes)
    assert await command(cache, "GET", KEYS.place) == str(place).encode()
    assert await cache.gaps(SHARD) == []
    await command(cache, "CONFIG", "SET", "maxmemory", "0")
    assert await cache.flush(SHARD, place, {}, changes) == place.next
    await cache.close()


async def test_a_days_outdated_hashes_go_a_few_with_each_flush(redis_url: str) -> None:
    cache = RedisWidgetCache(redis_url)
    place = (await cache.claim(SHARD)).place
    days = {f"candles:US:S{k:04}:1d:2026-11-{18 + k % 2}": {"1": b"x"} for k in range(4_000)}
    place = await cache.flush(SHARD, place, {}, Changes(rows=days))
    place = await cache.flush(SHARD, place, {}, Changes(outdated={"candles": "2026-11-19"}))
    assert 2_000 < len(await cache.names(SHARD)) < 4_000
    for _ in range(12):
        place = await cache.flush(SHARD, place, {}, Changes())
    assert {name[-2:] for name in await cache.names(SHARD)} == {"19"}
    assert len(await cache.names(SHARD)) == 2_000
    await cache.close()


async def test_a_new_owner_does_not_go_on_dropping_what_it_may_have_to_restore(
    redis_url: str,
) -> None:
    cache = RedisWidgetCache(redis_url)
    place = (await cache.claim(SHARD)).place
    days = {f"days:S{k:04}:2026-11-18": {"1": b"x"} for k in range(4_000)}
    place = await cache.flush(SHARD, place, {}, Changes(private=days))
    await cache.flush(SHARD, place, {}, Changes(outdated={"private:days": "2026-11-19"}))
    left = await cache.names(SHARD)
    place = (await cache.claim(SHARD)).place
    for _ in range(12):
        place = await cache.flush(SHARD, place, {}, Changes())
    assert await cache.names(SHARD) == left
    assert 2_000 < len(left) < 4_000
    await cache.close()
