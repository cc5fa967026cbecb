"""``widgets``: a row in WDC to the frame that a client received.

2,000 clients subscribe to one board of 50 rows at 10 Hz; every 100 ms one flush changes
all 50. The service has the first core for itself; Redis, the writer and all clients share
the last one. A latency begins before the flush is sent and ends when a client has read the
whole frame that has it or a later one: for every client every flush counts, also one that a
slow moment merged with the next.
"""

import asyncio
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import structs

from benchmarks import machine
from benchmarks.frames import PROJECT
from benchmarks.plan import Plan
from benchmarks.report import Row, complain, say
from benchmarks.streams import StreamClient, connect, percentile
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.changes import BoardChange, Changes
from tapewire.model.feeds import board_set, quote_hash
from tapewire.model.rows import QuoteRecord, encode_row
from tests.servers import RedisServer, free_port, is_listening, wait_until

NAME: Final = "widgets"
CLIENTS: Final = 2_000
ROWS: Final = 50
FLUSH_S: Final = 0.1
WARM_UP_S: Final = 2.0
SETTLE_S: Final = 1.0
DATE: Final = "2026-11-20"
SHARD: Final = "trades.0"
NUMBER: Final = re.compile(rb'"volume":(\d+)')
WANTS: Final = b'{"op":"subscribe","feed":"scanners:top_volume","limit":%d,"rate_hz":10}' % ROWS


def run(plan: Plan) -> Iterator[Row]:
    """The 99th percentile and the median of every run's frames; of these the medians."""
    found, wrong = [], []
    for number in plan.counted(NAME):
        with machine.on_core(-1), redis_server(plan.folder / f"{NAME}-{number}") as server:
            latencies, complaints = through(server.url, plan.seconds, CLIENTS)
        found.append(latencies)
        wrong += complaints
        p50, p99 = (1000 * percentile(latencies, share) for share in (0.5, 0.99))
        say(f"  p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(latencies):,} flushes received")
    complain(NAME, wrong)
    for metric, share in (("p99_ms", 0.99), ("p50_ms", 0.5)):
        value = machine.median([1000 * percentile(latencies, share) for latencies in found])
        yield Row(NAME, metric, math.ceil(value), "ms", 0, not wrong)


def through(redis: str, seconds: float, clients: int) -> tuple[list[float], list[str]]:
    """One run over an empty Redis: latencies in seconds, and what was wrong."""
    allow_files(clients + 200)
    with widget_service(redis) as port:
        return machine.run_on_loop(lambda: watch(redis, port, seconds, clients))


def allow_files(count: int) -> None:
    """Let this process and its children open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A Redis for one run."""
    server = RedisServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def widget_service(redis: str) -> Iterator[int]:
    """``tapewire run widgets`` on the first core; its port."""
    port = free_port()
    environment = {
        **os.environ,
        "WDC_REDIS_URL": redis,
        "MDC_REDIS_URL": redis,
        "TAPEWIRE_HTTP_PORT_WDS": str(port),
        "LOG_LEVEL": "warning",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tapewire", "run", "widgets"], cwd=PROJECT, env=environment
    )
    pin_elsewhere(process.pid)
    try:
        wait_until(lambda: is_listening(port), "the widget service", 20.0, process=process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def pin_elsewhere(pid: int) -> None:
    """Put a process on the first core that is not ours."""
    mine = machine.cores()
    others = [core for core in range(os.cpu_count() or 1) if core not in mine]
    if mine and others:
        os.sched_setaffinity(pid, {others[0]})


class Writer:
    """A shard whose 50 symbols all trade in every flush."""

    def __init__(self, cache: RedisWidgetCache) -> None:
        self._cache = cache
        self.sent_s: list[float] = []

    async def write(self, seconds: float) -> None:
        place = (await self._cache.claim(SHARD)).place
        began_s = time.monotonic()
        while (due_s := began_s + len(self.sent_s) * FLUSH_S) < began_s + seconds:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            changes = flush_of(len(self.sent_s))
            self.sent_s.append(time.monotonic())
            place = await self._cache.flush(SHARD, place, {}, changes)


def flush_of(number: int) -> Changes:
    """Every row changes in the fields that a trade changes; the board once a second."""
    rows = {f"SYM{k:02}": encode_row(record(f"SYM{k:02}", k, number)) for k in range(ROWS)}
    changes = Changes(rows={quote_hash(DATE): rows})
    if number % 10 == 0:
        scores = {symbol: float((k * 7 + number) % 1000) for k, symbol in enumerate(rows)}
        changes.boards[board_set("top_volume", DATE)] = BoardChange(scores)
    return changes


def record(symbol: str, k: int, number: int) -> QuoteRecord:
    """``volume`` carries the number of the flush."""
    price = round(20 + k + math.sin(number / 7 + k), 2)
    fields: dict[str, object] = dict.fromkeys(
        one.name for one in structs.fields(QuoteRecord) if one.required
    )
    fields |= {"symbol": symbol, "volume": number, "accumulated_volume": 10_000 * k + 100 * number}
    fields |= {"vwap": price - 0.0123, "close": price, "high": price + 0.1, "low": price - 0.1}
    fields |= {"aggregate_vwap": price - 0.0456, "average_size": 87.5, "avg_volume": 1e6}
    fields |= {"relative_volume": (k + number) / 1e3, "prev_day_close": 19.5 + k, "open": 20.0 + k}
    fields |= {"change": price - 19.5 - k, "pct_change": 100 * (price / (19.5 + k) - 1)}
    fields |= {"change_since_open": price - 20 - k, "pct_change_since_open": 5 * (price / 20 - 1)}
    fields |= {"start_timestamp": 1_795_000_000_000 + 100 * number, "session": "regular"}
    fields |= {"end_timestamp": 1_795_000_001_000 + 100 * number, "gap": False}
    return QuoteRecord(**fields)  # type: ignore[arg-type]


async def watch(redis: str, port: int, seconds: float, count: int) -> tuple[list[float], list[str]]:
    """Latencies in seconds of every frame, and what was wrong with them."""
    cache = RedisWidgetCache(redis)
    writer = Writer(cache)
    latencies: list[float] = []
    first = round(WARM_UP_S / FLUSH_S)

    def took(client: StreamClient, text: bytes, now_s: float) -> None:
        found = NUMBER.search(text)
        if found:
            number = int(found[1])
            seen = range(max(client.mark + 1, first), number + 1)
            latencies.extend(now_s - writer.sent_s[each] for each in seen)
            client.mark = number

    clients = await connect(port, count, WANTS, took)
    await writer.write(seconds + WARM_UP_S)
    await asyncio.sleep(SETTLE_S)
    await cache.close()
    wrong = [f"a client was closed: {each.ended}" for each in clients if each.ended]
    wrong += [f"{each.broken} deltas out of order" for each in clients if each.broken]
    late = sum(each.mark != len(writer.sent_s) - 1 for each in clients)
    if late:
        wrong.append(f"{late} clients never got the last flush")
    for each in clients:
        if each.transport is not None:
            each.transport.abort()
    return latencies, wrong
