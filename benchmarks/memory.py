"""``memory``: what a processor and Redis hold for 10,000 symbols and a day of minutes.

Every symbol trades once in every minute of the regular session, each in a second of its
own choosing, so that a day makes 3.9 million candles. One processor with every analyzer
folds them from batches, as fast as it goes, and flushes as it does in production. Its
resident memory and Redis's are read at the end of the day; a week of a tenth as many
symbols shows whether either grows from day to day. Volume curves are meant to: a curve a
symbol and session, of 20 sessions and more. They are weighed, and taken off before.
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
WAITING: Final = 5
"""Minutes at the end of a day whose last batches may still wait for their size."""

MOST_MB: Final = {"processor_mb": 600, "redis_mb": 1_536}
MOST_GROWTH: Final = 5
"""Percent from the week's third day to its last, within which memory counts as flat."""

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
    curves_mb: float = 0
    """Of Redis's: volume curves. The processor holds the same bytes of the days before."""


def run(plan: Plan) -> Iterator[Row]:
    """The day's two figures, then by how many percent each grows over a week."""
    whole = plan.seconds >= Plan.seconds
    share = 1 if whole else 100
    minutes = MINUTES if whole else 10
    (day,) = held(plan.folder / "day", SYMBOLS // share, (FIRST_DATE, FIRST_DATE), minutes)
    yield from _day_rows(day, whole)
    symbols = WEEK_SYMBOLS // min(share, 10)
    yield from _week_rows(held(plan.folder / "week", symbols, WEEK_DATES, minutes), symbols, whole)


def _day_rows(day: Held, whole: bool) -> Iterator[Row]:
    wrong = list(day.wrong)
    for metric, most in MOST_MB.items():
        value = getattr(day, metric)
        if whole and value > most:
            wrong.append(f"{metric} is {value:,.0f}; it should be at most {most:,}")
    complain(NAME, wrong)
    for metric in MOST_MB:
        yield Row(NAME, metric, round(getattr(day, metric)), "MB", 0, not wrong)


def _week_rows(week: Sequence[Held], symbols: int, whole: bool) -> Iterator[Row]:
    """Growth from the third day on: Redis keeps the two sessions before today's."""
    wrong = [line for one in week for line in one.wrong]
    growths = {f"week_{name}_growth": growth(week, f"{name}_mb") for name in ("processor", "redis")}
    for metric, percent in growths.items():
        if whole and percent > MOST_GROWTH:
            wrong.append(f"{metric} is {percent:.1f} %; it should be at most {MOST_GROWTH}")
    complain(NAME, wrong)
    for metric, percent in growths.items():
        yield Row(NAME, metric, round(percent), "%", 0, not wrong)
    curve = (week[-1].curves_mb - week[-2].curves_mb) * 1024 * 1024 / symbols
    yield Row(NAME, "volume_curve", round(curve), "B", 0, not wrong)


def growth(week: Sequence[Held], figure: str) -> float:
    """By how many percent a figure grew from the third day to the last, volume curves apart."""
    full, last = week[2], week[-1]
    more = getattr(last, figure) - getattr(full, figure) - (last.curves_mb - full.curves_mb)
    return float(100 * more / getattr(full, figure))


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
            raise RuntimeError(f"{NAME}: the processor ended with {child.returncode}, not with 0")
        return found
    finally:
        server.stop()


def _told(line: bytes, symbols: int) -> Held:
    day = Held(**json.loads(line))
    say(
        f"{NAME}: {day.date}, {symbols:,} symbols: processor {day.processor_mb:,.0f} MB,"
        f" Redis {day.redis_mb:,.0f} MB, {day.curves_mb:.1f} of it volume curves"
        f" ({day.seconds:.0f} s)"
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
        kept = Held(day.date, resident_mb(), 0, loop.time() - began, [])
        kept.redis_mb, kept.curves_mb = await used_mb(url)
        if day is sessions[-1]:
            await processor.end()
        kept.wrong = [line async for line in _wrong(cache, market, day, minutes)]
        sys.stdout.write(json.dumps({f: getattr(kept, f) for f in kept.__struct_fields__}) + "\n")
        sys.stdout.flush()
    await cache.close()


async def _wrong(cache: RedisWidgetCache, market: Market, day: TradingDay, minutes: int) -> Any:
    reader = WidgetReader(cache)
    for k in range(0, len(market.symbols), max(1, len(market.symbols) // LOOKED_AT)):
        candles = await reader.candles("US", market.symbols[k], "1m", day.date)
        length = max(1, minutes - WAITING)
        for line in market.differences(k, length, candles[:length]):
            yield f"{day.date} {line}"


def resident_mb() -> float:
    """This process's memory now, and not its peak: what it holds."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def used_mb(url: str) -> tuple[float, float]:
    """Redis's memory now, and what of it are volume curves."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as store:
        used = int((await store.info("memory"))["used_memory"])
        curves = [key async for key in store.scan_iter("*:private:volume_curves:*", 10_000)]
        sizes = [await store.memory_usage(key, samples=0) or 0 for key in curves]
        return used / 1024 / 1024, sum(sizes) / 1024 / 1024


if __name__ == "__main__":
    with machine.on_core(0):
        where, count, first_date, last_date, length = sys.argv[1:]
        asyncio.run(fold_days(where, int(count), first_date, last_date, int(length)))
