"""What the hub is fed: without a hole, whatever is written meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tapewire.caches.memory import MemoryWidgetCache
from tapewire.hub.candles import CandleTable
from tapewire.hub.events import EventLog
from tapewire.hub.feeds import parse_feed
from tapewire.hub.market import Market
from tapewire.hub.tables import Rows
from tapewire.model.changes import Changes
from tapewire.model.messages import Key
from tapewire.model.rows import QuoteRecord
from tapewire.services.widget_source import WidgetSource
from tests.analyzers.tape import ms
from tests.caches.rows import candle_rows
from tests.hub.stage import FRIDAY, MONDAY, candle
from tests.services.widget_clients import Shard

CLOSE = QuoteRecord.__struct_fields__.index("close")
SYMBOLS = ("AIG", "BAC", "SPY")


@asynccontextmanager
async def feeding(cache: MemoryWidgetCache) -> AsyncIterator[tuple[WidgetSource, Market]]:
    market = Market()
    source = WidgetSource(cache, market)
    task = asyncio.create_task(source.run())
    try:
        yield source, market
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(market: Market, holds: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.002)
            market.apply()


def closes(rows: Rows, place: int = CLOSE) -> dict[Key, float]:
    return {key: row[place] for key, row in rows.items()}


async def test_rows_are_complete_however_it_begins() -> None:
    cache = MemoryWidgetCache()
    shard = Shard(cache)
    await shard.flush(*SYMBOLS)

    async def write() -> None:
        for step in range(200):
            await shard.flush(SYMBOLS[step % 3], close=float(step))
            await asyncio.sleep(0)

    async with feeding(cache) as (_, market):
        await write()
        wanted = {"AIG": 198.0, "BAC": 199.0, "SPY": 197.0}
        await until(market, lambda: closes(market.quotes.rows(None)) == wanted)


async def test_candles_that_are_read_have_no_hole() -> None:
    cache = MemoryWidgetCache()
    shard = Shard(cache)
    first_ms = ms("09:30")

    def minute(number: int) -> Changes:
        one = candle(first_ms + number * 60_000, number + 1.0)
        return Changes(rows=candle_rows("AIG", FRIDAY, [one]))

    await shard.flush("AIG", extra=minute(0))
    async with feeding(cache) as (source, market):
        await until(market, lambda: market.quotes.ready)
        table = market.table(parse_feed("candles:1m:AIG"))
        assert isinstance(table, CandleTable)
        source.want()
        for number in range(1, 150):
            await shard.flush("AIG", extra=minute(number))
            await asyncio.sleep(0)
        await until(market, lambda: table.ready and len(table.rows(None)) == 150)
        place = table.fields.index("close")
        assert closes(table.rows(None), place) == {
            first_ms + number * 60_000: number + 1.0 for number in range(150)
        }


async def test_candles_of_all_kept_days_are_read() -> None:
    cache = MemoryWidgetCache()
    shard = Shard(cache)
    starts = [ms("09:30"), ms("09:31", MONDAY)]
    for date, start_ms in zip((FRIDAY, MONDAY), starts, strict=True):
        rows = candle_rows("AIG", date, [candle(start_ms, 1.0)])
        await shard.flush("AIG", extra=Changes(rows=rows))
    async with feeding(cache) as (source, market):
        await until(market, lambda: market.quotes.ready)
        one = market.table(parse_feed("candles:1m:AIG"))
        every = market.table(parse_feed("candles:1m:*"))
        assert isinstance(one, CandleTable)
        assert not isinstance(every, EventLog)
        source.want()
        await until(market, lambda: one.ready and every.ready)
        assert list(one.rows(None)) == starts
        [row] = every.rows(None).values()
        assert row[every.fields.index("start_ms")] == starts[1]


async def test_a_store_that_lost_everything_is_read_again_when_it_is_back() -> None:
    cache = MemoryWidgetCache()
    shards = [Shard(cache, f"trades.{number}") for number in range(2)]
    for shard, symbol in zip(shards, SYMBOLS, strict=False):
        await shard.flush(symbol)
    async with feeding(cache) as (source, market):
        await until(market, lambda: len(market.quotes.rows(None)) == 2)
        cache._shards.clear()
        await until(market, lambda: bool(source.away))
        assert len(market.quotes.rows(None)) == 2, "what was known stays"
        await shards[0].claim()
        await asyncio.sleep(0.2)
        market.apply()
        assert len(market.quotes.rows(None)) == 2, "a shard without rows is not back"
        await shards[0].flush("AIG", close=7.0)
        await asyncio.sleep(0.2)
        market.apply()
        assert len(market.quotes.rows(None)) == 2, "the other shard is awaited"
        await shards[1].claim()
        await shards[1].flush("BAC", close=8.0)
        await until(market, lambda: closes(market.quotes.rows(None)) == {"AIG": 7.0, "BAC": 8.0})
        await until(market, lambda: not source.away)
        assert source.resets == 2


async def test_a_shard_that_never_comes_back_is_not_awaited_for_ever() -> None:
    cache = MemoryWidgetCache()
    shards = [Shard(cache, f"trades.{number}") for number in range(2)]
    for shard, symbol in zip(shards, SYMBOLS, strict=False):
        await shard.flush(symbol)
    async with feeding(cache) as (source, market):
        await until(market, lambda: len(market.quotes.rows(None)) == 2)
        cache._shards.clear()
        await until(market, lambda: bool(source.away))
        await shards[0].claim()
        await shards[0].flush("AIG", close=7.0)
        await until(market, lambda: closes(market.quotes.rows(None)) == {"AIG": 7.0}, 8)
