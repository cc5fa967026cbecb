"""What any client made of its snapshot and deltas is what a fresh ``get`` answers.

Shards flush, days turn, the store is read anew; clients of all rates stall, recover, leave
and come back to where they were, in any order.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.model.messages import RATES_HZ, TICKS_PER_SECOND
from tests.hub.stage import EPOCH, FRIDAY, MONDAY, Client, Stage, candle, candles_of, quote

SYMBOLS = ("AIG", "BAC", "IBM", "SPY", "ZZZ")
FEEDS = (
    "quote:AIG", "quote:*", "scanners:top_volume", "scanners:top_gainers", "candles:1m:AIG",
    "candles:1m:*", "system:status",
)  # fmt: skip
CLIENTS = 3

symbols = st.sampled_from(SYMBOLS)
prices = st.integers(1, 4).map(float)
shards = st.sampled_from(("trades.0", "trades.1"))
dates = st.sampled_from((FRIDAY, FRIDAY, FRIDAY, MONDAY))
scores = st.dictionaries(symbols, st.none() | prices, max_size=5)
clients = st.integers(0, CLIENTS - 1)

flushes = st.fixed_dictionaries(
    {
        "quotes": st.dictionaries(symbols, prices, max_size=4),
        "boards": st.dictionaries(st.sampled_from(("top_volume", "top_gainers")), scores),
        "candles": st.dictionaries(symbols, st.dictionaries(st.integers(0, 6), prices), max_size=2),
        "removed": st.lists(symbols, max_size=2),
        "shard": shards,
        "date": dates,
    }
)
options = st.fixed_dictionaries(
    {},
    optional={
        "rate_hz": st.sampled_from(RATES_HZ),
        "limit": st.integers(1, 4),
        "fields": st.just(["close"]),
    },
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("flush"), flushes),
        st.tuples(st.just("tick"), st.integers(1, 60)),
        st.tuples(st.just("stall"), clients),
        st.tuples(st.just("recover"), clients),
        st.tuples(st.just("subscribe"), clients, st.sampled_from(FEEDS), options),
        st.tuples(st.just("unsubscribe"), clients, st.sampled_from(FEEDS)),
        st.tuples(st.just("come back"), clients),
        st.tuples(st.just("services"), st.lists(symbols, unique=True, max_size=3), prices),
        st.tuples(st.just("load")),
        st.tuples(st.just("reset"), flushes),
    ),
    max_size=60,
)


class Play:
    """A stage on which the steps are carried out."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.clients = [self.stage.connect() for _ in range(CLIENTS)]
        self.wants: list[dict[str, dict[str, Any]]] = [{} for _ in range(CLIENTS)]

    def flush(self, what: dict[str, Any]) -> None:
        quotes = what["quotes"]
        removed = [symbol for symbol in what["removed"] if symbol not in quotes]
        self.stage.flush(
            quotes=[quote(symbol, price) for symbol, price in quotes.items()],
            boards=what["boards"],
            candles={
                symbol: [candle(minute * 60_000, price) for minute, price in minutes.items()]
                for symbol, minutes in what["candles"].items()
            },
            removed=removed,
            date=what["date"],
            shard=what["shard"],
        )

    def tick(self, times: int) -> None:
        self.stage.tick(times)

    def stall(self, index: int) -> None:
        self.clients[index].session.ready = False

    def recover(self, index: int) -> None:
        self.clients[index].session.ready = True

    def subscribe(self, index: int, feed: str, wanted: dict[str, Any]) -> None:
        if feed == "system:status":
            wanted = {name: value for name, value in wanted.items() if name != "fields"}
        self.wants[index][feed] = wanted
        self.clients[index].subscribe(feed, **wanted)

    def unsubscribe(self, index: int, feed: str) -> None:
        self.wants[index].pop(feed, None)
        self.clients[index].say({"op": "unsubscribe", "feed": feed})
        self.clients[index].feeds.pop(feed, None)

    def come_back(self, index: int) -> None:
        """A client's connection breaks; it connects again and resumes."""
        old = self.clients[index]
        self.stage.hub.disconnect(old.session)
        new = self.clients[index] = self.stage.connect()
        new.feeds = old.feeds
        for feed, wanted in self.wants[index].items():
            known = old.feeds.get(feed)
            since = {"epoch": EPOCH, "seq": known.seq} if known and known.seq >= 0 else None
            new.subscribe(feed, since=since, **wanted)

    def services(self, names: list[str], lag: float) -> None:
        rest: tuple[Any, ...] = ("0", "running", True, 0, lag, {}, {}, {}, {}, "")
        self.stage.hub.market.show_services([(name, name, *rest) for name in names])

    def load(self) -> None:
        """Whatever candles were asked for have been read."""
        for table in self.stage.hub.market.wanted():
            self.stage.hub.market.load(table, {}, [(candles_of("AIG"), {})])

    def reset(self, what: dict[str, Any]) -> None:
        """The store lost writes and was read anew."""
        self.stage.hub.market.reset()
        self.flush(what)

    def settle(self) -> None:
        """Everybody has room, and the slowest rate has had its turn."""
        self.tick(1)
        self.load()
        for index in range(CLIENTS):
            self.recover(index)
        self.tick(250)


