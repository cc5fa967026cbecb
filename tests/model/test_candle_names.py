"""Where candles lie, and what their names say."""

import pytest

from tapewire.market.sessions import SessionCalendar
from tapewire.model.candle_names import (
    INTERVALS,
    CandleHash,
    SecondsHash,
    candle_field,
    candle_hash,
    seconds_hash,
)
from tapewire.model.packed_candles import encode_candle
from tapewire.model.rows import Candle
from tests.analyzers.tape import CALENDAR, FRIDAY, ms

SUMMER = "2026-07-10"


@pytest.mark.parametrize("interval", [name for name in INTERVALS if name != "1s"])
@pytest.mark.parametrize("symbol", ["BRK.B", "O:SPY261218C00600000"])
def test_a_name_is_read_back(interval: str, symbol: str) -> None:
    start_ms = ms("09:30")
    name = candle_hash("US", symbol, interval, FRIDAY, start_ms)
    parsed = CandleHash.parse(name)
    assert parsed == CandleHash.of("US", symbol, interval, FRIDAY)
    assert parsed.feed == f"candles:{interval}:{symbol}"
    assert name in parsed.hashes()


def test_names_as_they_are_stored() -> None:
    assert candle_hash("US", "AIG", "5m", FRIDAY, ms("09:30")) == "candles:US:AIG:5m:2026-11-20"
    assert candle_hash("US", "AIG", "1m", FRIDAY, ms("09:30")) == "candles:US:AIG:1m:2026-11-20.3"
    assert candle_field(FRIDAY, ms("09:31")) == str(14 * 60 + 31)
    assert seconds_hash("US", ms("09:30:10")) == f"seconds:US:{ms('09:30:10')}"


@pytest.mark.parametrize("date", [FRIDAY, SUMMER, "2026-11-01", "2026-03-08"])
def test_every_minute_of_a_date_is_in_one_of_its_hashes_with_few_others(date: str) -> None:
    day = CALENDAR.day(date)
    hashes: dict[str, set[str]] = {}
    for start_ms in range(day.turn_ms, day.next_turn_ms, 60_000):
        name = candle_hash("US", "AIG", "1m", date, start_ms)
        hashes.setdefault(name, set()).add(candle_field(date, start_ms))
    assert set(hashes) <= set(CandleHash.of("US", "AIG", "1m", date).hashes())
    assert max(map(len, hashes.values())) == 240
    assert sum(map(len, hashes.values())) == (day.next_turn_ms - day.turn_ms) // 60_000


@pytest.mark.parametrize("exchange", ["IN", "NSE_FO"])
def test_a_date_in_india_begins_before_midnight_utc(exchange: str) -> None:
    day = SessionCalendar.load("XNSE").day(FRIDAY)
    minutes = range(day.turn_ms, day.next_turn_ms, 60_000)
    names = {candle_hash(exchange, "NSE_FO:8765", "1m", FRIDAY, at_ms) for at_ms in minutes}
    known = CandleHash.of(exchange, "NSE_FO:8765", "1m", FRIDAY)
    assert names <= set(known.hashes())
    assert {CandleHash.parse(name) for name in names} == {known}


def test_a_field_says_when_its_candle_starts() -> None:
    candle = Candle(ms("15:59"), 1.5, 2.5, 0.5, 2.0, 700, 1.25, 3, True, 1, False)
    rows = {candle_field(FRIDAY, candle.start_ms): encode_candle(candle)}
    assert list(CandleHash.of("US", "AIG", "1m", FRIDAY).candles(rows)) == [candle]


def test_seconds_are_split_by_symbol() -> None:
    name = seconds_hash("US", 1_795_185_000_000)
    parsed = SecondsHash.parse(name)
    assert parsed == ("US", 1_795_185_000_000)
    [(one, rows)] = parsed.split({"AIG": b"packed"})
    assert (one.symbol, one.interval, rows) == ("AIG", "1s", {"1795185000000": b"packed"})
