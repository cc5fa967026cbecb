"""Event feeds: every item once and in order, or told as a gap."""

from typing import Any

import pytest

from tapewire.hub import event_views
from tapewire.hub.events import NOTHING, epoch_of, numbers_of
from tapewire.hub.writers import EARLIER
from tapewire.model.messages import Since
from tapewire.model.rows import HaltEvent, RawEvent, encode_row
from tests.hub.events import Store, Told, follow, halt, sale
from tests.hub.stage import Client, Stage


class Floor:
    """A stage with a store, and a client that follows one feed."""

    def __init__(self, feed: str = "halts", kept: int = 10_000) -> None:
        self.stage = Stage()
        self.store = Store(self.stage, kept)
        self.feed = feed

    def client(self, **options: Any) -> tuple[Client, Told]:
        client = self.stage.connect()
        client.subscribe(self.feed, **options)
        self.store.load()
        return client, Told()

    def add(self, *numbers: int, shard: str = "halts.0") -> None:
        items = [halt(each) if self.feed == "halts" else sale(each) for each in numbers]
        self.store.add(self.feed, *items, shard=shard)
        self.stage.tick(10)


def test_what_is_stored_comes_first_then_every_item_in_order() -> None:
    floor = Floor()
    floor.store.keep("halts", [encode_row(halt(1)), encode_row(halt(2))])
    client, told = floor.client()
    [snapshot] = client.taken("snapshot")
    assert [row["reason"] for row in snapshot["rows"]] == ["reason 1", "reason 2"]
    assert (snapshot["epoch"], snapshot["seq"], snapshot["key"]) == ("halts.0", 2, "")
    told.take([snapshot])
    floor.add(3)
    floor.add(4, 5)
    events = client.taken("event")
    assert [(one["prev"], one["seq"]) for one in events] == [(2, 3), (3, 5)]
    assert list(events[0]["items"][0]) == list(HaltEvent.__struct_fields__)
    told.take(events)
    assert told.times == [1, 2, 3, 4, 5]


def test_items_of_a_symbol_say_the_symbol() -> None:
    floor = Floor("trades:AIG")
    client, _ = floor.client()
    floor.add(7)
    [event] = client.taken("event")
    assert event["items"][0]["symbol"] == "AIG"
    assert next(iter(event["items"][0])) == "symbol"
    floor.store.add("trades:BAC", sale(8))
    floor.stage.second()
    assert client.taken("event") == []


def test_a_wildcard_is_one_feed_with_one_position() -> None:
    floor = Floor("trades:*")
    floor.store.add("trades:AIG", sale(1))
    floor.stage.tick()
    client, told = floor.client()
    floor.store.add("trades:AIG", sale(2))
    floor.store.add("trades:BAC", sale(3), sale(4), shard="halts.1")
    floor.stage.tick(10)
    follow(client, told, "trades:*")
    assert [(item["symbol"], item["timestamp_ms"]) for item in told.items] == [
        ("AIG", 2), ("BAC", 3), ("BAC", 4),
    ]  # fmt: skip
    back, again = floor.client(since=told.position)
    floor.store.add("trades:AIG", sale(5))
    floor.stage.tick(10)
    again.seq = told.seq
    follow(back, again, "trades:*")
    assert again.times == [5]


def test_fields_and_limit_hold_for_items() -> None:
    floor = Floor()
    floor.store.keep("halts", [encode_row(halt(number)) for number in range(9)])
    client, _ = floor.client(fields=["timestamp_ms"], limit=3)
    [snapshot] = client.taken("snapshot")
    assert snapshot["rows"] == [{"timestamp_ms": number} for number in (6, 7, 8)]
    floor.add(9)
    assert client.taken("event")[0]["items"] == [{"timestamp_ms": 9}]
    client.subscribe("halts", fields=["price"])
    assert client.taken("error")[0]["code"] == "unknown_field"


def test_nobody_is_sent_more_often_than_asked() -> None:
    floor = Floor()
    client, told = floor.client(rate_hz=1)
    client.taken()
    for number in range(100):
        floor.store.add("halts", halt(number))
        floor.stage.tick(5)
    events = client.taken("event")
    assert 5 <= len(events) <= 7
    told.seq = 0
    told.take(events)
    floor.stage.second()
    follow(client, told, "halts")
    assert told.times == list(range(100))


def test_clients_who_keep_up_share_bytes() -> None:
    floor = Floor()
    clients = [floor.client()[0] for _ in range(3)]
    for client in clients:
        client.frames.clear()
    floor.add(1, 2)
    assert clients[0].frames
    assert clients[0].frames == clients[1].frames == clients[2].frames


def test_who_was_slow_gets_all_that_is_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_views, "BACKLOG", 10)
    floor = Floor()
    client, told = floor.client()
    floor.add(1)
    client.session.ready = False
    for number in range(2, 10):
        floor.add(number)
    client.session.ready = True
    floor.stage.tick(10)
    follow(client, told, "halts")
    assert (told.times, told.lost) == (list(range(1, 10)), [])
    client.session.ready = False
    for number in range(10, 50):
        floor.add(number)
    client.session.ready = True
    floor.stage.tick(10)
    follow(client, told, "halts")
    assert told.times[9:] == list(range(40, 50))
    assert told.lost == [(9, 39)]
    assert floor.stage.hub.counters["dropped_items"] == 30


