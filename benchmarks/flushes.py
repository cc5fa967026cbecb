"""A flush of 5,000 changed quote records, with its share of bars and candles.

Each of 5,000 symbols trades once in every tenth of a second of event time, and after each
tenth a flush goes to a real Redis, as it does ten times a second in production. So every
flush holds 5,000 quote records and the bars behind them; the first after a cut holds the
candles, boards, ranges and days of the whole second as well.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import redis
from msgspec import Struct

from benchmarks import machine
from benchmarks.answers import SHARD
from benchmarks.batches import EPOCH, TRADES
from benchmarks.report import say
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.market.sessions import SessionCalendar
from tapewire.model.batch import Batch, encode_batch
from tapewire.model.rows import Reference
from tapewire.providers.massive.wire import decode
from tapewire.services.analysis import Analysis
from tapewire.services.shard_state import ShardState
from tests.servers import RedisServer

SYMBOLS: Final = 5_000
DATE: Final = "2024-01-08"
STEP_MS: Final = 100
STEPS: Final = 1000 // STEP_MS
BEFORE_A_MINUTE_MS: Final = 57_000
"""Begins so long after the open that a minute ends in every run."""

TRADE: Final = '{"ev":"T","sym":"%s","x":11,"p":%.2f,"s":%d,"t":%d,"q":%d,"z":3}'

_unpack = msgspec.msgpack.decode


class Flushes(Struct, frozen=True):
    """Milliseconds of each flush, ``STEPS`` a second, the first of them after a cut."""

    ms: list[float]

    @property
    def mean_ms(self) -> float:
        """A flush with its share of what a cut writes: the mean of the median second."""
        seconds = [self.ms[k : k + STEPS] for k in range(0, len(self.ms), STEPS)]
        return machine.median([sum(second) / STEPS for second in seconds])

    @property
    def after_cut_ms(self) -> float:
        """The flush that holds all of that."""
        return machine.median(self.ms[::STEPS])


class Market:
    """Symbols of which each trades in every step; all figures follow from symbol and step."""

    def __init__(self, symbols: int) -> None:
        self.symbols = [f"F{k:05}" for k in range(symbols)]
        self._start_ms = SessionCalendar.load("XNYS").day(DATE).open_ms + BEFORE_A_MINUTE_MS

    @property
    def references(self) -> list[Reference]:
        """Rows that give every board a score."""
        return [Reference(s, DATE, prev_day_close=100.0, avg_volume=1e6) for s in self.symbols]

    def price(self, k: int, step: int) -> float:
        """Dollars, on the cent."""
        return (5_000 + 100 * (k % 500) + (7 * step + 13 * k) % 200) / 100

    def body(self, step: int) -> bytes:
        """One step's trades as a batch."""
        t, count = self._start_ms + STEP_MS * step, len(self.symbols)
        events = (
            TRADE % (symbol, self.price(k, step), 100, t, step + 1)
            for k, symbol in enumerate(self.symbols)
        )
        payload = ",".join(events).encode()
        offset = step * count
        return encode_batch(
            Batch("massive", TRADES.stream, 0, "benchmark", EPOCH, offset, count, t, payload)
        )

    def differences(self, url: str, steps: int) -> Iterator[str]:
        """What is wrong with the quote records after some steps."""
        with redis.Redis.from_url(url, protocol=2) as store:
            rows: Any = store.hgetall(f"{SHARD}quote:{DATE}")
        found = {symbol.decode(): _unpack(packed) for symbol, packed in rows.items()}
        for k, symbol in enumerate(self.symbols):
            row = found.get(symbol)
            said = (row[3], row[8]) if row else None
            wanted = (100 * steps, self.price(k, steps - 1))
            if said != wanted:
                yield f"quote {symbol}: volume and close are {said}, expected {wanted}"


def measured(
    server: RedisServer, seconds: int, symbols: int = SYMBOLS
) -> tuple[Flushes, list[str]]:
    """Fold and flush on the first core; the first second of event time does not count.

    With it come the answers that were wrong.
    """
    server.call("FLUSHALL")
    market, steps = Market(symbols), (seconds + 1) * STEPS
    with machine.on_core(0):
        flushes = machine.run_on_loop(lambda: _flushed(server.url, market, steps))
    found = Flushes(flushes[STEPS:])
    say(
        f"  a flush of {symbols:,} quote records: {found.mean_ms:.1f} ms,"
        f" after a cut {found.after_cut_ms:.1f} ms"
    )
    return found, list(market.differences(server.url, steps))


async def _flushed(url: str, market: Market, steps: int) -> list[float]:
    cache = RedisWidgetCache(url)
    place = (await cache.claim(TRADES.name)).place
    state = ShardState(TRADES, Analysis.of(["T.*"]).maker()(TRADES), decode, live=False)
    state.refer(market.references)
    lasted = []
    for step in range(steps):
        state.take(market.body(step))
        started = time.perf_counter()
        changes, positions = state.drain(), state.positions.pack()
        place = await cache.flush(TRADES.name, place, positions, changes)
        lasted.append(1000 * (time.perf_counter() - started))
    await cache.close()
    return lasted
