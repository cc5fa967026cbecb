"""What an account may not do now, kept in MDC so that all its processes know.

Implements ``SharedLimits`` of the provider's REST client. While MDC is away every process goes
by what it was told itself; that is counted, and costs at most one refused call each.
"""

from hashlib import sha256

from tapewire.caches.cache import CacheError
from tapewire.caches.connection import Link
from tapewire.caches.keys import MarketDataCacheKeys as Keys


def provider_of(base_url: str) -> str:
    """A short name for a provider's address: values of one are never taken for another's."""
    return sha256(base_url.encode()).hexdigest()[:8]


def account_of(base_url: str, key: str) -> str:
    """A name for an account at a provider that tells nobody its key."""
    return sha256(f"{base_url} {key}".encode()).hexdigest()[:16]


class ProviderLimits:
    """Calls that are off and a pause, for one account.

    Args:
        link: the Market Data Cache.
        account: see `account_of`.
    """

    def __init__(self, link: Link, account: str) -> None:
        self._link = link
        self._account = account
        self.unanswered = 0
        """How often MDC could not be asked or told."""

    async def look(self, call: str) -> tuple[float, float]:
        """Seconds for which this call stays off, and for which every call waits; 0 for none."""
        keys = (Keys.call_off(self._account, call), Keys.provider_pause(self._account))
        try:
            left_ms = await self._link.together([("PTTL", key) for key in keys], atomic=False)
        except CacheError:
            self.unanswered += 1
            return 0.0, 0.0
        off_s, pause_s = (max(left, 0) / 1000 for left in left_ms)
        return off_s, pause_s

    async def switch_off(self, call: str, seconds: float) -> None:
        """Nobody asks for this before so many seconds are over."""
        await self._tell(Keys.call_off(self._account, call), "403", seconds)

    async def pause(self, seconds: float) -> None:
        """Nobody asks for anything for so long; a longer pause that holds already stays."""
        _, left_s = await self.look("")
        if seconds > left_s:
            await self._tell(Keys.provider_pause(self._account), "429", seconds)

    async def _tell(self, key: str, status: str, seconds: float) -> None:
        try:
            await self._link.run("SET", key, status, "PX", max(int(seconds * 1000), 1))
        except CacheError:
            self.unanswered += 1
