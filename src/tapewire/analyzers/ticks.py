"""Broker ticks into the same parts as trades.

A tick is a state: its instrument's ``DayVolume`` says what was traded since the one before, and
that goes into the instrument's bar of the current second at the tick's price. Bars carry
``NSE_FO:8765`` as their symbol, so that the exchange is in every name that parts make.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct, msgpack

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS, Bar, notional
from tapewire.analyzers.day_volumes import Baseline, DayVolume, is_days_first
from tapewire.analyzers.fold import SecondFold
from tapewire.analyzers.part import Part
from tapewire.analyzers.shard_clock import LATENESS_MS
from tapewire.market.sessions import SessionCalendar
from tapewire.market.ticks import instrument_key, objection
from tapewire.model.changes import PRIVATE, Changes
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.model.rows import NOTIONAL_SCALE
from tapewire.model.streams import Stream

_UNSIZED: Final = TICK_SNAPSHOT | TICK_INDEX
_NO_BARS: Final[dict[str, Bar]] = {}
_VOLUMES: Final = "ticks_volumes"

SILENT_MS: Final = 14 * 24 * 3_600 * SECOND_MS
"""An instrument of which nothing came for longer begins anew: contracts expire, and are many."""


@runtime_checkable
class TakesBaselines(Protocol):
    """A part that shows what no bar tells: what was traded before an instrument's first tick."""

    def stand(self, baseline: Baseline) -> None:
        """A baseline has come.

        Comes right before the cut that ends its second, and counts after that second's bars; it
        may come again.
        """


class Logged(Struct, array_like=True, gc=False):
    """Of one instrument: its volume of the day, and its bar of the current second if it has one.

    ``baseline`` is the last that came in this second.
    """

    day: DayVolume
    bar: Bar | None
    baseline: Baseline | None = None


