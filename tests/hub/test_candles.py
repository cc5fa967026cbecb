"""Candles: read once, followed from there."""

import pytest

from tapewire.caches.cache import Place
from tapewire.hub import candles
from tapewire.hub.candles import CandleTable
from tapewire.model.rows import encode_row
from tests.hub.stage import candle, candles_of

AIG = candles_of("AIG")
CLOSE = CandleTable.fields.index("close")


def packed(start_ms: int, close: float) -> dict[str, bytes]:
    return {str(start_ms): encode_row(candle(start_ms, close))}


def closes(table: CandleTable) -> dict[object, float]:
    return {key: row[CLOSE] for key, row in table.rows(None).items()}


def test_what_came_before_the_place_that_was_read_is_older_than_what_was_read() -> None:
    table = CandleTable("AIG", "1m")
    for flush in (4, 5, 6):
        table.put("t.0", Place(1, flush), AIG, packed(0, float(flush)))
    table.load({"t.0": Place(1, 5)}, [(AIG, packed(0, 5.5).values())])
    assert closes(table) == {0: 6.0}
    table.put("t.0", Place(1, 5), AIG, packed(0, 9.0))
    assert closes(table) == {0: 6.0}, "it was in what was read"
    table.put("t.0", Place(2, 1), AIG, packed(0, 7.0))
    assert closes(table) == {0: 7.0}, "a new owner's flush is newer"


def test_too_much_before_it_is_read_means_reading_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candles, "EARLY", 3)
    table = CandleTable("AIG", "1m")
    for flush in range(5):
        table.put("t.0", Place(1, flush), AIG, packed(flush * 60_000, 1.0))
    table.load({"t.0": Place(1, 0)}, [])
    assert closes(table) == {}
    table.load({"t.0": Place(1, 4)}, [(AIG, packed(0, 2.0).values())])
    assert closes(table) == {0: 2.0}


def test_an_older_candle_does_not_replace_the_newest_of_a_symbol() -> None:
    table = CandleTable("*", "1m")
    table.load({}, [(AIG, packed(60_000, 1.0).values())])
    table.put("t.0", Place(1, 1), AIG, packed(0, 5.0))
    assert closes(table) == {"AIG": 1.0}
    table.put("t.0", Place(1, 2), AIG, packed(60_000, 2.0))
    assert closes(table) == {"AIG": 2.0}
