"""Where reading commands find results: the settings' Redis, else the embedded server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tapewire.caches.embedded import EmbeddedServer
from tapewire.caches.reader import WidgetReader
from tapewire.caches.registry import RedisRegistry
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli.servers import reaching
from tapewire.runtime.service import Report
from tapewire.runtime.settings import Settings


@asynccontextmanager
async def address(settings: Settings, name: str) -> AsyncIterator[str]:
    """The address of ``wdc_redis_url`` or ``mdc_redis_url``.

    Where the setting has none, the embedded server of the data folder: used if it runs,
    else started for as long as the block lasts. What it raises names the setting.
    """
    if getattr(settings, name) is not None:
        with reaching(name):
            yield settings.required(name)
        return
    server = EmbeddedServer(settings.tapewire_data_dir)
    await server.start()
    try:
        yield server.wdc_url if name == "wdc_redis_url" else server.mdc_url
    finally:
        await server.stop()


@asynccontextmanager
async def widget_cache(settings: Settings) -> AsyncIterator[RedisWidgetCache]:
    """WDC, closed at the end."""
    async with address(settings, "wdc_redis_url") as url:
        cache = RedisWidgetCache(url)
        try:
            yield cache
        finally:
            await cache.close()


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[WidgetReader]:
    """What is in WDC, as rows."""
    async with widget_cache(settings) as cache:
        yield WidgetReader(cache)


async def reports(settings: Settings) -> list[Report]:
    """What every living service says of itself (MDC)."""
    async with address(settings, "mdc_redis_url") as url:
        registry = RedisRegistry(url)
        try:
            return await registry.reports()
        finally:
            await registry.close()
