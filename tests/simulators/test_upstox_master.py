"""The made-up market's instruments come back from the file as they were."""

from collections import Counter

import pytest
from msgspec.structs import replace

from tapewire.market.instruments import Instrument
from tapewire.market.sessions import SessionCalendar
from tapewire.providers.upstox.master import parse
from tapewire.simulators.indian_listings import UNDERLYINGS, listings
from tapewire.simulators.upstox_master import isin, master_file, upstox_key
from tests.simulators.upstox_market import FUTURE, INDEX, LISTED, SHARE


@pytest.mark.parametrize(
    ("instrument", "key"),
    [
        (SHARE, "NSE_EQ|INE002885015"),
        (INDEX, "NSE_INDEX|Nifty 50"),
        (FUTURE, "NSE_FO|8765"),
    ],
)
def test_keys_are_of_the_providers_kind(instrument: Instrument, key: str) -> None:
    assert upstox_key(instrument) == key


@pytest.mark.parametrize("real", ["INE002A01018", "INE009A01021", "US0378331005"])
def test_the_check_digit_is_the_standards(real: str) -> None:
    assert isin(real[:-1]) == real


def read_back(instruments: list[Instrument]) -> list[Instrument]:
    """What the parser makes of the file, in the simulator's words: indices have no tick size."""
    skipped: Counter[str] = Counter()
    read = parse(master_file(instruments), skipped)
    assert not skipped
    assert [each.broker_key for each in read] == [upstox_key(each) for each in instruments]
    return [replace(each, broker_key="", tick_size=0.05) for each in read]


def test_every_kind_of_instrument_is_read_as_it_is_listed() -> None:
    assert read_back(list(LISTED)) == [replace(each, tick_size=0.05) for each in LISTED]


def test_the_whole_market_is_read_as_it_is_listed() -> None:
    closes = {each.name: each.price for each in UNDERLYINGS}
    calendar = SessionCalendar.load("XNSE")
    listed = [each.instrument for each in listings(calendar, "2026-11-20", closes)]
    assert len({upstox_key(each) for each in listed}) == len(listed) > 300
    assert read_back(listed) == listed
