"""``memory``: what a processor and Redis hold for 10,000 symbols and a day of minutes.

Every symbol trades once in every minute of the regular session, each in a second of its
own choosing, so that a day makes 3.9 million candles. One processor with every analyzer
folds them from batches, as fast as it goes, and flushes as it does in production. Its
resident memory and Redis's are read at the end of the day; a week of a tenth as many
symbols shows whether either grows from day to day.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from benchmarks import machine
from benchmarks.batches import EPOCH, TRADES
from benchmarks.frames import PROJECT, framed
from benchmarks.plan import Plan
from benchmarks.report import Row, complain, say
from tapewire.caches.reader import WidgetReader
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.market.sessions import SessionCalendar, TradingDay
from tapewire.model.batch import encode_batch
from tapewire.providers.batcher import Batcher, Slice
from tapewire.providers.massive.splitter import FrameSplitter, QueueNameResolver
from tapewire.providers.massive.wire import decode
from tapewire.services.analysis import Analysis
from tapewire.services.shard_state import ShardState
from tests.servers import RedisServer

NAME: Final = "memory"
FIRST_DATE: Final = "2024-01-08"
SYMBOLS: Final = 10_000
WEEK_SYMBOLS: Final = 1_000
WEEK_DATES: Final = ("2024-01-08", "2024-01-12")
MINUTES: Final = 390
LOOKED_AT: Final = 25
"""Symbols whose rows are compared after each day."""

TRADE: Final = '{"ev":"T","sym":"%s","x":11,"p":%.2f,"s":%d,"t":%d,"q":%d,"z":3}'


class Held(Struct):
    """Megabytes at the end of a trading day, and what was wrong with its rows."""

    date: str
    processor_mb: float
    redis_mb: float
    seconds: float
    wrong: list[str]


def run(plan: Plan) -> Iterator[Row]:
    """The day's two figures, then by how many percent each grows over a week."""
    whole = plan.seconds >= Plan.seconds
    share = 1 if whole else 100
    minutes = MINUTES if whole else 10
    (day,) = held(plan.folder / "day", SYMBOLS // share, (FIRST_DATE, FIRST_DATE), minutes)
    complain(NAME, day.wrong)
    checked = not day.wrong
    yield Row(NAME, "processor_mb", round(day.processor_mb), "MB", 0, checked)
    yield Row(NAME, "redis_mb", round(day.redis_mb), "MB", 0, checked)
    week = held(plan.folder / "week", WEEK_SYMBOLS // min(share, 10), WEEK_DATES, minutes)
    wrong = [line for one in week for line in one.wrong]
    complain(NAME, wrong)
    # Redis keeps the two sessions before today's: the third day is the first full one.
    full, last = week[2], week[-1]
    for metric, before, after in (
        ("week_processor_growth", full.processor_mb, last.processor_mb),
        ("week_redis_growth", full.redis_mb, last.redis_mb),
    ):
        yield Row(NAME, metric, round(100 * (after / before - 1)), "%", 0, not wrong)


def held(folder: Path, symbols: int, dates: tuple[str, str], minutes: int) -> list[Held]:
    """Fold the sessions of ``dates`` in a process of its own; what it held after each."""
    server = RedisServer(folder)
    with machine.on_core(-1):
        server.start()
    try:
        asked = [server.url, str(symbols), *dates, str(minutes)]
        command = [sys.executable, "-m", "benchmarks.memory", *asked]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT) as child:
            assert child.stdout is not None
            found = [_told(line, symbols) for line in child.stdout]
        if child.returncode:
            found.append(Held("", 0, 0, 0, [f"the processor ended with {child.returncode}"]))
        return found
    finally:
        server.stop()


def _told(line: bytes, symbols: int) -> Held:
    day = Held(**json.loads(line))
    say(
        f"{NAME}: {day.date}, {symbols:,} symbols: processor {day.processor_mb:,.0f} MB,"
        f" Redis {day.redis_mb:,.0f} MB ({day.seconds:.0f} s)"
    )
    return day


class Market:
    """Symbols that trade once a minute; every figure follows from symbol, minute and day."""

    def __init__(self, symbols: int) -> None:
        self.symbols = [f"M{k:05}" for k in range(symbols)]
        self._at_second = [range(s, symbols, 60) for s in range(60)]

    def price(self, k: int, minute: int) -> float:
        """Dollars, on the cent."""
        return (1_000 + 100 * (k % 500) + (7 * minute + 13 * k) % 200) / 100

    def size(self, k: int, minute: int) -> int:
        """Shares."""
        return 100 + (k + minute) % 9 * 50

    def trades(self, day: TradingDay, minute: int) -> Iterator[bytes]:
        """One minute's, in order of time."""
        start_ms = day.open_ms + 60_000 * minute
        for second, members in enumerate(self._at_second):
            t = start_ms + 1_000 * second
            for k in members:
                price, size = self.price(k, minute), self.size(k, minute)
                yield (TRADE % (self.symbols[k], price, size, t, minute + 1)).encode()

    def differences(self, k: int, minutes: int, candles: Sequence[Any]) -> Iterator[str]:
        """What is wrong with a symbol's candles of a day."""
        found = [(one.open, one.close, one.volume, one.trades) for one in candles]
        wanted = [(self.price(k, m), self.price(k, m), self.size(k, m), 1) for m in range(minutes)]
        if found != wanted:
            yield f"{self.symbols[k]}: {len(found)} candles are not the {len(wanted)} expected"


class Processor:
    """Batches of a whole day through every analyzer into Redis, flushed after each batch."""

    def __init__(self, cache: RedisWidgetCache) -> None:
        self._cache = cache
        self._splitter = FrameSplitter(QueueNameResolver({TRADES.stream: 1}))
        self._batcher = Batcher("massive", "benchmark", [TRADES])
        self._batcher.begin(EPOCH)
        self._state = ShardState(TRADES, Analysis.of(["T.*"]).maker()(TRADES), decode, live=False)

    async def begin(self) -> None:
        """Own the shard."""
        self._place = (await self._cache.claim(TRADES.name)).place

    async def take(self, trades: Iterator[bytes]) -> None:
        """Fold a minute's trades."""
        for frame in framed(trades):
            slices = [one for one in self._splitter.split(frame) if isinstance(one, Slice)]
            for batch in self._batcher.add(slices, 0):
                await self._fold(encode_batch(batch))

    async def end(self) -> None:
        """Fold what is left, and close everything."""
        for batch in self._batcher.ending(0):
            await self._fold(encode_batch(batch))

    async def _fold(self, body: bytes) -> None:
        self._state.take(body)
        positions, changes = self._state.positions.pack(), self._state.drain()
        self._place = await self._cache.flush(TRADES.name, self._place, positions, changes)


async def fold_days(url: str, symbols: int, first: str, last: str, minutes: int) -> None:
    """Fold the sessions from ``first`` to ``last``; one line of JSON after each."""
    market, cache = Market(symbols), RedisWidgetCache(url)
    processor = Processor(cache)
    await processor.begin()
    loop = asyncio.get_running_loop()
    sessions = SessionCalendar.load("XNYS").sessions(first, last)
    for day in sessions:
        began = loop.time()
        for minute in range(minutes):
            await processor.take(market.trades(day, minute))
        if day is sessions[-1]:
            await processor.end()
        kept = Held(day.date, resident_mb(), 0, loop.time() - began, [])
        kept.redis_mb = await used_mb(url)
        kept.wrong = [line async for line in _wrong(cache, market, day, minutes)]
        sys.stdout.write(json.dumps({f: getattr(kept, f) for f in kept.__struct_fields__}) + "\n")
        sys.stdout.flush()
    await cache.close()


async def _wrong(cache: RedisWidgetCache, market: Market, day: TradingDay, minutes: int) -> Any:
    reader = WidgetReader(cache)
    for k in range(0, len(market.symbols), max(1, len(market.symbols) // LOOKED_AT)):
        candles = await reader.candles("US", market.symbols[k], "1m", day.date)
        whole = candles[: minutes - 1]  # the last batches may still wait for their size
        for line in market.differences(k, minutes - 1, whole):
            yield f"{day.date} {line}"


def resident_mb() -> float:
    """This process's memory now, and not its peak: what it holds."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def used_mb(url: str) -> float:
    """Redis's memory now."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as store:
        return int((await store.info("memory"))["used_memory"]) / 1024 / 1024


if __name__ == "__main__":
    with machine.on_core(0):
        where, count, first_date, last_date, length = sys.argv[1:]
        asyncio.run(fold_days(where, int(count), first_date, last_date, int(length)))
