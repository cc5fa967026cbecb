"""Indian instruments in few words, for the tests of brokers and of what comes after them."""

from typing import Any

from tapewire.market.instruments import Instrument, InstrumentKind, derivative_symbol

EXPIRY = "2026-11-24"


def equity(symbol: str, token: str, **more: Any) -> Instrument:
    """A share on NSE; ``more`` are other fields of it."""
    return Instrument(**{"exchange": "NSE_EQ", "token": token, "symbol": symbol} | more)


def index(symbol: str, token: str, **more: Any) -> Instrument:
    """An index of NSE."""
    return equity(symbol, token, **{"exchange": "NSE_INDEX", "kind": InstrumentKind.INDEX} | more)


def future(underlying: str, token: str, **more: Any) -> Instrument:
    """A future on NSE, at 0.05 rupees a tick."""
    return _derivative(underlying, token, InstrumentKind.FUTURE, more)


def option(
    underlying: str,
    token: str,
    kind: InstrumentKind,
    strike: float,
    *,
    weekly: bool = False,
    **more: Any,
) -> Instrument:
    """An option on NSE, at 0.05 rupees a tick."""
    return _derivative(underlying, token, kind, {"strike": strike} | more, weekly=weekly)


def _derivative(
    underlying: str, token: str, kind: InstrumentKind, more: dict[str, Any], *, weekly: bool = False
) -> Instrument:
    expiry, strike = more.get("expiry", EXPIRY), more.get("strike", 0.0)
    symbol = derivative_symbol(underlying, expiry, kind, strike, weekly=weekly)
    fields = {
        "exchange": "NSE_FO",
        "token": token,
        "symbol": symbol,
        "kind": kind,
        "underlying": underlying,
        "expiry": expiry,
        "tick_size": 0.05,
    }
    return Instrument(**fields | more)
