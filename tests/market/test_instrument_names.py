"""Names of instruments, resolved against a master as brokers have it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.market.instrument_names import (
    AmbiguousName,
    InstrumentBook,
    InstrumentNameError,
    UnknownName,
    read_names,
)
from tapewire.market.instruments import Instrument, InstrumentKind

DATE = "2026-11-20"
WEEKS = ["2026-11-24", "2026-12-01", "2026-12-08", "2026-12-15", "2026-12-22", "2026-12-29"]
MONTHS = ["2026-11-24", "2026-12-29", "2027-01-26"]
KINDS = {"CE": InstrumentKind.CALL, "PE": InstrumentKind.PUT}


def share(exchange: str, token: str, symbol: str) -> Instrument:
    return Instrument(exchange=exchange, token=token, symbol=symbol)


def future(exchange: str, underlying: str, expiry: str, symbol: str = "") -> Instrument:
    return Instrument(
        exchange=exchange,
        token=f"{underlying}{expiry}",
        symbol=symbol or f"{underlying} FUT {expiry}",
        kind=InstrumentKind.FUTURE,
        underlying=underlying,
        expiry=expiry,
    )


def option(underlying: str, expiry: str, strike: float, kind: str) -> Instrument:
    return Instrument(
        exchange="NSE_FO",
        token=f"{underlying}{expiry}{strike:g}{kind}",
        symbol=f"{underlying} {strike:g} {kind} {expiry}",
        kind=KINDS[kind],
        underlying=underlying,
        expiry=expiry,
        strike=strike,
    )


BOOK = InstrumentBook(
    [
        Instrument(
            exchange="NSE_INDEX", token="Nifty_50", symbol="Nifty 50", kind=InstrumentKind.INDEX
        ),
        share("NSE_EQ", "2885", "RELIANCE"),
        share("BSE_EQ", "500325", "RELIANCE"),
        share("BSE_EQ", "999", "ONLYBSE"),
        share("NSE_EQ", "1594", "INFY"),
        share("NSE_EQ", "7", "M&M"),
        *(future("NSE_FO", "NIFTY", expiry) for expiry in [*MONTHS, "2027-06-29"]),
        *(future("NSE_FO", "RELIANCE", expiry) for expiry in MONTHS),
        *(future("BSE_FO", "RELIANCE", expiry) for expiry in MONTHS),
        *(future("NCD_FO", "USDINR", expiry) for expiry in ["2026-11-20", "2026-11-26"]),
        future("MCX_FO", "GOLD", "2026-12-04", "GOLD26DECFUT"),
        future("NSE_COM", "GOLD", "2026-12-04", "GOLD26DECFUT"),
        *(
            option("NIFTY", expiry, strike, kind)
            for expiry in [*WEEKS, "2027-01-26"]
            for strike in (23950.0, 24000.0, 24050.0)
            for kind in KINDS
        ),
        option("RELIANCE", "2026-11-24", 1402.5, "CE"),
    ]
)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NSE_EQ:2885", "NSE_EQ:2885"),
        ("NSE_INDEX:Nifty_50", "NSE_INDEX:Nifty_50"),
        ("nifty 50", "NSE_INDEX:Nifty_50"),
        ("RELIANCE", "NSE_EQ:2885"),
        (" reliance ", "NSE_EQ:2885"),
        ("NSE_EQ:RELIANCE", "NSE_EQ:2885"),
        ("BSE_EQ:RELIANCE", "BSE_EQ:500325"),
        ("ONLYBSE", "BSE_EQ:999"),
        ("M&M", "NSE_EQ:7"),
        ("NIFTY-I", "NSE_FO:NIFTY2026-11-24"),
        ("NIFTY-II", "NSE_FO:NIFTY2026-12-29"),
        ("NIFTY-III", "NSE_FO:NIFTY2027-01-26"),
        ("nifty-iii", "NSE_FO:NIFTY2027-01-26"),
        ("RELIANCE-I", "NSE_FO:RELIANCE2026-11-24"),
        ("BSE_FO:RELIANCE-I", "BSE_FO:RELIANCE2026-11-24"),
        ("MCX_FO:GOLD-I", "MCX_FO:GOLD2026-12-04"),
        ("USDINR-I", "NCD_FO:USDINR2026-11-26"),
        ("NIFTY26NOVFUT", "NSE_FO:NIFTY2026-11-24"),
        ("NIFTY27JUNFUT", "NSE_FO:NIFTY2027-06-29"),
        ("MCX_FO:GOLD26DECFUT", "MCX_FO:GOLD2026-12-04"),
        ("NIFTY26DEC24000CE", "NSE_FO:NIFTY2026-12-2924000CE"),
        ("NIFTY-W1-24000-CE", "NSE_FO:NIFTY2026-11-2424000CE"),
        ("NIFTY-W2-24050-PE", "NSE_FO:NIFTY2026-12-0124050PE"),
        ("NIFTY-M1-24000-PE", "NSE_FO:NIFTY2026-11-2424000PE"),
        ("NIFTY-M2-24000-PE", "NSE_FO:NIFTY2026-12-2924000PE"),
        ("NIFTY-M3-24000-PE", "NSE_FO:NIFTY2027-01-2624000PE"),
        ("RELIANCE-M1-1402.5-CE", "NSE_FO:RELIANCE2026-11-241402.5CE"),
    ],
)
def test_a_name_means_one_instrument(name: str, key: str) -> None:
    assert BOOK.find(name, DATE).key == key


@pytest.mark.parametrize(
    ("date", "near", "week"),
    [
        ("2026-11-24", "2026-11-24", "2026-11-24"),  # the day itself
        ("2026-11-25", "2026-12-29", "2026-12-01"),
        ("2026-12-30", "2027-01-26", "2027-01-26"),
    ],
)
def test_contracts_roll_on_the_day_after_they_expire(date: str, near: str, week: str) -> None:
    assert BOOK.find("NIFTY-I", date).expiry == near
    assert BOOK.find("NIFTY-W1-24000-CE", date).expiry == week


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RELIANC", "near: RELIANCE"),
        ("NSE_EQ:INFI", "near: INFY"),
        ("NIFTI-I", "no instrument is called 'NIFTI-I' among"),
        ("NYSE:IBM", "exchange 'NYSE' is not known; expected one of NSE_EQ"),
        ("NSE_FO:8765", "no instrument is called 'NSE_FO:8765'"),
        ("", "no instrument is called ''"),
        ("NIFTY-W1-24010-CE", "no CE at 24010 expires on 2026-11-24; near: 23950, 24000, 24050"),
        ("NIFTY-W9-24000-CE", "expiries from 2026-11-20 are 2026-11-24, 2026-12-01"),
        ("USDINR-II", "expiries from 2026-11-20 are 2026-11-26"),
        ("NIFTY29NOVFUT", "expiries from 2029-11 are none"),
        ("MCX_FO:NIFTY-I", "NIFTY has no future on MCX_FO"),
        ("USDINR-W1-80-CE", "USDINR has no CE or PE in this master"),
    ],
)
def test_an_unknown_name_says_what_there_is(name: str, said: str) -> None:
    with pytest.raises(UnknownName) as raised:
        BOOK.find(name, DATE)
    assert said in str(raised.value)


@pytest.mark.parametrize("name", ["GOLD-I", "GOLD26DECFUT"])
def test_exchanges_that_do_not_stand_for_one_another_are_to_be_named(name: str) -> None:
    with pytest.raises(AmbiguousName, match=r"MCX_FO:GOLD.*name the exchange or the key"):
        BOOK.find(name, DATE)


@given(st.text(max_size=30), st.sampled_from([DATE, "", "9999-12-31"]))
def test_any_text_is_an_instrument_or_an_error_of_ours(name: str, date: str) -> None:
    try:
        found = BOOK.find(name, date)
    except InstrumentNameError:
        return
    assert BOOK.get(found.key) is found


def test_names_come_from_a_list_or_a_file_with_comments() -> None:
    assert read_names("NSE_EQ:2885, RELIANCE,NIFTY-I,RELIANCE,") == [
        "NSE_EQ:2885",
        "RELIANCE",
        "NIFTY-I",
    ]
    assert read_names("# mine\nNIFTY FUT 24 NOV 26  # the near one\n\nINFY\n") == [
        "NIFTY FUT 24 NOV 26",
        "INFY",
    ]
    assert read_names(" \n# nothing") == []
