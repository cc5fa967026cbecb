"""One connection's requests, its ticks, its clock, and how it ends."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.providers.broker import Ending
from tapewire.providers.dhan.clock import IST_OFFSET_S
from tapewire.providers.dhan.packets import (
    Disconnect,
    Full,
    MarketStatus,
    OpenInterest,
    PreviousClose,
    Segment,
    Ticker,
    Update,
)
from tapewire.providers.dhan.protocol import (
    DISCONNECTS,
    SILENCE_LIMIT_S,
    DhanConnection,
    upgrade_refused,
)
from tapewire.providers.dhan.subscriptions import Mode
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.simulators.dhan_frames import encode_depth
from tests.providers.dhan.market import (
    NIFTY,
    NIFTY_FUTURE,
    RELIANCE,
    RUPEE,
    T_S,
    equities,
    frame,
    quote,
    value,
)

T_MS = T_S * 1_000
FUTURE = (Segment.NSE_FNO, 49_081)


class Feed:
    """A connection, and a clock that stands at ``T_S`` until it is moved."""

    def __init__(self, *instruments: Instrument, offset_s: int | None = 0, **settings: Any) -> None:
        self.connection = DhanConnection(0.0, clock_offset_s=offset_s, **settings)
        self.connection.subscribe(instruments)
        self.connection.opened(0.0)
        self.now_s = T_S
        self.offset_s = offset_s or 0

    @property
    def faults(self) -> Counter[str]:
        return self.connection.faults

    def send(self, *updates: Update) -> list[Tick]:
        """Receive one message now."""
        return self.connection.receive(frame(*updates), self.now_s * 10**9, 0.0)


def connected(*instruments: Instrument, **settings: Any) -> Feed:
    """A feed whose instruments' snapshots are done with."""
    feed = Feed(*instruments, **settings)
    for instrument in instruments:
        segment, _, number = instrument.broker_key.partition("|")
        feed.send(quote(1.0, 1, T_S - 60, segment=Segment[segment], number=int(number)))
    return feed


def requests(connection: DhanConnection) -> list[tuple[int, int, list[str]]]:
    """Request code, count and security ids of what goes out."""
    messages = [json.loads(message) for message in connection.data_to_send()]
    return [
        (
            message["RequestCode"],
            message["InstrumentCount"],
            [one["SecurityId"] for one in message["InstrumentList"]],
        )
        for message in messages
    ]


# -- requests


def test_nothing_is_sent_before_the_socket_is_open() -> None:
    connection = DhanConnection(0.0)
    connection.subscribe([NIFTY_FUTURE])
    assert connection.data_to_send() == []
    connection.opened(0.0)
    assert requests(connection) == [(17, 1, ["49081"])]
    assert connection.data_to_send() == []


def test_a_request_is_text_spelled_as_documented() -> None:
    (message,) = Feed(NIFTY_FUTURE, mode=Mode.FULL).connection.data_to_send()
    assert isinstance(message, str)
    assert json.loads(message) == {
        "RequestCode": 21,
        "InstrumentCount": 1,
        "InstrumentList": [{"ExchangeSegment": "NSE_FNO", "SecurityId": "49081"}],
    }


def test_a_long_list_goes_out_in_requests_of_a_hundred() -> None:
    asked = requests(Feed(*equities(250)).connection)
    assert [count for _, count, _ in asked] == [100, 100, 50]
    assert [name for _, _, names in asked for name in names] == [str(n) for n in range(1, 251)]


def test_an_index_has_a_value_only_whatever_the_mode() -> None:
    assert requests(Feed(NIFTY, RELIANCE, mode=Mode.FULL).connection) == [
        (15, 1, ["13"]),
        (21, 1, ["2885"]),
    ]


def test_what_is_held_is_not_asked_for_again() -> None:
    feed = Feed(NIFTY_FUTURE, RELIANCE)
    feed.connection.data_to_send()
    feed.connection.subscribe([RELIANCE, RUPEE, RUPEE])
    assert requests(feed.connection) == [(17, 1, ["2885"])]


