"""``dashboard``: what the page's scripts cost while 500 rows change before one's eyes a second.

The real dashboard from a real control plane in a real Chromium, over a real widget service
and Redis. Every 100 ms a flush changes 21 rows that are in sight on each of the three
boards, 630 a second, and twice as many out of sight; once a second each board is ranked
anew. How many rows really changed in sight is counted in the page, before its scripts are
traced: counting costs scripting too.
"""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct
from playwright.sync_api import Browser, CDPSession, Page, expect

from benchmarks import machine
from benchmarks.frames import PROJECT
from benchmarks.plan import Plan
from benchmarks.report import Row, complain, say
from benchmarks.scripting import CATEGORIES, Event, Scripting, scripting
from benchmarks.streams import percentile
from benchmarks.widgets import DATE, SHARD, record, redis_server
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.changes import BoardChange, Changes
from tapewire.model.feeds import BOARDS, board_set, quote_hash
from tapewire.model.rows import encode_row
from tests.e2e.browser import chromium
from tests.servers import free_port, is_listening, wait_until
from tests.up_process import build_dashboard

NAME: Final = "dashboard"
LISTED: Final = 200
SEEN: Final = 21
UNSEEN: Final = 42
FLUSH_S: Final = 0.1
LEAST_UPDATES: Final = 500
"""Visible updates a second for which the budget is asked."""

BUDGET_MS: Final = 4.0
SCREEN: Final = {"width": 1600, "height": 1300}
SETTLE_S: Final = 2.0

COUNT: Final = """(seconds) => new Promise((resolve) => {
  let rows = 0
  const inSight = (row) => {
    const { top, bottom } = row.getBoundingClientRect()
    const board = row.closest('[role=grid]').getBoundingClientRect()
    return bottom > board.top && top < board.bottom
  }
  const observer = new MutationObserver((records) => {
    const changed = new Set()
    for (const { target } of records) {
      const row = target.parentElement?.closest('.board-rows [role=row]')
      if (row) changed.add(row)
    }
    for (const row of changed) if (inSight(row)) rows += 1
  })
  const began = performance.now()
  observer.observe(document.body, { subtree: true, characterData: true, childList: true })
  setTimeout(() => {
    observer.disconnect()
    resolve(rows * 1000 / (performance.now() - began))
  }, seconds * 1000)
})"""
"""Rows whose text changed while they were in sight, a second."""


class Figures(Struct, frozen=True):
    """One run: visible updates a second, and the frames that had scripting."""

    updates: float
    frames: list[Scripting]

    def cpu_ms(self, share: float) -> float:
        """A percentile of the frames' processor time."""
        return percentile([frame.cpu_ms for frame in self.frames], share)

    def wall_ms(self, share: float) -> float:
        """A percentile of the frames' time on the clock."""
        return percentile([frame.wall_ms for frame in self.frames], share)


def run(plan: Plan) -> Iterator[Row]:
    """Scripting per frame in microseconds, and visible updates a second; medians of the runs."""
    build_dashboard()
    found: list[Figures] = []
    with chromium() as browser:
        for number in plan.counted(NAME):
            with redis_server(plan.folder / f"{NAME}-{number}") as server:
                found.append(measured(server.url, browser, plan.seconds))
            say(f"  {described(found[-1])}")
    wrong = [wrong for each in found for wrong in faults(each)]
    complain(NAME, wrong)
    for metric, share in (("scripting_p50_us", 0.5), ("scripting_p99_us", 0.99)):
        value = machine.median([1000 * each.cpu_ms(share) for each in found])
        yield Row(NAME, metric, round(value), "us", 0, not wrong)
    updates = machine.median([each.updates for each in found])
    yield Row(NAME, "visible_updates_per_second", round(updates), "rows/s", 0, not wrong)


def described(figures: Figures) -> str:
    """One run in a line."""
    cpu, wall = (
        f"p50 {of(0.5):.2f} ms, p99 {of(0.99):.2f} ms" for of in (figures.cpu_ms, figures.wall_ms)
    )
    return (
        f"{figures.updates:.0f} visible updates/s; scripting per frame {cpu}"
        f" ({wall} on the clock), {len(figures.frames)} frames"
    )


def faults(figures: Figures) -> list[str]:
    """Why a run's figures would mean nothing."""
    if figures.updates < LEAST_UPDATES:
        return [f"{figures.updates:.0f} visible updates/s; expected {LEAST_UPDATES} or more"]
    return []


