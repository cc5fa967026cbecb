"""The hot loop: duplicates, order, what is refused, the current second over a restart."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar, Recent
from tapewire.analyzers.candles import AtomicOhlcEngine
from tapewire.analyzers.trades import TradeFold
from tapewire.market.conditions import ConditionTable
from tapewire.market.sessions import TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Clock, Trade
from tests.analyzers.market import Market
from tests.analyzers.tape import CALENDAR, MONDAY, ODD_LOT, OFFICIAL_CLOSE, clock, gap, ms, trade


@pytest.fixture
def market() -> Market:
    return Market()


def numbered(numbers: range, at: str = "09:31:02") -> list[Trade]:
    return [trade("AAPL", 100.0, at=at, sequence=number) for number in numbers]


class TestDuplicates:
    def test_a_repeated_sequence_within_the_last_1024_is_dropped(self, market: Market) -> None:
        market.show(*numbered(range(1, 1_025)))
        market.show(*numbered(range(1, 1_025), at="09:31:03"), clock("09:31:04"))
        assert market.fold.skipped == {"duplicate": 1_024}
        assert market.quote("AAPL").accumulated_volume == 102_400

    def test_an_older_one_is_taken_again(self, market: Market) -> None:
        market.show(*numbered(range(1, 1_026)))
        market.show(*numbered(range(1, 2), at="09:31:03"), clock("09:31:04"))
        assert market.fold.skipped == {}
        assert market.quote("AAPL").accumulated_volume == 102_600

    def test_the_window_is_the_symbols_own(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31", sequence=5))
        market.show(*(trade("IBM", 20.0, at="09:31:01", sequence=n) for n in range(1, 3_000)))
        market.show(trade("AAPL", 100.0, at="09:31:02", sequence=5))
        assert market.fold.skipped == {"duplicate": 1}

    def test_a_late_duplicate_of_a_late_trade_is_dropped(self, market: Market) -> None:
        late = trade("AAPL", 90.0, at="09:31:02", sequence=3)
        market.show(trade("AAPL", 100.0, at="09:31:10", sequence=9), late, late, clock("09:31:11"))
        assert market.fold.skipped == {"duplicate": 1}
        assert market.quote("AAPL").accumulated_volume == 200

    def test_a_trade_without_a_sequence_is_never_a_duplicate(self, market: Market) -> None:
        same = trade("AAPL", 100.0, at="09:31:02", sequence=0)
        market.show(same, same, same, clock("09:31:03"))
        assert market.quote("AAPL").accumulated_volume == 300

    def test_one_that_updated_nothing_is_still_remembered(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:02", conditions=(OFFICIAL_CLOSE,), sequence=4))
        market.show(trade("AAPL", 100.0, at="09:31:05", sequence=4))
        assert market.fold.skipped == {"duplicate": 1}

    @pytest.mark.parametrize("count", [1, 63, 64, 65, 1_024, 1_087, 1_088, 1_089, 3_000, 9_999])
    def test_a_new_owner_knows_the_last_1024(self, market: Market, count: int) -> None:
        for first in range(1, count + 1, 700):
            market.show(*numbered(range(first, min(first + 700, count + 1))))
        market.restart()
        known = range(max(1, count - 1_023), count + 1)
        market.show(*numbered(known, at="09:31:04"))
        assert market.fold.skipped == {"duplicate": len(known)}


class TestRefusals:
    def test_a_time_that_no_calendar_knows_is_counted(self, market: Market) -> None:
        market.show(
            trade("AAPL", 100.0, at="09:31", date="1999-12-31"),
            trade("AAPL", 100.0, at="09:31"),
            trade("AAPL", 100.0, at="09:31", date="2099-12-31"),
            trade("AAPL", 101.0, at="09:31:01"),
        ).finish()
        assert market.fold.skipped == {"bad_timestamp": 2}
        assert market.quote("AAPL").accumulated_volume == 200

    def test_an_empty_replay_ends_without_a_trace(self, market: Market) -> None:
        changes = market.send(Clock(0, final=True)).flush()
        assert not changes
        assert market.fold.skipped == {}

    def test_nothing_is_written_twice(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31"))
        assert not market.flush()


class TestTheCurrentSecond:
    def test_it_survives_a_restart(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:02.1"), trade("AAPL", 90.0, at="09:31:02.2"))
        market.restart().show(trade("AAPL", 95.0, at="09:31:02.3"), clock("09:31:03"))
        row = market.quote("AAPL")
        assert (row.volume, row.high, row.low, row.close) == (300, 100.0, 90.0, 95.0)
        assert market.candle("AAPL", "09:31").open == 100.0

    def test_an_earlier_seconds_bar_is_not_taken_for_it(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:02"))
        market.show(trade("IBM", 20.0, at="09:31:03"))
        market.restart().show(clock("09:31:04"))
        assert market.quote("AAPL").accumulated_volume == 100

    def test_what_was_not_flushed_is_gone_and_may_come_again(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:02.1", sequence=1))
        market.send(trade("AAPL", 90.0, at="09:31:02.2", sequence=2))
        market.crash().show(trade("AAPL", 90.0, at="09:31:02.2", sequence=2), clock("09:31:03"))
        assert market.quote("AAPL").accumulated_volume == 200
        assert market.fold.skipped == {}

    def test_late_trades_that_wait_for_the_cut_survive_a_restart(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="09:31:02"), trade("AAPL", 90.0, at="09:30:02"))
        market.restart().show(clock("09:31:03"))
        assert market.candle("AAPL", "09:30").close == 90.0
        assert market.quote("AAPL").accumulated_volume == 200

    def test_the_session_of_its_conditions_survives_a_restart(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="16:00:02"))
        market.restart()
        market.show(trade("AAPL", 101.0, at="16:00:02.5", conditions=(12,)), clock("16:00:03"))
        assert market.quote("AAPL").close == 101.0

    def test_two_restarts_over_a_day_turn(self, market: Market) -> None:
        market.show(trade("AAPL", 100.0, at="19:59")).restart()
        market.show(trade("AAPL", 101.0, at="10:00", date=MONDAY)).restart()
        market.show(trade("AAPL", 102.0, at="10:00:00.5", date=MONDAY)).finish()
        assert market.quote("AAPL", MONDAY).accumulated_volume == 200
        assert market.quote("AAPL").accumulated_volume == 100


def test_marks_in_the_list_change_nothing_else(market: Market) -> None:
    tape = [trade("AAPL", 100.0 + n, at=f"09:31:{n:02}.5") for n in range(10)]
    other = Market().show(*tape).finish()
    mixed = [event for n, each in enumerate(tape) for event in (clock(f"09:31:{n:02}"), each)]
    assert market.show(*mixed).finish().store.public() == other.store.public()


def test_a_clock_behind_the_events_is_ignored(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:10"), clock("09:30"), clock("09:31:10.999"))
    assert market.fold.second_ms == ms("09:31:10")
    market.show(clock("09:31:11"))
    assert market.fold.second_ms == ms("09:31:11")


def test_two_folds_of_a_shard_keep_their_private_state_apart() -> None:
    def make(name: str) -> Callable[[], TradeFold]:
        table = ConditionTable.named("regular" if name == "candle_trades" else "massive")
        return lambda: TradeFold(CALENDAR, [AtomicOhlcEngine(CALENDAR)], table, name)

    folds = [Market(make("trades")), Market(make("candle_trades"))]
    for fold in folds:
        fold.show(trade("AAPL", 100.0, at="09:31:02", size=7, conditions=(ODD_LOT,)))
    names = [
        {name for name in fold.store.private if name.startswith(("trades", "candle_"))}
        for fold in folds
    ]
    assert names[0].isdisjoint(names[1])


def test_a_gap_shows_the_current_second_again(market: Market) -> None:
    market.show(trade("AAPL", 100.0, at="09:31:02"))
    market.show(gap("09:31:02", "09:31:03"))
    row = market.quote("AAPL")
    assert (row.gap, row.accumulated_volume) == (True, 100)


def test_memory_of_sequences_is_bounded_without_a_flush() -> None:
    recent = Recent()
    for second in range(50):
        recent.extend(list(range(second * 1_000, (second + 1) * 1_000)))
    assert len(recent.sequences) <= Recent.MOST
    assert recent.has(49_999)
    assert recent.has(50_000 - Recent.WINDOW)
    assert not recent.has(49_999 - Recent.WINDOW)
    packed = dict(recent.drain("AAPL"))
    assert len(packed) <= Recent.CHUNKS
    assert Recent.restore(packed.values()).has(50_000 - Recent.WINDOW)


class Seer:
    """A part that only writes down which trades it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []

    def see(self, trades: Mapping[str, Sequence[Trade]], bars: Mapping[str, Bar]) -> None:
        for symbol, shown in trades.items():
            self.seen += [(symbol, trade.price) for trade in shown]

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None: ...
    def clock(self, second_ms: int, day: TradingDay) -> None: ...
    def finish(self) -> None: ...
    def gap(self, from_ms: int, to_ms: int) -> None: ...
    def refer(self, references: Iterable[object]) -> None: ...
    def renew(self) -> None: ...
    def restore(self, private: Hashes) -> None: ...

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        return Changes()

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        return []


