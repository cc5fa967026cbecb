"""The quote record's fields, from a symbol's day and what is known of it from elsewhere.

``components.md`` section 4, *quote record*. A symbol's row is made once a day and then written
over: thousands are written in one flush, and most of their fields stay as they were.
"""

from math import inf
from typing import Final

from msgspec import Struct

from tapewire.analyzers.bars import SECOND_MS, Bar
from tapewire.analyzers.days import Day, Print
from tapewire.analyzers.windows import Figures
from tapewire.market.sessions import Session, TradingDay
from tapewire.model.rows import NOTIONAL_SCALE, BestQuote, Fact, QuoteRecord, Reference


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
    first = record.regular_open
    return (first, "first regular trade") if first and first.price else None


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


def new_row(symbol: str, reference: Reference, told: Told) -> QuoteRecord:
    """A row that knows what others say of its symbol, and nothing of its day yet."""
    row = QuoteRecord(symbol, 0, reference.free_float, 0, *_NOTHING_YET, -1, -1, _CLOSED, *_NO_DAY)
    row.avg_volume = reference.avg_volume
    row.prev_day_close, row.prev_day_open = reference.prev_day_close, reference.prev_day_open
    row.prev_day_high, row.prev_day_low = reference.prev_day_high, reference.prev_day_low
    row.prev_day_volume, row.prev_day_vwap = reference.prev_day_volume, reference.prev_day_vwap
    row.name = reference.name
    row.halted, row.news_at = told.halted, told.news_at
    row.bid, row.bid_size, row.ask, row.ask_size = told.bid, told.bid_size, told.ask, told.ask_size
    row.spread_pct = told.spread_pct
    return row


_NOTHING_YET: Final = (None,) * 20
"""``relative_volume`` to ``pct_change_since_open``."""
_NO_DAY: Final = (None, None, None, False)
"""``day_high`` to ``gap``."""


def show_windows(row: QuoteRecord, figures: Figures) -> None:
    """Put in what was traded over the windows."""
    row.pct_change_1m, row.pct_change_5m, row.pct_change_15m, row.volume_1m, row.volume_5m = figures


def show_day(row: QuoteRecord, record: Day, regular: bool, texts: Texts) -> None:
    """Put a day in; ``regular`` is whether the regular session has begun."""
    close = record.close if record.close_t >= 0 else None
    _show_base(row, record, regular)
    _show_sums(row, record.volume, close, record.high, record.low)
    _show_time(row, record.start_ms, record.end_ms, texts)
    row.high = record.second_high if record.second_high > -inf else None
    row.low = record.second_low if record.second_low < inf else None
    row.volume = record.second_volume
    row.vwap, row.aggregate_vwap, row.average_size = record.averages()


def extends(bar: Bar, record: Day, session: Session) -> bool:
    """Whether ``show_bar`` can show them: a bar after all of the day, and no session's first."""
    first = record.regular_open if session is Session.REGULAR else record.pre_open
    begun = first is not None or session not in OPENING
    return begun and record.start_ms < bar.start_ms and bar.official_t < 0 and not record.given


def show_bar(row: QuoteRecord, record: Day, bar: Bar, regular: bool, texts: Texts) -> None:
    """Put a day in together with an unfinished bar: as if they were merged, but faster.

    Days change only between seconds: what of a row follows from its day alone is put in once.
    """
    start_ms, size, trades = bar.start_ms, bar.volume, bar.trades
    if row.start_timestamp != start_ms:
        _show_base(row, record, regular)
        _show_time(row, start_ms, start_ms + SECOND_MS, texts)
    high, low, volume = bar.high, bar.low, record.volume + size
    row.high = high if high > -inf else None
    row.low = low if low < inf else None
    if record.high > high:
        high = record.high
    if record.low < low:
        low = record.low
    last = bar if bar.close_t >= 0 else record
    _show_sums(row, volume, last.close if last.close_t >= 0 else None, high, low)
    seen = volume - record.unseen
    row.volume = size
    row.vwap = bar.notional / (size * NOTIONAL_SCALE) if size else None
    row.aggregate_vwap = (
        (record.notional + bar.notional) / (seen * NOTIONAL_SCALE) if seen else None
    )
    row.average_size = size / trades if trades else None


OPENING: Final = frozenset({Session.PRE, Session.REGULAR})
"""Sessions whose first price matters."""


def _show_base(row: QuoteRecord, record: Day, regular: bool) -> None:
    """Put in what ``change_since_open`` starts from."""
    official = record.official
    row.official_open_price = official.price if official else None
    base = base_of(record, regular)
    row.open, row.base_note = (base[0].price, base[1]) if base else (None, None)


def _show_sums(
    row: QuoteRecord, volume: float, close: float | None, high: float, low: float
) -> None:
    """Put in sums and extremes since the turn, and how far the last price is from its bases."""
    average = row.avg_volume
    row.accumulated_volume = volume
    row.relative_volume = volume / average if average else None
    row.close = close
    row.day_high = high if high > -inf else None
    row.day_low = low if low < inf else None
    row.change, row.pct_change = change(close, row.prev_day_close)
    row.change_since_open, row.pct_change_since_open = change(close, row.open)


def _show_time(row: QuoteRecord, start_ms: int, end_ms: int, texts: Texts) -> None:
    """Put in the time of the last second in which the symbol traded."""
    if row.start_timestamp != start_ms:
        row.start_timestamp, row.end_timestamp = start_ms, end_ms
        row.session = texts.session(start_ms)
