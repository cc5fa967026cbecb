"""Daily highs and lows per session, and the alerts when one is broken or about to be.

``components.md`` section 4, *DailyRangeAnalyzer*. The rules in full are the class's docstring.
High and low are handled by the same code: prices of the low side are negated, so that on
either side a larger value lies further out.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Final, NamedTuple

from msgspec import Struct, field, msgpack

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.analyzers.gap_mark import GapMarked
from tapewire.analyzers.journal import Journal
from tapewire.market.sessions import Session, TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate
from tapewire.model.feeds import range_hash
from tapewire.model.rows import DailyRange, RangeAlert, Reference, encode_row

_ROUNDING: Final = 1e-12
"""Far below the smallest price step: so that a distance of exactly ``near_pct`` is near."""

HOD_ALERT: Final = "daily_range_hod_alert"
LOD_ALERT: Final = "daily_range_lod_alert"


class Direction(NamedTuple):
    """One side of a range, and its words."""

    name: str
    sign: int
    feed: str
    running: str
    running_note: str


DIRECTIONS: Final = (
    Direction("high", 1, HOD_ALERT, "running_up", "running up to the high of day"),
    Direction("low", -1, LOD_ALERT, "running_down", "running down to the low of day"),
)

SESSIONS: Final = (Session.PRE, Session.REGULAR, Session.POST)
INDEX: Final = {session: number for number, session in enumerate(SESSIONS)}
NAMES: Final = ("pre-market", "regular-session", "after-hours")


class RangeRules(Struct, frozen=True, kw_only=True):
    """When there is an alert. Seconds are of event time, percents 5.0 for 5 %.

    ``cooldown_s``: after a break, breaks of that symbol and direction are silent.
    ``near_pct``, ``rising``: a price runs up when this many closes in a row, each beyond the
    one before, lie this close to the day's extreme. ``running_cooldown_s``: between two such.
    """

    cooldown_s: float = 30.0
    near_pct: float = 0.25
    rising: int = 3
    running_cooldown_s: float = 300.0


class Side(Struct, array_like=True, gc=False):
    """One direction of one symbol's day; values are prices times the direction's sign.

    ``levels`` and ``times`` are by session, -inf and -1 where there is none yet.
    """

    levels: list[float] = field(default_factory=lambda: [-inf, -inf, -inf])
    times: list[int] = field(default_factory=lambda: [-1, -1, -1])
    day: float = -inf
    day_ms: int = -1
    broken_ms: int = -1
    running_ms: int = -1

    def widen(self, index: int, value: float, at_ms: int) -> bool:
        """Let a value in; of equal ones the earliest counts. Returns whether it changed."""
        level, time_ms = self.levels[index], self.times[index]
        if value < level or (value == level and at_ms >= time_ms):
            return False
        self.levels[index], self.times[index] = value, at_ms
        if value > self.day or (value == self.day and at_ms < self.day_ms):
            self.day, self.day_ms = value, at_ms
        return True


class Ranges(Struct, array_like=True, gc=False):
    """One symbol's day: the side of the highs and that of the lows."""

    sides: tuple[Side, Side]


class Run(Struct, array_like=True, gc=False):
    """What changes with almost every bar: the newest provider bar, and closes near an extreme.

    ``counts`` and ``closes`` are by direction: how many closes in a row, and the last.
    """

    start_ms: int = -1
    counts: list[int] = field(default_factory=lambda: [0, 0])
    closes: list[float] = field(default_factory=lambda: [0.0, 0.0])


