"""Upstox's instrument master: gzipped JSON of everything that can be traded, into `Instrument`.

Pure. Cash keys are ISIN based (``NSE_EQ|INE002A01018``) and the exchange's token is a field
of its own, so that only the master can join Upstox to other brokers. Format: the provider's
"Instruments" page; ``tick_size`` is in paise, ``strike_price`` in rupees, ``expiry`` the last
millisecond of its day in India.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Final

import msgspec
from msgspec import Struct

from tapewire.market.instruments import EXCHANGES, Instrument, InstrumentKind, derivative_symbol

MAX_BYTES: Final = 512 * 1024 * 1024
"""Of the JSON; the file of all exchanges has about 60 MB."""

_INDIA: Final = timedelta(hours=5, minutes=30)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_EXPIRY_MS: Final = 4_102_444_800_000
_PAISE: Final = 100

# Instrument types that are not equity; in segments of derivatives there is nothing else.
_KINDS: Final = {
    "INDEX": InstrumentKind.INDEX,
    "FUT": InstrumentKind.FUTURE,
    "CE": InstrumentKind.CALL,
    "PE": InstrumentKind.PUT,
}
_DERIVED: Final = frozenset({InstrumentKind.FUTURE, InstrumentKind.CALL, InstrumentKind.PUT})
_CASH: Final = frozenset({"NSE_EQ", "BSE_EQ"})


class _Row(Struct, gc=False):
    segment: str
    instrument_key: str
    instrument_type: str = ""
    exchange_token: str | int = ""
    trading_symbol: str = ""
    name: str = ""
    underlying_symbol: str = ""
    expiry: int | None = None
    strike_price: float | None = None
    tick_size: float | None = None
    lot_size: float | None = None
    weekly: bool = False


_rows: Final = msgspec.json.Decoder(list[_Row])
_raw_rows: Final = msgspec.json.Decoder(list[msgspec.Raw])
_row: Final = msgspec.json.Decoder(_Row)


def parse(data: bytes, skipped: Counter[str]) -> list[Instrument]:
    """Read the master. What is left out is counted in ``skipped``, by reason.

    ``other_segment`` (indices abroad), ``other_type``, ``no_token``, ``unreadable_row``.
    Raises ValueError for what is not a gzipped JSON list, or has no instrument in it.
    """
    instruments = list(_instruments(_decoded(_unzipped(data), skipped), skipped))
    if not instruments:
        raise ValueError(f"instrument master: no instrument in it; left out: {dict(skipped)}")
    return instruments


def _unzipped(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"instrument master: expected a gzip file: {error}") from None
    if len(text) > MAX_BYTES:
        raise ValueError(f"instrument master: over {MAX_BYTES} bytes of JSON")
    return text


def _decoded(text: bytes, skipped: Counter[str]) -> Iterable[_Row]:
    try:
        return _rows.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return list(_one_by_one(text, skipped))


def _one_by_one(text: bytes, skipped: Counter[str]) -> Iterator[_Row]:
    """Rows of a list in which some are not as they should be."""
    try:
        rows = _raw_rows.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"instrument master: expected a JSON list: {error}") from None
    for raw in rows:
        try:
            yield _row.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            skipped["unreadable_row"] += 1


def _instruments(rows: Iterable[_Row], skipped: Counter[str]) -> Iterator[Instrument]:
    known = frozenset(EXCHANGES)
    for row in rows:
        kind = _KINDS.get(row.instrument_type)
        if row.segment not in known:
            skipped["other_segment"] += 1
        elif kind is None and row.segment not in _CASH:
            skipped["other_type"] += 1
        elif not (token := _token(row, kind)):
            skipped["no_token"] += 1
        else:
            yield _instrument(row, kind or InstrumentKind.EQUITY, token)


def _token(row: _Row, kind: InstrumentKind | None) -> str:
    """The exchange's number; of an index its name, as its key has it, with underscores."""
    if kind is not InstrumentKind.INDEX:
        return str(row.exchange_token).strip()
    return row.instrument_key.partition("|")[2].strip().replace(" ", "_")


def _instrument(row: _Row, kind: InstrumentKind, token: str) -> Instrument:
    expiry = _date(row.expiry)
    return Instrument(
        exchange=row.segment,
        token=token,
        symbol=_symbol(row, kind, expiry) or token,
        kind=kind,
        underlying=row.underlying_symbol,
        expiry=expiry,
        strike=row.strike_price or 0.0,
        tick_size=round((row.tick_size or 0.0) / _PAISE, 6),
        lot_size=int(row.lot_size or 1),
        broker_key=row.instrument_key,
    )


def _symbol(row: _Row, kind: InstrumentKind, expiry: str) -> str:
    if kind not in _DERIVED or not row.underlying_symbol or not expiry:
        return row.trading_symbol or row.name
    return derivative_symbol(
        row.underlying_symbol, expiry, kind, row.strike_price or 0.0, weekly=row.weekly
    )


def _date(expiry_ms: int | None) -> str:
    """The day in India, empty where there is none."""
    if expiry_ms is None or not 0 < expiry_ms < _LAST_EXPIRY_MS:
        return ""
    return (_EPOCH + timedelta(milliseconds=expiry_ms) + _INDIA).date().isoformat()
