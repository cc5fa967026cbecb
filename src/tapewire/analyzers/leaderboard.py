"""The three leaderboards, re-ranked at each cut from the quote records' days.

Scores are the day's state as of the last cut, never the unfinished second, so that a
board does not depend on when a flush happened. Each shard keeps its own top 500; readers
merge them (architecture decision 9).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.analyzers.days import Day
from tapewire.analyzers.quote_rows import NO_REFERENCE, base_of, change
from tapewire.analyzers.quotes import QuoteRecords
from tapewire.market.sessions import TradingDay
from tapewire.model.changes import BoardChange, Changes
from tapewire.model.feeds import BOARD_SIZE, BOARDS, board_set
from tapewire.model.rows import Reference

Score = Callable[[Day, Reference, bool], float | None]


def volume_score(record: Day, reference: Reference, regular: bool) -> float | None:
    """Accumulated volume; None while there is none."""
    return record.volume or None


def gapper_score(record: Day, reference: Reference, regular: bool) -> float | None:
    """Percent from the previous close."""
    return change(record.close if record.close_t >= 0 else None, reference.prev_day_close)[1]


def gainer_score(record: Day, reference: Reference, regular: bool) -> float | None:
    """Percent from the open's base (``quotes.base_of``)."""
    base = base_of(record, regular)
    return change(record.close if record.close_t >= 0 else None, base[0].price if base else None)[1]


SCORES: Mapping[str, Score] = {
    "top_volume": volume_score,
    "top_gappers": gapper_score,
    "top_gainers": gainer_score,
}


class BoardFilter(Struct, frozen=True, kw_only=True):
    """Which symbols are listed at all; None means no bound, bounds are inclusive.

    Prices are last prices, volumes shares since 04:00, floats shares that the public can
    trade. A symbol of which a bounded figure is not known is not listed.
    """

    min_price: float | None = None
    max_price: float | None = None
    min_volume: float | None = None
    max_volume: float | None = None
    min_float: float | None = None
    max_float: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lets everything through."""
        return self == _OPEN

    def passes(self, record: Day, reference: Reference) -> bool:
        """Whether a symbol may be listed."""
        close = record.close if record.close_t >= 0 else None
        return (
            _within(close, self.min_price, self.max_price)
            and _within(record.volume, self.min_volume, self.max_volume)
            and _within(reference.free_float, self.min_float, self.max_float)
        )


def _within(value: float | None, least: float | None, most: float | None) -> bool:
    if value is None:
        return least is None and most is None
    return (least is None or value >= least) and (most is None or value <= most)


_OPEN: Final = BoardFilter()


class Board:
    """One shard's ranking by one score: at most ``size`` symbols, ties by symbol."""

    def __init__(self, size: int = BOARD_SIZE) -> None:
        self._size = size
        self._scores: dict[str, float] = {}
        self._listed: dict[str, float] = {}
        self._unsure: set[str] = set()

    def put(self, symbol: str, score: float | None) -> None:
        """Set a symbol's score; None takes it off."""
        if score is None:
            self._scores.pop(symbol, None)
        else:
            self._scores[symbol] = score

    def doubt(self, symbols: Iterable[str]) -> None:
        """Somebody else wrote the stored board: any of these may stand in it."""
        self._listed = {}
        self._unsure = set(symbols)

    def drain(self) -> BoardChange | None:
        """What has to be put and removed so that the stored board is right."""
        listed = self._top()
        put = {s: score for s, score in listed.items() if self._listed.get(s) != score}
        gone = (self._listed.keys() | self._unsure) - listed.keys()
        self._listed, self._unsure = listed, set()
        return BoardChange(put, sorted(gone)) if put or gone else None

    def _top(self) -> dict[str, float]:
        if len(self._scores) <= self._size:
            return dict(self._scores)
        last = sorted(self._scores.values(), reverse=True)[self._size - 1]
        ranked = [item for item in self._scores.items() if item[1] >= last]
        if len(ranked) > self._size:  # some of those with the last score are too many
            ranked.sort(key=lambda item: (-item[1], item[0]))
        return dict(ranked[: self._size])


class LeaderboardAnalyzer:
    """A ``Part`` that ranks what ``QuoteRecords`` holds.

    It must come after the ``QuoteRecords`` it reads in the shard's list of parts. What
    ``listed`` keeps out has no rank.
    """

    dated: Final = BOARDS

    def __init__(
        self, quotes: QuoteRecords, size: int = BOARD_SIZE, listed: BoardFilter = _OPEN
    ) -> None:
        self._quotes = quotes
        self._listed = None if listed.is_open else listed
        self._size = size
        self._date = ""
        self._regular = False
        self._scored = False
        self._restored = False
        self._boards = {name: Board(size) for name in SCORES}

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """Score the symbols that ``QuoteRecords`` saw change up to this cut."""
        self._rank()

    def _rank(self) -> None:
        symbols = self._quotes.cut_symbols
        if not symbols:
            return
        self._quotes.cut_symbols = set()
        days, find = self._quotes.days, self._quotes.references_of_day.get
        scores = [(self._boards[name].put, score) for name, score in SCORES.items()]
        regular, listed = self._regular, self._listed
        for symbol in symbols:
            record, reference = days[symbol], find(symbol, NO_REFERENCE)
            passes = listed is None or listed.passes(record, reference)
            for put, score in scores:
                put(symbol, score(record, reference, regular) if passes else None)
        self._scored = True

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Start new boards with a new trading day; at the open, turn the gainers' base."""
        if day.date != self._date:
            self._date = day.date
            self._boards = {name: Board(self._size) for name in SCORES}
        self._regular = second_ms >= day.open_ms
        self._rank()

    def finish(self) -> None:
        """The last cut has been ranked like any other."""

    def gap(self, from_ms: int, to_ms: int) -> None:
        """Rows carry the mark; scores do not change."""

    def refer(self, references: Iterable[Reference]) -> None:
        """``QuoteRecords`` has them, and names the symbols that changed."""

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Changed boards as of the last cut."""
        changes = Changes()
        if self._restored:
            self._restored = False
            self.renew()
        if not self._scored:
            return changes
        self._scored = False
        for name, board in self._boards.items():
            change_ = board.drain()
            if change_:
                changes.boards[board_set(name, self._date)] = change_
        return changes

    def renew(self) -> None:
        """Make the next drain write the boards whole."""
        self._rank()
        for board in self._boards.values():
            board.doubt(self._quotes.days)
        self._scored = True

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """None of its own: days tell everything."""
        return []

    def restore(self, private: Hashes) -> None:
        """Nothing of its own; the first drain, when references are in, ranks the restored days."""
        self._restored = True
