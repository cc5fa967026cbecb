"""What a simulator plays: the source contract, ``SOURCE`` strings, and merging by time.

A source is anything that yields a provider's events in time order. The server that plays it
does not know whether they were recorded, read from flat files, captured or generated. Events
are already in the provider's JSON, one text per event, because encoding once where the columns
are at hand is several times cheaper than building objects that only get encoded again.

``SOURCE`` is ``generator[:name=value,...]``, ``lean:PATH``, ``flatfile:PATH``, ``capture:PATH``,
or a bare path that exists, whose kind is then told from its layout.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from tapewire.model.events import Tick

TimedEvent: TypeAlias = tuple[int, str, str]
"""``(timestamp_ms, "T.AIG", '{"ev":"T",...}')``: due time, topic and ticker, one JSON object."""

TimedTick: TypeAlias = tuple[int, str, Tick]
"""``(timestamp_ms, "NSE_EQ:2885", tick)``: due time, the instrument's key, its new state."""

Timed = TypeVar("Timed", bound=tuple[int, str, Any])
"""Whatever is played by time: due time first, then what it is of."""

Slice: TypeAlias = list[TimedEvent]
"""Events of a stretch of time in order; no event of a later slice is due earlier."""

WHOLE_FRAME: Final = "*"
"""The topic of a recorded frame: its text is a whole JSON array, sent as it is."""

time_of: Final[Callable[[TimedEvent], int]] = itemgetter(0)
topic_of: Final[Callable[[TimedEvent], str]] = itemgetter(1)
text_of: Final[Callable[[TimedEvent], str]] = itemgetter(2)


class SourceError(ValueError):
    """A ``SOURCE`` that cannot be played: what was given, what was found, what would work."""


class DailyBar(NamedTuple):
    """One ticker's session, prices in dollars, as ``grouped daily`` answers it."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    vwap: float
    trades: int


class TickerReference(NamedTuple):
    """What the provider's reference calls know of a ticker; ``None`` where unknown."""

    symbol: str
    name: str
    primary_exchange: str
    free_float: int | None
    free_float_percent: float | None


class Reference(Protocol):
    """The market around a source: what the provider's REST calls answer from."""

    def tickers(self) -> Sequence[TickerReference]:
        """Every ticker known, sorted by symbol."""
        ...

    def daily_bars(self, day: str) -> Mapping[str, DailyBar]:
        """Each ticker's bar of one session (ISO date); empty when nothing is known of it."""
        ...

    def today(self) -> str:
        """The ISO date of the first session that the source plays."""
        ...


class NoReference:
    """The reference of a source that carries nothing but its events (captures)."""

    def __init__(self, day: str) -> None:
        self._day = day

    def tickers(self) -> Sequence[TickerReference]:
        """No ticker is known."""
        return ()

    def daily_bars(self, day: str) -> Mapping[str, DailyBar]:
        """No day is known."""
        return {}

    def today(self) -> str:
        """The day of the first event."""
        return self._day


class Source(Protocol):
    """A provider's day, or several, as timed events."""

    name: str
    """The ``SOURCE`` string that names it, for messages."""

    topics: frozenset[str]
    """The topic prefixes that occur: of ``T Q A AM LULD``."""

    symbols: frozenset[str]
    """The tickers that occur; empty where that is known only after reading everything."""

    dates: tuple[str, ...]
    """The sessions that it plays, ISO dates in order; of an endless one the first."""

    whole_frames: bool
    """Whether it yields recorded frames (topic `WHOLE_FRAME`) instead of events."""

    notes: Sequence[str]
    """Lines for the user: what was found but is not played, and why."""

    reference: Reference
    """The market around it."""

    def slices(self) -> Iterator[Slice]:
        """The events from the beginning; each call starts anew."""
        ...


class _Part:
    """One input of a merge: events read but not yet handed on."""

    def __init__(self, slices: Iterator[Slice]) -> None:
        self._slices = slices
        self.buffer: Slice = []
        self.exhausted = False
        self.read_past(-1)

    def read_past(self, horizon_ms: float) -> None:
        """Read until the buffer reaches beyond ``horizon_ms`` or nothing is left."""
        while not self.exhausted and (not self.buffer or self.buffer[-1][0] <= horizon_ms):
            following = next(self._slices, None)
            if following is None:
                self.exhausted = True
            else:
                self.buffer += following

    def take_before(self, horizon_ms: float) -> Slice:
        cut = bisect_left(self.buffer, horizon_ms, key=time_of)
        taken, self.buffer = self.buffer[:cut], self.buffer[cut:]
        return taken


def merge(slices: Iterable[Iterator[Slice]]) -> Iterator[Slice]:
    """Merge time-ordered inputs into one.

    Within one millisecond the order is that of the inputs, then each input's own; it does not
    depend on how the inputs are cut into slices. Sorting runs that are already sorted costs far
    less per event than a heap.
    """
    parts = [_Part(one) for one in slices]
    while any(part.buffer for part in parts):
        horizon = min((p.buffer[-1][0] for p in parts if not p.exhausted), default=float("inf"))
        ready = [event for part in parts for event in part.take_before(horizon)]
        if ready:
            ready.sort(key=time_of)
            yield ready
        for part in parts:
            part.read_past(horizon)


class MergedSources:
    """Several sources played as one, merged by time.

    Which tickers are known, and the day's reference, are the union; where two sources know the
    same ticker, the first one answers.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise SourceError("nothing to play: give at least one SOURCE")
        if len({source.whole_frames for source in sources}) > 1:
            raise SourceError("a capture cannot be merged with a source of events: play it alone")
        self._sources = sources
        self.whole_frames = sources[0].whole_frames
        self.name = " + ".join(source.name for source in sources)
        self.topics = frozenset[str]().union(*(source.topics for source in sources))
        self.symbols = frozenset[str]().union(*(source.symbols for source in sources))
        self.dates = tuple(sorted({date for source in sources for date in source.dates}))
        self.notes: Sequence[str] = [note for source in sources for note in source.notes]
        self.reference: Reference = _MergedReference([s.reference for s in sources])

    def slices(self) -> Iterator[Slice]:
        """All events of all sources in time order."""
        if len(self._sources) == 1:
            return self._sources[0].slices()
        return merge(source.slices() for source in self._sources)


class _MergedReference:
    def __init__(self, references: Sequence[Reference]) -> None:
        self._references = references

    def tickers(self) -> Sequence[TickerReference]:
        rows = {row.symbol: row for one in reversed(self._references) for row in one.tickers()}
        return [rows[symbol] for symbol in sorted(rows)]

    def daily_bars(self, day: str) -> Mapping[str, DailyBar]:
        bars: dict[str, DailyBar] = {}
        for reference in reversed(self._references):
            bars.update(reference.daily_bars(day))
        return bars

    def today(self) -> str:
        return min(reference.today() for reference in self._references)
