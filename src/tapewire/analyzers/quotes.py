"""Quote records: the last state of every symbol, measured against its references.

``components.md`` section 4, *quote record*. A symbol's ``Day`` changes only at cuts; a
drain shows it together with the unfinished bar of the current second.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from math import isinf

from msgspec import msgpack

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.analyzers.days import Day, Print, concerns
from tapewire.market.sessions import Session, TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate
from tapewire.model.feeds import quote_hash
from tapewire.model.rows import QuoteRecord, Reference, encode_row

_NO_REFERENCE = Reference("", "")


class QuoteRecords:
    """A ``Part`` that keeps one ``Day`` a symbol and publishes ``quote:{symbol}``.

    ``cut_symbols`` collects the symbols whose day changed at a cut, for boards.
    """

    def __init__(self) -> None:
        self.days: dict[str, Day] = {}
        self.references: dict[str, dict[str, Reference]] = {}
        self.cut_symbols: set[str] = set()
        self._dirty: set[str] = set()
        self._day: TradingDay | None = None
        self._second_ms = -1
        self._lost_until_ms = -1
        self._gap = False

    @property
    def date(self) -> str:
        """The trading date of the rows, empty before the first event."""
        return self._day.date if self._day else ""

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """Put a second's bars, and late trades of this trading day, into their days."""
        day = self._day
        if day is None:
            return
        for group in (bars, late):
            for bar in group:
                if bar.start_ms >= day.turn_ms:
                    self._merge(bar, day)

    def _merge(self, bar: Bar, day: TradingDay) -> None:
        symbol, session = bar.symbol, day.session_at(bar.start_ms)
        if not concerns(bar, session):
            return
        record = self.days.get(symbol)
        if record is None:
            record = self.days[symbol] = Day(symbol)
        record.merge(bar, session)
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
        self.cut_symbols.add(aggregate.symbol)
        self._dirty.add(aggregate.symbol)

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Turn the day, and at the open turn the base of ``change_since_open``."""
        if self._day is not None and day.date != self._day.date:
            self._turn(day.date)
        elif self._day is not None and self._second_ms < day.open_ms <= second_ms:
            self._touch_all()
        self._day, self._second_ms = day, second_ms
        self._mark()

    def _turn(self, date: str) -> None:
        self.days = {}
        self.cut_symbols, self._dirty = set(), set()
        for old in [known for known in self.references if known < date]:
            del self.references[old]

    def _touch_all(self) -> None:
        self._dirty.update(self.days)
        self.cut_symbols.update(self.days)

    def finish(self) -> None:
        """Nothing stays open in a quote record."""

    def gap(self, from_ms: int, to_ms: int) -> None:
        """Every row of the shard carries ``gap`` until the session ends."""
        self._lost_until_ms = max(self._lost_until_ms, to_ms)
        self._mark()

    def _mark(self) -> None:
        """Rows are marked while a session lasts into which a gap reaches."""
        if self._day is None or self._lost_until_ms < 0:
            return
        marked = self._lost_until_ms >= session_start_ms(self._day, self._second_ms)
        if marked is not self._gap:
            self._gap = marked
            self._dirty.update(self.days)

    def refer(self, references: Iterable[Reference]) -> None:
        """Take reference rows in by (date, symbol); rows that exist change with them."""
        for reference in references:
            self.references.setdefault(reference.date, {})[reference.symbol] = reference
            if reference.date == self.date and reference.symbol in self.days:
                self._dirty.add(reference.symbol)
                self.cut_symbols.add(reference.symbol)

    def reference(self, symbol: str) -> Reference:
        """The day's reference row of a symbol, or one without values."""
        return self.references.get(self.date, {}).get(symbol, _NO_REFERENCE)

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Rows that changed, and the days behind them as private state."""
        day = self._day
        changes = Changes()
        if day is None:
            return changes
        rows = {symbol: self._row(self.days[symbol], day) for symbol in self._dirty}
        for bar in unfinished:
            session = day.session_at(bar.start_ms)
            if concerns(bar, session):
                rows[bar.symbol] = self._row(self._with(bar, session), day)
        if rows:
            changes.rows[quote_hash(day.date)] = rows
        if self._dirty:
            days = {symbol: _encode(self.days[symbol]) for symbol in self._dirty}
            changes.private[_days_hash(day.date)] = days
            self._dirty = set()
        return changes

    def _with(self, bar: Bar, session: Session) -> Day:
        record = self.days.get(bar.symbol)
        seen = copy(record) if record else Day(bar.symbol)
        seen.merge(bar, session)
        return seen

    def _row(self, record: Day, day: TradingDay) -> bytes:
        reference = self.references.get(day.date, {}).get(record.symbol, _NO_REFERENCE)
        regular = self._second_ms >= day.open_ms
        return encode_row(quote_record(record, reference, day, regular, self._gap))

    def renew(self) -> None:
        """Make the next drain write every row."""
        self._dirty.update(self.days)
        self.cut_symbols.update(self.days)

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """The days."""
        return [_days_hash(date)]

    def restore(self, private: Hashes) -> None:
        """Read the days back; boards are rebuilt from them."""
        for name, values in private.items():
            if name.startswith(_DAYS):
                self.days = {symbol: _decode_day(value) for symbol, value in values.items()}
        self.cut_symbols = set(self.days)


def session_start_ms(day: TradingDay, timestamp_ms: int) -> int:
    """When the session (or the closed time) of a moment in this trading day began."""
    bounds = (day.pre_ms, day.open_ms, day.close_ms, day.post_ms)
    return max((bound for bound in bounds if bound <= timestamp_ms), default=day.turn_ms)


def base_of(record: Day, regular: bool) -> tuple[Print, str] | None:
    """The price that ``change_since_open`` starts from, and its name.

    The official open once there is one, else the first eligible regular trade; before
    09:30 the first pre-market price. None where there is none of these yet.
    """
    if not regular:
        return (record.pre_open, "first pre-market trade") if record.pre_open else None
    if record.official:
        return record.official, "official open"
    return (record.regular_open, "first regular trade") if record.regular_open else None


def change(close: float | None, base: float | None) -> tuple[float | None, float | None]:
    """Difference and percent (5.0 for 5 %) from a base; None without one or when it is 0."""
    if close is None or not base:
        return None, None
    difference = close - base
    return difference, 100 * difference / base


def quote_record(
    record: Day, reference: Reference, day: TradingDay, regular: bool, gap: bool
) -> QuoteRecord:
    """The row of one symbol; ``regular`` is whether 09:30 has passed."""
    close = record.close if record.close_t >= 0 else None
    base = base_of(record, regular)
    difference, percent = change(close, reference.prev_day_close)
    since, percent_since = change(close, base[0].price if base else None)
    average = reference.avg_volume
    return QuoteRecord(
        symbol=record.symbol,
        volume=record.second_volume,
        free_float=reference.free_float,
        accumulated_volume=record.volume,
        relative_volume=record.volume / average if average else None,
        official_open_price=record.official.price if record.official else None,
        vwap=record.second_vwap,
        open=base[0].price if base else None,
        close=close,
        high=_finite(record.second_high),
        low=_finite(record.second_low),
        aggregate_vwap=record.vwap,
        average_size=record.average_size,
        avg_volume=average,
        prev_day_close=reference.prev_day_close,
        prev_day_open=reference.prev_day_open,
        prev_day_high=reference.prev_day_high,
        prev_day_low=reference.prev_day_low,
        prev_day_volume=reference.prev_day_volume,
        prev_day_vwap=reference.prev_day_vwap,
        change=difference,
        pct_change=percent,
        change_since_open=since,
        pct_change_since_open=percent_since,
        start_timestamp=record.start_ms,
        end_timestamp=record.end_ms,
        session=day.session_at(record.start_ms).value,
        day_high=_finite(record.high),
        day_low=_finite(record.low),
        base_note=base[1] if base else None,
        gap=gap,
    )


def _finite(price: float) -> float | None:
    return None if isinf(price) else price


_DAYS = "days:"


def _days_hash(date: str) -> str:
    return f"{_DAYS}{date}"


_encode = msgpack.Encoder().encode
_decode_day = msgpack.Decoder(Day).decode