def test_unsubscribing_uses_the_next_code_of_each_mode() -> None:
    feed = Feed(NIFTY, RELIANCE)
    feed.connection.data_to_send()
    feed.connection.unsubscribe([NIFTY, RELIANCE, RELIANCE, RUPEE])
    assert requests(feed.connection) == [(16, 1, ["13"]), (18, 1, ["2885"])]
    feed.connection.unsubscribe([RELIANCE])
    assert requests(feed.connection) == []


def test_more_than_a_connection_holds_is_refused_whole() -> None:
    feed = Feed(NIFTY_FUTURE, RELIANCE, max_instruments=2)
    feed.connection.data_to_send()
    with pytest.raises(ValueError, match="the limit is 2"):
        feed.connection.subscribe([NIFTY_FUTURE, NIFTY])
    assert feed.connection.data_to_send() == []
    assert feed.send(value(1.0)) == []


@pytest.mark.parametrize("broker_key", ["", "NSE_FO|1", "NSE_EQ|RELIANCE", f"NSE_EQ|{2**32}"])
def test_another_brokers_name_of_an_instrument_is_refused(broker_key: str) -> None:
    with pytest.raises(ValueError, match="load Dhan's instrument master again"):
        DhanConnection(0.0).subscribe([replace(RELIANCE, broker_key=broker_key)])


def test_closing_says_good_bye() -> None:
    feed = Feed()
    feed.connection.close()
    assert feed.connection.data_to_send() == ['{"RequestCode":12}']


# -- ticks


def test_a_quote_becomes_a_tick_of_the_masters_instrument() -> None:
    feed = connected(NIFTY_FUTURE)
    (tick,) = feed.send(quote(23400.05, 1_000, T_S - 1))
    assert tick == Tick(
        broker="dhan",
        exchange="NSE_FO",
        token="49081",
        symbol="NIFTY-Nov2026-FUT",
        last_price=23400.05,
        last_size=75,
        day_volume=1_000,
        open_interest=None,
        timestamp_ms=T_MS - 1_000,
        received_ns=T_S * 10**9,
        flags=0,
    )


def test_the_first_price_of_an_instrument_is_a_snapshot() -> None:
    feed = Feed(NIFTY_FUTURE)
    first, second = feed.send(PreviousClose(*FUTURE, 100.0, 0), quote(101.0, 10), quote(101.05, 11))
    assert (first.flags, second.flags) == (TICK_SNAPSHOT, 0)


def test_an_instrument_asked_for_again_begins_with_a_snapshot() -> None:
    feed = connected(NIFTY_FUTURE)
    feed.connection.unsubscribe([NIFTY_FUTURE])
    feed.connection.subscribe([NIFTY_FUTURE])
    (tick,) = feed.send(quote(101.0, 10))
    assert tick.flags == TICK_SNAPSHOT


def test_the_first_trade_of_a_day_is_no_snapshot() -> None:
    """What came on subscription said that there had been none."""
    feed = Feed(NIFTY_FUTURE)
    assert feed.send(quote(0.0, 0, 0)) == []
    (tick,) = feed.send(quote(101.0, 10))
    assert tick.flags == 0
    assert feed.faults == {"no_price": 1}


def test_an_index_says_so() -> None:
    feed = Feed(NIFTY)
    first, second = feed.send(value(24_000.1), value(24_000.15, T_S + 1))
    assert (first.flags, second.flags) == (TICK_INDEX | TICK_SNAPSHOT, TICK_INDEX)
    assert (second.exchange, second.token) == (
        "NSE_INDEX",
        "Nifty_50",
    )
    assert (second.last_price, second.day_volume) == (24_000.15, None)


def test_open_interest_that_came_beside_goes_with_the_quotes() -> None:
    feed = Feed(NIFTY_FUTURE)
    ticks = feed.send(
        quote(1.0, 1), OpenInterest(*FUTURE, 500), quote(1.0, 2), OpenInterest(*FUTURE, 600)
    )
    ticks += feed.send(quote(1.0, 3))
    assert [tick.open_interest for tick in ticks] == [None, 500, 600]


