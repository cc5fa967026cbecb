"""Both dialects, message by message."""

from typing import Any

import pytest

from tapewire.hub.protocol import receive
from tapewire.hub.session import Bounds
from tapewire.hub.writers import EARLIER
from tapewire.model.messages import CloseCode, ErrorCode
from tapewire.model.rows import QuoteRecord
from tests.hub.stage import Client, Stage, candle, candles_of, packed_candles, quote


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.flush(
        quotes=[quote("AIG", 10.0), quote("BAC", 20.0)],
        boards={"top_volume": {"AIG": 5.0, "BAC": 9.0}},
    )
    stage.tick()
    return stage


@pytest.fixture
def client(stage: Stage) -> Client:
    return stage.connect()


@pytest.fixture
def earlier(stage: Stage) -> Client:
    return stage.connect(EARLIER)


def answers(client: Client, message: object) -> list[Any]:
    client.taken()
    client.say(message)
    return client.taken()


def test_auth_is_ok_while_there_are_no_accounts(client: Client) -> None:
    assert answers(client, {"op": "auth", "ticket": "x", "id": 1}) == [{"op": "ok", "id": 1}]
    assert answers(client, {"op": "auth"}) == [{"op": "ok"}]


def test_ping_says_the_time(client: Client) -> None:
    pong = {"op": "pong", "t": 1.5, "time": client.stage.now_ms, "id": "a"}
    assert answers(client, {"op": "ping", "t": 1.5, "id": "a"}) == [pong]


def test_get_is_a_snapshot_without_a_subscription(client: Client) -> None:
    [snapshot] = answers(client, {"op": "get", "feed": "scanners:top_volume", "limit": 1, "id": 2})
    assert (snapshot["op"], snapshot["id"]) == ("snapshot", 2)
    assert [row["symbol"] for row in snapshot["rows"]] == ["BAC"]
    assert client.session.subscriptions == {}


def test_the_id_comes_back_with_each_feed_s_answer(client: Client) -> None:
    found = answers(client, {"op": "subscribe", "feeds": ["quote:AIG", "quote:BAC"], "id": "q"})
    assert [(m["op"], m.get("id")) for m in found] == [
        ("snapshot", "q"), ("snapshot", "q"), ("status", None), ("status", None),
    ]  # fmt: skip


def test_unsubscribe_ends_the_deltas(stage: Stage, client: Client) -> None:
    client.subscribe("quote:AIG")
    assert answers(client, {"op": "unsubscribe", "feed": "quote:AIG", "id": 3}) == [
        {"op": "ok", "id": 3}
    ]
    stage.flush(quotes=[quote("AIG", 11.0)])
    stage.second()
    assert client.taken() == []
    assert answers(client, {"op": "unsubscribe", "feed": "quote:AIG"}) == [{"op": "ok"}]


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        ({"op": "subscribe", "feed": "stops:AIG"}, ErrorCode.UNKNOWN_FEED, "is not a feed"),
        ({"op": "get", "feed": "tapewire:shards"}, ErrorCode.UNKNOWN_FEED, "is not a feed"),
        ({"op": "subscribe", "feed": "quote:AIG", "filter": "x > 1"}, "unsupported", "filter"),
        ({"op": "subscribe", "feed": "quote:AIG", "fields": ["x"]}, "unknown_field", "x; expected"),
        ({"op": "subscribe", "feed": "quote:AIG", "rate_hz": 7}, "bad_request", "rate_hz"),
        ({"op": "subscribe", "feed": "quote:AIG", "limit": 0}, "bad_request", "limit"),
        ({"op": "subscribe"}, "bad_request", "names no feed"),
        ({"op": "subscribe", "feeds": ["quote:AIG"] * 129}, "bad_request", "feeds"),
        ({"op": "dance"}, "bad_request", "dance"),
        ({"feed": "quote:AIG"}, "bad_request", "op"),
        (["op", "get"], "bad_request", "object"),
    ],
)
def test_errors_say_what_is_wrong_and_close_nothing(
    client: Client, message: object, code: str, text: str
) -> None:
    if isinstance(message, dict):
        message = message | {"id": 5}
    [error] = answers(client, message)
    assert (error["op"], error["code"]) == ("error", code)
    assert text in error["message"]
    assert error.get("id") == (5 if isinstance(message, dict) else None)


