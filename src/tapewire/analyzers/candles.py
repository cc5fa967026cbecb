"""Candles from one second to one day, from trades or from provider aggregates.

The exact rule is ``components.md`` section 4, *Candles*. A candle is closed when event
time passes its end by the grace; a late trade amends its own candle for 15 minutes, and
each amendment after the close counts as a revision. A bucket without an
open/close-eligible trade makes no candle. Longer candles are sums of minutes, put in when
a minute closes and amended with it; ``1d`` is the trading date, from 04:00 to 04:00.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Final

from msgspec import msgpack

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS, Bar
from tapewire.analyzers.buckets import BUCKETS, Bucket, Level, Spans, unpacked
from tapewire.analyzers.seconds import Seconds
from tapewire.analyzers.shard_clock import LATENESS_MS
from tapewire.market.sessions import SessionCalendar, TradingDay
from tapewire.model.candle_names import DAY_MS, MINUTE_MS
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate
from tapewire.model.rows import NOTIONAL_SCALE, Reference

GRACE_MS: Final = 2 * SECOND_MS
LONGER: Final = ("5m", "15m", "1h", "1d")


class AtomicOhlcEngine:
    """A ``Part`` that publishes ``candles:{interval}:{symbol}``.

    ``grace_ms`` (``CANDLE_GRACE_MS``) is how long after its end a candle still counts as
    open; ``exchange`` is ``US`` for US equities.
    """

    dated: Final = ("candles",)

    def __init__(
        self, calendar: SessionCalendar, exchange: str = "US", grace_ms: int = GRACE_MS
    ) -> None:
        self._seconds = Seconds(exchange, grace_ms)
        self._minutes = Level("1m", calendar, exchange, grace_ms)
        self._longer = [Level(interval, calendar, exchange, grace_ms) for interval in LONGER]
        self._levels = (self._minutes, *self._longer)
        self._lost: list[tuple[int, int]] = []
        self._marks = Marks()
        self._given = False
        self._date = ""
        self._second_ms = -1
        self._due_ms: float = inf

    @property
    def held(self) -> dict[str, int]:
        """Interval -> buckets in memory; of ``1s`` slots of ten seconds."""
        return {"1s": len(self._seconds)} | {one.interval: len(one) for one in self._levels}

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """Put a second's bars into their minute, and late trades into theirs."""
        second = bars if isinstance(bars, list) else list(bars)
        if second:
            self._seconds.add(second)
            self._minutes.add(second, second[0].start_ms, self._second_ms, self._lost)
        for bar in late:
            self._seconds.amend(bar, self._lost)
            minute = self._minutes.of(bar.symbol, bar.start_ms, self._second_ms, self._lost)
            self._amend(minute, bar)

    def _amend(self, minute: Bucket, bar: Bar) -> None:
        minute.merge(bar)
        if minute.closed:
            minute.revision += 1
            for level in self._longer:
                longer = level.of(bar.symbol, bar.start_ms, self._second_ms, self._marks.spans)
                longer.merge(bar)
                longer.revision += longer.closed
            self._schedule()

    def take(self, aggregate: Aggregate) -> None:
        """Put a provider's bar in: a second's replaces that second, a minute's the minute."""
        self._given = True
        bar = bar_of(aggregate)
        if aggregate.end_timestamp - aggregate.start_timestamp >= MINUTE_MS:
            self._take_minute(bar)
            return
        before = self._seconds.take(bar, self._lost)
        if before is bar:
            return
        minute = self._minutes.of(bar.symbol, bar.start_ms, self._second_ms, self._lost)
        minute.given = True
        if before is None:
            self._amend(minute, bar)
            return
        start_ms = minute.start_ms
        seconds = self._seconds.of(bar.symbol, start_ms, start_ms + MINUTE_MS, self._lost)
        self._correct(minute, seconds)

    def _take_minute(self, bar: Bar) -> None:
        known = self._minutes.known(bar.symbol, bar.start_ms)
        if known is not None and _same(known, bar):
            return
        minute = self._minutes.of(bar.symbol, bar.start_ms, self._second_ms, self._lost)
        minute.given = True
        if known is None:
            self._amend(minute, bar)
        else:
            self._correct(minute, [bar])

    def _correct(self, minute: Bucket, bars: Iterable[Bar]) -> None:
        """Sum a minute again, and if it is closed the longer candles that it is part of."""
        _rebuild(minute, bars)
        if not minute.closed:
            return
        minute.revision += 1
        symbol, start_ms = minute.symbol, minute.start_ms
        for level in self._longer:
            longer = level.of(symbol, start_ms, self._second_ms, self._marks.spans)
            settled = [longer.settled] if longer.settled else []
            rest = self._minutes.within(symbol, *level.span(start_ms))
            _rebuild(longer, [*settled, *rest])
            longer.revision += longer.closed
        self._schedule()

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Close the candles that have passed, forget those that can no longer change."""
        self._seconds.clock(second_ms)
        if second_ms >= self._due_ms or second_ms >= self._minutes.due_ms:
            self._close(second_ms)
            self._forget(second_ms)
        if day.date != self._date:
            self._date = day.date
            self._marks.forget(day.turn_ms - DAY_MS)
        self._second_ms = second_ms

    def _close(self, second_ms: float) -> None:
        closed = self._minutes.close(second_ms)
        for level in self._longer:
            for bars in _by_start(closed):
                level.add(bars, bars[0].start_ms, self._second_ms, self._marks.spans)
            level.close(second_ms)

    def _forget(self, second_ms: int) -> None:
        forgotten = self._minutes.forget(second_ms)
        if self._given:
            for found in forgotten:
                minutes = list(map(unpacked, found))
                for level in self._longer:
                    level.settle(minutes)
        for level in self._longer:
            level.forget(second_ms)
        self._seconds.forget(second_ms, self._lost)
        oldest_ms = second_ms - LATENESS_MS - MINUTE_MS
        self._lost = [lost for lost in self._lost if lost[1] > oldest_ms]
        self._schedule()

    def _schedule(self) -> None:
        self._due_ms = min(level.due_ms for level in self._levels)

    def finish(self) -> None:
        """Close everything."""
        self._seconds.finish()
        self._close(inf)
        self._schedule()

    def gap(self, from_ms: int, to_ms: int) -> None:
        """Candles that overlap the gap carry its mark, those to come included."""
        self._lost.append((from_ms, to_ms))
        self._marks.add(from_ms, to_ms)
        self._seconds.forget(self._second_ms, self._lost)
        self._seconds.mark(from_ms, to_ms)
        for level in self._levels:
            level.mark(from_ms, to_ms)

    def refer(self, references: Iterable[Reference]) -> None:
        """Candles need no references."""

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Candles that changed at a cut, and their exact sums as private state.

        The open candle is written at most once a second of event time: cuts are when it
        changes. The unfinished second waits for its cut.
        """
        changes = Changes()
        self._seconds.drain(changes, self._lost)
        for level in self._levels:
            level.drain(changes)
        if self._marks.changed:
            changes.private[_MARKS] = {"spans": self._marks.pack()}
        return changes

    def renew(self) -> None:
        """Make the next drain write every candle that is still in memory."""
        self._seconds.forget(self._second_ms, self._lost)
        self._seconds.renew()
        for level in self._levels:
            level.renew()
        self._marks.changed = True

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """What could still change then: seconds, and the buckets of every longer interval."""
        names = [name for level in self._levels for name in level.hashes(second_ms)]
        return [_MARKS, *self._seconds.hashes(second_ms), *names]

    def restore(self, private: Hashes) -> None:
        """Read everything back; what can no longer change goes at the next clock."""
        levels = {level.interval: level for level in self._levels}
        for name, values in private.items():
            if name.startswith(BUCKETS):
                _, interval, start_ms = name.split(":")
                self._given |= levels[interval].restore(int(start_ms), values)
        self._seconds.restore(private)
        self._marks = Marks.unpack(private.get(_MARKS, {}).get("spans"))
        self._schedule()