class DailyRangeAnalyzer(GapMarked):
    """A ``Part`` that publishes ``daily_range:{symbol}`` rows and range alerts.

    **Ranges.** Each high/low-eligible print widens the range of the session in which its bar
    starts, and the day's. Prints while the market is closed belong to no session. A time is
    the start of the bar in which the price was first reached.

    **Breaks** (kind ``break``). The bar that begins a session's range sets it silently, however
    far it lies outside the sessions before it; only a later bar breaks it. A break of the
    session's own range is an alert. Its note, and ``previous``, name the furthest level that
    was broken: a range of an earlier session that had held until now (``broke pre-market
    high``), else the day's (``new high of day``), else the session's own (``new after-hours
    high``). After an alert there is none for that symbol and direction for ``cooldown_s``; the
    range still widens.

    **Running up, running down.** When ``rising`` closes in a row lie within ``near_pct`` of the
    day's extreme, each beyond the one before, and none breaks it: one alert, then none for
    ``running_cooldown_s``, nor while a break's cooldown lasts. A close outside that distance,
    one that does not go on, a session's first bar or a break begins the count anew.

    **What is late.** A trade of an earlier second, and a provider's bar that is not newer than
    the newest of its symbol (a correction), widen the range and never alert.

    Alerts are decided bar by bar, each second's at its cut, in order of symbol; of a provider's
    bar that was sent several times by then the last counts. The day turns at 04:00 and begins
    without ranges.
    """

    dated: Final = ("daily_range", "private:ranges", "private:range_runs")

    def __init__(self, rules: RangeRules | None = None) -> None:
        super().__init__()
        rules = rules or RangeRules()
        self._cooldown_ms = round(rules.cooldown_s * 1000)
        self._running_cooldown_ms = round(rules.running_cooldown_s * 1000)
        near = rules.near_pct / 100 + _ROUNDING
        self._near = (1 - near, 1 + near)
        self._rising = rules.rising
        self._ranges: dict[str, Ranges] = {}
        self._runs: dict[str, Run] = {}
        self._ranges_journal: Journal[Ranges] = Journal()
        self._runs_journal: Journal[Run] = Journal()
        self._changed: set[str] = set()
        self._moved: set[str] = set()
        self._alerts: list[tuple[str, RangeAlert]] = []
        self._items: dict[str, list[bytes]] = {}

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """Late trades widen their session's range; then the second's bars are judged."""
        day = self._day
        if day is None:
            return
        for bar in late:
            if bar.start_ms >= day.turn_ms:
                self._widen(bar.symbol, bar.high, bar.low, bar.start_ms, day)
        for bar in bars:
            close = bar.close if bar.close_t >= 0 else None
            self._judge(bar.symbol, bar.high, bar.low, close, bar.start_ms, day)
        self._publish()

    def take(self, aggregate: Aggregate) -> None:
        """Judge a provider's bar; one that is not its symbol's newest only widens."""
        day, start_ms = self._day, int(aggregate.start_timestamp)
        if day is None or start_ms < day.turn_ms:
            return
        symbol, high, low = aggregate.symbol, aggregate.high, aggregate.low
        run = self._runs.get(symbol)
        if run is None:
            run = self._runs[symbol] = Run()
        if start_ms <= run.start_ms:
            self._widen(symbol, high, low, start_ms, day)
            return
        run.start_ms = start_ms
        self._moved.add(symbol)
        self._judge(symbol, high, low, aggregate.close, start_ms, day)
        if self._alerts:
            self._publish()

    def _widen(self, symbol: str, high: float, low: float, at_ms: int, day: TradingDay) -> None:
        index = INDEX.get(day.session_at(at_ms))
        if index is None or high == -inf:
            return
        for side, value in zip(self._of(symbol).sides, (high, -low), strict=True):
            if side.widen(index, value, at_ms):
                self._changed.add(symbol)

    def _judge(
        self,
        symbol: str,
        high: float,
        low: float,
        close: float | None,
        at_ms: int,
        day: TradingDay,
    ) -> None:
        index = INDEX.get(day.session_at(at_ms))
        if index is None or high == -inf:
            return
        up, down = self._of(symbol).sides
        if high > up.levels[index]:
            self._pass(symbol, 0, up, index, high, at_ms)
        elif close is not None:
            self._follow(symbol, 0, up, index, close, at_ms)
        if -low > down.levels[index]:
            self._pass(symbol, 1, down, index, -low, at_ms)
        elif close is not None:
            self._follow(symbol, 1, down, index, -close, at_ms)

    def _of(self, symbol: str) -> Ranges:
        ranges = self._ranges.get(symbol)
        if ranges is None:
            ranges = self._ranges[symbol] = Ranges((Side(), Side()))
        return ranges

    def _pass(
        self, symbol: str, number: int, side: Side, index: int, value: float, at_ms: int
    ) -> None:
        """A price went beyond its session's range, or is the first in it."""
        self._changed.add(symbol)
        self._count(symbol, number, 0, 0.0)
        begun = side.levels[index] > -inf
        if begun and at_ms - side.broken_ms >= self._cooldown_ms:
            side.broken_ms = at_ms
            way = DIRECTIONS[number]
            level, note = broken(side, index, value, way.name)
            self._alert(symbol, way, "break", index, value, level, note, at_ms)
        side.widen(index, value, at_ms)

    def _follow(
        self, symbol: str, number: int, side: Side, index: int, close: float, at_ms: int
    ) -> None:
        """A price stayed within the range: does it run towards the day's extreme?"""
        if close < side.day * self._near[number]:
            self._count(symbol, number, 0, 0.0)
            return
        run = self._runs.get(symbol)
        goes_on = run is not None and run.counts[number] and close > run.closes[number]
        count = run.counts[number] + 1 if run is not None and goes_on else 1
        self._count(symbol, number, count, close)
        quiet = at_ms - side.broken_ms < self._cooldown_ms
        if count < self._rising or quiet or at_ms - side.running_ms < self._running_cooldown_ms:
            return
        side.running_ms = at_ms
        self._changed.add(symbol)
        way = DIRECTIONS[number]
        self._alert(symbol, way, way.running, index, close, side.day, way.running_note, at_ms)

    def _count(self, symbol: str, number: int, count: int, close: float) -> None:
        run = self._runs.get(symbol)
        if run is None:
            if not count:
                return
            run = self._runs[symbol] = Run()
        if count or run.counts[number]:
            run.counts[number], run.closes[number] = count, close
            self._moved.add(symbol)

    def _alert(
        self,
        symbol: str,
        way: Direction,
        kind: str,
        index: int,
        value: float,
        level: float,
        note: str,
        at_ms: int,
    ) -> None:
        session = SESSIONS[index].value
        prices = (value * way.sign, level * way.sign)
        alert = RangeAlert(symbol, session, way.name, kind, *prices, note, at_ms)
        self._alerts.append((way.feed, alert))

    def _publish(self) -> None:
        alerts, self._alerts = self._alerts, []
        for feed, alert in sorted(alerts, key=lambda one: one[1].symbol):
            self._items.setdefault(feed, []).append(encode_row(alert))

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Begin a new trading day without ranges."""
        if self._day is not None and day.date != self._day.date:
            self._ranges, self._runs = {}, {}
            self._ranges_journal, self._runs_journal = Journal(), Journal()
            self._changed, self._moved = set(), set()
        self._stand(second_ms, day)

    def finish(self) -> None:
        """Nothing stays open in a range."""

    def _touch_rows(self) -> None:
        self._changed.update(self._ranges)

    def refer(self, references: Iterable[Reference]) -> None:
        """Ranges need no references."""

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Rows and alerts as of the last cut, and what they are continued from."""
        changes = Changes(items=self._items)
        self._items = {}
        day = self._day
        if day is None:
            return changes
        if self._changed:
            changes.rows[range_hash(day.date)] = {
                symbol: encode_row(daily_range(symbol, self._ranges[symbol], self._gap))
                for symbol in self._changed
            }
            ranges = {symbol: self._ranges[symbol] for symbol in self._changed}
            fields = self._ranges_journal.write(ranges, self._ranges.get)
            changes.private[_RANGES + day.date] = fields
            self._changed = set()
        if self._moved:
            runs = {symbol: self._runs[symbol] for symbol in self._moved}
            changes.private[_RUNS + day.date] = self._runs_journal.write(runs, self._runs.get)
            self._moved = set()
        return changes

    def renew(self) -> None:
        """Make the next drain write every range; alerts that were given are not given again."""
        self._changed.update(self._ranges)
        self._moved.update(self._runs)
        self._ranges_journal.renew()
        self._runs_journal.renew()

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """The day's ranges, and who runs."""
        return [_RANGES + date, _RUNS + date]

    def restore(self, private: Hashes) -> None:
        """Read both back."""
        for name, values in private.items():
            if name.startswith(_RANGES):
                ranges = self._ranges_journal.read(values)
                self._ranges = {symbol: _decode(packed) for symbol, packed in ranges.items()}
            elif name.startswith(_RUNS):
                runs = self._runs_journal.read(values)
                self._runs = {symbol: _decode_run(packed) for symbol, packed in runs.items()}