def test_one_unknown_feed_does_not_spoil_the_others(client: Client) -> None:
    found = answers(client, {"op": "subscribe", "feeds": ["stops", "quote:AIG"]})
    assert [message["op"] for message in found] == ["error", "snapshot", "status"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"hello", b'{"op":"ping"} x'])
def test_what_is_not_json_closes_with_4005(client: Client, data: bytes) -> None:
    reaction = client.say(data)
    assert reaction.close is CloseCode.PROTOCOL_ERROR
    assert reaction.texts == []
    assert len(reaction.reason.encode()) <= 123


def test_a_binary_frame_closes_with_4005(stage: Stage, client: Client) -> None:
    reaction = receive(
        stage.hub, client.session, b'{"op":"ping"}', is_text=False, now_ms=stage.now_ms
    )
    assert reaction.close is CloseCode.PROTOCOL_ERROR


def test_more_than_128_subscriptions_are_an_error(client: Client) -> None:
    client.subscribe(*(f"quote:S{number}" for number in range(128)))
    [error] = answers(client, {"op": "subscribe", "feed": "quote:AIG"})
    assert error["code"] == ErrorCode.TOO_MANY_SUBSCRIPTIONS
    assert answers(client, {"op": "subscribe", "feed": "quote:S5"})[0]["op"] == "snapshot"
    client.say({"op": "unsubscribe", "feed": "quote:S7"})
    assert answers(client, {"op": "subscribe", "feed": "quote:AIG"})[0]["op"] == "snapshot"


@pytest.mark.parametrize("dialect", ["tapewire.v1", EARLIER])
def test_a_flood_closes_with_4007(dialect: str) -> None:
    stage = Stage(Bounds(message_burst=20))
    client = stage.connect(dialect)
    reactions = [client.say({"op": "ping", "action": "auth"}) for _ in range(21)]
    assert [one.close for one in reactions] == [None] * 20 + [CloseCode.RATE_LIMITED]


def test_requests_that_wait_for_candles_are_bounded() -> None:
    stage = Stage(Bounds(waiting_gets=2))
    client = stage.connect()
    for _ in range(2):
        assert answers(client, {"op": "get", "feed": "candles:1m:AIG"}) == []
    [error] = answers(client, {"op": "get", "feed": "candles:1m:AIG"})
    assert error["code"] == ErrorCode.BAD_REQUEST
    [table] = stage.hub.market.wanted()
    stage.hub.market.load(table, {}, [(candles_of("AIG"), packed_candles(candle(0, 1.0)))])
    stage.tick()
    assert [one["rows"][0]["close"] for one in client.taken()] == [1.0, 1.0]


def test_the_earlier_dialect_back_to_back(stage: Stage, earlier: Client) -> None:
    earlier.say({"action": "auth", "api_key": "anything"})
    earlier.say({"action": "get", "cache": "scanners:top_volume", "limit": 1})
    earlier.say({"action": "subscribe", "feed": "scanners:top_volume"})
    authorized, cache, subscribed, rows = earlier.taken()
    assert authorized == {"status": "authorized"}
    assert cache["cache"] == "scanners:top_volume"
    assert [(row["rank"], row["symbol"]) for row in cache["data"]] == [(1, "BAC")]
    assert subscribed == {"status": "subscribed", "feed": "scanners:top_volume"}
    assert [(row["rank"], row["symbol"]) for row in rows] == [(1, "BAC"), (2, "AIG")]
    assert list(rows[0]) == ["rank", *QuoteRecord.__struct_fields__]


