"""What the benchmarks' answers have to be: trades folded a second time, the plain way.

Shares no code with the package. One trade at a time, dictionaries and whole numbers
(millionths of a dollar), by the rules of the condition table and of candles as written in
``components.md`` section 4: slow, and simple enough to be believed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
MILLION: Final = 1_000_000

# Condition ids by what a trade that carries them may not update; any "no" wins.
NO_VOLUME: Final = frozenset({15, 16, 38})
VOLUME_ONLY: Final = frozenset({2, 7, 20, 21, 29, 37, 52, 53})
VOLUME_ONLY_INSIDE: Final = frozenset({12, 13})  # regular session; outside it they count
NO_OPEN_CLOSE: Final = frozenset({5, 10, 22, 32, 33})
NOTHING: Final = frozenset({15, 16})
OPENING: Final = frozenset({17, 25})

# Tickers that exist to test an exchange (``massive.md`` 1.7); they are left out.
TEST_TICKER: Final = re.compile(
    r"[ACMNPZ]TEST(\.[A-Z])?|Z[A-Z]ZZT|ZVZZC|ZBZX|ZTST|ZEXIT|ZIEXT|ZXIET"
)

TOO_LATE_MS: Final = 900_000
GRACE_MS: Final = 2_000
BOARD_SIZE: Final = 500

Values = dict[str, Any]


@dataclass
class Span:
    """Trades of one symbol in one stretch of time; ``amended`` when one came after its close."""

    volume: int | float = 0
    notional: int | float = 0
    trades: int = 0
    high: int | None = None
    low: int | None = None
    first: tuple[int, int, int] | None = None  # (time, sequence, price)
    last: tuple[int, int, int] | None = None
    amended: bool = False

    def add(self, trade: "Read") -> None:
        if trade.counts:
            self.volume += trade.size
            self.notional += trade.price * trade.size
            self.trades += 1
        if trade.extreme:
            self.high = trade.price if self.high is None else max(self.high, trade.price)
            self.low = trade.price if self.low is None else min(self.low, trade.price)
        if trade.ends:
            place = (trade.t, trade.q, trade.price)
            self.first = min(self.first or place, place)
            self.last = max(self.last or place, place)

    @property
    def vwap(self) -> float | None:
        return _ratio(self.notional, self.volume * MILLION)


@dataclass(frozen=True)
class Read:
    """A trade as the rules see it; price in millionths of a dollar."""

    symbol: str
    t: int
    q: int
    price: int
    size: int | float
    counts: bool
    extreme: bool
    ends: bool
    opening: bool


@dataclass
class Today:
    """One symbol's trading day."""

    whole: Span = field(default_factory=Span)
    regular: Span = field(default_factory=Span)
    pre: Span = field(default_factory=Span)
    official: tuple[int, int, int] | None = None
    second: int = -1
    last_second: Span = field(default_factory=Span)


@dataclass
class Answers:
    """Candles by (date, symbol) and start; the last date's quote records by symbol.

    ``revised`` are the candles whose number of revisions hangs on when a late trade came.
    """

    events: int
    date: str
    candles: dict[tuple[str, str], dict[int, Values]]
    quotes: dict[str, Values]
    revised: set[tuple[str, int]] = field(default_factory=set)


@lru_cache(maxsize=4096)
def half_hour(index: int) -> tuple[str, bool, bool]:
    """Of a half hour since 1970: trading date, whether 09:30–16:00, whether from 09:30 on."""
    at = datetime.fromtimestamp(index * 1800, NEW_YORK)
    clock = at.hour * 60 + at.minute
    date = (at.replace(tzinfo=None) - timedelta(hours=4)).date().isoformat()
    opened = clock >= 570 or clock < 240
    return date, 570 <= clock < 960, opened


