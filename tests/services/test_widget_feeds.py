"""Every kind of feed over a real socket: what shards flush, as clients get it."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.interest import MemoryInterest
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.candle_names import seconds_hash
from tapewire.model.changes import Changes
from tapewire.model.feeds import (
    AS_OF,
    halt_hash,
    prints_hash,
    range_hash,
    tape_feed,
    top_trades_hash,
)
from tapewire.model.rows import (
    DailyRange,
    HaltState,
    LargestPrint,
    RangeAlert,
    TopTrade,
    encode_row,
)
from tapewire.services.widget_data import WidgetDataService
from tests.analyzers.tape import ms
from tests.caches.rows import candle_rows
from tests.hub.events import halt, sale
from tests.hub.stage import FRIDAY, candle, packed_seconds
from tests.services.widget_clients import Shard, Viewer, serving, viewer


def daily_range(symbol: str, high: float) -> bytes:
    fields: dict[str, Any] = dict.fromkeys(DailyRange.__struct_fields__)
    return encode_row(
        DailyRange(**fields | {"symbol": symbol, "session": "pre", "day_high": high, "gap": False})
    )


def halt_state(symbol: str, at_ms: int, *, halted: bool) -> bytes:
    return encode_row(HaltState(symbol, halted, None, None, None, None, None, at_ms, False))


def ranking(*symbols: str, value: float) -> bytes:
    """One shard's ranking: each symbol traded for one less than the one before."""
    return encode_row(
        [
            TopTrade(rank, symbol, 5, 100, value - rank, 1.0, 20.0, 50, None)
            for rank, symbol in enumerate(symbols, 1)
        ]
    )


def prints(*values: float) -> bytes:
    return encode_row(
        [
            LargestPrint(rank, "AIG", value, 100, value / 100, rank, (), 4, rank)
            for rank, value in enumerate(values, 1)
        ]
    )


def of_hash(name: str, **rows: bytes) -> Changes:
    return Changes(rows={name: rows})


async def followed(service: WidgetDataService, *shards: str) -> None:
    """Wait until a service has found these shards."""
    async with asyncio.timeout(5):
        while not service.source.shards.keys() >= set(shards):  # noqa: ASYNC110 - it looks itself
            await asyncio.sleep(0.02)


async def next_of(client: Viewer, op: str) -> dict[str, Any]:
    """The next message of this kind."""
    while True:
        for message in await client.read():
            if message["op"] == op:
                return message


async def test_daily_ranges_and_halts_are_rows_of_symbols() -> None:
    cache = MemoryWidgetCache()
    async with serving(cache) as service, viewer(service.port) as client:
        trades, halts = Shard(cache), Shard(cache, "halts.0")
        await trades.flush(extra=of_hash(range_hash(FRIDAY), AIG=daily_range("AIG", 10.0)))
        await client.subscribe("daily_range:AIG", "daily_range:*", "halt_state:*")
        await trades.flush(extra=of_hash(range_hash(FRIDAY), AIG=daily_range("AIG", 11.0)))
        await halts.flush(extra=of_hash(halt_hash(FRIDAY), AIG=halt_state("AIG", 5, halted=True)))

        def rows(feed: str) -> dict[str, Any]:
            return client.feeds[feed].rows.get("AIG", {})

        await client.until(lambda: rows("daily_range:AIG").get("day_high") == 11.0)
        await client.until(lambda: rows("daily_range:*") == rows("daily_range:AIG"))
        await client.until(lambda: rows("halt_state:*").get("halted") is True)


async def test_rankings_of_shards_are_merged_with_dense_ranks() -> None:
    cache = MemoryWidgetCache()
    async with serving(cache) as service, viewer(service.port) as client:
        first, second = Shard(cache, "trades.0"), Shard(cache, "trades.1")
        as_of = {AS_OF: encode_row(60_000)}
        rows = {"1m:value": ranking("AIG", "BAC", value=10.0)} | as_of
        await first.flush(extra=of_hash(top_trades_hash(FRIDAY), **rows))
        await first.flush(extra=of_hash(prints_hash(FRIDAY), prints=prints(900.0, 700.0)))
        await client.subscribe("top_trades:1m:value", "largest_prints")
        rows = {"1m:value": ranking("SPY", value=9.5)} | as_of
        await second.flush(extra=of_hash(top_trades_hash(FRIDAY), **rows))
        await second.flush(extra=of_hash(prints_hash(FRIDAY), prints=prints(800.0)))
        top, largest = "top_trades:1m:value", "largest_prints"
        await client.until(lambda: len(client.feeds[top].order) == 3)
        await client.until(lambda: len(client.feeds[largest].rows) == 3)
        ranked = [(row["rank"], row["symbol"]) for row in client.feeds[top].ranked()]
        assert ranked == [(1, "AIG"), (2, "SPY"), (3, "BAC")]
        assert [row["value"] for row in client.feeds[top].ranked()] == [9.0, 8.5, 8.0]
        values = [client.feeds[largest].rows[rank]["value"] for rank in (1, 2, 3)]
        assert values == [900.0, 800.0, 700.0]


def candles_of(interval: str, close: float) -> dict[str, dict[str, bytes]]:
    """A candle of AIG at 09:30, as a shard writes it."""
    one = candle(ms("09:30"), close)
    if interval != "1s":
        return candle_rows("AIG", FRIDAY, [one], interval)
    [(slot, packed)] = packed_seconds(one).items()
    return {seconds_hash("US", int(slot)): {"AIG": packed}}


