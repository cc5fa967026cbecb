"""Provider aggregates into the same parts as trades.

A provider's bar is an idempotent upsert: it is applied as it comes and replaces what an
earlier bar of the same symbol and start said. The event time of a bar is the last
millisecond that it covers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS
from tapewire.analyzers.part import Part
from tapewire.analyzers.shard_clock import LATENESS_MS, ShardClock, read_standing
from tapewire.market.sessions import SessionCalendar
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate, Clock, Event, Gap
from tapewire.model.rows import Fact, Reference
from tapewire.model.streams import Stream


@runtime_checkable
class TakesAggregates(Protocol):
    """A part that understands provider bars."""

    def take(self, aggregate: Aggregate) -> None:
        """Put one in."""


class AggregateFold:
    """Fold the ``aggregate`` stream; an ``Analyzer``.

    ``bar_ms`` is the length that is folded (1,000 for ``A``, 60,000 for ``AM``): of both
    only one may count. ``skipped`` counts bars not applied: ``other_length``, ``too_late``,
    ``bad_price``, ``bad_timestamp``.
    """

    stream = Stream.AGGREGATE

    def __init__(
        self, calendar: SessionCalendar, parts: Sequence[Part], bar_ms: int = SECOND_MS
    ) -> None:
        self._clock = ShardClock(calendar, parts)
        self._takers = [part for part in parts if isinstance(part, TakesAggregates)]
        self._bar_ms = bar_ms
        self._calendar = calendar
        self._standing_changed = False
        self.skipped: Counter[str] = Counter()

    @property
    def second_ms(self) -> int:
        """Start of the current second of event time, -1 before the first event."""
        return self._clock.second_ms

    def apply(self, events: Sequence[Event]) -> None:
        """Fold bars, clocks and gaps in order."""
        for event in events:
            if isinstance(event, Aggregate):
                self._take(event)
            elif isinstance(event, Clock):
                self._tick(event)
            elif isinstance(event, Gap):
                self._clock.gap(event)
                self._standing_changed = self._clock.second_ms >= 0

    def _take(self, aggregate: Aggregate) -> None:
        t = int(aggregate.end_timestamp) - 1
        reason = self._objection(aggregate, t)
        if reason:
            self.skipped[reason] += 1
            return
        if t >= self._clock.cut_ms:
            self._cut(t)
        for part in self._takers:
            part.take(aggregate)

    def _objection(self, aggregate: Aggregate, t: int) -> str | None:
        if t + 1 - aggregate.start_timestamp != self._bar_ms:
            return "other_length"
        if min(aggregate.open, aggregate.high, aggregate.low, aggregate.close) <= 0:
            return "bad_price"
        if not self._clock.covers(t):
            return "bad_timestamp"
        return "too_late" if t < self._clock.second_ms - LATENESS_MS else None

    def _tick(self, clock: Clock) -> None:
        if clock.timestamp_ms >= self._clock.cut_ms and self._clock.covers(clock.timestamp_ms):
            self._cut(clock.timestamp_ms)
        if clock.final and self._clock.second_ms >= 0:
            self._cut(self._clock.cut_ms)
            self._clock.finish()

    def _cut(self, timestamp_ms: int) -> None:
        self._clock.cut(timestamp_ms, (), ())
        self._standing_changed = True

    def refer(self, references: Iterable[Reference]) -> None:
        """Give reference rows to the parts."""
        self._clock.refer(references)

    def learn(self, facts: Iterable[Fact]) -> None:
        """Give facts to the parts that take them."""
        self._clock.learn(list(facts))

    def drain(self) -> Changes:
        """Changes of every part, and where this shard stands."""
        changes = self._clock.drain(())
        if self._standing_changed:
            changes.private[_NAME] = {"standing": self._clock.pack([])}
            self._standing_changed = False
        return changes

    def renew(self) -> None:
        """Make the next drain write everything."""
        self._clock.renew()
        self._standing_changed = self._clock.second_ms >= 0

    def first_hashes(self) -> Sequence[str]:
        """The hash that says where the earlier owner stood."""
        return [_NAME]

    def further_hashes(self, private: Hashes) -> Sequence[str]:
        """The parts' hashes as of there."""
        standing = read_standing(private.get(_NAME, {}).get("standing"))
        return self._clock.hashes(standing.second_ms) if standing else []

    def restore(self, private: Hashes) -> None:
        """Stand where the earlier owner stood."""
        standing = read_standing(private.get(_NAME, {}).get("standing"))
        if standing:
            self._clock.restore(standing, private)


_NAME = "aggregates"
