"""Dhan's packets byte by byte, its requests, and one connection's state."""

import json
from collections import Counter

import pytest
from msgspec import Struct

from tapewire.providers.dhan.protocol import (
    DISCONNECTS,
    EXCHANGES,
    IST_OFFSET_S,
    LAYOUTS,
    DepthLevel,
    DhanConnection,
    Disconnect,
    Full,
    Instrument,
    MarketStatus,
    Mode,
    OpenInterest,
    PreviousClose,
    Quote,
    Segment,
    Ticker,
    Update,
    decode,
    depth,
    disconnect_policy,
    upgrade_policy,
    utc_ms,
)
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.providers.fyers.records import EXCHANGES as FYERS_EXCHANGES

NIFTY = Instrument(Segment.NSE_FNO, 49_081)
RELIANCE = Instrument(Segment.NSE_EQ, 2_885)

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


def connected(*instruments: Instrument, mode: Mode = Mode.QUOTE) -> DhanConnection:
    connection = DhanConnection()
    connection.subscribe(instruments, mode)
    connection.opened()
    return connection


def sent(connection: DhanConnection) -> list[tuple[int, int, list[str]]]:
    """Request code, count and security ids of what goes out."""
    requests = [json.loads(message) for message in connection.data_to_send()]
    return [
        (
            request["RequestCode"],
            request["InstrumentCount"],
            [instrument["SecurityId"] for instrument in request["InstrumentList"]],
        )
        for request in requests
    ]


def test_the_first_price_of_an_instrument_is_a_snapshot() -> None:
    connection = connected(NIFTY)
    updates = connection.receive(packet(PREVIOUS_CLOSE + QUOTE + QUOTE))
    assert [u.snapshot for u in updates if isinstance(u, Quote)] == [True, False]


def test_an_instrument_asked_for_again_begins_with_a_snapshot() -> None:
    connection = connected(NIFTY)
    connection.receive(packet(QUOTE))
    connection.unsubscribe([NIFTY])
    connection.subscribe([NIFTY])
    (quote,) = connection.receive(packet(QUOTE))
    assert isinstance(quote, Quote)
    assert quote.snapshot


def test_a_quote_carries_the_open_interest_that_came_beside_it() -> None:
    connection = connected(NIFTY)
    first, _, second = connection.receive(packet(QUOTE + OPEN_INTEREST + QUOTE))
    assert isinstance(first, Quote)
    assert isinstance(second, Quote)
    assert (first.open_interest, second.open_interest) == (None, 1_000_000)


def test_the_same_number_in_another_segment_is_another_instrument() -> None:
    connection = connected(Instrument(Segment.BSE_EQ, NIFTY.security_id))
    assert connection.receive(packet(QUOTE)) == []
    assert connection.faults == {"not_subscribed": 1}


def test_what_was_given_back_is_dropped_and_counted() -> None:
    connection = connected(NIFTY)
    connection.unsubscribe([NIFTY])
    assert connection.receive(packet(QUOTE)) == []
    assert connection.faults == {"not_subscribed": 1}


def test_nothing_is_sent_before_the_socket_is_open() -> None:
    connection = DhanConnection()
    connection.subscribe([NIFTY])
    assert connection.data_to_send() == []
    connection.opened()
    assert sent(connection) == [(17, 1, ["49081"])]
    assert connection.data_to_send() == []


def test_a_request_is_spelled_as_documented() -> None:
    (message,) = connected(NIFTY, mode=Mode.TICKER).data_to_send()
    assert json.loads(message) == {
        "RequestCode": 15,
        "InstrumentCount": 1,
        "InstrumentList": [{"ExchangeSegment": "NSE_FNO", "SecurityId": "49081"}],
    }


def test_a_long_list_goes_out_in_requests_of_a_hundred() -> None:
    connection = connected(*(Instrument(Segment.NSE_EQ, number) for number in range(250)))
    requests = sent(connection)
    assert [count for _, count, _ in requests] == [100, 100, 50]
    assert [name for _, _, names in requests for name in names] == [str(n) for n in range(250)]


def test_another_mode_gives_the_old_one_back_first() -> None:
    connection = connected(NIFTY, RELIANCE)
    connection.data_to_send()
    connection.subscribe([NIFTY], Mode.FULL)
    connection.subscribe([RELIANCE], Mode.QUOTE)
    assert sent(connection) == [(18, 1, ["49081"]), (21, 1, ["49081"])]


def test_unsubscribing_uses_the_next_code_of_each_mode() -> None:
    connection = connected(NIFTY, mode=Mode.FULL)
    connection.subscribe([RELIANCE], Mode.TICKER)
    connection.data_to_send()
    connection.unsubscribe([NIFTY, RELIANCE, RELIANCE])
    assert sorted(sent(connection)) == [(16, 1, ["2885"]), (22, 1, ["49081"])]


def test_more_than_a_connection_holds_is_refused_whole() -> None:
    connection = DhanConnection(max_instruments=2)
    connection.opened()
    connection.subscribe([NIFTY, RELIANCE])
    connection.data_to_send()
    with pytest.raises(ValueError, match="the limit is 2"):
        connection.subscribe([NIFTY, Instrument(Segment.NSE_EQ, 1)])
    assert connection.data_to_send() == []


def test_closing_says_good_bye() -> None:
    connection = connected()
    connection.close()
    assert connection.data_to_send() == [b'{"RequestCode":12}']


def test_a_disconnect_is_kept_with_its_reason() -> None:
    connection = connected(NIFTY)
    connection.receive(packet(DISCONNECT))
    assert connection.disconnect == 805


FATAL = (804, 806, 808, 810, 811, 812, 813, 814)


def test_every_documented_reason_has_its_policy() -> None:
    kinds = {reason: type(policy) for reason, policy in DISCONNECTS.items()}
    assert kinds == (
        dict.fromkeys(FATAL, Fatal)
        | dict.fromkeys((807, 809), RefreshToken)
        | dict.fromkeys((800, 805), BackOff)
    )


def test_a_crowded_account_and_an_unknown_reason_wait_a_minute() -> None:
    for policy in (disconnect_policy(805), disconnect_policy(999), upgrade_policy(429)):
        assert isinstance(policy, BackOff)
        assert policy.seconds >= 60


def test_the_clock_of_the_feed_is_taken_back_to_utc() -> None:
    assert utc_ms(AT_S, IST_OFFSET_S) == (AT_S - 19_800) * 1_000
    assert utc_ms(AT_S, 0) == AT_S * 1_000
    assert utc_ms(0, IST_OFFSET_S) == 0


def test_exchanges_are_spelled_as_another_broker_spells_them() -> None:
    assert set(EXCHANGES.values()) < set(FYERS_EXCHANGES.values())
    assert set(Segment) - set(EXCHANGES) == {Segment.IDX_I}
