"""What brokers trade: one instrument, under one name whatever broker it comes from.

All Indian brokers carry the exchange's own number of an instrument, so exchange, segment and
that number name it everywhere (``brokers.md`` 4); a broker's own key goes with it.
"""

from datetime import date
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tapewire.market.ticks import instrument_key

EXCHANGES: Final = (
    "NSE_EQ",
    "NSE_FO",
    "NSE_COM",
    "NSE_INDEX",
    "NCD_FO",
    "BSE_EQ",
    "BSE_FO",
    "BSE_INDEX",
    "BCD_FO",
    "MCX_FO",
)
"""Exchange and segment, spelled the same for every broker."""

_MONTHS: Final = "123456789OND"
"""Months in a weekly option's symbol."""


class InstrumentKind(StrEnum):
    """What an instrument is."""

    EQUITY = "equity"
    INDEX = "index"
    FUTURE = "future"
    CALL = "CE"
    PUT = "PE"


class Instrument(Struct, frozen=True, kw_only=True, gc=False):
    """One row of a broker's instrument master.

    ``exchange`` is one of ``EXCHANGES``; ``token`` the exchange's number of the instrument in
    it, of an index its name with underscores (``Nifty_50``). ``symbol`` is the trading symbol
    (``RELIANCE``, ``NIFTY26NOVFUT``), ``underlying`` what a derivative is of (``NIFTY``).
    ``expiry`` is a date (``2026-11-26``), empty where there is none; ``tick_size`` and
    ``strike`` are rupees, 0.0 where unknown. ``broker_key`` is the broker's own name of it:
    Upstox ``NSE_EQ|INE002A01018``, Fyers ``NSE:RELIANCE-EQ``, Dhan ``NSE_EQ|2885``.
    """

    exchange: str
    token: str
    symbol: str
    kind: InstrumentKind = InstrumentKind.EQUITY
    underlying: str = ""
    expiry: str = ""
    strike: float = 0.0
    tick_size: float = 0.0
    lot_size: int = 1
    broker_key: str = ""

    @property
    def key(self) -> str:
        """``NSE_FO:8765``: the join key of all brokers, and the symbol that everything is under."""
        return instrument_key(self.exchange, self.token)


def derivative_symbol(
    underlying: str, expiry: str, kind: InstrumentKind, strike: float, *, weekly: bool
) -> str:
    """A derivative as its exchange spells it: ``NIFTY26NOVFUT``, ``NIFTY26NOV24000CE``.

    A weekly option has its day instead of the month's name: ``NIFTY26N2424000CE``. Brokers
    have spellings of their own (``NIFTY FUT 24 NOV 26``, ``NIFTY-Nov2026-FUT``).
    """
    day = date.fromisoformat(expiry)
    if kind is InstrumentKind.FUTURE:
        return f"{underlying}{day:%y%b}FUT".upper()
    when = f"{_MONTHS[day.month - 1]}{day:%d}" if weekly else f"{day:%b}"
    return f"{underlying}{day:%y}{when}{_plain(strike)}{kind}".upper()


def _plain(strike: float) -> str:
    """24000.0 as 24000, 97.25 as it is."""
    return f"{strike:.4f}".rstrip("0").rstrip(".")
