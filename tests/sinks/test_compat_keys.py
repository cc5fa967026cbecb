"""Candles as the earlier tick engine's keys."""

import json

import pytest

from tapewire.model.candle_names import CandleHash
from tapewire.model.rows import Candle
from tapewire.sinks.compat_keys import CompatKeys, minutes_in
from tests.services.ticks import FUTURE, ms

LATEST, CONFIRMED = "nse_fo:8765:_latest_:", "nse_fo:8765:_confirmed_:"


def candle(
    at: str, close: float, *, closed: bool = True, volume: int = 75, day: str = ""
) -> Candle:
    start_ms = ms(at, day) if day else ms(at)
    return Candle(start_ms, 10.0, 12.5, 9.05, close, volume, None, 3, closed, 0, False)


def written(keys: CompatKeys, *candles: Candle) -> dict[str, list[float]]:
    return {key: json.loads(value) for key, value in keys.of(FUTURE, candles).items()}


def test_a_closed_and_an_open_minute() -> None:
    keys = written(CompatKeys(), candle("09:15", 11.0), candle("09:16", 12.0, closed=False))
    assert keys == {
        "nse_fo:8765:91500:": [10.0, 12.5, 9.05, 11.0, 75],
        "nse_fo:8765:91600:": [10.0, 12.5, 9.05, 12.0, 75],
        LATEST: [10.0, 12.5, 9.05, 12.0, 75, 91_600],
        CONFIRMED: [10.0, 12.5, 9.05, 11.0, 75, 91_500],
    }


def test_a_confirmed_minute_is_written_after_itself() -> None:
    names = list(written(CompatKeys(), *(candle(f"09:{m}", 11.0) for m in range(15, 20))))
    assert names[-2:] == [LATEST, CONFIRMED]


def test_a_late_amendment_changes_its_own_minute_only() -> None:
    keys = CompatKeys()
    written(keys, candle("09:15", 11.0), candle("09:16", 12.0), candle("09:17", 13.0, closed=False))
    assert written(keys, candle("09:15", 8.0)) == {
        "nse_fo:8765:91500:": [10.0, 12.5, 9.05, 8.0, 75]
    }
    assert set(written(keys, candle("09:16", 8.0))) == {"nse_fo:8765:91600:", CONFIRMED}


def test_the_same_minute_of_the_next_day_takes_its_place() -> None:
    keys = CompatKeys()
    written(keys, candle("15:29", 11.0))
    next_day = written(keys, candle("09:15", 14.0, day="2026-11-23"))
    assert next_day[LATEST][-1] == 91_500
    assert next_day[LATEST][3] == 14.0


def test_the_same_token_of_two_exchanges_has_two_keys() -> None:
    keys = CompatKeys()
    both = keys.of("NSE_EQ:500", [candle("09:15", 1.0)]) | keys.of(
        "BSE_EQ:500", [candle("09:15", 2.0)]
    )
    assert {key for key in both if "latest" in key} == {
        "nse_eq:500:_latest_:", "bse_eq:500:_latest_:"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("candles:IN:NSE_FO:8765:1m:2026-11-20.1", FUTURE),
        ("candles:IN:NSE_INDEX:Nifty_50:1m:2026-11-20.0", "NSE_INDEX:Nifty_50"),
        ("candles:IN:NSE_FO:8765:5m:2026-11-20", None),
        ("candles:US:AIG:1m:2026-11-20.3", None),
        ("quote:2026-11-20", None),
        ("seconds:IN:1795146300000", None),
    ],
)
def test_only_indian_minutes_are_written(name: str, symbol: str | None) -> None:
    found = minutes_in(name)
    assert (found.symbol if isinstance(found, CandleHash) else None) == symbol
