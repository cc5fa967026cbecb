"""Random days: trades around the times at which something turns, and how they arrive."""

from itertools import pairwise
from typing import NamedTuple

from hypothesis import strategies as st

from tapewire.model.events import Clock, Event, Gap, Trade
from tests.analyzers.tape import FRIDAY, MONDAY, ms

SYMBOLS = ("AAPL", "BRK.B", "IBM", "TSLA")

ONE_DAY = tuple(
    ms(at) for at in ("04:00", "09:29:30", "09:29:59", "09:30", "15:59:58", "16:00", "19:59:58")
)
TWO_DAYS = (
    *ONE_DAY,
    *(ms(at, MONDAY) for at in ("03:59:58", "04:00", "09:29:59", "09:30")),
)
"""Trades fall within two minutes after one of these."""

CONDITIONS = (
    (),
    (),
    (),
    (12,),
    (14,),
    (37,),
    (14, 37),
    (10,),
    (15,),
    (16,),
    (17,),
    (25, 16),
    (38,),
)
DELAYS_MS = (0, 0, 0, 0, 1, 400, 900, 2_500, 20_000, 61_000, 200_000, 14 * 60_000)
TOO_LATE_MS = 15 * 60_000 + 3_000


class Tape(NamedTuple):
    """Trades in their order, and the same (with repetitions) in the order of arrival."""

    trades: list[Trade]
    arrivals: list[Trade]


def clocks_and_gaps(arrivals: list[Trade], marks: list[tuple[int, bool]]) -> list[Event]:
    """Put a clock or a gap before some of the arrivals, as a shard's owner would."""
    events: list[Event] = []
    now = 0
    wanted = dict(marks)
    for place, trade in enumerate(arrivals):
        t = int(trade.timestamp_ms)
        if now and place in wanted:
            gap = Gap("trades.0", "mdl", 1, 0, 5, 5, now, max(now, t), "lost")
            events.append(gap if wanted[place] else Clock(max(now, t)))
        now = max(now, t)
        events.append(trade)
    return events


@st.composite
def _drawn(draw: st.DrawFn, anchors: tuple[int, ...], length: int) -> list[Trade]:
    offsets = st.one_of(st.integers(0, 2_500), st.integers(0, 120_000))
    times = draw(
        st.lists(
            st.tuples(st.sampled_from(anchors), offsets, st.sampled_from(SYMBOLS)),
            min_size=1,
            max_size=length,
        )
    )
    ordered = sorted((anchor + offset, symbol) for anchor, offset, symbol in times)
    return [
        Trade(
            symbol,
            draw(st.integers(9_000, 11_000)) / 100,
            draw(st.integers(1, 500)),
            t,
            draw(st.sampled_from(CONDITIONS)),
            number,
        )
        for number, (t, symbol) in enumerate(ordered, 1)
    ]


@st.composite
def tapes(
    draw: st.DrawFn,
    *,
    anchors: tuple[int, ...] = TWO_DAYS,
    delays: tuple[int, ...] = DELAYS_MS,
    repeats: bool = True,
    length: int = 40,
) -> Tape:
    """A tape whose trades come late by one of ``delays``; some come twice."""
    trades = draw(_drawn(anchors, length))
    coming: list[tuple[int, int, Trade]] = []
    for trade in trades:
        t = int(trade.timestamp_ms)
        coming.append((t + draw(st.sampled_from(delays)), trade.sequence, trade))  # type: ignore[arg-type]
        if repeats and draw(st.integers(0, 9)) == 0:
            coming.append((t + draw(st.sampled_from(DELAYS_MS)), trade.sequence, trade))  # type: ignore[arg-type]
    arrivals = [trade for *_, trade in sorted(coming, key=lambda one: one[:2])]
    return Tape(trades, arrivals)


@st.composite
def events(
    draw: st.DrawFn,
    *,
    anchors: tuple[int, ...] = TWO_DAYS,
    delays: tuple[int, ...] = DELAYS_MS,
) -> list[Event]:
    """Arrivals of a tape with clocks and gaps between them."""
    arrivals = draw(tapes(anchors=anchors, delays=delays)).arrivals
    places = st.tuples(st.integers(1, 45), st.booleans())
    return clocks_and_gaps(arrivals, draw(st.lists(places, max_size=4)))


def places(length: int) -> st.SearchStrategy[list[int]]:
    """Some places in a list, in order."""
    return st.lists(st.integers(0, length), max_size=8).map(sorted)


def pieces(events: list[Event], at: list[int]) -> list[list[Event]]:
    """A list cut at some places."""
    ends = [0, *at, len(events)]
    return [events[start:end] for start, end in pairwise(ends)]


DATES = (FRIDAY, "2026-11-22", MONDAY)
