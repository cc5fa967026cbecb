"""What ``tapewire run`` does: each service with its connections, heartbeats and health."""

import os
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
from msgspec import Struct

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import Link
from tapewire.caches.lease import RedisLease
from tapewire.caches.reference import ReferenceCache, keep_following
from tapewire.caches.registry import RedisRegistry
from tapewire.caches.replay_mark import erase, take_mark
from tapewire.cli import compose
from tapewire.cli.capture import open_capture
from tapewire.cli.composed import Alongside, Composed, Make
from tapewire.cli.errors import explain
from tapewire.cli.known_references import KnownReferences
from tapewire.runtime.health import HttpAddress
from tapewire.runtime.logging import get_logger
from tapewire.runtime.process_manager import (
    ManagedWorkers,
    ProcessManager,
    Supervision,
    WorkerSpec,
    tapewire_command,
)
from tapewire.runtime.registry import Registry
from tapewire.runtime.runner import Deadlines, run_service
from tapewire.runtime.service import Service, UsageError
from tapewire.runtime.settings import HTTP_PORTS, Settings

log = get_logger(__name__)

LEASE_TTL_S: Final = 15.0

UP_MS: Final = 5_000
"""How long a processor has been up before it is given its own shards back."""

FRESH_S: Final = 2.5
"""An older report may be the last words of a process that was killed. Less than
``processor.STAND_BY_S``, for which a shard is kept before it is given back."""


_SERVE_THEMSELVES: Final = frozenset({"control", "widgets"})
"""Services whose health is on the port that they serve anyway."""


class Plan(Struct, frozen=True):
    """One ``tapewire run``: which service, which of its instances, how it is wired."""

    settings: Settings
    service: str
    wiring: compose.Wiring
    index: int | None = None
    http: bool = True
    capture: Path | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        service: str,
        streams: str | None,
        *,
        index: int | None,
        http: bool,
        capture: Path | None = None,
        lossless: bool = False,
        once: bool = False,
    ) -> "Plan":
        """Check the options against each other; UsageError when they contradict."""
        if service == "processor" and index is not None and index >= settings.parallelism:
            raise UsageError(
                f"--index {index} does not exist among {settings.parallelism} processor(s);"
                " expected a smaller one, or a larger --processors"
            )
        if capture is not None and service != "listener":
            raise UsageError(
                f"--capture records what a listener reads; the {service} reads no socket"
            )
        carried = compose.parse_streams(streams, settings)
        wiring = compose.Wiring(streams=carried, lossless=lossless, once=once)
        return cls(settings, service, wiring, index, http, capture)

    @property
    def is_many(self) -> bool:
        """Whether several processors are to run here."""
        return self.service == "processor" and self.index is None and self.settings.parallelism > 1

    @property
    def instance(self) -> str:
        """The service's name for itself in the registry."""
        return str(self.index or 0)

    @property
    def address(self) -> HttpAddress | None:
        """Where health and metrics listen; None when they are off."""
        if not self.http or self.service in _SERVE_THEMSELVES:
            return None
        settings = self.settings
        setting = HTTP_PORTS[self.service].upper()
        return HttpAddress(settings.tapewire_http_host, settings.http_port(self.service), setting)


def run_one(plan: Plan) -> int:
    """Run one service until it ends; its exit code."""
    make: Make = partial(_MAKERS[plan.service], plan)
    return _host(plan, Composed(plan.service, plan.instance, compose.wall_ms(), make))


def run_processors(plan: Plan, provider: str) -> int:
    """Run every processor of PARALLELISM under a process manager; the first failure's code."""
    drain_s = plan.settings.tapewire_drain_s
    manager = ProcessManager(Supervision(drain_s=0.8 * drain_s))
    count = plan.settings.parallelism
    specs = [_worker(plan, provider, k) for k in range(count)]
    return _host(plan, ManagedWorkers(manager, specs))


def _worker(plan: Plan, provider: str, index: int) -> WorkerSpec:
    settings, wiring = plan.settings, plan.wiring
    options = {
        "--provider": provider,
        "--streams": ",".join(wiring.streams),
        "--shards": settings.tapewire_shards,
        "--processors": settings.parallelism,
        "--index": index,
        "--http": "off",
    }
    words = [str(word) for pair in options.items() for word in pair]
    flags = ["--lossless"] if wiring.lossless else []
    return WorkerSpec(f"processor-{index}", tapewire_command("run", "processor", *words, *flags))


