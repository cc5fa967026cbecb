"""Snapshot, then deltas, for many clients at their own pace."""

from typing import Any

from tapewire.hub.condition import Condition
from tapewire.hub.hub import LINGER_TICKS
from tapewire.model.events import Gap
from tests.hub.stage import (
    EPOCH,
    FRIDAY,
    MONDAY,
    Client,
    Stage,
    candle,
    candles_of,
    packed_candles,
    quote,
)


def moving(stage: Stage, close: float, *symbols: str) -> None:
    """Every symbol gets a new price, and a tenth of a second passes."""
    stage.flush(quotes=[quote(symbol, close) for symbol in symbols])
    stage.tick(10)


def held(client: Client, feed: str) -> dict[object, object]:
    return {key: row["close"] for key, row in client.feeds[feed].rows.items()}


def test_a_snapshot_then_only_changed_fields() -> None:
    stage = Stage()
    moving(stage, 10.0, "AIG")
    client = stage.connect()
    client.subscribe("quote:AIG")
    first, status = client.taken()
    assert first["op"] == "snapshot"
    assert (first["feed"], first["epoch"], first["key"]) == ("quote:AIG", EPOCH, "symbol")
    assert first["rows"][0]["symbol"] == "AIG"
    assert status["op"] == "status"
    moving(stage, 11.0, "AIG")
    [delta] = client.taken()
    assert delta["set"] == [{"symbol": "AIG", "close": 11.0}]
    assert delta["prev"] == first["seq"]
    assert delta["seq"] > delta["prev"]
    assert not {"del", "order"} & delta.keys()


def test_nothing_is_sent_while_nothing_changes() -> None:
    stage = Stage()
    moving(stage, 10.0, "AIG")
    client = stage.connect()
    client.subscribe("quote:AIG", "quote:*")
    client.taken()
    moving(stage, 10.0, "AIG")
    stage.second()
    assert client.taken() == []


def test_a_symbol_without_a_record_begins_empty() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("quote:AIG")
    assert client.taken("snapshot")[0]["rows"] == []
    moving(stage, 10.0, "AIG")
    assert held(client, "quote:AIG") == {"AIG": 10.0}
    assert len(client.feeds["quote:AIG"].rows["AIG"]) > 20, "a new row comes with all fields"


def test_a_board_is_ranked_quote_records() -> None:
    stage = Stage()
    stage.flush(
        quotes=[quote("AIG", 10.0), quote("BAC", 20.0)],
        boards={"top_volume": {"AIG": 5.0, "BAC": 9.0, "XYZ": 1.0}},
    )
    stage.tick()
    client = stage.connect()
    client.subscribe("scanners:top_volume")
    [snapshot] = client.taken("snapshot")
    rows = snapshot["rows"]
    assert list(rows[0])[:2] == ["rank", "symbol"]
    seen = [(row["rank"], row["symbol"], row["close"]) for row in rows]
    assert seen == [(1, "BAC", 20.0), (2, "AIG", 10.0), (3, "XYZ", None)]


def test_a_board_sends_its_order_only_when_it_changed() -> None:
    stage = Stage()
    stage.flush(boards={"top_volume": {"AIG": 5.0, "BAC": 9.0}})
    stage.tick()
    client = stage.connect()
    client.subscribe("scanners:top_volume")
    client.taken()
    stage.flush(quotes=[quote("AIG", 10.0)], boards={"top_volume": {"AIG": 6.0}})
    stage.tick(10)
    [delta] = client.taken()
    assert "order" not in delta
    stage.flush(boards={"top_volume": {"AIG": 10.0}})
    stage.tick(10)
    [delta] = client.taken()
    assert delta["order"] == ["AIG", "BAC"]
    assert delta["set"] == [{"symbol": "AIG", "rank": 1}, {"symbol": "BAC", "rank": 2}]


def test_a_row_that_leaves_the_board_is_deleted() -> None:
    stage = Stage()
    stage.flush(boards={"top_volume": {"AIG": 5.0, "BAC": 9.0, "SPY": 1.0}})
    stage.tick()
    client = stage.connect()
    client.subscribe("scanners:top_volume", limit=2)
    client.taken()
    stage.flush(boards={"top_volume": {"SPY": 10.0}})
    stage.tick(10)
    [delta] = client.taken()
    assert delta["del"] == ["AIG"]
    assert [row["symbol"] for row in client.feeds["scanners:top_volume"].ranked()] == ["SPY", "BAC"]


