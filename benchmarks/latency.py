"""``latency``: the provider's timestamp on a trade to the frame in which a client reads it.

The live services as they run in production, a process each: listener, RabbitMQ, processor,
Redis, widget service. 20,000 trades a second of 1,000 tickers arrive in frames every 10 ms;
50 clients watch a board of 50 rows at 10 Hz. A trade's price tells when it was stamped, so
every row of every frame has its age. Event time runs at wall speed through the morning of
the last session of the exchange.
"""

import asyncio
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from benchmarks import machine
from benchmarks.frames import PROJECT
from benchmarks.listener import DIALOGUE
from benchmarks.plan import Plan
from benchmarks.rabbitmq import Servers, running
from benchmarks.report import Row, complain, say
from benchmarks.roles import Feed
from benchmarks.streams import StreamClient, connect, percentile
from tapewire.market.sessions import SessionCalendar
from tests.servers import free_port, is_listening, wait_until

NAME: Final = "latency"
EVENTS_PER_SECOND: Final = 20_000
CLIENTS: Final = 50
ROWS: Final = 50
TICKERS: Final = 1_000
SLOT_S: Final = 0.01
WARM_UP_S: Final = 5.0
SECONDS: Final = 60.0
"""How long a run measures unless a shorter time than the default is asked for."""

CLOSE: Final = re.compile(rb'"close":(\d+\.\d+)')
WANTS: Final = b'{"op":"subscribe","feed":"scanners:top_volume","limit":%d,"rate_hz":10}' % ROWS
TRADE: Final = '{"ev":"T","sym":"L%03d","x":11,"p":%.2f,"s":%d,"t":%d,"q":%d,"z":3}'


def run(plan: Plan) -> Iterator[Row]:
    """The 99th percentile and the median of one long run."""
    seconds = SECONDS if plan.seconds == Plan.seconds else plan.seconds
    with running(plan.folder / "latency-benchmark") as servers:
        say(f"{NAME}: {seconds:g} s of {EVENTS_PER_SECOND:,} events/s")
        ages, wrong = machine.run_on_loop(lambda: measure(servers, seconds))
    complain(NAME, wrong)
    for metric, share in (("p99_ms", 0.99), ("p50_ms", 0.5)):
        yield Row(NAME, metric, math.ceil(1000 * percentile(ages, share)), "ms", 0, not wrong)


class Market:
    """Trades of now: ``stamps`` says when those of each slot were made (monotonic seconds)."""

    def __init__(self) -> None:
        calendar = SessionCalendar.load("XNYS")
        now_ms = time.time_ns() // 1_000_000
        day = calendar.previous_session(calendar.trading_date(now_ms))
        self._shift_ms = now_ms - day.open_ms
        self.stamps: list[float] = []
        self.events = 0
        self.is_over = False

    def frame(self) -> bytes:
        """One slot's trades; their price is its number in cents, from 1.00 on."""
        self.stamps.append(time.monotonic())
        at_ms = time.time_ns() // 1_000_000 - self._shift_ms
        price = 1 + len(self.stamps) / 100
        count = round(len(self.stamps) * SLOT_S * EVENTS_PER_SECOND) - self.events
        first = self.events
        self.events += count
        numbers = range(first, first + count)
        trades = (
            TRADE % (n % TICKERS, price, 100 + n % TICKERS % 7, at_ms, n + 1) for n in numbers
        )
        return ("[" + ",".join(trades) + "]").encode()

    def age_s(self, close: bytes, now_s: float) -> float:
        """How old a price is."""
        return now_s - self.stamps[round(100 * (float(close) - 1)) - 1]


class LiveFeed(Feed):
    """The provider's side of the listener's connection."""

    async def stream(self, market: Market) -> None:
        """Shake hands, then a frame in every slot until cancelled."""
        await self._shake_hands()
        for line in DIALOGUE:
            self._say(line)
            await self._hear() if line is not DIALOGUE[-1] else None
        began_s = time.monotonic()
        try:
            while True:
                due_s = began_s + (len(market.stamps) + 1) * SLOT_S
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                self._say(market.frame())
                await self._writer.drain()
        finally:
            self._writer.transport.abort()


async def measure(servers: Servers, seconds: float) -> tuple[list[float], list[str]]:
    """Ages in seconds of every row in every frame, and what was wrong."""
    market = Market()
    feeds: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if market.is_over:
            writer.transport.abort()
            return
        feeds.append(asyncio.create_task(LiveFeed(reader, writer).stream(market)))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stocks"
        with services(servers, url) as port:
            return await watch(market, feeds, port, seconds)


async def watch(
    market: Market, feeds: list[asyncio.Task[None]], port: int, seconds: float
) -> tuple[list[float], list[str]]:
    """Read what the clients get, after a warm-up."""
    ages: list[float] = []
    counting = False

    def took(_: StreamClient, text: bytes, now_s: float) -> None:
        if counting:
            ages.extend(market.age_s(close, now_s) for close in CLOSE.findall(text))

    clients = await connect(port, CLIENTS, WANTS, took)
    await asyncio.sleep(WARM_UP_S)
    counting = True
    await asyncio.sleep(seconds)
    market.is_over = True
    for feed in feeds:
        feed.cancel()
    await asyncio.gather(*feeds, return_exceptions=True)
    await asyncio.sleep(0.1)
    return ages, complaints(clients, len(ages), len(feeds), seconds)


def complaints(clients: list[StreamClient], rows: int, feeds: int, seconds: float) -> list[str]:
    """What was wrong with a run."""
    wrong = [f"a client was closed: {each.ended}" for each in clients if each.ended]
    wrong += [f"{each.broken} deltas out of order" for each in clients if each.broken]
    if feeds != 1:
        wrong.append(f"the listener connected {feeds} times")
    least = 0.5 * seconds * 10 * CLIENTS * ROWS
    if rows < least:
        wrong.append(f"{rows} rows came; expected at least {least:.0f}")
    for each in clients:
        if each.transport is not None:
            each.transport.abort()
    return wrong


@contextmanager
def services(servers: Servers, feed: str) -> Iterator[int]:
    """Listener, processor and widget service; the port of the last."""
    port = free_port()
    environment = {
        **os.environ,
        "RABBITMQ_URL": servers.rabbit.url(servers.rabbit.add_vhost()),
        "MDC_REDIS_URL": servers.redis.url,
        "WDC_REDIS_URL": servers.redis.url,
        "MASSIVE_FEED": feed,
        "MASSIVE_API_KEY": "benchmark",
        "MASSIVE_SUBSCRIPTIONS": "T.*",
        "TAPEWIRE_HTTP_PORT_WDS": str(port),
        "LOG_LEVEL": "warning",
    }
    with ExitStack() as stack:
        for part in ("widgets", "processor", "listener"):
            stack.enter_context(service(part, environment))
        wait_until(lambda: is_listening(port), "the widget service", 20.0)
        yield port


@contextmanager
def service(name: str, environment: Mapping[str, str]) -> Iterator[None]:
    """One ``tapewire run``."""
    http = () if name == "widgets" else ("--http", "off")
    command = [sys.executable, "-m", "tapewire", "run", name, *http]
    process = subprocess.Popen(command, cwd=PROJECT, env=dict(environment))
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
