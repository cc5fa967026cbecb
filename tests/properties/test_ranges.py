"""Range alerts are one function of the list of events, however it is cut, restarted or sharded."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.market.symbols import shard_of
from tapewire.model.events import Aggregate, Clock, Event, Trade
from tests.analyzers.range_desk import Desk
from tests.analyzers.tape import MONDAY, ms
from tests.properties.tapes import Tape, events, pieces, places, tapes

END = Clock(ms("12:00", MONDAY), final=True)
SOURCES = st.sampled_from(["trades", "aggregates"])


def desk(source: str) -> Desk:
    """Rules under which short tapes give many alerts."""
    return Desk(source, cooldown_s=2.0, near_pct=5.0, rising=2, running_cooldown_s=5.0)


def as_source(tape: list[Event], source: str) -> list[Event]:
    """The tape, its trades made into a provider's second bars where these are folded."""
    if source == "trades":
        return tape
    bars: list[Event] = []
    for event in tape:
        if not isinstance(event, Trade):
            bars.append(event)
            continue
        start = int(event.timestamp_ms) // 1000 * 1000
        low, high = event.price - event.size / 500, event.price + event.size / 500
        prices = (event.price, high, low, event.price)
        bars.append(Aggregate(event.symbol, *prices, event.size, start, start + 1000, 100))
    return bars


@given(st.data(), SOURCES)
@settings(max_examples=100)
def test_any_split_and_a_restart_anywhere_give_the_same_alerts(
    data: st.DataObject, source: str
) -> None:
    tape = as_source(data.draw(events()), source)
    cut = desk(source)
    for piece in pieces(tape, data.draw(places(len(tape)))):
        cut.send(*piece)
        if data.draw(st.booleans()):
            cut.restart()
    whole = desk(source).send(*tape, END)
    cut.send(END)
    assert cut.items == whole.items
    assert cut.rows == whole.rows


@given(st.data(), SOURCES)
@settings(max_examples=60)
def test_alerts_of_shards_are_those_of_one_shard(data: st.DataObject, source: str) -> None:
    tape = as_source(list(data.draw(tapes(delays=(0,), repeats=False)).arrivals), source)
    shards = [desk(source), desk(source)]
    for event in tape:
        shards[shard_of(event.symbol, 2)].send(event)  # type: ignore[union-attr]
    whole = desk(source).send(*tape, END)
    for shard in shards:
        shard.send(END)
    for feed, items in whole.items.items():
        assert sorted(items) == sorted(item for shard in shards for item in shard.items[feed])


@given(tapes(repeats=False))
@settings(max_examples=60)
def test_a_trade_sent_twice_alerts_once(tape: Tape) -> None:
    twice = [trade for trade in tape.arrivals for _ in range(2)]
    assert desk("trades").send(*twice, END).items == desk("trades").send(*tape.arrivals, END).items
