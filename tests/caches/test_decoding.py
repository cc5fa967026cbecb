"""A reader names the stored row that it cannot read, and says what to do."""

from collections.abc import Awaitable, Callable

import pytest

from tapewire import __version__
from tapewire.caches.decoding import UndecodableRowError
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.caches.trade_reader import TradeReader
from tapewire.model.candle_names import CandleHash, seconds_hash
from tapewire.model.changes import Changes
from tapewire.model.feeds import (
    AS_OF,
    halt_hash,
    prints_hash,
    quote_hash,
    tape_feed,
    top_trades_hash,
)
from tapewire.model.rows import encode_row
from tests.caches.rows import MONDAY, MONDAY_MS, day_of

SHARD = "trades.0"
BAD = encode_row(["AIG", {"last": 10.0}])
MINUTE = str(570 + 4 * 60)
BLOCK = f"{CandleHash.of('US', 'BAC', '1m', MONDAY).name}.3"
SECONDS = seconds_hash("US", MONDAY_MS)


async def market(changes: Changes) -> MemoryWidgetCache:
    """Good rows of AIG, and others."""
    cache = MemoryWidgetCache()
    place = (await cache.claim(SHARD)).place
    place = await cache.flush(SHARD, place, {}, day_of("AIG", MONDAY, MONDAY_MS, 10.0))
    await cache.flush(SHARD, place, {}, changes)
    return cache


async def refused(read: Callable[[], Awaitable[object]]) -> str:
    """What a reader says of a row that it cannot read."""
    with pytest.raises(UndecodableRowError) as caught:
        await read()
    message = str(caught.value)
    assert f"expected what version {__version__} writes" in message
    assert "written by another version" in message
    return message


async def dumped(cache: MemoryWidgetCache, *feeds: str) -> list[object]:
    return [row async for row in WidgetReader(cache).dump(feeds)]


async def test_a_quote_record_is_named() -> None:
    cache = await market(Changes(rows={quote_hash(MONDAY): {"BAC": BAD}}))
    reader = WidgetReader(cache)
    assert await reader.quote("AIG") is not None
    for read in (lambda: reader.quote("BAC"), reader.quotes, lambda: dumped(cache, "quote:*")):
        message = await refused(read)
        where = f"feed quote, shard {SHARD}, key {quote_hash(MONDAY)}, field BAC: {len(BAD)} bytes"
        assert where in message
        assert "Expected" in message


async def test_a_boards_quote_record_is_named() -> None:
    cache = await market(Changes(rows={quote_hash(MONDAY): {"AIG": b"\xc1"}}))
    message = await refused(lambda: WidgetReader(cache).board("top_volume", 5))
    assert "field AIG: 1 bytes, MessagePack data is malformed" in message


@pytest.mark.parametrize(
    ("interval", "key", "field", "where"),
    [
        ("1m", BLOCK, MINUTE, f"feed candles:1m:BAC, key {BLOCK}, field {MINUTE}"),
        ("1m", BLOCK, "9:30", "feed candles:1m:BAC, key candles:US:BAC:1m:2013-10-07, field 9:30"),
        ("1s", SECONDS, "BAC", f"feed candles:1s:BAC, key {SECONDS}, field BAC"),
    ],
)
async def test_a_candle_is_named(interval: str, key: str, field: str, where: str) -> None:
    cache = await market(Changes(rows={key: {field: BAD}}))
    reader, feed = WidgetReader(cache), f"candles:{interval}:BAC"
    assert await reader.candle_range("AIG")
    for read in (lambda: reader.candle_range("BAC", interval), lambda: dumped(cache, feed)):
        assert f"{where}: {len(BAD)} bytes, " in await refused(read)


@pytest.mark.parametrize("key", ["candles:BAC", "seconds:9"])
async def test_a_key_that_is_named_otherwise_is_shown(key: str) -> None:
    cache = await market(Changes(rows={key: {"1": BAD}}))
    message = await refused(lambda: dumped(cache, "candles:*"))
    assert f"shard {SHARD}, key {key}: a name that is unknown" in message


@pytest.mark.parametrize(
    ("changes", "feed", "where"),
    [
        (Changes(rows={halt_hash(MONDAY): {"BAC": BAD}}), "halt_state:*", "field BAC"),
        (Changes(items={"halts": [BAD]}), "halts", "key halts, field number 1"),
    ],
)
async def test_records_and_items_are_named(changes: Changes, feed: str, where: str) -> None:
    cache = await market(changes)
    message = await refused(lambda: dumped(cache, feed))
    assert f"feed {feed.partition(':')[0]}, shard {SHARD}" in message
    assert where in message


@pytest.mark.parametrize("bad", ["1m:value", AS_OF])
async def test_rankings_prints_and_sales_are_named(bad: str) -> None:
    ranking = {"1m:value": encode_row([]), AS_OF: encode_row(1), bad: BAD}
    rows = {top_trades_hash(MONDAY): ranking, prints_hash(MONDAY): {"prints": BAD}}
    reader = TradeReader(await market(Changes(rows=rows, items={tape_feed("BAC"): [BAD]})))
    message = await refused(lambda: reader.top_trades("1m", "value"))
    assert f"key {top_trades_hash(MONDAY)}, field {bad}" in message
    assert f"key {prints_hash(MONDAY)}" in await refused(reader.largest_prints)
    assert "key trades:BAC, field number 1" in await refused(lambda: reader.sales("BAC"))
