"""``tapewire run listener`` and ``tapewire run processor``, each with its connections."""

from collections.abc import Collection
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import Link
from tapewire.caches.interest import RedisInterest, keep_telling
from tapewire.caches.lease import RedisLease
from tapewire.caches.reference import ReferenceCache, keep_following
from tapewire.caches.registry import RedisRegistry
from tapewire.caches.replay_mark import erase, take_mark
from tapewire.cli import compose
from tapewire.cli.capture_file import open_capture
from tapewire.cli.clock import wall_ms
from tapewire.cli.composed import Alongside
from tapewire.cli.known_references import KnownReferences
from tapewire.cli.leases import LEASE_TTL_S, holder
from tapewire.cli.reference_parts import follow_calendar
from tapewire.cli.servers import build_widget_cache, reaching, server
from tapewire.cli.sink_parts import run_raw_ticks
from tapewire.cli.wiring import Wiring
from tapewire.model.streams import Stream
from tapewire.queues.queue import Queue
from tapewire.runtime.logging import get_logger
from tapewire.runtime.registry import Registry
from tapewire.runtime.service import Service, UsageError
from tapewire.runtime.settings import Settings

log = get_logger(__name__)

UP_MS: Final = 5_000
"""How long a processor has been up before it is given its own shards back."""

FRESH_S: Final = 2.5
"""An older report may be the last words of a process that was killed. Less than
``processor.STAND_BY_S``, for which a shard is kept before it is given back."""


async def make_listener(
    settings: Settings,
    wiring: Wiring,
    stack: AsyncExitStack,
    alongside: Alongside,
    *,
    instance: str,
    capture: Path | None,
) -> Service:
    """The listener over RabbitMQ, with its lease in MDC; DependencyMissing names a setting."""
    if capture is not None and Stream.TICKS in wiring.streams:
        raise UsageError("--capture records Massive's frames; leave it out for brokers")
    queue = compose.build_queue(settings, wiring, name=f"listener {instance}")
    link = Link(server(settings, "mdc_redis_url"))
    stack.push_async_callback(link.close)
    with reaching("mdc_redis_url"):
        await follow_calendar(link, wiring, alongside)
    writer = open_capture(capture, settings, wiring, stack) if capture else None
    with reaching("rabbitmq_url"):
        await queue.start()
    stack.push_async_callback(queue.stop)
    if Stream.TICKS in wiring.streams:
        return await _listen_to_brokers(
            settings, wiring, queue, stack, alongside, instance=instance
        )
    lease = RedisLease(link, compose.lease_name(settings), holder(), LEASE_TTL_S)
    return compose.build_listener(settings, wiring, queue, lease, instance=instance, capture=writer)


async def _listen_to_brokers(
    settings: Settings,
    wiring: Wiring,
    queue: Queue,
    stack: AsyncExitStack,
    alongside: Alongside,
    *,
    instance: str,
) -> Service:
    """The listener of the Indian brokers, who themselves tell names and previous closes."""
    from tapewire.cli import broker_parts

    url = server(settings, "mdc_redis_url")
    link, references = Link(url), ReferenceCache(url)
    stack.push_async_callback(link.close)
    stack.push_async_callback(references.close)
    lease = RedisLease(link, broker_parts.lease_name(settings), holder(), LEASE_TTL_S)
    listener, feed = broker_parts.build_broker_listener(
        settings, wiring, queue, lease, stack, instance=instance
    )
    date_of = broker_parts.traded_date(settings, listener)
    alongside.run(broker_parts.keep_references(feed, references, date_of), "names and closes")
    return listener


async def make_processor(
    settings: Settings, wiring: Wiring, stack: AsyncExitStack, alongside: Alongside, *, index: int
) -> Service:
    """A processor over RabbitMQ, WDC and MDC; DependencyMissing names a setting."""
    queue = compose.build_queue(settings, wiring, name=f"processor {index}")
    mdc = server(settings, "mdc_redis_url")
    cache = build_widget_cache(settings)
    stack.push_async_callback(cache.close)
    references = ReferenceCache(mdc)
    stack.push_async_callback(references.close)
    registry = RedisRegistry(mdc)
    stack.push_async_callback(registry.close)
    link = Link(mdc)
    stack.push_async_callback(link.close)
    with reaching("wdc_redis_url"):
        await cache.shards()
        if wiring.is_live:
            await _make_live(server(settings, "wdc_redis_url"))
    with reaching("mdc_redis_url"):
        await references.position()
        await follow_calendar(link, wiring, alongside)
    with reaching("rabbitmq_url"):
        await queue.start()
    known = KnownReferences()
    processor = compose.build_processor(
        settings,
        wiring,
        queue,
        cache,
        known,
        index=index,
        homes_up=partial(homes_up, registry),
        raw=run_raw_ticks(settings, stack, alongside) if settings.raw_ticks else None,
    )
    known.refer = processor.refer
    alongside.run(keep_following(references, known.take), "reference rows")
    interest = RedisInterest(mdc)
    stack.push_async_callback(interest.close)
    alongside.run(keep_telling(interest, processor.learn), "watched symbols")
    return processor


async def _make_live(url: str) -> None:
    """A live system does not go on from a replay's result: that is erased."""
    if await take_mark(url):
        log.warning("WDC_REDIS_URL held the result of a replay, which is erased")
        await erase(url)


async def homes_up(registry: Registry, now_ms: int | None = None) -> Collection[int]:
    """Indices of the processors that have been healthy for five seconds and still beat.

    Nobody's, while the registry does not answer: shards then stay where they are.
    """
    now_ms = wall_ms() if now_ms is None else now_ms
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
