"""``tapewire run widgets``: the Widget Data Service with its cache and the registry."""

import resource
from contextlib import AsyncExitStack
from typing import Final

from tapewire.caches.connection import Link
from tapewire.caches.corrections import CalendarKeeper, CorrectionStore
from tapewire.caches.interest import RedisInterest
from tapewire.caches.registry import RedisRegistry
from tapewire.cli.clock import wall_ms
from tapewire.cli.composed import Alongside
from tapewire.cli.servers import build_widget_cache, server
from tapewire.market.sessions import Session, SessionCalendar
from tapewire.model.markets import MARKETS
from tapewire.runtime.service import Service
from tapewire.runtime.settings import HTTP_PORTS, Settings
from tapewire.services.widget_data import WidgetDataService, WidgetOptions
from tapewire.services.widget_socket import SocketBounds

DEFAULT: Final = "default"
"""The analyzers that the feed table covers; others may have declared feeds of their own."""

RESERVED_FILES: Final = 100
"""Files that the service opens beside its clients' sockets."""


async def make_widgets(
    settings: Settings, stack: AsyncExitStack, alongside: Alongside, *, instance: str = "0"
) -> Service:
    """The widget service; it starts also while Redis is away, and says so to its clients."""
    allow_files(SocketBounds().connections + RESERVED_FILES)
    declare_feeds(settings)
    cache = build_widget_cache(settings)
    stack.push_async_callback(cache.close)
    registry = RedisRegistry(server(settings, "mdc_redis_url"))
    stack.push_async_callback(registry.close)
    link = Link(server(settings, "mdc_redis_url"))
    stack.push_async_callback(link.close)
    interest = RedisInterest(server(settings, "mdc_redis_url"))
    stack.push_async_callback(interest.close)
    calendars = {market: SessionCalendar.load(market.calendar) for market in MARKETS}
    for market, calendar in calendars.items():
        keeper = CalendarKeeper(CorrectionStore(link), calendar)
        alongside.run(keeper.follow(), f"calendar of {market.clock}")
    if settings.compat_keys:
        from tapewire.cli.sink_parts import run_compat_keys

        await run_compat_keys(settings, cache, registry, stack, alongside, instance=instance)
    options = WidgetOptions(
        host=settings.tapewire_http_host,
        port=settings.http_port("widgets"),
        setting=HTTP_PORTS["widgets"].upper(),
        origins=settings.tapewire_origins,
        instance=instance,
    )
    return WidgetDataService(
        cache,
        registry.reports,
        options,
        interest=interest,
        is_open=lambda market: calendars[market].session_at(wall_ms()) is not Session.CLOSED,
        wall_ms=wall_ms,
    )


def declare_feeds(settings: Settings) -> None:
    """Let the feeds of plug-ins be served too; PluginError for one that cannot be loaded.

    Where there are none the analyzers' modules are not needed here, nor imported.
    """
    if any(name != DEFAULT for name in settings.tapewire_analyzers):
        from tapewire.services.plugins import choose

        choose(settings.tapewire_analyzers)


def allow_files(count: int) -> None:
    """Raise this process's limit of open files to ``count``, or as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
