"""Fyers' symbol masters, CSV without a header line, and its names of indices, into `Instrument`.

Pure. The columns and the numbers of instrument types are those of the provider's "Symbol
Master" page; ``fyToken`` is explained in ``segments.py``. Expiries are seconds since 1970,
prices and tick sizes rupees. Where contracts are of many units (currency, commodities) Fyers'
lot size is 1: it counts contracts. Indices are taken from ``index_hsm_mapping.json`` alone,
since their rows lack the name under which they are subscribed to.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.providers.fyers.segments import EXCHANGES, INDEX_EXCHANGES

FY_TOKEN, TYPE, LOT_SIZE, TICK_SIZE = 0, 2, 3, 4
EXPIRY, TICKER, UNDERLYING, STRIKE, OPTION_TYPE = 8, 9, 13, 15, 16
COLUMNS: Final = 17
"""Columns that a row has at least; Fyers has added more behind them."""

INDEX_FILE: Final = "index_hsm_mapping.json"

Parse = Callable[[bytes, Counter[str]], list[Instrument]]
"""A file's instruments; what is left out is counted by reason."""

_INDEX_TYPE: Final = "10"
_OPTIONS: Final = {"CE": InstrumentKind.CALL, "PE": InstrumentKind.PUT}
_CASH: Final = frozenset({"NSE_EQ", "BSE_EQ"})
_INDIA: Final = timedelta(hours=5, minutes=30)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_EXPIRY_S: Final = 4_102_444_800
_NO_EXPIRY: Final = "000000"


def parse(data: bytes, skipped: Counter[str]) -> list[Instrument]:
    """Read a master file. What is left out is counted in ``skipped``, by reason.

    ``short_row``, ``other_segment``, ``index``, ``no_expiry`` (a derivative's underlying),
    ``unreadable_row``. Raises ValueError for what has no instrument in it.
    """
    rows = csv.reader(data.decode("utf-8", "replace").splitlines())
    instruments = list(_instruments(rows, skipped))
    if not instruments:
        raise ValueError(
            f"symbol master: no instrument in {len(data)} bytes; left out: {dict(skipped)}"
        )
    return instruments


def parse_indices(data: bytes, skipped: Counter[str]) -> list[Instrument]:
    """Read the names of indices by ticker (``NSE:NIFTY50-INDEX``: ``Nifty 50``).

    Those of other exchanges are counted in ``skipped`` as ``other_segment``. Raises ValueError
    for what is no such table.
    """
    try:
        names = msgspec.json.decode(data, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"index names: expected a JSON object of texts: {error}") from None
    indices = [_index(ticker, name) for ticker, name in names.items()]
    skipped["other_segment"] += indices.count(None)
    return [index for index in indices if index is not None]


FILES: Final[Mapping[str, Parse]] = {
    "NSE_CM.csv": parse,
    "NSE_FO.csv": parse,
    "NSE_CD.csv": parse,
    "NSE_COM.csv": parse,
    "BSE_CM.csv": parse,
    "BSE_FO.csv": parse,
    "MCX_COM.csv": parse,
    INDEX_FILE: parse_indices,
}
"""The files that Fyers publishes, and what reads them."""


def resolved(ticker: str, fy_token: str) -> Instrument | None:
    """What ``symbol-token`` says of a ticker, as far as the two tell; None for an index."""
    exchange = EXCHANGES.get(fy_token[:4])
    if exchange is None or ticker.endswith("-INDEX") or not _number(fy_token):
        return None
    return Instrument(
        exchange=exchange,
        token=_number(fy_token),
        symbol=_symbol(ticker, exchange),
        kind=_kind(exchange, ticker[-2:]),
        expiry=_token_date(fy_token),
        broker_key=ticker,
    )


def _instruments(rows: Iterable[Sequence[str]], skipped: Counter[str]) -> Iterator[Instrument]:
    for row in rows:
        reason = _objection(row)
        if reason:
            skipped[reason] += 1
            continue
        try:
            yield _instrument(row)
        except (ValueError, OverflowError):
            skipped["unreadable_row"] += 1


def _objection(row: Sequence[str]) -> str | None:
    """Why a row is no instrument, None when it may be."""
    if len(row) < COLUMNS:
        return "short_row"
    exchange = EXCHANGES.get(row[FY_TOKEN][:4])
    if exchange is None:
        return "other_segment"
    if row[TYPE] == _INDEX_TYPE and exchange in _CASH:
        return "index"
    return "no_expiry" if exchange not in _CASH and not _expiry(row) else None


def _instrument(row: Sequence[str]) -> Instrument:
    """Raises ValueError for a number that is none."""
    fy_token, ticker = row[FY_TOKEN], row[TICKER]
    exchange, token = EXCHANGES[fy_token[:4]], _number(fy_token)
    if not token.isdecimal():
        raise ValueError(f"fyToken {fy_token!r}: expected a number behind ten digits")
    is_cash = exchange in _CASH
    return Instrument(
        exchange=exchange,
        token=token,
        symbol=_symbol(ticker, exchange),
        kind=_kind(exchange, row[OPTION_TYPE]),
        underlying="" if is_cash else row[UNDERLYING],
        expiry="" if is_cash else _expiry(row),
        strike=max(0.0, float(row[STRIKE] or 0)),
        tick_size=float(row[TICK_SIZE] or 0),
        lot_size=int(float(row[LOT_SIZE] or 1)),
        broker_key=ticker,
    )


def _index(ticker: str, name: str) -> Instrument | None:
    prefix, _, symbol = ticker.partition(":")
    exchange = INDEX_EXCHANGES.get(prefix)
    if exchange is None or not name.strip():
        return None
    return Instrument(
        exchange=exchange,
        token=name.strip().replace(" ", "_"),
        symbol=symbol.removesuffix("-INDEX"),
        kind=InstrumentKind.INDEX,
        broker_key=ticker,
    )


def _symbol(ticker: str, exchange: str) -> str:
    """``RELIANCE`` of ``NSE:RELIANCE-EQ``, ``NIFTY26NOVFUT`` of ``NSE:NIFTY26NOVFUT``."""
    symbol = ticker.partition(":")[2]
    return symbol.rpartition("-")[0] or symbol if exchange in _CASH else symbol


def _kind(exchange: str, option_type: str) -> InstrumentKind:
    if exchange in _CASH:
        return InstrumentKind.EQUITY
    return _OPTIONS.get(option_type, InstrumentKind.FUTURE)


def _expiry(row: Sequence[str]) -> str:
    """The day in India, of the column or else of the fyToken; empty where there is none."""
    seconds = row[EXPIRY]
    if not seconds.isdecimal() or not 0 < int(seconds) < _LAST_EXPIRY_S:
        return _token_date(row[FY_TOKEN])
    return (_EPOCH + timedelta(seconds=int(seconds)) + _INDIA).date().isoformat()


def _number(fy_token: str) -> str:
    """The exchange's number of the instrument, which begins with no zero."""
    return fy_token[10:].lstrip("0")


def _token_date(fy_token: str) -> str:
    digits = fy_token[4:10]
    if digits == _NO_EXPIRY:
        return ""
    return f"20{digits[:2]}-{digits[2:4]}-{digits[4:]}"