def broken(side: Side, index: int, value: float, direction: str) -> tuple[float, str]:
    """The furthest level that a value broke, and in words what it was."""
    own = side.levels[index]
    earlier = [(side.levels[k], k) for k in range(index) if own <= side.levels[k] < value]
    if earlier:
        level, number = max(earlier)
        return level, f"broke {NAMES[number]} {direction}"
    if value > side.day:
        return side.day, f"new {direction} of day"
    return own, f"new {NAMES[index]} {direction}"


def daily_range(symbol: str, ranges: Ranges, gap: bool) -> DailyRange:
    """The row of one symbol."""
    highs, lows = ranges.sides
    last = max(k for k in range(len(SESSIONS)) if highs.levels[k] > -inf)
    values: list[Any] = _extremes(highs.day, highs.day_ms, lows.day, lows.day_ms)
    for k in range(len(SESSIONS)):
        values += _extremes(highs.levels[k], highs.times[k], lows.levels[k], lows.times[k])
    return DailyRange(symbol, SESSIONS[last].value, *values, *[gap])


def _extremes(high: float, high_ms: int, low: float, low_ms: int) -> list[float | int | None]:
    return [None] * 4 if high == -inf else [high, high_ms, -low, low_ms]


_RANGES: Final = "ranges:"
_RUNS: Final = "range_runs:"
_decode = msgpack.Decoder(Ranges).decode
_decode_run = msgpack.Decoder(Run).decode
