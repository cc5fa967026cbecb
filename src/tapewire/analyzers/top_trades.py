"""Who trades most: rankings over equal windows, and the trading day's largest single trades.

``components.md`` section 4, *TopTradesAnalyzer*. Rankings are the state as of the last cut,
never the unfinished second. Each shard ranks its own symbols; readers merge
(``caches/rankings.py``).
"""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Final

from tapewire.analyzers.activity import Activity, Window
from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS, Bar, notional
from tapewire.analyzers.tape import TimeAndSales
from tapewire.market.conditions import VOLUME, ConditionTable
from tapewire.market.sessions import TradingDay
from tapewire.model.changes import PRIVATE, Changes
from tapewire.model.events import Trade
from tapewire.model.feeds import (
    AS_OF,
    LARGEST_PRINTS,
    METRICS,
    TOP_TRADES,
    WINDOWS_S,
    prints_hash,
    top_trades_hash,
)
from tapewire.model.rows import (
    NOTIONAL_SCALE,
    WATCHED,
    Fact,
    LargestPrint,
    Reference,
    TopTrade,
    decode_prints,
    encode_row,
    vwap,
)

Scores = Sequence[int | float]


def accelerations(window: Window) -> Scores:
    """Trades over those of the window before; 0 where either has none."""
    pairs = zip(window.sums.trades, window.before, strict=True)
    return [now / before if before else 0 for now, before in pairs]


SCORES: Mapping[str, Callable[[Window], Scores]] = {
    "trades": lambda window: window.sums.trades,
    "volume": lambda window: window.sums.volumes,
    "value": lambda window: window.sums.notionals,
    "acceleration": accelerations,
}
"""What each metric compares, by a symbol's number."""

_LEAST = 2**-1000
"""Less than any score that is not 0."""

_UNIT: Mapping[str, int] = {"value": NOTIONAL_SCALE}
"""What a score is divided by where it is published."""

_ROUNDING = 1 - 2**-50
"""Values are published as floats: what may round to the same one takes part."""


class LargestPrints:
    """The largest single trades of a trading day that count for volume.

    Value descending; ties by symbol, time and sequence. A trade that comes when its day has
    turned is not among them.
    """

    def __init__(self, size: int = LARGEST_PRINTS) -> None:
        self._size = size
        self._ranked: list[tuple[float, str, int, int, LargestPrint]] = []
        self.floor = 0.0
        """Millionths of price x size below which a trade does not come in."""
        self.changed = False

    def put(self, trade: Trade) -> None:
        """Put a trade in, if it is large enough."""
        worth = notional(trade.price, trade.size)
        if worth >= self.floor and worth:
            self._insert(print_of(trade, worth / NOTIONAL_SCALE))

    def _insert(self, largest: LargestPrint) -> None:
        place = (-largest.value, largest.symbol, largest.timestamp_ms, largest.sequence)
        insort(self._ranked, (*place, largest), key=lambda one: one[:4])
        del self._ranked[self._size :]
        self.changed = True
        if len(self._ranked) == self._size:
            self.floor = -self._ranked[-1][0] * NOTIONAL_SCALE * _ROUNDING

    def pack(self) -> bytes:
        """All of them, ranked from 1."""
        rows = [one[-1] for one in self._ranked]
        for rank, row in enumerate(rows, 1):
            row.rank = rank
        return encode_row(rows)

    def renew(self) -> None:
        """They have to be written again."""
        self.changed = bool(self._ranked)

    @classmethod
    def unpack(cls, packed: bytes, size: int = LARGEST_PRINTS) -> "LargestPrints":
        """Read ``pack`` back."""
        prints = cls(size)
        for row in decode_prints(packed):
            prints._insert(row)
        prints.changed = False
        return prints


