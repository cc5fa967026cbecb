"""What the folds of all streams have in common: event time, its marks, where an owner stands.

A fold is a hot loop over its stream's events (``_fold``) and what happens at the end of a second
(``_end``). Time and loss come in the same list; parts are driven, and the private state that says
where to go on is written and read, in one way for all.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.analyzers.part import Part
from tapewire.analyzers.second_log import SecondLog
from tapewire.analyzers.shard_clock import ShardClock, read_standing
from tapewire.market.sessions import SessionCalendar
from tapewire.model.changes import Changes
from tapewire.model.events import Clock, Event, Gap
from tapewire.model.rows import Fact, Reference
from tapewire.model.streams import Stream

E = TypeVar("E", bound=Event)
L = TypeVar("L")

_MARKS: Final = frozenset({Clock, Gap})


class Fold(ABC, Generic[E]):
    """One stream's ``Analyzer``, but for its events ``E``.

    ``skipped`` counts events not applied, by reason; ``bad_timestamp`` (outside the calendar)
    is one that all have. ``name`` begins the names of the fold's private state.
    """

    stream: Stream

    def __init__(
        self,
        calendar: SessionCalendar,
        parts: Sequence[Part],
        name: str,
        dated: Sequence[str] = (),
    ) -> None:
        self.skipped: Counter[str] = Counter()
        self._calendar = calendar
        self._clock = ShardClock(calendar, parts, dated)
        self._name = name
        self._late: list[Bar] = []
        self._standing_changed = False

    @property
    def second_ms(self) -> int:
        """Start of the current second of event time, -1 before the first event."""
        return self._clock.second_ms

    def apply(self, events: Sequence[Event]) -> None:
        """Fold the stream's events, clocks and gaps in order."""
        if _MARKS.isdisjoint(map(type, events)):
            self._fold(events)  # type: ignore[arg-type]
            return
        for event in events:
            if isinstance(event, Clock):
                self._pass(event)
            elif isinstance(event, Gap):
                self._lose(event)
            else:
                self._fold((event,))  # type: ignore[arg-type]

    @abstractmethod
    def _fold(self, events: Iterable[E]) -> None:
        """Fold events in order: the hot loop."""

    def _pass(self, clock: Clock) -> None:
        if clock.timestamp_ms >= self._clock.cut_ms and self._clock.covers(clock.timestamp_ms):
            self._cut(clock.timestamp_ms)
        if clock.final and self._clock.second_ms >= 0:
            self._cut(self._clock.cut_ms)
            self._clock.finish()

    def _lose(self, gap: Gap) -> None:
        self._clock.gap(gap)
        self._standing_changed = self._clock.second_ms >= 0

    def _cut(self, timestamp_ms: int) -> bool:
        """End the second; False for a time that no calendar knows, which is counted."""
        if not self._clock.covers(timestamp_ms):
            self.skipped["bad_timestamp"] += 1
            return False
        self._end(timestamp_ms)
        self._standing_changed = True
        return True

    def _end(self, timestamp_ms: int) -> None:
        """Give the second that ends to the parts, and stand in that of ``timestamp_ms``."""
        self._clock.cut(timestamp_ms, (), ())

    def refer(self, references: Iterable[Reference]) -> None:
        """Give reference rows to the parts."""
        self._clock.refer(references)

    def drain(self) -> Changes:
        """What changed since the last drain, and where this shard stands."""
        changes = self._changes()
        if self._standing_changed:
            changes.private[self._name] = {"standing": self._clock.pack(self._late)}
            self._standing_changed = False
        return changes

    def _changes(self) -> Changes:
        """The parts' changes, and the fold's own."""
        return self._clock.drain(())

    def renew(self) -> None:
        """Make the next drain write everything."""
        self._clock.renew()
        self._standing_changed = self._clock.second_ms >= 0

    def first_hashes(self) -> Sequence[str]:
        """The hash that says where the earlier owner stood."""
        return [self._name]

    def further_hashes(self, private: Hashes) -> Sequence[str]:
        """What the fold and its parts had as of there."""
        standing = read_standing(private.get(self._name, {}).get("standing"))
        return self._hashes(standing.second_ms) if standing else []

    def _hashes(self, second_ms: int) -> list[str]:
        return self._clock.hashes(second_ms)

    def restore(self, private: Hashes) -> None:
        """Stand where the earlier owner stood, in the middle of its second."""
        standing = read_standing(private.get(self._name, {}).get("standing"))
        if standing is None:
            return
        self._clock.restore(standing, private)
        self._late = standing.late
        self._resume(standing.second_ms, private)

    def _resume(self, second_ms: int, private: Hashes) -> None:
        """Read the fold's own state back; the clock and the parts stand in ``second_ms``."""


class SecondFold(Fold[E], Generic[E, L]):
    """A fold that keeps the current second until its cut, and shows it at each drain.

    ``kind`` is that of its log's entries ``L`` (``SecondLog``). ``_drained`` is what a drain has
    shown of the second, by symbol: what is still the same need not be shown again.
    """

    def __init__(
        self,
        calendar: SessionCalendar,
        parts: Sequence[Part],
        name: str,
        kind: type[L],
        dated: Sequence[str] = (),
    ) -> None:
        super().__init__(calendar, parts, name, dated)
        self._drained: dict[str, object] = {}
        self._log: SecondLog[L] = SecondLog(name, kind)

    def _lose(self, gap: Gap) -> None:
        super()._lose(gap)
        self._drained = {}

    def _end_with(self, timestamp_ms: int, bars: Sequence[Bar]) -> bool:
        """End the second with its bars; whether a trading day has begun."""
        late, self._late, self._drained = self._late, [], {}
        self._log.end(self._clock.second_ms)
        return self._clock.cut(timestamp_ms, bars, late)

    def refer(self, references: Iterable[Reference]) -> None:
        """Give reference rows to the parts; the current second is shown again with them."""
        super().refer(references)
        self._drained = {}

    def learn(self, facts: Iterable[Fact]) -> None:
        """Give facts to the parts that take them, and show these symbols' second again."""
        told = list(facts)
        self._clock.learn(told)
        for fact in told:
            self._drained.pop(fact.symbol, None)

    def renew(self) -> None:
        """Make the next drain write everything."""
        super().renew()
        self._drained = {}
        self._log.renew()

    def _hashes(self, second_ms: int) -> list[str]:
        return [self._log.hash(second_ms), *super()._hashes(second_ms)]

    def _resume(self, second_ms: int, private: Hashes) -> None:
        for entry in self._log.restore(private.get(self._log.hash(second_ms), {})):
            self._take_back(entry)

    @abstractmethod
    def _take_back(self, entry: L) -> None:
        """Put what the earlier owner had of its second back: of two the later one counts."""
