"""Settings into parts: queues, listener, processor, reference service, caches.

One small function per part. ``tapewire run`` puts them into processes of their own,
``tapewire replay`` into one; what differs between the two is in `wiring.Wiring`.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection

import aiohttp

from tapewire.analyzers.leaderboard import BoardFilter
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli.clock import EXCHANGE, wall_ms
from tapewire.cli.servers import server
from tapewire.cli.wiring import Wiring, shards_of, topics_of
from tapewire.market.sessions import Session, SessionCalendar
from tapewire.providers.massive.client import ClientBounds, MassiveClient
from tapewire.providers.massive.feeds import delay_ms
from tapewire.providers.massive.rest import RestSettings
from tapewire.providers.massive.rest_limits import SharedLimits
from tapewire.providers.massive.rest_reference import MassiveReference
from tapewire.providers.token_bucket import RateLimit
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryQueue
from tapewire.queues.queue import Queue
from tapewire.queues.rabbitmq import RabbitQueue
from tapewire.runtime.lease import Lease
from tapewire.runtime.settings import Settings
from tapewire.services.analysis import Analysis
from tapewire.services.decoding import decode
from tapewire.services.listener import Capture, MassiveDataListener
from tapewire.services.processor import MassiveDataProcessor
from tapewire.services.reference import ReferenceService, ReferenceStore
from tapewire.services.shard_owner import ProcessorOptions, References
from tapewire.sinks.raw_ticks import RawTicks

HomesUp = Callable[[], Awaitable[Collection[int]]]


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


def build_client(settings: Settings, wiring: Wiring) -> MassiveClient:
    """The provider's one connection; a lossless one ends with its source."""
    topics = topics_of(settings, wiring.streams)
    bounds = ClientBounds(max_unreachable=10) if wiring.lossless else None
    return MassiveClient(
        settings.massive_url,
        settings.required("massive_api_key"),
        topics,
        live=is_live(settings, wiring.calendar),
        once=wiring.once or wiring.lossless,
        bounds=bounds,
    )


def is_live(settings: Settings, calendar: SessionCalendar) -> Callable[[], bool]:
    """Whether data is expected now: while the market is open, at a URL of one's own always."""
    if "://" in settings.massive_feed:
        return lambda: True
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
    raw: RawTicks | None = None,
) -> MassiveDataProcessor:
    """The processor ``index`` of PARALLELISM; it starts and stops its queue itself.

    ``raw`` gets the ticks that it decodes.
    """
    options = ProcessorOptions(
        instance=str(index),
        index=index,
        processors=settings.parallelism,
        flush_s=settings.tapewire_flush_ms / 1000,
        tick_flush_s=settings.tick_flush_ms / 1000,
        prefetch=settings.prefetch_count,
        live=not wiring.lossless,
        delay_ms=None if wiring.lossless else delay_ms(settings.massive_feed),
        tick_delay_ms=None if wiring.lossless else tick_delay_ms(settings),
    )
    return MassiveDataProcessor(
        queue,
        cache,
        references,
        shards_of(settings, wiring.streams),
        build_analysis(settings, wiring).maker(wiring.calendar),
        decode if raw is None else raw.around(decode),
        options,
        homes_up=homes_up,
        sink_drops=dict if raw is None else raw.drops,
    )


def tick_delay_ms(settings: Settings) -> int | None:
    """How far brokers are behind the wall clock: not at all.

    None at addresses of one's own, where any day may be played.
    """
    own = (f"{broker}_rest_url" for broker in settings.brokers)
    shipped = all(getattr(settings, name) == Settings.model_fields[name].default for name in own)
    return 0 if shipped else None


def build_analysis(settings: Settings, wiring: Wiring) -> Analysis:
    """What is folded from what, for these streams; PluginError for a broken plug-in."""
    analysis = Analysis.of(
        topics_of(settings, wiring.streams),
        quote_source=settings.quote_source.value,
        candle_conditions=settings.candle_conditions.value,
        grace_ms=settings.candle_grace_ms,
        listed=BoardFilter(**settings.board_bounds),
    )
    return analysis.choosing(settings.tapewire_analyzers)


def build_reference(
    settings: Settings,
    session: aiohttp.ClientSession,
    store: ReferenceStore,
    clock: Callable[[], float],
) -> ReferenceService:
    """A reference service for a replay, which asks for dates and starts nothing.

    The session and the store belong to the caller; ``clock``: monotonic seconds.
    """
    return ReferenceService(
        build_rest(settings, session, clock),
        store,
        SessionCalendar.load(EXCHANGE),
        wall_ms=wall_ms,
    )


def build_rest(
    settings: Settings,
    session: aiohttp.ClientSession,
    clock: Callable[[], float],
    limits: SharedLimits | None = None,
) -> MassiveReference:
    """The provider's REST; ``clock``: monotonic seconds, ``limits``: of all processes."""
    key = settings.required("massive_api_key")
    url = settings.massive_rest_url
    asking = RestSettings(limit=plan_of(settings.massive_calls_per_minute))
    return MassiveReference(url, key, session=session, clock=clock, settings=asking, shared=limits)


def plan_of(calls: int) -> RateLimit:
    """So many calls a minute with a second to spare, a tenth of a second's worth at once."""
    return RateLimit(calls=calls, per_s=61.0, burst=max(calls // 600, 1))
