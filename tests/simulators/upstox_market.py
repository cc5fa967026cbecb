"""A market of five instruments for the tests of the simulated Upstox."""

from collections.abc import Mapping

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import TICK_INDEX, Tick

TRADE_MS = 1_795_146_300_000  # 2026-11-20 09:15 in India

SHARE = Instrument(exchange="NSE_EQ", token="2885", symbol="RELIANCE", tick_size=0.05)
INDEX = Instrument(
    exchange="NSE_INDEX", token="Nifty_50", symbol="NIFTY", kind=InstrumentKind.INDEX
)
FUTURE = Instrument(
    exchange="NSE_FO",
    token="8765",
    symbol="NIFTY26NOVFUT",
    kind=InstrumentKind.FUTURE,
    underlying="NIFTY",
    expiry="2026-11-24",
    tick_size=0.05,
    lot_size=75,
)
MONTHLY = Instrument(
    exchange="NSE_FO",
    token="8772",
    symbol="NIFTY26NOV24000CE",
    kind=InstrumentKind.CALL,
    underlying="NIFTY",
    expiry="2026-11-24",
    strike=24_000.0,
    tick_size=0.05,
    lot_size=75,
)
WEEKLY = Instrument(
    exchange="NSE_FO",
    token="8779",
    symbol="NIFTY26N2424000PE",
    kind=InstrumentKind.PUT,
    underlying="NIFTY",
    expiry="2026-11-24",
    strike=24_000.0,
    tick_size=0.05,
    lot_size=75,
)
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
