"""Dhan's instrument master, with rows as the real file has them."""

from collections import Counter

import pytest

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.providers.dhan.master import parse

HEADER = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,"
    "SEM_TRADING_SYMBOL,SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,"
    "SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,"
    "SM_SYMBOL_NAME"
)
SHARE = "NSE,E,2885,EQUITY,0,RELIANCE,1.0,Reliance Industries,,,,10.0000,NA,ES,EQ,RELIANCE LTD"
INDEX = "NSE,I,13,INDEX,0,NIFTY,1.0,Nifty 50,0001-01-01,,XX,0.0500,,INDEX,X,NIFTY"


def read(*rows: str) -> list[Instrument]:
    return parse("\r\n".join([HEADER, *rows]).encode(), Counter())


def left_out(*rows: str) -> Counter[str]:
    skipped: Counter[str] = Counter()
    parse("\n".join([HEADER, SHARE, *rows]).encode(), skipped)
    return skipped


def test_a_share_has_its_exchanges_number_and_a_tick_in_rupees() -> None:
    assert read(SHARE) == [
        Instrument(
            exchange="NSE_EQ",
            token="2885",
            symbol="RELIANCE",
            tick_size=0.1,
            broker_key="NSE_EQ|2885",
        )
    ]


def test_an_option_has_its_underlying_out_of_dhans_symbol() -> None:
    row = (
        "NSE,D,60123,OPTSTK,0,BAJAJ-AUTO-Jul2026-9000-CE,75.0,BAJAJ AUTO 30 JUL 9000 CALL,"
        "2026-07-30 14:30:00,9000.00000,CE,5.0000,M,OP,,"
    )
    assert read(row) == [
        Instrument(
            exchange="NSE_FO",
            token="60123",
            symbol="BAJAJ-AUTO26JUL9000CE",
            kind=InstrumentKind.CALL,
            underlying="BAJAJ-AUTO",
            expiry="2026-07-30",
            strike=9000.0,
            tick_size=0.05,
            lot_size=75,
            broker_key="NSE_FNO|60123",
        )
    ]


def test_weekly_options_are_told_apart() -> None:
    first, second = read(
        "NSE,D,1,OPTIDX,0,NIFTY-Sep2026-25000-PE,65.0,,2026-09-08 14:30:00,25000,PE,5.0,W,OP,,",
        "NSE,D,2,OPTIDX,0,NIFTY-Sep2026-25000-PE,65.0,,2026-09-15 14:30:00,25000,PE,5.0,W,OP,,",
    )
    assert (first.symbol, second.symbol) == ("NIFTY2690825000PE", "NIFTY2691525000PE")
    assert first.kind is InstrumentKind.PUT


@pytest.mark.parametrize(
    ("row", "key", "symbol", "tick_size", "broker_key"),
    [
        (
            "BSE,C,1026077,FUTCUR,0,USDINR-28Aug2024-FUT,1.0,,2024-08-28,-0.01,XX,0.2500,M,,,",
            "BCD_FO:1026077",
            "USDINR24AUGFUT",
            0.0025,
            "BSE_CURRENCY|1026077",
        ),
        (
            "MCX,M,569900,FUTCOM,0,CRUDEOIL-19Oct2026-FUT,1.0,,2026-10-19 23:30:00,,XX,100.0,M,,2,",
            "MCX_FO:569900",
            "CRUDEOIL26OCTFUT",
            1.0,
            "MCX_COMM|569900",
        ),
        (
            "BSE,D,1100470,FUTIDX,0,SENSEX-Sep2026-FUT,20.0,,2026-09-24 15:30:00,-1,XX,5.0,M,,,",
            "BSE_FO:1100470",
            "SENSEX26SEPFUT",
            0.05,
            "BSE_FNO|1100470",
        ),
    ],
)
def test_futures_of_every_segment(
    row: str, key: str, symbol: str, tick_size: float, broker_key: str
) -> None:
    (one,) = read(row)
    assert (one.key, one.symbol, one.strike, one.tick_size) == (key, symbol, 0.0, tick_size)
    assert one.broker_key == broker_key
    assert one.kind is InstrumentKind.FUTURE


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (INDEX, "NSE_INDEX:Nifty_50"),
        (INDEX.replace("13", "25").replace("NIFTY,", "BANKNIFTY,"), "NSE_INDEX:Nifty_Bank"),
        (INDEX.replace("0,NIFTY,", "0,INDIA VIX,"), "NSE_INDEX:India_VIX"),
        (INDEX.replace("NSE", "BSE").replace("0,NIFTY,", "0,SENSEX,"), "BSE_INDEX:SENSEX"),
        (
            INDEX.replace("0,NIFTY,", "0,NIFTY 500 VALUE,").replace("Nifty 50", "Nifty 500 Value"),
            "NSE_INDEX:Nifty_500_Value",
        ),
    ],
)
def test_indices_join_those_of_other_brokers_by_name(row: str, key: str) -> None:
    (one,) = read(row)
    assert (one.key, one.kind, one.tick_size) == (key, InstrumentKind.INDEX, 0.01)
    assert one.broker_key.startswith("IDX_I|")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SHARE.replace("NSE,E", "NSE,M"), "other_segment"),
        (SHARE.replace("EQUITY", "AUCSO"), "other_type"),
        (SHARE.replace("EQUITY", "INDEX"), "other_type"),
        (INDEX.replace("INDEX,0", "EQUITY,0"), "other_type"),
        (SHARE.replace("2885", "N/A"), "unreadable_row"),
        (SHARE.replace("10.0000", "ten"), "unreadable_row"),
        ("NSE,E,5", "unreadable_row"),
        (SHARE, "repeated"),
        ("NSE,D,1,FUTIDX,0,NIFTY-Sep2026-FUT,65.0,,0001-01-01,,XX,5.0,M,FUT,,", "no_expiry"),
    ],
)
def test_what_is_left_out_is_counted(row: str, reason: str) -> None:
    assert left_out(row) == {reason: 1}


def test_columns_may_stand_anywhere_and_more_may_come() -> None:
    names, values = HEADER.split(","), SHARE.split(",")
    text = "\n".join([",".join(["X", *reversed(names)]), ",".join(["?", *reversed(values)])])
    assert parse(b"\xef\xbb\xbf" + text.encode(), Counter()) == read(SHARE)


@pytest.mark.parametrize("data", [b"", b"<html>", HEADER.replace("SEM_SEGMENT", "S").encode()])
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"columns .* are not there"):
        parse(data, Counter())


def test_a_file_without_instruments_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no instrument in it; .*other_type"):
        parse("\n".join([HEADER, SHARE.replace("EQUITY", "?")]).encode(), Counter())


def test_a_file_that_is_no_csv_is_refused() -> None:
    with pytest.raises(ValueError, match="instrument master"):
        parse(f"{HEADER}\n{'x' * 200_000}".encode(), Counter())
