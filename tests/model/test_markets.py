"""Which market is which, and what its clock says."""

from datetime import datetime

import pytest

from tapewire.market.instruments import EXCHANGES
from tapewire.market.sessions import SessionCalendar
from tapewire.market.symbols import market_of_symbol
from tapewire.model.candle_names import BLOCKS
from tapewire.model.markets import INDIA, MARKETS, US, market_of, market_of_shard, minute_int
from tapewire.model.streams import Stream


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "minute"),
    [
        ("2026-11-20T09:15:00+05:30", 91_500),
        ("2026-11-20T09:15:59.999+05:30", 91_500),
        ("2026-11-20T15:29:00+05:30", 152_900),
        ("2026-11-20T00:00:00+05:30", 0),
        ("2026-11-20T23:59:00+05:30", 235_900),
    ],
)
def test_a_minute_is_written_as_one_number(at: str, minute: int) -> None:
    assert minute_int(ms(at)) == minute


def test_ticks_are_indias_and_every_other_stream_is_the_us_markets() -> None:
    assert {stream for stream in Stream if market_of(stream) == INDIA} == {Stream.TICKS}
    assert market_of_shard("ticks.3") == INDIA
    assert market_of_shard("trades.3") == market_of_shard("no shard") == US


def test_a_symbol_tells_its_market() -> None:
    assert all(market_of_symbol(f"{exchange}:8765") == INDIA for exchange in EXCHANGES)
    for symbol in ("AIG", "BRK.B", "O:SPY261218C00600000", "X:BTCUSD", "NSE", ""):
        assert market_of_symbol(symbol) == US


def test_each_market_has_a_calendar_and_blocks_of_candles() -> None:
    for market in MARKETS:
        assert SessionCalendar.load(market.calendar).exchange == market.calendar
        assert market.exchange in BLOCKS
