"""A small market for tests of the simulated Fyers: one instrument of each kind."""

from collections.abc import Iterator, Mapping, Sequence

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import TICK_INDEX, Tick
from tapewire.simulators.sources import TimedTick
from tests.instruments import equity, future, index, option

OPEN_MS = 1_795_146_300_000  # 2026-11-20 09:15 in India

RELIANCE = equity("RELIANCE", "2885", tick_size=0.05)
FUTURE = future("NIFTY", "2885", lot_size=65)
PUT = option(
    "SENSEX", "812345", InstrumentKind.PUT, 85_000.0, exchange="BSE_FO", expiry="2026-11-26"
)
DOLLAR = future("USDINR", "1234", exchange="NCD_FO", expiry="2026-11-26", tick_size=0.0025)
NIFTY = index("NIFTY", "Nifty_50")
LISTED = {one.key: one for one in (RELIANCE, FUTURE, PUT, DOLLAR, NIFTY)}
PRICES = {RELIANCE.key: 1460.0, FUTURE.key: 26000.05, PUT.key: 99.95, DOLLAR.key: 88.1225}


class ListedMarket:
    """``count`` ticks a second apart, by turns of all that is listed, one tick size up each."""

    def __init__(self, count: int = 100) -> None:
        self.name = "listed"
        self.notes: Sequence[str] = ()
        self.dates: tuple[str, ...] = ("2026-11-20",)
        self.instruments: Mapping[str, Instrument] = LISTED
        self._count = count

    def previous_close(self, key: str) -> float:
        return 100.0

    def skip(self, seconds: int) -> None:
        raise NotImplementedError

    def slices(self) -> Iterator[list[TimedTick]]:
        for number in range(self._count):
            yield [self.timed(number)]

    def timed(self, number: int) -> TimedTick:
        tick = made_tick(list(LISTED.values())[number % len(LISTED)], number)
        return tick.timestamp_ms, f"{tick.exchange}:{tick.token}", tick


def made_tick(one: Instrument, number: int) -> Tick:
    """The ``number``-th tick of an instrument, as the fyers client should see it too."""
    time_ms = OPEN_MS + number * 1000
    named = ("fyers", one.exchange, one.token, one.symbol)
    if one is NIFTY:
        return Tick(*named, 26_000 + number, 0, None, None, time_ms, 0, TICK_INDEX)
    price = round(PRICES[one.key] + number * one.tick_size, 4)
    return Tick(*named, price, 5, 100 + number, 7, time_ms, 0)