class Marks:
    """Where events were lost in the last day or two, in steps of five minutes.

    That is all that longer candles need to know, also those that begin after the loss.
    """

    STEP_MS: Final = 5 * MINUTE_MS
    MOST_MS: Final = 26 * 3_600 * SECOND_MS
    """A longer loss counts as one of this length: no candle that may change is longer."""

    def __init__(self, steps: Iterable[int] = ()) -> None:
        self.changed = False
        self._steps = frozenset(steps)
        self.spans: Spans = _spans(self._steps, self.STEP_MS)

    def add(self, from_ms: int, to_ms: int) -> None:
        """Events between these times were lost."""
        first_ms = max(from_ms, to_ms - self.MOST_MS) // self.STEP_MS * self.STEP_MS
        self._set(self._steps.union(range(first_ms, to_ms + 1, self.STEP_MS)))

    def forget(self, before_ms: int) -> None:
        """No candle that may change begins before this time."""
        self._set(frozenset(step for step in self._steps if step >= before_ms))

    def _set(self, steps: frozenset[int]) -> None:
        if steps != self._steps:
            self._steps, self.spans = steps, _spans(steps, self.STEP_MS)
            self.changed = True

    def pack(self) -> bytes:
        """As private state; it is written now."""
        self.changed = False
        return _encode(sorted(self._steps))

    @classmethod
    def unpack(cls, packed: bytes | None) -> "Marks":
        """Read ``pack`` back."""
        return cls(_decode_marks(packed) if packed else ())


def bar_of(aggregate: Aggregate) -> Bar:
    """A provider's bar in our terms; the number of trades follows from its average size."""
    start_ms, volume = int(aggregate.start_timestamp), aggregate.volume
    price = aggregate.vwap if aggregate.vwap is not None else aggregate.close
    size = aggregate.average_size
    return Bar(
        aggregate.symbol,
        start_ms,
        volume=volume,
        notional=round(price * volume * NOTIONAL_SCALE),
        trades=round(volume / size) if size else 0,
        high=aggregate.high,
        low=aggregate.low,
        open=aggregate.open,
        open_t=start_ms,
        open_q=0,
        close=aggregate.close,
        close_t=start_ms,
        close_q=0,
    )


def _rebuild(bucket: Bucket, bars: Iterable[Bar]) -> None:
    """Sum a bucket again from its parts."""
    whole = Bar(bucket.symbol, bucket.start_ms)
    for bar in bars:
        whole.merge(bar)
    for name in Bar.__struct_fields__:
        setattr(bucket, name, getattr(whole, name))


def _same(bucket: Bucket, bar: Bar) -> bool:
    return all(getattr(bucket, name) == getattr(bar, name) for name in Bar.__struct_fields__)


def _by_start(buckets: Iterable[Bucket]) -> list[list[Bucket]]:
    groups: dict[int, list[Bucket]] = {}
    for bucket in buckets:
        groups.setdefault(bucket.start_ms, []).append(bucket)
    return list(groups.values())


def _spans(steps: Iterable[int], step_ms: int) -> Spans:
    return [(step, step + step_ms - 1) for step in sorted(steps)]


_MARKS: Final = "candle_gaps"
_encode = msgpack.Encoder().encode
_decode_marks = msgpack.Decoder(list[int]).decode
