"""Upstox's requests, one connection's state, and what its end means."""

import json
from itertools import count

import pytest

from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.providers.upstox.messages import FrameKind, Mode, Refusal, Skipped
from tapewire.providers.upstox.protocol import (
    DISCONNECTS,
    LIMITS,
    SILENT_AFTER_S,
    End,
    Feed,
    FeedDecoder,
    LimitError,
    Plan,
    UpstoxConnection,
    end_of_upgrade,
    feed_url,
    tick,
)
from tapewire.simulators.upstox_frames import (
    Last,
    Totals,
    feed_frame,
    full_feed,
    index_feed,
    ltpc_feed,
    market_frame,
)

LAST = Last(100.5, 1_792_000_000_000, 75, 99.25)


def connection(plan: Plan = Plan.STANDARD, max_keys: int = 500) -> UpstoxConnection:
    guids = count(1)
    return UpstoxConnection(
        lambda: f"g{next(guids)}",
        FeedDecoder(),
        now_s=100.0,
        limits=LIMITS[plan],
        max_keys=max_keys,
    )


def keys(number: int) -> list[str]:
    return [f"NSE_FO|{token}" for token in range(number)]


def sent(frames: list[bytes]) -> list[tuple[str, str, str | None, int]]:
    """What requests say: guid, method, mode, number of keys."""
    requests = [json.loads(frame) for frame in frames]
    return [
        (
            each["guid"],
            each["method"],
            each["data"].get("mode"),
            len(each["data"]["instrumentKeys"]),
        )
        for each in requests
    ]


def test_a_subscription_is_json_in_bytes() -> None:
    (frame,) = connection().subscribe(["NSE_INDEX|Nifty 50"], Mode.LTPC)
    assert json.loads(frame) == {
        "guid": "g1",
        "method": "sub",
        "data": {"mode": "ltpc", "instrumentKeys": ["NSE_INDEX|Nifty 50"]},
    }


def test_long_subscriptions_go_out_in_batches() -> None:
    frames = connection(max_keys=100).subscribe(keys(250), Mode.FULL)
    assert sent(frames) == [
        ("g1", "sub", "full", 100),
        ("g2", "sub", "full", 100),
        ("g3", "sub", "full", 50),
    ]


def test_what_is_subscribed_already_changes_its_mode_or_is_left_alone() -> None:
    socket = connection()
    socket.subscribe(keys(3), Mode.LTPC)
    assert socket.subscribe(keys(2), Mode.LTPC) == []
    assert sent(socket.subscribe(keys(5)[2:], Mode.FULL)) == [
        ("g2", "sub", "full", 2),
        ("g3", "change_mode", "full", 1),
    ]
    assert list(socket.modes.values()) == [Mode.LTPC] * 2 + [Mode.FULL] * 3


def test_only_what_is_subscribed_is_unsubscribed_and_without_a_mode() -> None:
    socket = connection()
    socket.subscribe(keys(2), Mode.FULL)
    assert sent(socket.unsubscribe(["NSE_FO|1", "NSE_FO|1", "NSE_FO|9"])) == [
        ("g2", "unsub", None, 1)
    ]
    assert list(socket.modes) == ["NSE_FO|0"] == list(socket.unproved)
    assert socket.unsubscribe(["NSE_FO|9"]) == []


def test_the_limit_of_a_mode_is_lower_beside_another_mode() -> None:
    socket = connection()
    socket.subscribe(keys(2000), Mode.FULL)
    with pytest.raises(LimitError, match="2001 instruments in mode full; the plan allows 2000"):
        socket.subscribe(["NSE_EQ|INE020B01018"], Mode.FULL)
    with pytest.raises(LimitError, match="2000 instruments in mode full; the plan allows 1500"):
        socket.subscribe(["NSE_EQ|INE020B01018"], Mode.LTPC)
    assert len(socket.modes) == 2000


def test_a_mode_outside_the_plan_is_refused_before_it_is_sent() -> None:
    with pytest.raises(LimitError, match="full_d30 is not in the plan"):
        connection().subscribe(keys(1), Mode.FULL_D30)
    assert connection(Plan.PLUS).subscribe(keys(1), Mode.FULL_D30)