class TickFold(SecondFold[Tick, Logged]):
    """Fold the ``ticks`` stream; an ``Analyzer``.

    ``trades`` of its bars count ticks that moved the volume on: a broker may put several
    trades into one. ``last_size`` tells whether an unknown instrument's first tick is the day's
    first trade; it is folded only while a broker says no volume of the day, and the bar then says
    that its volume is estimated. A tick that is older than the current second amends its own; a
    price without a new volume widens the range and moves the close. What was traded before an
    instrument's first tick, and while none came, is in no bar: of that only parts hear that take
    baselines.

    ``skipped`` counts ticks not applied by reason: those of ``market.ticks.objection``, of
    ``DayVolume.take``, ``too_late`` (over 15 minutes) and ``bad_timestamp`` (outside the
    calendar).
    """

    stream = Stream.TICKS

    def __init__(self, calendar: SessionCalendar, parts: Sequence[Part]) -> None:
        super().__init__(calendar, parts, "ticks", Logged, [f"{PRIVATE}{_VOLUMES}"])
        self._takers = [part for part in parts if isinstance(part, TakesBaselines)]
        self._days: dict[tuple[str, str], DayVolume] = {}
        self._current: dict[tuple[str, str], tuple[Bar, DayVolume]] = {}
        self._regular: dict[str, dict[str, Bar]] = {}
        self._moved: dict[str, DayVolume] = {}
        self._logged: dict[str, DayVolume] = {}
        self._unsaved: dict[str, DayVolume] = {}
        self._stood: dict[str, Baseline] = {}
        self._undated = False

    def _fold(self, ticks: Iterable[Tick]) -> None:
        """The hot loop: a tick that moves its instrument on touches one bar.

        A bar is regular while its close is all that its instrument's ``DayVolume`` would say:
        that is caught up with before anybody looks.
        """
        cut_ms, exchange, find = self._clock.cut_ms, None, _NO_BARS.get
        for tick in ticks:
            if tick.exchange != exchange:
                exchange = tick.exchange
                find = self._regular.get(exchange, _NO_BARS).get
            bar = find(tick.token)
            if bar is not None:
                t, price, volume = tick.timestamp_ms, tick.last_price, tick.day_volume
                if (
                    volume is not None
                    and price is not None
                    and volume > bar.close_q
                    and bar.close_t <= t < cut_ms
                    and 0.0 < price < inf
                    and not tick.flags & _UNSIZED
                ):
                    size = volume - bar.close_q
                    bar.trades += 1
                    bar.volume += size
                    if size > bar.largest:
                        bar.largest = size
                    bar.notional += int(price * NOTIONAL_SCALE + 0.5) * size
                    if price > bar.high:
                        bar.high = price
                    elif price < bar.low:
                        bar.low = price
                    bar.close, bar.close_t, bar.close_q = price, t, volume
                    continue
            self._irregular(tick)
            cut_ms, exchange = self._clock.cut_ms, None

    def _irregular(self, tick: Tick) -> None:
        """The first of a second or a day, a snapshot, a late one, or one that does not count."""
        name = (tick.exchange, tick.token)
        bar = self._regular.get(tick.exchange, _NO_BARS).pop(tick.token, None)
        if bar is not None:
            _catch_up(self._days[name], bar)
        reason = objection(tick) or self._untimely(tick)
        if reason:
            self.skipped[reason] += 1
        elif name in self._days:
            self._take(tick, self._days[name])
        else:
            self._begin(tick, name)
        entry = self._current.get(name)
        if entry is not None and _is_regular(*entry):
            self._regular.setdefault(tick.exchange, {})[tick.token] = entry[0]

    def _begin(self, tick: Tick, name: tuple[str, str]) -> None:
        """Nothing is known of the instrument: the tick is a baseline, or opens its day."""
        key, turn_ms = instrument_key(*name), self._turn_ms(tick.timestamp_ms)
        if is_days_first(tick):
            self._days[name] = DayVolume(key, turn_ms, 0)
            self._take(tick, self._days[name])
            return
        day = DayVolume.first(key, turn_ms, tick, self.skipped)
        self._days[name] = self._moved[key] = day
        self._stood[key] = day.baseline

    def _take(self, tick: Tick, day: DayVolume) -> None:
        t, unseen = tick.timestamp_ms, day.unseen
        size = day.take(self._turn_ms(t), tick, self.skipped)
        if size >= 0 or tick.flags & TICK_SNAPSHOT:
            self._moved[day.key] = day
        if day.unseen != unseen or tick.flags & TICK_SNAPSHOT:
            self._stood[day.key] = day.baseline
        if size >= 0:
            if t >= self._clock.cut_ms:
                self._cut(t)
            bar = self._bar_at(t, (tick.exchange, tick.token), day)
            if size == 0 and day.is_unsized(tick):
                size, bar.estimated = tick.last_size, True
            self._put(bar, tick, size)

    def _untimely(self, tick: Tick) -> str | None:
        """Why a time does not count; a baseline may be of any trading day."""
        if not self._clock.covers(tick.timestamp_ms):
            return "bad_timestamp"
        if tick.timestamp_ms >= self._clock.second_ms - LATENESS_MS or tick.flags & TICK_SNAPSHOT:
            return None
        day = self._days.get((tick.exchange, tick.token))
        if day is None:
            return None
        return "duplicate" if day.repeats(tick) else "too_late"

    def _turn_ms(self, t: int) -> int:
        day = self._clock.day
        if day is None or not day.turn_ms <= t < day.next_turn_ms:
            day = self._calendar.day_at(t)
        return day.turn_ms

    def _bar_at(self, t: int, name: tuple[str, str], day: DayVolume) -> Bar:
        """The instrument's bar of the current second, or a late one of its own."""
        second_ms = self._clock.second_ms
        if t < second_ms:
            self._late.append(Bar(day.key, t // SECOND_MS * SECOND_MS))
            self._standing_changed = True
            return self._late[-1]
        entry = self._current.get(name)
        if entry is None:
            entry = self._current[name] = (Bar(day.key, second_ms), day)
        return entry[0]

    def _put(self, bar: Bar, tick: Tick, size: int) -> None:
        """Merge one tick into a bar; within a millisecond the volume of the day is the order."""
        price, t, q = tick.last_price or 0.0, tick.timestamp_ms, tick.day_volume or 0
        one = Bar(bar.symbol, bar.start_ms, high=price, low=price, seen=1)
        one.open = one.close = price
        one.open_t = one.close_t = t
        one.open_q = one.close_q = q
        if size:
            one.volume = one.largest = size
            one.notional, one.trades = notional(price, size), 1
        bar.merge(one)

    def _end(self, timestamp_ms: int) -> None:
        """The volumes that the second moved are kept with the next flush."""
        self._settle()
        self._unsaved |= self._logged | self._moved
        self._unsaved |= {day.key: day for _, day in self._current.values()}
        waiting = self._tell_baselines()
        turned = self._end_with(timestamp_ms, [bar for bar, _ in self._current.values()])
        self._current, self._regular, self._logged = {}, {}, {}
        self._stood, self._moved = waiting, self._days_of(waiting)
        if turned:
            self._turn()

    def _settle(self) -> None:
        for exchange, bars in self._regular.items():
            for token, bar in bars.items():
                _catch_up(self._days[exchange, token], bar)

    def _days_of(self, keys: Iterable[str]) -> dict[str, DayVolume]:
        return {key: self._days[_name_of(key)] for key in keys}

    def _tell_baselines(self) -> dict[str, Baseline]:
        """Tell the parts what stood in this second; returns what is of a day yet to begin."""
        day = self._clock.day
        if day is None:
            return self._stood
        for one in self._stood.values():
            if one.turn_ms == day.turn_ms:
                for part in self._takers:
                    part.stand(one)
        return {key: one for key, one in self._stood.items() if one.turn_ms > day.turn_ms}

    def _turn(self) -> None:
        """Keep every volume under the new date, but for instruments that nobody trades any more."""
        oldest_ms = self._clock.second_ms - SILENT_MS
        self._days = {name: day for name, day in self._days.items() if day.turn_ms >= oldest_ms}
        self._unsaved = {day.key: day for day in self._days.values()}

    def _changes(self) -> Changes:
        """Changes of every part, and the private state of the current second."""
        self._settle()
        if self._log.wants_all:
            self._unsaved |= self._logged
            self._drained, self._logged = {}, {}
            self._moved |= self._days_of(self._stood)
        drained = self._drained
        unfinished = [
            (bar, day)
            for bar, day in self._current.values()
            if _moves(bar) != drained.get(bar.symbol)
        ]
        changes = self._clock.drain([bar for bar, _ in unfinished])
        drained.update((bar.symbol, _moves(bar)) for bar, _ in unfinished)
        self._write_log(changes, unfinished)
        if self._unsaved:
            fields = {key: _encode(day) for key, day in self._unsaved.items()}
            changes.private[self._volumes_hash()] = fields
            self._unsaved = {}
        if self._undated and self._clock.day:
            changes.dropped.append(PRIVATE + _VOLUMES)
        self._undated = self._clock.day is None
        return changes

    def _write_log(self, changes: Changes, unfinished: Iterable[tuple[Bar, DayVolume]]) -> None:
        """Log what moved since the last drain; before event time begins there is no second."""
        moved, self._moved = self._moved, {}
        if self._clock.second_ms < 0:
            self._unsaved |= moved
            return
        entries = []
        for bar, day in unfinished:
            moved.pop(day.key, None)
            self._logged[day.key] = day
            entries.append(Logged(day, bar, self._stood.get(day.key)))
        self._logged |= moved
        entries += [Logged(day, None, self._stood.get(day.key)) for day in moved.values()]
        self._log.write(changes, self._clock.second_ms, entries)

    def renew(self) -> None:
        """Make the next drain write everything."""
        super().renew()
        self._unsaved = {day.key: day for day in self._days.values()}
        self._moved |= self._days_of(self._stood)

    def _volumes_hash(self, date: str = "") -> str:
        """The private hash of a date's volumes; before event time begins there is no date."""
        if not date and self._clock.day:
            date = self._clock.day.date
        return f"{_VOLUMES}:{date}" if date else _VOLUMES

    def first_hashes(self) -> Sequence[str]:
        """Where the earlier owner stood, and baselines that came before event time began."""
        return [*super().first_hashes(), _VOLUMES]

    def _hashes(self, second_ms: int) -> list[str]:
        date = self._calendar.trading_date(second_ms)
        return [self._volumes_hash(date), *super()._hashes(second_ms)]

    def restore(self, private: Hashes) -> None:
        """Stand where the earlier owner stood, in the middle of its second."""
        self._read(private.get(_VOLUMES, {}))
        self._stood = {day.key: day.baseline for day in self._days.values()}
        self._undated = bool(self._days)
        super().restore(private)

    def _resume(self, second_ms: int, private: Hashes) -> None:
        self._stood = {}
        self._read(private.get(self._volumes_hash(), {}))
        super()._resume(second_ms, private)

    def _read(self, fields: Mapping[str, bytes]) -> None:
        for packed in fields.values():
            day = _decode(packed)
            self._days[_name_of(day.key)] = day

    def _take_back(self, entry: Logged) -> None:
        day, bar = entry.day, entry.bar
        name = _name_of(day.key)
        self._days[name] = self._logged[day.key] = day
        if entry.baseline is not None:
            self._stood[day.key] = entry.baseline
        if bar is None and name in self._current:
            bar = self._current[name][0]
        if bar is not None:
            self._current[name] = (bar, day)
            self._drained[day.key] = _moves(bar)


def _catch_up(day: DayVolume, bar: Bar) -> None:
    """What a regular bar says of its day."""
    day.volume, day.t, day.price = bar.close_q, bar.close_t, bar.close


def _is_regular(bar: Bar, day: DayVolume) -> bool:
    known = (day.volume, day.t, day.price)
    return day.lower < 0 and (bar.close_q, bar.close_t, bar.close) == known


def _moves(bar: Bar) -> int:
    """A number that grows with everything that happens to a bar."""
    return bar.seen + bar.trades


def _name_of(key: str) -> tuple[str, str]:
    exchange, _, token = key.partition(":")
    return exchange, token


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(DayVolume).decode
