"""Event feeds on a stage: shards that add items, clients that hold what they were told."""

from collections.abc import Iterable, Mapping
from typing import Any

from tapewire.caches.cache import Followed, Item, Items, Place
from tapewire.hub.events import EventLog
from tapewire.model.changes import Published
from tapewire.model.messages import SUBPROTOCOL
from tapewire.model.rows import HaltEvent, Sale, encode_row
from tests.hub.stage import Client, Stage


def halt(number: int, symbol: str = "AIG") -> HaltEvent:
    """An item that can be told from others by its time."""
    return HaltEvent(symbol, "halt", f"reason {number}", None, None, 1, number)


def sale(number: int) -> Sale:
    """A line of time and sales, which does not say its symbol."""
    return Sale(number, 10.0, 100, (), 4, number)


class Store:
    """What shards have stored of event feeds, and the stage that is told of it.

    ``kept``: how many items of a list are kept.
    """

    def __init__(self, stage: Stage, kept: int = 10_000) -> None:
        self.stage = stage
        self.kept = kept
        self.items: dict[tuple[str, str], Items] = {}
        self._flushes = 0

    def add(self, feed: str, *items: HaltEvent | Sale, shard: str = "halts.0") -> None:
        """A shard's flush adds items; the hub is told."""
        self.add_packed(feed, [encode_row(item) for item in items], shard)

    def add_packed(self, feed: str, packed: list[bytes], shard: str = "halts.0") -> None:
        """The same of items that are packed."""
        self._flushes += 1
        self.keep(feed, packed, shard)
        changes = Published({}, {}, {}, {feed: packed}, [])
        self.stage.hub.market.take([Followed(shard, Place(1, self._flushes), changes)])

    def keep(self, feed: str, packed: Iterable[bytes], shard: str = "halts.0") -> None:
        """Store items of which this hub is not told."""
        last, kept = self.items.get((shard, feed), Items(0, []))
        for one in packed:
            last += 1
            kept = [*kept, Item(last, one)][-self.kept :]
        self.items[shard, feed] = Items(last, kept)

    def found(self, feed: str) -> Mapping[str, Items]:
        """Every shard's list of a feed."""
        return {shard: items for (shard, name), items in self.items.items() if name == feed}

    def load(self) -> None:
        """Read what the hub wants to have read."""
        place = Place(1, self._flushes)
        for log in self.stage.hub.market.wanted():
            assert isinstance(log, EventLog)
            found = self.found(log.name)
            self.stage.hub.market.load(log, dict.fromkeys(found, place), found)
        self.stage.tick(10)


class Told:
    """What one client was told of one event feed, as docs/wire-protocol.md says."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.lost: list[tuple[int, int]] = []
        self.epoch: str = ""
        self.seq = -1

    def take(self, messages: Iterable[dict[str, Any]]) -> None:
        """Take messages in order; they must follow one another."""
        for message in messages:
            match message["op"]:
                case "snapshot":
                    assert message["key"] == ""
                    self._begin(message)
                case "event":
                    assert message["prev"] == self.seq, "an event does not follow what was before"
                    assert len(message["items"]) == message["seq"] - message["prev"] > 0
                    self.items += message["items"]
                    self.epoch = message.get("epoch", self.epoch)
                    self.seq = message["seq"]
                case "gap":
                    assert message["from"] in (self.seq, message["to"])
                    self.lost.append((message["from"], message["to"]))

    def _begin(self, snapshot: dict[str, Any]) -> None:
        """A first snapshot, or one after a gap: with that the numbers are complete again."""
        if self.lost and self.seq >= 0:
            assert len(snapshot["rows"]) == snapshot["seq"] - self.lost[-1][1]
        self.items += snapshot["rows"]
        self.epoch, self.seq = snapshot["epoch"], snapshot["seq"]

    @property
    def position(self) -> dict[str, Any]:
        """What ``since`` takes."""
        return {"epoch": self.epoch, "seq": self.seq}

    @property
    def times(self) -> list[int]:
        """The items, each by the time that tells it from the others."""
        return [item["timestamp_ms"] for item in self.items]


def follow(client: Client, told: Told, feed: str) -> None:
    """Take what a client was sent of a feed since the last time."""
    assert client.session.dialect == SUBPROTOCOL
    told.take(one for one in client.taken() if one.get("feed") == feed and one["op"] != "status")
