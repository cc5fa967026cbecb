"""Fyers' symbol masters, row by row."""

from collections import Counter

import pytest

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.providers.fyers import master

CASH = (
    "101000000002885,RELIANCE INDUSTRIES LTD,0,1,0.1,INE002A01018,0915-1530|1815-1915:,"
    "2026-11-20,,NSE:RELIANCE-EQ,10,10,2885,RELIANCE,2885,-1.0,XX,101000000002885,None,1,3.2"
)
FUTURE = (
    "101126112437054,NIFTY 24 Nov 26 FUT,11,65,0.1,,0915-1530|1815-1915:,2026-11-20,"
    "1795514400,NSE:NIFTY26NOVFUT,10,11,37054,NIFTY,26000,-1.0,XX,101000000026000,None,0,0.0"
)
CALL = (
    "101126112454321,RELIANCE 24 Nov 26 1400 CE,15,500,0.05,,0915-1530|1815-1915:,2026-11-20,"
    "1795514400,NSE:RELIANCE26NOV1400CE,10,11,54321,RELIANCE,2885,1400.0,CE,1010000002885,None,0,0"
)
INDEX = (
    "101000000026000,NIFTY50-INDEX,10,0,0.05,,0915-1530|1815-1915:,2026-11-20,,"
    "NSE:NIFTY50-INDEX,10,10,26000,NIFTY,26000,-1.0,XX,101000000026000,None,0,0.0"
)


def parsed(*rows: str) -> tuple[list[Instrument], Counter[str]]:
    skipped: Counter[str] = Counter()
    return master.parse("\n".join(rows).encode(), skipped), skipped


def test_a_share() -> None:
    assert parsed(CASH) == (
        [
            Instrument(
                exchange="NSE_EQ",
                token="2885",
                symbol="RELIANCE",
                tick_size=0.1,
                broker_key="NSE:RELIANCE-EQ",
            )
        ],
        {},
    )


def test_a_share_whose_name_has_a_hyphen() -> None:
    ((share,), _) = parsed(CASH.replace("RELIANCE-EQ", "BAJAJ-AUTO-EQ"))
    assert share.symbol == "BAJAJ-AUTO"


def test_a_future() -> None:
    ((future,), _) = parsed(FUTURE)
    assert future == Instrument(
        exchange="NSE_FO",
        token="37054",
        symbol="NIFTY26NOVFUT",
        kind=InstrumentKind.FUTURE,
        underlying="NIFTY",
        expiry="2026-11-24",
        tick_size=0.1,
        lot_size=65,
        broker_key="NSE:NIFTY26NOVFUT",
    )


@pytest.mark.parametrize("side", ["CE", "PE"])
def test_an_option(side: str) -> None:
    ((option,), _) = parsed(CALL.replace("CE,1010", f"{side},1010"))
    assert (option.kind, option.strike, option.lot_size) == (InstrumentKind(side), 1400.0, 500)
    assert (option.underlying, option.expiry) == ("RELIANCE", "2026-11-24")


def test_an_expiry_without_a_time_is_that_of_the_fytoken() -> None:
    ((future,), _) = parsed(FUTURE.replace("1795514400", ""))
    assert future.expiry == "2026-11-24"


def test_an_expiry_is_the_day_in_india() -> None:
    just_after_midnight = "1795460400"  # 2026-11-24 00:30 in India
    ((future,), _) = parsed(FUTURE.replace("1795514400", just_after_midnight))
    assert future.expiry == "2026-11-24"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (INDEX, "index"),
        ("1010,too,short", "short_row"),
        (CASH.replace("101000000002885", "999900000002885"), "other_segment"),
        (FUTURE.replace("101126112437054", "101200000000001").replace("1795514400", ""),
         "no_expiry"),
        (CASH.replace(",0.1,", ",x,"), "unreadable_row"),
        (CASH.replace("101000000002885", "1010000000XYZ"), "unreadable_row"),
    ],
)  # fmt: skip
def test_what_is_no_instrument_is_left_out_and_counted(row: str, reason: str) -> None:
    found, skipped = parsed(row, FUTURE)
    assert [one.symbol for one in found] == ["NIFTY26NOVFUT"]
    assert skipped == {reason: 1}


@pytest.mark.parametrize("data", [b"", b"<html>not here</html>", INDEX.encode()])
def test_a_file_without_instruments_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no instrument in"):
        master.parse(data, Counter())


def test_indices_have_the_names_that_they_are_subscribed_under() -> None:
    skipped: Counter[str] = Counter()
    names = b'{"NSE:NIFTY50-INDEX":"Nifty 50","BSE:SENSEX-INDEX":"SENSEX","MCX:X-INDEX":"X"}'
    nifty, sensex = master.parse_indices(names, skipped)
    assert (nifty.key, nifty.symbol, nifty.kind) == (
        "NSE_INDEX:Nifty_50",
        "NIFTY50",
        InstrumentKind.INDEX,
    )
    assert (sensex.key, sensex.broker_key) == ("BSE_INDEX:SENSEX", "BSE:SENSEX-INDEX")
    assert skipped == {"other_segment": 1}


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a":1}', b"\xff"])
def test_what_is_no_table_of_names_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="index names"):
        master.parse_indices(data, Counter())


def test_a_ticker_and_its_fytoken_make_an_instrument() -> None:
    share = master.resolved("NSE:RELIANCE-EQ", "101000000002885")
    assert share == Instrument(
        exchange="NSE_EQ", token="2885", symbol="RELIANCE", broker_key="NSE:RELIANCE-EQ"
    )
    call = master.resolved("NSE:NIFTY26NOV26000CE", "101126112440001")
    assert call is not None
    assert (call.kind, call.expiry, call.key) == (InstrumentKind.CALL, "2026-11-24", "NSE_FO:40001")


@pytest.mark.parametrize(
    ("ticker", "fy_token"),
    [
        ("NSE:NIFTY50-INDEX", "101000000026000"),
        ("X:Y", "999900000026000"),
        ("NSE:A-EQ", "1010000000"),
    ],
)
def test_what_a_fytoken_does_not_tell_is_no_instrument(ticker: str, fy_token: str) -> None:
    assert master.resolved(ticker, fy_token) is None