def test_boards_of_shards_are_merged_and_a_new_day_replaces_the_old() -> None:
    stage = Stage()
    stage.flush(boards={"top_volume": {"AIG": 5.0}}, shard="trades.0")
    stage.flush(boards={"top_volume": {"BAC": 9.0}}, shard="trades.1")
    stage.tick()
    client = stage.connect()
    client.subscribe("scanners:top_volume")
    assert client.feeds["scanners:top_volume"].order == ["BAC", "AIG"]
    stage.flush(boards={"top_volume": {"AIG": 1.0}}, date=MONDAY, shard="trades.0")
    stage.tick(10)
    assert client.feeds["scanners:top_volume"].order == ["AIG"]


def test_a_quote_is_the_newest_days() -> None:
    stage = Stage()
    stage.flush(quotes=[quote("AIG", 2.0)], date=MONDAY, shard="trades.0")
    stage.flush(quotes=[quote("AIG", 1.0), quote("OLD", 7.0)], date=FRIDAY, shard="trades.1")
    stage.tick()
    client = stage.connect()
    client.subscribe("quote:*")
    assert held(client, "quote:*") == {"AIG": 2.0, "OLD": 7.0}
    stage.flush(removed=["OLD"], date=FRIDAY, shard="trades.1")
    stage.tick(10)
    assert held(client, "quote:*") == {"AIG": 2.0}


def test_a_symbol_in_two_shards_has_its_later_record() -> None:
    stage = Stage()
    stage.flush(quotes=[quote("AIG", 2.0, end_timestamp=9)], shard="trades.0")
    stage.flush(quotes=[quote("AIG", 1.0, end_timestamp=5)], shard="trades.1")
    stage.tick()
    assert stage.connect().ask("quote:AIG")[0]["close"] == 2.0


def test_clients_of_a_view_get_the_same_bytes() -> None:
    stage = Stage()
    moving(stage, 10.0, "AIG")
    clients = [stage.connect() for _ in range(3)]
    for client in clients:
        client.subscribe("quote:*")
        client.frames.clear()
        moving(stage, 10.0 + len(client.frames), "AIG")
    for client in clients:
        client.frames.clear()
    for price in (11.0, 12.0, 13.0):
        moving(stage, price, "AIG")
    one, two, three = (client.frames for client in clients)
    assert len(one) == 3
    assert all(a is b is c for a, b, c in zip(one, two, three, strict=True))


def test_fields_and_limit_make_a_view_of_their_own() -> None:
    stage = Stage()
    moving(stage, 10.0, "AIG", "BAC")
    client = stage.connect()
    client.subscribe("quote:*", fields=["close"], limit=1)
    assert client.taken("snapshot")[0]["rows"] == [{"symbol": "AIG", "close": 10.0}]
    stage.flush(quotes=[quote("AIG", 10.0, volume=7)])
    stage.tick(10)
    assert client.taken() == [], "a field that nobody asked for changed"


def test_a_slower_rate_gets_fewer_and_newer_rows() -> None:
    stage = Stage()
    moving(stage, 1.0, "AIG")
    fast, slow = stage.connect(), stage.connect()
    fast.subscribe("quote:AIG", rate_hz=20)
    slow.subscribe("quote:AIG", rate_hz=1)
    for step in range(40):
        stage.flush(quotes=[quote("AIG", 2.0 + step)])
        stage.tick(5)
    assert 38 <= len(fast.taken("delta")) <= 40
    assert 2 <= len(slow.taken("delta")) <= 3
    stage.second()
    assert held(slow, "quote:AIG") == held(fast, "quote:AIG") == {"AIG": 41.0}


def test_a_first_change_after_a_quiet_time_goes_out_at_once() -> None:
    stage = Stage()
    moving(stage, 1.0, "AIG")
    client = stage.connect()
    client.subscribe("quote:AIG", rate_hz=1)
    stage.second()
    stage.flush(quotes=[quote("AIG", 2.0)])
    stage.tick()
    assert held(client, "quote:AIG") == {"AIG": 2.0}


def test_a_client_without_room_gets_one_delta_when_it_has_room_again() -> None:
    stage = Stage()
    symbols = [f"S{number}" for number in range(20)]
    moving(stage, 1.0, *symbols)
    slow, other = stage.connect(), stage.connect()
    for client in (slow, other):
        client.subscribe("quote:*")
        client.taken()
    slow.session.ready = False
    for price in (2.0, 3.0, 4.0):
        moving(stage, price, "S1", "S2")
    assert len(other.taken()) == 3
    assert slow.taken() == []
    slow.session.ready = True
    stage.tick(10)
    [delta] = slow.taken()
    assert {row["symbol"]: row["close"] for row in delta["set"]} == {"S1": 4.0, "S2": 4.0}
    slow.frames.clear()
    other.frames.clear()
    moving(stage, 5.0, "S1")
    assert slow.frames[0] is other.frames[0], "it is back in the group"
    assert stage.hub.counters["conflated"] == 1
    assert stage.hub.counters["catch_ups"] == 1


