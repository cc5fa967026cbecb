"""Quote records: the last state of every symbol, measured against its references.

``components.md`` section 4, *quote record*. A symbol's ``Day`` and its windows change only at
cuts; a drain shows the day together with the unfinished bar of the current second. A row is
written again when a second enters or leaves one of its windows and when its usual volume at
this minute changes, so that it is right also while nothing trades.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from msgspec import msgpack

from tapewire.analyzers import volume_curves, windows
from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.analyzers.day_volumes import Baseline
from tapewire.analyzers.days import Day, concerns
from tapewire.analyzers.gap_mark import GapMarked
from tapewire.analyzers.journal import Journal
from tapewire.analyzers.quote_rows import (
    NO_REFERENCE,
    NOTHING_TOLD,
    Texts,
    Told,
    extends,
    new_row,
    show_bar,
    show_day,
    show_windows,
)
from tapewire.analyzers.volume_curves import VolumeCurves
from tapewire.analyzers.windows import Windows
from tapewire.market.sessions import Session, TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate
from tapewire.model.feeds import quote_hash
from tapewire.model.rows import WATCHED, Fact, QuoteRecord, Reference, encode_row

ALWAYS: Final = ""
"""Date of facts that hold on from one trading day to the next."""


class QuoteRecords(GapMarked):
    """A ``Part`` that keeps one ``Day`` a symbol and publishes ``quote:{symbol}``.

    ``cut_symbols`` collects the symbols whose day changed at a cut, for boards. ``auction``: the
    exchange opens with an auction before the regular session, whose price is the official open
    (NSE and BSE, of the shares in it; architecture section 5: 09:00 to 09:15).
    """

    dated: Final = ("quote", "private:days")

    def __init__(self, auction: bool = False) -> None:
        super().__init__()
        self._auction = auction
        self.days: dict[str, Day] = {}
        self.references: dict[str, dict[str, Reference]] = {}
        self.cut_symbols: set[str] = set()
        self._curves = VolumeCurves()
        self._windows = Windows(self._curves)
        self._facts: dict[str, dict[str, dict[str, Fact]]] = {}
        self._told: dict[str, Told] = {}
        self._shown: dict[str, QuoteRecord] = {}
        self._stored: Hashes = {}
        self._rows: set[str] = set()
        self._dirty: set[str] = set()
        self._journal: Journal[Day] = Journal()
        self._texts: Texts | None = None
        self._first_curves = ""
        self._unfinished: Sequence[Aggregate] = ()
        self._baselines: list[Baseline] = []

    @property
    def date(self) -> str:
        """The trading date of the rows, empty before the first event."""
        return self._day.date if self._day else ""

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """Put a second's bars, and late trades of this trading day, into their days."""
        day = self._day
        if day is None:
            return
        today = [bar for bar in (*bars, *late) if bar.start_ms >= day.turn_ms]
        for bar in today:
            self._merge(bar, day)
        self._windows.add(today)
        baselines, self._baselines = self._baselines, []
        for one in baselines:
            self._merge_baseline(one, day.session_at(one.t))

    def _merge(self, bar: Bar, day: TradingDay) -> None:
        symbol, session = bar.symbol, day.session_at(bar.start_ms)
        if not concerns(bar, session):
            return
        record = self.days.get(symbol)
        if record is None:
            record = self.days[symbol] = Day(symbol)
        record.merge(bar, session)
        if self._auction and session is Session.PRE and bar.trades:
            record.open_at(bar.close, bar.close_t, bar.close_q)
        self._touch(symbol)

    def stand(self, baseline: Baseline) -> None:
        """Show a broker's baseline with the cut: volume and last price, of which no bar tells."""
        self._baselines.append(baseline)

    def _merge_baseline(self, one: Baseline, session: Session) -> None:
        record = self.days.get(one.key)
        if record is None:
            record = self.days[one.key] = Day(one.key)
        record.stand(one.unseen, one.price, one.t, session)
        if self._auction and session is Session.PRE and one.unseen:
            record.open_at(one.price, one.t, 0)
        self._touch(one.key)

    def _touch(self, symbol: str) -> None:
        self.cut_symbols.add(symbol)
        self._dirty.add(symbol)

    def take(self, aggregate: Aggregate) -> None:
        """Put a provider's bar in: its sums are the day's, so the newest one counts."""
        day = self._day
        start_ms = int(aggregate.start_timestamp)
        if day is None or start_ms < day.turn_ms:
            return
        record = self.days.get(aggregate.symbol)
        if record is None:
            record = self.days[aggregate.symbol] = Day(aggregate.symbol)
        record.take(aggregate, day.session_at(start_ms))
        self._windows.take(aggregate)
        self._touch(aggregate.symbol)

    def show(self, aggregates: Sequence[Aggregate]) -> None:
        """Show these with the next drain; the cut brings them again."""
        self._unfinished = aggregates

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Move the windows; turn the day, and at the open the base of ``change_since_open``."""
        before = self._day
        if before is None:
            self._begin(second_ms, day)
        elif day.date != before.date:
            self._turn(second_ms, day)
        elif self._second_ms < day.open_ms <= second_ms:
            self._touch_all()
        self._stand(second_ms, day)
        self._move(second_ms)

    def _begin(self, second_ms: int, day: TradingDay) -> None:
        """The first second of this owner: the first of all, or where the earlier one stood."""
        self._enter(day)
        if not self._stored:
            self._curves.begin(day, second_ms)
            return
        stored, self._stored = self._stored, {}
        self._curves.restore(day, second_ms, _named(stored, volume_curves.PREFIX))
        self._curves.want(self.days)
        aged = {symbol: (record.aged, record.aged_s) for symbol, record in self.days.items()}
        self._windows.restore(second_ms, day.turn_ms, _named(stored, windows.PREFIX), aged)

    def _turn(self, second_ms: int, day: TradingDay) -> None:
        self._windows.end_day()
        self._windows.clear()
        self._curves.begin(day, second_ms)
        self._first_curves = volume_curves.first_date(day.date)
        self.days = {}
        self.cut_symbols, self._rows, self._dirty = set(), set(), set()
        self._journal = Journal()
        for kept in (self.references, self._facts):
            for old in [known for known in kept if ALWAYS < known < day.date]:
                del kept[old]
        self._enter(day)

    def _enter(self, day: TradingDay) -> None:
        self._texts, self._told, self._shown = Texts(day), {}, {}
        for date in (ALWAYS, day.date):
            for facts in self._facts.get(date, {}).values():
                for fact in facts.values():
                    self._tell(fact)

    def _move(self, second_ms: int) -> None:
        """Rows change with their windows and their usual volume; the oldest price is kept."""
        self._rows |= self._windows.clock(second_ms)
        self._rows |= self._curves.clock(second_ms) & self.days.keys()
        for symbol, aged, aged_s in self._windows.drain_aged():
            record = self.days[symbol]
            record.aged, record.aged_s = aged, aged_s
            self._dirty.add(symbol)

    def _touch_all(self) -> None:
        self._rows.update(self.days)
        self.cut_symbols.update(self.days)

    def finish(self) -> None:
        """Nothing stays open in a quote record."""

    def gap(self, from_ms: int, to_ms: int) -> None:
        """Every row of the shard carries ``gap`` until the session ends."""
        if self._day is not None:
            self._curves.lose(self._day, from_ms, to_ms)
        super().gap(from_ms, to_ms)

    def _touch_rows(self) -> None:
        self._rows.update(self.days)

    def refer(self, references: Iterable[Reference]) -> None:
        """Take reference rows in by (date, symbol); rows that exist change with them."""
        for reference in references:
            self.references.setdefault(reference.date, {})[reference.symbol] = reference
            self._shown.pop(reference.symbol, None)
            if reference.date == self.date and reference.symbol in self.days:
                self._rows.add(reference.symbol)
                self.cut_symbols.add(reference.symbol)

    def learn(self, facts: Iterable[Fact]) -> None:
        """Take facts in by (date, symbol, field); rows that exist change with them."""
        for fact in facts:
            if fact.field == "volume_curve":
                assert isinstance(fact.value, bytes)
                self._curves.warm(fact.date, fact.symbol, fact.value)
                continue
            if fact.field == WATCHED:
                continue  # TopTradesAnalyzer's
            known = self._facts.setdefault(fact.date, {}).setdefault(fact.symbol, {})
            known[fact.field] = fact
            if fact.date in (ALWAYS, self.date):
                self._tell(fact)

    def _tell(self, fact: Fact) -> None:
        told = self._told.get(fact.symbol)
        if told is None:
            told = self._told[fact.symbol] = Told()
        told.learn(fact)
        self._shown.pop(fact.symbol, None)
        if fact.symbol in self.days:
            self._rows.add(fact.symbol)

    @property
    def references_of_day(self) -> Mapping[str, Reference]:
        """The day's reference rows by symbol."""
        return self.references.get(self.date, {})

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Rows that changed, and the state behind them as private state."""
        changes = Changes()
        day = self._day
        if day is None:
            return changes
        changed = self._rows | self._dirty
        shown = chain(self._of_bars(unfinished, changed, day), self._of_unfinished(changed, day))
        rows = {row.symbol: encode_row(row) for row in shown}
        for symbol in changed - rows.keys():
            rows[symbol] = encode_row(self._of_day(self.days[symbol], changed, day))
        if rows:
            changes.rows[quote_hash(day.date)] = rows
        changes.private |= self._windows.drain() | self._curves.drain()
        changes.dropped += [f"private:{name}" for name in self._windows.drain_dropped()]
        if self._first_curves:
            changes.outdated["private:volume_curves"] = self._first_curves
            self._first_curves = ""
        if self._dirty:
            days = {symbol: self.days[symbol] for symbol in self._dirty}
            changes.private[_days_hash(day.date)] = self._journal.write(days, self.days.get)
        self._rows, self._dirty = set(), set()
        return changes

    def _of_bars(
        self, unfinished: Sequence[Bar], changed: Collection[str], day: TradingDay
    ) -> Iterator[QuoteRecord]:
        """Rows of days together with the unfinished bars of the current second.

        One at a time: a row is packed while all of its symbol is still in the processor's cache.
        """
        session, relative, gap = day.session_at(self._second_ms), self._curves.relative, self._gap
        days, rows, texts = self.days.get, self._shown.get, self._texts
        regular = self._second_ms >= day.open_ms
        assert texts is not None
        for bar in unfinished:
            if not concerns(bar, session):
                continue
            symbol = bar.symbol
            record, row = days(symbol), rows(symbol)
            if record is None or not extends(bar, record, session):
                merged = copied(record) if record else Day(symbol)
                merged.merge(bar, session)
                yield self._of_day(merged, changed, day)
                continue
            if row is None or symbol in changed:
                row = self._row(symbol)
            show_bar(row, record, bar, regular, texts)
            row.relative_volume_tod = relative(symbol, row.accumulated_volume)
            row.gap = gap
            yield row

    def _of_unfinished(self, changed: Collection[str], day: TradingDay) -> Iterator[QuoteRecord]:
        """Rows of days together with the provider's bars that wait for the cut."""
        unfinished, self._unfinished = self._unfinished, ()
        for aggregate in unfinished:
            start_ms = int(aggregate.start_timestamp)
            if start_ms >= day.turn_ms:
                record = self.days.get(aggregate.symbol)
                merged = copied(record) if record else Day(aggregate.symbol)
                merged.take(aggregate, day.session_at(start_ms))
                yield self._of_day(merged, changed, day)

    def _of_day(self, record: Day, changed: Collection[str], day: TradingDay) -> QuoteRecord:
        """The row of a day; windows are others only of the ``changed``."""
        symbol, texts = record.symbol, self._texts
        row = self._shown.get(symbol)
        if row is None or symbol in changed:
            row = self._row(symbol)
        assert texts is not None
        show_day(row, record, self._second_ms >= day.open_ms, texts)
        row.relative_volume_tod = self._curves.relative(symbol, record.volume)
        row.gap = self._gap
        return row

    def _row(self, symbol: str) -> QuoteRecord:
        """A symbol's row with its windows as of the cut."""
        row = self._shown.get(symbol)
        if row is None:
            told = self._told.get(symbol, NOTHING_TOLD)
            reference = self.references_of_day.get(symbol, NO_REFERENCE)
            row = self._shown[symbol] = new_row(symbol, reference, told)
        show_windows(row, self._windows.figures(symbol))
        return row

    def renew(self) -> None:
        """Make the next drain write every row."""
        self._dirty.update(self.days)
        self._journal.renew()
        self.cut_symbols.update(self.days)
        self._windows.renew()
        self._curves.renew()

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """The days, what their windows hold, and the volume curves of earlier sessions."""
        return [_days_hash(date), *windows.hashes(second_ms), *volume_curves.hashes(date)]

    def restore(self, private: Hashes) -> None:
        """Read the days back; boards are rebuilt from them, and windows at the first clock."""
        self._stored = private
        for values in _named(private, _DAYS).values():
            days = self._journal.read(values)
            self.days = {symbol: _decode_day(packed) for symbol, packed in days.items()}
        self.cut_symbols = set(self.days)


def copied(record: Day) -> Day:
    """A copy of a day, a third faster than ``copy.copy``: thousands are made in one flush."""
    return record.__copy__()  # type: ignore[no-any-return,attr-defined]


def _named(private: Hashes, prefix: str) -> dict[str, Mapping[str, bytes]]:
    return {name: values for name, values in private.items() if name.startswith(prefix)}


_DAYS = "days:"


def _days_hash(date: str) -> str:
    return f"{_DAYS}{date}"


_decode_day = msgpack.Decoder(Day).decode
