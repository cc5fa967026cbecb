"""Everything that the settings wire, however events are batched, repeated, sharded, restarted.

Goes from the provider's frames to what ``tapewire dump`` prints, so that an analyzer that is
added to the composition is covered here without a word about it.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.model.batch import Batch
from tapewire.model.events import Trade
from tapewire.model.rows import Reference
from tests.analyzers.tape import FRIDAY, MONDAY
from tests.properties.tapes import ONE_DAY, SYMBOLS, TWO_DAYS, tapes
from tests.services.line import Line, Row
from tests.services.producer import wire

COMPOSITIONS: Final = (("T.*",), ("A.*",), ("T.*", "A.*", "Q.*", "LULD.*"))
"""Trades alone, aggregates alone, and everything at once."""

REFERENCES: Final = [
    Reference(symbol, date, prev_day_close=100.0, avg_volume=1_000.0)
    for symbol in SYMBOLS[:3]
    for date in (FRIDAY, MONDAY)
]
Frame = list[str]


class Played(NamedTuple):
    """A tape as the provider sends it, in frames; ``topics`` say who folds it."""

    topics: tuple[str, ...]
    frames: list[Frame]

    @property
    def events(self) -> Frame:
        return [event for frame in self.frames for event in frame]


def second_bar(trade: Trade, volume: float) -> dict[str, Any]:
    """The provider's bar of a trade's second, as if nothing else had traded in it."""
    start = int(trade.timestamp_ms) // 1000 * 1000
    fields = {"ev": "A", "sym": trade.symbol, "v": trade.size, "av": volume, "op": 99.0}
    fields |= {"vw": trade.price, "a": 99.5, "z": 50, "s": start, "e": start + 1000}
    prices = {"o": trade.price, "c": trade.price, "h": trade.price + 1, "l": trade.price - 1}
    return fields | prices


def quote(trade: Trade) -> dict[str, Any]:
    """A quote around a trade."""
    sides = {"bp": trade.price - 0.01, "bs": 3, "ap": trade.price + 0.01, "as": 4}
    return {"ev": "Q", "sym": trade.symbol, "t": trade.timestamp_ms, "q": trade.sequence, **sides}


def band(trade: Trade) -> dict[str, Any]:
    """A price band around a trade; every third is a halt, every fifth its end."""
    number = int(trade.sequence)
    states = [code for code, every in ((17, 3), (18, 5)) if number % every == 0]
    fields = {"ev": "LULD", "T": trade.symbol, "t": trade.timestamp_ms, "q": number, "z": 3}
    return fields | {"h": trade.price + 5, "l": trade.price - 5, "i": states}


def spelled(topic: str, trade: Trade, volume: float) -> str:
    """What a topic's subscriber gets when this trade happens."""
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "A": lambda: second_bar(trade, volume),
        "Q": lambda: quote(trade),
        "LULD": lambda: band(trade),
    }
    name = topic.partition(".")[0]
    return wire(trade).decode() if name == "T" else json.dumps(makers[name]())


def time_of(event: str) -> int:
    """The time of an event on its shard's clock."""
    fields = json.loads(event)
    return int(fields["e"]) - 1 if "e" in fields else int(fields["t"])


@st.composite
def played(
    draw: st.DrawFn, /, topics: tuple[str, ...], *, repeats: bool = True, **tape: Any
) -> Played:
    """A random tape in random frames."""
    arrivals = draw(tapes(length=14, repeats=repeats, **tape)).arrivals
    volumes: dict[str, float] = {}
    frames: list[Frame] = [[]]
    for trade in arrivals:
        volumes[trade.symbol] = volumes.get(trade.symbol, 0) + trade.size
        frames[-1] += [spelled(topic, trade, volumes[trade.symbol]) for topic in topics]
        if draw(st.booleans()):
            frames.append([])
    return Played(topics, [frame for frame in frames if frame])


async def line_of(play: Played, shards: int = 1) -> Line:
    return await Line(*play.topics, shards=shards, references=REFERENCES).start()


async def at_once(play: Played, shards: int = 1) -> list[Row]:
    """One frame, one flush."""
    line = await line_of(play, shards)
    line.take(line.batches(play.events))
    return await line.finish()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


