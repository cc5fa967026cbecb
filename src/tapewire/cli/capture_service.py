"""What ``tapewire capture`` runs: a listener whose batches go nowhere and whose frames stay."""

import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tapewire.caches.connection import Link
from tapewire.caches.lease import RedisLease
from tapewire.cli import compose
from tapewire.cli.capture_file import open_capture
from tapewire.cli.clock import wall_ms
from tapewire.cli.composed import Alongside, Composed
from tapewire.cli.errors import say
from tapewire.cli.leases import LEASE_TTL_S, holder
from tapewire.cli.output import Column, Printer, Style
from tapewire.cli.wiring import Wiring, parse_streams
from tapewire.providers.capture import SUFFIX
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.runtime.lease import Lease, LocalLease
from tapewire.runtime.runner import Deadlines, run_service
from tapewire.runtime.service import Service, ServiceError, State
from tapewire.runtime.settings import Settings
from tapewire.services.listener import MassiveDataListener

DISCARDED_BYTES = 1024 * 1024
"""What the queues that nobody reads may hold."""

_COLUMNS = (
    Column("file", "file"),
    Column("frames", "frames", Style.COUNT),
    Column("frame_bytes", "bytes received", Style.COUNT),
    Column("file_bytes", "bytes on disk", Style.COUNT),
)


def run_capture(
    settings: Settings, output: Path | None, seconds: float | None, *, json: bool
) -> int:
    """Record until ``seconds`` have passed, the source ends, or a signal comes; exit code."""
    path = output or Path(f"massive-{datetime.now(UTC):%Y%m%d-%H%M%S}{SUFFIX}")
    summary: dict[str, Any] = {}

    async def make(stack: AsyncExitStack, alongside: Alongside) -> Service:
        return await _make(settings, path, seconds, summary, stack, alongside)

    service = Composed("capture", "0", wall_ms(), make)
    deadlines = Deadlines.within(settings.tapewire_drain_s)
    code = run_service(service, deadlines=deadlines, explain=say)
    if summary:
        summary["file_bytes"] = path.stat().st_size
        Printer.for_stdout(json=json).rows([summary], _COLUMNS)
    return code


async def _make(
    settings: Settings,
    path: Path,
    seconds: float | None,
    summary: dict[str, Any],
    stack: AsyncExitStack,
    alongside: Alongside,
) -> Service:
    wiring = Wiring(streams=parse_streams(None, settings), once=True)
    lease = await _lease(settings, stack)
    writer = open_capture(path, settings, wiring, stack)
    stack.callback(
        lambda: summary.update(file=str(path), frames=writer.frames, frame_bytes=writer.frame_bytes)
    )
    shards = dict.fromkeys(wiring.streams, settings.tapewire_shards)
    queue = MemoryQueue(MemoryBroker(), QueueLayout(shards=shards, max_bytes=DISCARDED_BYTES))
    listener = compose.build_listener(settings, wiring, queue, lease, capture=writer)
    alongside.run(_watch(listener, path), "watch the file")
    if seconds is not None:
        alongside.run(_end_after(listener, seconds), "time limit")
    return listener


async def _lease(settings: Settings, stack: AsyncExitStack) -> Lease:
    """The account's lease where there is an MDC: a capture must not push a listener out."""
    if settings.mdc_redis_url is None:
        return LocalLease(wall_ms())
    link = Link(settings.required("mdc_redis_url"))
    stack.push_async_callback(link.close)
    return RedisLease(link, compose.lease_name(settings), holder(), LEASE_TTL_S)


async def _watch(listener: MassiveDataListener, path: Path) -> None:
    """Say who holds the connection while we wait for it; fail when the file cannot be written."""
    told = False
    while True:
        await asyncio.sleep(0.2)
        if listener.statistics.capture_errors:
            raise ServiceError(f"{path}: {listener.report().reason}; is the disk full?")
        report = listener.report()
        if report.state is State.STAND_BY and report.reason and not told:
            told = True
            sys.stderr.write(f"tapewire: waiting: {report.reason}\n")


async def _end_after(listener: MassiveDataListener, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await listener.drain()
