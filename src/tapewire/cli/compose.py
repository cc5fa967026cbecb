"""Settings into parts: queues, listener, processor, reference service, caches.

One small function per part. ``tapewire run`` puts them into processes of their own,
``tapewire replay`` into one; what differs between the two is in `Wiring`.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import aiohttp
from msgspec import Struct

from tapewire.caches.cache import CacheError
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.market.sessions import Session, SessionCalendar
from tapewire.model.streams import Shard, Stream
from tapewire.providers.massive.client import ClientBounds, MassiveClient
from tapewire.providers.massive.feeds import delay_ms
from tapewire.providers.massive.protocol import decode
from tapewire.providers.massive.rest import MassiveRest
from tapewire.providers.massive.splitter import STREAM_OF_EVENT
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.queues.queue import Queue, QueueError
from tapewire.queues.rabbitmq import RabbitQueue
from tapewire.runtime.lease import Lease
from tapewire.runtime.service import DependencyMissing, UsageError
from tapewire.runtime.settings import Settings
from tapewire.services.analysis import Analysis
from tapewire.services.listener import Capture, MassiveDataListener
from tapewire.services.processor import MassiveDataProcessor
from tapewire.services.reference import ReferenceService, ReferenceStore
from tapewire.services.shard_owner import ProcessorOptions, References

EXCHANGE: Final = "XNYS"

DEFAULT_TOPIC: Final = {
    Stream.TRADES: "T.*",
    Stream.AGGREGATE: "A.*",
    Stream.QUOTES: "Q.*",
    Stream.HALTS: "LULD.*",
}
"""What a stream is fed by when it is asked for and MASSIVE_SUBSCRIPTIONS has nothing for it."""

HomesUp = Callable[[], Awaitable[Collection[int]]]


class Wiring(Struct, frozen=True, kw_only=True):
    """How the parts of one system are joined, beyond what the settings say.

    ``streams``: what is carried. ``lossless``: a replay, with queues of its own without TTL
    and length bound, a listener that waits for room, and clocks that follow the events.
    ``prefix``: of the queues' names; None for the setting's. ``broker``: the in-process
    broker that the parts share; None for RabbitMQ. ``ttl_ms`` replaces the setting's (a
    replay that asks for live behaviour). ``once``: the listener ends with its source.
    """

    streams: tuple[Stream, ...]
    lossless: bool = False
    prefix: str | None = None
    broker: MemoryBroker | None = None
    ttl_ms: int | None = None
    once: bool = False


def server(settings: Settings, name: str) -> str:
    """A server's address from the settings; DependencyMissing that names the setting."""
    try:
        return settings.required(name)
    except UsageError as error:
        raise DependencyMissing(str(error)) from error


@contextmanager
def reaching(name: str) -> Iterator[None]:
    """Say which setting holds the address of a server that does not answer."""
    try:
        yield
    except (CacheError, QueueError) as error:
        raise DependencyMissing(
            f"{name.upper()}: {error}. Start that server, or correct the setting."
        ) from error


def parse_streams(text: str | None, settings: Settings) -> tuple[Stream, ...]:
    """``trades,aggregate`` as streams; by default those of MASSIVE_SUBSCRIPTIONS."""
    if text is None:
        found = (_stream_of(topic) for topic in settings.massive_subscriptions)
        return tuple(dict.fromkeys(found))
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or (wrong := [name for name in names if name not in set(DEFAULT_TOPIC)]):
        seen = ", ".join(map(repr, wrong)) if names else "nothing"
        raise UsageError(f"--streams names {seen}; expected some of {', '.join(DEFAULT_TOPIC)}")
    return tuple(dict.fromkeys(map(Stream, names)))


def topics_of(settings: Settings, streams: Sequence[Stream]) -> tuple[str, ...]:
    """The topics to subscribe to for these streams: the settings', else everything."""
    subscribed = settings.massive_subscriptions
    topics: list[str] = []
    for stream in streams:
        own = [topic for topic in subscribed if _stream_of(topic) is stream]
        topics += own or [DEFAULT_TOPIC[stream]]
    return tuple(topics)


def shards_of(settings: Settings, streams: Sequence[Stream]) -> list[Shard]:
    """Every shard of these streams."""
    return [Shard(stream, k) for stream in streams for k in range(settings.tapewire_shards)]


def build_layout(settings: Settings, wiring: Wiring) -> QueueLayout:
    """Names and bounds of the queues."""
    prefix = settings.queue_prefix if wiring.prefix is None else wiring.prefix
    shards = dict.fromkeys(wiring.streams, settings.tapewire_shards)
    if wiring.lossless:
        return QueueLayout.lossless(prefix, shards)
    ttl_ms = settings.market_data_message_ttl if wiring.ttl_ms is None else wiring.ttl_ms
    return QueueLayout(prefix, shards, ttl_ms=ttl_ms)


