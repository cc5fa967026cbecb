"""Where ticks wait while those who fold them are slow, and what is left out when it gets full.

``put`` is O(1) and never waits, so the socket is always read. Above seven eighths of a bound
the oldest ticks are *conflated*: of one instrument's ticks of one second that came in order
(``TICK_IN_ORDER``) the first, the highest, the lowest and the last stay. Folding is associative
and a tick tells the day's volume so far, so open, high, low, close and volume of every candle
come out the same; vwap and the number of trades do not. Ticks that are out of order all stay.
What does not fit even so is dropped, oldest first, and is a gap (architecture section 7).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from tapewire.analyzers.bars import SECOND_MS
from tapewire.model.events import TICK_IN_ORDER, Tick
from tapewire.model.streams import Shard
from tapewire.providers import tick_wire
from tapewire.providers.batcher import Slice

MAX_TICKS: Final = 2_000_000
MAX_BYTES: Final = 512 * 1024 * 1024
"""The bounds, whichever comes first (``TICK_QUEUE_MAX``, ``TICK_QUEUE_MAX_BYTES``)."""

HELD_BYTES: Final = 300
"""What a frame's entry takes beside its payloads."""

OPEN_TICK_BYTES: Final = 320
"""What a decoded tick takes, while its second is being conflated."""

SEGMENT_TICKS: Final = 65_536
"""Ticks that are conflated together: a second of a busy market."""

PIECE_TICKS: Final = 800
"""Ticks of one slice after that: about a batch of 64 KB."""

STEPS: Final = 2
"""Frames conflated for each that is put: faster than they come, in steps that nobody notices."""


class Held(Struct, frozen=True, gc=False):
    """A frame's slices, received at wall clock ``received_ns``.

    ``interrupted``: before them the provider's connection was away.
    """

    received_ns: int
    slices: Sequence[Slice]
    interrupted: bool = False

    @property
    def ticks(self) -> int:
        """How many ticks it holds."""
        return sum(one.count for one in self.slices)

    @property
    def bytes(self) -> int:
        """What it takes in memory, about."""
        return HELD_BYTES + sum(len(one.payload) for one in self.slices)


class TickQueueStatistics(Struct):
    """Counts since the queue was made; ``most_ticks`` were in it at one time."""

    put: int = 0
    conflated: int = 0
    dropped: int = 0
    most_ticks: int = 0


class _Run:
    """Ticks of one instrument and second in order, by their places in the list."""

    __slots__ = ("bottom", "end_ms", "first", "flags", "high", "last", "low", "top", "unsized")

    def __init__(self, tick: Tick, place: int) -> None:
        self.end_ms = tick.timestamp_ms // SECOND_MS * SECOND_MS + SECOND_MS
        self.flags = tick.flags
        self.unsized = tick.day_volume is None
        self.first = self.high = self.low = self.last = place
        self.top = self.bottom = tick.last_price or 0.0


class Conflation:
    """Leaves out, of ticks in their order of arrival, those that no candle needs."""

    def __init__(self) -> None:
        self._ticks: list[Tick | None] = []
        self._runs: dict[tuple[str, str], _Run] = {}
        self.count = 0
        """Ticks that stay so far."""

    def add(self, ticks: Sequence[Tick]) -> None:
        """Put in what came next of the shard."""
        kept, runs = self._ticks, self._runs
        for place, tick in enumerate(ticks, len(kept)):
            kept.append(tick)
            name, flags = (tick.exchange, tick.token), tick.flags
            run = runs.get(name)
            if not flags & TICK_IN_ORDER:
                self._break(name, run, place)
            elif (
                run is None
                or tick.timestamp_ms >= run.end_ms
                or flags != run.flags
                or (tick.day_volume is None) is not run.unsized
            ):
                runs[name] = _Run(tick, place)
            else:
                self._follow(run, tick.last_price or 0.0, place)
        self.count += len(ticks)

    def _break(self, name: tuple[str, str], run: _Run | None, place: int) -> None:
        """A tick that is not in order ends the run; but one that repeats its last says nothing."""
        if run is None:
            return
        last, tick = self._ticks[run.last], self._ticks[place]
        if last is not None and tick is not None and _repeats(tick, last):
            self._leave_out(run, place)
        else:
            del self._runs[name]

    def _follow(self, run: _Run, price: float, place: int) -> None:
        """A further tick of a run: it is the last, and perhaps an extreme."""
        before, run.last = run.last, place
        if price > run.top:
            stale, run.high, run.top = run.high, place, price
            self._leave_out(run, stale)
        elif price < run.bottom:
            stale, run.low, run.bottom = run.low, place, price
            self._leave_out(run, stale)
        self._leave_out(run, before)

    def _leave_out(self, run: _Run, place: int) -> None:
        if place in (run.first, run.high, run.low) or self._ticks[place] is None:
            return
        self._ticks[place] = None
        self.count -= 1

    def take(self) -> list[Tick]:
        """The ticks that stay, and begin anew: what comes later does not change them."""
        ticks = [tick for tick in self._ticks if tick is not None]
        self._ticks, self._runs, self.count = [], {}, 0
        return ticks