@pytest.mark.parametrize("interval", ["1s", "5m", "1h", "1d"])
async def test_candles_of_every_interval(interval: str) -> None:
    cache = MemoryWidgetCache()
    async with serving(cache) as service, viewer(service.port) as client:
        shard = Shard(cache)
        await shard.flush(extra=Changes(rows=candles_of(interval, 1.0)))
        feed, start_ms = f"candles:{interval}:AIG", ms("09:30")
        await client.subscribe(feed)
        await client.until(lambda: client.feeds[feed].rows.get(start_ms, {}).get("close") == 1.0)
        await shard.flush(extra=Changes(rows=candles_of(interval, 2.0)))
        await client.until(lambda: client.feeds[feed].rows.get(start_ms, {}).get("close") == 2.0)


@pytest.mark.parametrize("direction", ["hod", "lod"])
async def test_alerts_are_events(direction: str) -> None:
    cache, feed = MemoryWidgetCache(), f"daily_range_{direction}_alert"
    alert = RangeAlert("AIG", "regular", "high", "break", 11.0, 10.0, "broke the day's high", 5)
    async with serving(cache) as service, viewer(service.port) as client:
        shard = Shard(cache, "aggregate.0")
        await shard.flush(extra=Changes(items={feed: [encode_row(alert)]}))
        await followed(service, "aggregate.0")
        await client.say({"op": "subscribe", "feed": feed})
        snapshot = await next_of(client, "snapshot")
        assert (snapshot["epoch"], snapshot["seq"]) == ("aggregate.0", 1)
        assert snapshot["rows"][0]["note"] == "broke the day's high"
        await shard.flush(extra=Changes(items={feed: [encode_row(alert)] * 2}))
        event = await next_of(client, "event")
        assert (event["prev"], event["seq"], len(event["items"])) == (1, 3, 2)


async def test_a_client_resumes_at_another_service_where_it_was(redis_url: str) -> None:
    cache = RedisWidgetCache(redis_url)
    shards = [Shard(cache, name) for name in ("halts.0", "halts.1")]
    try:
        async with serving(cache) as one, serving(cache) as other:
            await resume(shards, one, other)
    finally:
        await cache.close()


async def resume(shards: Sequence[Shard], one: WidgetDataService, other: WidgetDataService) -> None:
    async def halted(shard: int, number: int) -> None:
        await shards[shard].flush(extra=Changes(items={"halts": [encode_row(halt(number))]}))

    await halted(0, 1)
    await shards[1].flush("BAC")
    for service in (one, other):
        await followed(service, "halts.0", "halts.1")
    async with viewer(one.port) as client:
        await client.say({"op": "subscribe", "feed": "halts"})
        assert (await next_of(client, "snapshot"))["rows"][0]["timestamp_ms"] == 1
        await halted(1, 2)
        event = await next_of(client, "event")
    await halted(1, 3)
    since = {"epoch": event["epoch"], "seq": event["seq"]}
    assert since == {"epoch": "halts.0@1+halts.1@1", "seq": 2}
    async with viewer(other.port) as client:
        await client.say({"op": "subscribe", "feed": "halts", "since": since})
        event = await next_of(client, "event")
        assert (event["prev"], event["seq"]) == (2, 3)
        assert [item["timestamp_ms"] for item in event["items"]] == [3]


async def test_time_and_sales_in_the_earlier_dialect() -> None:
    cache = MemoryWidgetCache()
    async with serving(cache) as service:
        shard = Shard(cache)
        items = {tape_feed("AIG"): [encode_row(sale(1)), encode_row(sale(2))]}
        await shard.flush(extra=Changes(items=items))
        await followed(service, "trades.0")
        async with connect(f"ws://127.0.0.1:{service.port}/ws") as socket:
            await socket.send('{"action":"get","cache":"trades:AIG","limit":5}')
            answer = json.loads(await socket.recv())
            assert [row["timestamp_ms"] for row in answer["data"]] == [2, 1]
            await socket.send('{"action":"subscribe","feed":"trades:*"}')
            assert json.loads(await socket.recv())["status"] == "subscribed"
            await shard.flush(extra=Changes(items={tape_feed("BAC"): [encode_row(sale(3))]}))
            item = json.loads(await socket.recv())
            assert (item["symbol"], item["timestamp_ms"]) == ("BAC", 3)


class Moody(MemoryInterest):
    """Does not answer the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[set[str]] = []

    async def renew(self, symbols: Iterable[str]) -> None:
        self.asked.append(set(symbols))
        if len(self.asked) == 1:
            raise CacheUnavailable("away")
        await super().renew(symbols)


async def test_whose_time_and_sales_clients_watch_is_told_again_and_again() -> None:
    interest = Moody()
    async with serving(interest=interest) as service, viewer(service.port) as client:
        feeds = ["trades:AIG", "trades:BAC", "trades:*", "quote:SPY", "halts"]
        await client.say({"op": "subscribe", "feeds": feeds})
        async with asyncio.timeout(5):
            while not await interest.watched():
                await client.read_for(0.05)
        assert await interest.watched() == ["AIG", "BAC"]
        assert service.report().detail["interest_failures"] == 1
        await client.say({"op": "unsubscribe", "feeds": ["trades:AIG"]})
        async with asyncio.timeout(5):
            while interest.asked[-1] != {"BAC"}:
                await client.read_for(0.05)
