"""Every item of an event feed reaches a client once, or is told as lost: for any interleaving."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.caches.cache import Followed, Place
from tapewire.hub import event_views
from tapewire.hub.events import EventLog
from tapewire.model.changes import Published
from tapewire.model.rows import encode_row
from tests.hub.events import Store, Told, follow, halt
from tests.hub.stage import Stage

BACKLOG, KEPT = 6, 4
FEED = "halts"

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(["halts.0", "halts.1"]), st.integers(1, 6)),
        st.tuples(st.just("tick"), st.integers(1, 15), st.just(0)),
        st.sampled_from([("stall", 0, 0), ("read", 0, 0), ("move", 0, 0), ("reread", 0, 0)]),
    ),
    max_size=40,
)


class World:
    """One store, two services that follow it, and a client that is at one of them."""

    def __init__(self, rate_hz: int) -> None:
        self.stages = [Stage(), Stage()]
        self.store = Store(self.stages[0], KEPT)
        self.numbers = count(1)
        self.told = Told()
        self.place = 0
        self.rate_hz = rate_hz
        self.connect(0)

    def connect(self, where: int) -> None:
        self.at = where
        self.client = self.stages[where].connect()
        since = {"since": self.told.position} if self.told.seq >= 0 else {}
        self.client.subscribe(FEED, rate_hz=self.rate_hz, **since)
        self.load(where)
        self.listen()

    def load(self, where: int) -> None:
        """The service reads what it wants to; it has come to the present before."""
        market = self.stages[where].hub.market
        found = self.store.found(FEED)
        for log in market.wanted():
            assert isinstance(log, EventLog)
            market.load(log, dict.fromkeys(("halts.0", "halts.1"), Place(1, self.place)), found)
        self.stages[where].tick(10)

    def listen(self) -> None:
        follow(self.client, self.told, FEED)

    def add(self, shard: str, items: int) -> None:
        packed = [encode_row(halt(next(self.numbers), shard)) for _ in range(items)]
        self.store.keep(FEED, packed, shard)
        self.place += 1
        changes = Published({}, {}, {}, {FEED: packed}, [])
        for stage in self.stages:
            stage.hub.market.take([Followed(shard, Place(1, self.place), changes)])

    def tick(self, times: int, _: int) -> None:
        for stage in self.stages:
            stage.tick(times)
        self.listen()

    def stall(self, *_: int) -> None:
        self.client.session.ready = False

    def read(self, *_: int) -> None:
        self.client.session.ready = True

    def move(self, *_: int) -> None:
        """Go to the other service, which is as far as this one."""
        self.tick(1, 0)
        self.stages[self.at].hub.disconnect(self.client.session)
        self.connect(1 - self.at)

    def reread(self, *_: int) -> None:
        """The service lost sight of the store, and reads it anew."""
        market = self.stages[self.at].hub.market
        market.reset()
        market.open()
        self.stages[self.at].tick()
        self.load(self.at)
        self.listen()


@contextmanager
def small_bounds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_views, "BACKLOG", BACKLOG)
        yield


@settings(deadline=None, max_examples=400)
@given(ACTIONS, st.sampled_from([1, 10, 20]))
def test_items_that_came_and_gaps_that_were_told_are_all_items(
    actions: list[tuple[str, int, int]], rate_hz: int
) -> None:
    with small_bounds():
        world = World(rate_hz)
        for name, *arguments in actions:
            getattr(world, name)(*arguments)
        world.read()
        world.tick(210, 0)
    told = world.told
    added = next(world.numbers) - 1
    assert len(set(told.times)) == len(told.times), "an item came twice"
    assert len(told.times) + sum(up_to - after for after, up_to in told.lost) == added
    for shard in ("halts.0", "halts.1"):
        times = [item["timestamp_ms"] for item in told.items if item["symbol"] == shard]
        assert times == sorted(times), "items of a shard came out of order"
    assert told.seq == added
