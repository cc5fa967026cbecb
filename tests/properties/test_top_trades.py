"""Rankings, largest prints and time and sales: however cut, restarted, sharded or ordered."""

from itertools import takewhile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from tapewire.analyzers.top_trades import TopTradesAnalyzer
from tapewire.analyzers.trades import TradeFold
from tapewire.caches.rankings import Ranking, merge_prints, merge_top_trades
from tapewire.market.symbols import shard_of
from tapewire.model.events import Clock, Event, Trade
from tapewire.model.feeds import METRICS, WINDOWS_S
from tapewire.model.rows import (
    WATCHED,
    Fact,
    LargestPrint,
    TopTrade,
    decode_prints,
    decode_sale,
    decode_top_trades,
)
from tests.analyzers.market import Market
from tests.analyzers.tape import CALENDAR, MONDAY, ms
from tests.properties import naive, naive_activity
from tests.properties.tapes import DELAYS_MS, SYMBOLS, TOO_LATE_MS, Tape, events, pieces, places
from tests.properties.tapes import tapes as drawn_tapes

END_MS = ms("12:00", MONDAY)
WATCHED_ONES = [Fact(symbol, WATCHED, True) for symbol in SYMBOLS[:2]]


class Ranked(Market):
    """A shard whose only part ranks; two lines and three prints, so that some are pushed out."""

    def __init__(self, size: int = 2, prints: int = 3) -> None:
        self.items: dict[str, list[bytes]] = {}
        super().__init__(lambda: TradeFold(CALENDAR, [TopTradesAnalyzer(size=size, prints=prints)]))
        self.fold.learn(WATCHED_ONES)

    def flush(self) -> Any:
        changes = super().flush()
        for feed, items in changes.items.items():
            self.items.setdefault(feed, []).extend(items)
        return changes

    def crash(self) -> "Ranked":
        super().crash()
        self.fold.learn(WATCHED_ONES)
        return self

    def seen(self) -> tuple[dict[str, dict[str, bytes]], dict[str, list[bytes]]]:
        """All that readers see."""
        return self.store.rows, self.items

    @property
    def newest(self) -> dict[str, bytes]:
        """The newest rankings."""
        return self.store.rows[max(n for n in self.store.rows if n.startswith("top_trades:"))]

    def ranking(self, window: str, metric: str) -> list[TopTrade]:
        return decode_top_trades(self.newest[f"{window}:{metric}"])

    def prints(self) -> tuple[str, list[LargestPrint]]:
        """The newest date with prints, and those."""
        names = [name for name in self.store.rows if name.startswith("largest_prints:")]
        if not names:
            return "", []
        return max(names).rpartition(":")[2], decode_prints(self.store.rows[max(names)]["prints"])


def at_once(tape: list[Event]) -> Ranked:
    return Ranked().send(*tape).finish()


@given(st.data())
@settings(max_examples=80)
def test_any_split_with_any_flushes_gives_the_same(data: st.DataObject) -> None:
    tape = data.draw(events())
    cut = Ranked()
    for piece in pieces(tape, data.draw(places(len(tape)))):
        cut.send(*piece)
        if data.draw(st.booleans()):
            cut.flush()
    assert cut.finish().seen() == at_once(tape).seen()


@given(st.data())
@settings(max_examples=80)
def test_a_restart_anywhere_gives_the_same(data: st.DataObject) -> None:
    tape = data.draw(events())
    restarted = Ranked()
    for piece in pieces(tape, data.draw(places(len(tape)))):
        restarted.send(*piece).restart()
    assert restarted.finish().seen() == at_once(tape).seen()


@given(st.data())
@settings(max_examples=50)
def test_a_crash_anywhere_and_the_rest_again_gives_the_same(data: st.DataObject) -> None:
    tape = data.draw(events())
    flushed, crashed = sorted(data.draw(st.tuples(*[st.integers(0, len(tape))] * 2)))
    owner = Ranked().show(*tape[:flushed])
    owner.send(*tape[flushed:crashed]).crash().send(*tape[flushed:])
    assert owner.finish().seen() == at_once(tape).seen()


