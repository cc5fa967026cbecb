"""``tapewire run reference``: the provider's REST, the Market Data Cache, the calendar.

What every process needs that asks for reference data, and what each needs that keeps a
calendar.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from msgspec import Struct

from tapewire.caches.connection import Link
from tapewire.caches.corrections import CalendarKeeper, CorrectionStore
from tapewire.caches.lease import RedisLease
from tapewire.caches.market_data_cache import MarketDataCache
from tapewire.caches.provider_limits import ProviderLimits, account_of, provider_of
from tapewire.caches.reference import ReferenceCache
from tapewire.cli import compose
from tapewire.cli.clock import EXCHANGE, wall_ms
from tapewire.cli.composed import Alongside
from tapewire.cli.leases import LEASE_TTL_S, holder
from tapewire.cli.servers import reaching, server
from tapewire.cli.wiring import Wiring
from tapewire.market.sessions import SessionCalendar
from tapewire.providers.massive.rest_reference import MassiveReference
from tapewire.runtime.lease import Lease
from tapewire.runtime.service import Service
from tapewire.runtime.settings import Settings
from tapewire.services.calendar_watch import CalendarWatch
from tapewire.services.reference import ReferenceService
from tapewire.services.reference_calls import MassiveFetch


class MarketData(Struct, frozen=True):
    """Everything that asks the provider for reference data in one process, and its clock."""

    link: Link
    rest: MassiveReference
    limits: ProviderLimits
    cache: MarketDataCache
    calendar: SessionCalendar
    watch: CalendarWatch
    now_ms: Callable[[], int]

    def detail(self) -> Mapping[str, Any]:
        """What the reference service reports of them."""
        return {
            "limits_unanswered": self.limits.unanswered,
            "calendar": {
                "corrected": self.watch.keeper.applied,
                "misfits": self.watch.keeper.misfits,
                "unreadable": self.watch.unreadable,
            },
        }


async def open_market_data(
    settings: Settings,
    stack: AsyncExitStack,
    calendar: SessionCalendar,
    now_ms: Callable[[], int] = wall_ms,
    url: str | None = None,
) -> MarketData:
    """The Market Data Cache over the provider; ``url``: of MDC, else the setting's."""
    link = Link(url or server(settings, "mdc_redis_url"))
    stack.push_async_callback(link.close)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    base, key = settings.massive_rest_url, settings.required("massive_api_key")
    limits = ProviderLimits(link, account_of(base, key))
    rest = compose.build_rest(settings, session, time.monotonic, limits)
    fetch = MassiveFetch(rest, calendar, now_ms)
    cache = MarketDataCache(link, fetch, calendar, provider_of(base), now_ms=now_ms)
    stack.push_async_callback(cache.close)
    watch = CalendarWatch(cache, CorrectionStore(link), calendar, now_ms)
    return MarketData(link, rest, limits, cache, calendar, watch, now_ms)


def build_service(
    market: MarketData,
    store: ReferenceCache,
    *,
    instance: str = "0",
    lease: Lease | None = None,
    adopts: bool = True,
) -> ReferenceService:
    """The reference service; its store belongs to the caller."""
    return ReferenceService(
        market.rest,
        store,
        market.calendar,
        wall_ms=market.now_ms,
        instance=instance,
        lease=lease,
        lookups=market.cache,
        adopts=adopts,
        more=market.detail,
    )


async def make_reference(
    settings: Settings, stack: AsyncExitStack, alongside: Alongside, *, instance: str
) -> Service:
    """The reference service over MDC; DependencyMissing names a setting."""
    store = ReferenceCache(server(settings, "mdc_redis_url"))
    stack.push_async_callback(store.close)
    with reaching("mdc_redis_url"):
        await store.position()
    market = await open_market_data(settings, stack, SessionCalendar.load(EXCHANGE))
    name = f"reference:{provider_of(settings.massive_rest_url)}"
    lease = RedisLease(market.link, name, holder(), LEASE_TTL_S)
    alongside.run(market.watch.follow(), "calendar")
    return build_service(market, store, instance=instance, lease=lease)


async def follow_calendar(link: Link, wiring: Wiring, alongside: Alongside) -> None:
    """Apply what is known to correct the calendar, then what comes; raises CacheUnavailable.

    A replay keeps to the calendar that ships: the same day always gives the same result.
    """
    await link.run("PING")
    if wiring.is_live:
        keeper = CalendarKeeper(CorrectionStore(link), wiring.calendar)
        await keeper.look()
        alongside.run(keeper.follow(), "calendar")
