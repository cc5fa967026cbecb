"""One Upstox connection: what it asks for, what it makes of frames, and how it ends."""

import json

import pytest

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.providers.broker import BrokerConnection, Ending
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.providers.upstox.limits import LimitError, Plan
from tapewire.providers.upstox.messages import Fault, FrameKind, Mode
from tapewire.providers.upstox.protocol import (
    DISCONNECTS,
    SILENT_AFTER_S,
    End,
    UpstoxConnection,
    refused,
)
from tapewire.simulators.upstox_frames import (
    Last,
    Level,
    Totals,
    feed_frame,
    full_feed,
    greeks_feed,
    index_feed,
    ltpc_feed,
    market_frame,
)
from tests.providers.upstox.feeds import (
    FUTURE,
    LAST,
    NIFTY,
    RELIANCE,
    TRADE_MS,
    connection,
    future,
    futures,
    read,
)

DEPTH = [Level(10 + i, 100.25 - i, 20 + i, 100.75 + i) for i in range(5)]


def sent(socket: UpstoxConnection) -> list[tuple[str, str, str | None, list[str]]]:
    """What waiting requests say: guid, method, mode, keys."""
    requests = [json.loads(frame) for frame in socket.data_to_send()]
    return [
        (
            each["guid"],
            each["method"],
            each["data"].get("mode"),
            each["data"]["instrumentKeys"],
        )
        for each in requests
    ]


def test_it_is_a_connection_of_the_feed() -> None:
    contract: BrokerConnection = connection()
    assert contract.authenticated


def test_a_subscription_is_json_in_bytes_and_given_once() -> None:
    socket = connection()
    socket.subscribe([NIFTY])
    (frame,) = socket.data_to_send()
    assert isinstance(frame, bytes)
    assert json.loads(frame) == {
        "guid": "g1",
        "method": "sub",
        "data": {"mode": "full", "instrumentKeys": ["NSE_INDEX|Nifty 50"]},
    }
    assert socket.data_to_send() == []


def test_long_subscriptions_go_out_in_batches() -> None:
    socket = connection(max_keys=100)
    socket.subscribe(futures(250))
    said = sent(socket)
    assert [len(keys) for *_, keys in said] == [100, 100, 50]
    assert [key for *_, keys in said for key in keys] == [f"NSE_FO|{n}" for n in range(250)]


def test_what_is_subscribed_already_changes_its_mode_or_is_left_alone() -> None:
    socket = connection(*futures(3), mode=Mode.LTPC)
    socket.subscribe(futures(2))
    assert sent(socket) == []
    socket.subscribe(futures(4)[2:], Mode.FULL)
    assert sent(socket) == [
        ("g2", "sub", "full", ["NSE_FO|3"]),
        ("g3", "change_mode", "full", ["NSE_FO|2"]),
    ]


def test_only_what_is_subscribed_is_unsubscribed_and_without_a_mode() -> None:
    socket = connection(*futures(2))
    socket.unsubscribe([future(1), future(1), future(9)])
    assert sent(socket) == [("g2", "unsub", None, ["NSE_FO|1"])]
    socket.unsubscribe([future(9)])
    assert sent(socket) == []


def test_the_limit_of_a_mode_is_lower_beside_another_mode() -> None:
    socket = connection(*futures(2000))
    with pytest.raises(LimitError, match="2001 instruments in mode full; the plan allows 2000"):
        socket.subscribe([RELIANCE])
    with pytest.raises(LimitError, match="2000 instruments in mode full; the plan allows 1500"):
        socket.subscribe([RELIANCE], Mode.LTPC)
    assert socket.data_to_send() == []
    read(socket, RELIANCE, ltpc_feed(LAST))
    assert socket.faults == {Fault.NOT_SUBSCRIBED: 1}


def test_a_mode_outside_the_plan_is_refused_before_it_is_sent() -> None:
    with pytest.raises(LimitError, match="full_d30 is not in the plan"):
        connection(FUTURE, mode=Mode.FULL_D30)
    socket = connection(mode=Mode.FULL_D30, plan=Plan.PLUS)
    socket.subscribe([FUTURE])
    assert sent(socket) == [("g1", "sub", "full_d30", ["NSE_FO|45450"])]