def test_a_client_that_missed_more_than_the_board_gets_the_board() -> None:
    stage = Stage()
    moving(stage, 1.0, "AIG")
    slow, other = stage.connect(), stage.connect()
    for client in (slow, other):
        client.subscribe("quote:*")
        client.taken()
    slow.session.ready = False
    for price in range(250):
        moving(stage, float(price), "AIG")
    slow.session.ready = True
    stage.tick(10)
    [snapshot] = slow.taken()
    assert snapshot["op"] == "snapshot"
    assert held(slow, "quote:*") == {"AIG": 249.0}


def test_a_client_that_comes_back_resumes_where_it_was() -> None:
    stage = Stage()
    moving(stage, 1.0, *(f"S{number}" for number in range(50)))
    first = stage.connect()
    first.subscribe("quote:*")
    since = {"epoch": EPOCH, "seq": first.feeds["quote:*"].seq}
    stage.hub.disconnect(first.session)
    moving(stage, 2.0, "S1")
    again = stage.connect()
    again.feeds = first.feeds
    again.subscribe("quote:*", since=since, id=4)
    answer = again.taken("delta", "snapshot")
    assert [one["op"] for one in answer] == ["delta"]
    assert answer[0]["id"] == 4
    assert answer[0]["set"] == [{"symbol": "S1", "close": 2.0}]


def test_resuming_with_nothing_missed_is_answered_with_ok() -> None:
    stage = Stage()
    moving(stage, 1.0, "AIG")
    client = stage.connect()
    client.subscribe("quote:AIG")
    since = {"epoch": EPOCH, "seq": client.feeds["quote:AIG"].seq}
    client.taken()
    client.subscribe("quote:AIG", since=since, id="again")
    assert client.taken("ok", "delta", "snapshot") == [{"op": "ok", "id": "again"}]
    moving(stage, 2.0, "AIG")
    assert held(client, "quote:AIG") == {"AIG": 2.0}


def test_a_position_of_another_hub_or_too_old_gets_a_snapshot() -> None:
    stage = Stage()
    moving(stage, 1.0, "AIG")
    client = stage.connect()
    for since in ({"epoch": "other", "seq": 10}, {"epoch": EPOCH, "seq": 3}):
        client.subscribe("quote:AIG", since=since)
        assert [one["op"] for one in client.taken("delta", "snapshot")] == ["snapshot"]


def test_a_view_is_kept_for_a_while_and_then_forgotten() -> None:
    stage = Stage()
    moving(stage, 1.0, "AIG")
    client = stage.connect()
    client.subscribe("quote:AIG", "candles:1m:AIG")
    stage.hub.disconnect(client.session)
    stage.second()
    assert stage.hub.figures["views"] == 2
    stage.tick(LINGER_TICKS + 200)
    assert stage.hub.figures == {"views": 0, "candle_tables": 0, "event_logs": 0, "behind": 0}


def test_large_snapshots_come_in_parts() -> None:
    stage = Stage()
    moving(stage, 1.0, *(f"S{number}" for number in range(4_500)))
    client = stage.connect()
    client.subscribe("quote:*", fields=["close"])
    parts = client.taken("snapshot")
    assert [(one["part"], one["parts"], len(one["rows"])) for one in parts] == [
        (1, 3, 2_000), (2, 3, 2_000), (3, 3, 500),
    ]  # fmt: skip
    assert len({one["seq"] for one in parts}) == 1
    assert len(client.feeds["quote:*"].rows) == 4_500


def test_after_a_reset_everybody_gets_a_fresh_snapshot() -> None:
    stage = Stage()
    moving(stage, 1.0, "AIG", "BAC")
    client, stalled = stage.connect(), stage.connect()
    for one in (client, stalled):
        one.subscribe("quote:*")
        one.taken()
    stalled.session.ready = False
    stage.hub.market.reset()
    stage.flush(quotes=[quote("AIG", 9.0)])
    stage.tick(5)
    assert [one["op"] for one in client.taken()] == ["snapshot"]
    assert held(client, "quote:*") == {"AIG": 9.0}
    stalled.session.ready = True
    stage.tick(10)
    assert held(stalled, "quote:*") == {"AIG": 9.0}


def test_nothing_is_shown_before_the_store_has_been_read() -> None:
    stage = Stage()
    stage.hub.market.quotes.ready = False
    client = stage.connect()
    client.subscribe("quote:AIG", "scanners:top_volume")
    client.say({"op": "get", "feed": "quote:*"})
    stage.second()
    assert {message["op"] for message in client.taken()} == {"status"}
    stage.flush(quotes=[quote("AIG", 1.0)])
    stage.hub.market.open()
    stage.tick(5)
    assert [message["feed"] for message in client.taken()] == [
        "quote:*", "quote:AIG", "scanners:top_volume",
    ]  # fmt: skip


