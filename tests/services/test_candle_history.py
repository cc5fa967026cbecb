"""Candles older than the store, from a provider that speaks the protocol."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.market.sessions import SessionCalendar
from tapewire.model.changes import Changes
from tapewire.providers.massive.rest import MassiveRest
from tapewire.services.candle_history import CandleHistory, Fetch
from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.source_strings import parse_source
from tests.analyzers.tape import FRIDAY, ms
from tests.caches.rows import candle, candle_rows
from tests.simulators.client import running

CALENDAR = SessionCalendar.load("XNYS")
THURSDAY = "2026-11-19"
NOW_MS = ms("12:00")


@asynccontextmanager
async def market() -> AsyncIterator[tuple[str, MassiveRest]]:
    """A generated market's REST, and one of its tickers."""
    async with (
        running(MassiveSimulator([parse_source("generator:symbols=3,at=09:30:05")])) as simulator,
        aiohttp.ClientSession() as session,
    ):
        rest = MassiveRest(simulator.rest_url, "key", session=session, clock=time.monotonic)
        pages = rest.tickers(limit=1)
        [first] = await anext(aiter(pages))
        yield first.symbol, rest


async def store(symbol: str, interval: str = "1m") -> WidgetReader:
    """A store with two of Friday's candles."""
    cache = MemoryWidgetCache()
    place = (await cache.claim("trades.0")).place
    candles = [candle(ms("09:30"), 50.0), candle(ms("09:31"), 51.0)]
    rows = candle_rows(symbol, FRIDAY, candles, interval)
    await cache.flush("trades.0", place, {}, Changes(rows=rows))
    return WidgetReader(cache)


def history(reader: WidgetReader, fetch: Fetch | None) -> CandleHistory:
    return CandleHistory(reader, CALENDAR, fetch, lambda: NOW_MS)


async def test_what_is_older_than_the_store_comes_from_the_provider() -> None:
    async with market() as (symbol, rest):
        read = history(await store(symbol), rest.bars).read
        found = await read(symbol, "1m", ms("15:58", THURSDAY), ms("09:31"))
        starts = [ms("15:58", THURSDAY), ms("15:59", THURSDAY), ms("09:30")]
        assert [one.start_ms for one in found.candles] == starts
        assert found.provided == frozenset(starts[:2])
        assert (found.candles[-1].open, found.missing) == (50.0, "")
        older = found.candles[0]
        assert older.closed
        assert older.trades > 0
        assert (older.revision, older.gap) == (0, False)


@pytest.mark.parametrize("interval", ["5m", "15m", "1h", "1d"])
async def test_provider_bars_of_every_interval_begin_where_ours_do(interval: str) -> None:
    async with market() as (symbol, rest):
        read = history(await store("OTHER"), rest.bars).read
        found = await read(symbol, interval, CALENDAR.day(THURSDAY).turn_ms, ms("04:00"))
        first = {"1d": "04:00", "1h": "09:00"}.get(interval, "09:30")
        assert found.candles[0].start_ms == ms(first, THURSDAY)
        assert {one.start_ms for one in found.candles} == found.provided
        volumes = sum(one.volume for one in found.candles)
        minutes = await read(symbol, "1m", CALENDAR.day(THURSDAY).turn_ms, ms("04:00"))
        assert volumes == sum(one.volume for one in minutes.candles)


async def test_a_range_that_the_store_has_asks_nobody() -> None:
    def fetch(*asked: object) -> AsyncIterator[list[object]]:
        raise AssertionError(asked)

    read = history(await store("AIG"), fetch).read  # type: ignore[arg-type]
    found = await read("AIG", "1m", ms("04:00"), ms("16:00"))
    assert [one.open for one in found.candles] == [50.0, 51.0]
    weekend = await read("AIG", "1m", ms("21:00", THURSDAY), ms("09:31"))
    assert weekend.missing == "", "nothing trades between post-market and the turn"


async def test_without_a_key_it_says_what_is_missing() -> None:
    found = await history(await store("AIG"), None).read("AIG", "1m", ms("10:00", THURSDAY), NOW_MS)
    assert len(found.candles) == 2
    assert "no API key" in found.missing


async def test_a_refusal_is_told_and_the_store_shown() -> None:
    async with market() as (_, rest):
        rest.base = rest.base / "nowhere"
        read = history(await store("AIG"), rest.bars).read
        found = await read("AIG", "1m", ms("10:00", THURSDAY), NOW_MS)
    assert len(found.candles) == 2
    assert found.missing
