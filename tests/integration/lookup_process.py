"""A process that looks things up: ``python -m … MDC_URL REST_URL KIND SYMBOL COUNT``.

It says when it is ready, begins at the first line on its input, looks the thing up COUNT times at
once and prints what it got and how often it asked.
"""

import asyncio
import json
import sys
import time

import aiohttp

from tapewire.caches.connection import Link
from tapewire.caches.known import LookupFailed
from tapewire.caches.market_data_cache import CacheBounds, MarketDataCache
from tapewire.caches.provider_limits import ProviderLimits, account_of, provider_of
from tapewire.market.sessions import SessionCalendar
from tapewire.providers.massive.rest_reference import MassiveReference
from tapewire.runtime.parent import watch_parent
from tapewire.services.reference_calls import MassiveFetch


async def main(mdc: str, base: str, kind: str, symbol: str, count: str) -> None:
    calendar, link = SessionCalendar.load("XNYS"), Link(mdc)
    limits = ProviderLimits(link, account_of(base, "key"))
    async with aiohttp.ClientSession() as session:
        rest = MassiveReference(base, "key", session=session, clock=time.monotonic, shared=limits)
        fetch = MassiveFetch(rest, calendar, lambda: int(time.time() * 1000))
        bounds = CacheBounds(flight_s=1.0)
        cache = MarketDataCache(link, fetch, calendar, provider_of(base), bounds=bounds)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        looking = (cache.lookup(kind, symbol) for _ in range(int(count)))
        found = await asyncio.gather(*looking, return_exceptions=True)
        failed = [str(one) for one in found if isinstance(one, LookupFailed)]
        bodies = {
            one.body.decode() for one in found if not isinstance(one, BaseException) and one.body
        }
        told = {"bodies": sorted(bodies), "failed": failed, "calls": cache.counts.calls}
        print(json.dumps(told), flush=True)
        await cache.close()
    await link.close()


if __name__ == "__main__":
    watch_parent()
    asyncio.run(main(*sys.argv[1:]))