def test_a_client_goes_on_at_another_service() -> None:
    floor = Floor()
    client, told = floor.client()
    floor.add(1, 2, shard="halts.1")
    floor.add(3)
    follow(client, told, "halts")
    floor.add(4, 5)
    other = Floor()
    other.store.items = floor.store.items
    elsewhere, _ = other.client(since=told.position, id=1)
    [event] = elsewhere.taken("event")
    assert event["id"] == 1
    told.take([event])
    assert told.times == [1, 2, 3, 4, 5]
    back, again = floor.client(since=told.position, id=2)
    assert sorted(one["op"] for one in back.taken()) == ["ok", "status"]
    assert again.seq == -1


def test_who_was_away_too_long_is_told_what_is_lost() -> None:
    floor = Floor(kept=4)
    client, told = floor.client()
    floor.add(1, 2)
    follow(client, told, "halts")
    for number in range(3, 11):
        floor.store.keep("halts", [encode_row(halt(number))])
    other = Floor(kept=4)
    other.store.items = floor.store.items
    elsewhere, _ = other.client(since=told.position)
    follow(elsewhere, told, "halts")
    assert told.lost == [(2, 6)]
    assert told.times == [1, 2, 7, 8, 9, 10]


def test_a_feed_of_a_stream_is_a_list_of_its_own() -> None:
    floor = Floor("raw:trades")
    event = RawEvent("trades", "Trade", "AIG", 5, {"price": 1.5})
    floor.store.keep("raw:trades", [encode_row(event)])
    client, _ = floor.client()
    [snapshot] = client.taken("snapshot")
    assert snapshot["rows"][0]["fields"] == {"price": 1.5}


@pytest.mark.parametrize(
    "since",
    [
        {"epoch": "halts.0", "seq": 99}, {"epoch": "hub-0", "seq": 1},
        {"epoch": "x@1+y@2", "seq": 9},
        {"epoch": "halts.0@x", "seq": 1}, {"epoch": 5, "seq": 1}, {"epoch": "none", "seq": 3},
        {"epoch": "halts.0", "seq": -4}, {"epoch": "+@", "seq": 0},
    ],
)  # fmt: skip
def test_a_position_that_means_nothing_here_is_answered_with_a_snapshot(
    since: dict[str, object],
) -> None:
    floor = Floor()
    floor.store.keep("halts", [encode_row(halt(1))])
    client, _ = floor.client(since=since)
    assert sorted(one["op"] for one in client.taken()) == ["snapshot", "status"]


def test_after_the_store_was_read_anew_nothing_is_repeated() -> None:
    floor = Floor()
    client, told = floor.client()
    floor.add(1, 2)
    floor.stage.hub.market.reset()
    floor.stage.tick()
    floor.store.keep("halts", [encode_row(halt(3))])
    floor.stage.hub.market.open()
    floor.store.load()
    floor.add(4)
    floor.stage.second()
    follow(client, told, "halts")
    assert (told.times, told.lost) == ([1, 2, 3, 4], [])


def test_what_was_dropped_while_the_store_could_not_be_followed_is_a_gap() -> None:
    floor = Floor(kept=2)
    client, told = floor.client()
    floor.add(1, 2)
    floor.stage.hub.market.reset()
    floor.stage.tick()
    floor.store.keep("halts", [encode_row(halt(number)) for number in range(3, 8)])
    floor.stage.hub.market.open()
    floor.store.load()
    floor.stage.second()
    follow(client, told, "halts")
    assert (told.times, told.lost) == ([1, 2, 6, 7], [(2, 5)])


def test_numbers_that_began_anew_are_said_to() -> None:
    floor = Floor()
    client, told = floor.client()
    floor.add(1, 2, 3)
    follow(client, told, "halts")
    floor.stage.hub.market.reset()
    floor.stage.tick()
    floor.store.items.clear()
    floor.store.keep("halts", [encode_row(halt(9))])
    floor.stage.hub.market.open()
    floor.store.load()
    floor.stage.second()
    gap, snapshot = client.taken("gap", "snapshot")
    assert "began anew" in gap["reason"]
    assert (snapshot["seq"], [row["timestamp_ms"] for row in snapshot["rows"]]) == (1, [9])


def test_the_earlier_dialect_gets_bare_items_and_asks_newest_first() -> None:
    floor = Floor()
    floor.store.keep("halts", [encode_row(halt(number)) for number in (1, 2, 3)])
    client = floor.stage.connect(EARLIER)
    client.say({"action": "get", "cache": "halts", "limit": 2})
    client.say({"action": "subscribe", "feed": "halts"})
    floor.store.load()
    subscribed, answer = client.taken()
    assert subscribed == {"status": "subscribed", "feed": "halts"}
    assert (answer["cache"], [row["timestamp_ms"] for row in answer["data"]]) == ("halts", [3, 2])
    floor.add(4, 5)
    assert [item["timestamp_ms"] for item in client.taken()] == [4, 5]


def test_positions_are_written_and_read() -> None:
    for numbers in ({}, {"halts.0": 3}, {"halts.0": 3, "halts.1": 4}, {"a": 1, "b": 2, "c": 3}):
        since = Since(epoch_of(numbers), sum(numbers.values()))
        assert numbers_of(since) == numbers
    assert epoch_of({"halts.0": 0}) == NOTHING
