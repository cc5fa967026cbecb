"""Provider aggregates into the same parts as trades.

A provider's bar is an idempotent upsert: it replaces what an earlier bar of the same symbol
and start said. The event time of a bar is the last millisecond that it covers. Of the bars of
the current second the newest of each symbol waits for the cut, so that one which is sent again
and again costs the parts nothing; what waits is shown at each drain.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from msgspec import structs

from tapewire.analyzers.bars import SECOND_MS
from tapewire.analyzers.fold import SecondFold
from tapewire.analyzers.part import Part
from tapewire.analyzers.shard_clock import LATENESS_MS
from tapewire.market.sessions import SessionCalendar
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate
from tapewire.model.streams import Stream


@runtime_checkable
class TakesAggregates(Protocol):
    """A part that understands provider bars."""

    def take(self, aggregate: Aggregate) -> None:
        """Put one in; it replaces an earlier one of the same symbol and start.

        The newest of each symbol comes right before the cut that ends its second, by symbol;
        a correction of an earlier second as soon as it is known.
        """


@runtime_checkable
class ShowsAggregates(Protocol):
    """A part whose rows show bars that wait for the cut."""

    def show(self, aggregates: Sequence[Aggregate]) -> None:
        """Show these with the next drain; the cut brings them again, perhaps corrected."""


class AggregateFold(SecondFold[Aggregate, list[object]]):
    """Fold the ``aggregate`` stream; an ``Analyzer``.

    ``bar_ms`` is the length that is folded (1,000 for ``A``, 60,000 for ``AM``): of both
    only one may count. ``skipped`` counts bars not applied: ``other_length``, ``too_late``,
    ``bad_price``, ``bad_timestamp``.
    """

    stream = Stream.AGGREGATE

    def __init__(
        self, calendar: SessionCalendar, parts: Sequence[Part], bar_ms: int = SECOND_MS
    ) -> None:
        super().__init__(calendar, parts, "aggregates", list)
        self._takers = [part for part in parts if isinstance(part, TakesAggregates)]
        self._showing = [part for part in parts if isinstance(part, ShowsAggregates)]
        self._bar_ms = bar_ms
        self._waiting: dict[str, Aggregate] = {}

    def _fold(self, aggregates: Iterable[Aggregate]) -> None:
        """Keep the newest of each symbol: one dict store for a bar that replaces a waiting one."""
        clock, waiting, bar_ms = self._clock, self._waiting, self._bar_ms
        second_ms, cut_ms = clock.second_ms, clock.cut_ms
        for one in aggregates:
            start_ms, end_ms = one.start_timestamp, one.end_timestamp
            if (
                second_ms < end_ms <= cut_ms
                and end_ms - start_ms == bar_ms
                and one.low > 0 < one.open
                and one.high > 0 < one.close
            ):
                known = waiting.get(one.symbol)
                if known is None or known.start_timestamp == start_ms:
                    waiting[one.symbol] = one
                    continue
            self._irregular(one)
            waiting, second_ms, cut_ms = self._waiting, clock.second_ms, clock.cut_ms

    def _irregular(self, aggregate: Aggregate) -> None:
        """A second's first bar, a correction of an earlier second, or one that does not count."""
        t = int(aggregate.end_timestamp) - 1
        reason = self._objection(aggregate, t)
        if reason:
            self.skipped[reason] += 1
            return
        if t >= self._clock.cut_ms:
            self._cut(t)
        known = self._waiting.get(aggregate.symbol)
        if known is not None and known.start_timestamp != aggregate.start_timestamp:
            self._give(known)  # the parts must know which of the two is the newer one
        older = known is not None and aggregate.start_timestamp < known.start_timestamp
        if t < self._clock.second_ms or older:
            self._give(aggregate)
        else:
            self._waiting[aggregate.symbol] = aggregate

    def _objection(self, aggregate: Aggregate, t: int) -> str | None:
        if t + 1 - aggregate.start_timestamp != self._bar_ms:
            return "other_length"
        if min(aggregate.open, aggregate.high, aggregate.low, aggregate.close) <= 0:
            return "bad_price"
        if not self._clock.covers(t):
            return "bad_timestamp"
        return "too_late" if t < self._clock.second_ms - LATENESS_MS else None

    def _give(self, aggregate: Aggregate) -> None:
        for part in self._takers:
            part.take(aggregate)
        self._drained.pop(aggregate.symbol, None)  # what waits is shown on top of it

    def _end(self, timestamp_ms: int) -> None:
        """The parts get what waited, in an order that no restart changes."""
        waiting, self._waiting = self._waiting, {}
        for symbol in sorted(waiting):
            self._give(waiting[symbol])
        self._end_with(timestamp_ms, ())

    def _changes(self) -> Changes:
        """Changes of every part, and what waits for the cut."""
        if self._log.wants_all:
            self._drained = {}
        drained = self._drained
        unfinished = {
            symbol: aggregate
            for symbol, aggregate in self._waiting.items()
            if drained.get(symbol) is not aggregate
        }
        drained.update(unfinished)
        for part in self._showing:
            part.show(list(unfinished.values()))
        changes = self._clock.drain(())
        fields = [list(structs.astuple(one)) for one in unfinished.values()]
        self._log.write(changes, self._clock.second_ms, fields)
        return changes

    def _take_back(self, entry: list[object]) -> None:
        aggregate = Aggregate(*entry)  # type: ignore[arg-type]  # as it was written
        self._waiting[aggregate.symbol] = self._drained[aggregate.symbol] = aggregate
