"""One market, and brokers that tell of it, each at its own pace: what a failover is tried on."""

import asyncio
import random
from collections.abc import Iterable, Sequence

from tapewire.analyzers.candles import AtomicOhlcEngine
from tapewire.analyzers.ticks import TickFold
from tapewire.market.sessions import SessionCalendar
from tapewire.model.events import Clock, Tick
from tapewire.model.rows import Candle
from tests.analyzers.market import Store
from tests.providers.small_broker import KEYS, MASTER, Exchange, Visit

CALENDAR = SessionCalendar.load("XNSE")
DATE = "2026-11-20"
OPEN_MS = CALENDAR.day(DATE).open_ms
MINUTE_MS = 60_000

Row = tuple[str, float, int, int]
"""Broker's key, price, volume of the day, ms."""

Shape = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""


def tape(ticks: int, seed: int = 7) -> list[Row]:
    """Trades of three instruments, some seconds apart, over the first minutes of a day."""
    draw = random.Random(seed)
    volumes = {one.broker_key: 1_000 * (1 + n) for n, one in enumerate(MASTER)}
    rows = [(key, 100.0, volume, OPEN_MS - 1000) for key, volume in volumes.items()]
    at_ms = OPEN_MS
    for _ in range(ticks):
        at_ms += draw.randrange(1, 120)
        key = draw.choice(list(volumes))
        volumes[key] += draw.randrange(1, 500)
        rows.append((key, round(draw.uniform(90, 110), 2), volumes[key], at_ms))
    return rows


class Market:
    """A tape that is released bit by bit; its first rows are what was before."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.released = len(MASTER)
        self._moved = asyncio.Condition()

    async def play(self, rows: int = 10) -> bool:
        """Release more; False when there is no more."""
        return await self.play_to(self.released + rows)

    async def play_to(self, row: int) -> bool:
        async with self._moved:
            self.released = min(row, len(self.rows))
            self._moved.notify_all()
        await asyncio.sleep(0.002)
        return self.released < len(self.rows)

    async def beyond(self, row: int, lag: int) -> int:
        """The row up to which one may tell that is behind by ``lag``; waits for a new one."""

        def until() -> int:
            over = self.released >= len(self.rows)
            return self.released if over else max(len(MASTER), self.released - lag)

        async with self._moved:
            await self._moved.wait_for(lambda: until() > row)
        return until()


class Rival:
    """A broker that tells of a market, ``lag`` rows behind; ``mute``: it says nothing."""

    def __init__(self, market: Market, lag: int = 0) -> None:
        self._market = market
        self._lag = lag
        self.mute = False
        self.exchange = Exchange(self._tell)

    async def _tell(self, visit: Visit) -> None:
        await visit.admit()
        row = max(len(MASTER), self._market.released - self._lag)
        state = {one[0]: one for one in self._market.rows[:row]}
        await visit.say(*((*one, 1) for one in state.values()))
        telling = asyncio.create_task(self._follow(visit, row))
        await visit.linger()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)

    async def _follow(self, visit: Visit, row: int) -> None:
        while True:
            until = await self._market.beyond(row, self._lag)
            if not self.mute:
                await visit.say(*self._market.rows[row:until])
            row = until

    async def send(self, word: str) -> None:
        """Say something else on the present connection."""
        await self.exchange.visits[-1].socket.send(word)

    def drop(self) -> None:
        """Break the present connection."""
        self.exchange.visits[-1].drop()


class Fold:
    """Ticks into candles, by the engine that shards use."""

    def __init__(self) -> None:
        self._fold = TickFold(CALENDAR, [AtomicOhlcEngine(CALENDAR, exchange="IN")])
        self.skipped = self._fold.skipped

    def take(self, _: bytes | str, ticks: Sequence[Tick]) -> None:
        self._fold.apply(ticks)

    def candles(self, keys: Sequence[str] = KEYS) -> dict[tuple[str, int], Shape]:
        """Minute candles by key and start."""
        self._fold.apply([Clock(self._fold.second_ms, final=True)])
        store = Store()
        store.write(self._fold.drain())
        found = {}
        for key in keys:
            for candle in store.candles(key, "1m", DATE).values():
                found[key, candle.start_ms] = _shape(candle)
        return found


def _shape(one: Candle) -> Shape:
    return one.open, one.high, one.low, one.close, one.volume


def computed(rows: Iterable[Row]) -> dict[tuple[str, int], Shape]:
    """Minute candles of a tape, computed from it directly; its first rows are baselines."""
    keys = {one.broker_key: one.key for one in MASTER}
    known: dict[str, int] = {}
    found: dict[tuple[str, int], Shape] = {}
    for key, price, volume, at_ms in rows:
        if key in known:
            place = keys[key], at_ms // MINUTE_MS * MINUTE_MS
            first, high, low, _, so_far = found.get(place, (price, price, price, price, 0))
            size = volume - known[key]
            found[place] = first, max(high, price), min(low, price), price, so_far + size
        known[key] = volume
    return found