def _host(plan: Plan, service: Service) -> int:
    registry = RedisRegistry(compose.server(plan.settings, "mdc_redis_url"))
    return run_service(
        service,
        registry=registry,
        http=plan.address,
        deadlines=Deadlines.within(plan.settings.tapewire_drain_s),
        explain=explain,
        close=registry.close,
    )


async def _make_listener(plan: Plan, stack: AsyncExitStack, _: Alongside) -> Service:
    settings, wiring = plan.settings, plan.wiring
    queue = compose.build_queue(settings, wiring, name=f"listener {plan.instance}")
    link = Link(compose.server(settings, "mdc_redis_url"))
    stack.push_async_callback(link.close)
    with compose.reaching("mdc_redis_url"):
        await link.run("PING")
    writer = open_capture(plan.capture, settings, wiring, stack) if plan.capture else None
    with compose.reaching("rabbitmq_url"):
        await queue.start()
    stack.push_async_callback(queue.stop)
    lease = RedisLease(link, compose.lease_name(settings), holder(), LEASE_TTL_S)
    return compose.build_listener(
        settings, wiring, queue, lease, instance=plan.instance, capture=writer
    )


async def _make_processor(plan: Plan, stack: AsyncExitStack, alongside: Alongside) -> Service:
    settings, wiring = plan.settings, plan.wiring
    queue = compose.build_queue(settings, wiring, name=f"processor {plan.instance}")
    mdc = compose.server(settings, "mdc_redis_url")
    cache = compose.build_widget_cache(settings)
    stack.push_async_callback(cache.close)
    references = ReferenceCache(mdc)
    stack.push_async_callback(references.close)
    registry = RedisRegistry(mdc)
    stack.push_async_callback(registry.close)
    with compose.reaching("wdc_redis_url"):
        await cache.shards()
        if not (wiring.lossless or wiring.once):
            await _make_live(compose.server(settings, "wdc_redis_url"))
    with compose.reaching("mdc_redis_url"):
        await references.position()
    with compose.reaching("rabbitmq_url"):
        await queue.start()
    known = KnownReferences()
    processor = compose.build_processor(
        settings,
        wiring,
        queue,
        cache,
        known,
        index=plan.index or 0,
        homes_up=partial(homes_up, registry),
    )
    known.refer = processor.refer
    alongside.run(keep_following(references, known.take), "reference rows")
    return processor


async def _make_live(url: str) -> None:
    """A live system does not go on from a replay's result: that is erased."""
    if await take_mark(url):
        log.warning("WDC_REDIS_URL held the result of a replay, which is erased")
        await erase(url)


async def _make_reference(plan: Plan, stack: AsyncExitStack, _: Alongside) -> Service:
    store = ReferenceCache(compose.server(plan.settings, "mdc_redis_url"))
    stack.push_async_callback(store.close)
    with compose.reaching("mdc_redis_url"):
        await store.position()
    session = await stack.enter_async_context(aiohttp.ClientSession())
    return compose.build_reference(
        plan.settings, session, store, time.monotonic, instance=plan.instance
    )


async def _make_control(plan: Plan, stack: AsyncExitStack, alongside: Alongside) -> Service:
    from tapewire.cli.control_parts import make_control

    return await make_control(plan.settings, stack, alongside)


async def _make_widgets(plan: Plan, stack: AsyncExitStack, alongside: Alongside) -> Service:
    from tapewire.cli.widget_parts import make_widgets

    return await make_widgets(plan.settings, stack, alongside, instance=plan.instance)


async def homes_up(registry: Registry, now_ms: int | None = None) -> Collection[int]:
    """Indices of the processors that have been healthy for five seconds and still beat.

    Nobody's, while the registry does not answer: shards then stay where they are.
    """
    now_ms = compose.wall_ms() if now_ms is None else now_ms
    try:
        reports = await registry.reports(FRESH_S)
    except CacheUnavailable:
        return ()  # the process's own heartbeats count and log this outage
    return {
        int(report.instance)
        for report in reports
        if report.service == "processor"
        and report.healthy
        and now_ms - report.since_ms >= UP_MS
        and report.instance.isdigit()
    }


def holder() -> str:
    """This process's name as the holder of a lease: another one after every start."""
    return f"{socket.gethostname()}:{os.getpid()}:{compose.wall_ms()}"


_MAKERS: Final[Mapping[str, Callable[[Plan, AsyncExitStack, Alongside], Awaitable[Service]]]] = {
    "listener": _make_listener,
    "processor": _make_processor,
    "reference": _make_reference,
    "widgets": _make_widgets,
    "control": _make_control,
}
