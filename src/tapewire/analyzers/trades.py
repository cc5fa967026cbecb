"""The hot loop: trades into bars of the current second, one touch a trade.

A trade that is in order for its symbol (its time not before, its sequence above the
symbol's last) takes the short way; the first of a second, late ones, duplicates and
those out of order take the long one. Both give the same bars, and keep the trades that were
applied until a drain or the second's end: only then are their sequences put away and the
parts that look at single trades shown them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS, Bar, Recent
from tapewire.analyzers.day_before import DayBefore, is_repeated
from tapewire.analyzers.fold import SecondFold
from tapewire.analyzers.part import Part, SeesTrades
from tapewire.analyzers.shard_clock import LATENESS_MS
from tapewire.market.conditions import ALL, ConditionTable
from tapewire.market.sessions import SessionCalendar, TradingDay
from tapewire.model.changes import PRIVATE, Changes
from tapewire.model.events import Trade
from tapewire.model.rows import NOTIONAL_SCALE
from tapewire.model.streams import Stream


class Logged(Struct, array_like=True, gc=False):
    """Of one symbol: the sequences that came since the last drain, and its bar if that changed."""

    symbol: str
    sequences: list[int]
    bar: Bar | None


class TradeFold(SecondFold[Trade, Logged]):
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
        super().__init__(calendar, parts, name, Logged, [f"{PRIVATE}{name}_recent"])
        self._conditions = conditions or ConditionTable.named("massive")
        self._effects = self._conditions.extended
        self._current: dict[str, tuple[Bar, Callable[[Trade], None]]] = {}
        self._kept: dict[str, list[Trade]] = {}
        self._recent: dict[str, Recent] = {}
        self._unsaved: set[str] = set()
        self._before = DayBefore()
        self._mixed: set[str] = set()
        self._seeing = [part for part in parts if isinstance(part, SeesTrades)]
        self._logged: set[str] = set()

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

    def _end(self, timestamp_ms: int) -> None:
        """Put the second's sequences away, and choose what the trades of the next count for."""
        self._unsaved.update(self._settle(), self._logged)
        self._logged = set()
        bars = []
        for bar, _ in self._current.values():
            self._recent[bar.symbol].note(bar.last_q)
            if bar.touched:
                bars.append(bar)
        day = self._clock.day
        turned = self._end_with(timestamp_ms, bars)
        self._current, self._kept = {}, {}
        self._choose_effects()
        if turned:
            self._turn(day)
        elif self._clock.second_ms >= self._turn_ms + LATENESS_MS:
            self._before.forget()

    def _turn(self, ended: TradingDay | None) -> None:
        """A trading day begins; of the one right before it late trades may still come."""
        self._before = DayBefore()
        if ended is not None and ended.next_turn_ms == self._turn_ms:
            self._before = DayBefore(ended.date, self._recent, self._unsaved)
        self._recent, self._unsaved = {}, set()

    def _settle(self) -> dict[str, list[int]]:
        """Put the sequences of the kept trades away; show the trades to who wants to see them.

        Returns these sequences by symbol.
        """
        kept, recent, mixed, settled = {}, self._recent, self._mixed, {}
        for symbol, trades in self._kept.items():
            if trades:
                kept[symbol] = trades
                today = self._of_today(symbol, trades) if symbol in mixed else trades
                if today:
                    settled[symbol] = recent[symbol].extend([trade.sequence for trade in today])
        self._before.settle()
        self._mixed.clear()
        if kept and self._seeing:
            bars = self._bars_of(kept)
            for part in self._seeing:
                part.see(kept, bars)
        for trades in kept.values():
            trades.clear()
        return settled

    def _bars_of(self, symbols: Iterable[str]) -> dict[str, Bar]:
        """The second's bars of symbols without a late trade since the last cut."""
        find, late = self._current.get, {bar.symbol for bar in self._late}
        entries = [(symbol, find(symbol)) for symbol in symbols]
        return {symbol: entry[0] for symbol, entry in entries if entry and symbol not in late}

    def _choose_effects(self) -> None:
        day, second_ms = self._clock.day, self._clock.second_ms
        regular = day is not None and day.open_ms <= second_ms < day.close_ms
        self._effects = self._conditions.regular if regular else self._conditions.extended

    def _changes(self) -> Changes:
        """Changes of every part, and the private state of the current second."""
        settled = self._settle()
        if self._log.wants_all:
            self._unsaved.update(settled, self._logged)
            self._drained, self._logged = {}, set()
        drained, unfinished, touched = self._drained, [], []
        for bar, _ in self._current.values():
            if bar.seen != drained.get(bar.symbol):
                drained[bar.symbol] = bar.seen
                unfinished.append(bar)
                if bar.trades or bar.touched:
                    touched.append(bar)
        changes = self._clock.drain(touched)
        self._write_log(changes, unfinished, settled)
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
        super().renew()
        self._unsaved = set(self._recent)
        for recent in self._recent.values():
            recent.renew()
        self._before.renew()

    def _hashes(self, second_ms: int) -> list[str]:
        return [*map(self._recent_hash, self._dates(second_ms)), *super()._hashes(second_ms)]

    def _dates(self, second_ms: int) -> list[str]:
        """The trading date, and the one before while trades of it may still come."""
        newest, oldest = second_ms, max(self._calendar.first_ms, second_ms - LATENESS_MS)
        return list(dict.fromkeys(map(self._calendar.trading_date, (newest, oldest))))

    def _recent_of(self, date: str, private: Hashes) -> dict[str, Recent]:
        chunks: dict[str, list[bytes]] = {}
        for name, value in private.get(self._recent_hash(date), {}).items():
            chunks.setdefault(name.rpartition(":")[0], []).append(value)
        return {symbol: Recent.restore(values) for symbol, values in chunks.items()}

    def _resume(self, second_ms: int, private: Hashes) -> None:
        self._choose_effects()
        today, *before = self._dates(second_ms)
        self._recent = self._recent_of(today, private)
        for date in before:
            self._before = DayBefore(date, self._recent_of(date, private))
        super()._resume(second_ms, private)

    def _take_back(self, entry: Logged) -> None:
        symbol, bar = entry.symbol, entry.bar
        recent = self._recent.setdefault(symbol, Recent())
        if entry.sequences:
            recent.note(max(recent.extend([*entry.sequences])))
            self._logged.add(symbol)
        if bar is not None:
            recent.note(bar.last_q)
            self._current[symbol] = (bar, self._kept.setdefault(symbol, []).append)
            self._drained[symbol] = bar.seen


_NONE: Final[list[int]] = []