def _repeats(tick: Tick, last: Tick) -> bool:
    """Whether a tick is to the fold what its instrument's last one in order was."""
    return (
        tick.timestamp_ms == last.timestamp_ms
        and tick.last_price == last.last_price
        and tick.day_volume == last.day_volume
        and tick.flags | TICK_IN_ORDER == last.flags
    )


class _Segment:
    """Frames that are conflated together, shard by shard."""

    def __init__(self, *, interrupted: bool = False) -> None:
        self._shards: dict[Shard, Conflation] = {}
        self._interrupted = interrupted
        self.received_ns = 0
        self.taken = 0

    @property
    def ticks(self) -> int:
        """Ticks that stay so far."""
        return sum(one.count for one in self._shards.values())

    def add(self, held: Held) -> None:
        """Put in the next frame's ticks."""
        self.received_ns = held.received_ns
        for piece in held.slices:
            conflation = self._shards.get(piece.shard)
            if conflation is None:
                conflation = self._shards[piece.shard] = Conflation()
            conflation.add(tick_wire.read(piece.payload, piece.count))
            self.taken += piece.count

    def end(self) -> Iterator[Held]:
        """What stays, in pieces of the size of a batch."""
        interrupted = self._interrupted
        for shard, conflation in self._shards.items():
            ticks = conflation.take()
            for start in range(0, len(ticks), PIECE_TICKS):
                some = ticks[start : start + PIECE_TICKS]
                piece = Slice(shard, len(some), tick_wire.encode(some))
                yield Held(self.received_ns, (piece,), interrupted)
                interrupted = False


class TickQueue:
    """Slices of ticks, first in, first out, within two bounds.

    ``max_bytes`` is of memory, about. Above a bound the oldest ticks are dropped.
    """

    def __init__(self, max_ticks: int = MAX_TICKS, max_bytes: int = MAX_BYTES) -> None:
        self._max_ticks = max_ticks
        self._max_bytes = max_bytes
        self._conflated: deque[Held] = deque()
        self._segment = _Segment()
        self._raw: deque[Held] = deque()
        self._ticks = 0
        self._bytes = 0
        self.statistics = TickQueueStatistics()

    def __len__(self) -> int:
        """Ticks that wait."""
        return self._ticks + self._segment.ticks

    def __bool__(self) -> bool:
        """Whether any wait."""
        return bool(self._raw or self._conflated or self._segment.taken)

    @property
    def bytes(self) -> int:
        """What they take in memory, about."""
        return self._bytes + self._segment.ticks * OPEN_TICK_BYTES

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest were received; None while nothing waits."""
        if self._conflated:
            return self._conflated[0].received_ns
        if self._segment.ticks:
            return self._segment.received_ns
        return self._raw[0].received_ns if self._raw else None

    def put(self, held: Held) -> Sequence[Held]:
        """Append; returns what had to be dropped for it, oldest first."""
        self._count(held)
        self._raw.append(held)
        self.statistics.put += held.ticks
        dropped = self._make_room() if self._is_above(7) else ()
        self.statistics.most_ticks = max(self.statistics.most_ticks, len(self))
        return dropped

    def pop(self) -> Held:
        """Take the oldest. Raises IndexError where nothing waits."""
        if not self._conflated and self._segment.taken:
            self._end_segment()
        held = (self._conflated or self._raw).popleft()
        self._count(held, -1)
        return held

    def _make_room(self) -> list[Held]:
        """Conflate a little; what is over the bound all the same goes."""
        for _ in range(STEPS):
            if self._raw and self._is_above(7):
                self._conflate()
        dropped = []
        while self._is_above(8):
            dropped.append(self.pop())
            self.statistics.dropped += dropped[-1].ticks
        return dropped

    def _conflate(self) -> None:
        """Put the oldest frame that was not conflated yet to those that are."""
        held = self._raw.popleft()
        self._count(held, -1)
        if held.interrupted or self._segment.taken >= SEGMENT_TICKS:
            self._end_segment(interrupted=held.interrupted)
        before = self._segment.ticks
        self._segment.add(held)
        self.statistics.conflated += before + held.ticks - self._segment.ticks

    def _end_segment(self, *, interrupted: bool = False) -> None:
        for held in self._segment.end():
            self._conflated.append(held)
            self._count(held)
        self._segment = _Segment(interrupted=interrupted)

    def _count(self, held: Held, sign: int = 1) -> None:
        self._ticks += sign * held.ticks
        self._bytes += sign * held.bytes

    def _is_above(self, eighths: int) -> bool:
        return (
            8 * len(self) > eighths * self._max_ticks or 8 * self.bytes > eighths * self._max_bytes
        )
