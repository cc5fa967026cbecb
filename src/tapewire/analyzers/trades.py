"""The hot loop: trades into bars of the current second, one touch a trade.

A trade that is in order for its symbol (its time not before, its sequence above the
symbol's last) takes the short way; the first of a second, late ones, duplicates and
those out of order take the long one. Both give the same bars, and keep the trades that were
applied until a drain or the second's end: only then are their sequences put away and the
parts that look at single trades shown them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS, Bar, Recent
from tapewire.analyzers.day_before import DayBefore, is_repeated
from tapewire.analyzers.part import Part, SeesTrades
from tapewire.analyzers.second_log import SecondLog
from tapewire.analyzers.shard_clock import LATENESS_MS, ShardClock, read_standing
from tapewire.market.conditions import ALL, ConditionTable
from tapewire.market.sessions import SessionCalendar
from tapewire.model.changes import PRIVATE, Changes
from tapewire.model.events import Clock, Event, Gap, Trade
from tapewire.model.rows import NOTIONAL_SCALE, Fact, Reference
from tapewire.model.streams import Stream

_MARKS = frozenset({Clock, Gap})


class Logged(Struct, array_like=True, gc=False):
    """Of one symbol: the sequences that came since the last drain, and its bar if that changed."""

    symbol: str
    sequences: list[int]
    bar: Bar | None


class TradeFold:
    """Fold the ``trades`` stream; an ``Analyzer``.

    ``skipped`` counts trades that were not applied: ``duplicate`` (symbol and sequence
    within the symbol's last 1,024), ``too_late`` (over 15 minutes), ``bad_price`` (zero
    or less), ``bad_timestamp`` (outside the calendar). ``name`` keeps the private state
    of two folds of one shard apart.
    """

    stream = Stream.TRADES

    def __init__(
        self,
        calendar: SessionCalendar,
        parts: Sequence[Part],
        conditions: ConditionTable | None = None,
        name: str = "trades",
    ) -> None:
        self._clock = ShardClock(calendar, parts, [f"{PRIVATE}{name}_recent"])
        self._calendar = calendar
        self._conditions = conditions or ConditionTable.named("massive")
        self._effects = self._conditions.extended
        self._name = name
        self._current: dict[str, tuple[Bar, Callable[[Trade], None]]] = {}
        self._kept: dict[str, list[Trade]] = {}
        self._recent: dict[str, Recent] = {}
        self._unsaved: set[str] = set()
        self._before = DayBefore()
        self._mixed: set[str] = set()
        self._seeing = [part for part in parts if isinstance(part, SeesTrades)]
        self._late: list[Bar] = []
        self._drained: dict[str, int] = {}
        self._log = SecondLog(name, Logged)
        self._logged: set[str] = set()
        self._standing_changed = False
        self.skipped: Counter[str] = Counter()

    @property
    def second_ms(self) -> int:
        """Start of the current second of event time, -1 before the first event."""
        return self._clock.second_ms

    def apply(self, events: Sequence[Event]) -> None:
        """Fold trades, clocks and gaps in order."""
        if _MARKS.isdisjoint(map(type, events)):
            self._fold(events)  # type: ignore[arg-type]
            return
        for event in events:
            if isinstance(event, Clock):
                self._tick(event)
            elif isinstance(event, Gap):
                self._clock.gap(event)
                self._standing_changed = self._clock.second_ms >= 0
                self._drained = {}
            else:
                self._fold((event,))  # type: ignore[arg-type]

    def _fold(self, trades: Iterable[Trade]) -> None:  # noqa: C901  # one loop, no calls
        cut_ms, find, effects = self._clock.cut_ms, self._current.get, self._effects
        for trade in trades:
            t = trade.timestamp_ms
            if t >= cut_ms:
                if not self._cut(int(t)):
                    continue
                cut_ms, find, effects = self._clock.cut_ms, self._current.get, self._effects
            entry = find(trade.symbol)
            if entry is None:
                self._irregular(trade)
                continue
            bar, keep = entry
            q = trade.sequence
            if q <= bar.last_q or t < bar.last_t:
                self._irregular(trade)
                continue
            bits = effects[trade.conditions]
            if bits != ALL:
                self._add(bar, keep, trade, bits)
                continue
            price = trade.price
            if price < bar.low:
                if price <= 0:
                    self.skipped["bad_price"] += 1
                    continue
                bar.low = price
            if price > bar.high:
                bar.high = price
            keep(trade)
            size = trade.size
            bar.seen += 1
            bar.trades += 1
            bar.volume += size
            if size > bar.largest:
                bar.largest = size
            bar.notional += int(price * NOTIONAL_SCALE + 0.5) * size
            bar.close = price
            bar.close_t = bar.last_t = t  # type: ignore[assignment]
            bar.close_q = bar.last_q = q  # type: ignore[assignment]
            if bar.open_t < 0:
                bar.open, bar.open_t, bar.open_q = price, t, q  # type: ignore[assignment]

    def _add(self, bar: Bar, keep: Callable[[Trade], None], trade: Trade, effects: int) -> None:
        if trade.price <= 0:
            self.skipped["bad_price"] += 1
            return
        keep(trade)
        bar.add(trade, effects)

    def _irregular(self, trade: Trade) -> None:
        symbol, t, q = trade.symbol, int(trade.timestamp_ms), int(trade.sequence)
        reason = self._objection(trade, t)
        if reason:
            self.skipped[reason] += 1
            return
        if t < self._turn_ms:
            self._of_day_before(trade, t)
            return
        recent = self._recent.get(symbol)
        if recent is None:
            recent = self._recent[symbol] = Recent()
        entry, kept = self._current.get(symbol), self._kept.setdefault(symbol, [])
        newest = max(recent.newest, entry[0].last_q) if entry else recent.newest
        if 0 < q <= newest and is_repeated(q, self._of_today(symbol, kept), recent):
            self.skipped["duplicate"] += 1
            return
        kept.append(trade)
        recent.note(q)
        if t < self._clock.second_ms:
            self._add_late(trade, t)
            return
        if entry is None:
            bar = Bar(symbol, self._clock.second_ms, last_q=newest)
            self._current[symbol] = entry = (bar, kept.append)
        entry[0].add(trade, self._effects[trade.conditions])

    def _of_day_before(self, trade: Trade, t: int) -> None:
        """A late trade from before the turn: sequences begin anew with each day."""
        if self._before.keep(trade):
            self._kept.setdefault(trade.symbol, []).append(trade)
            self._mixed.add(trade.symbol)
            self._add_late(trade, t)
        else:
            self.skipped["duplicate"] += 1

    def _of_today(self, symbol: str, kept: Sequence[Trade]) -> Sequence[Trade]:
        """Without those of the day before."""
        if symbol not in self._mixed:
            return kept
        return [trade for trade in kept if trade.timestamp_ms >= self._turn_ms]

    @property
    def _turn_ms(self) -> int:
        return self._clock.day.turn_ms if self._clock.day else -1

    def _objection(self, trade: Trade, t: int) -> str | None:
        """Why a trade is not applied at all, None when it is."""
        if trade.price <= 0:
            return "bad_price"
        return "too_late" if t < self._clock.second_ms - LATENESS_MS else None

    def _add_late(self, trade: Trade, t: int) -> None:
        session = self._conditions.extended
        day = self._calendar.day_at(t)
        if day.open_ms <= t < day.close_ms:
            session = self._conditions.regular
        effects = session[trade.conditions]
        if effects:
            bar = Bar(trade.symbol, t // SECOND_MS * SECOND_MS)
            bar.add(trade, effects)
            self._late.append(bar)
            self._standing_changed = True

    def _tick(self, clock: Clock) -> None:
        if clock.timestamp_ms >= self._clock.cut_ms and self._clock.covers(clock.timestamp_ms):
            self._cut(clock.timestamp_ms)
        if clock.final and self._clock.second_ms >= 0:
            self._cut(self._clock.cut_ms)
            self._clock.finish()

    def _cut(self, timestamp_ms: int) -> bool:
        """End the second; False for a time that no calendar knows, which is counted."""
        if not self._clock.covers(timestamp_ms):
            self.skipped["bad_timestamp"] += 1
            return False
        self._unsaved.update(self._settle(), self._logged)
        self._logged = set()
        bars = []
        for bar, _ in self._current.values():
            self._recent[bar.symbol].note(bar.last_q)
            if bar.touched:
                bars.append(bar)
        self._log.end(self._clock.second_ms)
        day = self._clock.day
        turned = self._clock.cut(timestamp_ms, bars, self._late)
        self._current, self._kept, self._late, self._drained = {}, {}, [], {}
        self._standing_changed = True
        self._choose_effects()
        if turned:
            self._before = DayBefore()
            if day is not None and day.next_turn_ms == self._turn_ms:
                self._before = DayBefore(day.date, self._recent, self._unsaved)
            self._recent, self._unsaved = {}, set()
        elif self._clock.second_ms >= self._turn_ms + LATENESS_MS:
            self._before.forget()
        return True

    def _settle(self) -> dict[str, list[int]]:
        """Put the sequences of the kept trades away; show the trades to who wants to see them.

        Returns these sequences by symbol.
        """
        kept, recent, settled = {}, self._recent, {}
        for symbol, trades in self._kept.items():
            if trades:
                kept[symbol] = trades
                today = self._of_today(symbol, trades)
                if today:
                    settled[symbol] = recent[symbol].extend([trade.sequence for trade in today])
        self._before.settle()
        self._mixed.clear()
        if kept and self._seeing:
            bars = self._bars_of(kept)
            for part in self._seeing:
                part.see(kept, bars)
        for trades in self._kept.values():
            trades.clear()
        return settled

    def _bars_of(self, symbols: Iterable[str]) -> dict[str, Bar]:
        """The second's bars of symbols without a late trade since the last cut."""
        current, late = self._current, {bar.symbol for bar in self._late}
        return {
            symbol: current[symbol][0]
            for symbol in symbols
            if symbol in current and symbol not in late
        }

    def _choose_effects(self) -> None:
        day, second_ms = self._clock.day, self._clock.second_ms
        regular = day is not None and day.open_ms <= second_ms < day.close_ms
        self._effects = self._conditions.regular if regular else self._conditions.extended

    def refer(self, references: Iterable[Reference]) -> None:
        """Give reference rows to the parts; the current second is shown again with them."""
        self._clock.refer(references)
        self._drained = {}

    def learn(self, facts: Iterable[Fact]) -> None:
        """Give facts to the parts that take them, and show these symbols' second again."""
        told = list(facts)
        self._clock.learn(told)
        for fact in told:
            self._drained.pop(fact.symbol, None)

    def drain(self) -> Changes:
        """Changes of every part, and the private state of the current second."""
        settled = self._settle()
        if self._log.wants_all:
            self._unsaved.update(settled, self._logged)
            self._drained, self._logged = {}, set()
        drained = self._drained
        unfinished = [
            bar for symbol, (bar, _) in self._current.items() if bar.seen != drained.get(symbol)
        ]
        changes = self._clock.drain([bar for bar in unfinished if bar.touched])
        drained.update((bar.symbol, bar.seen) for bar in unfinished)
        self._write_log(changes, unfinished, settled)
        if self._standing_changed:
            changes.private[self._name] = {"standing": self._clock.pack(self._late)}
            self._standing_changed = False
        self._drain_recent(changes)
        return changes

    def _write_log(
        self, changes: Changes, unfinished: Iterable[Bar], settled: dict[str, list[int]]
    ) -> None:
        """Log what came since the last drain; sequences that are packed now need no log."""
        for symbol in self._unsaved:
            settled.pop(symbol, None)
        self._logged.update(settled)
        entries = [Logged(bar.symbol, settled.pop(bar.symbol, _NONE), bar) for bar in unfinished]
        entries += [Logged(symbol, sequences, None) for symbol, sequences in settled.items()]
        self._log.write(changes, self._clock.second_ms, entries)

    def _drain_recent(self, changes: Changes) -> None:
        fields: dict[str, bytes] = {}
        for symbol in self._unsaved:
            fields.update(self._recent[symbol].drain(symbol))
        self._unsaved = set()
        if fields and self._clock.day is not None:
            changes.private[self._recent_hash(self._clock.day.date)] = fields
        earlier = self._before.drain()
        if earlier:
            changes.private[self._recent_hash(self._before.date)] = earlier

    def _recent_hash(self, date: str) -> str:
        return f"{self._name}_recent:{date}"

    def renew(self) -> None:
        """Make the next drain write everything."""
        self._clock.renew()
        self._drained = {}
        self._standing_changed = self._clock.second_ms >= 0
        self._log.renew()
        self._unsaved = set(self._recent)
        for recent in self._recent.values():
            recent.renew()
        self._before.renew()

    def first_hashes(self) -> Sequence[str]:
        """The hash that says where the earlier owner stood."""
        return [self._name]

    def further_hashes(self, private: Hashes) -> Sequence[str]:
        """Bars, sequences and the parts' hashes as of there."""
        standing = read_standing(private.get(self._name, {}).get("standing"))
        if standing is None:
            return []
        dates = self._dates(standing.second_ms)
        own = [self._log.hash(standing.second_ms), *map(self._recent_hash, dates)]
        return [*own, *self._clock.hashes(standing.second_ms)]

    def _dates(self, second_ms: int) -> list[str]:
        """The trading date, and the one before while trades of it may still come."""
        newest, oldest = second_ms, max(self._calendar.first_ms, second_ms - LATENESS_MS)
        return list(dict.fromkeys(map(self._calendar.trading_date, (newest, oldest))))

    def _recent_of(self, date: str, private: Hashes) -> dict[str, Recent]:
        chunks: dict[str, list[bytes]] = {}
        for name, value in private.get(self._recent_hash(date), {}).items():
            chunks.setdefault(name.rpartition(":")[0], []).append(value)
        return {symbol: Recent.restore(values) for symbol, values in chunks.items()}

    def restore(self, private: Hashes) -> None:
        """Stand where the earlier owner stood, in the middle of its second."""
        standing = read_standing(private.get(self._name, {}).get("standing"))
        if standing is None:
            return
        self._clock.restore(standing, private)
        self._choose_effects()
        self._late = standing.late
        today, *before = self._dates(standing.second_ms)
        self._recent = self._recent_of(today, private)
        for date in before:
            self._before = DayBefore(date, self._recent_of(date, private))
        log = private.get(self._log.hash(standing.second_ms), {})
        for one in self._log.restore(log):
            recent = self._recent.setdefault(one.symbol, Recent())
            if one.sequences:
                recent.note(max(recent.extend([*one.sequences])))
                self._logged.add(one.symbol)
            if one.bar is not None:
                recent.note(one.bar.last_q)
                self._restore_bar(one.bar)

    def _restore_bar(self, bar: Bar) -> None:
        self._current[bar.symbol] = (bar, self._kept.setdefault(bar.symbol, []).append)
        self._drained[bar.symbol] = bar.seen


_NONE: Final[list[int]] = []