def test_a_full_packet_has_its_own_open_interest() -> None:
    feed = Feed(NIFTY_FUTURE, mode=Mode.FULL)
    day = (1.0, 1.0, 1.0, 1.0)
    (tick,) = feed.send(
        Full(*FUTURE, 101.05, 3, T_S, 100.0, 1_000, 0, 0, 77, 80, 70, *day, encode_depth())
    )
    assert (tick.last_price, tick.last_size) == (101.05, 3)
    assert (tick.day_volume, tick.open_interest) == (1_000, 77)


def test_a_ticker_has_no_volume() -> None:
    feed = Feed(NIFTY_FUTURE, mode=Mode.TICKER)
    (tick,) = feed.send(Ticker(*FUTURE, 101.05, T_S))
    assert (tick.last_size, tick.day_volume) == (0, None)


@pytest.mark.parametrize(
    ("instrument", "segment", "price"),
    [
        (NIFTY_FUTURE, Segment.NSE_FNO, 23_400.05),
        (RELIANCE, Segment.NSE_EQ, 1_415.3),
        (RUPEE, Segment.NSE_CURRENCY, 84.1025),
        (replace(RUPEE, tick_size=0.0), Segment.NSE_CURRENCY, 84.1025),
        (replace(RELIANCE, tick_size=0.0), Segment.NSE_EQ, 71_023.45),
    ],
)
def test_prices_lie_on_the_instruments_grid(
    instrument: Instrument, segment: Segment, price: float
) -> None:
    number = int(instrument.token)
    feed = Feed(instrument)
    ticks = feed.send(*[quote(price, volume, segment=segment, number=number) for volume in (1, 2)])
    assert [tick.last_price for tick in ticks] == [price, price]


def test_the_same_number_in_another_segment_is_another_instrument() -> None:
    feed = Feed(RELIANCE, RUPEE)
    ticks = feed.send(
        quote(1_415.3, 1, segment=Segment.NSE_EQ, number=2_885),
        quote(84.1025, 2, segment=Segment.NSE_CURRENCY, number=2_885),
        quote(7.0, 3, segment=Segment.BSE_EQ, number=2_885),
    )
    assert [(tick.exchange, tick.last_price) for tick in ticks] == [
        ("NSE_EQ", 1_415.3),
        ("NCD_FO", 84.1025),
    ]
    assert feed.faults == {"not_subscribed": 1}


def test_what_was_given_back_is_dropped_and_counted() -> None:
    feed = connected(NIFTY_FUTURE)
    feed.connection.unsubscribe([NIFTY_FUTURE])
    assert feed.send(quote(1.0, 2), OpenInterest(*FUTURE, 1)) == []
    assert feed.faults == {"not_subscribed": 2}


@pytest.mark.parametrize(
    ("update", "fault"),
    [
        (quote(0.0, 5), "no_price"),
        (quote(-1.0, 5), "bad_price"),
        (quote(float("nan"), 5), "bad_price"),
        (quote(float("inf"), 5), "bad_price"),
        (quote(100.0, 5, 0), "no_time"),
    ],
)
def test_an_update_that_is_no_tick_is_left_out_and_counted(update: Update, fault: str) -> None:
    feed = connected(NIFTY_FUTURE)
    assert [tick.day_volume for tick in feed.send(update, quote(1.0, 6))] == [6]
    assert feed.faults == {fault: 1}


def test_a_previous_close_is_a_reference() -> None:
    feed = Feed(NIFTY_FUTURE)
    feed.send(PreviousClose(*FUTURE, 23_400.05, 9), PreviousClose(*FUTURE, 0.0, 0))
    reference = Reference("NSE_FO:49081", "", prev_day_close=23_400.05, name="NIFTY-Nov2026-FUT")
    assert feed.connection.references() == [reference]
    assert feed.connection.references() == []


