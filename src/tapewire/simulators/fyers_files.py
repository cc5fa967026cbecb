"""The files that Fyers publishes of its instruments, and the tokens that it makes: simulated."""

import csv
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from io import StringIO
from typing import Any, Final

import msgspec

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.providers.fyers.master import INDEX_FILE
from tapewire.providers.fyers.segments import EXCHANGES, INDEX_EXCHANGES

FILES: Final[Mapping[str, str]] = {
    "NSE_EQ": "NSE_CM.csv",
    "NSE_INDEX": "NSE_CM.csv",
    "NSE_FO": "NSE_FO.csv",
    "NCD_FO": "NSE_CD.csv",
    "NSE_COM": "NSE_COM.csv",
    "BSE_EQ": "BSE_CM.csv",
    "BSE_INDEX": "BSE_CM.csv",
    "BSE_FO": "BSE_FO.csv",
    "MCX_FO": "MCX_COM.csv",
}
"""The file in which an instrument stands, by its exchange."""

_CODES: Final = {exchange: code for code, exchange in EXCHANGES.items()}
_INDEX_CODES: Final = {
    exchange: _CODES[f"{prefix}_EQ"] for prefix, exchange in INDEX_EXCHANGES.items()
}
_SERIES: Final = {"NSE_EQ": "-EQ", "BSE_EQ": "-A"}
_TYPES: Final = {
    InstrumentKind.EQUITY: 0,
    InstrumentKind.INDEX: 10,
    InstrumentKind.FUTURE: 11,
    InstrumentKind.CALL: 14,
    InstrumentKind.PUT: 14,
}
_OPTIONS: Final = (InstrumentKind.CALL, InstrumentKind.PUT)
_FIRST_INDEX: Final = 26_000


def make_token(hsm_key: str, expires_s: float, *, app_id: str = "") -> str:
    """An access token that nobody signed, with ``app_id:`` before it where one is given."""
    parts = ({"alg": "none", "typ": "JWT"}, {"hsm_key": hsm_key, "exp": int(expires_s)})
    header, payload = (_unpadded(msgspec.json.encode(part)) for part in parts)
    return f"{app_id}{':' if app_id else ''}{header}.{payload}.{_unpadded(b'unsigned')}"


def ticker_of(instrument: Instrument) -> str:
    """``NSE:RELIANCE-EQ``, ``NSE:NIFTY26NOVFUT``, ``NSE:NIFTY50-INDEX``."""
    prefix = "NSE" if instrument.exchange[0] == "N" else instrument.exchange[:3]
    if instrument.exchange in _INDEX_CODES:
        return f"{prefix}:{instrument.token.replace('_', '').upper()}-INDEX"
    return f"{prefix}:{instrument.symbol}{_SERIES.get(instrument.exchange, '')}"


def fy_token_of(instrument: Instrument) -> str:
    """Exchange and segment, expiry, and the exchange's number; an index's is made of its name."""
    if instrument.exchange in _INDEX_CODES:
        number = _FIRST_INDEX + sum(instrument.token.encode()) % 1000
        return f"{_INDEX_CODES[instrument.exchange]}000000{number}"
    expiry = instrument.expiry.replace("-", "")[2:] or "000000"
    return f"{_CODES[instrument.exchange]}{expiry}{instrument.token}"


def public_files(instruments: Iterable[Instrument]) -> dict[str, bytes]:
    """The symbol masters that have an instrument in them, and the names of indices, by file."""
    rows: dict[str, list[list[Any]]] = {}
    names = {}
    for one in instruments:
        rows.setdefault(FILES[one.exchange], []).append(_row(one))
        if one.exchange in _INDEX_CODES:
            names[ticker_of(one)] = one.token.replace("_", " ")
    files = {file: _csv(lines) for file, lines in rows.items()}
    return files | {INDEX_FILE: msgspec.json.encode(names)}


def _row(one: Instrument) -> list[Any]:
    fy_token, ticker = fy_token_of(one), ticker_of(one)
    codes = [int(fy_token[:2]), int(fy_token[2:4]), fy_token[10:]]
    expiry = (
        int(datetime.fromisoformat(f"{one.expiry}T15:30+05:30").timestamp()) if one.expiry else ""
    )
    is_option = one.kind in _OPTIONS
    said = [fy_token, one.symbol, _TYPES[one.kind], one.lot_size, one.tick_size or 0.05, ""]
    hours = ["0915-1530|1815-1915:", "2026-11-20", expiry, ticker]
    option = [one.strike if is_option else -1.0, one.kind.value if is_option else "XX"]
    return [
        *said,
        *hours,
        *codes,
        one.underlying or one.symbol,
        codes[2],
        *option,
        fy_token,
        "None",
        1,
        0.0,
    ]


def _csv(rows: Iterable[Iterable[Any]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _unpadded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
