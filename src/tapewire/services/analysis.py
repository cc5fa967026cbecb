"""Which analyzers fold which stream: the settings' choices turned into folds.

Quote records and boards fold ``QUOTE_SOURCE`` (``auto``: aggregates where subscribed, else
trades); candles fold trades where subscribed, else aggregates. Of ``A`` and ``AM`` only
``A`` counts (architecture section 4). Ticks are a market of their own: all of it is folded from
them, by India's calendar. What else is folded comes from ``plugins.py``.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from msgspec import Struct, field, structs

from tapewire.analyzers.aggregates import AggregateFold
from tapewire.analyzers.bars import SECOND_MS
from tapewire.analyzers.best_quotes import BestQuotes
from tapewire.analyzers.candles import GRACE_MS, AtomicOhlcEngine
from tapewire.analyzers.leaderboard import BoardFilter, LeaderboardAnalyzer
from tapewire.analyzers.part import Part
from tapewire.analyzers.quotes import QuoteRecords
from tapewire.analyzers.ticks import TickFold
from tapewire.analyzers.trades import TradeFold
from tapewire.market.conditions import ConditionTable
from tapewire.market.sessions import SessionCalendar
from tapewire.model.candle_names import MINUTE_MS
from tapewire.model.markets import INDIA, US, market_of
from tapewire.model.streams import Shard, Stream
from tapewire.services.plugins import CORE, DEFAULT, Chosen, choose, core_of, is_part
from tapewire.services.shard_state import TimedAnalyzer


class Analysis(Struct, frozen=True, kw_only=True):
    """What is folded from what.

    ``topics`` are the subscribed prefixes (``T``, ``A``, ``AM``, ...); ``quote_source`` is
    ``auto``, ``aggregate`` or ``trades``; ``candle_conditions`` is ``massive`` or ``regular``.
    ``core`` and ``others`` are the analyzers that are on; ``listed`` says what boards list.
    """

    topics: frozenset[str]
    quote_source: str = "auto"
    candle_conditions: str = "massive"
    grace_ms: int = GRACE_MS
    exchange: str = "XNYS"
    listed: BoardFilter = BoardFilter()
    core: frozenset[str] = frozenset(CORE)
    others: tuple[Chosen, ...] = field(default_factory=lambda: choose((DEFAULT,)))

    @classmethod
    def of(cls, subscriptions: Collection[str], **choices: object) -> "Analysis":
        """From subscriptions such as ``T.*`` and ``AM.AAPL``."""
        topics = frozenset(topic.partition(".")[0] for topic in subscriptions)
        return cls(topics=topics, **choices)  # type: ignore[arg-type]

    @property
    def quotes_from(self) -> Stream:
        """The stream behind quote records and boards."""
        if self.quote_source != "auto":
            return Stream(self.quote_source)
        return Stream.AGGREGATE if self.topics & {"A", "AM"} else Stream.TRADES

    @property
    def candles_from(self) -> Stream:
        """The stream behind candles."""
        return Stream.TRADES if "T" in self.topics else Stream.AGGREGATE

    @property
    def bar_ms(self) -> int:
        """Length of the aggregates that count."""
        return MINUTE_MS if "AM" in self.topics and "A" not in self.topics else SECOND_MS

    def exchange_of(self, stream: Stream) -> str:
        """The exchange whose calendar a stream's events follow."""
        market = market_of(stream)
        return self.exchange if market == US else market.calendar

    def choosing(self, listed: Sequence[str]) -> "Analysis":
        """The same with the analyzers that ``TAPEWIRE_ANALYZERS`` names; PluginError if wrong.

        Each is built once, so that one that cannot be is known before anything is folded.
        """
        chosen = structs.replace(self, core=core_of(listed), others=choose(listed))
        for stream in Stream:
            chosen.others_of(stream, SessionCalendar.load(self.exchange_of(stream)))
        return chosen

    def maker(self, *calendars: SessionCalendar) -> Callable[[Shard], Sequence[TimedAnalyzer]]:
        """A function that builds fresh analyzers for one ownership of a shard.

        ``calendars``: those that are corrected while they run; of other exchanges the shipped
        ones.
        """
        known = {calendar.exchange: calendar for calendar in calendars}

        def make(shard: Shard) -> Sequence[TimedAnalyzer]:
            exchange = self.exchange_of(shard.stream)
            if exchange not in known:
                known[exchange] = SessionCalendar.load(exchange)
            calendar = known[exchange]
            fold = _FOLDS.get(shard.stream)
            parts, analyzers = self.others_of(shard.stream, calendar)
            return [*(fold(self, calendar, parts) if fold else ()), *analyzers]

        return make

    def others_of(
        self, stream: Stream, calendar: SessionCalendar
    ) -> tuple[list[Part], list[TimedAnalyzer]]:
        """Fresh parts and analyzers of a stream, beyond the core."""
        parts: list[Any] = []
        analyzers: list[Any] = []
        for one in self.others:
            if stream in (one.plugin.streams or (self.quotes_from, Stream.TICKS)):
                made = one.make(stream, calendar)
                if made is not None:
                    (parts if is_part(made) else analyzers).append(made)
        return parts, analyzers

    def _quotes(self, stream: Stream) -> list[Part]:
        folded = stream in (self.quotes_from, Stream.TICKS)
        if not folded or not self.core & {"quotes", "leaderboard"}:
            return []
        quotes = QuoteRecords(auction=market_of(stream) is INDIA)
        if "leaderboard" not in self.core:
            return [quotes]
        return [quotes, LeaderboardAnalyzer(quotes, listed=self.listed)]

    def _candles(self, stream: Stream, calendar: SessionCalendar) -> list[Part]:
        folded = stream in (self.candles_from, Stream.TICKS)
        if not folded or "candles" not in self.core:
            return []
        return [AtomicOhlcEngine(calendar, market_of(stream).exchange, self.grace_ms)]

    def fold_trades(
        self, calendar: SessionCalendar, others: Sequence[Part]
    ) -> Sequence[TimedAnalyzer]:
        """One fold; two where candles count other trades than quote records do."""
        quotes = [*self._quotes(Stream.TRADES), *others]
        candles = self._candles(Stream.TRADES, calendar)
        if self.candle_conditions == "massive" or not candles:
            parts = [*quotes, *candles]
            return [TradeFold(calendar, parts)] if parts else ()
        conditions = ConditionTable.named(self.candle_conditions)
        folds = [TradeFold(calendar, candles, conditions, name="candle_trades")]
        return [TradeFold(calendar, quotes), *folds] if quotes else folds

    def fold_aggregates(
        self, calendar: SessionCalendar, others: Sequence[Part]
    ) -> Sequence[TimedAnalyzer]:
        """One fold of the provider's bars."""
        candles = self._candles(Stream.AGGREGATE, calendar)
        parts = [*self._quotes(Stream.AGGREGATE), *others, *candles]
        return [AggregateFold(calendar, parts, self.bar_ms)] if parts else ()

    def fold_ticks(
        self, calendar: SessionCalendar, others: Sequence[Part]
    ) -> Sequence[TimedAnalyzer]:
        """One fold of broker ticks."""
        candles = self._candles(Stream.TICKS, calendar)
        parts = [*self._quotes(Stream.TICKS), *others, *candles]
        return [TickFold(calendar, parts)] if parts else ()

    def fold_quotes(
        self, calendar: SessionCalendar, others: Sequence[Part]
    ) -> Sequence[TimedAnalyzer]:
        """Best bids and offers, for the quote records of the other streams."""
        return [BestQuotes(calendar)] if "Q" in self.topics and "quotes" in self.core else ()


_Fold = Callable[[Analysis, SessionCalendar, Sequence[Part]], Sequence[TimedAnalyzer]]

_FOLDS: dict[Stream, _Fold] = {
    Stream.TRADES: Analysis.fold_trades,
    Stream.AGGREGATE: Analysis.fold_aggregates,
    Stream.QUOTES: Analysis.fold_quotes,
    Stream.TICKS: Analysis.fold_ticks,
}