def test_subscriptions_are_proved_by_whatever_comes() -> None:
    feed = Feed(NIFTY_FUTURE, RELIANCE, NIFTY)
    assert (feed.connection.authenticated, feed.connection.proved) == (False, 0)
    feed.send(PreviousClose(*FUTURE, 1.0, 0), quote(1.0, 1), value(1.0))
    assert (feed.connection.authenticated, feed.connection.proved) == (True, 2)
    feed.connection.unsubscribe([NIFTY, RELIANCE])
    assert feed.connection.proved == 1


def test_text_and_changes_of_market_status_are_counted() -> None:
    feed = Feed()
    assert feed.connection.receive("hello", 0, 0.0) == []
    feed.send(MarketStatus(Segment.NSE_EQ, 0))
    assert feed.faults == {"text": 1}
    assert feed.connection.status()["market_status_changes"] == 1


# -- what one message may hold

SEGMENTS = st.sampled_from([Segment.NSE_FNO, Segment.NSE_EQ])
NUMBERS = st.sampled_from([49_081, 2_885])
TICKS = st.integers(1, 2**22)


@st.composite
def updates(draw: st.DrawFn) -> Update:
    segment, number = draw(SEGMENTS), draw(NUMBERS)
    at_s = draw(st.integers(T_S - 1_000, T_S + 1_000))
    price = draw(TICKS) / 10
    kind = draw(st.sampled_from([Ticker, OpenInterest, PreviousClose, None, None, None]))
    if kind is None:
        volume = draw(st.integers(0, 2**32 - 1))
        return quote(price, volume, at_s, segment=segment, number=number)
    if kind is Ticker:
        return Ticker(segment, number, price, at_s)
    interest = draw(st.integers(0, 2**32 - 1))
    if kind is PreviousClose:
        return PreviousClose(segment, number, price, interest)
    return OpenInterest(segment, number, interest)


def expected(sent: Sequence[Update]) -> list[tuple[Any, ...]]:
    """What ticks should say, one packet at a time and without any of the connection's code."""
    held = {(Segment.NSE_FNO, 49_081): ("NSE_FO", 20), (Segment.NSE_EQ, 2_885): ("NSE_EQ", 10)}
    interest: dict[tuple[int, int], int] = {}
    seen: set[tuple[int, int]] = set()
    ticks = []
    for update in sent:
        name = (update.segment, update.security_id)
        if name not in held:
            continue
        if isinstance(update, OpenInterest):
            interest[name] = update.open_interest
        if not isinstance(update, Ticker | type(quote(1.0, 1))):
            continue
        exchange, per_rupee = held[name]
        flags = 0 if name in seen else TICK_SNAPSHOT
        seen.add(name)
        price = round(update.last_price * per_rupee) / per_rupee
        volume = None if isinstance(update, Ticker) else update.day_volume
        at_ms = update.last_trade_time_s * 1_000
        ticks.append((exchange, price, volume, interest.get(name), at_ms, flags))
    return ticks


@given(st.lists(st.lists(updates(), max_size=12), max_size=4))
def test_every_packet_of_every_message_is_taken(messages: list[list[Update]]) -> None:
    feed = Feed(NIFTY_FUTURE, RELIANCE)
    taken = [tick for sent in messages for tick in feed.send(*sent)]
    assert [
        (t.exchange, t.last_price, t.day_volume, t.open_interest, t.timestamp_ms, t.flags)
        for t in taken
    ] == expected([update for sent in messages for update in sent])


@given(st.lists(updates(), min_size=1, max_size=12), st.data())
def test_a_damaged_message_costs_what_is_damaged(sent: list[Update], data: st.DataObject) -> None:
    """What lies before the first damaged byte comes as it would have without the damage."""
    whole = frame(*sent)
    where = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[where] ^= data.draw(st.integers(1, 255))
    before, at = [], 0
    for update in sent:
        at += len(frame(update))
        if at > where:
            break
        before.append(update)
    feed, other = Feed(NIFTY_FUTURE, RELIANCE), Feed(NIFTY_FUTURE, RELIANCE)
    ticks = feed.connection.receive(bytes(damaged), T_S * 10**9, 0.0)
    intact = other.send(*before)
    assert ticks[: len(intact)] == intact


