"""A shard under test: one fold, what it was sent, and the store that its flushes fill."""

from collections.abc import Callable
from typing import Self

from tapewire.analyzers.aggregates import AggregateFold
from tapewire.analyzers.analyzer import ROWS
from tapewire.analyzers.candles import AtomicOhlcEngine
from tapewire.analyzers.leaderboard import BoardFilter, LeaderboardAnalyzer
from tapewire.analyzers.part import Part
from tapewire.analyzers.quotes import QuoteRecords
from tapewire.analyzers.trades import TradeFold
from tapewire.market.conditions import ConditionTable
from tapewire.model.candle_names import CandleHash, SecondsHash, is_candles, is_seconds
from tapewire.model.changes import PRIVATE, Changes, is_outdated
from tapewire.model.events import Clock, Event
from tapewire.model.feeds import BOARD_SIZE, board_set, quote_hash
from tapewire.model.rows import Candle, QuoteRecord, Reference, decode_quote, decode_range
from tests.analyzers.tape import CALENDAR, FRIDAY, ms

Rows = dict[str, dict[str, bytes]]


class Store:
    """What a cache holds after any number of flushes."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.private: Rows = {}
        self.boards: dict[str, dict[str, float]] = {}

    def write(self, changes: Changes) -> None:
        for name, values in changes.rows.items():
            self.rows.setdefault(name, {}).update(values)
        for name, values in changes.private.items():
            self.private.setdefault(name, {}).update(values)
        for name, board in changes.boards.items():
            listed = self.boards.setdefault(name, {})
            for symbol in board.removed:
                listed.pop(symbol, None)
            listed.update(board.put)
        names = (*self.rows, *self.boards, *(PRIVATE + name for name in self.private))
        outdated = [name for name in names if is_outdated(name, changes.outdated)]
        for name in (*changes.dropped, *outdated):
            self.rows.pop(name, None)
            self.boards.pop(name, None)
            self.private.pop(name.removeprefix(PRIVATE), None)

    def restored(self, name: str) -> dict[str, bytes]:
        """What an analyzer gets that restores from a hash."""
        if name.startswith(ROWS):
            return self.rows.get(name.removeprefix(ROWS), {})
        return self.private.get(name, {})

    def candles(self, symbol: str, interval: str, date: str) -> dict[int, Candle]:
        """By start, ms UTC; one-second candles whatever their date."""
        found: dict[int, Candle] = {}
        for name, rows in self.rows.items():
            if is_candles(name):
                parsed = CandleHash.parse(name)
                if (parsed.symbol, parsed.interval, parsed.date) == (symbol, interval, date):
                    found.update((one.start_ms, one) for one in parsed.candles(rows))
            elif is_seconds(name) and interval == "1s":
                for parsed, packed in SecondsHash.parse(name).split(rows):
                    if parsed.symbol == symbol:
                        found.update((one.start_ms, one) for one in parsed.candles(packed))
        return dict(sorted(found.items()))

    def public(self) -> tuple[dict[str, dict[str, object]], dict[str, dict[str, float]]]:
        """Decoded rows by hash and field, and the boards: what readers see."""
        rows: dict[str, dict[str, object]] = {}
        for name, values in self.rows.items():
            family = name.partition(":")[0]
            if not values or family in _LEFT_OUT:
                continue  # the name of a list of items has no values
            if is_candles(name):
                candles = CandleHash.parse(name).candles(values)
                rows[name] = {str(candle.start_ms): candle for candle in candles}
            elif is_seconds(name):
                for parsed, packed in SecondsHash.parse(name).split(values):
                    for candle in parsed.candles(packed):
                        rows.setdefault(parsed.feed, {})[str(candle.start_ms)] = candle
            else:
                decode = _DECODE[family]
                rows[name] = {field: decode(value) for field, value in values.items()}
        return rows, {name: board for name, board in self.boards.items() if board}


_DECODE: dict[str, Callable[[bytes], object]] = {
    "quote": decode_quote,
    "daily_range": decode_range,
}

_LEFT_OUT = {"top_trades", "largest_prints"}
"""Rankings have tests of their own (``tests/properties/test_top_trades.py``)."""

Fold = TradeFold | AggregateFold


def trade_fold(
    conditions: str = "massive",
    board_size: int = BOARD_SIZE,
    listed: BoardFilter = BoardFilter(),  # noqa: B008 - frozen
) -> TradeFold:
    """Quote records, boards and candles over trades."""
    quotes = QuoteRecords()
    parts: list[Part] = [
        quotes,
        LeaderboardAnalyzer(quotes, board_size, listed),
        AtomicOhlcEngine(CALENDAR),
    ]
    return TradeFold(CALENDAR, parts, ConditionTable.named(conditions))


def aggregate_fold(bar_ms: int = 1000) -> AggregateFold:
    """The same over a provider's bars."""
    quotes = QuoteRecords()
    parts: list[Part] = [quotes, LeaderboardAnalyzer(quotes), AtomicOhlcEngine(CALENDAR)]
    return AggregateFold(CALENDAR, parts, bar_ms)


class Market:
    """One shard: send events, flush, restart, look at what readers would see."""

    def __init__(self, make: Callable[[], Fold] = trade_fold) -> None:
        self._make = make
        self._references: list[Reference] = []
        self.fold = make()
        self.store = Store()

    def send(self, *events: Event) -> Self:
        """Fold events as one list."""
        self.fold.apply(events)
        return self

    def flush(self) -> Changes:
        """Drain into the store."""
        changes = self.fold.drain()
        self.store.write(changes)
        return changes

    def show(self, *events: Event) -> Self:
        """Send, then flush."""
        self.send(*events).flush()
        return self

    def finish(self) -> Self:
        """End the replay."""
        return self.show(Clock(max(self.fold.second_ms, 0), final=True))

    def refer(self, *references: Reference) -> Self:
        self._references += references
        self.fold.refer(references)
        return self

    def crash(self) -> Self:
        """A new owner continues from the store; what was not flushed is gone."""
        self.fold = self._make()
        self.fold.restore(self._private(self.fold))
        self.fold.refer(self._references)
        return self

    def _private(self, fold: Fold) -> Rows:
        first = {name: self.store.restored(name) for name in fold.first_hashes()}
        return first | {name: self.store.restored(name) for name in fold.further_hashes(first)}

    def restart(self) -> Self:
        """Hand over to a new owner: flush, then restore."""
        self.flush()
        return self.crash()

    def quote(self, symbol: str, date: str = FRIDAY) -> QuoteRecord:
        return decode_quote(self.store.rows[quote_hash(date)][symbol])

    def quoted(self, date: str = FRIDAY) -> set[str]:
        """Symbols that have a quote record."""
        return set(self.store.rows.get(quote_hash(date), {}))

    def candles(self, symbol: str, date: str = FRIDAY, interval: str = "1m") -> dict[int, Candle]:
        """By start, ms UTC."""
        return self.store.candles(symbol, interval, date)

    def candle(self, symbol: str, at: str, date: str = FRIDAY, interval: str = "1m") -> Candle:
        return self.candles(symbol, date, interval)[ms(at, date)]

    def scores(self, board: str, date: str = FRIDAY) -> dict[str, float]:
        """A stored board, best first."""
        scores = self.store.boards.get(board_set(board, date), {})
        return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))
