"""The plain oracle against rules worked out by hand, and against the Polars one."""

import json
from pathlib import Path
from typing import Any

from benchmarks.frames import DATE, Recording
from benchmarks.oracle import Values, board, cloned, of_trades
from benchmarks.recorded_day import expected
from tests.oracles.recorded import midnight_ms

OPEN_MS = midnight_ms(DATE) + 34_200_000


def trade(price: float, size: int, at_ms: int, q: int, *conditions: int) -> dict[str, Any]:
    return {"sym": "AIG", "p": price, "s": size, "t": OPEN_MS + at_ms, "q": q, "c": conditions}


def candle(*trades: dict[str, Any]) -> dict[str, Any]:
    return of_trades(trades).candles[DATE, "AIG"][OPEN_MS]


def test_an_odd_lot_counts_for_volume_only() -> None:
    made = candle(trade(10.0, 100, 0, 1), trade(99.0, 1, 5, 2, 37))
    assert (made["high"], made["close"], made["volume"], made["trades"]) == (10.0, 10.0, 101, 2)
    assert made["vwap"] == 1099 / 101


def test_form_t_makes_no_price_in_the_regular_session_but_before_it() -> None:
    inside = of_trades([trade(10.0, 100, 0, 1, 12)])
    assert inside.candles == {}
    before = of_trades([trade(10.0, 100, -60_000, 1, 12)])
    assert before.candles[DATE, "AIG"][OPEN_MS - 60_000]["close"] == 10.0


def test_order_is_time_then_sequence() -> None:
    made = candle(trade(11.0, 1, 5, 3), trade(10.0, 1, 5, 2), trade(12.0, 1, 900, 4))
    assert (made["open"], made["close"]) == (10.0, 12.0)


def test_repeated_and_too_late_trades_change_nothing() -> None:
    once = trade(10.0, 100, 0, 1)
    far = trade(11.0, 100, 1_000_000, 2)
    late = trade(50.0, 100, 1_000, 3)
    answers = of_trades([once, once, far, late])
    assert answers.candles[DATE, "AIG"][OPEN_MS]["volume"] == 100
    assert answers.events == 4


def test_the_official_open_is_the_base_of_the_gain() -> None:
    row = of_trades([trade(10.0, 1, 0, 1), trade(20.0, 1, 50, 2, 17), trade(25.0, 1, 99, 3)])
    assert row.quotes["AIG"]["official_open_price"] == 20.0
    assert row.quotes["AIG"]["pct_change_since_open"] == 25.0


def test_a_board_ranks_ties_by_symbol_and_lists_500() -> None:
    quotes = {f"S{k:03}": {"pct_change": float(k % 2)} for k in range(600)}
    listed = list(board(quotes, "pct_change"))
    assert len(listed) == 500
    assert listed[:2] == ["S001", "S003"]
    assert listed[300:302] == ["S000", "S002"]


def test_a_board_lists_nobody_without_a_score() -> None:
    quotes: dict[str, Values] = {"A": {"pct_change": None}, "B": {"pct_change": 0.0}}
    assert board(quotes, "pct_change") == {"B": 0.0}
    volumes = {"A": {"accumulated_volume": 0}, "B": {"accumulated_volume": 1}}
    assert board(volumes, "accumulated_volume") == {"B": 1}


def test_clones_answer_like_their_original() -> None:
    answers = cloned(of_trades([trade(10.0, 100, 0, 1)]), {"AIG": ["AIG000", "AIG001"]})
    assert answers.events == 2
    assert answers.candles[DATE, "AIG000"] == answers.candles[DATE, "AIG001"]
    assert answers.quotes["AIG001"]["symbol"] == "AIG001"


def test_both_oracles_agree_on_a_whole_day(day: Recording, shared: Path) -> None:
    plain = of_trades(map(json.loads, day.events()))
    polars = expected(Recording(day.label, day.frames, shared / "data"))
    assert plain.candles == polars.candles
    assert plain.events == polars.events
    for symbol, row in polars.quotes.items():
        found = plain.quotes[symbol]
        assert {name: found[name] for name in found} == {name: row[name] for name in found}
