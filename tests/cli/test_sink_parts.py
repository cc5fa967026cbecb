"""The sinks as the settings wire them, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from tapewire.caches.connection import Link
from tapewire.caches.registry import RedisRegistry
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli.composed import Alongside
from tapewire.cli.sink_parts import run_compat_keys, run_raw_ticks, tick_filter
from tapewire.runtime.settings import Settings
from tests.services.ticks import FUTURE, RELIANCE, TickDesk, baseline, tick


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    url = SecretStr(redis_url)
    return Settings(tapewire_data_dir=tmp_path, wdc_redis_url=url, mdc_redis_url=url)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[AsyncExitStack, Alongside]]:
    alongside = Alongside()
    async with AsyncExitStack() as stack:
        yield stack, alongside
        await alongside.stop()


async def test_compatible_keys_are_written_and_reported(settings: Settings, redis_url: str) -> None:
    cache, registry, link = RedisWidgetCache(redis_url), RedisRegistry(redis_url), Link(redis_url)
    async with running() as (stack, alongside):
        await run_compat_keys(settings, cache, registry, stack, alongside, instance="0")
        desk = await TickDesk(cache).claim()
        await desk.show(baseline(FUTURE), tick(FUTURE, 101.0, 75, "09:15:01"))
        await desk.show(tick(FUTURE, 102.0, 150, "09:16:01"))
        async with asyncio.timeout(10):
            while not (  # noqa: ASYNC110 - the service is at work
                await link.run("EXISTS", "nse_fo:8765:_latest_:")
                and [one.service for one in await registry.reports() if one.healthy] == ["sinks"]
            ):
                await asyncio.sleep(0.02)
    assert await link.run("EXISTS", "{lease:compat_keys}:holder") == 0, "it was given back"
    for each in (cache, registry, link):
        await each.close()


async def test_what_waits_is_written_before_the_end(settings: Settings, redis_url: str) -> None:
    async with running() as (stack, alongside):
        raw = run_raw_ticks(settings, stack, alongside)
        await asyncio.sleep(0)
        raw.take([tick(FUTURE, 1.0, 1, "09:15:01"), tick(RELIANCE, 2.0, 1, "09:15:01")])
    link = Link(redis_url)
    assert await link.run("LLEN", "ticks") == 2
    await link.close()


def test_a_filter_is_what_the_settings_say(settings: Settings) -> None:
    assert tick_filter(settings) is None
    chosen = tick_filter(
        settings.replaced(
            tick_filter_enabled=True, tick_filter_deny=("NSE_EQ",), tick_filter_sample=2
        )
    )
    assert chosen is not None
    prices = [tick(FUTURE, float(k), k, "09:15:01") for k in range(1, 4)]
    kept = chosen.keep([*prices, tick(RELIANCE, 1.0, 1, "09:15:01")])
    assert [one.last_price for one in kept] == [1.0, 3.0]
