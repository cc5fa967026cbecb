"""LEAN's rule (``--conditions regular``) against the minute bars that LEAN itself publishes.

Of the 390 minutes of a regular session at most six differ per symbol and day, and each is
listed here with its reason. Where the reason is an auction, the difference in volume is
recomputed from the ticks; where it is a late report, the prices are.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import pytest

from tests.oracles import recorded as oracle
from tests.replays import SYMBOLS, Replays

MONDAY, TUESDAY = "2013-10-07", "2013-10-08"
MOST_DIFFERENT: Final = 6
COMPARED: Final = ("open", "high", "low", "close", "volume")
PRICES: Final = ("open", "high", "low", "close")

Row = dict[str, Any]


class Reason:
    """Why LEAN's bar of a minute is another than the rule's."""

    OPENING = "LEAN counts the listing exchange's opening print and leaves official opens out"
    CLOSING = "LEAN puts the listing exchange's closing print, seconds after 16:00, into 15:59"
    SOLD = "a trade reported late (sold, out of sequence) makes LEAN's prices too"
    AVERAGE = "one trade at an average price (601,349 shares) makes LEAN's high"
    MISSING = "LEAN counts 1,500 shares of a print that the tick file does not hold"


class Difference(NamedTuple):
    """A minute (New York) that differs, in these fields."""

    minute: str
    fields: tuple[str, ...]
    reason: str


def differs(minute: str, fields: str, reason: str) -> Difference:
    return Difference(minute, tuple(fields.split()), reason)


LISTED: Final[Mapping[tuple[str, str], tuple[Difference, ...]]] = {
    (MONDAY, "AIG"): (
        differs("09:30", "volume", Reason.OPENING),
        differs("13:00", "close", Reason.SOLD),
        differs("13:46", "volume", Reason.MISSING),
        differs("15:51", "high", Reason.SOLD),
        differs("15:59", "close volume", Reason.CLOSING),
    ),
    (MONDAY, "BAC"): (
        differs("09:30", "open volume", Reason.OPENING),
        differs("15:50", "low", Reason.SOLD),
        differs("15:51", "open", Reason.SOLD),
        differs("15:59", "close volume", Reason.CLOSING),
    ),
    (MONDAY, "IBM"): (
        differs("09:30", "open volume", Reason.OPENING),
        differs("14:45", "low", Reason.SOLD),
        differs("15:59", "close volume", Reason.CLOSING),
    ),
    (MONDAY, "SPY"): (
        differs("09:30", "low volume", Reason.OPENING),
        differs("12:25", "low", Reason.SOLD),
        differs("13:00", "low", Reason.SOLD),
        differs("13:01", "low", Reason.SOLD),
        differs("15:51", "high low", Reason.SOLD),
        differs("15:59", "close volume", Reason.CLOSING),
    ),
    (TUESDAY, "AIG"): (
        differs("09:30", "open low volume", Reason.OPENING),
        differs("15:59", "close volume", Reason.CLOSING),
    ),
    (TUESDAY, "BAC"): (
        differs("09:30", "open volume", Reason.OPENING),
        differs("15:59", "volume", Reason.CLOSING),
    ),
    (TUESDAY, "IBM"): (
        differs("09:30", "volume", Reason.OPENING),
        differs("15:59", "close volume", Reason.CLOSING),
    ),
    (TUESDAY, "SPY"): (
        differs("09:30", "open volume", Reason.OPENING),
        differs("15:03", "high", Reason.AVERAGE),
    ),
}

DAYS: Final = sorted(LISTED)

REGULAR, OPENING, CLOSING, OFFICIAL_OPEN = 1 << 0, 1 << 6, 1 << 7, 1 << 26
SOLD_OUT_OF_SEQUENCE = 1 << 11 | 1 << 14
AVERAGE_PRICE = 1 << 20
LISTING_EXCHANGE: Final = {"AIG": "N", "BAC": "N", "IBM": "N", "SPY": "P"}


def session(replays: Replays, date: str, symbol: str) -> dict[int, Row]:
    """Our candles of the regular session under LEAN's rule, by start."""
    midnight = oracle.midnight_ms(date)
    inside = range(midnight + oracle.OPEN_MS, midnight + oracle.CLOSE_MS)
    return {
        candle["start_ms"]: candle
        for candle in replays.of(date, "--conditions", "regular").stored.candles()
        if candle["symbol"] == symbol and candle["start_ms"] in inside
    }


