"""Dhan's packets byte by byte, and what odd ones cost."""

from collections import Counter

import pytest
from msgspec import Struct

from tapewire.market.instruments import EXCHANGES as ALL_EXCHANGES
from tapewire.providers.dhan.packets import (
    EXCHANGES,
    LAYOUTS,
    DepthLevel,
    Disconnect,
    Full,
    MarketStatus,
    OpenInterest,
    PreviousClose,
    Quote,
    Segment,
    Ticker,
    Update,
    decode,
    depth,
)

# Written by hand from the documented offsets: 49081 is b9 bf, 23400.05 is 0x46b6d01a.
TICKER = "02 1000 02 b9bf0000 1ad0b646 7856a165"
QUOTE = (
    "04 3200 02 b9bf0000 1ad0b646 4b00 7856a165 0000c842 40420f00 e8030000 d0070000"
    "0000803f 00000040 00004040 00008040"
)
OPEN_INTEREST = "05 0c00 02 b9bf0000 40420f00"
PREVIOUS_CLOSE = "06 1000 02 b9bf0000 0000c842 e8030000"
MARKET_STATUS = "07 0800 01 00000000"
LEVEL = "01000000 02000000 0300 0400 0000803f 00000040"
FULL = (
    "08 a200 02 b9bf0000 1ad0b646 4b00 7856a165 0000c842 40420f00 e8030000 d0070000"
    "05000000 06000000 07000000 0000803f 00000040 00004040 00008040" + LEVEL * 5
)
DISCONNECT = "32 0a00 00 00000000 2503"
INDEX = "01 0c00 00 0d000000 00000000"
AT_S = 0x65A15678
PRICE = 23400.05078125


def packet(written: str) -> bytes:
    return bytes.fromhex(written)


QUOTE_FIELDS = (PRICE, 75, AT_S, 100.0, 1_000_000, 1_000, 2_000, 1.0, 2.0, 3.0, 4.0)
FULL_FIELDS = (PRICE, 75, AT_S, 100.0, 1_000_000, 1_000, 2_000, 5, 6, 7, 1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("written", "size", "update"),
    [
        (TICKER, 16, Ticker(2, 49_081, PRICE, AT_S)),
        (QUOTE, 50, Quote(2, 49_081, *QUOTE_FIELDS)),
        (OPEN_INTEREST, 12, OpenInterest(2, 49_081, 1_000_000)),
        (PREVIOUS_CLOSE, 16, PreviousClose(2, 49_081, 100.0, 1_000)),
        (MARKET_STATUS, 8, MarketStatus(1, 0)),
        (FULL, 162, Full(2, 49_081, *FULL_FIELDS, packet(LEVEL * 5))),
        (DISCONNECT, 10, Disconnect(0, 0, 805)),
    ],
)
def test_each_packet_has_the_documented_bytes(written: str, size: int, update: Update) -> None:
    faults: Counter[str] = Counter()
    assert decode(packet(written), faults) == [update]
    assert len(packet(written)) == size == LAYOUTS[packet(written)[0]].size
    assert not faults


def test_a_quote_names_its_fields_as_the_documentation_orders_them() -> None:
    (quote,) = decode(packet(QUOTE), Counter())
    assert isinstance(quote, Quote)
    assert (quote.last_price, quote.last_size, quote.last_trade_time_s) == (PRICE, 75, AT_S)
    assert (quote.day_volume, quote.total_sell_size, quote.total_buy_size) == (10**6, 1_000, 2_000)
    assert (quote.open, quote.close, quote.high, quote.low) == (1.0, 2.0, 3.0, 4.0)


def test_a_full_packet_ends_with_five_levels_of_depth() -> None:
    (full,) = decode(packet(FULL), Counter())
    assert isinstance(full, Full)
    assert (full.open_interest, full.open_interest_high, full.open_interest_low) == (5, 6, 7)
    assert depth(full) == [DepthLevel(1, 2, 3, 4, 1.0, 2.0)] * 5


def test_several_packets_lie_in_one_message() -> None:
    frame = packet(QUOTE + OPEN_INTEREST + INDEX + TICKER + FULL)
    faults: Counter[str] = Counter()
    assert [type(update) for update in decode(frame, faults)] == [Quote, OpenInterest, Ticker, Full]
    assert faults == {"unknown_code": 1}


SHORT_TICKER = "02 0c00 02 b9bf0000 1ad0b646"
LONG_TICKER = "02 1200 02 b9bf0000 1ad0b646 7856a165 ffff"
ZERO_LENGTH_TICKER = "02 0000 02 b9bf0000 1ad0b646 7856a165"
HUGE_LENGTH_TICKER = "02 ffff 02 b9bf0000 1ad0b646 7856a165"
UNKNOWN_ZERO_LENGTH = "63 0000 02 b9bf0000"


@pytest.mark.parametrize(
    ("odd", "types", "fault"),
    [
        (SHORT_TICKER, [OpenInterest], "too_short"),
        (LONG_TICKER, [Ticker, OpenInterest], "too_long"),
        (ZERO_LENGTH_TICKER, [Ticker, OpenInterest], "bad_length"),
        (HUGE_LENGTH_TICKER, [Ticker, OpenInterest], "bad_length"),
        (INDEX, [OpenInterest], "unknown_code"),
        (UNKNOWN_ZERO_LENGTH, [], "truncated"),
    ],
)
def test_an_odd_packet_costs_itself_while_its_length_is_known(
    odd: str, types: list[type[Struct]], fault: str
) -> None:
    faults: Counter[str] = Counter()
    updates = decode(packet(odd + OPEN_INTEREST), faults)
    assert [type(update) for update in updates] == types
    assert faults == {fault: 1}


@pytest.mark.parametrize("kept", range(1, 50))
def test_a_truncated_packet_is_counted_and_what_came_before_it_is_kept(kept: int) -> None:
    faults: Counter[str] = Counter()
    updates = decode(packet(TICKER) + packet(QUOTE)[:kept], faults)
    assert updates == [Ticker(2, 49_081, PRICE, AT_S)]
    assert faults == {"truncated": 1}


@pytest.mark.parametrize("heartbeat", ["", "00", "00 0800 00 00000000", "00 0000 00 00000000"])
def test_a_heartbeat_is_no_fault(heartbeat: str) -> None:
    faults: Counter[str] = Counter()
    assert decode(packet(heartbeat), faults) == []
    assert not faults


def test_exchanges_are_spelled_as_everybody_spells_them() -> None:
    assert set(EXCHANGES.values()) < set(ALL_EXCHANGES)
    assert set(Segment) - set(EXCHANGES) == {Segment.IDX_I}