def expected(play: Play, feed: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a fresh ``get``, with the fields that were asked for."""
    fresh = play.stage.connect()
    fresh.say({"op": "get", "feed": feed, "limit": wanted.get("limit")})
    [snapshot] = fresh.taken("snapshot")
    if "fields" not in wanted:
        return list(snapshot["rows"])
    names = {snapshot["key"], *wanted["fields"]}
    return [{n: v for n, v in row.items() if n in names} for row in snapshot["rows"]]


def check(play: Play, client: Client, feed: str, wanted: dict[str, Any]) -> None:
    held, rows = client.feeds[feed], expected(play, feed, wanted)
    key = {"candles:1m:AIG": "start_ms", "system:status": "id"}.get(feed, "symbol")
    assert held.rows == {row[key]: row for row in rows}
    if feed.startswith("scanners:"):
        assert held.order == [row[key] for row in rows]


@settings(max_examples=300)
@given(steps)
def test_deltas_lead_to_what_a_fresh_get_answers(script: list[tuple[Any, ...]]) -> None:
    play = Play()
    for name, *arguments in script:
        getattr(play, name.replace(" ", "_"))(*arguments)
    play.settle()
    for client, wants in zip(play.clients, play.wants, strict=True):
        for feed, wanted in wants.items():
            check(play, client, feed, wanted)


@settings(max_examples=100)
@given(steps)
def test_views_that_agree_in_everything_but_speed_agree_in_the_end(
    script: list[tuple[Any, ...]],
) -> None:
    play = Play()
    watchers = [play.stage.connect() for _ in RATES_HZ]
    for watcher, rate_hz in zip(watchers, RATES_HZ, strict=True):
        watcher.subscribe("quote:*", "scanners:top_volume", rate_hz=rate_hz)
    for name, *arguments in script:
        getattr(play, name.replace(" ", "_"))(*arguments)
    play.settle()
    for feed in ("quote:*", "scanners:top_volume"):
        ends = [watcher.feeds[feed].rows for watcher in watchers]
        assert all(end == ends[0] for end in ends)


def test_a_slow_view_is_no_later_for_having_begun_anew_often() -> None:
    play = Play()
    watcher = play.stage.connect()
    watcher.subscribe("quote:*", rate_hz=1)
    nothing: dict[str, Any] = {"quotes": {}, "boards": {}, "candles": {}, "removed": []}
    shard = {"shard": "trades.0", "date": FRIDAY}
    for _ in range(5):
        play.reset({**nothing, **shard})
        play.tick(1)
    play.flush({**nothing, "quotes": {"AIG": 1.0}, **shard})
    play.tick(TICKS_PER_SECOND + 1)
    assert list(watcher.feeds["quote:*"].rows) == ["AIG"]