class TestSingleTrades:
    def test_each_applied_trade_is_shown_once(self) -> None:
        seer = Seer()
        fold = TradeFold(CALENDAR, [seer])
        fold.apply([trade("AAPL", 1.0, at="09:31:02"), trade("AAPL", 2.0, at="09:31:02")])
        fold.drain()
        fold.apply([trade("AAPL", 3.0, at="09:31:02.500"), trade("AAPL", 4.0, at="09:31:03")])
        fold.apply([clock("09:31:04")])
        assert seer.seen == [("AAPL", price) for price in (1.0, 2.0, 3.0, 4.0)]

    def test_late_ones_and_those_that_update_nothing_are_shown_refused_ones_not(self) -> None:
        seer = Seer()
        TradeFold(CALENDAR, [seer]).apply(
            [
                trade("AAPL", 1.0, at="09:31:02", conditions=(OFFICIAL_CLOSE,), sequence=5),
                trade("AAPL", 2.0, at="09:31:02", sequence=5),
                trade("IBM", 3.0, at="09:31:01"),
                trade("IBM", -3.0, at="09:31:02"),
                clock("09:31:03"),
            ]
        )
        assert seer.seen == [("AAPL", 1.0), ("IBM", 3.0)]

    def test_a_late_trade_with_a_new_sequence_is_known_when_it_comes_again(
        self, market: Market
    ) -> None:
        late = trade("AAPL", 90.0, at="09:31:02", sequence=30)
        market.show(trade("AAPL", 100.0, at="09:31:10", sequence=9), late, late, clock("09:31:11"))
        assert market.fold.skipped == {"duplicate": 1}


@pytest.mark.parametrize("restarts", [range(40), (17,), (31, 39), (15, 16)])
def test_a_second_that_is_flushed_very_often_is_restored_whole(restarts: Sequence[int]) -> None:
    market = Market().send(trade("IBM", 20.0, at="09:31:02", size=5))
    sold = [trade("AAPL", 100.0 + n, at="09:31:02", size=1, sequence=n + 1) for n in range(40)]
    for number, one in enumerate(sold):
        market.show(one)
        if number in restarts:
            market.crash()
    market.restart().send(*sold).show(clock("09:31:03"))
    assert market.quote("AAPL").accumulated_volume == 40
    assert market.quote("IBM").accumulated_volume == 5
    assert not [name for name in market.store.private if "_second:" in name]


def test_sequences_of_a_second_are_known_once_after_a_restart_however_they_were_saved() -> None:
    market = Market()
    for number in range(1, 1025, 64):
        at = f"09:31:{number // 256:02}"
        market.show(*(trade("AAPL", 10.0, at=at, size=1, sequence=number + n) for n in range(64)))
        market.crash()
    market.send(trade("AAPL", 10.0, at="09:31:04", size=1, sequence=1)).finish()
    assert market.quote("AAPL").accumulated_volume == 1024
