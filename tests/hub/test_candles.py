"""Candles: read once, followed from there."""

import pytest

from tapewire.caches.cache import Place
from tapewire.hub import loading
from tapewire.hub.candles import CandleTable
from tapewire.hub.decoding import Decoding
from tapewire.model.candle_names import CandleHash
from tests.hub.stage import FRIDAY, candle, candles_of, packed_candles, packed_seconds

AIG = candles_of("AIG")
NAME = AIG.name
CLOSE = CandleTable.fields.index("close")


def packed(start_ms: int, close: float) -> dict[str, bytes]:
    return packed_candles(candle(start_ms, close))


def closes(table: CandleTable) -> dict[object, float]:
    return {key: row[CLOSE] for key, row in table.rows(None).items()}


def test_what_came_before_the_place_that_was_read_is_older_than_what_was_read() -> None:
    table = CandleTable("AIG", "1m", Decoding())
    for flush in (4, 5, 6):
        table.put("t.0", Place(1, flush), NAME, packed(0, float(flush)))
    table.load({"t.0": Place(1, 5)}, [(AIG, packed(0, 5.5))])
    assert closes(table) == {0: 6.0}
    table.put("t.0", Place(1, 5), NAME, packed(0, 9.0))
    assert closes(table) == {0: 6.0}, "it was in what was read"
    table.put("t.0", Place(2, 1), NAME, packed(0, 7.0))
    assert closes(table) == {0: 7.0}, "a new owner's flush is newer"


def test_too_much_before_it_is_read_means_reading_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "EARLY", 3)
    table = CandleTable("AIG", "1m", Decoding())
    for flush in range(5):
        table.put("t.0", Place(1, flush), NAME, packed(flush * 60_000, 1.0))
    table.load({"t.0": Place(1, 0)}, [])
    assert closes(table) == {}
    table.load({"t.0": Place(1, 4)}, [(AIG, packed(0, 2.0))])
    assert closes(table) == {0: 2.0}


def test_an_older_candle_does_not_replace_the_newest_of_a_symbol() -> None:
    table = CandleTable("*", "1m", Decoding())
    table.load({}, [(AIG, packed(60_000, 1.0))])
    table.put("t.0", Place(1, 1), NAME, packed(0, 5.0))
    assert closes(table) == {"AIG": 1.0}
    table.put("t.0", Place(1, 2), NAME, packed(60_000, 2.0))
    assert closes(table) == {"AIG": 2.0}


def test_a_wildcard_for_intervals_has_the_newest_candle_of_each() -> None:
    table = CandleTable("AIG", "*", Decoding())
    hours = CandleHash.of("US", "AIG", "1h", FRIDAY).name
    table.load({}, [(AIG, packed(60_000, 1.0))])
    table.put("t.0", Place(1, 1), hours, packed(0, 5.0))
    table.put("t.0", Place(1, 2), NAME, packed(0, 9.0))
    assert table.key == "interval"
    assert closes(table) == {"1m": 1.0, "1h": 5.0}


def test_of_all_intervals_and_symbols_each_symbol_has_the_shortest_of_its_newest() -> None:
    table = CandleTable("*", "*", Decoding())
    seconds = CandleHash.of("US", "AIG", "1s").name
    hours = CandleHash.of("US", "AIG", "1h", FRIDAY).name
    table.load({}, [])
    table.put("t.0", Place(1, 1), hours, packed(60_000, 5.0))
    table.put("t.0", Place(1, 2), seconds, packed_seconds(candle(60_000, 1.0)))
    table.put("t.0", Place(1, 3), NAME, packed(60_000, 2.0))
    assert closes(table) == {"AIG": 1.0}
    table.put("t.0", Place(1, 4), NAME, packed(120_000, 3.0))
    assert closes(table) == {"AIG": 3.0}


def test_one_second_candles_of_a_symbol_go_after_fifteen_minutes() -> None:
    table = CandleTable("AIG", "1s", Decoding())
    name = CandleHash.of("US", "AIG", "1s").name
    table.load({}, [])
    for second in (0, 5, 600, 906):
        one = packed_seconds(candle(second * 1_000, float(second)))
        table.put("t.0", Place(1, second), name, one)
    assert closes(table) == {600_000: 600.0, 906_000: 906.0}
    assert table.touched(3) == {0, 5_000, 600_000, 906_000}, "gone or new"
