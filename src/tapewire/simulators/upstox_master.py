"""The made-up market's instruments as Upstox names them, and the file that lists them."""

import gzip
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from tapewire.market.instruments import Instrument, InstrumentKind, derivative_symbol

_KINDS: Final = {
    InstrumentKind.EQUITY: "EQ",
    InstrumentKind.INDEX: "INDEX",
    InstrumentKind.FUTURE: "FUT",
    InstrumentKind.CALL: "CE",
    InstrumentKind.PUT: "PE",
}
_OPTIONS: Final = (InstrumentKind.CALL, InstrumentKind.PUT)
_EXPIRES: Final = timedelta(hours=18, minutes=29, seconds=59)
"""After midnight UTC: one second before midnight in India."""


def upstox_key(instrument: Instrument) -> str:
    """``NSE_EQ|INE000288501X``, ``NSE_FO|8765``, ``NSE_INDEX|Nifty 50``.

    Shares go by an ISIN, which is made up of the exchange's number.
    """
    token = instrument.token
    if instrument.kind is InstrumentKind.INDEX:
        token = token.replace("_", " ")
    elif instrument.kind is InstrumentKind.EQUITY:
        token = isin(f"INE{token.rjust(6, '0')[-6:]}01")
    return f"{instrument.exchange}|{token}"


def isin(stem: str) -> str:
    """Append the check digit of ISO 6166 to the eleven characters before it."""
    digits = [int(each) for character in stem for each in str(int(character, 36))]
    doubled = [2 * each if place % 2 == 0 else each for place, each in enumerate(reversed(digits))]
    total = sum(each - 9 if each > 9 else each for each in doubled)
    return f"{stem}{-total % 10}"


def master_file(instruments: Iterable[Instrument]) -> bytes:
    """The gzipped JSON list; the same bytes for the same instruments."""
    return gzip.compress(msgspec.json.encode([_row(each) for each in instruments]), mtime=0)


def _row(instrument: Instrument) -> Mapping[str, object]:
    """An index has no more than its names; derivatives have what they derive from."""
    row: dict[str, object] = {
        "segment": instrument.exchange,
        "name": instrument.underlying or instrument.symbol,
        "exchange": instrument.exchange.partition("_")[0],
        "instrument_type": _KINDS[instrument.kind],
        "instrument_key": upstox_key(instrument),
        "exchange_token": instrument.token,
        "trading_symbol": instrument.symbol,
    }
    if instrument.kind is not InstrumentKind.INDEX:
        row |= {"lot_size": instrument.lot_size, "tick_size": round(instrument.tick_size * 100, 4)}
    if instrument.expiry:
        row |= _derived(instrument)
    return row


def _derived(instrument: Instrument) -> Mapping[str, object]:
    """What only derivatives have; the trading symbol is in Upstox's own spelling."""
    day = datetime.fromisoformat(instrument.expiry).replace(tzinfo=UTC)
    monthly = derivative_symbol(
        instrument.underlying, instrument.expiry, instrument.kind, instrument.strike, weekly=False
    )
    option = instrument.kind in _OPTIONS
    what = f"{instrument.strike:g} {instrument.kind}" if option else "FUT"
    return {
        "weekly": option and instrument.symbol != monthly,
        "underlying_symbol": instrument.underlying,
        "expiry": int((day + _EXPIRES).timestamp() * 1000),
        "strike_price": instrument.strike,
        "trading_symbol": f"{instrument.underlying} {what} {day:%d %b %y}".upper(),
    }
