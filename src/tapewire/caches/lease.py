"""Leases in the Market Data Cache: one holder at a time, with an epoch that only grows."""

from collections.abc import Callable

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import Link, Script, unix_ms
from tapewire.caches.keys import MarketDataCacheKeys, MarketDataCacheTTL
from tapewire.runtime.lease import Renewal


class RedisLease:
    """One named lease; implements ``runtime.lease.Lease``.

    Args:
        link: the Market Data Cache.
        name: what is leased, e.g. ``listener:massive:stocks``.
        holder: who asks; another value in every process and after every start.
        ttl_s: how long the lease lasts without a renewal.
        now_ms: wall clock, for epochs.
    """

    def __init__(
        self,
        link: Link,
        name: str,
        holder: str,
        ttl_s: float,
        *,
        now_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._link = link
        self._holder = holder
        self._ttl_ms = int(ttl_s * 1000)
        self._now_ms = now_ms
        self._keys = (MarketDataCacheKeys.lease(name), MarketDataCacheKeys.lease_epoch(name))
        self._acquire = Script("lease_acquire")
        self._renew = Script("lease_renew")
        self._release = Script("lease_release")
        self._epoch = "0"

    async def acquire(self) -> int | None:
        """Take the lease: the new epoch, or None while somebody else holds it.

        Raises CacheUnavailable when the server does not answer.
        """
        epoch = await self._link.script(
            self._acquire,
            self._keys,
            self._holder,
            self._now_ms(),
            self._ttl_ms,
            MarketDataCacheTTL.LEASE_EPOCH_S,
        )
        if epoch is None:
            return None
        self._epoch = epoch.decode()
        return int(self._epoch)

    async def renew(self) -> Renewal:
        """Extend the lease; refused once somebody else took it since."""
        try:
            held = await self._link.script(
                self._renew,
                self._keys,
                self._holder,
                self._epoch,
                self._ttl_ms,
                MarketDataCacheTTL.LEASE_EPOCH_S,
            )
        except CacheUnavailable:
            return Renewal.UNANSWERED
        return Renewal.HELD if held else Renewal.REFUSED

    async def release(self) -> None:
        """Give the lease up if it is ours; an unanswered one ends by itself."""
        try:
            await self._link.script(self._release, self._keys, self._holder, self._epoch)
        except CacheUnavailable:
            return
