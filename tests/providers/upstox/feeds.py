"""Instruments and connections as the tests of Upstox want them."""

from itertools import count

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.providers.upstox.limits import LIMITS, Plan
from tapewire.providers.upstox.messages import FrameKind, Mode
from tapewire.providers.upstox.protocol import UpstoxConnection
from tapewire.simulators.upstox_frames import Last, feed_frame
from tests import instruments
from tests.instruments import equity, index

TRADE_MS = 1_792_000_000_000
LAST = Last(100.5, TRADE_MS, 75, 99.25)

RELIANCE = equity("RELIANCE", "2885", tick_size=0.05, broker_key="NSE_EQ|INE002A01018")
NIFTY = index("NIFTY", "Nifty_50", broker_key="NSE_INDEX|Nifty 50")


def future(token: int) -> Instrument:
    """A future of that number, whose tick size is not known."""
    named = {"symbol": f"FUT{token}", "broker_key": f"NSE_FO|{token}"}
    return instruments.future("NIFTY", str(token), tick_size=0.0, **named)


FUTURE = future(45450)


def futures(number: int) -> list[Instrument]:
    """Futures numbered from 0."""
    return [future(token) for token in range(number)]


def connection(
    *instruments: Instrument,
    plan: Plan = Plan.STANDARD,
    max_keys: int = 500,
    mode: Mode = Mode.FULL,
) -> UpstoxConnection:
    """A connection opened at 100 s whose requests are named g1, g2, ..., and have been sent."""
    guids = count(1)
    made = UpstoxConnection(
        lambda: f"g{next(guids)}", now_s=90.0, limits=LIMITS[plan], max_keys=max_keys, mode=mode
    )
    made.subscribe(instruments)
    made.opened(100.0)
    made.data_to_send()
    return made


def read(socket: UpstoxConnection, instrument: Instrument, feed: bytes) -> list[Tick]:
    """The ticks of a live frame that has one feed."""
    frame = feed_frame(FrameKind.LIVE_FEED, [(instrument.broker_key, feed)], TRADE_MS)
    return socket.receive(frame, 7, 101.0)
