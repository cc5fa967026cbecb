"""Which folds a shard of ticks gets, and what comes of its ticks in the store."""

import pytest

from tapewire.analyzers.ticks import TickFold
from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.caches.trade_reader import TradeReader
from tapewire.market.sessions import SessionCalendar
from tapewire.model.batch import Batch
from tapewire.model.markets import INDIA
from tapewire.model.rows import Reference
from tapewire.model.streams import Stream
from tapewire.services.analysis import Analysis
from tapewire.services.decoding import decode
from tests.services.ticks import FRIDAY, FUTURE, RELIANCE, TICKS, TickDesk, baseline, ms, tick


@pytest.fixture
async def desk() -> TickDesk:
    return await TickDesk(MemoryWidgetCache()).claim()


def test_ticks_are_folded_into_everything_by_indias_calendar() -> None:
    (fold,) = Analysis.of(["T.*", "A.*"]).choosing(["default"]).maker()(TICKS)
    assert isinstance(fold, TickFold)
    assert [type(part).__name__ for part in fold._clock.parts] == [
        "QuoteRecords",
        "LeaderboardAnalyzer",
        "DailyRangeAnalyzer",
        "TopTradesAnalyzer",
        "AtomicOhlcEngine",
    ]
    assert fold._calendar.exchange == "XNSE"


def test_a_corrected_calendar_is_used_for_its_market_only() -> None:
    india = SessionCalendar.load("XNSE")
    make = Analysis.of(["T.*"]).maker(india)
    (fold,) = make(TICKS)
    assert isinstance(fold, TickFold)
    assert fold._calendar is india


async def test_ticks_become_candles_quotes_boards_and_rankings(desk: TickDesk) -> None:
    desk.refer([Reference(RELIANCE, FRIDAY, prev_day_close=1_250.0, name="RELIANCE")])
    await desk.show(baseline(RELIANCE, 1_300.0), baseline(FUTURE, 24_000.0))
    await desk.show(
        tick(RELIANCE, 1_310.0, 200, "09:15:01"),
        tick(FUTURE, 24_010.0, 75, "09:15:01"),
        tick(RELIANCE, 1_320.0, 500, "09:15:30"),
        tick(RELIANCE, 1_300.0, 600, "09:16:05"),
    )
    await desk.show(ending=True)
    reader = WidgetReader(desk.cache)
    first, second = await reader.candles("IN", RELIANCE, "1m", FRIDAY)
    assert (first.start_ms, first.volume, first.closed) == (ms("09:15"), 500, True)
    assert (first.open, first.high, first.low, first.close) == (1_310.0, 1_320.0, 1_310.0, 1_320.0)
    assert (second.start_ms, second.volume, second.close) == (ms("09:16"), 100, 1_300.0)
    quote = await reader.quote(RELIANCE)
    assert quote is not None
    assert (quote.name, quote.pct_change, quote.session) == ("RELIANCE", 4.0, "regular")
    board = await reader.board("top_volume", 5, market=INDIA)
    assert [(line.rank, line.symbol, line.score) for line in board] == [
        (1, RELIANCE, 600.0),
        (2, FUTURE, 75.0),
    ]
    ranked = await TradeReader(desk.cache).top_trades("5m", "volume", market=INDIA)
    assert [(line.symbol, line.volume) for line in ranked] == [(RELIANCE, 600), (FUTURE, 75)]
    assert await TradeReader(desk.cache).top_trades("5m", "volume") == []


async def test_a_tick_from_the_future_is_counted_and_not_applied() -> None:
    desk = await TickDesk(MemoryWidgetCache(), delay_ms=0).claim()
    now, ahead = tick(FUTURE, 100.5, 10, "10:30"), tick(FUTURE, 102.0, 150, "10:36")
    desk.send(baseline(FUTURE))
    desk.send(now, ahead, received="10:30")
    assert desk.state.second_ms == ms("10:30")
    assert desk.state.skips()["ahead_of_clock"] == 1


def test_what_is_no_batch_of_ticks_is_massives() -> None:
    of_trades = Batch("massive", Stream.TRADES, 0, "mdl", 1, 0, 1, 0, b'{"ev":"T"}')
    assert decode(of_trades).skipped.total() == 1  # type: ignore[attr-defined]
    of_ticks = Batch("brokers", Stream.TICKS, 0, "brokers", 1, 0, 2, 0, b"not ticks")
    assert dict(decode(of_ticks).skipped) == {"malformed": 2}
