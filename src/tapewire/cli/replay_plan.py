"""What a replay is asked for, and what all of its parts are built from."""

import secrets
import time
from typing import Any, Final

import aiohttp
from msgspec import Struct
from msgspec.structs import replace

from tapewire.caches.reference import MemoryReference, ReferenceCache
from tapewire.cli import compose
from tapewire.cli.options import Conditions, QueueKind
from tapewire.cli.wiring import Wiring, shards_of
from tapewire.model.streams import Shard
from tapewire.providers.massive.splitter import STREAM_OF_EVENT
from tapewire.queues.memory import MemoryBroker
from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import Settings
from tapewire.simulators.generator import DEFAULT_DATE
from tapewire.simulators.source_strings import completed, parse_source
from tapewire.simulators.sources import MergedSources

KEY: Final = "replay"
"""The key of a simulator that takes any."""


ONE_DAY: Final = {"date": DEFAULT_DATE, "until": "end"}
"""What a generator plays unless it says otherwise, in whichever process that is."""


class ReplayOptions(Struct, frozen=True, kw_only=True):
    """One replay as asked for on the command line; ``ttl_ms`` None loses nothing."""

    sources: tuple[str, ...]
    queue: QueueKind
    shards: int
    processors: int
    speed: str
    conditions: Conditions
    ttl_ms: int | None
    delayed: bool = False

    def check(self) -> None:
        """Refuse what cannot work, with the reason."""
        if self.queue is QueueKind.MEMORY and self.processors > 1:
            raise UsageError(
                f"--processors {self.processors} with --queue memory: the in-memory queue lives"
                " inside one process, and so does its one processor; use --queue rabbitmq for"
                " several, or leave --processors out"
            )


class Plan(Struct, frozen=True):
    """Everything that a replay's parts are built from."""

    options: ReplayOptions
    settings: Settings
    source: MergedSources
    wiring: Wiring

    @property
    def shards(self) -> list[Shard]:
        """Every shard whose end is waited for."""
        return shards_of(self.settings, self.wiring.streams)


def make_plan(options: ReplayOptions, settings: Settings) -> Plan:
    """Read the sources and decide what is carried; errors of usage come from here."""
    texts = tuple(completed(text, ONE_DAY) for text in options.sources)
    options = replace(options, sources=texts)
    source = MergedSources([parse_source(text) for text in texts])
    topics = tuple(f"{topic}.*" for topic in sorted(source.topics))
    streams = tuple(dict.fromkeys(STREAM_OF_EVENT[topic] for topic in sorted(source.topics)))
    lossless = options.ttl_ms is None
    wiring = Wiring(
        streams=streams,
        once=True,
        lossless=lossless,
        prefix=f"replay.{secrets.token_hex(4)}.",
        broker=MemoryBroker() if options.queue is QueueKind.MEMORY else None,
        ttl_ms=options.ttl_ms,
    )
    changes: dict[str, Any] = {
        "massive_subscriptions": topics,
        "tapewire_shards": options.shards,
        "parallelism": options.processors,
    }
    settings = settings.replaced(**changes)
    compose.build_analysis(settings, wiring)  # a broken plug-in ends it before anything is erased
    return Plan(options, settings, source, wiring)


def at_simulator(settings: Settings, ws_url: str, rest_url: str) -> Settings:
    """The settings pointed at a simulator."""
    changes: dict[str, Any] = {
        "massive_feed": ws_url,
        "massive_rest_url": rest_url,
        "massive_api_key": KEY,
    }
    return settings.replaced(**changes)


async def load_references(
    settings: Settings, source: MergedSources, store: MemoryReference | ReferenceCache
) -> None:
    """Reference rows of the sessions that the source plays."""
    async with aiohttp.ClientSession() as session:
        service = compose.build_reference(settings, session, store, time.monotonic)
        for date in source.dates:
            await store.put(date, await service.load(date))
