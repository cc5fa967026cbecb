"""The earlier tick engine's keys on a real Redis: complete, of one writer, after outages too."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from tapewire.caches.connection import Link
from tapewire.caches.lease import RedisLease
from tapewire.caches.reader import WidgetReader
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.events import Tick
from tapewire.model.streams import Shard, Stream
from tapewire.runtime.service import State
from tapewire.services.compat_keys import CompatKeyService
from tests.caches.rows import write_market
from tests.conftest import StartRedis
from tests.services.ticks import FRIDAY, FUTURE, RELIANCE, TickDesk, baseline, tick

LATEST, CONFIRMED = "nse_fo:8765:_latest_:", "nse_fo:8765:_confirmed_:"


class Store:
    """A Redis, with everything that is needed of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cache = RedisWidgetCache(url, timeout_s=2.0)
        self.link = Link(url, timeout_s=2.0)

    async def desk(self, index: int = 0) -> TickDesk:
        return await TickDesk(self.cache, shard=Shard(Stream.TICKS, index)).claim()

    async def keys(self) -> dict[str, Any]:
        """The keys that are not the platform's own."""
        names = [name.decode() for name in await self.link.run("KEYS", "*:")]
        values = [await self.link.run("GET", name) for name in names]
        return {name: json.loads(value) for name, value in zip(names, values, strict=True)}

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The keys, once something held of them: what was written before that is among them."""
        async with asyncio.timeout(10):
            while not holds(await self.keys()):  # noqa: ASYNC110 - another task writes
                await asyncio.sleep(0.02)
        return await self.keys()

    @asynccontextmanager
    async def writing(self, holder: str = "a") -> AsyncIterator[CompatKeyService]:
        lease = RedisLease(self.link, "compat_keys", holder, 0.6)
        service = CompatKeyService(self.cache, self.link, lease, lease_ttl_s=0.6)
        await service.start()
        try:
            yield service
        finally:
            await service.stop()

    async def close(self) -> None:
        await self.cache.close()
        await self.link.close()


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    store = Store(redis_url)
    yield store
    await store.close()


def minute_ticks(symbol: str, *, start: int = 0, minutes: int = 3) -> list[Tick]:
    """A tick in each minute from 09:15 on, and one that ends the last second."""
    return [
        tick(symbol, 100.0 + k, 10 * (k + 1), f"09:{15 + k}:30")
        for k in range(start, start + minutes)
    ]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - another task does it
            await asyncio.sleep(0.01)


def contains(key: str, keys: dict[str, Any]) -> bool:
    return key in keys


async def test_every_minute_of_the_day_is_written_and_then_every_change(store: Store) -> None:
    await write_market(store.cache, ["AIG"], 1)
    desk = await store.desk()
    await desk.show(baseline(FUTURE), baseline(RELIANCE))
    await desk.show(*minute_ticks(FUTURE))
    async with store.writing() as service:
        before = await store.until(lambda keys: len(keys) == 4)
        assert before["nse_fo:8765:91500:"] == [100.0, 100.0, 100.0, 100.0, 10]
        assert before[LATEST] == [101.0, 101.0, 101.0, 101.0, 10, 91_600]
        assert before[CONFIRMED] == before[LATEST], "09:17 has begun, and is not cut yet"
        await desk.show(*minute_ticks(FUTURE, start=3, minutes=5), *minute_ticks(RELIANCE))
        await desk.show(ending=True)
        keys = await store.until(lambda keys: keys.get(CONFIRMED, [0])[-1] == 92_200)
        assert service.report().healthy
    expected: dict[str, Any] = {}
    for one in await WidgetReader(store.cache).candles("IN", FUTURE, "1m", FRIDAY):
        row = [one.open, one.high, one.low, one.close, one.volume]
        minute = 91_500 + 100 * (len(expected))
        expected[f"nse_fo:8765:{minute}:"] = row
    assert len(expected) == 8
    assert {name: keys[name] for name in expected} == expected
    assert "nse_eq:2885:_latest_:" in keys
    assert all(name.startswith(("nse_fo:8765:", "nse_eq:2885:")) for name in keys), "no US key"
    assert 0 < await store.link.run("TTL", LATEST) <= 86_400


async def test_shards_that_come_later_are_found(store: Store) -> None:
    async with store.writing():
        for index, symbol in enumerate((FUTURE, RELIANCE)):
            desk = await store.desk(index)
            await desk.show(baseline(symbol), *minute_ticks(symbol))
            await store.until(partial(contains, f"{symbol.lower()}:_latest_:"))


async def test_one_writes_and_another_takes_over(store: Store) -> None:
    desk = await store.desk()
    await desk.show(baseline(FUTURE), *minute_ticks(FUTURE))
    async with store.writing("first") as first:
        await store.until(lambda keys: LATEST in keys)
        async with store.writing("second") as second:
            await until(lambda: second.report().state is State.STAND_BY)
            assert second.report().healthy
            assert second.counts["written"] == 0
            await first.stop()
            await desk.show(*minute_ticks(FUTURE, start=3))
            await store.until(lambda keys: keys[LATEST][-1] == 91_900)
            assert second.counts["written"] > 0


@pytest.mark.parametrize("keeps_data", [True, False], ids=["with data", "without data"])
async def test_a_restart_of_redis_is_survived(start_redis: StartRedis, keeps_data: bool) -> None:
    redis = start_redis(appendonly=True)
    store = Store(redis.url)
    desk = await store.desk()
    await desk.show(baseline(FUTURE), *minute_ticks(FUTURE))
    async with store.writing() as service:
        await store.until(lambda keys: LATEST in keys)
        redis.stop()
        await until(lambda: not service.report().healthy)
        redis.start(wipe=not keeps_data)
        if not keeps_data:
            desk = await store.desk()
            await desk.show(baseline(FUTURE))
        await desk.show(*minute_ticks(FUTURE, start=3))
        keys = await store.until(lambda keys: LATEST in keys and keys[LATEST][-1] == 91_900)
        assert ("nse_fo:8765:91500:" in keys) is keeps_data
        await until(lambda: service.report().healthy)
    await store.close()


async def test_what_nobody_can_read_is_counted_and_stops_nothing(store: Store) -> None:
    desk = await store.desk()
    await desk.show(baseline(FUTURE), *minute_ticks(FUTURE))
    prefix = "{ticks.0}:candles:IN:NSE_FO:8765:1m:" + FRIDAY
    await store.link.run("HSET", f"{prefix}.0", "226", b"\xc1 broken")
    async with store.writing() as service:
        await store.until(lambda keys: LATEST in keys)
        assert service.counts["undecodable"] == 1
        assert service.report().drops == {"undecodable": 1}
