"""Rows as they are stored: arrays whose order is a contract."""

import msgspec
import pytest
from msgspec.structs import replace

from tapewire.model.rows import (
    Candle,
    CandleView,
    QuoteRecord,
    Reference,
    decode_reference,
    encode_row,
    vwap,
)

CANDLE = Candle(60_000, 1.5, 2.5, 0.5, 2.0, 700, 1.25, 3, True, 1, False)

# As clients know them (components.md 4), in the order of the store.
QUOTE_FIELDS = [
    "symbol",
    "volume",
    "free_float",
    "accumulated_volume",
    "relative_volume",
    "official_open_price",
    "vwap",
    "open",
    "close",
    "high",
    "low",
    "aggregate_vwap",
    "average_size",
    "avg_volume",
    "prev_day_close",
    "prev_day_open",
    "prev_day_high",
    "prev_day_low",
    "prev_day_volume",
    "prev_day_vwap",
    "change",
    "pct_change",
    "change_since_open",
    "pct_change_since_open",
    "start_timestamp",
    "end_timestamp",
    "session",
    "day_high",
    "day_low",
    "base_note",
    "gap",
    "relative_volume_tod",
    "pct_change_1m",
    "pct_change_5m",
    "pct_change_15m",
    "volume_1m",
    "volume_5m",
    "halted",
    "news_at",
    "bid",
    "ask",
    "bid_size",
    "ask_size",
    "spread_pct",
    "name",
]


def test_the_order_of_stored_fields_is_fixed() -> None:
    assert list(QuoteRecord.__struct_fields__) == QUOTE_FIELDS


def test_rows_read_back() -> None:
    reference = Reference("AAPL", "2026-11-20", prev_day_close=98.0)
    assert decode_reference(encode_row(reference)) == reference


def test_a_view_names_the_candles_place() -> None:
    view = CandleView.of(CANDLE, "AAPL", "US", "1m")
    assert msgspec.to_builtins(view) == {
        "symbol": "AAPL",
        "exchange": "US",
        "interval": "1m",
        **{name: getattr(CANDLE, name) for name in Candle.__struct_fields__},
        "minute_int": None,
    }


def test_an_indian_candle_tells_its_minute_on_indias_clock() -> None:
    candle = replace(CANDLE, start_ms=1_795_146_300_000)  # 2026-11-20 03:45 UTC
    assert CandleView.of(candle, "NSE_FO:8765", "IN", "1m").minute_int == 91_500


@pytest.mark.parametrize(
    ("notional", "volume", "price"), [(150_000_000, 100, 1.5), (0, 0, None), (5, 0, None)]
)
def test_a_vwap_is_in_units_of_price(notional: int, volume: int, price: float | None) -> None:
    assert vwap(notional, volume) == price
