"""A market of five instruments for the tests of the simulated Upstox."""

from collections.abc import Mapping

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import TICK_INDEX, Tick
from tests.instruments import equity, future, index, option

TRADE_MS = 1_795_146_300_000  # 2026-11-20 09:15 in India

SHARE = equity("RELIANCE", "2885", tick_size=0.05)
INDEX = index("NIFTY", "Nifty_50")
FUTURE = future("NIFTY", "8765", lot_size=75)
MONTHLY = option("NIFTY", "8772", InstrumentKind.CALL, 24_000.0, lot_size=75)
WEEKLY = option("NIFTY", "8779", InstrumentKind.PUT, 24_000.0, weekly=True, lot_size=75)
LISTED = (SHARE, INDEX, FUTURE, MONTHLY, WEEKLY)


class SmallMarket:
    """What was traded is what a test puts into ``lasts``."""

    def __init__(self) -> None:
        self.lasts: dict[str, Tick] = {}
        self.instruments: Mapping[str, Instrument] = {each.key: each for each in LISTED}

    def last(self, key: str) -> Tick | None:
        return self.lasts.get(key)

    def previous_close(self, key: str) -> float:
        return 99.25


def traded(instrument: Instrument, price: float, volume: int = 750, at: int = 0) -> Tick:
    """A tick of an instrument, ``at`` ms after the open."""
    index = instrument.kind is InstrumentKind.INDEX
    return Tick(
        "",
        instrument.exchange,
        instrument.token,
        instrument.symbol,
        price,
        0 if index else 75,
        None if index else volume,
        5_000 if instrument.exchange == "NSE_FO" else None,
        TRADE_MS + at,
        0,
        TICK_INDEX if index else 0,
    )