def test_the_earlier_dialect_pushes_bare_rows(stage: Stage, earlier: Client) -> None:
    earlier.say({"action": "subscribe", "feed": "quote:*"})
    assert earlier.taken() == [{"status": "subscribed", "feed": "quote:*"}]
    stage.flush(quotes=[quote("AIG", 11.0), quote("BAC", 21.0)])
    stage.tick(10)
    assert sorted((row["symbol"], row["close"]) for row in earlier.taken()) == [
        ("AIG", 11.0), ("BAC", 21.0),
    ]  # fmt: skip
    earlier.say({"action": "unsubscribe", "feed": "quote:*"})
    assert earlier.taken() == [{"status": "unsubscribed", "feed": "quote:*"}]
    stage.flush(quotes=[quote("AIG", 12.0)])
    stage.second()
    assert earlier.taken() == []


def test_the_earlier_dialect_gets_a_board_at_most_once_a_second(
    stage: Stage, earlier: Client
) -> None:
    earlier.say({"action": "subscribe", "feed": "scanners:top_volume"})
    earlier.taken()
    for step in range(30):
        stage.flush(quotes=[quote("AIG", float(step))])
        stage.tick(10)
    pushes = earlier.taken()
    assert 3 <= len(pushes) <= 4
    assert all(isinstance(push, list) and len(push) == 2 for push in pushes)


def test_a_slow_client_of_the_earlier_dialect_gets_the_newest_rows(
    stage: Stage, earlier: Client
) -> None:
    earlier.say({"action": "subscribe", "feed": "quote:AIG"})
    assert earlier.taken()[1]["close"] == 10.0
    earlier.session.ready = False
    for step in range(5):
        stage.flush(quotes=[quote("AIG", 11.0 + step)])
        stage.tick(10)
    earlier.session.ready = True
    stage.tick(10)
    assert [row["close"] for row in earlier.taken()] == [15.0]


def test_what_the_earlier_dialect_gets(stage: Stage, earlier: Client) -> None:
    def got(cache: str) -> Any:
        [answer] = answers(earlier, {"action": "get", "cache": cache})
        assert answer["cache"] == cache
        return answer["data"]

    assert got("quote:AIG")["close"] == 10.0
    assert got("quote:NONE") is None
    assert got("daily_range:AIG") is None
    assert got("{trades.0}:positions") is None
    assert sorted(row["symbol"] for row in got("quote:*")) == ["AIG", "BAC"]


def test_the_earlier_dialect_gets_candles_newest_first(stage: Stage, earlier: Client) -> None:
    earlier.say({"action": "get", "cache": "candles:1m:AIG"})
    [table] = stage.hub.market.wanted()
    minutes = packed_candles(*(candle(minute * 60_000, 1.0) for minute in range(3)))
    stage.hub.market.load(table, {}, [(candles_of("AIG"), minutes)])
    stage.tick()
    [answer] = earlier.taken()
    assert [row["start_ms"] for row in answer["data"]] == [120_000, 60_000, 0]


@pytest.mark.parametrize(
    "message",
    [
        b"", b"{", b"\xff", b"[]", b'"get"', {"action": "dance"}, {"op": "ping"}, {"action": 5},
        {"action": "subscribe"}, {"action": "subscribe", "feed": "stops"}, {"action": "get"},
        {"action": "unsubscribe", "feed": "x"}, {"action": "get", "cache": "quote:A", "limit": -1},
    ],
)  # fmt: skip
def test_what_the_earlier_dialect_cannot_read_is_an_invalid_action(
    earlier: Client, message: object
) -> None:
    reaction = earlier.say(message)
    assert earlier.taken() == [{"status": "invalid action"}]
    assert reaction.close is None


def test_the_earlier_dialect_has_the_same_limit_of_subscriptions(earlier: Client) -> None:
    for number in range(128):
        earlier.say({"action": "subscribe", "feed": f"quote:S{number}"})
    assert answers(earlier, {"action": "subscribe", "feed": "quote:AIG"}) == [
        {"status": "invalid action"}
    ]