def print_of(trade: Trade, value: float) -> LargestPrint:
    """A trade as a row that has no rank yet."""
    t, q, exchange = int(trade.timestamp_ms), int(trade.sequence), int(trade.exchange)
    conditions = tuple(trade.conditions)
    return LargestPrint(0, trade.symbol, value, trade.size, trade.price, t, conditions, exchange, q)


class TopTradesAnalyzer:
    """A ``Part`` that ranks symbols by what they traded, and keeps time and sales.

    Folds ``trades``. Publishes ``top_trades:{window}:{metric}``, ``largest_prints`` and
    ``trades:{symbol}``. ``size``: lines of a ranking.
    """

    dated: Final = ("top_trades", "largest_prints", "private:largest_prints")

    def __init__(self, size: int = TOP_TRADES, prints: int = LARGEST_PRINTS) -> None:
        self._activity = Activity(WINDOWS_S.values())
        self._tape = TimeAndSales()
        self._effects = ConditionTable.named("massive").regular
        self._size = size
        self._prints_size = prints
        self._prints = LargestPrints(prints)
        self._day: TradingDay | None = None
        self._second_s = -1
        self._ranked_s = -1
        self._published: dict[str, bytes] = {}
        self._restored: Hashes = {}

    def see(self, trades: Mapping[str, Sequence[Trade]], bars: Mapping[str, Bar]) -> None:
        """Write trades down, and look for large ones in seconds that are large enough."""
        self._tape.see(trades)
        floor, find, scale = self._prints.floor, bars.get, NOTIONAL_SCALE
        for symbol, shown in trades.items():
            bar = find(symbol)
            if bar is None or bar.notional >= floor:
                for trade in shown:
                    if int(trade.price * scale + 0.5) * trade.size >= floor:
                        self._see_large(trade)

    def _see_large(self, trade: Trade) -> None:
        from_ms = self._day.turn_ms if self._day else 0
        if trade.timestamp_ms >= from_ms and self._effects[trade.conditions] & VOLUME:
            self._prints.put(trade)

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """Put a second in, and late trades into theirs."""
        counted = [bar for bar in bars if bar.trades]
        if counted:
            self._activity.put(counted[0].start_ms // SECOND_MS, counted)
        past: dict[int, list[Bar]] = {}
        for bar in late:
            if bar.trades:
                past.setdefault(bar.start_ms // SECOND_MS, []).append(bar)
        for second_s, found in past.items():
            self._activity.put(second_s, found)
            self._ranked_s = -1  # the second stays the same where a trading day ends

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Choose at each whole minute whose trades are written down; turn the day."""
        second_s = second_ms // SECOND_MS
        if self._activity.now_s < 0:
            self._activity.restore(self._restored, second_s)
            self._restored = {}
        if self._day is not None and day.date != self._day.date:
            self._prints = LargestPrints(self._prints_size)
            self._published = {}
        minute_s = second_s // 60 * 60
        if self._second_s < minute_s and self._second_s >= 0:
            self._activity.advance(minute_s)
            self._tape.choose(self._most_active())
        self._day, self._second_s = day, second_s

    def _most_active(self) -> list[str]:
        """Those with most trades in the last quarter of an hour, then in the last day."""
        best: list[int] = []
        for length_s in (WINDOWS_S["15m"], WINDOWS_S["1d"]):
            if len(best) < self._tape.size:
                best += self._best(self._activity.windows[length_s], "trades", self._tape.size)
        chosen = list(dict.fromkeys(best))[: self._tape.size]
        return [self._activity.names[i] for i in chosen]

    def _best(self, window: Window, metric: str, size: int) -> list[int]:
        """Numbers of the symbols with the highest scores above 0, best first; ties by name."""
        scores, names, unit = SCORES[metric](window), self._activity.names, _UNIT.get(metric, 1)
        best = nlargest(size, scores)
        floor = max(best[-1] * _ROUNDING, _LEAST) if best else _LEAST
        found = [i for i, score in enumerate(scores) if score >= floor]
        found.sort(key=names.__getitem__)
        if unit == 1:
            found.sort(key=scores.__getitem__, reverse=True)
        else:
            found.sort(key=lambda i: scores[i] / unit, reverse=True)
        return found[:size]

    def finish(self) -> None:
        """The last cut is ranked like any other."""

    def gap(self, from_ms: int, to_ms: int) -> None:
        """What is missing is told by the shard's gaps."""

    def refer(self, references: Iterable[Reference]) -> None:
        """Nothing is measured against references."""

    def learn(self, facts: Iterable[Fact]) -> None:
        """Write down the trades of ``watched`` symbols from now on."""
        for fact in facts:
            if fact.field == WATCHED:
                self._tape.watch(fact.symbol, watched=bool(fact.value))

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Rankings as of the last cut, largest prints, time and sales, private state."""
        changes = Changes()
        if self._day is None:
            return changes
        date = self._day.date
        if self._ranked_s != self._second_s:
            self._ranked_s = self._second_s
            changes.rows[top_trades_hash(date)] = self._rank()
        if self._prints.changed:
            packed = self._prints.pack()
            self._prints.changed = False
            changes.rows[prints_hash(date)] = {"prints": packed}
            changes.private[_prints_state(date)] = {"prints": packed}
        changes.items = self._tape.drain()
        if self._tape.chosen_changed:
            changes.private[_STATE] = {"chosen": self._tape.pack()}
        changed, dropped = self._activity.drain()
        changes.private.update(changed)
        changes.dropped = [PRIVATE + name for name in dropped]
        return changes

    def _rank(self) -> dict[str, bytes]:
        """The rankings that are others than those published before, and their time."""
        self._activity.advance(self._second_s)
        fields = {AS_OF: encode_row(self._second_s * SECOND_MS)}
        for name, length_s in WINDOWS_S.items():
            window = self._activity.windows[length_s]
            for metric in METRICS:
                packed = encode_row(self._ranking(window, metric))
                field = f"{name}:{metric}"
                if self._published.get(field) != packed:
                    self._published[field] = fields[field] = packed
        return fields

    def _ranking(self, window: Window, metric: str) -> list[TopTrade]:
        best = self._best(window, metric, self._size)
        return [self._row(window, number, rank) for rank, number in enumerate(best, 1)]

    def _row(self, window: Window, number: int, rank: int) -> TopTrade:
        sums, before = window.sums, window.before[number]
        trades, volume = sums.trades[number], whole(sums.volumes[number])
        worth = sums.notionals[number]
        return TopTrade(
            rank,
            self._activity.names[number],
            trades,
            volume,
            worth / NOTIONAL_SCALE,
            vwap(worth, volume),
            volume / trades,
            self._activity.largest(number, window),
            trades / before if before else None,
        )

    def renew(self) -> None:
        """Make the next drain write everything."""
        self._activity.renew()
        self._tape.renew()
        self._prints.renew()
        self._published, self._ranked_s = {}, -1

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """The seconds of two days, the day's prints, and whose trades are written down."""
        return [
            *self._activity.hashes(second_ms // SECOND_MS),
            _prints_state(date),
            _STATE,
        ]

    def restore(self, private: Hashes) -> None:
        """Read back what was written down; seconds wait for ``clock``, which says where it ends."""
        self._restored = private
        state = private.get(_STATE, {})
        if "chosen" in state:
            self._tape.restore(state["chosen"])
        for name, fields in private.items():
            if name.startswith(_PRINTS) and "prints" in fields:
                self._prints = LargestPrints.unpack(fields["prints"], self._prints_size)


def whole(size: float) -> int | float:
    """A sum of sizes; without a fraction it is an int."""
    return int(size) if size == int(size) else size


_STATE = "time_and_sales"
_PRINTS = "largest_prints:"


def _prints_state(date: str) -> str:
    return f"{_PRINTS}{date}"