def theirs(shared: Path, date: str, symbol: str) -> dict[int, Row]:
    """LEAN's bars, by start."""
    bars = oracle.lean_minutes(shared / "data", symbol, date)
    return {bar["start_ms"]: bar for bar in bars}


def minute_ms(date: str, minute: str) -> int:
    hours, minutes = minute.split(":")
    return oracle.midnight_ms(date) + (int(hours) * 60 + int(minutes)) * 60_000


def fields_that_differ(ours: Row, bar: Row) -> tuple[str, ...]:
    return tuple(name for name in COMPARED if ours[name] != bar[name])


@pytest.mark.parametrize(("date", "symbol"), DAYS)
def test_all_but_the_listed_minutes_are_leans_own(
    replays: Replays, shared: Path, recorded: bool, date: str, symbol: str
) -> None:
    ours, bars = session(replays, date, symbol), theirs(shared, date, symbol)
    assert ours.keys() == bars.keys()
    assert len(bars) > 300
    listed = LISTED[date, symbol] if recorded else ()
    assert len(listed) <= MOST_DIFFERENT
    found = {start: fields_that_differ(ours[start], bars[start]) for start in bars}
    different = {start: fields for start, fields in found.items() if fields}
    assert different == {minute_ms(date, one.minute): one.fields for one in listed}


@pytest.mark.parametrize("date", [MONDAY, TUESDAY])
def test_candles_under_leans_rule_are_exact_all_day(
    replays: Replays, shared: Path, date: str
) -> None:
    trades = {
        symbol: oracle.regular_rule(oracle.trades(shared / "data", symbol, date))
        for symbol in SYMBOLS
    }
    found = replays.of(date, "--conditions", "regular").stored.rows("candles")
    assert found == oracle.all_candle_rows({date: trades})


def any_of(flags: int) -> pl.Expr:
    return (pl.col("flags") & flags) != 0


def shares(trades: pl.DataFrame) -> int:
    return int(trades["size"].sum())


def explained(reason: str, symbol: str, ours: Row, minute: pl.DataFrame, rest: pl.DataFrame) -> Row:
    """Our candle, corrected as the reason says; what it says nothing of is left out."""
    from_listing = pl.col("exchange") == LISTING_EXCHANGE[symbol]
    if reason == Reason.OPENING:
        opening = minute.filter(any_of(OPENING) & from_listing).head(1)
        official = minute.filter(any_of(OFFICIAL_OPEN))
        return {"volume": ours["volume"] + shares(opening) - shares(official)}
    if reason == Reason.CLOSING:
        closing = rest.filter(any_of(CLOSING) & from_listing).head(1)
        close = closing["price"][0] / 10_000
        return {"close": close, "volume": ours["volume"] + shares(closing)}
    if reason == Reason.MISSING:
        return {"volume": ours["volume"] + 1_500}
    also = SOLD_OUT_OF_SEQUENCE if reason == Reason.SOLD else AVERAGE_PRICE
    priced = minute.filter(any_of(REGULAR) | (pl.col("flags") & also == also))
    prices = [price / 10_000 for price in priced["price"]]
    found = (prices[0], max(prices), min(prices), prices[-1])
    return dict(zip(PRICES, found, strict=True))


@pytest.mark.parametrize(("date", "symbol"), DAYS)
def test_each_listed_minute_has_its_reason_in_the_ticks(
    replays: Replays, shared: Path, recorded: bool, date: str, symbol: str
) -> None:
    ours, bars = session(replays, date, symbol), theirs(shared, date, symbol)
    trades = oracle.trades(shared / "data", symbol, date)
    for listed in LISTED[date, symbol] if recorded else ():
        start = minute_ms(date, listed.minute)
        start_ms = start - oracle.midnight_ms(date)
        minute = trades.filter(pl.col("ms").is_between(start_ms, start_ms + 59_999))
        rest = trades.filter(pl.col("ms") >= start_ms + 60_000)
        right = explained(listed.reason, symbol, ours[start], minute, rest)
        assert right == {name: bars[start][name] for name in right}, (listed, right)
