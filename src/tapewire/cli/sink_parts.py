"""What is written for other programs, where it is on: compatible keys and raw ticks.

Neither is a process of its own to run: the keys are written beside the widget service, which
follows the same changes; raw ticks where they are decoded, in the processors.
"""

import time
from contextlib import AsyncExitStack
from typing import Final

from tapewire.caches.connection import Link
from tapewire.caches.lease import RedisLease
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli.composed import Alongside
from tapewire.cli.leases import LEASE_TTL_S, holder
from tapewire.cli.servers import server
from tapewire.providers.circuit_breaker import CircuitBreaker
from tapewire.providers.tick_filter import TickFilter, TickRules
from tapewire.runtime.presence import Presence
from tapewire.runtime.registry import Registry
from tapewire.runtime.settings import Settings
from tapewire.services.compat_keys import CompatKeyService
from tapewire.sinks.raw_ticks import RawTicks

LEASE: Final = "compat_keys"


async def run_compat_keys(
    settings: Settings,
    cache: RedisWidgetCache,
    registry: Registry,
    stack: AsyncExitStack,
    alongside: Alongside,
    *,
    instance: str,
) -> None:
    """Write the compatible keys while nobody else does; the service reports for itself."""
    link = Link(server(settings, "wdc_redis_url"))
    stack.push_async_callback(link.close)
    leases = Link(server(settings, "mdc_redis_url"))
    stack.push_async_callback(leases.close)
    lease = RedisLease(leases, LEASE, holder(), LEASE_TTL_S)
    service = CompatKeyService(cache, link, lease, instance=instance, lease_ttl_s=LEASE_TTL_S)
    await service.start()
    stack.push_async_callback(service.stop)
    presence = Presence(service, registry, service.report)
    stack.push_async_callback(presence.leave, in_good_order=True)
    alongside.run(service.wait(), "compatible keys")
    alongside.run(presence.beat_forever(), "compatible keys report")


def run_raw_ticks(settings: Settings, stack: AsyncExitStack, alongside: Alongside) -> RawTicks:
    """The list of raw ticks, which is written from now on."""
    link = Link(server(settings, "wdc_redis_url"))
    stack.push_async_callback(link.close)
    raw = RawTicks(link, tick_filter(settings), CircuitBreaker(time.monotonic))
    stack.push_async_callback(raw.flush)
    alongside.run(raw.run(), "raw ticks")
    return raw


def tick_filter(settings: Settings) -> TickFilter | None:
    """What of raw ticks is published; None for everything."""
    if not settings.tick_filter_enabled:
        return None
    rules = TickRules(
        sample=settings.tick_filter_sample,
        min_change=settings.tick_filter_min_change,
        allow=frozenset(settings.tick_filter_allow),
        deny=frozenset(settings.tick_filter_deny),
    )
    return TickFilter(rules)