def test_status_follows_a_subscription_and_every_change() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("quote:AIG")
    assert client.feeds["quote:AIG"].status["state"] == "stale"
    stage.hub.set_conditions({"us": Condition("live", 500, "")})
    stage.tick()
    assert client.taken("status")[-1] == {
        "op": "status", "feed": "quote:AIG", "state": "live", "since": 500, "reason": "",
        "gaps": [],
    }  # fmt: skip
    stage.hub.set_conditions({"us": Condition("live", 500, "")})
    stage.second()
    assert client.taken() == [], "nothing changed"


def test_losses_upstream_are_in_the_status_within_a_second() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("quote:AIG")
    client.taken()
    stage.flush(gaps=[Gap("trades.0", "mdl", 1, 5, 9, 4, 100, 200, "lost")])
    stage.second()
    [status] = client.taken("status")
    assert status["gaps"] == [{"shard": "trades.0", "from_ms": 100, "to_ms": 200, "events": 4}]


def test_a_stalled_client_hears_of_the_status_when_it_has_room() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("quote:AIG")
    client.session.ready = False
    stage.hub.set_conditions({"us": Condition("live", 500, "")})
    stage.tick(5)
    client.session.ready = True
    stage.tick()
    assert client.feeds["quote:AIG"].status["state"] == "live"


def test_services_are_rows_of_the_status_feed() -> None:
    stage = Stage()
    row: tuple[Any, ...] = (
        "listener:0",
        "listener",
        "0",
        "running",
        True,
        5,
        3.5,
        {},
        {},
        {},
        {},
        "",
    )
    stage.hub.market.show_services([row])
    stage.tick()
    client = stage.connect()
    client.subscribe("system:status")
    assert client.feeds["system:status"].rows["listener:0"]["lag_ms"] == 3.5
    stage.hub.market.show_services([(*row[:3], "degraded", *row[4:])])
    stage.tick(10)
    assert client.taken("delta")[0]["set"] == [{"id": "listener:0", "state": "degraded"}]
    stage.hub.market.show_services([])
    stage.tick(10)
    assert client.taken("delta")[0]["del"] == ["listener:0"]


def test_candles_wait_until_they_have_been_read() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("candles:1m:AIG")
    assert client.taken("snapshot") == []
    [table] = stage.hub.market.wanted()
    place = stage.flush(candles={"AIG": [candle(60_000, 2.0)]})
    stage.flush(candles={"AIG": [candle(120_000, 3.0)]})
    name = candles_of("AIG")
    read = [(name, packed_candles(candle(0, 1.0), candle(60_000, 2.5)))]
    stage.hub.market.load(table, {"trades.0": place}, read)
    stage.tick(5)
    assert held(client, "candles:1m:AIG") == {0: 1.0, 60_000: 2.5, 120_000: 3.0}
    stage.flush(candles={"AIG": [candle(120_000, 4.0)], "BAC": [candle(0, 9.0)]})
    stage.tick(10)
    assert held(client, "candles:1m:AIG") == {0: 1.0, 60_000: 2.5, 120_000: 4.0}


def test_the_newest_candle_of_every_symbol() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("candles:1m:*", "candles:*:*")
    for table in stage.hub.market.wanted():
        stage.hub.market.load(table, {}, [(candles_of("AIG"), packed_candles(candle(60_000, 1.0)))])
    stage.flush(candles={"AIG": [candle(0, 5.0)], "BAC": [candle(0, 9.0)]})
    stage.tick(10)
    assert held(client, "candles:1m:*") == {"AIG": 1.0, "BAC": 9.0}
    assert held(client, "candles:*:*") == {"AIG": 1.0, "BAC": 9.0}


def test_a_limit_of_candles_keeps_the_newest() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("candles:1m:AIG", limit=2)
    [table] = stage.hub.market.wanted()
    minutes = packed_candles(*(candle(minute * 60_000, float(minute)) for minute in range(3)))
    stage.hub.market.load(table, {}, [(candles_of("AIG"), minutes)])
    stage.tick(5)
    assert held(client, "candles:1m:AIG") == {60_000: 1.0, 120_000: 2.0}
    stage.flush(candles={"AIG": [candle(180_000, 3.0)]})
    stage.tick(10)
    assert held(client, "candles:1m:AIG") == {120_000: 2.0, 180_000: 3.0}


def test_a_position_names_one_state_of_all_feeds() -> None:
    stage = Stage()
    moving(stage, 1.0, "AIG")
    stage.flush(quotes=[quote("AIG", 2.0)])
    early = stage.connect().ask("quote:AIG")
    assert early[0]["close"] == 1.0, "what came after the tick belongs to the next one"
    stage.tick()
    assert stage.connect().ask("quote:AIG")[0]["close"] == 2.0
