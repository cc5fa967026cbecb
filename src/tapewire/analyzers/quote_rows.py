"""The quote record's fields, from a symbol's day and what is known of it from elsewhere.

``components.md`` section 4, *quote record*. A row is built as a tuple in the order of
``QuoteRecord``: thousands are built in one flush.
"""

from math import inf

from msgspec import Struct

from tapewire.analyzers.days import Day, Print
from tapewire.analyzers.windows import Figures
from tapewire.market.sessions import Session, TradingDay
from tapewire.model.rows import BestQuote, Fact, Reference


class Told(Struct, gc=False):
    """What others publish of a symbol; None where nobody said.

    ``spread_pct`` is 100 x (ask - bid) / mid.
    """

    halted: bool | None = None
    news_at: int | None = None
    bid: float | None = None
    ask: float | None = None
    bid_size: int | float | None = None
    ask_size: int | float | None = None
    spread_pct: float | None = None

    def learn(self, fact: Fact) -> None:
        """Take in one fact; ValueError for a field or a value that does not exist."""
        name, value = fact.field, fact.value
        if name == "best_quote" and isinstance(value, BestQuote | None):
            self._quote(value)
        elif name == "halted" and isinstance(value, bool | None):
            self.halted = value
        elif name == "news_at" and isinstance(value, int | None):
            self.news_at = value
        else:
            raise ValueError(
                f"{fact.symbol}: the fact {name!r} with a value of {type(value).__name__}; "
                "expected best_quote (BestQuote), halted (bool) or news_at (int)"
            )

    def _quote(self, quote: BestQuote | None) -> None:
        if quote is None:
            self.bid = self.ask = self.bid_size = self.ask_size = self.spread_pct = None
            return
        bid, ask = quote.bid, quote.ask
        self.bid, self.ask = bid, ask
        self.bid_size, self.ask_size = quote.bid_size, quote.ask_size
        self.spread_pct = 100 * (ask - bid) / ((bid + ask) / 2) if bid and ask else None


NOTHING_TOLD = Told()
NO_REFERENCE = Reference("", "")


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


class Texts:
    """Names of the sessions of one trading day, by time."""

    def __init__(self, day: TradingDay) -> None:
        self._bounds = (day.pre_ms, day.open_ms, day.close_ms, day.post_ms)

    def session(self, timestamp_ms: int) -> str:
        """``day.session_at`` as it is written."""
        pre_ms, open_ms, close_ms, post_ms = self._bounds
        if open_ms <= timestamp_ms < close_ms:
            return _REGULAR
        if timestamp_ms < pre_ms or timestamp_ms >= post_ms:
            return _CLOSED
        return _PRE if timestamp_ms < open_ms else _POST


_PRE, _REGULAR = Session.PRE.value, Session.REGULAR.value
_POST, _CLOSED = Session.POST.value, Session.CLOSED.value


def quote_row(
    record: Day,
    reference: Reference,
    told: Told,
    figures: Figures,
    texts: Texts,
    relative_tod: float | None,
    regular: bool,
    gap: bool,
) -> tuple[object, ...]:
    """The row of one symbol; ``regular`` is whether 09:30 has passed."""
    close = record.close if record.close_t >= 0 else None
    base = base_of(record, regular)
    opened = base[0].price if base else None
    difference, percent = change(close, reference.prev_day_close)
    since, percent_since = change(close, opened)
    average, official, volume = reference.avg_volume, record.official, record.volume
    second_vwap, day_vwap, average_size = record.averages()
    return (
        record.symbol,
        record.second_volume,
        reference.free_float,
        volume,
        volume / average if average else None,
        official.price if official else None,
        second_vwap,
        opened,
        close,
        record.second_high if record.second_high > -inf else None,
        record.second_low if record.second_low < inf else None,
        day_vwap,
        average_size,
        average,
        reference.prev_day_close,
        reference.prev_day_open,
        reference.prev_day_high,
        reference.prev_day_low,
        reference.prev_day_volume,
        reference.prev_day_vwap,
        difference,
        percent,
        since,
        percent_since,
        record.start_ms,
        record.end_ms,
        texts.session(record.start_ms),
        record.high if record.high > -inf else None,
        record.low if record.low < inf else None,
        base[1] if base else None,
        gap,
        relative_tod,
        *figures,
        told.halted,
        told.news_at,
        told.bid,
        told.ask,
        told.bid_size,
        told.ask_size,
        told.spread_pct,
        reference.name,
    )
