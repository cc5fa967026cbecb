"""From a frame's ticks to slices: refuse what does not count, mark what is in order, encode.

The mark is for the tick queue. Conflation leaves ticks out, and may do so only where the fold
would have come to the same sums without them: in a run of ticks of which each says something
new, and is neither older nor has less volume than the instrument's state before it. Only who
has seen every tick knows that state, so it is kept here, by the fold's own rule (``DayVolume``).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Final, NamedTuple

from tapewire.analyzers.day_volumes import DayVolume
from tapewire.market.symbols import shard_of
from tapewire.market.ticks import admitted, instrument_key
from tapewire.model.events import TICK_IN_ORDER, TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.model.streams import Shard, Stream
from tapewire.providers import tick_wire
from tapewire.providers.batcher import Slice

LATENESS_MS: Final = 10 * 60_000
"""A tick that is older than the newest by more is never marked: the fold may refuse it, which
hangs on its place (beyond 15 minutes; the rest is for clocks that differ)."""

_UNSIZED: Final = TICK_SNAPSHOT | TICK_INDEX
_ONE_DAY: Final = 0
"""The trading day of every state here. Where a day turns, the fold knows more and begins at 0:
the first ticks of a day then look like a counter that began anew, and are not marked."""


class _Known(NamedTuple):
    """An instrument: its state as of its newest tick, and where its shard's ticks of a frame go."""

    day: DayVolume
    put: Callable[[Tick], None]


_NONE: Final[dict[str, _Known]] = {}


class TickIntake:
    """Turns ticks into slices of ``shards`` shards of the stream ``ticks``.

    ``refused`` counts ticks that are not published by reason (``market.ticks.objection``);
    ``newest_ms`` is the event time of the newest one, 0 before the first.
    """

    def __init__(self, shards: int) -> None:
        self._groups: list[list[Tick]] = [[] for _ in range(shards)]
        self._shards = [Shard(Stream.TICKS, k) for k in range(shards)]
        self._known: dict[str, dict[str, _Known]] = {}
        self._ignored: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.newest_ms = 0

    def slices(self, ticks: Iterable[Tick]) -> Sequence[Slice]:
        """A frame's valid ticks, one slice for each shard in it, in order. Sets their mark."""
        self._sort(ticks)
        slices = []
        for shard, group in zip(self._shards, self._groups, strict=True):
            if group:
                slices.append(Slice(shard, len(group), tick_wire.encode(group)))
                group.clear()
        return slices

    def _sort(self, ticks: Iterable[Tick]) -> None:
        """The hot loop: a tick that moves its instrument on takes no call."""
        newest_ms = self.newest_ms
        oldest_ms = newest_ms - LATENESS_MS
        exchange, find = None, _NONE.get
        for tick in ticks:
            if tick.exchange != exchange:
                exchange = tick.exchange
                find = self._known.get(exchange, _NONE).get
            known = find(tick.token)
            if known is not None:
                t, price, volume, flags = (
                    tick.timestamp_ms, tick.last_price, tick.day_volume, tick.flags,
                )  # fmt: skip
                day, put = known
                if (
                    volume is not None
                    and 0 <= day.volume <= volume
                    and day.t <= t >= oldest_ms
                    and price is not None
                    and 0 < price < inf
                    and not flags & _UNSIZED
                ):
                    put(tick)
                    if volume == day.volume and t == day.t and price == day.price:
                        continue  # it says nothing new: the fold ignores it
                    day.volume, day.t, day.price, day.lower = volume, t, price, -1
                    tick.flags = flags | TICK_IN_ORDER
                    if t > newest_ms:
                        newest_ms = t
                    continue
            newest_ms = max(newest_ms, self._irregular(tick, oldest_ms))
            exchange = None
        self.newest_ms = newest_ms

    def _irregular(self, given: Tick, oldest_ms: int) -> int:
        """The first of an instrument, one without volume, out of order, or refused; its time."""
        for tick in admitted((given,), self.refused):
            there = self._known.setdefault(tick.exchange, {})
            known = there.get(tick.token)
            if known is None:
                known = there[tick.token] = self._first(tick)
            elif self._passes_time(known.day, tick) and tick.timestamp_ms >= oldest_ms:
                tick.flags |= TICK_IN_ORDER
            known.day.take(_ONE_DAY, tick, self._ignored)
            known.put(tick)
            return tick.timestamp_ms
        return 0

    def _first(self, tick: Tick) -> _Known:
        key = instrument_key(tick.exchange, tick.token)
        day = DayVolume.first(key, _ONE_DAY, tick, self._ignored)
        return _Known(day, self._groups[shard_of(key, len(self._groups))].append)

    def _passes_time(self, day: DayVolume, tick: Tick) -> bool:
        """Whether a tick has a price only, a new one, and is not older than the newest."""
        unsized = tick.day_volume is None and not tick.flags & TICK_SNAPSHOT
        return unsized and tick.timestamp_ms >= day.t and not day.repeats(tick)
