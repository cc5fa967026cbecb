"""Reading rows and items that all readers treat alike: the same for any number of shards."""

from typing import Any

import pytest
from msgspec.structs import asdict

from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.caches.records import RecordReader, feed_name
from tapewire.market.symbols import shard_of
from tapewire.model.changes import Changes
from tapewire.model.feeds import FEEDS, Feed, halt_hash
from tapewire.model.rows import HaltEvent, HaltState, encode_row
from tests.caches.rows import MONDAY, MONDAY_MS, TUESDAY

FEED = {feed.pattern: feed for feed in FEEDS}
SYMBOLS = ("AIG", "BAC", "IBM", "SPY")


def state(symbol: str, *, halted: bool) -> HaltState:
    return HaltState(symbol, halted, None, None, 11.0, 9.0, None, MONDAY_MS, gap=False)


def event(symbol: str, at_ms: int) -> HaltEvent:
    return HaltEvent(symbol, "halt", "trading halt or pause", 11.0, 9.0, 17, at_ms)


async def market(shards: int) -> MemoryWidgetCache:
    """Every symbol halted on Monday, all but the last going on on Tuesday; events both days."""
    cache = MemoryWidgetCache()
    for k in range(shards):
        place = (await cache.claim(f"halts.{k}")).place
        mine = [symbol for symbol in SYMBOLS if shard_of(symbol, shards) == k]
        rows = {halt_hash(MONDAY): {s: encode_row(state(s, halted=True)) for s in mine}}
        rows[halt_hash(TUESDAY)] = {
            s: encode_row(state(s, halted=False)) for s in mine if s != SYMBOLS[-1]
        }
        items = [encode_row(event(s, MONDAY_MS + at)) for at in (0, 1_000) for s in mine]
        await cache.flush(f"halts.{k}", place, {}, Changes(rows=rows, items={"halts": items}))
    return cache


@pytest.fixture(params=[1, 3])
async def cache(request: pytest.FixtureRequest) -> MemoryWidgetCache:
    return await market(request.param)


async def dumped(cache: MemoryWidgetCache, *feeds: str) -> list[dict[str, Any]]:
    return [row async for row in WidgetReader(cache).dump(feeds)]


def named(pattern: str) -> Feed:
    return FEED[pattern]


async def test_a_row_is_the_newest_of_its_key(cache: MemoryWidgetCache) -> None:
    rows = await RecordReader(cache).rows(named("halt_state:{symbol}"))
    assert list(rows) == list(SYMBOLS)
    assert [asdict(row)["halted"] for row in rows.values()] == [False, False, False, True]
    one = await RecordReader(cache).rows(named("halt_state:{symbol}"), "SPY")
    assert one == {"SPY": rows["SPY"]}


async def test_items_come_by_time_then_symbol(cache: MemoryWidgetCache) -> None:
    items = (await RecordReader(cache).items(named("halts")))["halts"]
    expected = [event(s, MONDAY_MS + at) for at in (0, 1_000) for s in SYMBOLS]
    assert items == expected
    newest = (await RecordReader(cache).items(named("halts"), 3))["halts"]
    assert newest == expected[-3:]


async def test_a_dump_has_the_states_then_the_events(cache: MemoryWidgetCache) -> None:
    lines = await dumped(cache)
    assert [line["feed"] for line in lines[:4]] == [f"halt_state:{s}" for s in SYMBOLS]
    assert [line["feed"] for line in lines[4:]] == ["halts"] * 8
    assert lines[4] == {"feed": "halts", **asdict(event("AIG", MONDAY_MS))}
    assert await dumped(cache, "halt_state:AIG") == lines[:1]
    assert await dumped(cache, "halts") == lines[4:]


def test_a_rows_name_is_its_feeds_pattern_filled_in() -> None:
    assert feed_name(named("halt_state:{symbol}"), state("BRK.B", halted=False)) == (
        "halt_state:BRK.B"
    )


async def test_a_feed_without_rows_of_its_own_is_refused(cache: MemoryWidgetCache) -> None:
    with pytest.raises(ValueError, match=r"'quote:\{symbol\}' has no row"):
        await RecordReader(cache).rows(named("quote:{symbol}"))