@pytest.mark.parametrize("key", ["", "NSE:RELIANCE-EQ"])
def test_an_instrument_of_another_broker_is_not_asked_for(key: str) -> None:
    socket = connection()
    with pytest.raises(ValueError, match=r"NSE_EQ:1: broker_key .* is not Upstox's"):
        socket.subscribe(
            [FUTURE, Instrument(exchange="NSE_EQ", token="1", symbol="A", broker_key=key)]
        )
    assert socket.data_to_send() == []


def test_a_full_update_is_a_tick_under_the_masters_names() -> None:
    socket = connection(RELIANCE)
    (tick,) = read(socket, RELIANCE, full_feed(LAST, Totals(1_234_567, 55_500.0), DEPTH))
    assert tick == Tick(
        broker="upstox",
        exchange="NSE_EQ",
        token="2885",
        symbol="RELIANCE",
        last_price=100.5,
        last_size=75,
        day_volume=1_234_567,
        open_interest=55_500,
        timestamp_ms=TRADE_MS,
        received_ns=7,
        flags=0,
    )


def test_greeks_carry_volume_and_ltpc_does_not() -> None:
    socket = connection(FUTURE)
    (greeks,) = read(socket, FUTURE, greeks_feed(LAST, Totals(12, 5.0), DEPTH[0], [0.5]))
    assert (greeks.last_price, greeks.day_volume, greeks.open_interest) == (100.5, 12, 5)
    (ltpc,) = read(socket, FUTURE, ltpc_feed(LAST))
    assert (ltpc.last_price, ltpc.last_size) == (100.5, 75)
    assert (ltpc.day_volume, ltpc.open_interest) == (None, None)


def test_an_index_is_marked_and_nothing_is_traded_in_it() -> None:
    (tick,) = read(connection(NIFTY), NIFTY, index_feed(LAST))
    assert (tick.exchange, tick.token, tick.symbol) == ("NSE_INDEX", "Nifty_50", "NIFTY")
    assert (tick.day_volume, tick.open_interest, tick.flags) == (None, None, TICK_INDEX)


@pytest.mark.parametrize("feed", [ltpc_feed(LAST), full_feed(LAST, Totals(1))])
def test_an_index_is_one_in_whatever_form_it_comes(feed: bytes) -> None:
    (tick,) = read(connection(NIFTY), NIFTY, feed)
    assert tick.flags == TICK_INDEX


@pytest.mark.parametrize(
    ("kind", "flags"), [(FrameKind.INITIAL_FEED, TICK_SNAPSHOT), (FrameKind.LIVE_FEED, 0)]
)
def test_a_frame_on_subscription_is_a_snapshot(kind: FrameKind, flags: int) -> None:
    feeds = [
        (FUTURE.broker_key, full_feed(LAST, Totals(1))),
        (NIFTY.broker_key, index_feed(LAST)),
    ]
    ticks = connection(FUTURE, NIFTY).receive(feed_frame(kind, feeds, 1), 7, 101.0)
    assert [tick.flags for tick in ticks] == [flags, flags | TICK_INDEX]


def test_a_depth_change_has_no_price_and_is_left_out() -> None:
    socket = connection(FUTURE)
    assert read(socket, FUTURE, full_feed(None, Totals(1_234_567), DEPTH)) == []
    assert socket.faults == {"no_price": 1}
    assert socket.proved == 1


@pytest.mark.parametrize("price", [float("nan"), float("inf")])
def test_a_price_that_is_no_number_is_a_fault(price: float) -> None:
    socket = connection(FUTURE, RELIANCE)
    assert read(socket, FUTURE, full_feed(LAST._replace(price=price), Totals(1))) == []
    assert read(socket, RELIANCE, ltpc_feed(LAST._replace(price=price))) == []
    assert read(socket, FUTURE, full_feed(LAST, Totals(1, open_interest=price))) == []
    assert socket.faults == {Fault.BAD_VALUE: 3}


def test_zero_volume_is_zero_where_the_mode_has_volume() -> None:
    (tick,) = read(connection(FUTURE), FUTURE, full_feed(LAST, Totals()))
    assert (tick.day_volume, tick.open_interest) == (0, 0)


def test_what_came_before_the_unsubscription_was_heard_is_counted() -> None:
    socket = connection(FUTURE)
    socket.unsubscribe([FUTURE])
    assert read(socket, FUTURE, ltpc_feed(LAST)) == []
    assert socket.faults == {Fault.NOT_SUBSCRIBED: 1}