@given(st.binary(max_size=600))
def test_any_bytes_are_ticks_or_faults(message: bytes) -> None:
    feed = Feed(NIFTY_FUTURE, RELIANCE, offset_s=None)
    for tick in feed.connection.receive(message, T_S * 10**9, 0.0):
        assert tick.last_price is not None
        assert tick.last_price >= 0


# -- the feed's clock


def run_live(feed: Feed, seconds: int, offset_s: int, volume: int = 100) -> list[Tick]:
    """The future trades once a second, each trade received at once."""
    ticks = []
    for second in range(seconds):
        feed.now_s += 1
        ticks += feed.send(quote(100.0, volume + second, feed.now_s + offset_s))
    return ticks


@pytest.mark.parametrize("offset_s", [0, IST_OFFSET_S])
def test_ticks_wait_until_the_clock_is_known_and_none_is_lost(offset_s: int) -> None:
    feed = Feed(NIFTY_FUTURE, offset_s=None)
    assert feed.send(quote(99.0, 99, T_S - 5 + offset_s)) == []
    assert feed.connection.status()["clock_offset_s"] is None
    assert feed.connection.status()["waiting_for_clock"] == 1
    ticks = run_live(feed, 8, offset_s)
    assert [tick.day_volume for tick in ticks] == list(range(99, 108))
    times_s = [T_S - 5, *range(T_S + 1, T_S + 9)]
    assert [tick.timestamp_ms for tick in ticks] == [time_s * 1_000 for time_s in times_s]
    assert [tick.flags for tick in ticks] == [TICK_SNAPSHOT, *[0] * 8]
    assert feed.connection.status() == {
        "clock_offset_s": offset_s,
        "clock_offset_given": False,
        "waiting_for_clock": 0,
        "market_status_changes": 0,
    }


