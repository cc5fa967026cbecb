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
from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import Settings

DEFAULT_TOPIC: Final = {
    Stream.TRADES: "T.*",
    Stream.AGGREGATE: "A.*",
    Stream.QUOTES: "Q.*",
    Stream.HALTS: "LULD.*",
}
"""What a stream is fed by when it is asked for and MASSIVE_SUBSCRIPTIONS has nothing for it."""


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


def _stream_of(topic: str) -> Stream:
    return STREAM_OF_EVENT.get(topic.partition(".")[0], Stream.UNKNOWN)
