"""Whose results a Widget Data Cache holds: nobody's, a replay's, or a live system's.

A replay begins with an empty result and must never erase a live one, so it leaves a mark
and refuses a cache that holds shards without it. Other programs' keys are left alone.
"""

from enum import StrEnum
from typing import Final

from redis.asyncio import Redis

from tapewire.caches.connection import address_of, answers_from, open_redis
from tapewire.caches.keys import WidgetDataCacheKeys

MARK: Final = "tapewire:replay"
"""String in WDC: the sources of the replay whose results these are."""

_AT_ONCE: Final = 500


class Holding(StrEnum):
    """What a Widget Data Cache holds."""

    NOTHING = "nothing"
    REPLAY = "replay"
    LIVE = "live"


async def holding(url: str) -> Holding:
    """Look at the cache; raises CacheUnavailable when it does not answer."""
    async with open_redis(url) as redis:
        with answers_from(address_of(url)):
            if await redis.exists(MARK):
                return Holding.REPLAY
            shards = await redis.execute_command("SCARD", WidgetDataCacheKeys.SHARDS)
    return Holding.LIVE if shards else Holding.NOTHING


async def erase_and_mark(url: str, sources: str) -> None:
    """Delete every shard's keys and leave the replay's mark."""
    await mark(url, sources)
    await erase(url)


async def mark(url: str, sources: str) -> None:
    """Leave the replay's mark."""
    async with open_redis(url) as redis:
        with answers_from(address_of(url)):
            await redis.set(MARK, sources)


async def take_mark(url: str) -> bool:
    """Take the replay's mark away; whether there was one. What follows is live."""
    async with open_redis(url) as redis:
        with answers_from(address_of(url)):
            return bool(await redis.delete(MARK))


async def erase(url: str) -> None:
    """Delete every shard's keys."""
    async with open_redis(url) as redis:
        with answers_from(address_of(url)):
            shards = await redis.execute_command("SMEMBERS", WidgetDataCacheKeys.SHARDS)
            for shard in shards:
                await _erase(redis, WidgetDataCacheKeys(shard.decode()))
            await redis.delete(WidgetDataCacheKeys.SHARDS)


async def _erase(redis: Redis, keys: WidgetDataCacheKeys) -> None:
    pattern = keys.prefix.replace("[", r"\[") + "*"
    doomed = [key async for key in redis.scan_iter(match=pattern, count=_AT_ONCE)]
    for start in range(0, len(doomed), _AT_ONCE):
        await redis.unlink(*doomed[start : start + _AT_ONCE])
