"""Which symbols somebody watches: time and sales are written down for them.

Whoever shows a symbol's time and sales renews its interest; it ends by itself when nobody
does. Processors ask about once a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import TIMEOUT_S, Link, unix_ms
from tapewire.caches.keys import MarketDataCacheBounds, MarketDataCacheKeys, MarketDataCacheTTL
from tapewire.model.rows import WATCHED, Fact

LOOK_S: Final = 1.0
"""Time between two looks of a processor."""

RENEW_S: Final = MarketDataCacheTTL.INTEREST_S / 3
"""How often whoever watches says so again."""


class Interest(Protocol):
    """The watched symbols."""

    async def renew(self, symbols: Iterable[str]) -> None:
        """These are watched for another 30 s; CacheUnavailable: say it again."""

    async def watched(self) -> list[str]:
        """Symbols that are watched now, sorted; raises CacheUnavailable."""


class RedisInterest:
    """Interest in the Market Data Cache: a sorted set, score = when it ends in ms UTC.

    Holds the newest 10,000; the symbols whose interest ends first go first.
    """

    def __init__(
        self, url: str, *, now_ms: Callable[[], int] = unix_ms, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._link = Link(url, timeout_s=timeout_s)
        self._now_ms = now_ms

    async def close(self) -> None:
        """Close every connection."""
        await self._link.close()

    async def renew(self, symbols: Iterable[str]) -> None:
        """Set when the interest ends, and take out what has ended, in one MULTI."""
        key, now_ms = MarketDataCacheKeys.INTEREST, self._now_ms()
        ends_ms = now_ms + MarketDataCacheTTL.INTEREST_S * 1000
        members = [part for symbol in symbols for part in (ends_ms, symbol)]
        if members:
            await self._link.together(
                [
                    ("ZREMRANGEBYSCORE", key, "-inf", now_ms),
                    ("ZADD", key, *members),
                    ("ZREMRANGEBYRANK", key, 0, -MarketDataCacheBounds.INTEREST - 1),
                    ("EXPIRE", key, MarketDataCacheTTL.INTEREST_S),
                ],
                atomic=True,
            )

    async def watched(self) -> list[str]:
        """Symbols whose interest has not ended."""
        key = MarketDataCacheKeys.INTEREST
        found = await self._link.run("ZRANGEBYSCORE", key, f"({self._now_ms()}", "+inf")
        return sorted(symbol.decode() for symbol in found)


class MemoryInterest:
    """Interest in one process."""

    def __init__(self, *, now_ms: Callable[[], int] = unix_ms) -> None:
        self._now_ms = now_ms
        self._ends_ms: dict[str, int] = {}

    async def close(self) -> None:
        """Nothing to close."""

    async def renew(self, symbols: Iterable[str]) -> None:
        """Set when the interest ends."""
        ends_ms = self._now_ms() + MarketDataCacheTTL.INTEREST_S * 1000
        self._ends_ms.update(dict.fromkeys(symbols, ends_ms))
        newest = sorted(self._ends_ms.items(), key=lambda one: (one[1], one[0]))
        self._ends_ms = dict(newest[-MarketDataCacheBounds.INTEREST :])

    async def watched(self) -> list[str]:
        """Symbols whose interest has not ended."""
        now_ms = self._now_ms()
        self._ends_ms = {s: ends_ms for s, ends_ms in self._ends_ms.items() if ends_ms > now_ms}
        return sorted(self._ends_ms)


async def keep_telling(
    interest: Interest,
    learn: Callable[[Sequence[Fact]], None],
    *,
    look_s: float = LOOK_S,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Tell ``learn`` once a second what is watched and what no longer is, until cancelled.

    All of it each time: a processor may have taken a shard over meanwhile. While the cache does
    not answer nothing is told.
    """
    before: set[str] = set()
    while True:
        try:
            watched = set(await interest.watched())
        except CacheUnavailable:
            watched = before
        if watched or before:
            learn([Fact(symbol, WATCHED, symbol in watched) for symbol in sorted(watched | before)])
        before = watched
        await sleep(look_s)
