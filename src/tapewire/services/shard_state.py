"""One shard's folding, without I/O: deliveries in, one flush's worth of changes out.

Judges each batch by its position, puts ``Gap`` and ``Clock`` into the list of events,
hands it to the shard's analyzers, and counts. ``services/processor.py`` does the waiting.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, Protocol

import msgspec

from tapewire.analyzers.analyzer import Analyzer, Hashes
from tapewire.analyzers.part import TakesFacts
from tapewire.model.batch import Batch, decode_batch
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate, Clock, Event, Gap
from tapewire.model.positions import Missing, Position, Positions, Verdict
from tapewire.model.rows import Fact, Reference
from tapewire.model.streams import Shard, Stream
from tapewire.services.quiet_clock import Anchor, QuietClock, latest_ms

PROGRESS: Final = "progress"
"""Private hash of a shard's totals: field ``totals``, and ``ended`` after a replay."""


MAX_TOLD: Final = 10_000
"""Gaps remembered for a store that loses them: as many as it keeps itself."""


class Decoded(Protocol):
    """What a provider's ``decode`` gives."""

    @property
    def events(self) -> list[Event]:
        """The events that could be read, in order."""

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many could not, by reason."""


Decode = Callable[[Batch], Decoded]


class TimedAnalyzer(Analyzer, Protocol):
    """An analyzer that says where its event time stands and what it skipped."""

    skipped: Counter[str]

    @property
    def second_ms(self) -> int:
        """Start of the current second of event time, -1 before the first event."""


class Totals(msgspec.Struct):
    """What a shard's owners folded up to its positions: it survives them.

    ``batches`` and ``events`` were taken in; of these ``skipped`` were not applied, by
    reason; ``lost`` events in ``gaps`` gaps never came. ``newest_ms`` is the time of the
    newest event, 0 before the first; ``open_gap`` a loss that no event has ended yet;
    ``anchor`` what a quiet shard's clock goes by.
    """

    batches: int = 0
    events: int = 0
    lost: int = 0
    gaps: int = 0
    skipped: dict[str, int] = msgspec.field(default_factory=dict)
    newest_ms: int = 0
    open_gap: Gap | None = None
    anchor: Anchor | None = None


class Refusals(msgspec.Struct):
    """Deliveries that this owner did not fold."""

    duplicates: int = 0
    old_epochs: int = 0
    undecodable: int = 0


class ShardState:
    """The memory of one shard's owner.

    ``live``: the clock of a quiet shard runs on. ``delay_ms``: how far the feed is behind the
    wall clock; an event that is over five minutes ahead of that is counted as
    ``ahead_of_clock`` and not applied. None (a replay, a feed of one's own) bounds nothing.
    """

    def __init__(
        self,
        shard: Shard,
        analyzers: Sequence[TimedAnalyzer],
        decode: Decode,
        *,
        live: bool = True,
        delay_ms: int | None = None,
    ) -> None:
        self.shard = shard
        self.analyzers = analyzers
        self.positions = Positions()
        self.totals = Totals()
        self.refusals = Refusals()
        self.ended = False
        self.received_ns = 0
        self.folded = 0
        """Events that this owner folded itself, for rates: not those of owners before it."""
        self.candles = 0
        """Candles that this owner wrote, each time that one changed."""
        self._decode = decode
        self._live = live
        self._delay_ms = delay_ms
        self._quiet = QuietClock()
        self._gaps: list[Gap] = []
        self._told: deque[Gap] = deque(maxlen=MAX_TOLD)
        self._ending_unwritten = False
        self._totals_changed = False
        self._skipped: Counter[str] = Counter()

    @property
    def second_ms(self) -> int:
        """Start of the shard's current second of event time, -1 before the first event."""
        return max((analyzer.second_ms for analyzer in self.analyzers), default=-1)

    def take(self, body: bytes) -> None:
        """Fold one delivery if its position allows; count it whatever happens."""
        try:
            batch = decode_batch(body)
        except msgspec.MsgspecError:
            self.refusals.undecodable += 1
            return
        verdict, missing = self.positions.accept(batch)
        if verdict is Verdict.DUPLICATE:
            self.refusals.duplicates += 1
        elif verdict is Verdict.OLD_EPOCH:
            self.refusals.old_epochs += 1
        else:
            self._fold(batch, missing)

    def _fold(self, batch: Batch, missing: Missing | None) -> None:
        if batch.interrupted and missing is None:
            missing = Missing(batch.offset, batch.offset, None, "provider connection lost")
        decoded = self._decode(batch) if batch.count else None
        events = self._admitted(batch, decoded.events) if decoded else []
        marks = self._marks(batch, missing, events)
        if decoded:
            self._count(batch, decoded)
            self.received_ns = batch.received_ns
            if events:
                self.totals.newest_ms = max(self.totals.newest_ms, event_ms(events[-1]))
        self._apply([*marks, *events] if marks else events)
        self._note_time(batch, bool(events))
        if batch.ending and not self.ended:  # it is said again until somebody hears it
            self._apply([Clock(self._end_ms(batch), final=True)])
            self.ended = self._ending_unwritten = True

    def _end_ms(self, batch: Batch) -> int:
        """Event time at the end of a replay: any shard's newest, so that all end together."""
        return max(self.second_ms, batch.newest_ms) if self.second_ms >= 0 else 0

    def _admitted(self, batch: Batch, events: list[Event]) -> list[Event]:
        """Events without those from the future, which are counted: they would move the clock."""
        limit_ms = latest_ms(batch.received_ns // 1_000_000, self._delay_ms)
        if limit_ms is None or not events:
            return events
        time_of = _TIMES.get(batch.stream, event_ms)
        if max(map(time_of, events)) <= limit_ms:
            return events
        admitted = [event for event in events if event_ms(event) <= limit_ms]
        self._skipped["ahead_of_clock"] += len(events) - len(admitted)
        return admitted

    def _note_time(self, batch: Batch, has_events: bool) -> None:
        """An event sets the clock; a heartbeat lets that of a quiet shard run on."""
        received_ms = batch.received_ns // 1_000_000
        if has_events:
            self._quiet.event(self.second_ms, received_ms)
            self.totals.anchor = self._quiet.anchor
        elif self._live and not batch.count:
            self._run_on(self._quiet.heartbeat(received_ms))

    def _count(self, batch: Batch, decoded: Decoded) -> None:
        self.totals.batches += 1
        self.totals.events += batch.count
        self.folded += batch.count
        self._skipped.update(decoded.skipped)
        self._totals_changed = True

    def _apply(self, events: Sequence[Event]) -> None:
        if events:
            for analyzer in self.analyzers:
                analyzer.apply(events)

    def _marks(self, batch: Batch, missing: Missing | None, events: Sequence[Event]) -> list[Event]:
        """Gaps to put before the events: a loss seen now, or one whose end is now known."""
        until_ms = event_ms(events[0]) if events else None
        marks: list[Event] = []
        totals = self.totals
        if totals.open_gap and until_ms is not None:
            marks.append(self._record(_continued(totals.open_gap, until_ms)))
            totals.open_gap = None
        if missing:
            gap = self._gap(batch, missing, until_ms)
            totals.lost += gap.to_offset - gap.from_offset
            totals.gaps += 1
            self._totals_changed = True
            marks.append(self._record(gap))
            if until_ms is None:
                totals.open_gap = gap
        return marks

    def _gap(self, batch: Batch, missing: Missing, until_ms: int | None) -> Gap:
        """From the newest event that came (a quiet shard's clock is ahead of it) to the next.

        Where none came yet: to the newest that the producer knows of.
        """
        from_ms = self.totals.newest_ms
        if until_ms is None:
            until_ms = max(self.second_ms, batch.newest_ms)
        return Gap(
            self.shard.name,
            batch.producer,
            batch.epoch,
            missing.from_offset,
            missing.to_offset,
            missing.events,
            from_ms,
            max(from_ms, until_ms),
            missing.reason,
        )

    def _record(self, gap: Gap) -> Gap:
        self._gaps.append(gap)
        return gap

    def tick(self, now_ms: float) -> None:
        """Let the clock run on, in a long silence, at the speed of our own (not in a replay)."""
        if self._live:
            self._run_on(self._quiet.tick(now_ms))

    def _run_on(self, clock_ms: int) -> None:
        if clock_ms >= self.second_ms + 1000 and self.second_ms >= 0:
            self._apply([Clock(clock_ms)])

    def refer(self, references: Iterable[Reference]) -> None:
        """Give reference rows to the analyzers."""
        rows = list(references)
        for analyzer in self.analyzers:
            analyzer.refer(rows)

    def learn(self, facts: Sequence[Fact]) -> None:
        """Give facts to the analyzers that take them."""
        for analyzer in self.analyzers:
            if isinstance(analyzer, TakesFacts):
                analyzer.learn(facts)

    def drain(self) -> Changes:
        """Everything that changed since the last drain."""
        changes = Changes()
        for analyzer in self.analyzers:
            changes.merge(analyzer.drain())
        self.candles += sum(
            len(fields) for name, fields in changes.rows.items() if name.startswith("candles:")
        )
        changes.gaps, self._gaps = self._gaps, []
        self._told.extend(changes.gaps)
        if self._totals_changed or self._ending_unwritten:
            changes.private[PROGRESS] = self._progress()
        return changes

    def _progress(self) -> dict[str, bytes]:
        self.totals.skipped = self.skips()
        self._totals_changed = self._ending_unwritten = False
        fields = {"totals": _encode(self.totals)}
        return fields | {"ended": b"1"} if self.ended else fields

    def renew(self) -> None:
        """Make the next drain write everything, the gaps told so far included."""
        for analyzer in self.analyzers:
            analyzer.renew()
        self._gaps = [*self._told, *self._gaps]
        self._told.clear()
        self._totals_changed = True

    def first_hashes(self) -> list[str]:
        """Private hashes to read first when restoring."""
        return [PROGRESS, *(name for a in self.analyzers for name in a.first_hashes())]

    def further_hashes(self, private: Hashes) -> list[str]:
        """Private hashes to read next."""
        return [name for a in self.analyzers for name in a.further_hashes(private)]

    def restore(self, positions: Mapping[str, bytes], private: Hashes) -> None:
        """Continue where the last flush of the earlier owner stands."""
        self.positions = Positions.unpack(dict(positions))
        progress = private.get(PROGRESS, {})
        self.ended = "ended" in progress
        if "totals" in progress:
            self.totals = decode_totals(progress["totals"])
            self._skipped = Counter(self.totals.skipped)
            self._quiet = QuietClock(self.totals.anchor)
        for analyzer in self.analyzers:
            analyzer.restore(private)

    def skips(self) -> dict[str, int]:
        """Events not applied, by reason: undecodable ones and those the folds refused."""
        refused: Counter[str] = Counter()
        for analyzer in self.analyzers:
            refused |= analyzer.skipped  # every fold of the shard sees the same events
        return dict(self._skipped + refused)

    @property
    def lost(self) -> int:
        """Events taken in upstream that never arrived, in the producers' current epochs."""
        return sum(position.lost for position in self._positions())

    @property
    def applied(self) -> int:
        """Events up to which this shard is complete or knows what it lost."""
        return sum(position.applied for position in self._positions())

    def _positions(self) -> Iterable[Position]:
        return self.positions.by_producer.values()


def event_ms(event: Event) -> int:
    """The time of an event on its shard's clock: a bar counts as the end of its span."""
    if isinstance(event, Aggregate):
        return int(event.end_timestamp) - 1
    return int(event.to_ms if isinstance(event, Gap) else event.timestamp_ms)


def _continued(gap: Gap, until_ms: int) -> Gap:
    """The part of a gap that became known when the next event came: no events of its own."""
    return Gap(
        gap.shard,
        gap.producer,
        gap.epoch,
        gap.to_offset,
        gap.to_offset,
        0,
        gap.to_ms,
        max(gap.to_ms, until_ms),
        gap.reason,
    )


_TIMES: Final[Mapping[Stream, Callable[[Event], float]]] = {
    Stream.TRADES: attrgetter("timestamp_ms"),
    Stream.QUOTES: attrgetter("timestamp_ms"),
    Stream.HALTS: attrgetter("timestamp_ms"),
    Stream.TICKS: attrgetter("timestamp_ms"),
    Stream.AGGREGATE: attrgetter("end_timestamp"),
}
"""Times of a stream's events, for a look at many of them: a fraction of ``event_ms``'s cost."""

_encode = msgspec.msgpack.Encoder().encode
decode_totals = msgspec.msgpack.Decoder(Totals).decode
"""Packed ``totals`` of the progress hash -> Totals."""