def measured(redis: str, browser: Browser, seconds: float, patience_s: float = 0.0) -> Figures:
    """Open the page over an empty Redis, feed it, count, then trace.

    ``patience_s``: for how long it is counted again where a busy machine draws too few.
    """
    with services(redis) as url, feeding(redis):
        context = browser.new_context(viewport=SCREEN)  # type: ignore[arg-type]
        try:
            page = context.new_page()
            page.goto(url)
            for board in BOARDS:
                expect(page.locator(f"#{board}-title")).to_be_visible()
            expect(page.locator('[data-field="close"]').nth(60)).to_be_visible()
            page.wait_for_timeout(SETTLE_S * 1000)
            updates = counted(page, seconds, patience_s)
            return Figures(updates, scripting(traced(page, seconds)))
        finally:
            context.close()


def counted(page: Page, seconds: float, patience_s: float) -> float:
    """Rows that change in sight a second; the best of several looks if there is patience."""
    until_s = time.monotonic() + patience_s
    best: float = page.evaluate(COUNT, seconds)
    while best < LEAST_UPDATES and time.monotonic() < until_s:
        best = max(best, page.evaluate(COUNT, seconds))
    return best


def traced(page: Page, seconds: float) -> list[Event]:
    """What the browser did in the next ``seconds``."""
    cdp = page.context.new_cdp_session(page)
    events: list[Event] = []
    cdp.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    cdp.send("Tracing.start", {"traceConfig": {"includedCategories": list(CATEGORIES)}})
    page.wait_for_timeout(seconds * 1000)
    _end(page, cdp)
    return events


def _end(page: Page, cdp: CDPSession) -> None:
    ended: list[Any] = []
    cdp.on("Tracing.tracingComplete", lambda told: ended.append(told))
    cdp.send("Tracing.end")
    deadline_s = time.monotonic() + 20
    while not ended:
        page.wait_for_timeout(20)
        if time.monotonic() > deadline_s:
            raise TimeoutError("the browser did not hand over its trace within 20 s")


@contextmanager
def services(redis: str) -> Iterator[str]:
    """``tapewire run widgets`` and ``run control``, each a process; the page's address."""
    stream, page = free_port(), free_port()
    environment = {
        **os.environ,
        "WDC_REDIS_URL": redis,
        "MDC_REDIS_URL": redis,
        "TAPEWIRE_HTTP_PORT_WDS": str(stream),
        "TAPEWIRE_HTTP_PORT_SCP": str(page),
        "LOG_LEVEL": "warning",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tapewire", "run", name], cwd=PROJECT, env=environment
        )
        for name in ("widgets", "control")
    ]
    try:
        for process, port in zip(processes, (stream, page), strict=True):
            wait_until(lambda p=port: is_listening(p), "a service", 30.0, process=process)  # type: ignore[misc]
        yield f"http://127.0.0.1:{page}/"
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


@contextmanager
def feeding(redis: str) -> Iterator[None]:
    """Flush every 100 ms from a thread of its own; raises what went wrong there."""
    ended = threading.Event()
    with ThreadPoolExecutor(1, "flushes") as pool:
        writing = pool.submit(lambda: asyncio.run(write(redis, ended)))
        try:
            yield
        finally:
            ended.set()
    writing.result()


async def write(redis: str, ended: threading.Event) -> None:
    """A shard whose boards move until told to end."""
    cache = RedisWidgetCache(redis)
    try:
        place = (await cache.claim(SHARD)).place
        began_s, number = time.monotonic(), 0
        while not ended.is_set():
            await asyncio.sleep(max(0.0, began_s + number * FLUSH_S - time.monotonic()))
            place = await cache.flush(SHARD, place, {}, flush_of(number))
            number += 1
    finally:
        await cache.close()


def flush_of(number: int) -> Changes:
    """The first flush lists everything; then some rows change, and once a second the ranks."""
    changes = Changes()
    rows = changes.rows[quote_hash(DATE)] = {}
    for board, name in enumerate(BOARDS):
        symbols = [f"{name[4:6].upper()}{k:03}" for k in range(LISTED)]
        for k in changing(number):
            rows[symbols[k]] = encode_row(record(symbols[k], 200 * board + k, number))
        if number % 10 == 0:
            changes.boards[board_set(name, DATE)] = BoardChange(ranked(symbols, number))
    return changes


def changing(number: int) -> Sequence[int]:
    """Which rows of a board change: all of those at its head, some of the others in turn."""
    if number == 0:
        return range(LISTED)
    rest = LISTED - SEEN
    return [*range(SEEN), *(SEEN + (number * UNSEEN + k) % rest for k in range(UNSEEN))]


def ranked(symbols: Sequence[str], number: int) -> dict[str, float]:
    """Scores in which neighbours change places, and those at the head stay there."""
    return {
        symbol: float(LISTED - k + (1.5 if (k + number // 10) % 3 == 0 and k != SEEN else 0))
        for k, symbol in enumerate(symbols)
    }
