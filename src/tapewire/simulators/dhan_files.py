"""The made-up market's instruments as Dhan names them, and the file that lists them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Final

from tapewire.market.instruments import Instrument, InstrumentKind, derivative_symbol
from tapewire.providers.dhan.packets import EXCHANGES, Segment

HEADER: Final = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,"
    "SEM_TRADING_SYMBOL,SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,"
    "SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,"
    "SM_SYMBOL_NAME"
)
_SEGMENTS: Final = {exchange: Segment(number) for number, exchange in EXCHANGES.items()}
_PLACES: Final[Mapping[Segment, str]] = {
    Segment.IDX_I: "{exchange},I",
    Segment.NSE_EQ: "NSE,E",
    Segment.NSE_FNO: "NSE,D",
    Segment.NSE_CURRENCY: "NSE,C",
    Segment.BSE_EQ: "BSE,E",
    Segment.BSE_FNO: "BSE,D",
    Segment.BSE_CURRENCY: "BSE,C",
    Segment.MCX_COMM: "MCX,M",
}
_INDICES: Final[Mapping[str, int]] = {
    "NSE_INDEX:Nifty_50": 13,
    "NSE_INDEX:India_VIX": 21,
    "NSE_INDEX:Nifty_Bank": 25,
    "NSE_INDEX:Nifty_Fin_Service": 27,
    "BSE_INDEX:SENSEX": 51,
    "BSE_INDEX:BANKEX": 69,
}
_FIRST_OTHER_INDEX: Final = 9_001
_OPTIONS: Final = (InstrumentKind.CALL, InstrumentKind.PUT)
_NO_STRIKE: Final = -0.01


def dhan_names(instruments: Iterable[Instrument]) -> dict[tuple[str, str], Instrument]:
    """Instruments by what a request calls them: segment's name and security id.

    Dhan numbers indices itself; those whose number is not known are counted up.
    """
    listed = list(instruments)
    others = sorted(one.key for one in listed if _is_index(one) and one.key not in _INDICES)
    numbers = {key: _FIRST_OTHER_INDEX + place for place, key in enumerate(others)} | dict(_INDICES)
    return {_name(one, numbers): one for one in listed}


def master_file(names: Mapping[tuple[str, str], Instrument]) -> bytes:
    """The CSV of everything that is listed, under Dhan's names of it."""
    return "\n".join([HEADER, *_rows(names), ""]).encode()


def _is_index(instrument: Instrument) -> bool:
    return instrument.kind is InstrumentKind.INDEX


def _name(instrument: Instrument, numbers: Mapping[str, int]) -> tuple[str, str]:
    if _is_index(instrument):
        return Segment.IDX_I.name, str(numbers[instrument.key])
    return _SEGMENTS[instrument.exchange].name, instrument.token


def _rows(names: Mapping[tuple[str, str], Instrument]) -> Iterator[str]:
    for (segment, number), one in names.items():
        yield ",".join(_row(Segment[segment], number, one))


def _row(segment: Segment, number: str, one: Instrument) -> Iterator[str]:
    """The row's columns, in the order of ``HEADER``."""
    option = one.kind in _OPTIONS
    yield _PLACES[segment].format(exchange=one.exchange.partition("_")[0])
    yield number
    yield _type(one)
    yield "0"
    yield _symbol(one)
    yield f"{one.lot_size:.1f}"
    yield one.token.replace("_", " ") if _is_index(one) else ""
    yield f"{one.expiry} 14:30:00" if one.expiry else ""
    yield f"{one.strike if option else _NO_STRIKE:.5f}"
    yield one.kind.value if option else "XX"
    yield f"{one.tick_size * 100:.4f}"
    yield _flag(one)
    yield from ("", "", "")


def _type(one: Instrument) -> str:
    if one.kind in (InstrumentKind.EQUITY, InstrumentKind.INDEX):
        return one.kind.name
    stem = "OPT" if one.kind in _OPTIONS else "FUT"
    return stem + ("STK" if one.exchange.endswith("_FO") else "CUR")


def _symbol(one: Instrument) -> str:
    """Dhan's own spelling: ``NIFTY-Sep2026-25000-CE``; the weekly options of a month share it."""
    if not one.expiry:
        return one.symbol
    month = f"{date.fromisoformat(one.expiry):%b%Y}"
    what = f"{one.strike:g}-{one.kind.value}" if one.kind in _OPTIONS else "FUT"
    return f"{one.underlying}-{month}-{what}"


def _flag(one: Instrument) -> str:
    if not one.expiry:
        return "NA"
    monthly = derivative_symbol(one.underlying, one.expiry, one.kind, one.strike, weekly=False)
    return "M" if one.symbol == monthly else "W"