every_composition = pytest.mark.parametrize("topics", COMPOSITIONS, ids=["T", "A", "all"])


@every_composition
@given(data=st.data())
@settings(max_examples=40)
def test_any_batches_and_flushes_give_the_same_dump(
    topics: tuple[str, ...], data: st.DataObject
) -> None:
    play = data.draw(played(topics))
    flushes = data.draw(st.lists(st.booleans(), min_size=len(play.frames)))

    async def check() -> None:
        line = await line_of(play)
        for frame, flushed in zip(play.frames, flushes, strict=False):
            line.take(line.batches(frame))
            if flushed:
                await line.flush()
                line.take(line.heartbeats())
        assert await line.finish() == await at_once(play)

    run(check())


@every_composition
@given(data=st.data())
@settings(max_examples=40)
def test_batches_that_come_again_change_nothing(
    topics: tuple[str, ...], data: st.DataObject
) -> None:
    play = data.draw(played(topics))

    async def check() -> None:
        line, sent = await line_of(play), list[Batch]()
        for frame in play.frames:
            batches = line.batches(frame)
            line.take(batches)
            sent += batches
            line.take(sent[data.draw(st.integers(0, len(sent))) :])
        assert await line.finish() == await at_once(play)

    run(check())


@every_composition
@given(data=st.data())
@settings(max_examples=40)
def test_events_that_come_again_within_the_window_change_nothing(
    topics: tuple[str, ...], data: st.DataObject
) -> None:
    """Trades with the same symbol and sequence; of the other kinds each is the newest state."""
    play = data.draw(played(topics, repeats=False, delays=(0,)))
    doubled = [[event for event in frame for _ in (0, 1)] for frame in play.frames]

    async def check() -> None:
        assert await at_once(Played(topics, doubled)) == await at_once(play)

    run(check())


@every_composition
@given(data=st.data())
@settings(max_examples=40)
def test_owners_that_crash_anywhere_give_the_same_dump(
    topics: tuple[str, ...], data: st.DataObject
) -> None:
    """What was not flushed is delivered again; what was, may be."""
    play = data.draw(played(topics))

    async def check() -> None:
        line = await line_of(play)
        unflushed: list[Batch] = []
        for frame in play.frames:
            batches = line.batches(frame)
            line.take(batches)
            unflushed += batches
            happens = data.draw(st.sampled_from(["nothing", "flush", "crash", "both"]))
            if happens in ("flush", "both"):
                await line.flush()
            if happens in ("crash", "both"):
                for shard in line.shards:
                    await line.claim(shard)
                line.take(unflushed)
            if happens in ("flush", "both"):
                unflushed = []
        assert await line.finish() == await at_once(play)

    run(check())


@every_composition
@given(data=st.data())
@settings(max_examples=40)
def test_any_number_of_shards_gives_the_same_dump(
    topics: tuple[str, ...], data: st.DataObject
) -> None:
    anchors = data.draw(st.sampled_from([ONE_DAY[:1], ONE_DAY[3:4], ONE_DAY]))
    play = data.draw(played(topics, anchors=anchors, repeats=False, delays=(0,)))

    async def check() -> None:
        one = await at_once(play)
        assert await at_once(play, 2) == one
        assert await at_once(play, 4) == one

    run(check())


@every_composition
@given(data=st.data())
@settings(max_examples=40)
def test_a_clock_that_looks_in_between_changes_nothing(
    topics: tuple[str, ...], data: st.DataObject
) -> None:
    """A live owner hears heartbeats between events, a replay's does not."""
    play = data.draw(played(topics, anchors=TWO_DAYS, repeats=False, delays=(0,)))
    pauses = [
        max(0, time_of(after[0]) - time_of(before[-1]) - 2_000)
        for before, after in pairwise(play.frames)
    ]

    async def check() -> None:
        line = Line(*topics, live=True, references=REFERENCES)
        await line.start()
        for frame, pause_ms in zip(play.frames, [*pauses, 0], strict=True):
            line.take(line.batches(frame))
            line.now_ms += pause_ms
            line.take(line.heartbeats())
        assert await line.finish() == await at_once(play)

    run(check())