def build_queue(settings: Settings, wiring: Wiring, *, name: str = "tapewire") -> Queue:
    """A handle on RabbitMQ, or on the broker in this process; not started yet."""
    layout = build_layout(settings, wiring)
    if wiring.broker is not None:
        return MemoryQueue(wiring.broker, layout, prefetch=settings.prefetch_count)
    url = server(settings, "rabbitmq_url")
    return RabbitQueue(url, layout, prefetch=settings.prefetch_count, name=name)


def build_widget_cache(settings: Settings) -> RedisWidgetCache:
    """WDC; whoever asks closes it."""
    return RedisWidgetCache(server(settings, "wdc_redis_url"))


def build_client(settings: Settings, wiring: Wiring) -> MassiveClient:
    """The provider's one connection; a lossless one ends with its source."""
    topics = topics_of(settings, wiring.streams)
    bounds = ClientBounds(max_unreachable=10) if wiring.lossless else None
    return MassiveClient(
        settings.massive_url,
        settings.required("massive_api_key"),
        topics,
        live=is_live(settings),
        once=wiring.once or wiring.lossless,
        bounds=bounds,
    )


def is_live(settings: Settings) -> Callable[[], bool]:
    """Whether data is expected now: while the market is open, at a URL of one's own always."""
    if "://" in settings.massive_feed:
        return lambda: True
    calendar = SessionCalendar.load(EXCHANGE)
    return lambda: calendar.session_at(wall_ms()) is not Session.CLOSED


def build_listener(
    settings: Settings,
    wiring: Wiring,
    queue: Queue,
    lease: Lease,
    *,
    instance: str = "0",
    capture: Capture | None = None,
) -> MassiveDataListener:
    """The listener; the queue is started and stopped by whoever made it."""
    return MassiveDataListener(
        build_client(settings, wiring),
        queue,
        lease,
        shards=dict.fromkeys(wiring.streams, settings.tapewire_shards),
        instance=instance,
        lossless=wiring.lossless,
        linger=wiring.once and capture is None,  # a capture's batches go nowhere
        capture=capture,
    )


def lease_name(settings: Settings) -> str:
    """One lease per account, endpoint and asset class; the key itself is not in the name."""
    account = f"{settings.massive_url} {settings.required('massive_api_key')}"
    return f"massive:{hashlib.sha256(account.encode()).hexdigest()[:16]}"


def build_processor(
    settings: Settings,
    wiring: Wiring,
    queue: Queue,
    cache: RedisWidgetCache,
    references: References,
    *,
    index: int = 0,
    homes_up: HomesUp | None = None,
) -> MassiveDataProcessor:
    """The processor ``index`` of PARALLELISM; it starts and stops its queue itself."""
    options = ProcessorOptions(
        instance=str(index),
        index=index,
        processors=settings.parallelism,
        flush_s=settings.tapewire_flush_ms / 1000,
        prefetch=settings.prefetch_count,
        live=not wiring.lossless,
        delay_ms=None if wiring.lossless else delay_ms(settings.massive_feed),
    )
    return MassiveDataProcessor(
        queue,
        cache,
        references,
        shards_of(settings, wiring.streams),
        build_analysis(settings, wiring).maker(),
        decode,
        options,
        homes_up=homes_up,
    )


def build_analysis(settings: Settings, wiring: Wiring) -> Analysis:
    """What is folded from what, for these streams."""
    return Analysis.of(
        topics_of(settings, wiring.streams),
        quote_source=settings.quote_source.value,
        candle_conditions=settings.candle_conditions.value,
        grace_ms=settings.candle_grace_ms,
    )


def build_reference(
    settings: Settings,
    session: aiohttp.ClientSession,
    store: ReferenceStore,
    clock: Callable[[], float],
    *,
    instance: str = "0",
    calendar_clock: Callable[[], int] | None = None,
) -> ReferenceService:
    """The reference service; the session and the store belong to the caller.

    ``clock``: monotonic seconds. ``calendar_clock``: the ms UTC that tell the trading day,
    where that is not today.
    """
    key = settings.required("massive_api_key")
    rest = MassiveRest(settings.massive_rest_url, key, session=session, clock=clock)
    calendar = SessionCalendar.load(EXCHANGE)
    return ReferenceService(
        rest, store, calendar, wall_ms=calendar_clock or wall_ms, instance=instance
    )


def wall_ms() -> int:
    """UTC milliseconds now."""
    return int(datetime.now(UTC).timestamp() * 1000)


def _stream_of(topic: str) -> Stream:
    return STREAM_OF_EVENT.get(topic.partition(".")[0], Stream.UNKNOWN)
