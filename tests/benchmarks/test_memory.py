"""The memory benchmark, at a hundredth of its size."""

from pathlib import Path

from benchmarks.memory import Held, Market, growth, held
from tapewire.market.sessions import SessionCalendar
from tapewire.model.rows import Candle


def test_a_small_day_is_folded_and_its_candles_are_right(tmp_path: Path) -> None:
    (day,) = held(tmp_path, 120, ("2024-01-08", "2024-01-08"), 5)
    assert day.wrong == []
    assert day.date == "2024-01-08"
    assert 10 < day.processor_mb < 600
    assert 0 < day.redis_mb < 100


def test_a_week_grows_by_what_it_gained_since_its_third_day_volume_curves_apart() -> None:
    sizes = ((50, 1), (80, 2), (100, 3), (104, 4), (107, 5))
    week = [Held("", 0, used, 0, [], curves) for used, curves in sizes]
    assert growth(week, "redis_mb") == 5


def test_a_wrong_candle_is_told() -> None:
    market = Market(1)
    day = SessionCalendar.load("XNYS").day("2024-01-08")
    price, size = market.price(0, 0), market.size(0, 0)
    right = Candle(day.open_ms, price, price, price, price, size, price, 1, True, 0, False)
    wrong = Candle(day.open_ms, price, price, price, price, size + 1, price, 1, True, 0, False)
    assert list(market.differences(0, 1, [right])) == []
    assert len(list(market.differences(0, 1, [wrong]))) == 1
