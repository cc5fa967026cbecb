"""The data path in one process: listener, in-memory queue, processor, reference rows.

What ``tapewire up`` runs where there is no RabbitMQ. It holds the embedded server open, so
that the server ends with whoever uses it last, also when ``tapewire up`` itself is killed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from msgspec import Struct

from tapewire.caches.embedded import EmbeddedServer
from tapewire.caches.interest import RedisInterest, keep_telling
from tapewire.caches.reference import ReferenceCache, keep_following
from tapewire.caches.registry import RedisRegistry
from tapewire.cli import compose
from tapewire.cli.clock import EXCHANGE, wall_ms
from tapewire.cli.composed import Alongside, Composed
from tapewire.cli.edge import load_for_service
from tapewire.cli.errors import explain
from tapewire.cli.reference_parts import build_service, open_market_data
from tapewire.cli.servers import build_widget_cache, server
from tapewire.cli.sink_parts import run_raw_ticks
from tapewire.cli.up_store import data_path_lock
from tapewire.cli.wiring import MASSIVE, Wiring, is_broker, parse_streams
from tapewire.market.sessions import SessionCalendar
from tapewire.queues.memory import MemoryBroker
from tapewire.queues.queue import Queue
from tapewire.runtime.lease import LocalLease
from tapewire.runtime.presence import Presence
from tapewire.runtime.runner import Deadlines, run_service
from tapewire.runtime.service import Report, Service, State
from tapewire.runtime.settings import Settings

FEED_S: Final = 20.0
"""How long a feed that is started beside us may take."""


class Together:
    """Several services as one. They start and drain in the order given, stop in reverse."""

    name = "core"

    def __init__(self, members: Sequence[Service], since_ms: int) -> None:
        self._members = tuple(members)
        self._since_ms = since_ms
        self._state = State.STARTING

    async def start(self) -> None:
        """Start every member."""
        for member in self._members:
            await member.start()
        self._state = State.RUNNING

    async def wait(self) -> None:
        """Return when all have ended; raise what the first one failed with."""
        async with asyncio.TaskGroup() as tasks:
            for member in self._members:
                tasks.create_task(member.wait())

    async def drain(self) -> None:
        """Drain the members one after the other, so that each can take what the last gave."""
        self._state = State.DRAINING
        for member in self._members:
            await member.drain()

    async def stop(self) -> None:
        """Stop every member."""
        for member in reversed(self._members):
            await member.stop()
        self._state = State.STOPPED

    def report(self) -> Report:
        """Healthy only if every member is."""
        sick = [one for one in (m.report() for m in self._members) if not one.healthy]
        troubled = [f"{one.service}: {one.reason or one.state}" for one in sick]
        return Report(
            self.name,
            "0",
            State.DEGRADED if troubled and self._state is State.RUNNING else self._state,
            not troubled,
            self._since_ms,
            reason="; ".join(troubled),
        )

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Members take their own commands."""
        raise ValueError(f"unknown command {name!r}; send it to listener, processor or reference")


def run_core(
    after_port: int | None = None, date: str | None = None, provider: str = MASSIVE
) -> int:
    """Run the data path in this process until asked to end; the exit code.

    ``after_port``: begin when somebody listens there, as a server started beside us will.
    ``date``: the ISO date of the session that is played, else the current one.
    """
    settings = load_for_service({}, service="core", instance="0").settings

    async def make(stack: AsyncExitStack, alongside: Alongside) -> Service:
        core = await _make(settings, stack, alongside, provider, date)
        if after_port is not None:
            await _until_listening(after_port)
        return core

    deadlines = Deadlines.within(settings.tapewire_drain_s)
    service = Composed("core", "0", wall_ms(), make)
    return run_service(service, deadlines=deadlines, explain=explain)


