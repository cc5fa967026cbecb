"""One replay: its caches, its parts in this process, the wait for its end.

``replay_plan.py`` says what is built; ``replay_processes.py`` runs the same parts as processes of
their own.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from msgspec.structs import replace

from tapewire.caches.embedded import EmbeddedServer
from tapewire.caches.reference import MemoryReference
from tapewire.caches.replay_mark import Holding, erase_and_mark, holding
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli import compose
from tapewire.cli.clock import wall_ms
from tapewire.cli.options import QueueKind
from tapewire.cli.output import Printer
from tapewire.cli.replay_plan import (
    Plan,
    ReplayOptions,
    at_simulator,
    load_references,
    make_plan,
)
from tapewire.cli.replay_processes import as_processes
from tapewire.cli.replay_result import ReplayResult, print_result, progress_of, result_of
from tapewire.cli.replay_watch import Watcher
from tapewire.cli.servers import build_widget_cache, server
from tapewire.providers.massive.feeds import DELAY_MS
from tapewire.runtime.environment import Loaded
from tapewire.runtime.lease import LocalLease
from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import Settings
from tapewire.simulators.massive import MassiveSimulator

POLL_S: Final = 0.05


async def run_replay(options: ReplayOptions, loaded: Loaded, *, json: bool) -> int:
    """Play the sources; print the result; 0 when everything arrived."""
    plan = make_plan(options, loaded.settings)
    printer = Printer.for_stdout(json=json)
    for note in plan.source.notes:
        Watcher.say(note)
    async with caches(plan.settings) as settings:
        result = await play(replace(plan, settings=settings))
    print_result(printer, result)
    return 0


@asynccontextmanager
async def caches(settings: Settings) -> AsyncIterator[Settings]:
    """The settings with a Redis for both caches: WDC's of the environment, else the embedded.

    Reference rows and leases go to the same place as the result, so that a replay touches
    nothing of a live system.
    """
    if settings.wdc_redis_url:
        yield settings.replaced(mdc_redis_url=settings.wdc_redis_url)
        return
    server = EmbeddedServer(settings.tapewire_data_dir)
    await server.start()
    try:
        yield settings.replaced(wdc_redis_url=server.wdc_url, mdc_redis_url=server.mdc_url)
    finally:
        await server.stop()


async def play(plan: Plan) -> ReplayResult:
    """Begin with an empty result, run the parts until every shard has ended."""
    await _begin_empty(plan)
    cache = build_widget_cache(plan.settings)
    try:
        async with _parts(plan, cache) as ended_early:
            started = time.perf_counter()
            await _until_ended(plan, cache, ended_early)
            seconds = time.perf_counter() - started
        return await result_of(cache, plan.shards, seconds)
    finally:
        await cache.close()


async def _begin_empty(plan: Plan) -> None:
    url = server(plan.settings, "wdc_redis_url")
    if await holding(url) is Holding.LIVE:
        raise UsageError(
            "WDC_REDIS_URL holds the data of a live system, which a replay would erase; give a"
            " replay a Redis of its own (another server or database number), or leave"
            " WDC_REDIS_URL out for the embedded server"
        )
    await erase_and_mark(url, " ".join(plan.options.sources))


Parts = AsyncIterator[Callable[[], Awaitable[None]]]


def _parts(plan: Plan, cache: RedisWidgetCache) -> Any:
    if plan.options.queue is QueueKind.MEMORY:
        return in_this_process(plan, cache)
    return as_processes(plan)


@asynccontextmanager
async def in_this_process(plan: Plan, cache: RedisWidgetCache) -> Parts:
    """Simulator, listener and processor on this loop; yields a wait for what fails."""
    async with AsyncExitStack() as stack:
        delay_ms = DELAY_MS if plan.options.delayed else 0
        simulator = MassiveSimulator(
            [plan.source], speed=plan.options.speed, once=True, delay_ms=delay_ms
        )
        stack.push_async_callback(simulator.stop)
        await simulator.start()
        settings = at_simulator(plan.settings, simulator.ws_url, simulator.rest_url)
        references = MemoryReference()
        await load_references(settings, plan.source, references)
        queue = compose.build_queue(settings, plan.wiring, name="replay listener")
        await queue.start()
        stack.push_async_callback(queue.stop)
        consumer = compose.build_queue(settings, plan.wiring, name="replay processor")
        processor = compose.build_processor(settings, plan.wiring, consumer, cache, references)
        stack.push_async_callback(processor.stop)
        await processor.start()
        lease = LocalLease(wall_ms())
        listener = compose.build_listener(settings, plan.wiring, queue, lease)
        stack.push_async_callback(listener.stop)
        await listener.start()

        async def wait() -> None:
            await asyncio.gather(listener.wait(), processor.wait())

        yield wait
        await processor.drain()  # the last facts of one stream for the rows of another


async def _until_ended(
    plan: Plan, cache: RedisWidgetCache, ended_early: Callable[[], Awaitable[None]]
) -> None:
    """Watch until every shard has ended; raise what failed before."""
    failure = asyncio.ensure_future(ended_early())
    watcher = Watcher(plan.source.name)
    try:
        with watcher:
            while True:
                progress = await progress_of(cache, plan.shards)
                watcher.show(progress)
                if all(one.ended for one in progress):
                    return
                done, _ = await asyncio.wait({failure}, timeout=POLL_S)
                if done:
                    failure.result()
    finally:
        failure.cancel()