def read(trade: Mapping[str, Any]) -> Read:
    """Judge one trade by its conditions."""
    conditions = frozenset(trade.get("c") or ())
    t = int(trade["t"])
    volume_only = bool(conditions & VOLUME_ONLY) or (
        bool(conditions & VOLUME_ONLY_INSIDE) and half_hour(t // 1_800_000)[1]
    )
    extreme = not volume_only and not conditions & NOTHING
    return Read(
        symbol=trade["sym"],
        t=t,
        q=int(trade.get("q") or 0),
        price=round(trade["p"] * MILLION),
        size=trade["s"],
        counts=not conditions & NO_VOLUME,
        extreme=extreme,
        ends=extreme and not conditions & NO_OPEN_CLOSE,
        opening=bool(conditions & OPENING),
    )


class Oracle:
    """Folds trades in the order they come."""

    def __init__(self) -> None:
        self.minutes: dict[str, dict[int, Span]] = defaultdict(dict)
        self.days: dict[str, dict[str, Today]] = defaultdict(dict)
        self.now_ms = -1
        self.events = 0
        self.revised: set[tuple[str, int]] = set()
        self._seen: dict[str, set[int]] = defaultdict(set)

    def take(self, given: Mapping[str, Any]) -> None:
        """Fold one trade; a repeated one, and one over 15 minutes late, changes nothing."""
        self.events += 1
        if TEST_TICKER.fullmatch(given["sym"]):
            return
        trade = read(given)
        self.now_ms = max(self.now_ms, trade.t // 1000 * 1000)
        if trade.t < self.now_ms - TOO_LATE_MS or self._is_repeated(trade):
            return
        start_ms = trade.t // 60_000 * 60_000
        if start_ms + 60_000 + GRACE_MS <= self.now_ms:
            self.revised.add((trade.symbol, start_ms))
        self.minutes[trade.symbol].setdefault(start_ms, Span()).add(trade)
        self._day(trade)

    def _is_repeated(self, trade: Read) -> bool:
        seen = self._seen[trade.symbol]
        if trade.q in seen:
            return True
        if trade.q > 0:
            seen.add(trade.q)
        return False

    def _day(self, trade: Read) -> None:
        date, regular, opened = half_hour(trade.t // 1_800_000)
        days = self.days[date]
        day = days.get(trade.symbol)
        if day is None:
            day = days[trade.symbol] = Today()
        day.whole.add(trade)
        if regular:
            day.regular.add(trade)
        elif not opened:
            day.pre.add(trade)
        if trade.opening and opened:
            place = (trade.t, trade.q, trade.price)
            day.official = min(day.official or place, place)
        second = trade.t // 1000
        if second > day.second:
            day.second, day.last_second = second, Span()
        if second == day.second:
            day.last_second.add(trade)

    def answers(self, previous_close: Mapping[str, float] | None = None) -> Answers:
        """What must stand in the store once everything is closed."""
        candles: dict[tuple[str, str], dict[int, Values]] = defaultdict(dict)
        for symbol, minutes in self.minutes.items():
            for start_ms, span in minutes.items():
                if span.first and span.last:
                    date = half_hour(start_ms // 1_800_000)[0]
                    candles[date, symbol][start_ms] = _candle(start_ms, span)
        date = half_hour(self.now_ms // 1_800_000)[0]
        closes = previous_close or {}
        opened = half_hour(self.now_ms // 1_800_000)[2]
        quotes = {
            symbol: _quote(symbol, day, closes.get(symbol), opened)
            for symbol, day in self.days[date].items()
        }
        return Answers(self.events, date, dict(candles), quotes, self.revised)


def cloned(answers: Answers, names: Mapping[str, list[str]]) -> Answers:
    """The answers of clones: those of their originals under their own names."""
    candles = {
        (date, name): rows
        for (date, symbol), rows in answers.candles.items()
        for name in names[symbol]
    }
    quotes = {
        name: {**row, "symbol": name}
        for symbol, row in answers.quotes.items()
        for name in names[symbol]
    }
    revised = {(name, start) for symbol, start in answers.revised for name in names[symbol]}
    clones = max(map(len, names.values()), default=1)
    return Answers(answers.events * clones, answers.date, candles, quotes, revised)


def board(quotes: Mapping[str, Values], field_name: str) -> dict[str, float]:
    """The 500 best of a board: by score falling, then by symbol; no score, no place."""
    scores = ((symbol, row[field_name]) for symbol, row in quotes.items())
    nothing = (None, 0) if field_name == "accumulated_volume" else (None,)
    scored = [(symbol, score) for symbol, score in scores if score not in nothing]
    return dict(sorted(scored, key=lambda one: (-one[1], one[0]))[:BOARD_SIZE])


def of_trades(
    trades: Iterable[Mapping[str, Any]], previous_close: Mapping[str, float] | None = None
) -> Answers:
    """Fold trades in order."""
    oracle = Oracle()
    for trade in trades:
        oracle.take(trade)
    return oracle.answers(previous_close)


def _candle(start_ms: int, span: Span) -> Values:
    assert span.first is not None
    assert span.last is not None
    return {
        "start_ms": start_ms,
        "open": span.first[2] / MILLION,
        "high": _dollars(span.high),
        "low": _dollars(span.low),
        "close": span.last[2] / MILLION,
        "volume": span.volume,
        "vwap": span.vwap,
        "trades": span.trades,
        "closed": True,
        "revision": 0,
        "gap": False,
    }


def _quote(symbol: str, day: Today, previous: float | None, opened: bool) -> Values:
    close = day.whole.last[2] / MILLION if day.whole.last else None
    base = _base(day, opened)
    last = day.last_second
    return {
        "symbol": symbol,
        "volume": last.volume,
        "vwap": last.vwap,
        "high": _dollars(last.high),
        "low": _dollars(last.low),
        "average_size": _ratio(last.volume, last.trades),
        "accumulated_volume": day.whole.volume,
        "aggregate_vwap": day.whole.vwap,
        "official_open_price": day.official[2] / MILLION if day.official else None,
        "open": base,
        "close": close,
        "day_high": _dollars(day.whole.high),
        "day_low": _dollars(day.whole.low),
        "prev_day_close": previous,
        "pct_change": _percent(close, previous),
        "pct_change_since_open": _percent(close, base),
        "start_timestamp": day.second * 1000,
        "end_timestamp": day.second * 1000 + 1000,
    }


def _base(day: Today, opened: bool) -> float | None:
    """What the gain since the open is measured from."""
    if not opened:
        return day.pre.first[2] / MILLION if day.pre.first else None
    if day.official:
        return day.official[2] / MILLION
    return day.regular.first[2] / MILLION if day.regular.first else None


def _percent(close: float | None, base: float | None) -> float | None:
    return None if close is None or not base else 100 * (close - base) / base


def _ratio(above: float, below: float) -> float | None:
    return float(Fraction(above) / Fraction(below)) if below else None


def _dollars(price: int | None) -> float | None:
    return None if price is None else price / MILLION