def clock_of(date: str | None) -> Callable[[], int]:
    """Wall clock in ms; for a day that is played one that began at that day's open."""
    if date is None:
        return wall_ms
    ahead_ms = SessionCalendar.load(EXCHANGE).day(date).open_ms - wall_ms()
    return lambda: wall_ms() + ahead_ms


async def _until_listening(port: int) -> None:
    """Return when a connection can be made; one that never can is the listener's trouble."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FEED_S):
            while not await _listens(port):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _make(
    settings: Settings,
    stack: AsyncExitStack,
    alongside: Alongside,
    provider: str,
    date: str | None,
) -> Service:
    embedded = EmbeddedServer(settings.tapewire_data_dir)
    await embedded.start()
    await stack.enter_async_context(data_path_lock(embedded.folder.parent).held())
    stack.push_async_callback(embedded.stop)
    streams = parse_streams(None, settings, provider)
    wiring = Wiring(streams=streams, broker=MemoryBroker())
    references = ReferenceCache(server(settings, "mdc_redis_url"))
    stack.push_async_callback(references.close)
    cache = build_widget_cache(settings)
    stack.push_async_callback(cache.close)
    queue = compose.build_queue(settings, wiring, name="listener")
    await queue.start()
    stack.push_async_callback(queue.stop)
    consumed = compose.build_queue(settings, wiring, name="processor")
    raw = run_raw_ticks(settings, stack, alongside) if settings.raw_ticks else None
    processor = compose.build_processor(settings, wiring, consumed, cache, references, raw=raw)
    make_ends = _make_indian if is_broker(provider) else _make_american
    parts = _Parts(settings, wiring, queue, references, date)
    listener, *others = await make_ends(parts, stack, alongside)
    alongside.run(keep_following(references, processor.refer), "reference rows")
    interest = RedisInterest(server(settings, "mdc_redis_url"))
    stack.push_async_callback(interest.close)
    alongside.run(keep_telling(interest, processor.learn), "watched symbols")
    members: tuple[Service, ...] = (listener, processor, *others)
    await _announce(settings, members, stack, alongside)
    return Together(members, wall_ms())


class _Parts(Struct, frozen=True):
    """What a provider's ends are joined to; ``date`` as `run_core` has it."""

    settings: Settings
    wiring: Wiring
    queue: Queue
    references: ReferenceCache
    date: str | None


async def _make_american(
    parts: _Parts, stack: AsyncExitStack, alongside: Alongside
) -> Sequence[Service]:
    """The listener of Massive, and the reference service."""
    settings, wiring = parts.settings, parts.wiring
    clock = clock_of(parts.date)
    listener = compose.build_listener(settings, wiring, parts.queue, LocalLease(wall_ms()))
    market = await open_market_data(settings, stack, wiring.calendar, clock)
    alongside.run(market.watch.follow(), "calendar")
    return listener, build_service(market, parts.references, adopts=clock is wall_ms)


async def _make_indian(
    parts: _Parts, stack: AsyncExitStack, alongside: Alongside
) -> Sequence[Service]:
    """The listener of the brokers, who themselves tell names and previous closes."""
    from tapewire.cli.broker_parts import build_broker_listener, keep_references, traded_date

    settings = parts.settings
    lease = LocalLease(wall_ms())
    listener, feed = build_broker_listener(settings, parts.wiring, parts.queue, lease, stack)
    date_of = traded_date(settings, listener)
    alongside.run(keep_references(feed, parts.references, date_of), "names and closes")
    return (listener,)


async def _announce(
    settings: Settings, members: Sequence[Service], stack: AsyncExitStack, alongside: Alongside
) -> None:
    """Let each member report for itself, as it does in a process of its own."""
    registry = RedisRegistry(server(settings, "mdc_redis_url"))
    stack.push_async_callback(registry.close)
    for member in members:
        presence = Presence(member, registry, member.report)
        stack.push_async_callback(presence.leave, in_good_order=True)
        alongside.run(presence.beat_forever(), f"{member.name} reports")
