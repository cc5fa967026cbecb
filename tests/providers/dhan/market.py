"""Instruments and packets that the tests of Dhan's feed speak of."""

from tapewire.market.instruments import Instrument
from tapewire.providers.dhan.packets import Quote, Segment, Ticker, Update
from tapewire.simulators.dhan_frames import encode_frame
from tests.instruments import equity, future, index

NIFTY_FUTURE = future("NIFTY", "49081", symbol="NIFTY-Nov2026-FUT", broker_key="NSE_FNO|49081")
RELIANCE = equity("RELIANCE", "2885", tick_size=0.1, broker_key="NSE_EQ|2885")
RUPEE = future(
    "USDINR",
    "2885",
    exchange="NCD_FO",
    symbol="USDINR-28Nov2026-FUT",
    tick_size=0.0025,
    broker_key="NSE_CURRENCY|2885",
)
NIFTY = index("NIFTY", "Nifty_50", tick_size=0.05, broker_key="IDX_I|13")
T_S = 1_790_000_000
"""A second in which the market is open: the clock of tests begins there."""


def equities(count: int) -> list[Instrument]:
    """So many equities, numbered from 1."""
    return [
        equity(f"E{number}", str(number), tick_size=0.05, broker_key=f"NSE_EQ|{number}")
        for number in range(1, count + 1)
    ]


def quote(
    price: float,
    volume: int,
    at_s: int = T_S,
    *,
    segment: Segment = Segment.NSE_FNO,
    number: int = 49_081,
    size: int = 75,
) -> Quote:
    """A quote of the Nifty future, unless said otherwise, with nothing but its trade."""
    return Quote(segment, number, price, size, at_s, price, volume, 0, 0, price, 0.0, price, price)


def value(price: float, at_s: int = T_S) -> Ticker:
    """A value of the Nifty."""
    return Ticker(Segment.IDX_I, 13, price, at_s)


def frame(*updates: Update) -> bytes:
    """One message."""
    return encode_frame(updates)
