"""What a system carries and how its parts are joined: streams, topics, shards.

Apart from `compose`, which imports every part that it builds: a service that carries no
stream starts without them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec import Struct, field

from tapewire.cli.clock import EXCHANGE
from tapewire.market.sessions import SessionCalendar
from tapewire.model.streams import Shard, Stream
from tapewire.providers.massive.splitter import STREAM_OF_EVENT
from tapewire.queues.memory import MemoryBroker
from tapewire.runtime.broker_settings import BROKERS
from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import Settings

MASSIVE: Final = "massive"
ALL_BROKERS: Final = "brokers"

DEFAULT_TOPIC: Final = {
    Stream.TRADES: "T.*",
    Stream.AGGREGATE: "A.*",
    Stream.QUOTES: "Q.*",
    Stream.HALTS: "LULD.*",
}
"""What a stream is fed by when it is asked for and MASSIVE_SUBSCRIPTIONS has nothing for it."""

STREAMS: Final = (*DEFAULT_TOPIC, Stream.TICKS)
"""What may be asked for: Massive's streams, and the brokers' one."""


class Wiring(Struct, frozen=True, kw_only=True):
    """How the parts of one system are joined, beyond what the settings say.

    ``streams``: what is carried. ``lossless``: a replay, with queues of its own without TTL
    and length bound, a listener that waits for room, and clocks that follow the events.
    ``prefix``: of the queues' names; None for the setting's. ``broker``: the in-process
    broker that the parts share; None for RabbitMQ. ``ttl_ms`` replaces the setting's (a
    replay that asks for live behaviour). ``once``: the listener ends with its source.
    ``calendar``: the exchange's hours, as corrected where the system is live.
    """

    streams: tuple[Stream, ...]
    lossless: bool = False
    prefix: str | None = None
    broker: MemoryBroker | None = None
    ttl_ms: int | None = None
    once: bool = False
    calendar: SessionCalendar = field(default_factory=partial(SessionCalendar.load, EXCHANGE))

    @property
    def is_live(self) -> bool:
        """Whether what is carried happens now: nothing is replayed."""
        return not (self.lossless or self.once)


def parse_streams(
    text: str | None, settings: Settings, provider: str = MASSIVE
) -> tuple[Stream, ...]:
    """``trades,aggregate`` as streams; by default those that the provider has.

    Of Massive these are those of MASSIVE_SUBSCRIPTIONS.
    """
    if text is None and is_broker(provider):
        return (Stream.TICKS,)
    if text is None:
        found = (_stream_of(topic) for topic in settings.massive_subscriptions)
        return tuple(dict.fromkeys(found))
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or (wrong := [name for name in names if name not in set(STREAMS)]):
        seen = ", ".join(map(repr, wrong)) if names else "nothing"
        raise UsageError(f"--streams names {seen}; expected some of {', '.join(STREAMS)}")
    return tuple(dict.fromkeys(map(Stream, names)))


def is_broker(provider: str) -> bool:
    """Whether a provider is all Indian brokers, or one."""
    return provider == ALL_BROKERS or provider in BROKERS


def check_listened(streams: Sequence[Stream], provider: str) -> None:
    """UsageError when a listener of this provider cannot carry one of these streams."""
    has = (Stream.TICKS,) if is_broker(provider) else tuple(DEFAULT_TOPIC)
    if strange := [stream for stream in streams if stream not in has]:
        raise UsageError(
            f"a listener of {provider} has no {', '.join(strange)}; expected --streams of"
            f" {', '.join(has)}, or another --provider"
        )


def topics_of(settings: Settings, streams: Sequence[Stream]) -> tuple[str, ...]:
    """Massive's topics to subscribe to for these streams: the settings', else everything."""
    subscribed = settings.massive_subscriptions
    topics: list[str] = []
    for stream in (one for one in streams if one is not Stream.TICKS):
        own = [topic for topic in subscribed if _stream_of(topic) is stream]
        topics += own or [DEFAULT_TOPIC[stream]]
    return tuple(topics)


def shards_of(settings: Settings, streams: Sequence[Stream]) -> list[Shard]:
    """Every shard of these streams."""
    return [Shard(stream, k) for stream in streams for k in range(settings.tapewire_shards)]


def _stream_of(topic: str) -> Stream:
    return STREAM_OF_EVENT.get(topic.partition(".")[0], Stream.UNKNOWN)
