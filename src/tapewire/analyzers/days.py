"""One symbol's trading day: its sums since 04:00, its first and last prices, its last second."""

from math import inf
from typing import Final

from msgspec import Struct

from tapewire.analyzers.bars import SECOND_MS, Bar
from tapewire.market.sessions import Session
from tapewire.model.events import Aggregate
from tapewire.model.rows import NOTIONAL_SCALE


class Print(Struct, array_like=True, frozen=True):
    """A price and its place in the order of trades."""

    price: float
    t: int
    q: int


UNKNOWN: Final = Print(0.0, -1, -1)
"""The first price of a session that had begun before anybody looked: none is earlier."""


class Given(Struct, array_like=True, frozen=True, gc=False):
    """What a provider computed of its newest bar and the day, and the day's extremes before it."""

    second_vwap: float | None
    vwap: float | None
    average_size: float | None
    high_before: float = -inf
    low_before: float = inf


class Day(Struct, array_like=True, gc=False):
    """Sums, extremes and first and last prices of one symbol's trading day.

    ``start_ms`` and ``second_*`` describe the last whole second (or, from minute
    aggregates, minute) in which it traded. ``given`` is there where the day comes from a
    provider's bars; of trades the same follows from the sums.
    ``unseen`` of ``volume`` was traded in no bar: a broker's ticks tell the day's volume so far.
    ``aged`` is the last price of the seconds before the longest window (0.0 for none) and
    ``aged_s`` the unix second that it is of: what a restart cannot tell from the windows.
    """

    symbol: str
    volume: int | float = 0
    notional: int | float = 0
    high: float = -inf
    low: float = inf
    close: float = 0.0
    close_t: int = -1
    close_q: int = -1
    official: Print | None = None
    regular_open: Print | None = None
    pre_open: Print | None = None
    start_ms: int = -1
    end_ms: int = -1
    second_volume: int | float = 0
    second_notional: int | float = 0
    second_trades: int = 0
    second_high: float = -inf
    second_low: float = inf
    given: Given | None = None
    aged: float = 0.0
    aged_s: int = -1
    unseen: int | float = 0

    def merge(self, bar: Bar, session: Session) -> None:
        """Put a bar of trades in, one that ``concerns`` the day; bars may come in any order."""
        self.volume += bar.volume
        self.notional += bar.notional
        if bar.high > self.high:
            self.high = bar.high
        if bar.low < self.low:
            self.low = bar.low
        t = bar.close_t
        if t >= 0:
            if t > self.close_t or (t == self.close_t and bar.close_q >= self.close_q):
                self.close, self.close_t, self.close_q = bar.close, t, bar.close_q
            self._merge_opens(bar, session)
        if bar.official_t >= 0 and session in AFTER_OPEN:
            self.open_at(bar.official, bar.official_t, bar.official_q)
        if bar.start_ms > self.start_ms:
            self.start_ms, self.end_ms = bar.start_ms, bar.start_ms + SECOND_MS
            self.second_volume, self.second_notional = bar.volume, bar.notional
            self.second_trades = bar.trades
            self.second_high, self.second_low = bar.high, bar.low
        elif bar.start_ms == self.start_ms:
            self._merge_second(bar)

    def _merge_opens(self, bar: Bar, session: Session) -> None:
        if session is Session.REGULAR:
            first = self.regular_open
            if first is None or bar.open_t <= first.t:
                self.regular_open = _earlier(first, bar.open, bar.open_t, bar.open_q)
        elif session is Session.PRE:
            self.pre_open = _earlier(self.pre_open, bar.open, bar.open_t, bar.open_q)

    def _merge_second(self, bar: Bar) -> None:
        self.second_volume += bar.volume
        self.second_notional += bar.notional
        self.second_trades += bar.trades
        self.second_high = max(self.second_high, bar.high)
        self.second_low = min(self.second_low, bar.low)

    def take(self, aggregate: Aggregate, session: Session) -> None:
        """Put a provider's bar in.

        The newest one sent again replaces all that it said; an older one (a correction) only
        widens the extremes and corrects the first prices.
        """
        start_ms, given = int(aggregate.start_timestamp), self.given
        self._take_opens(aggregate, start_ms, session)
        before = (self.high, self.low)
        if given and start_ms <= self.start_ms:
            before = (given.high_before, given.low_before)
        if start_ms >= self.start_ms:
            self._take_newest(aggregate, start_ms, *before)
        elif given:
            high, low = aggregate.high, aggregate.low
            self.high, self.low = max(self.high, high), min(self.low, low)
            before = (max(before[0], high), min(before[1], low))
            self.given = Given(given.second_vwap, given.vwap, given.average_size, *before)

    def _take_newest(self, aggregate: Aggregate, start_ms: int, high: float, low: float) -> None:
        """Stand at a bar; ``high`` and ``low`` are the day's without it."""
        self.start_ms, self.end_ms = start_ms, int(aggregate.end_timestamp)
        self.high, self.low = max(high, aggregate.high), min(low, aggregate.low)
        self.volume = aggregate.accumulated_volume
        self.close, self.close_t, self.close_q = aggregate.close, start_ms, 0
        self.second_volume = aggregate.volume
        self.second_high, self.second_low = aggregate.high, aggregate.low
        figures = (aggregate.vwap, aggregate.aggregate_vwap, aggregate.average_size)
        self.given = Given(*figures, high, low)

    def _take_opens(self, aggregate: Aggregate, start_ms: int, session: Session) -> None:
        if aggregate.official_open_price and session in AFTER_OPEN:
            self.official = Print(aggregate.official_open_price, start_ms, 0)
        if session is Session.REGULAR:
            self.regular_open = _corrected(self.regular_open, aggregate.open, start_ms)
        elif session is Session.PRE:
            self.pre_open = _corrected(self.pre_open, aggregate.open, start_ms)

    def open_at(self, price: float, t: int, q: int) -> None:
        """Take a price as the official open, unless there is an earlier one."""
        self.official = _earlier(self.official, price, t, q)

    def stand(self, unseen: float, price: float, t: int, session: Session) -> None:
        """Put in what was traded before the first bar or between bars: last at ``price``.

        Which price was the regular session's first nobody knows then.
        """
        self.volume += unseen - self.unseen
        self.unseen = unseen
        if session is Session.REGULAR and (not self.regular_open or t < self.regular_open.t):
            self.regular_open = UNKNOWN
        elif session is Session.PRE and unseen:
            self.pre_open = _earlier(self.pre_open, price, t, 0)
        if t > self.close_t:
            self.close, self.close_t, self.close_q = price, t, 0
        start_ms = t // SECOND_MS * SECOND_MS
        if start_ms > self.start_ms:
            self.start_ms, self.end_ms = start_ms, start_ms + SECOND_MS
            self.second_volume = self.second_notional = self.second_trades = 0
            self.second_high, self.second_low = -inf, inf

    def averages(self) -> tuple[float | None, float | None, float | None]:
        """Price of an average share in the last second and since 04:00, and shares a trade.

        The last is of the last second's eligible trades. Of shares that no bar tells of no price
        is known, so that they do not count.
        """
        given = self.given
        if given:
            return given.second_vwap, given.vwap, given.average_size
        size, trades, volume = self.second_volume, self.second_trades, self.volume - self.unseen
        return (
            self.second_notional / (size * NOTIONAL_SCALE) if size else None,
            self.notional / (volume * NOTIONAL_SCALE) if volume else None,
            size / trades if trades else None,
        )


AFTER_OPEN = frozenset({Session.REGULAR, Session.POST})


def concerns(bar: Bar, session: Session) -> bool:
    """Whether a bar changes a day: an opening print alone does at or after 09:30 only."""
    if bar.trades > 0 or bar.traded:
        return True
    return bar.official_t >= 0 and session in AFTER_OPEN


def _earlier(known: Print | None, price: float, t: int, q: int) -> Print:
    if known is None or t < known.t or (t == known.t and q < known.q):
        return Print(price, t, q)
    return known


def _corrected(known: Print | None, price: float, start_ms: int) -> Print:
    """The first bar's open; the same bar sent again corrects it."""
    return known if known is not None and known.t < start_ms else Print(price, start_ms, 0)