@given(st.data())
@settings(max_examples=40)
def test_a_store_that_lost_everything_is_filled_again(data: st.DataObject) -> None:
    tape = data.draw(events())
    place = data.draw(st.integers(0, len(tape)))
    owner = Ranked().show(*tape[:place])
    owner.store.private = {}
    owner.fold.renew()
    owner.send(*tape[place:]).restart()
    whole = at_once(tape)
    assert owner.finish().newest == whole.newest
    assert owner.prints() == whole.prints()


MESSY = drawn_tapes(delays=(*DELAYS_MS, TOO_LATE_MS))


@given(MESSY, st.booleans())
@settings(max_examples=150)
def test_a_naive_recomputation_gives_the_same(tape: Tape, restarts: bool) -> None:
    owner = Ranked(size=50, prints=100).send(*tape.arrivals)
    if restarts:
        owner.restart()
    owner.finish()
    arrivals = naive.sales_of(tape.arrivals)
    sales = naive.applied(arrivals)
    end_s = owner.fold.second_ms // 1000
    for name, rows in naive_activity.rankings(sales, end_s).items():
        assert [asdict(row) for row in owner.ranking(*name.split(":"))] == rows, name
    date, found = owner.prints()
    shown = [
        (p.rank, p.symbol, p.value, p.size, p.price, p.timestamp_ms, p.conditions, p.sequence)
        for p in found
    ]
    until_it_turned = takewhile(lambda sale: sale.date <= date, arrivals)
    assert shown == naive_activity.prints(naive.applied(list(until_it_turned)), date)


@given(MESSY)
@settings(max_examples=60)
def test_the_tape_of_a_watched_symbol_holds_every_applied_trade(tape: Tape) -> None:
    owner = Ranked().send(*tape.arrivals).finish()
    sales = naive.applied(naive.sales_of(tape.arrivals))
    for fact in WATCHED_ONES:
        found = map(decode_sale, owner.items.get(f"trades:{fact.symbol}", []))
        own = [sale for sale in sales if sale.symbol == fact.symbol]
        assert [(s.timestamp_ms, s.price, s.size, s.conditions, s.sequence) for s in found] == [
            (sale.t, sale.price, sale.size, sale.conditions, sale.q) for sale in own
        ]


@given(drawn_tapes(delays=(0,)))
@settings(max_examples=60)
def test_shards_merged_equal_one_shard(tape: Tape) -> None:
    one, shards = Ranked(), [Ranked(), Ranked()]
    one.send(*tape.arrivals)
    for trade in tape.arrivals:
        shards[shard_of(trade.symbol, 2)].send(trade)
    started = [each for each in shards if each.fold.second_ms >= 0]
    for each in (one, *started):
        each.show(Clock(END_MS, final=True))
    for window in WINDOWS_S:
        for metric in METRICS:
            parts = [Ranking(END_MS, shard.ranking(window, metric)) for shard in started]
            assert merge_top_trades(parts, window, metric, 2) == one.ranking(window, metric)
    assert merge_prints([shard.prints() for shard in started], 3) == one.prints()[1]


@given(drawn_tapes(repeats=False))
@settings(max_examples=60)
def test_any_order_within_the_lateness_gives_the_same_rankings(tape: Tape) -> None:
    arrived, in_order = (
        Ranked().send(*trades, Clock(END_MS, final=True)) for trades in (tape.arrivals, tape.trades)
    )
    for owner in (arrived, in_order):
        owner.flush()
    assert arrived.newest == in_order.newest


def test_a_week_without_a_trade_leaves_nothing_behind() -> None:
    owner = Ranked()
    owner.show(Trade("AAPL", 10.0, 5, ms("10:00"), (), 1))
    owner.show(Clock(ms("10:00", "2026-11-27")))
    assert owner.ranking("1d", "trades") == []
    assert owner.ranking("1m", "value") == []


def test_a_late_trade_in_the_last_second_of_a_day_is_ranked_whenever_was_flushed() -> None:
    in_time, late = ms("03:59:59", MONDAY), ms("03:59:58", MONDAY)
    tape = [Trade("AAPL", 90.0, 1, in_time, (), 2), Trade("AAPL", 90.0, 1, late, (), 1)]
    flushed = Ranked().show(*tape).finish()
    assert flushed.seen() == at_once([*tape]).seen()