def test_the_first_update_proves_a_subscription() -> None:
    socket = connection(*futures(3))
    assert socket.proved == 0
    for _ in range(2):
        read(socket, future(1), full_feed(LAST, Totals(1)))
    read(socket, future(2), ltpc_feed(LAST))
    assert socket.proved == 2
    socket.unsubscribe([future(1), future(0)])
    assert socket.proved == 1


def test_names_come_with_the_subscription_and_closes_when_they_are_new() -> None:
    socket = connection(FUTURE)
    assert socket.references() == [Reference("NSE_FO:45450", "", name="FUT45450")]
    for close in (99.25, 99.25, 0.0, 101.0, 101.0):
        read(socket, FUTURE, full_feed(LAST._replace(close=close), Totals(1)))
    assert socket.references() == [
        Reference("NSE_FO:45450", "", prev_day_close=101.0, name="FUT45450")
    ]
    for feed in (full_feed(LAST._replace(close=101.0), Totals(1)), ltpc_feed(LAST)):
        read(socket, FUTURE, feed)
    assert [each.prev_day_close for each in socket.references()] == [99.25]
    read(socket, FUTURE, ltpc_feed(LAST))
    assert socket.references() == []


def test_a_connection_reports_the_market_and_the_servers_clock() -> None:
    socket = connection()
    socket.receive(market_frame({"NSE_EQ": "NORMAL_OPEN", "BSE_EQ": "NORMAL_OPEN"}, 1), 7, 101.0)
    socket.receive(market_frame({"NSE_EQ": "NORMAL_CLOSE"}, 2), 7, 102.0)
    status = socket.status()
    assert status["markets"] == {"NSE_EQ": "NORMAL_CLOSE", "BSE_EQ": "NORMAL_OPEN"}
    assert status["server_ms"] == 2
    odd = bytes.fromhex("08 02 22 0c 0a0a 0a06 4e53455f4551 10 09")
    socket.receive(odd, 7, 103.0)
    assert socket.status()["markets"] == {"NSE_EQ": "UNKNOWN_9", "BSE_EQ": "NORMAL_OPEN"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"status": "failed", "method": "sub", "error": "too many"}', "too many"),
        ("no JSON", "no JSON"),
        ("[1]", "[1]"),
        ('{"status": "\ud800"}', '{"status": "\ud800"}'),
        ("x" * 999, "x" * 200),
        (json.dumps({"error": "y" * 999}), "y" * 200),
    ],
)
def test_text_is_a_refusal(text: str, error: str) -> None:
    socket = connection()
    assert socket.receive(text, 7, 101.0) == []
    assert socket.faults == {Fault.REFUSED: 1}
    assert socket.status()["refusal"] == error


def end_of(socket: UpstoxConnection, now_s: float) -> Ending | None:
    """The ending of a connection whose watch has just passed."""
    socket.due(now_s)
    return socket.ending


def test_silence_ends_a_connection_and_pings_are_life() -> None:
    socket = connection()
    socket.heard(130.0)
    assert end_of(socket, 129.0 + SILENT_AFTER_S) is None
    socket.receive(market_frame({}, 1), 7, 170.0)
    assert end_of(socket, 169.0 + SILENT_AFTER_S) is None
    ending = end_of(socket, 170.0 + SILENT_AFTER_S)
    assert ending == Ending("silent", BackOff(), "nothing came for 40 s")
    assert socket.data_to_send() == []


def test_every_end_has_a_policy() -> None:
    assert set(DISCONNECTS) == set(End)
    assert isinstance(refused(401).policy, RefreshToken)
    assert isinstance(DISCONNECTS[End.NO_TOKEN], Fatal)
    assert refused(429).policy == BackOff(60.0)
    assert refused(403).reason == "connection_refused"
    assert refused(503).reason == "unreachable"
    assert refused(503).detail == "the server answered 503"


def test_each_update_of_a_frame_is_a_tick_in_order() -> None:
    socket = connection(*futures(60))
    last = [Last(100.0 + n, TRADE_MS + n, n + 1, 99.0) for n in range(60)]
    feeds = [(f"NSE_FO|{n}", full_feed(last[n], Totals(n))) for n in range(60)]
    ticks = socket.receive(feed_frame(FrameKind.LIVE_FEED, feeds, 1), 7, 101.0)
    assert [(t.token, t.last_price, t.timestamp_ms, t.last_size, t.day_volume) for t in ticks] == [
        (str(n), 100.0 + n, TRADE_MS + n, n + 1, n) for n in range(60)
    ]
