"""Candles: read once, followed from there."""

import pytest

from tapewire.caches.cache import Place
from tapewire.hub import loading
from tapewire.hub.candles import CandleTable
from tapewire.model.feeds import candle_hash
from tapewire.model.rows import encode_row
from tests.hub.stage import FRIDAY, candle, candles_of

AIG = candles_of("AIG")
NAME = candle_hash("US", "AIG", "1m", FRIDAY)
CLOSE = CandleTable.fields.index("close")


def packed(start_ms: int, close: float) -> dict[str, bytes]:
    return {str(start_ms): encode_row(candle(start_ms, close))}


def closes(table: CandleTable) -> dict[object, float]:
    return {key: row[CLOSE] for key, row in table.rows(None).items()}


def test_what_came_before_the_place_that_was_read_is_older_than_what_was_read() -> None:
    table = CandleTable("AIG", "1m")
    for flush in (4, 5, 6):
        table.put("t.0", Place(1, flush), NAME, packed(0, float(flush)))
    table.load({"t.0": Place(1, 5)}, [(AIG, packed(0, 5.5).values())])
    assert closes(table) == {0: 6.0}
    table.put("t.0", Place(1, 5), NAME, packed(0, 9.0))
    assert closes(table) == {0: 6.0}, "it was in what was read"
    table.put("t.0", Place(2, 1), NAME, packed(0, 7.0))
    assert closes(table) == {0: 7.0}, "a new owner's flush is newer"


def test_too_much_before_it_is_read_means_reading_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "EARLY", 3)
    table = CandleTable("AIG", "1m")
    for flush in range(5):
        table.put("t.0", Place(1, flush), NAME, packed(flush * 60_000, 1.0))
    table.load({"t.0": Place(1, 0)}, [])
    assert closes(table) == {}
    table.load({"t.0": Place(1, 4)}, [(AIG, packed(0, 2.0).values())])
    assert closes(table) == {0: 2.0}


def test_an_older_candle_does_not_replace_the_newest_of_a_symbol() -> None:
    table = CandleTable("*", "1m")
    table.load({}, [(AIG, packed(60_000, 1.0).values())])
    table.put("t.0", Place(1, 1), NAME, packed(0, 5.0))
    assert closes(table) == {"AIG": 1.0}
    table.put("t.0", Place(1, 2), NAME, packed(60_000, 2.0))
    assert closes(table) == {"AIG": 2.0}


def test_a_wildcard_for_intervals_has_the_newest_candle_of_each() -> None:
    table = CandleTable("AIG", "*")
    hours = candle_hash("US", "AIG", "1h", FRIDAY)
    table.load({}, [(AIG, packed(60_000, 1.0).values())])
    table.put("t.0", Place(1, 1), hours, packed(0, 5.0))
    table.put("t.0", Place(1, 2), NAME, packed(0, 9.0))
    assert table.key == "interval"
    assert closes(table) == {"1m": 1.0, "1h": 5.0}


def test_of_all_intervals_and_symbols_each_symbol_has_the_shortest_of_its_newest() -> None:
    table = CandleTable("*", "*")
    seconds, hours = (candle_hash("US", "AIG", each, FRIDAY) for each in ("1s", "1h"))
    table.load({}, [])
    table.put("t.0", Place(1, 1), hours, packed(60_000, 5.0))
    table.put("t.0", Place(1, 2), seconds, packed(60_000, 1.0))
    table.put("t.0", Place(1, 3), NAME, packed(60_000, 2.0))
    assert closes(table) == {"AIG": 1.0}
    table.put("t.0", Place(1, 4), NAME, packed(120_000, 3.0))
    assert closes(table) == {"AIG": 3.0}
