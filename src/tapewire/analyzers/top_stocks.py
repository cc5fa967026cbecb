"""The leaderboard without servers: feed it events, ask it for the top of the market.

The same quote records and boards that processors make (``leaderboard.py``), kept in this
process; for scripts, notebooks and tests. README, *A board in ten lines*.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from tapewire.analyzers.aggregates import AggregateFold
from tapewire.analyzers.leaderboard import LeaderboardAnalyzer
from tapewire.analyzers.part import Part
from tapewire.analyzers.quotes import QuoteRecords
from tapewire.analyzers.trades import TradeFold
from tapewire.market.sessions import SessionCalendar
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate, Clock, Event, Gap, Trade
from tapewire.model.feeds import BOARDS, board_set, quote_hash
from tapewire.model.rows import QuoteRecord, Reference, decode_quote

BOARD_OF: Final[Mapping[str, str]] = {name.removeprefix("top_"): name for name in BOARDS}
"""``gainers``, ``gappers``, ``volume`` -> the board's name."""

_FOLDED: Final = {
    Trade: frozenset({Trade, Clock, Gap}),
    Aggregate: frozenset({Aggregate, Clock, Gap}),
}


class TopStock(Struct, frozen=True):
    """One line of a board: ``score`` is percent from the open, from the close, or volume."""

    rank: int
    symbol: str
    score: float
    quote: QuoteRecord


class TopStocksAnalyzer:
    """Top gainers, gappers and volume of one process, from trades or second bars.

    Of trades and provider bars whichever comes first is folded, and the other counted in
    ``ignored``: the same trade must not count twice. ``exchange`` names the calendar.
    """

    def __init__(self, exchange: str = "XNYS") -> None:
        self._calendar = SessionCalendar.load(exchange)
        self._fold: TradeFold | AggregateFold | None = None
        self._folded: frozenset[type] = frozenset()
        self._references: list[Reference] = []
        self._quotes: dict[str, bytes] = {}
        self._scores: dict[str, dict[str, float]] = {}
        self.date = ""
        """The trading date of the boards, empty before the first event."""

        self.ignored: Counter[str] = Counter()

    @property
    def second_ms(self) -> int:
        """The second of event time up to which boards are ranked, -1 before the first."""
        return self._fold.second_ms if self._fold else -1

    @property
    def skipped(self) -> Counter[str]:
        """Events that could not be used, by reason."""
        return self._fold.skipped if self._fold else Counter()

    def refer(self, references: Iterable[Reference]) -> None:
        """Take in previous closes and the like; without them there are no gappers."""
        self._references += references
        if self._fold:
            self._fold.refer(self._references)

    def feed(self, events: Sequence[Event]) -> bool:
        """Fold decoded events; True when a second has ended, so that boards may have changed."""
        fold = self._fold or self._choose(events)
        if fold is None:
            return False
        taken = [event for event in events if self._takes(event)]
        before = fold.second_ms
        fold.apply(taken)
        final = any(isinstance(event, Clock) and event.final for event in taken)
        return final or fold.second_ms > before

    def _choose(self, events: Sequence[Event]) -> TradeFold | AggregateFold | None:
        first = next((event for event in events if isinstance(event, Trade | Aggregate)), None)
        if first is None:
            return None
        quotes = QuoteRecords()
        parts: list[Part] = [quotes, LeaderboardAnalyzer(quotes)]
        make, kind = (TradeFold, Trade) if isinstance(first, Trade) else (AggregateFold, Aggregate)
        self._fold, self._folded = make(self._calendar, parts), _FOLDED[kind]
        self._fold.refer(self._references)
        return self._fold

    def _takes(self, event: Event) -> bool:
        if isinstance(event, tuple(self._folded)):
            return True
        self.ignored[type(event).__name__] += 1
        return False

    def top(self, board: str = "gainers", limit: int = 10) -> list[TopStock]:
        """The first lines of a board, ranked from 1 without holes.

        ``gainers`` by percent from the open, ``gappers`` by percent from the previous close,
        ``volume`` by accumulated volume. Raises ValueError for another name.
        """
        name = BOARD_OF.get(board.removeprefix("top_"))
        if name is None:
            raise ValueError(f"{board!r} is not a board; expected one of {', '.join(BOARD_OF)}")
        self._bring_up()
        scores = self._scores.get(name, {})
        ranked = sorted(scores.items(), key=lambda one: (-one[1], one[0]))[:limit]
        return [
            TopStock(rank, symbol, score, decode_quote(self._quotes[symbol]))
            for rank, (symbol, score) in enumerate(ranked, 1)
        ]

    def table(self, board: str = "gainers", limit: int = 10) -> str:
        """The same as lines of text for a terminal."""
        unit = "" if board.endswith("volume") else " %"
        digits = 0 if board.endswith("volume") else 2
        listed = self.top(board, limit)
        lines = [f"{self.date}  top {board.removeprefix('top_')}"]
        for one in listed:
            price = "-" if one.quote.close is None else f"{one.quote.close:,.2f}"
            score = f"{one.score:+,.{digits}f}" if unit else f"{one.score:,.{digits}f}"
            lines.append(f"{one.rank:3}  {one.symbol:8}{price:>12}{score + unit:>16}")
        return "\n".join(lines)

    def _bring_up(self) -> None:
        if self._fold is not None:
            self._take(self._fold.drain())

    def _take(self, changes: Changes) -> None:
        """What a store would hold, of the newest trading date."""
        dates = [name.rpartition(":")[2] for name in (*changes.rows, *changes.boards)]
        if dates and (newest := max(dates)) > self.date:
            self.date, self._quotes, self._scores = newest, {}, {}
        self._quotes.update(changes.rows.get(quote_hash(self.date), {}))
        for name in BOARDS:
            change = changes.boards.get(board_set(name, self.date))
            if change is not None:
                scores = self._scores.setdefault(name, {})
                for symbol in change.removed:
                    scores.pop(symbol, None)
                scores.update(change.put)
