"""The instrument master: what each kind of row becomes, and what is left out."""

import gzip
import json
from collections import Counter
from typing import Any

import pytest

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.providers.upstox.master import parse

SHARE = {
    "segment": "NSE_EQ",
    "name": "RELIANCE INDUSTRIES LTD",
    "exchange": "NSE",
    "isin": "INE002A01018",
    "instrument_type": "EQ",
    "instrument_key": "NSE_EQ|INE002A01018",
    "lot_size": 1,
    "freeze_quantity": 100000.0,
    "exchange_token": "2885",
    "tick_size": 5.0,
    "trading_symbol": "RELIANCE",
    "security_type": "NORMAL",
}
FUTURE = {
    "weekly": False,
    "segment": "NSE_FO",
    "name": "NIFTY",
    "exchange": "NSE",
    "expiry": 1795544999000,
    "instrument_type": "FUT",
    "underlying_symbol": "NIFTY",
    "instrument_key": "NSE_FO|36702",
    "lot_size": 75,
    "exchange_token": "36702",
    "tick_size": 10.0,
    "trading_symbol": "NIFTY FUT 24 NOV 26",
    "strike_price": 0.0,
}
OPTION = {
    **FUTURE,
    "instrument_type": "PE",
    "instrument_key": "NSE_FO|36703",
    "exchange_token": "36703",
    "strike_price": 24050.0,
}
INDEX = {
    "segment": "NSE_INDEX",
    "name": "Nifty 50",
    "exchange": "NSE",
    "instrument_type": "INDEX",
    "instrument_key": "NSE_INDEX|Nifty 50",
    "exchange_token": 26000,
    "trading_symbol": "NIFTY",
}


def zipped(rows: Any) -> bytes:
    """Rows as the provider's file."""
    return gzip.compress(json.dumps(rows).encode())


def only(row: dict[str, Any]) -> Instrument:
    """The instrument that a row becomes."""
    skipped: Counter[str] = Counter()
    (instrument,) = parse(zipped([row]), skipped)
    assert not skipped
    return instrument


def test_a_share_has_an_isin_key_and_the_exchanges_token() -> None:
    assert only(SHARE) == Instrument(
        exchange="NSE_EQ",
        token="2885",
        symbol="RELIANCE",
        tick_size=0.05,
        broker_key="NSE_EQ|INE002A01018",
    )


def test_a_future_is_spelled_as_its_exchange_does() -> None:
    assert only(FUTURE) == Instrument(
        exchange="NSE_FO",
        token="36702",
        symbol="NIFTY26NOVFUT",
        kind=InstrumentKind.FUTURE,
        underlying="NIFTY",
        expiry="2026-11-24",
        tick_size=0.1,
        lot_size=75,
        broker_key="NSE_FO|36702",
    )


@pytest.mark.parametrize(
    ("weekly", "symbol"), [(False, "NIFTY26NOV24050PE"), (True, "NIFTY26N2424050PE")]
)
def test_an_option_has_its_strike_in_rupees(weekly: bool, symbol: str) -> None:
    option = only({**OPTION, "weekly": weekly})
    assert (option.kind, option.strike, option.symbol) == (InstrumentKind.PUT, 24050.0, symbol)


def test_an_index_goes_by_its_name() -> None:
    index = only(INDEX)
    assert (index.key, index.symbol, index.kind) == (
        "NSE_INDEX:Nifty_50",
        "NIFTY",
        InstrumentKind.INDEX,
    )
    assert (index.broker_key, index.tick_size, index.lot_size) == ("NSE_INDEX|Nifty 50", 0.0, 1)


@pytest.mark.parametrize("kind", ["BE", "SM", "GB", ""])
def test_whatever_trades_in_a_cash_segment_is_a_share(kind: str) -> None:
    assert only({**SHARE, "instrument_type": kind}).kind is InstrumentKind.EQUITY


def test_a_currencys_tick_is_a_quarter_of_a_paisa() -> None:
    assert only({**FUTURE, "segment": "NCD_FO", "tick_size": 0.25}).tick_size == 0.0025


def test_a_derivative_without_an_underlying_keeps_the_name_it_has() -> None:
    assert only({**FUTURE, "underlying_symbol": ""}).symbol == "NIFTY FUT 24 NOV 26"
    assert only({**FUTURE, "expiry": None}).symbol == "NIFTY FUT 24 NOV 26"


@pytest.mark.parametrize(
    ("expiry_ms", "date"),
    [
        (1795544999000, "2026-11-24"),  # 23:59:59 in India
        (1795545000000, "2026-11-25"),
        (1795458600000, "2026-11-24"),  # 00:00
        (0, ""),
        (-5, ""),
        (10**18, ""),
    ],
)
def test_an_expiry_is_a_day_in_india(expiry_ms: int, date: str) -> None:
    assert only({**FUTURE, "expiry": expiry_ms}).expiry == date


def test_what_is_left_out_is_counted() -> None:
    rows = [
        SHARE,
        {**SHARE, "segment": "GLOBAL_INDEX"},
        {**FUTURE, "instrument_type": "SWAP"},
        {**SHARE, "exchange_token": " "},
        {**SHARE, "tick_size": "five"},
        {"segment": "NSE_EQ"},
        INDEX,
    ]
    skipped: Counter[str] = Counter()
    kept = parse(zipped(rows), skipped)
    assert [each.key for each in kept] == ["NSE_EQ:2885", "NSE_INDEX:Nifty_50"]
    assert skipped == {"other_segment": 1, "other_type": 1, "no_token": 1, "unreadable_row": 2}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<html>", "expected a gzip file"),
        (zipped([SHARE])[:-9], "expected a gzip file"),
        (zipped({"rows": []}), "expected a JSON list"),
        (gzip.compress(b'["\xff"]'), "no instrument in it"),
        (gzip.compress(b"[1"), "expected a JSON list"),
        (zipped([]), "no instrument in it"),
        (zipped([{**SHARE, "segment": "MOON"}]), "other_segment"),
    ],
    ids=["text", "cut off", "an object", "not text", "not JSON", "empty", "unknown segment"],
)
def test_what_is_no_master_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(data, Counter())