def test_the_first_update_proves_a_subscription() -> None:
    socket = connection()
    socket.subscribe(keys(2), Mode.LTPC)
    socket.receive(feed_frame(FrameKind.INITIAL_FEED, [("NSE_FO|1", ltpc_feed(LAST))], 1), 101.0)
    assert socket.unproved == {"NSE_FO|0"}


def test_a_connection_keeps_market_status_and_counts_what_it_skips() -> None:
    socket = connection()
    socket.receive(market_frame({"NSE_EQ": "NORMAL_OPEN", "BSE_EQ": "NORMAL_OPEN"}, 1), 101.0)
    socket.receive(market_frame({"NSE_EQ": "NORMAL_CLOSE"}, 2), 102.0)
    assert socket.markets == {"NSE_EQ": "NORMAL_CLOSE", "BSE_EQ": "NORMAL_OPEN"}
    for _ in range(2):
        answer = socket.receive(b"\xff", 103.0)
        assert isinstance(answer, Feed)
    assert socket.skipped == {Skipped.MALFORMED_FRAME: 2}


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (
            '{"status": "failed", "method": "sub", "error": "too many"}',
            Refusal("failed", "sub", "too many"),
        ),
        ("no JSON", Refusal("unreadable", "", "no JSON")),
        ("[1]", Refusal("unreadable", "", "[1]")),
        ('{"status": "\ud800"}', Refusal("unreadable", "", '{"status": "\ud800"}')),
        ("x" * 999, Refusal("unreadable", "", "x" * 200)),
    ],
)
def test_text_is_a_refusal(text: str, refusal: Refusal) -> None:
    socket = connection()
    assert socket.receive(text, 101.0) == refusal == socket.refusal
    assert socket.refusals == 1


def test_pings_are_life_and_their_absence_is_silence() -> None:
    socket = connection()
    assert not socket.silent(100.0 + SILENT_AFTER_S - 1)
    assert socket.silent(100.0 + SILENT_AFTER_S)
    socket.heard(130.0)
    assert not socket.silent(100.0 + SILENT_AFTER_S)
    socket.receive(market_frame({}, 1), 170.0)
    assert not socket.silent(200.0)


def test_a_snapshot_becomes_a_tick_marked_as_one() -> None:
    feeds = [
        ("NSE_FO|45450", full_feed(LAST, Totals(1_234_567, 55_500.0))),
        ("NSE_INDEX|Nifty 50", index_feed(LAST)),
    ]
    updates = FeedDecoder().decode(feed_frame(FrameKind.INITIAL_FEED, feeds, 1)).updates
    future, index = (tick(update, 7) for update in updates)
    assert future == Tick(
        broker="upstox",
        exchange="NSE_FO",
        token="45450",
        symbol="NSE_FO:45450",
        last_price=100.5,
        last_size=75,
        day_volume=1_234_567,
        open_interest=55_500,
        timestamp_ms=1_792_000_000_000,
        received_ns=7,
        flags=TICK_SNAPSHOT,
    )
    assert (index.symbol, index.flags) == ("NSE_INDEX:Nifty_50", TICK_SNAPSHOT | TICK_INDEX)
    live = FeedDecoder().decode(feed_frame(FrameKind.LIVE_FEED, feeds, 1)).updates
    assert [tick(update, 7).flags for update in live] == [0, TICK_INDEX]


def test_every_end_has_a_policy() -> None:
    assert set(DISCONNECTS) == set(End)
    assert isinstance(DISCONNECTS[end_of_upgrade(401)], RefreshToken)
    assert isinstance(DISCONNECTS[End.UNTRUSTED], Fatal)
    assert DISCONNECTS[end_of_upgrade(429)] == BackOff(60.0)
    assert end_of_upgrade(403) == End.CONNECTION_REFUSED
    assert end_of_upgrade(503) == End.UNREACHABLE


def test_the_single_use_address_is_read_from_the_answer() -> None:
    answer = b'{"status":"success","data":{"authorized_redirect_uri":"wss://feed/?code=s3cret"}}'
    assert feed_url(answer) == "wss://feed/?code=s3cret"


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"{}",
        b'{"data":{"authorized_redirect_uri":"https://feed/?code=s3cret"}}',
        b"\xff",
    ],
)
def test_an_answer_without_an_address_is_said_without_showing_it(answer: bytes) -> None:
    with pytest.raises(ValueError, match="authorize: expected") as refused:
        feed_url(answer)
    assert "s3cret" not in str(refused.value)
