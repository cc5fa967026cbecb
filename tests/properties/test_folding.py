"""Folding is one function of the list of events, however it is cut, restarted or ordered."""

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.market.symbols import shard_of
from tapewire.model.events import Aggregate, Clock, Event, Trade
from tapewire.model.rows import Candle, Reference
from tests.analyzers.market import Market, aggregate_fold, trade_fold
from tests.analyzers.tape import CALENDAR, FRIDAY, MONDAY, ms
from tests.properties.tapes import DATES, ONE_DAY, SYMBOLS, Tape, events, pieces, places, tapes

REFERENCES = [
    Reference(symbol, date, prev_day_close=100.0, avg_volume=1_000.0)
    for symbol in SYMBOLS[:3]
    for date in (FRIDAY, MONDAY)
]
END_MS = ms("12:00", MONDAY)


def market(kind: str = "trades") -> Market:
    """Boards of two, so that symbols push one another out."""
    make = aggregate_fold if kind == "aggregates" else partial(trade_fold, board_size=2)
    return Market(make).refer(*REFERENCES)


def at_once(tape: list[Event]) -> Market:
    return market().send(*tape).finish()


@given(st.data())
@settings(max_examples=120)
def test_any_split_with_any_flushes_gives_the_same_rows(data: st.DataObject) -> None:
    tape = data.draw(events())
    cut = market()
    for piece in pieces(tape, data.draw(places(len(tape)))):
        cut.send(*piece)
        if data.draw(st.booleans()):
            cut.flush()
    assert cut.finish().store.public() == at_once(tape).store.public()


@given(st.data())
@settings(max_examples=120)
def test_a_restart_anywhere_gives_the_same_rows(data: st.DataObject) -> None:
    tape = data.draw(events())
    restarted = market()
    for piece in pieces(tape, data.draw(places(len(tape)))):
        restarted.send(*piece).restart()
    whole = at_once(tape)
    assert restarted.finish().store.public() == whole.store.public()


@given(st.data())
@settings(max_examples=60)
def test_a_crash_anywhere_and_the_rest_again_gives_the_same_rows(data: st.DataObject) -> None:
    tape = data.draw(events())
    flushed, crashed = sorted(data.draw(st.tuples(*[st.integers(0, len(tape))] * 2)))
    owner = market().show(*tape[:flushed])
    owner.send(*tape[flushed:crashed]).crash().send(*tape[flushed:])
    assert owner.finish().store.public() == at_once(tape).store.public()


@given(st.data())
@settings(max_examples=60)
def test_a_store_that_lost_everything_is_filled_again(data: st.DataObject) -> None:
    tape = data.draw(events(anchors=ONE_DAY[1:4], delays=(0, 900)))
    place = data.draw(st.integers(0, len(tape)))
    owner = market().show(*tape[:place])
    owner.store.rows, owner.store.boards, owner.store.private = {}, {}, {}
    owner.fold.renew()
    owner.send(*tape[place:]).restart()
    assert owner.finish().store.public() == at_once(tape).store.public()


def final(owner: Market) -> tuple[dict[str, dict[str, object]], dict[str, dict[str, float]]]:
    """Rows and boards with what depends on when a trade came left out."""
    rows, boards = owner.store.public()
    for values in rows.values():
        for row in values.values():
            if isinstance(row, Candle):
                assert row.closed
                row.revision = 0
    return rows, boards


@given(tapes(anchors=ONE_DAY, repeats=False))
@settings(max_examples=120)
def test_any_order_within_the_lateness_gives_the_same_rows(tape: Tape) -> None:
    arrived = market().send(*tape.arrivals, Clock(END_MS, final=True))
    in_order = market().send(*tape.trades, Clock(END_MS, final=True))
    arrived.flush()
    in_order.flush()
    assert final(arrived) == final(in_order)


