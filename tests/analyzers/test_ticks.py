"""Broker ticks to candles: against the trades behind them, in any split, over restarts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.analyzers.candles import AtomicOhlcEngine
from tapewire.analyzers.leaderboard import LeaderboardAnalyzer
from tapewire.analyzers.quotes import QuoteRecords
from tapewire.analyzers.ticks import TickFold
from tapewire.market.sessions import SessionCalendar
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Clock, Event, Gap, Tick
from tapewire.model.feeds import board_set, quote_hash
from tapewire.model.rows import Candle, QuoteRecord, decode_quote
from tests.analyzers.market import Store

CALENDAR = SessionCalendar.load("XNSE")
KOLKATA = ZoneInfo("Asia/Kolkata")
FRIDAY, MONDAY = "2026-11-20", "2026-11-23"


def ms(clock: str, date: str = FRIDAY) -> int:
    local = datetime.fromisoformat(f"{date}T{clock}").replace(tzinfo=KOLKATA)
    return round(local.timestamp() * 1000)


OPEN_MS = ms("09:15")


def tick(
    price: float | None,
    volume: int | None,
    at: str | int,
    *,
    exchange: str = "NSE_FO",
    token: str = "8765",
    flags: int = 0,
    date: str = FRIDAY,
) -> Tick:
    t = at if isinstance(at, int) else ms(at, date)
    return Tick(
        "upstox", exchange, token, "NIFTY-I", price, 75, volume, None, t, t * 1_000_000, flags
    )


def baseline(volume: int | None = 0, **where: str) -> Tick:
    """What a broker sends on subscription, before the open."""
    return tick(100.0, volume, "09:14", flags=TICK_SNAPSHOT, **where)


class Desk:
    """A shard of ticks with candles, and the store that its flushes fill."""

    def __init__(self) -> None:
        self.store = Store()
        self.fold = self._new()

    def _new(self) -> TickFold:
        quotes = QuoteRecords(auction=True)
        candles = AtomicOhlcEngine(CALENDAR, exchange="IN")
        return TickFold(CALENDAR, [quotes, LeaderboardAnalyzer(quotes), candles])

    def send(self, *events: Event) -> Self:
        self.fold.apply(events)
        return self

    def flush(self) -> Self:
        self.store.write(self.fold.drain())
        return self

    def show(self, *events: Event) -> Self:
        return self.send(*events).flush()

    def crash(self) -> Self:
        """A new owner continues from the last flush."""
        skipped, self.fold = self.fold.skipped, self._new()
        first = {name: self.store.restored(name) for name in self.fold.first_hashes()}
        further = {name: self.store.restored(name) for name in self.fold.further_hashes(first)}
        self.fold.restore(first | further)
        self.fold.skipped = skipped
        return self

    def restart(self) -> Self:
        return self.flush().crash()

    def finish(self) -> Self:
        return self.show(Clock(max(self.fold.second_ms, 0), final=True))

    def candles(self, symbol: str = "NSE_FO:8765", interval: str = "1m") -> list[Candle]:
        return list(self.store.candles(symbol, interval, FRIDAY).values())

    def quote(self, symbol: str = "NSE_FO:8765", date: str = FRIDAY) -> QuoteRecord:
        return decode_quote(self.store.rows[quote_hash(date)][symbol])

    def scores(self, board: str) -> dict[str, float]:
        return self.store.boards.get(board_set(board, FRIDAY), {})

    def volume(self, symbol: str = "NSE_FO:8765") -> float:
        return sum(candle.volume for candle in self.candles(symbol, "1d"))


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestCandles:
    def test_a_minute_of_ticks(self, desk: Desk) -> None:
        desk.show(
            baseline(1_000),
            tick(101.0, 1_075, "09:15:01"),
            tick(103.0, 1_150, "09:15:01.500"),
            tick(99.0, 1_300, "09:15:40"),
            tick(100.0, 1_375, "09:15:59.999"),
        ).finish()
        (minute,) = desk.candles()
        assert (minute.open, minute.high, minute.low, minute.close) == (101.0, 103.0, 99.0, 100.0)
        assert (minute.volume, minute.trades, minute.start_ms) == (375, 4, OPEN_MS)
        assert minute.closed

    def test_two_exchanges_may_use_one_token(self, desk: Desk) -> None:
        for exchange in ("NSE_FO", "BSE_FO"):
            desk.send(baseline(0, exchange=exchange))
        desk.send(tick(10.0, 5, "09:15:01"), tick(90.0, 7, "09:15:01", exchange="BSE_FO"))
        desk.finish()
        assert [one.close for one in desk.candles()] == [10.0]
        assert [one.close for one in desk.candles("BSE_FO:8765")] == [90.0]
        assert (desk.volume(), desk.volume("BSE_FO:8765")) == (5, 7)

    def test_an_older_price_widens_its_own_minute_and_adds_no_volume(self, desk: Desk) -> None:
        desk.show(
            baseline(),
            tick(101.0, 10, "09:15:30"),
            tick(102.0, 30, "09:16:10"),
            tick(90.0, 20, "09:15:45"),
            Clock(ms("09:16:11")),
        ).finish()
        first, second = desk.candles()
        assert (first.low, first.close, first.volume) == (90.0, 90.0, 10)
        assert (second.low, second.close, second.volume) == (102.0, 102.0, 20)

    def test_the_last_candle_of_the_day_closes_by_the_clock(self, desk: Desk) -> None:
        desk.show(baseline(), tick(101.0, 10, "15:29:59"), Clock(ms("15:30:03")))
        assert [candle.closed for candle in desk.candles()] == [True]

    def test_an_hour_is_one_of_the_exchanges_clock(self, desk: Desk) -> None:
        desk.show(baseline(), tick(101.0, 10, "09:15"), tick(101.0, 15, "09:59:59"))
        desk.show(tick(102.0, 20, "10:00")).finish()
        hours = {one.start_ms: one.volume for one in desk.candles(interval="1h")}
        assert hours == {ms("09:00"): 15, ms("10:00"): 5}

    def test_the_same_minute_of_the_next_day_is_another_candle(self, desk: Desk) -> None:
        desk.show(baseline(), tick(101.0, 10, "09:15:01"))
        desk.show(tick(200.0, 4, "09:15:01", date=MONDAY)).finish()
        monday = desk.store.candles("NSE_FO:8765", "1m", MONDAY)
        assert [one.volume for one in monday.values()] == [4]
        assert [(one.close, one.volume) for one in desk.candles()] == [(101.0, 10)]

    def test_a_snapshot_of_the_day_before_makes_no_candle(self, desk: Desk) -> None:
        old = tick(80.0, 9_000, "15:29", flags=TICK_SNAPSHOT, date="2026-11-19")
        desk.show(old, tick(101.0, 10, "09:15:01"), old, tick(101.5, 15, "09:15:02")).finish()
        assert [(one.low, one.volume) for one in desk.candles()] == [(101.0, 15)]
        assert desk.store.candles("NSE_FO:8765", "1m", "2026-11-19") == {}

    def test_an_index_has_candles_without_volume(self, desk: Desk) -> None:
        index = [
            tick(price, None, f"09:15:0{n}", token="Nifty_50", flags=TICK_INDEX)
            for n, price in enumerate([100.0, 101.0, 99.0])
        ]
        desk.show(*index).finish()
        (minute,) = desk.candles("NSE_FO:Nifty_50")
        assert (minute.high, minute.low, minute.volume, minute.trades) == (101.0, 99.0, 0, 0)


class TestModesWithoutVolume:
    """Of modes that send no volume of the day only the size of the last trade is known."""

    TICKS = (
        tick(100.0, None, "09:15:01"),
        tick(101.0, None, "09:15:01.500"),
        tick(101.0, None, "09:15:02"),
    )

    @pytest.mark.parametrize("restarts", [False, True])
    @pytest.mark.parametrize(
        ("interval", "volumes"), [("1s", [150, 75]), ("1m", [225]), ("1d", [225])]
    )
    def test_last_sizes_are_summed_and_said_to_be_an_estimate(
        self, interval: str, volumes: list[int], restarts: bool
    ) -> None:
        desk = Desk().show(baseline(None))
        for one in self.TICKS:
            desk.show(one)
            if restarts:
                desk.restart()
        candles = desk.finish().candles(interval=interval)
        assert [(one.volume, one.estimated) for one in candles] == [(v, True) for v in volumes]

    def test_the_same_trade_told_again_is_no_other_one(self) -> None:
        desk = Desk().show(baseline(None), *self.TICKS, self.TICKS[-1]).finish()
        assert desk.volume() == 225

    def test_a_snapshot_and_an_index_have_no_size(self) -> None:
        desk = Desk().show(baseline(None), tick(100.0, None, "09:15:01", flags=TICK_INDEX)).finish()
        assert [(one.volume, one.estimated) for one in desk.candles()] == [(0, False)]

    def test_where_a_volume_is_known_no_size_is_taken(self) -> None:
        desk = Desk().show(baseline(0), tick(100.0, 40, "09:15:01"), tick(101.0, None, "09:15:02"))
        desk.finish()
        assert [(one.volume, one.close, one.estimated) for one in desk.candles()] == [
            (40, 101.0, False)
        ]


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            (tick(None, 5, "09:15:02"), "no_price"),
            (tick(0.0, 50, "09:15:02"), "bad_price"),
            (tick(float("nan"), 50, "09:15:02"), "bad_price"),
            (tick(1.0, 50, "09:15:02", exchange=""), "empty_exchange"),
            (tick(1.0, 50, "09:15:02", token=""), "empty_token"),
            (tick(1.0, 50, 0), "bad_timestamp"),
            (tick(1.0, 50, "09:15:02", date="2099-01-01"), "bad_timestamp"),
            (tick(1.0, 50, "09:15:02", date="1999-01-01"), "bad_timestamp"),
        ],
    )
    def test_they_change_nothing_and_are_counted(self, wrong: Tick, reason: str) -> None:
        desk = Desk().show(baseline(), tick(101.0, 10, "09:15:02"), wrong)
        desk.show(tick(101.0, 20, "09:15:02.500")).finish()
        assert [(one.low, one.volume) for one in desk.candles()] == [(101.0, 20)]
        assert desk.fold.skipped == {"baseline": 1, reason: 1}

    def test_a_tick_of_over_15_minutes_ago_leaves_its_volume_to_the_next(self, desk: Desk) -> None:
        desk.show(baseline(), tick(101.0, 10, "09:15:01"))
        other = tick(5.0, 1, "10:00:00", token="1")
        desk.show(baseline(0, token="1"), other, tick(90.0, 30, "09:40:00"))
        desk.show(tick(102.0, 40, "10:00:01")).finish()
        assert desk.fold.skipped["too_late"] == 1
        assert [(one.low, one.volume) for one in desk.candles()] == [(101.0, 10), (102.0, 30)]


class TestQuoteRecords:
    def test_a_start_in_the_middle_of_the_day_shows_the_brokers_volume(self, desk: Desk) -> None:
        desk.show(tick(101.0, 5_000_000, "10:59:58", flags=TICK_SNAPSHOT))
        desk.show(tick(102.0, 5_000_075, "11:00:01")).finish()
        row = desk.quote()
        assert (row.accumulated_volume, row.close, row.volume) == (5_000_075, 102.0, 75)
        assert desk.volume() == 75
        assert row.aggregate_vwap == 102.0
        assert desk.scores("top_volume") == {"NSE_FO:8765": 5_000_075}

    def test_nobody_knows_its_open_then(self, desk: Desk) -> None:
        desk.show(tick(101.0, 5_000_000, "10:59:58", flags=TICK_SNAPSHOT))
        desk.show(tick(102.0, 5_000_075, "11:00:01")).finish()
        row = desk.quote()
        assert (row.open, row.base_note, row.change_since_open) == (None, None, None)
        assert desk.scores("top_gainers") == {}

    def test_an_instrument_that_has_not_traded_since_shows_its_last_price(self, desk: Desk) -> None:
        desk.show(tick(101.0, 900, "10:59:58", flags=TICK_SNAPSHOT, token="1"))
        desk.show(tick(102.0, 5, "11:00:01"), tick(102.0, 10, "11:00:01.5"), Clock(ms("11:00:02")))
        row = desk.quote("NSE_FO:1")
        assert (row.accumulated_volume, row.close, row.volume) == (900, 101.0, 0)
        assert (row.start_timestamp, row.session) == (ms("10:59:58"), "regular")
        assert (row.high, row.day_high, row.aggregate_vwap) == (None, None, None)

    def test_the_auctions_price_is_the_official_open(self, desk: Desk) -> None:
        desk.show(tick(98.0, 7_000, "15:29:59", flags=TICK_SNAPSHOT, date="2026-11-19"))
        desk.show(tick(99.5, 1_000, "09:07:30"), Clock(ms("09:07:31")))
        row = desk.quote()
        assert (row.session, row.official_open_price, row.open) == ("pre", 99.5, 99.5)
        assert row.base_note == "first pre-market trade"
        desk.show(tick(100.495, 1_400, "09:15:00.2"), Clock(ms("09:15:01")))
        row = desk.quote()
        assert (row.session, row.open, row.base_note) == ("regular", 99.5, "official open")
        assert row.pct_change_since_open == pytest.approx(1.0)
        assert row.accumulated_volume == 1_400

    def test_a_start_after_the_auction_still_knows_its_price(self, desk: Desk) -> None:
        desk.show(tick(99.5, 1_000, "09:07:30", flags=TICK_SNAPSHOT))
        desk.show(tick(100.0, 1_400, "09:15:00.2"), Clock(ms("09:15:01")))
        assert (desk.quote().open, desk.quote().base_note) == (99.5, "official open")

    def test_without_an_auction_the_first_trade_is_the_open(self, desk: Desk) -> None:
        desk.show(tick(98.0, 7_000, "15:29:59", flags=TICK_SNAPSHOT, date="2026-11-19"))
        desk.show(tick(100.0, 75, "09:15:00.2"), tick(101.0, 150, "09:15:02"))
        desk.show(Clock(ms("15:30:01")))
        row = desk.quote()
        assert (row.official_open_price, row.open) == (None, 100.0)
        assert row.base_note == "first regular trade"
        assert (row.accumulated_volume, row.aggregate_vwap) == (150, 100.5)

    def test_what_was_traded_while_the_broker_was_away_counts_for_the_day(self, desk: Desk) -> None:
        desk.show(baseline(), tick(100.0, 75, "09:15:01"), tick(101.0, 100, "09:15:02"))
        desk.show(tick(104.0, 900, "09:20:00", flags=TICK_SNAPSHOT), Clock(ms("09:20:05")))
        row = desk.quote()
        assert (row.accumulated_volume, row.close, row.open) == (900, 104.0, 100.0)
        assert (desk.volume(), row.day_high) == (100, 101.0)

    def test_a_baseline_survives_a_crash_before_its_second_ends(self, desk: Desk) -> None:
        desk.show(baseline(), tick(100.0, 75, "09:15:01"))
        desk.show(tick(104.0, 900, "09:15:01.5", flags=TICK_SNAPSHOT)).crash()
        desk.show(Clock(ms("09:15:02")))
        assert desk.quote().accumulated_volume == 900

    def test_so_does_one_before_event_time_begins(self, desk: Desk) -> None:
        desk.show(tick(101.0, 900, "10:59:58", flags=TICK_SNAPSHOT)).crash()
        desk.show(baseline(0, token="1"), tick(102.0, 5, "11:00:01", token="1")).restart()
        desk.show(Clock(ms("11:00:02")))
        assert desk.quote().accumulated_volume == 900

    def test_yesterdays_volume_is_nobodys(self, desk: Desk) -> None:
        desk.show(tick(101.0, 900, "15:29:58", flags=TICK_SNAPSHOT, date="2026-11-19"))
        desk.show(tick(102.0, 5, "09:15:01"), Clock(ms("09:15:02")))
        assert desk.quote().accumulated_volume == 5


def test_volumes_go_on_under_the_next_date_and_expired_contracts_are_forgotten(desk: Desk) -> None:
    desk.show(baseline(1_000), tick(101.0, 1_010, "09:15:01"), baseline(token="1"))
    for date in ("2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14"):
        desk.show(tick(101.0, 20, "09:15:01", date=date)).restart()
    kept = {n: set(v) for n, v in desk.store.private.items() if n.startswith("ticks_volumes")}
    assert kept == {"ticks_volumes:2026-12-14": {"NSE_FO:8765"}}


def test_a_baseline_alone_survives_a_restart(desk: Desk) -> None:
    desk.send(baseline(1_000)).restart()
    desk.show(tick(101.0, 1_010, "09:15:01")).finish()
    assert desk.volume() == 10


def test_what_was_not_flushed_may_come_again(desk: Desk) -> None:
    desk.show(baseline(), tick(101.0, 10, "09:15:01")).send(tick(102.0, 20, "09:15:01.5")).crash()
    desk.show(tick(102.0, 20, "09:15:01.5"), tick(103.0, 25, "09:15:03")).finish()
    assert desk.volume() == 25


def test_a_store_that_lost_everything_gets_it_again(desk: Desk) -> None:
    desk.show(baseline(), tick(101.0, 10, "09:15:01"), tick(101.0, 15, "09:15:02"))
    desk.store = Store()
    desk.fold.renew()
    desk.restart().show(tick(102.0, 40, "09:15:02.5")).finish()
    assert desk.volume() == 40


def test_a_loss_marks_the_candles_around_it(desk: Desk) -> None:
    desk.show(baseline(), tick(101.0, 10, "09:15:01"))
    desk.send(Gap("ticks.0", "mdl", 1, 0, 5, 5, ms("09:15:01"), ms("09:15:02"), "lost"))
    desk.show(tick(101.0, 20, "09:16:10")).finish()
    assert [one.gap for one in desk.candles()] == [True, False]


NAMES = [("NSE_FO", "8765"), ("BSE_FO", "8765"), ("NSE_EQ", "11536")]


@st.composite
def trading(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """Trades in order of time: instrument, ms since the open, price in paise, size."""
    steps = st.integers(0, 3_000) | st.integers(0, 40_000)
    count = draw(st.integers(1, 60))
    times = [0] * count
    for n in range(1, count):
        times[n] = times[n - 1] + draw(steps)
    return [
        (draw(st.integers(0, 2)), t, draw(st.integers(9_900, 10_100)), draw(st.integers(1, 300)))
        for t in times
    ]


def ticks_of(trades: Iterable[tuple[int, int, int, int]]) -> list[Tick]:
    """The states that a broker would send, baselines first."""
    volumes = [1_000, 0, 77]
    first = [
        baseline(volumes[n], exchange=exchange, token=token)
        for n, (exchange, token) in enumerate(NAMES)
    ]
    ticks = []
    for n, t, paise, size in trades:
        volumes[n] += size
        exchange, token = NAMES[n]
        ticks.append(tick(paise / 100, volumes[n], OPEN_MS + t, exchange=exchange, token=token))
    return first + ticks


def computed(
    trades: Iterable[tuple[int, int, int, int]], n: int, length_ms: int
) -> list[tuple[float | int, ...]]:
    """Candles straight from the trades: start, open, high, low, close, volume, trades."""
    buckets: dict[int, list[tuple[float, int]]] = {}
    for instrument, t, paise, size in trades:
        if instrument == n:
            start_ms = (OPEN_MS + t) // length_ms * length_ms
            buckets.setdefault(start_ms, []).append((paise / 100, size))
    found: list[tuple[float | int, ...]] = []
    for start_ms, inside in sorted(buckets.items()):
        prices = [price for price, _ in inside]
        volume = sum(size for _, size in inside)
        sums = (prices[0], max(prices), min(prices), prices[-1], volume, len(inside))
        found.append((start_ms, *sums))
    return found


def seen(desk: Desk, n: int, interval: str) -> list[tuple[float | int, ...]]:
    rows: list[tuple[float | int, ...]] = [
        (one.start_ms, one.open, one.high, one.low, one.close, one.volume, one.trades)
        for one in desk.candles(":".join(NAMES[n]), interval)
    ]
    return rows


@settings(deadline=None, max_examples=60)
@given(trading(), st.data())
def test_candles_are_those_of_the_trades_in_any_split_over_restarts_and_repeats(
    trades: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    desk, ticks = Desk(), ticks_of(trades)
    what = st.sampled_from(["send", "flush", "restart", "crash", "repeat"])
    unflushed: list[Event] = []
    for one in ticks:
        match data.draw(what):
            case "flush":
                desk.flush()
                unflushed = []
            case "restart":
                desk.restart()
                unflushed = []
            case "crash":
                desk.crash().send(*unflushed)
            case "repeat":
                desk.send(one, one)
        desk.send(one)
        unflushed.append(one)
    desk.finish()
    for n in range(3):
        assert seen(desk, n, "1m") == computed(trades, n, 60_000)
        assert seen(desk, n, "5m") == computed(trades, n, 300_000)


@settings(deadline=None, max_examples=40)
@given(trading(), st.data())
def test_one_list_or_many_give_the_same(
    trades: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    ticks: Sequence[Tick] = ticks_of(trades)
    shuffled = data.draw(st.permutations(ticks))
    whole, single = Desk().show(*shuffled).finish(), Desk()
    for one in shuffled:
        single.send(one)
        if data.draw(st.booleans()):
            single.restart()
    single.finish()
    assert single.store.public() == whole.store.public()
    assert single.fold.skipped == whole.fold.skipped


@settings(deadline=None, max_examples=40)
@given(trading(), st.data())
def test_the_volume_of_the_day_is_the_brokers_whatever_was_missed(
    trades: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    desk, told = Desk(), dict[str, int]()
    for one in ticks_of(trades)[len(NAMES) :]:
        match data.draw(st.sampled_from(["send", "miss", "snapshot", "restart"])):
            case "miss":
                continue
            case "snapshot":
                one.flags |= TICK_SNAPSHOT
            case "restart":
                desk.restart()
        desk.send(one)
        told[f"{one.exchange}:{one.token}"] = one.day_volume or 0
    desk.finish()
    rows = desk.store.rows.get(quote_hash(FRIDAY), {})
    assert {key: decode_quote(row).accumulated_volume for key, row in rows.items()} == (
        told if desk.fold.second_ms >= 0 else {}
    )