@pytest.mark.parametrize("offset_s", [0, IST_OFFSET_S])
@pytest.mark.parametrize(
    "age_s",
    [16 * 3_600, 18 * 3_600, IST_OFFSET_S, IST_OFFSET_S - 60, 5 * 3_600, 86_400, 3 * 86_400],
)
def test_an_old_snapshot_does_not_fool_the_clock(offset_s: int, age_s: int) -> None:
    """Yesterday's, before the open, or so old that the two clocks cannot be told apart."""
    feed = Feed(NIFTY_FUTURE, RELIANCE, offset_s=None)
    old = quote(1.0, 7, T_S - age_s + offset_s, segment=Segment.NSE_EQ, number=2_885)
    fresher = replace(old, last_trade_time_s=old.last_trade_time_s + 40, day_volume=8)
    assert feed.send(old, old, fresher) == []
    feed.now_s += 30
    assert feed.send(fresher) == []
    assert feed.connection.status()["clock_offset_s"] in (None, offset_s)
    ticks = run_live(feed, 8, offset_s)
    told = [tick.timestamp_ms // 1_000 for tick in ticks]
    old_s = T_S - age_s
    assert told == [old_s, old_s, old_s + 40, old_s + 40, *range(T_S + 31, T_S + 39)]


@pytest.mark.parametrize("offset_s", [0, IST_OFFSET_S])
def test_an_illiquid_instruments_trade_after_hours_of_none_is_live(offset_s: int) -> None:
    feed = Feed(NIFTY_FUTURE, offset_s=None)
    feed.send(quote(100.0, 10, T_S - 5 * 3_600 + offset_s))
    ticks = []
    for minute in range(3):
        feed.now_s += 60
        ticks += feed.send(quote(100.0, 11 + minute, feed.now_s + offset_s))
    assert [tick.timestamp_ms // 1_000 for tick in ticks] == [
        T_S - 5 * 3_600,
        T_S + 60,
        T_S + 120,
        T_S + 180,
    ]


def test_an_offset_that_was_said_holds_for_a_recording() -> None:
    feed = connected(NIFTY_FUTURE, offset_s=IST_OFFSET_S)
    (tick,) = feed.send(quote(1.0, 2, 1_500_000_000 + IST_OFFSET_S))
    assert tick.timestamp_ms == 1_500_000_000_000
    assert feed.connection.status()["clock_offset_given"] is True


def test_a_time_in_the_future_is_left_out_and_counted() -> None:
    feed = Feed(NIFTY_FUTURE, offset_s=None)
    run_live(feed, 8, 0)
    assert feed.send(quote(1.0, 500, T_S + 40 * 86_400), quote(1.0, 501, T_S + 8)) != []
    assert feed.faults == {"implausible_time": 1}


def test_what_cannot_wait_is_left_out_and_its_volume_comes_with_the_next() -> None:
    feed = Feed(NIFTY_FUTURE, RELIANCE, offset_s=None, max_waiting=2)
    for volume in (1, 2, 3):
        feed.send(quote(1.0, volume, T_S))
    feed.send(quote(1.0, 5, T_S, segment=Segment.NSE_EQ, number=2_885))
    assert feed.faults == {"clock_unknown": 2}
    assert feed.connection.status()["waiting_for_clock"] == 2
    ticks = run_live(feed, 8, 0)
    assert [tick.flags for tick in ticks[:4]] == [TICK_SNAPSHOT, 0, 0, 0]
    assert [tick.day_volume for tick in ticks[:2]] == [1, 2]
    (share,) = feed.send(quote(1.0, 6, T_S, segment=Segment.NSE_EQ, number=2_885))
    assert share.flags == TICK_SNAPSHOT


def test_each_connection_finds_its_own_clock() -> None:
    for offset_s in (0, IST_OFFSET_S):
        feed = Feed(NIFTY_FUTURE, offset_s=None)
        run_live(feed, 8, offset_s)
        assert feed.connection.status()["clock_offset_s"] == offset_s


# -- how it ends

FATAL = (804, 806, 808, 810, 811, 812, 813, 814)


def test_every_documented_reason_has_its_policy() -> None:
    kinds = {reason: type(policy) for reason, policy in DISCONNECTS.items()}
    assert kinds == (
        dict.fromkeys(FATAL, Fatal)
        | dict.fromkeys((807, 809), RefreshToken)
        | dict.fromkeys((800, 805), BackOff)
    )


@pytest.mark.parametrize("reason", [805, 999])
def test_an_eviction_and_an_unknown_reason_wait_a_minute(reason: int) -> None:
    feed = Feed(NIFTY_FUTURE)
    feed.send(Disconnect(0, 0, reason))
    assert feed.connection.ending is not None
    assert feed.connection.ending.reason == str(reason)
    assert isinstance(feed.connection.ending.policy, BackOff)
    assert feed.connection.ending.policy.seconds >= 60
    assert not feed.connection.authenticated


@pytest.mark.parametrize(
    ("status", "reason", "kind", "least_s"),
    [
        (401, "token_refused", RefreshToken, 0),
        (403, "token_refused", RefreshToken, 0),
        (429, "rate_limited", BackOff, 60),
        (502, "unreachable", BackOff, 0),
    ],
)
def test_a_refused_upgrade_has_its_policy(
    status: int, reason: str, kind: type[Any], least_s: float
) -> None:
    ending = upgrade_refused(status)
    assert (ending.reason, type(ending.policy)) == (reason, kind)
    assert getattr(ending.policy, "seconds", 0) >= least_s


def test_a_silence_ends_the_connection_and_a_ping_is_none() -> None:
    connection = Feed(NIFTY_FUTURE).connection

    def ending(now_s: float) -> Ending | None:
        connection.due(now_s)
        return connection.ending

    assert ending(SILENCE_LIMIT_S - 1) is None
    connection.heard(SILENCE_LIMIT_S - 1)
    assert ending(2 * SILENCE_LIMIT_S - 2) is None
    silent = ending(2 * SILENCE_LIMIT_S)
    assert silent is not None
    assert silent.reason == "silent"
