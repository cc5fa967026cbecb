"""The widget service over a real Redis: chains, stopped clients, outages.

``WIDGET_CHAIN_SECONDS=60`` makes the chains as long as the protocol's acceptance asks for.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tapewire.caches.cache import CacheUnavailable, StoreLostWrites
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.messages import RATES_HZ, TICKS_PER_SECOND, CloseCode
from tests.conftest import StartRedis
from tests.integration.widget_process import client, lines_of, widget_service
from tests.services.widget_clients import Shard, closing_of, serving, viewer

CHAIN_S = float(os.environ.get("WIDGET_CHAIN_SECONDS", "8"))
SYMBOLS = tuple(f"SYM{number:03}" for number in range(120))


class Writer:
    """An owner that goes on through outages, as a processor does."""

    def __init__(self, url: str, *symbols: str, name: str = "trades.0") -> None:
        self.cache = RedisWidgetCache(url, timeout_s=2.0)
        self.shard = Shard(self.cache, name)
        self._symbols = symbols

    async def run(self, every_s: float = 0.05) -> None:
        """Flush all symbols, over and over; the price is the number of the flush."""
        while True:
            await self.flush()
            await asyncio.sleep(every_s)

    async def flush(self) -> None:
        try:
            await self.shard.flush(*self._symbols, close=float(self.shard.written + 1))
        except StoreLostWrites:
            await self.shard.claim()
        except CacheUnavailable:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def writing(url: str, *symbols: str) -> AsyncIterator[Writer]:
    """A writer at work."""
    writer = Writer(url, *symbols)
    await writer.flush()
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await writer.cache.close()


async def test_chains_are_unbroken_at_every_rate(redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        cache = RedisWidgetCache(redis_url)
        stack.push_async_callback(cache.close)
        writer = await stack.enter_async_context(writing(redis_url, *SYMBOLS))
        service = await stack.enter_async_context(serving(cache))
        viewers = [await stack.enter_async_context(viewer(service.port)) for _ in RATES_HZ]
        for one, rate_hz in zip(viewers, RATES_HZ, strict=True):
            await one.subscribe("quote:*", "scanners:top_volume", rate_hz=rate_hz)
        await asyncio.gather(*(one.read_for(CHAIN_S) for one in viewers))
        last = float(writer.shard.written + 20)
        for one in viewers:  # Held asserts every prev
            deltas = [m for m in one.messages if m["op"] == "delta" and m["feed"] == "quote:*"]
            assert len({m["seq"] for m in deltas}) == len(deltas)
            rate_hz = RATES_HZ[viewers.index(one)]
            seconds = (deltas[-1]["seq"] - deltas[0]["prev"]) / TICKS_PER_SECOND
            assert seconds > 0.8 * CHAIN_S
            # The last may have come 30 ms sooner, to make up for one that came late.
            assert 0.5 * rate_hz * seconds <= len(deltas) + 1 <= 1.05 * rate_hz * seconds + 3
            await one.until(partial(one.is_at_least, "quote:*", "SYM000", last), 10)


async def test_a_stopped_client_changes_nothing_for_the_others(
    redis_url: str, tmp_path: Path
) -> None:
    async with writing(redis_url, *SYMBOLS) as writer:
        with widget_service(redis_url) as (port, _):
            outs = [tmp_path / f"client-{number}" for number in range(3)]
            with client(port, outs[0]), client(port, outs[1]), client(port, outs[2]) as stopped:
                await asyncio.sleep(1)
                before = [len(lines_of(out)) for out in outs]
                stopped.send_signal(signal.SIGSTOP)
                first = writer.shard.written
                await asyncio.sleep(4)
                last = writer.shard.written
                seen = [lines_of(out)[count:] for out, count in zip(outs, before, strict=True)]
                stopped.send_signal(signal.SIGCONT)
                await asyncio.sleep(2)
                caught_up = lines_of(outs[2])[-1]["flush"]
                running = stopped.poll() is None
    for lines in seen[:2]:
        gaps = [b["at"] - a["at"] for a, b in pairwise(lines)]
        assert max(gaps) < 0.6
        assert lines[-1]["flush"] > last - 10
        assert len(lines) > 25, "ten a second, less what a busy machine costs"
    assert len(seen[2]) <= 3, "it was stopped"
    assert running, "its chain broke, or it was closed"
    assert caught_up > first + 20, "it goes on with the newest rows"


@pytest.mark.parametrize("keeps_data", [True, False], ids=["with data", "without data"])
async def test_a_redis_restart_is_told_and_survived(
    start_redis: StartRedis, keeps_data: bool
) -> None:
    redis = start_redis(appendonly=True)
    cache = RedisWidgetCache(redis.url, timeout_s=2.0)
    async with writing(redis.url, "AIG", "BAC") as writer, serving(cache) as service:
        async with viewer(service.port) as one:
            await one.subscribe("quote:*", "scanners:top_volume")
            await one.until_status("quote:*", "live")
            redis.stop()
            await one.until_status("quote:*", "stale")
            assert "does not answer" in one.feeds["quote:*"].status["reason"]
            assert one.close_of("quote:*", "AIG") is not None, "what was known stays"
            redis.start(wipe=not keeps_data)
            await one.until_status("quote:*", "live", 10)
            at = float(writer.shard.written)
            await one.until(partial(one.is_at_least, "quote:*", "AIG", at + 5), 10)
            assert one.feeds["scanners:top_volume"].order == ["AIG", "BAC"]
        assert service.source.resets == (1 if keeps_data else 2)
    await cache.close()


async def test_a_restart_without_data_shows_no_empty_board(start_redis: StartRedis) -> None:
    redis = start_redis()
    cache = RedisWidgetCache(redis.url, timeout_s=2.0)
    async with writing(redis.url, "AIG", "BAC"), serving(cache) as service:
        async with viewer(service.port) as one:
            await one.subscribe("scanners:top_volume")
            await one.until_status("scanners:top_volume", "live")
            redis.stop()
            redis.start()
            await one.until(lambda: service.source.resets == 2, 10)
            await one.until_status("scanners:top_volume", "live", 10)
            snapshots = [m for m in one.messages if m["op"] == "snapshot"]
            assert [len(m["rows"]) for m in snapshots] == [2, 2]
    await cache.close()


async def test_a_frozen_redis_is_told(start_redis: StartRedis) -> None:
    redis = start_redis()
    cache = RedisWidgetCache(redis.url, timeout_s=1.0)
    async with writing(redis.url, "AIG") as writer, serving(cache) as service:
        async with viewer(service.port) as one:
            await one.subscribe("quote:AIG")
            await one.until_status("quote:AIG", "live")
            os.kill(redis.pid, signal.SIGSTOP)
            try:
                await one.until_status("quote:AIG", "stale", 10)
            finally:
                os.kill(redis.pid, signal.SIGCONT)
            await one.until_status("quote:AIG", "live", 10)
            at = float(writer.shard.written)
            await one.until(partial(one.is_at_least, "quote:AIG", "AIG", at + 5), 10)
            assert service.source.resets == 1, "nothing was lost: nothing is read anew"
    await cache.close()


async def test_the_service_may_start_before_redis(start_redis: StartRedis) -> None:
    redis = start_redis()
    redis.stop()
    with widget_service(redis.url, LOG_LEVEL="error") as (port, _):
        async with viewer(port) as one:
            await one.say({"op": "subscribe", "feed": "quote:*"})
            await one.until_status("quote:*", "stale")
            redis.start()
            async with writing(redis.url, "AIG"):
                await one.until_status("quote:*", "live", 10)
                await one.until(lambda: one.close_of("quote:*", "AIG") is not None)
                told = [m["state"] for m in one.messages if m["op"] == "status"]
                assert (told[0], told[-1]) == ("stale", "live")


async def test_sigterm_sends_clients_elsewhere(redis_url: str) -> None:
    async with writing(redis_url, "AIG"):
        with widget_service(redis_url) as (port, process):
            async with viewer(port) as one:
                await one.subscribe("quote:AIG")
                process.terminate()
                assert await closing_of(one.socket) == CloseCode.DRAINING
            assert await asyncio.to_thread(process.wait, 5) == 0


def test_another_host_than_this_machine_is_refused() -> None:
    environment = {
        **os.environ,
        "WDC_REDIS_URL": "redis://127.0.0.1:1",
        "MDC_REDIS_URL": "redis://127.0.0.1:1",
        "TAPEWIRE_HTTP_HOST": "0.0.0.0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tapewire", "run", "widgets"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "'0.0.0.0' would let other machines read the feeds" in done.stderr