def shown(rows: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """As readers show them: one-second candles up to 15 minutes before the newest of them."""
    starts = [int(field) for name in rows if name.startswith("candles:1s:") for field in rows[name]]
    oldest = max(starts, default=0) - 15 * 60_000
    for name in [name for name in rows if name.startswith("candles:1s:")]:
        rows[name] = {start: row for start, row in rows[name].items() if int(start) > oldest}
    return {name: found for name, found in rows.items() if found}


@given(st.data())
@settings(max_examples=80)
def test_shards_merged_equal_one_shard(data: st.DataObject) -> None:
    punctual, slow = tapes(delays=(0,)), tapes(anchors=ONE_DAY, delays=(0, 0, 900))
    arrivals = data.draw(punctual | slow).arrivals
    shards = [Market().refer(*REFERENCES), Market().refer(*REFERENCES)]
    one = Market().refer(*REFERENCES)
    for trade in arrivals:
        shards[shard_of(trade.symbol, 2)].send(trade)
    one.send(*arrivals)
    for each in (one, *shards):
        each.show(Clock(END_MS, final=True))
    parts = [each.store.public() for each in shards]
    for whole, *split in zip(one.store.public(), *parts, strict=True):
        merged: dict[str, dict[str, object]] = {}
        for part in split:
            for name, values in part.items():
                merged.setdefault(name, {}).update(values)
        assert shown(merged) == shown(whole)


def bars_of(tape: Tape) -> list[Event]:
    """A provider's second bars over the same trades, with a correction of some."""
    bars: list[Event] = []
    volume: dict[str, float] = {}
    for trade in tape.arrivals:
        volume[trade.symbol] = volume.get(trade.symbol, 0) + trade.size
        start = int(trade.timestamp_ms) // 1000 * 1000
        prices = (trade.price, trade.price + 1, trade.price - 1, trade.price)
        bars.append(
            Aggregate(
                trade.symbol, *prices, trade.size, start, start + 1000, volume[trade.symbol], 99.0
            )
        )
    return bars


def whole_days(bars: list[Event]) -> dict[tuple[str, str], tuple[float, float, float]]:
    """(trading date, symbol) -> high, low, last price; a newest bar replaces itself."""
    newest: dict[tuple[str, str], Aggregate] = {}
    counted: dict[tuple[str, str], list[Aggregate]] = {}
    clock_ms = 0
    for one in bars:
        assert isinstance(one, Aggregate)
        second_ms = int(one.start_timestamp)
        clock_ms = max(clock_ms, second_ms)
        today = CALENDAR.trading_date(clock_ms)
        key = (CALENDAR.trading_date(second_ms), one.symbol)
        if second_ms + 999 < clock_ms - 15 * 60_000 or key[0] != today:
            continue
        before = newest.get(key)
        if before is None or before.start_timestamp <= one.start_timestamp:
            if before is not None and before.start_timestamp < one.start_timestamp:
                counted.setdefault(key, []).append(before)
            newest[key] = one
        else:
            counted.setdefault(key, []).append(one)
    return {
        key: (
            max(one.high for one in (*counted.get(key, ()), last)),
            min(one.low for one in (*counted.get(key, ()), last)),
            last.close,
        )
        for key, last in newest.items()
    }


@given(st.data())
@settings(max_examples=80)
def test_a_days_extremes_are_those_of_the_bars_that_counted_last(data: st.DataObject) -> None:
    tape = bars_of(data.draw(tapes()))
    owner = market("aggregates")
    for piece in pieces(tape, data.draw(places(len(tape)))):
        owner.show(*piece)
    owner.finish()
    found = {
        (date, symbol): owner.quote(symbol, date) for date in DATES for symbol in owner.quoted(date)
    }
    rows = {key: (row.day_high, row.day_low, row.close) for key, row in found.items()}
    assert rows == whole_days(tape)


@given(st.data())
@settings(max_examples=80)
def test_aggregates_too_are_folded_the_same_however_cut(data: st.DataObject) -> None:
    tape = bars_of(data.draw(tapes()))
    owner = market("aggregates")
    for piece in pieces(tape, data.draw(places(len(tape)))):
        owner.send(*piece)
        if data.draw(st.booleans()):
            owner.restart()
    whole = market("aggregates").send(*tape).finish()
    assert owner.finish().store.public() == whole.store.public()


@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=6), st.data())
@settings(max_examples=40)
def test_a_repeated_trade_within_the_window_never_counts(
    bursts: list[int], data: st.DataObject
) -> None:
    owner, number = Market(), 0
    for second, burst in enumerate(bursts):
        t = ms("10:00") + second * 1_000
        owner.send(*(Trade("AAPL", 10.0, 1, t, (), number + n) for n in range(1, burst + 1)))
        number += burst
        if data.draw(st.booleans()):
            owner.restart()
        again = data.draw(st.integers(max(1, number - 1_023), number))
        owner.send(Trade("AAPL", 10.0, 1, t, (), again))
    owner.finish()
    assert owner.quote("AAPL").accumulated_volume == number
