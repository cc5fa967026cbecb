"""One table of what every queue is called and which bounds it has.

Both implementations read it, and whoever comes first (listener or processor) declares
from it, so two processes with the same settings ask the broker for the same queue.
"""

from collections.abc import Mapping
from typing import Final, Self

import msgspec
from msgspec import Struct

from tapewire.model.streams import Shard, Stream

MARKET_DATA_TTL_MS: Final = 5_000
"""Ticks are perishable: older than this they would only delay what is current."""

NEWS_TTL_MS: Final = 900_000
"""A headline is worth 15 minutes of waiting."""

MAX_QUEUE_BYTES: Final = 64 * 1024 * 1024
"""Ready bytes per queue; the oldest batches pay when it is reached."""


class QueueArguments(Struct, frozen=True):
    """The bounds of one queue. None means that there is no such bound."""

    ttl_ms: int | None = MARKET_DATA_TTL_MS
    max_bytes: int | None = MAX_QUEUE_BYTES

    def for_broker(self) -> dict[str, str | int | bool]:
        """The ``x-`` arguments of ``queue.declare`` (``components.md`` 2)."""
        arguments: dict[str, str | int | bool] = {
            "x-queue-type": "classic",
            "x-single-active-consumer": True,
        }
        if self.ttl_ms is not None:
            arguments["x-message-ttl"] = self.ttl_ms
        if self.max_bytes is not None:
            arguments["x-max-length-bytes"] = self.max_bytes
            arguments["x-overflow"] = "drop-head"
        return arguments


class QueueLayout(Struct, frozen=True):
    """Names and bounds of the queues of one deployment.

    ``shards`` gives the number of shards of a stream (1 where it says nothing);
    ``ttl_ms`` is for every stream but news; 0 or None means "no such argument", as for
    ``max_bytes``.
    """

    prefix: str = ""
    shards: Mapping[Stream, int] = msgspec.field(default_factory=dict)
    ttl_ms: int | None = MARKET_DATA_TTL_MS
    news_ttl_ms: int | None = NEWS_TTL_MS
    max_bytes: int | None = MAX_QUEUE_BYTES

    @classmethod
    def lossless(cls, prefix: str, shards: Mapping[Stream, int]) -> Self:
        """A run that may lose nothing: queues of its own, no TTL, no length bound."""
        return cls(prefix, shards, ttl_ms=None, news_ttl_ms=None, max_bytes=None)

    def name(self, shard: Shard) -> str:
        """``{prefix}{stream}`` for a stream of one shard, else ``{prefix}{stream}.{k}``."""
        count = self.shards.get(shard.stream, 1)
        if not 0 <= shard.index < count:
            raise ValueError(
                f"shard {shard.name} does not exist: {shard.stream.value} has {count} shard(s); "
                "use the same number of shards in the listener and the processors"
            )
        return f"{self.prefix}{shard.stream.value if count == 1 else shard.name}"

    def arguments(self, shard: Shard) -> QueueArguments:
        """The bounds of this shard's queue."""
        ttl_ms = self.news_ttl_ms if shard.stream is Stream.NEWS else self.ttl_ms
        return QueueArguments(ttl_ms=ttl_ms or None, max_bytes=self.max_bytes or None)
