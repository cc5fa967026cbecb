"""Random days against a naive recomputation that shares no code with the package."""

from typing import Any

from hypothesis import given, settings

from tapewire.model.events import Trade
from tapewire.model.rows import Reference
from tests.analyzers.market import Market
from tests.analyzers.tape import FRIDAY, MONDAY, ms
from tests.properties import naive
from tests.properties.tapes import DATES, DELAYS_MS, SYMBOLS, TOO_LATE_MS, Tape, tapes

PREVIOUS = {"AAPL": 98.0, "IBM": 104.0, "TSLA": 0.0}

MESSY = tapes(delays=(*DELAYS_MS, TOO_LATE_MS))


def folded(arrivals: list[Trade]) -> Market:
    market = Market().refer(
        *(
            Reference(symbol, date, prev_day_close=close)
            for symbol, close in PREVIOUS.items()
            for date in DATES
        )
    )
    return market.send(*arrivals).finish()


def found_candles(market: Market, interval: str = "1m") -> dict[tuple[str, int], dict[str, Any]]:
    names = ("open", "high", "low", "close", "volume", "vwap", "trades")
    return {
        (symbol, start): {name: getattr(candle, name) for name in names}
        for symbol in SYMBOLS
        for date in DATES
        for start, candle in market.candles(symbol, date, interval).items()
    }


@given(MESSY)
@settings(max_examples=200)
def test_candles(tape: Tape) -> None:
    market = folded(tape.arrivals)
    applied = naive.applied(naive.sales_of(tape.arrivals))
    for interval in ("1m", "5m", "15m", "1h", "1d"):
        assert found_candles(market, interval) == naive.candles(applied, interval), interval


@given(MESSY)
@settings(max_examples=200)
def test_candles_of_the_last_seconds(tape: Tape) -> None:
    found = found_candles(folded(tape.arrivals), "1s")
    every = naive.candles(naive.applied(naive.sales_of(tape.arrivals)), "1s")
    oldest = max((start for _, start in every), default=0) - naive.LATENESS_MS
    assert found == {place: every.get(place) for place in found}
    assert found.keys() >= {place for place in every if place[1] >= oldest}


@given(MESSY)
@settings(max_examples=200)
def test_quote_records(tape: Tape) -> None:
    market = folded(tape.arrivals)
    arrivals = naive.sales_of(tape.arrivals)
    date = max(arrivals, key=lambda sale: sale.t).date
    expected = naive.quotes(arrivals, PREVIOUS)
    assert market.quoted(date) == set(expected)
    for symbol, fields in expected.items():
        row = market.quote(symbol, date)
        assert {name: getattr(row, name) for name in fields} == fields


@given(MESSY)
@settings(max_examples=100)
def test_what_is_not_applied_is_counted(tape: Tape) -> None:
    market = folded(tape.arrivals)
    arrivals = naive.sales_of(tape.arrivals)
    refused = len(arrivals) - len(naive.applied(arrivals))
    assert sum(market.fold.skipped.values()) == refused


@given(MESSY)
@settings(max_examples=100)
def test_boards(tape: Tape) -> None:
    market = folded(tape.arrivals)
    arrivals = naive.sales_of(tape.arrivals)
    date = max(arrivals, key=lambda sale: sale.t).date
    expected = naive.quotes(arrivals, PREVIOUS)
    for board, field in (
        ("top_volume", "accumulated_volume"),
        ("top_gappers", "pct_change"),
        ("top_gainers", "pct_change_since_open"),
    ):
        scores = {
            symbol: row[field]
            for symbol, row in expected.items()
            if row[field] is not None and (row[field] or board != "top_volume")
        }
        assert market.scores(board, date) == scores


def test_the_oracle_knows_its_sessions() -> None:
    def sale(at: str, date: str = FRIDAY) -> naive.Sale:
        return naive.Sale("AAPL", 1.0, 1, ms(at, date), (), 1)

    found = [sale(at).session for at in ("04:00", "09:29:59.999", "09:30", "15:59:59", "16:00")]
    assert found == ["pre", "pre", "regular", "regular", "post"]
    assert sale("20:00").session == "closed"
    assert sale("03:59:59", MONDAY).date == "2026-11-22"
