"""Candles of one length in the making: buckets of bars until they can no longer change.

A bucket is closed when event time passes its end by the grace, and stays for the allowed
lateness after that, packed. What is kept of it is exact: sums, order keys, revision.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Final

from msgspec import msgpack

from tapewire.analyzers.bars import Bar
from tapewire.analyzers.journal import Journal
from tapewire.analyzers.shard_clock import LATENESS_MS
from tapewire.market.sessions import SessionCalendar
from tapewire.model.candle_names import INTERVALS, around_symbol, candle_field
from tapewire.model.changes import PRIVATE, Changes
from tapewire.model.packed_candles import candle_fields, encode_packed, state_of

Spans = Sequence[tuple[int, int]]
"""Times in which events were lost: from and to, ms UTC, both included."""


class Bucket(Bar):
    """A bar of one candle's span with what became of it.

    Of a provider's bars (``given``), ``settled`` holds a longer candle's minutes that can no
    longer be corrected: the rest is summed again when one is.
    """

    date: str = ""
    closed: bool = False
    revision: int = 0
    gap: bool = False
    given: bool = False
    settled: Bar | None = None


class Level:
    """The buckets of one interval (``1m`` to ``1d``), by start and symbol.

    ``due_ms`` is when the next of them closes or may be forgotten.
    """

    def __init__(
        self, interval: str, calendar: SessionCalendar, exchange: str, grace_ms: int
    ) -> None:
        self.interval = interval
        self.due_ms: float = inf
        self._length_ms = INTERVALS[interval]
        self._origin_ms = calendar.first_ms % self._length_ms  # hours of India begin at :30 UTC
        self._calendar = calendar
        self._exchange = exchange
        self._grace_ms = grace_ms
        self._buckets: dict[int, dict[str, Bucket | bytes]] = {}
        self._ends: dict[int, int] = {}
        self._unclosed: set[int] = set()
        self._changed: dict[int, dict[str, Bucket | bytes]] = {}
        self._settled: dict[int, dict[str, Bucket]] = {}
        self._journals: dict[int, Journal[Bucket]] = {}  # of those that are not closed
        self._written: set[int] = set()
        self._dropped: list[str] = []

    def __len__(self) -> int:
        """How many buckets are in memory."""
        return sum(map(len, self._buckets.values()))

    def span(self, timestamp_ms: int) -> tuple[int, int]:
        """Start and end of the bucket that a time falls in; a day's is its trading date."""
        if self.interval == "1d":
            day = self._calendar.day_at(timestamp_ms)
            return day.turn_ms, day.next_turn_ms
        start_ms = timestamp_ms - (timestamp_ms - self._origin_ms) % self._length_ms
        return start_ms, start_ms + self._length_ms

    def add(self, bars: Iterable[Bar], timestamp_ms: int, second_ms: int, lost: Spans) -> None:
        """Put bars of a time into its bucket; ``second_ms`` is where event time stands."""
        start_ms, end_ms = self.span(timestamp_ms)
        buckets = self._at(start_ms, end_ms, second_ms)
        changed = self._changed.setdefault(start_ms, {})
        for bar in bars:
            symbol = bar.symbol
            bucket = buckets.get(symbol)
            if type(bucket) is not Bucket:
                bucket = self._take_out(symbol, start_ms, end_ms, lost)
            bucket.merge(bar)
            changed[symbol] = bucket

    def of(self, symbol: str, timestamp_ms: int, second_ms: int, lost: Spans) -> Bucket:
        """A symbol's bucket of a time, to be changed."""
        start_ms, end_ms = self.span(timestamp_ms)
        self._at(start_ms, end_ms, second_ms)
        bucket = self._take_out(symbol, start_ms, end_ms, lost)
        self._changed.setdefault(start_ms, {})[symbol] = bucket
        return bucket

    def known(self, symbol: str, timestamp_ms: int) -> Bucket | None:
        """A symbol's bucket of a time if there is one; not to be changed."""
        found = self._buckets.get(self.span(timestamp_ms)[0], {}).get(symbol)
        return None if found is None else unpacked(found)

    def within(self, symbol: str, start_ms: int, end_ms: int) -> Iterator[Bucket]:
        """A symbol's closed buckets between two times, oldest first; not to be changed."""
        for start in sorted(start for start in self._buckets if start_ms <= start < end_ms):
            bucket = self.known(symbol, start)
            if bucket is not None and bucket.closed:
                yield bucket

    def _at(self, start_ms: int, end_ms: int, second_ms: int) -> dict[str, Bucket | bytes]:
        buckets = self._buckets.get(start_ms)
        if buckets is None:
            buckets = self._buckets[start_ms] = {}
            self._ends[start_ms] = end_ms
            if second_ms < end_ms + self._grace_ms:
                self._unclosed.add(start_ms)
            self._schedule(start_ms)
        return buckets

    def _schedule(self, start_ms: int) -> None:
        wait_ms = self._grace_ms if start_ms in self._unclosed else LATENESS_MS
        self.due_ms = min(self.due_ms, self._ends[start_ms] + wait_ms)

    def _take_out(self, symbol: str, start_ms: int, end_ms: int, lost: Spans) -> Bucket:
        """An existing bucket, unpacked, or a new one: closed when its time is over."""
        buckets = self._buckets[start_ms]
        found = buckets.get(symbol)
        if found is not None:
            bucket = unpacked(found)
        else:
            closed, gap = start_ms not in self._unclosed, overlaps(lost, start_ms, end_ms)
            date = self._calendar.trading_date(start_ms)
            bucket = Bucket(symbol, start_ms, date=date, closed=closed, gap=gap)
        buckets[symbol] = bucket
        return bucket

    def close(self, second_ms: float) -> list[Bucket]:
        """Close the buckets whose time has passed; these, by time."""
        due = sorted(s for s in self._unclosed if self._ends[s] + self._grace_ms <= second_ms)
        closed: list[Bucket] = []
        for start_ms in due:
            self._unclosed.discard(start_ms)
            changed = self._changed.setdefault(start_ms, {})
            for symbol, bucket in self._buckets[start_ms].items():
                if isinstance(bucket, Bucket):
                    bucket.closed = True
                    changed[symbol] = bucket
                    closed.append(bucket)
        return closed

    def forget(self, second_ms: int) -> list[Iterable[Bucket | bytes]]:
        """Forget buckets that can no longer change; these, by start, as they were kept."""
        old = [start for start, end in self._ends.items() if end <= second_ms - LATENESS_MS]
        forgotten: list[Iterable[Bucket | bytes]] = []
        for start_ms in old:
            if start_ms not in self._unclosed:
                del self._ends[start_ms]
                forgotten.append(self._buckets.pop(start_ms).values())
                self._journals.pop(start_ms, None)
                if start_ms in self._written:
                    self._written.discard(start_ms)
                    self._dropped.append(PRIVATE + self._private(start_ms))
        self.due_ms = inf
        for start_ms in self._ends:
            self._schedule(start_ms)
        return forgotten

    def settle(self, minutes: Iterable[Bucket]) -> None:
        """Note minutes of a provider's bars that can no longer be corrected."""
        for minute in minutes:
            start_ms, end_ms = self.span(minute.start_ms)
            symbol = minute.symbol
            if minute.given and symbol in self._buckets.get(start_ms, ()):
                bucket = self._take_out(symbol, start_ms, end_ms, ())
                if bucket.settled is None:
                    bucket.settled = Bar(symbol, start_ms)
                bucket.settled.merge(minute)
                self._settled.setdefault(start_ms, {})[symbol] = bucket

    def mark(self, from_ms: int, to_ms: int) -> None:
        """Mark the buckets that touch a time in which events were lost."""
        for start_ms, end_ms in self._ends.items():
            if from_ms < end_ms and start_ms <= to_ms:
                for symbol, found in self._buckets[start_ms].items():
                    bucket = unpacked(found)
                    if not bucket.gap:
                        bucket.gap = True
                        self._changed.setdefault(start_ms, {})[symbol] = bucket
                        self._buckets[start_ms][symbol] = bucket

    def drain(self, changes: Changes) -> None:
        """Add what changed: rows of buckets with a price, and the exact state of all."""
        for start_ms, found in self._changed.items():
            changed = {symbol: unpacked(bucket) for symbol, bucket in found.items()}
            self._show(changes.rows, start_ms, changed)
            self._save(changes.private, start_ms, changed | self._settled.pop(start_ms, {}))
        for start_ms, settled in self._settled.items():
            self._save(changes.private, start_ms, settled)
        self._changed, self._settled = {}, {}
        changes.dropped += self._dropped
        self._dropped = []

    def _show(
        self, rows: dict[str, dict[str, bytes]], start_ms: int, buckets: Mapping[str, Bucket]
    ) -> None:
        """Add the rows of one start's buckets."""
        date = self._calendar.trading_date(start_ms)
        before, after = around_symbol(self._exchange, self.interval, date, start_ms)
        field = candle_field(date, start_ms)
        for symbol, bucket in buckets.items():
            if bucket.close_t >= 0:
                name, row = before + symbol + after, encode_packed(_fields(bucket))
                if name in rows:
                    rows[name][field] = row
                else:
                    rows[name] = {field: row}

    def _save(
        self, private: dict[str, dict[str, bytes]], start_ms: int, changed: Mapping[str, Bucket]
    ) -> None:
        """Add the private state of buckets that are still in memory; closed ones are packed."""
        buckets = self._buckets.get(start_ms)
        if not buckets or not changed:
            return
        private[self._private(start_ms)] = (
            self._journaled(start_ms, buckets, changed)
            if start_ms in self._unclosed
            else self._packed(start_ms, buckets, changed)
        )
        self._written.add(start_ms)

    def _journaled(
        self,
        start_ms: int,
        buckets: Mapping[str, Bucket | bytes],
        changed: Mapping[str, Bucket],
    ) -> dict[str, bytes]:
        journal = self._journals.get(start_ms)
        if journal is None:
            journal = self._journals[start_ms] = Journal()
        return journal.write(changed, lambda symbol: unpacked(buckets[symbol]))

    def _packed(
        self, start_ms: int, buckets: dict[str, Bucket | bytes], changed: Mapping[str, Bucket]
    ) -> dict[str, bytes]:
        """A field for each bucket: all of them when they have just been closed."""
        fields = {symbol: _encode(bucket) for symbol, bucket in changed.items()}
        buckets.update(fields)
        journal = self._journals.pop(start_ms, None)
        return fields | journal.emptied() if journal else fields

    def renew(self) -> None:
        """Make the next drain write every bucket that is still in memory."""
        for start_ms, buckets in self._buckets.items():
            self._changed.setdefault(start_ms, {}).update(buckets)
        for journal in self._journals.values():
            journal.renew()

    def hashes(self, second_ms: int) -> list[str]:
        """Private hashes of the buckets that could be in memory then."""
        wait_ms = max(LATENESS_MS, self._grace_ms)
        start_ms, end_ms = self.span(second_ms)
        names = []
        while end_ms + wait_ms > second_ms:
            names.append(self._private(start_ms))
            start_ms, end_ms = self.span(start_ms - 1)
        return names

    def restore(self, start_ms: int, fields: Mapping[str, bytes]) -> bool:
        """Read the buckets of one start back; whether any was given by a provider."""
        journal: Journal[Bucket] = Journal()
        buckets: dict[str, Bucket | bytes] = {}
        given = False
        for symbol, packed in journal.read(fields).items():
            bucket = _decode(packed)
            given |= bucket.given
            buckets[symbol] = packed if bucket.closed else bucket
            if not bucket.closed:
                self._unclosed.add(start_ms)
        if start_ms in self._unclosed:
            self._journals[start_ms] = journal
        if buckets:
            self._buckets[start_ms] = buckets
            self._ends[start_ms] = self.span(start_ms)[1]
            self._written.add(start_ms)
            self._schedule(start_ms)
        return given

    def _private(self, start_ms: int) -> str:
        return f"{BUCKETS}{self.interval}:{start_ms}"


def overlaps(spans: Spans, start_ms: int, end_ms: int) -> bool:
    """Whether a time before ``end_ms``, from ``start_ms`` on, lies in one of these."""
    return any(first < end_ms and start_ms <= last for first, last in spans)


def unpacked(found: Bucket | bytes) -> Bucket:
    """A bucket, however it was kept."""
    return _decode(found) if isinstance(found, bytes) else found


def _fields(bucket: Bucket) -> tuple[object, ...]:
    state = state_of(bucket.closed, bucket.gap, bucket.revision, bucket.estimated)
    prices = (bucket.open, bucket.high, bucket.low, bucket.close)
    return candle_fields(state, prices, bucket.volume, bucket.trades, bucket.notional)


BUCKETS: Final = "buckets:"
_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Bucket).decode
