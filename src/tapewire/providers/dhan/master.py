"""Dhan's instrument master: a CSV of everything that can be traded, into `Instrument`.

Pure. Dhan's security ids are the exchanges' own numbers, so that its instruments join those of
other brokers as they are; indices it numbers itself, and they join by name (``INDICES``).
Columns as in ``api-scrip-master.csv``: tick sizes are in paise, strikes in rupees, the underlying
of a derivative stands only in Dhan's symbol of it (``NIFTY-Sep2026-25000-CE``), which the weekly
options of a month share; here they are spelled as their exchange does.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from tapewire.market.instruments import Instrument, InstrumentKind, derivative_symbol
from tapewire.providers.dhan.packets import EXCHANGES, Segment

SEGMENTS: Final[Mapping[tuple[str, str], Segment]] = {
    ("NSE", "E"): Segment.NSE_EQ,
    ("NSE", "D"): Segment.NSE_FNO,
    ("NSE", "C"): Segment.NSE_CURRENCY,
    ("NSE", "I"): Segment.IDX_I,
    ("BSE", "E"): Segment.BSE_EQ,
    ("BSE", "D"): Segment.BSE_FNO,
    ("BSE", "C"): Segment.BSE_CURRENCY,
    ("BSE", "I"): Segment.IDX_I,
    ("MCX", "M"): Segment.MCX_COMM,
}
"""The file's exchange and segment, and the feed's. The commodities of NSE have no feed."""

INDICES: Final[Mapping[str, str]] = {
    "NIFTY": "Nifty_50",
    "BANKNIFTY": "Nifty_Bank",
    "FINNIFTY": "Nifty_Fin_Service",
    "MIDCPNIFTY": "NIFTY_MID_SELECT",
    "NIFTYNXT50": "Nifty_Next_50",
    "NIFTYNEXT50": "Nifty_Next_50",
    "NIFTYIT": "Nifty_IT",
    "INDIAVIX": "India_VIX",
    "SENSEX": "SENSEX",
    "SENSEX50": "SENSEX50",
    "BANKEX": "BANKEX",
}
"""Indices that other brokers have too: Dhan's symbol without spaces, and their token of it.

Every other index goes by Dhan's own display name, and joins another broker's only if that is
spelled the same; of those a change of broker loses the values.
"""

INDEX_TICK_SIZE: Final = 0.01
"""Values of indices have two decimals; the file's tick size of them is no guide."""

COLUMNS: Final = (
    "SEM_EXM_EXCH_ID",
    "SEM_SEGMENT",
    "SEM_SMST_SECURITY_ID",
    "SEM_INSTRUMENT_NAME",
    "SEM_TRADING_SYMBOL",
    "SEM_LOT_UNITS",
    "SEM_CUSTOM_SYMBOL",
    "SEM_EXPIRY_DATE",
    "SEM_STRIKE_PRICE",
    "SEM_OPTION_TYPE",
    "SEM_TICK_SIZE",
    "SEM_EXPIRY_FLAG",
)
"""Those that are read, wherever they stand in the file."""

_PAISE: Final = 100
_DATE: Final = re.compile(r"(?!0001)\d{4}-\d\d-\d\d")
_OPTIONS: Final = {"CE": InstrumentKind.CALL, "PE": InstrumentKind.PUT}
_SYMBOL_PARTS: Final = {
    InstrumentKind.FUTURE: 2,
    InstrumentKind.CALL: 3,
    InstrumentKind.PUT: 3,
}
"""So many parts follow the underlying in a trading symbol, each after a hyphen."""


def parse(data: bytes, skipped: Counter[str]) -> list[Instrument]:
    """Read the master. What is left out is counted in ``skipped``, by reason.

    ``other_segment`` (no feed has it), ``other_type``, ``no_expiry`` (of a derivative),
    ``repeated`` (a key that an earlier row has), ``unreadable_row``. Raises ValueError for
    what is not such a file, or has no instrument in it.
    """
    rows = csv.reader(data.decode("utf-8-sig", "replace").splitlines())
    instruments: dict[str, Instrument] = {}
    try:
        places = _places(next(rows, []))
        for row in rows:
            _take(row, places, instruments, skipped)
    except csv.Error as error:
        raise ValueError(f"instrument master: expected CSV: {error}") from None
    if not instruments:
        raise ValueError(f"instrument master: no instrument in it; left out: {dict(skipped)}")
    return list(instruments.values())


def _take(
    row: Sequence[str],
    places: Sequence[int],
    instruments: dict[str, Instrument],
    skipped: Counter[str],
) -> None:
    try:
        one = _instrument([row[place] for place in places])
    except (ValueError, IndexError):
        one = "unreadable_row"
    if isinstance(one, str):
        skipped[one] += 1
    elif one.key in instruments:
        skipped["repeated"] += 1
    else:
        instruments[one.key] = one


def _places(header: Sequence[str]) -> list[int]:
    names = [name.strip() for name in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise ValueError(f"instrument master: columns {', '.join(missing)} are not there")
    return [names.index(column) for column in COLUMNS]


def _instrument(row: Sequence[str]) -> Instrument | str:
    """The instrument of a row's ``COLUMNS``, or why it is left out; ValueError for no number."""
    exchange, part, number, name, symbol, lot, display, expires, strike, option, tick, flag = map(
        str.strip, row
    )
    segment, kind = SEGMENTS.get((exchange, part)), _kind(name, option)
    if segment is None:
        return "other_segment"
    if kind is None or (segment is Segment.IDX_I) != (kind is InstrumentKind.INDEX):
        return "other_type"
    broker_key = f"{segment.name}|{int(number)}"
    if kind is InstrumentKind.INDEX:
        return _index(exchange, symbol, display, broker_key)
    one = Instrument(
        exchange=EXCHANGES[segment],
        token=str(int(number)),
        symbol=symbol,
        kind=kind,
        tick_size=max(float(tick or 0), 0.0) / _PAISE,
        lot_size=max(int(float(lot or 1)), 1),
        broker_key=broker_key,
    )
    if kind is InstrumentKind.EQUITY:
        return one
    date = _DATE.match(expires)
    if date is None:
        return "no_expiry"
    return _derived(one, date[0], float(strike or 0), weekly=flag == "W")


def _derived(one: Instrument, expiry: str, strike: float, *, weekly: bool) -> Instrument:
    underlying = one.symbol.rsplit("-", _SYMBOL_PARTS[one.kind])[0]
    strike = 0.0 if one.kind is InstrumentKind.FUTURE else strike
    return replace(
        one,
        symbol=derivative_symbol(underlying, expiry, one.kind, strike, weekly=weekly),
        underlying=underlying,
        expiry=expiry,
        strike=strike,
    )


def _kind(name: str, option: str) -> InstrumentKind | None:
    if name.startswith("OPT"):
        return _OPTIONS.get(option)
    if name.startswith("FUT"):
        return InstrumentKind.FUTURE
    return {"EQUITY": InstrumentKind.EQUITY, "INDEX": InstrumentKind.INDEX}.get(name)


def _index(exchange: str, symbol: str, display: str, broker_key: str) -> Instrument:
    known = INDICES.get(symbol.replace(" ", "").upper())
    return Instrument(
        exchange=f"{exchange}_INDEX",
        token=known or (display or symbol).replace(" ", "_"),
        symbol=symbol,
        kind=InstrumentKind.INDEX,
        tick_size=INDEX_TICK_SIZE,
        broker_key=broker_key,
    )
