"""Typed reading: the same answers whatever the number of shards."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import asdict

from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.model.candle_names import CandleHash
from tapewire.model.markets import INDIA
from tapewire.model.rows import CandleView
from tests.caches.rows import (
    FUTURE,
    MINUTE_MS,
    MONDAY,
    MONDAY_MS,
    RELIANCE,
    TUESDAY,
    TUESDAY_MS,
    WEDNESDAY,
    WEDNESDAY_MS,
    write_indian_market,
    write_market,
)

SYMBOLS = ["AIG", "BAC", "BCpC", "IBM", "O:SPY261218C00600000", "SPY", "ZZZ"]


async def market(shards: int) -> WidgetReader:
    cache = MemoryWidgetCache()
    await write_market(cache, SYMBOLS, shards)
    return WidgetReader(cache)


@pytest.fixture(params=[1, 3])
async def reader(request: pytest.FixtureRequest) -> WidgetReader:
    return await market(request.param)


async def dumped(reader: WidgetReader, *feeds: str) -> list[dict[str, Any]]:
    return [row async for row in reader.dump(feeds)]


async def test_a_quote_is_the_newest_of_its_symbol(reader: WidgetReader) -> None:
    aig, zzz = await reader.quote("AIG"), await reader.quote("ZZZ")
    assert aig is not None
    assert zzz is not None
    assert (aig.close, aig.end_timestamp) == (61.0, TUESDAY_MS + 90_000)
    assert (zzz.close, zzz.end_timestamp) == (57.0, MONDAY_MS + 90_000)
    assert await reader.quote("NONE") is None
    assert [quote.symbol for quote in await reader.quotes()] == SYMBOLS


async def test_a_board_is_of_the_newest_day_with_its_quotes(reader: WidgetReader) -> None:
    board = await reader.board("top_volume", 2)
    assert [(line.rank, line.symbol, line.score) for line in board] == [
        (1, "SPY", 65_000.0),
        (2, "O:SPY261218C00600000", 64_000.0),
    ]
    assert board[0].quote == await reader.quote("SPY")
    monday = await reader.board("top_volume", 1, MONDAY)
    assert [(line.symbol, line.score) for line in monday] == [("ZZZ", 56_000.0)]
    assert await reader.board("top_gainers", 5) == []
    with pytest.raises(ValueError, match="top_gainers, top_gappers, top_volume"):
        await reader.board("volume", 5)


async def test_candles_of_a_day_or_of_a_part_of_it(reader: WidgetReader) -> None:
    day = await reader.candles("US", "AIG", "1m", TUESDAY)
    assert [(one.start_ms, one.close) for one in day] == [
        (TUESDAY_MS, 60.0),
        (TUESDAY_MS + MINUTE_MS, 61.0),
    ]
    assert await reader.candles("US", "AIG", "1m", TUESDAY, TUESDAY_MS + 1) == day[1:]
    assert await reader.candles("US", "AIG", "1m", TUESDAY, None, day[1].start_ms) == day[:1]
    assert await reader.candles("NSE", "AIG", "1m", TUESDAY) == []


async def test_the_dates_with_candles(reader: WidgetReader) -> None:
    assert await reader.candle_dates("AIG") == [MONDAY, TUESDAY]
    assert await reader.candle_dates("O:SPY261218C00600000") == [MONDAY, TUESDAY]
    assert await reader.candle_dates("ZZZ") == [MONDAY]
    assert await reader.candle_dates("AIG", interval="5m") == []


async def test_gaps_of_all_shards_each_once(reader: WidgetReader) -> None:
    gaps = await reader.gaps()
    assert {gap.from_ms for gap in gaps} == {MONDAY_MS, TUESDAY_MS}
    assert len(gaps) == 2 * len(await reader.shards())


async def test_a_dump_is_sorted_and_plain(reader: WidgetReader) -> None:
    rows = await dumped(reader)
    feeds = [row["feed"] for row in rows]
    assert feeds == sorted(feeds)
    assert set(feeds) == {
        *(f"{family}:{symbol}" for family in ("candles:1m", "quote") for symbol in SYMBOLS),
        "scanners:top_gappers",
        "scanners:top_volume",
    }
    first = CandleView(
        *("AIG", "US", "1m", MONDAY_MS, 50.0, 51.0, 49.0, 50.0, 200, 50.0, 10, True, 0, False)
    )
    assert rows[0] == {"feed": "candles:1m:AIG", **asdict(first)}
    starts = [row["start_ms"] for row in rows if row["feed"] == "candles:1m:AIG"]
    assert starts == [day + m * MINUTE_MS for day in (MONDAY_MS, TUESDAY_MS) for m in (0, 1)]
    volume = [row for row in rows if row["feed"] == "scanners:top_volume"]
    assert volume[0] == {
        "feed": "scanners:top_volume", "rank": 1, "symbol": "SPY", "score": 65_000.0
    }  # fmt: skip


async def test_a_dump_does_not_depend_on_the_number_of_shards() -> None:
    one, many = [msgspec.json.encode(await dumped(await market(n))) for n in (1, 5)]
    assert one == many


async def test_a_dump_of_some_feeds(reader: WidgetReader) -> None:
    assert [row["symbol"] for row in await dumped(reader, "quote:AIG")] == ["AIG"]
    assert len(await dumped(reader, "quote:*")) == len(SYMBOLS)
    assert {row["symbol"] for row in await dumped(reader, "candles:1m:B*")} == {"BAC", "BCpC"}
    assert await dumped(reader, "*") == await dumped(reader)
    with pytest.raises(ValueError, match=r"'quotes:AIG' is not a feed; .*quote:\{symbol\}"):
        await dumped(reader, "quotes:AIG")


def test_symbols_with_colons_are_read_whole() -> None:
    parsed = CandleHash.parse("candles:US:O:SPY261218C00600000:1m:2026-11-20")
    assert parsed.symbol == "O:SPY261218C00600000"
    assert parsed.feed == "candles:1m:O:SPY261218C00600000"


class TestTwoMarkets:
    """A US and an Indian market in one cache, India one day ahead."""

    @pytest.fixture(params=[1, 3])
    async def both(self, request: pytest.FixtureRequest) -> WidgetReader:
        cache = MemoryWidgetCache()
        await write_market(cache, SYMBOLS, request.param)
        await write_indian_market(cache, request.param)
        return WidgetReader(cache)

    async def test_a_board_is_of_its_markets_newest_day(self, both: WidgetReader) -> None:
        us = await both.board("top_volume", 2)
        india = await both.board("top_volume", 5, market=INDIA)
        assert [line.symbol for line in us] == ["SPY", "O:SPY261218C00600000"]
        assert [(line.rank, line.symbol) for line in india] == [(1, FUTURE), (2, RELIANCE)]
        assert [line.quote and line.quote.name for line in india] == [None, "RELIANCE"]

    async def test_indian_candles_have_their_own_dates_and_minutes(
        self, both: WidgetReader
    ) -> None:
        first, second = await both.candles("IN", FUTURE, "1m", WEDNESDAY)
        assert (first.start_ms, first.close) == (WEDNESDAY_MS, 901.0)
        assert await both.candle_range(FUTURE, "1m", exchange="IN") == [first, second]
        within = (WEDNESDAY_MS, WEDNESDAY_MS + 1)
        assert await both.candle_range(FUTURE, "1m", *within, exchange="IN") == [first]
        assert await both.candle_dates(FUTURE, exchange="IN") == [WEDNESDAY]
        assert await both.candle_symbols(exchange="IN") == [RELIANCE, FUTURE]
        assert await both.latest(FUTURE, exchange="IN") == second

    async def test_an_instrument_is_found_by_its_name(self, both: WidgetReader) -> None:
        assert await both.symbol_named("RELIANCE", "NSE_EQ") == RELIANCE
        assert await both.symbol_named("RELIANCE", "BSE_EQ") is None
        assert await both.symbol_named("AIG", "NSE_EQ") is None

    async def test_a_dump_has_both_markets_in_order(self, both: WidgetReader) -> None:
        rows = await dumped(both)
        feeds = [row["feed"] for row in rows]
        assert feeds == sorted(feeds)
        assert {"scanners:in:top_volume", "scanners:top_volume", f"quote:{RELIANCE}"} < set(feeds)
        minutes = [row["minute_int"] for row in rows if row["feed"] == f"candles:1m:{FUTURE}"]
        assert minutes == [91_500, 91_600]
        assert {row["feed"] for row in await dumped(both, "candles:1m:NSE_*")} == {
            f"candles:1m:{FUTURE}", f"candles:1m:{RELIANCE}"
        }  # fmt: skip
