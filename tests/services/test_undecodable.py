"""A store with rows of another version: the widget service shows the rest and says so."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from tapewire.caches.keys import WidgetDataCacheKeys
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.hub.decoding import Decoding
from tapewire.model.changes import Changes
from tapewire.model.feeds import quote_hash
from tapewire.model.rows import encode_row
from tapewire.services.undecodable_log import EVERY_S, UndecodableLog
from tests.analyzers.tape import ms
from tests.caches.rows import candle_rows
from tests.hub.events import halt
from tests.hub.stage import FRIDAY, candle, quote
from tests.services.widget_clients import Shard, serving, viewer

OTHER_LAYOUT = encode_row(["AIG", {"last": 10.0}])


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisWidgetCache]:
    cache = RedisWidgetCache(redis_url)
    yield cache
    await cache.close()


def bad_rows() -> Changes:
    """Among rows that can be read: a record, a candle and an item that cannot."""
    candles = candle_rows("AIG", FRIDAY, [candle(ms("09:30"), 5.0), candle(ms("09:31"), 6.0)])
    [fields] = candles.values()
    fields[max(fields)] = OTHER_LAYOUT
    items = [encode_row(halt(1)), OTHER_LAYOUT, encode_row(halt(3))]
    rows = {quote_hash(FRIDAY): {"OLD": OTHER_LAYOUT}, **candles, "candles:AIG": {"1": b"\xc1"}}
    return Changes(rows=rows, items={"halts": items})


async def test_rows_that_do_not_decode_lose_themselves_only(cache: RedisWidgetCache) -> None:
    shard = Shard(cache)
    await shard.flush("AIG", "BAC", extra=bad_rows())
    feeds = ("quote:*", "quote:OLD", "candles:1m:AIG", "candles:1m:*", "halts")
    async with serving(cache) as service, viewer(service.port) as client:
        await client.subscribe(*feeds)
        assert sorted(client.feeds["quote:*"].rows) == ["AIG", "BAC"]
        assert client.feeds["quote:OLD"].rows == {}
        assert list(client.feeds["candles:1m:AIG"].rows) == [ms("09:30")]
        assert client.close_of("candles:1m:*", "AIG") == 5.0
        shown = [one for one in client.messages if one["op"] == "snapshot"]
        [halts] = [one["rows"] for one in shown if one["feed"] == "halts"]
        assert [row["timestamp_ms"] for row in halts] == [1, 3]
        await shard.flush("AIG", close=2.5, extra=bad_rows())
        await client.until(lambda: client.close_of("quote:*", "AIG") == 2.5)
        report = service.report()
        assert report.healthy
        undecodable: dict[str, Any] = report.detail["feeds"]["undecodable"]
        assert sorted(undecodable) == ["candles", "halts", "quote"]
        assert report.drops["undecodable"] == sum(undecodable.values())


async def test_rows_are_read_anew_past_a_change_stream_entry_that_does_not_decode(
    cache: RedisWidgetCache, redis_url: str
) -> None:
    shard = Shard(cache)
    await shard.flush("AIG")
    async with serving(cache) as service, viewer(service.port) as client:
        await client.subscribe("quote:*")
        await write_unreadable_entry(redis_url, cache, shard)
        await client.until(lambda: client.close_of("quote:*", "BAC") == 7.0)
        assert service.source.failures == 1
        await shard.flush("AIG", close=8.0)
        await client.until(lambda: client.close_of("quote:*", "AIG") == 8.0)
        assert service.source.away == ""


async def write_unreadable_entry(url: str, cache: RedisWidgetCache, shard: Shard) -> None:
    """What another version's owner would do: rows as ours, a change stream entry of its own."""
    place = (await cache.claim(shard.name)).place.next
    keys = WidgetDataCacheKeys(shard.name)
    client = redis.asyncio.Redis.from_url(url)
    async with client, client.pipeline(transaction=True) as flush:
        flush.hset(keys.of(quote_hash(FRIDAY)), "BAC", encode_row(quote("BAC", 7.0)))
        flush.set(keys.place, str(place))
        flush.xadd(keys.changes, {"changes": b"\xc1"}, id=str(place))
        await flush.execute()
    await shard.claim()


def test_a_family_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    decoding, now_s = Decoding(), [100.0]
    told = UndecodableLog(decoding, lambda: now_s[0])
    for passed_s in (0.0, 1.0, EVERY_S / 2, EVERY_S / 2, EVERY_S):
        now_s[0] += passed_s
        told.look()
        decoding.refuse("quote", "Expected `int`", 2)
    now_s[0] += 1
    decoding.refuse("halts", "Expected `str`")
    told.look()
    lines: list[Any] = [record.msg for record in caplog.records]
    rows = [(line["feed"], line["rows"], line["reason"]) for line in lines]
    assert rows == [
        ("quote", 2, "Expected `int`"),
        ("quote", 4, "Expected `int`"),
        ("quote", 2, "Expected `int`"),
        ("halts", 1, "Expected `str`"),
    ]
