"""A market that does not exist: tickers, prices, gaps and halts as functions of a seed.

Nothing here is simulated step by step. Every price is a function of (seed, ticker, time), so a
generator can begin at any moment of any day and two that begin at different moments agree. Days
hang together: a day's previous close is the close of the session before.

How a day looks: activity by rank follows Zipf's law; `GAPPERS` tickers open at least 17 % away
from their previous close, for good reasons nobody knows, and keep most of it; `HALTS` Nasdaq
tickers are halted once, for 5 to 15 minutes.
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from tapewire.market.sessions import SessionCalendar, TradingDay
from tapewire.simulators.sources import DailyBar

GAPPERS: Final = 40
HALTS: Final = 5
MAX_SYMBOLS: Final = 26**3

_MASK: Final = (1 << 64) - 1
_SPAN: Final = 1 << 64
_SQRT3: Final = math.sqrt(3)
_DAYS_KEPT: Final = 4
_GAP_MEMORY: Final = 60  # sessions over which a gap's effect on the price fades
_PRIMARIES: Final = ((1, 10, "XNYS"), (2, 11, "ARCX"), (3, 12, "XNAS"), (3, 12, "XNAS"))
_OCTAVES: Final = ((1800, 0.8), (180, 0.4), (15, 0.15))  # seconds between points, weight
_FIRST_WORDS: Final = (
    "Amber", "Basalt", "Cedar", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Indigo",
    "Juniper", "Kelp", "Lumen", "Meadow", "Nimbus", "Orchard", "Pebble", "Quarry", "Ridge",
    "Sable", "Tundra", "Umber", "Vale", "Willow", "Xenon", "Yarrow", "Zephyr",
)  # fmt: skip
_LAST_WORDS: Final = (
    "Analytics", "Bancorp", "Chemicals", "Devices", "Energy", "Foods", "Gaming", "Health",
    "Industries", "Logistics", "Materials", "Networks", "Optics", "Pharma", "Robotics",
    "Semiconductor", "Therapeutics", "Utilities", "Ventures", "Water",
)  # fmt: skip


def mix(*parts: int) -> int:
    """64 well-mixed bits from integers; the same on every machine and in every release."""
    return mix_on(0x9E3779B97F4A7C15, *parts)


def mix_on(bits: int, *parts: int) -> int:
    """The bits of more integers after those that ``bits`` are of."""
    for part in parts:
        bits = ((bits ^ part) * 0xBF58476D1CE4E5B9) & _MASK
        bits ^= bits >> 29
        bits = (bits * 0x94D049BB133111EB) & _MASK
        bits ^= bits >> 32
    return bits


def uniform(*parts: int) -> float:
    """A number in [0, 1) from integers."""
    return mix(*parts) / _SPAN


def gauss(*parts: int) -> float:
    """A number of about standard normal distribution, within ±3.5, from integers."""
    return normal(mix(*parts))


def normal(bits: int) -> float:
    """``gauss`` of the integers that ``bits`` are of."""
    total = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
    return (total / 65_536 - 2) * _SQRT3


class Listing(NamedTuple):
    """A ticker: where it is listed, its usual price, and its share of all trades."""

    rank: int
    symbol: str
    name: str
    tape: int
    exchange: int
    mic: str
    price: float
    share: float
    free_float: int
    free_float_percent: float


class Halt(NamedTuple):
    """A trading halt of one ticker, in seconds from the day's turn (04:00)."""

    rank: int
    begin_s: int
    end_s: int


class Market:
    """All tickers of one seed, most active first, and their days."""

    def __init__(self, seed: int, symbols: int) -> None:
        if not 1 <= symbols <= MAX_SYMBOLS:
            raise ValueError(f"{symbols} symbols were asked for; expected 1 to {MAX_SYMBOLS}")
        self.seed = seed
        self.calendar = SessionCalendar.load("XNYS")
        self._points: dict[tuple[int, int], list[float]] = {}
        self._closes: dict[str, list[float]] = {}
        total = sum(1 / rank for rank in range(1, symbols + 1))
        self.listings = [self._listing(rank, total) for rank in range(symbols)]

    def day(self, date: str) -> MarketDay:
        """The session of an ISO date."""
        return MarketDay(self, self.calendar.day(date))

    def closes(self, day: TradingDay) -> list[float]:
        """The official closes of a session by rank, in whole cents; not to be changed.

        Kept for a while: each session begins where the one before it ended.
        """
        known = self._closes.get(day.date)
        if known is None:
            known = self._closes[day.date] = self._closes_of(day)
            for past in list(self._closes)[:-_DAYS_KEPT]:
                del self._closes[past]
        return known

    def _closes_of(self, day: TradingDay) -> list[float]:
        ordinal = dt.date.fromisoformat(day.date).toordinal()
        excess, bits = self.excess(day), mix(self.seed, 1)
        months, weeks = self._smooth(ordinal, 30), self._smooth(ordinal, 7)
        closes = []
        for rank, (one, month, week) in enumerate(zip(self.listings, months, weeks, strict=True)):
            drift = 0.25 * month + 0.06 * week + 0.012 * normal(mix_on(bits, rank, ordinal))
            price = one.price * math.exp(drift + excess.get(rank, 0.0))
            closes.append(max(1.0, round(price, 2)))
        return closes

    def gaps(self, day: TradingDay) -> dict[int, float]:
        """The day's gappers: rank -> gap at the open (0.25 is 25 % above the previous close)."""
        ordinal = dt.date.fromisoformat(day.date).toordinal()
        count = len(self.listings)
        gaps: dict[int, float] = {}
        for number in range(min(GAPPERS, count // 4)):
            rank = mix(self.seed, 2, ordinal, number) % count
            while rank in gaps:
                rank = (rank + 1) % count
            up = number % 3 != 0
            size = uniform(self.seed, 3, ordinal, number)
            gaps[rank] = 0.2 + 0.6 * size**2 if up else -0.17 - 0.25 * size
        return gaps

    def excess(self, day: TradingDay) -> dict[int, float]:
        """What past gaps, the day's own included, still add to log prices at the close."""
        start = dt.date.fromisoformat(day.date) - dt.timedelta(days=_GAP_MEMORY * 7 // 5)
        sessions = self.calendar.sessions(start.isoformat(), day.date)
        total: dict[int, float] = {}
        for age, past in enumerate(reversed(sessions)):
            fade = 0.85 * (1 - age / _GAP_MEMORY)
            for rank, gap in self.gaps(past).items() if fade > 0 else ():
                total[rank] = total.get(rank, 0.0) + fade * math.log(1 + gap)
        return total

    def _listing(self, rank: int, total: float) -> Listing:
        bits = mix(self.seed, 4, rank)
        tape, exchange, mic = _PRIMARIES[bits % len(_PRIMARIES)]
        code = (rank * 7919 + self.seed * 101) % MAX_SYMBOLS
        letters = (code // 676, code // 26 % 26, code % 26)
        first = _FIRST_WORDS[(bits >> 8) % len(_FIRST_WORDS)]
        last = _LAST_WORDS[(bits >> 16) % len(_LAST_WORDS)]
        percent = round(30 + 69 * uniform(self.seed, 5, rank), 1)
        shares = int(math.exp(16 + 1.5 * gauss(self.seed, 6, rank)))
        return Listing(
            rank=rank,
            symbol="".join(chr(65 + letter) for letter in letters),
            name=f"{first} {last} {rank + 1}",
            tape=tape,
            exchange=exchange,
            mic=mic,
            price=min(900.0, 2 + math.exp(3.2 + gauss(self.seed, 7, rank))),
            share=1 / (rank + 1) / total,
            free_float=shares,
            free_float_percent=percent,
        )

    def _smooth(self, ordinal: int, days: int) -> Iterator[float]:
        """Noise over days by rank, interpolated between points ``days`` apart."""
        point, rest = divmod(ordinal, days)
        points = zip(self._at(days, point), self._at(days, point + 1), strict=True)
        return (before + (after - before) * rest / days for before, after in points)

    def _at(self, days: int, point: int) -> list[float]:
        """The noise at a point by rank; kept, since a month of days lies between two of them."""
        known = self._points.get((days, point))
        if known is None:
            bits = mix(self.seed, days)
            ranks = range(len(self.listings))
            known = [normal(mix_on(bits, rank, point)) for rank in ranks]
            self._points[days, point] = known
        return known


class MarketDay:
    """One session: opens, closes, prices at any second, who gaps, who is halted.

    Seconds count from the day's turn at 04:00 New York.
    """

    def __init__(self, market: Market, hours: TradingDay) -> None:
        self.hours = hours
        self._seed = market.seed
        self._ordinal = dt.date.fromisoformat(hours.date).toordinal()
        before = market.calendar.previous_session(hours.date)
        ranks = range(len(market.listings))
        self.listings = market.listings
        self.gaps = market.gaps(hours)
        self.previous_closes, self.closes = market.closes(before), market.closes(hours)
        self._of_bars = tuple(mix(market.seed, purpose) for purpose in (8, 9, 10))
        self.opens = [self._open(rank) for rank in ranks]
        weights = [one.share * self.appetite(one.rank) for one in market.listings]
        total = sum(weights)
        self.shares = [weight / total for weight in weights]
        self.cumulated_shares = list(accumulate(self.shares))
        self.open_s = (hours.open_ms - hours.turn_ms) // 1000
        self.close_s = (hours.close_ms - hours.turn_ms) // 1000
        self.end_s = (hours.post_ms - hours.turn_ms) // 1000
        self.halts = self._halts()
        self._noise: dict[tuple[int, int], tuple[int, float, float]] = {}

    def appetite(self, rank: int) -> float:
        """How many times its usual activity a ticker has today."""
        return 1 + 10 * abs(self.gaps.get(rank, 0.0))

    def price(self, rank: int, second: float) -> float:
        """The middle of the market, not rounded. Exact opens and closes at their moments."""
        open_, close = self.opens[rank], self.closes[rank]
        wobble = self._wobble(rank, second)
        if second < self.open_s:
            return open_ * math.exp(0.006 * wobble * (1 - second / self.open_s))
        if second >= self.close_s:
            after = (second - self.close_s) / (self.end_s - self.close_s)
            return close * math.exp(0.006 * wobble * after)
        done = (second - self.open_s) / (self.close_s - self.open_s)
        path = done * math.log(close / open_) + 0.012 * wobble * 4 * done * (1 - done)
        return open_ * math.exp(path)

    def bar(self, rank: int, volume: float) -> DailyBar:
        """The session in one bar; ``volume`` is the ticker's usual one."""
        open_, close = self.opens[rank], self.closes[rank]
        of_reach, of_luck, _ = self._of_bars
        reach = 0.015 * mix_on(of_reach, rank, self._ordinal) / _SPAN
        high = round(max(open_, close) * (1 + reach), 2)
        low = round(min(open_, close) * (1 - reach), 2)
        luck = math.exp(0.2 * normal(mix_on(of_luck, rank, self._ordinal)))
        shares = volume * self.appetite(rank) * luck
        vwap = round((open_ + high + low + close) / 4, 4)
        return DailyBar(open_, high, low, close, round(shares), vwap, max(1, round(shares / 150)))

    def _open(self, rank: int) -> float:
        gap = self.gaps.get(rank)
        if gap is None:
            gap = 0.006 * normal(mix_on(self._of_bars[2], rank, self._ordinal))
        return max(1.0, round(self.previous_closes[rank] * (1 + gap), 2))

    def _halts(self) -> list[Halt]:
        candidates = [one.rank for one in self.listings[:400] if one.tape == 3]
        first, last = self.open_s + 300, self.close_s - 2700
        halts: list[Halt] = []
        for number in range(min(HALTS, len(candidates))):
            bits = mix(self._seed, 11, self._ordinal, number)
            rank = candidates.pop(bits % len(candidates))
            begin_s = first + (bits >> 16) % (last - first)
            halts.append(Halt(rank, begin_s, begin_s + 300 + (bits >> 40) % 600))
        return halts

    def _wobble(self, rank: int, second: float) -> float:
        total = 0.0
        for octave, (spacing, weight) in enumerate(_OCTAVES):
            point = int(second // spacing)
            known = self._noise.get((rank, octave))
            if known is None or known[0] != point:
                before, after = (
                    gauss(self._seed, 12 + octave, self._ordinal, rank, at)
                    for at in (point, point + 1)
                )
                known = self._noise[rank, octave] = (point, before, after)
            _, before, after = known
            total += weight * (before + (after - before) * (second / spacing - point))
        return total


def activity(second: float, day: MarketDay) -> float:
    """Trades per second relative to the first moments after the open: a U over the session."""
    if second < day.open_s:
        return float(0.01 + 0.14 * (second / day.open_s) ** 4)
    if second >= day.close_s:
        return 0.01 + 0.12 * math.exp(-(second - day.close_s) / 1800)
    done = (second - day.open_s) / (day.close_s - day.open_s)
    return 0.25 + 0.75 * math.exp(-done / 0.08) + 0.5 * math.exp(-(1 - done) / 0.08)


class Activity:
    """`activity` summed over a day, minute by minute."""

    def __init__(self, day: MarketDay) -> None:
        minutes = range(0, day.end_s, 60)
        self._ends = [start + 60 for start in minutes]
        self._sums = list(accumulate(60 * activity(start + 30, day) for start in minutes))

    @property
    def total(self) -> float:
        """Over the whole day."""
        return self._sums[-1]

    def until(self, second: int) -> float:
        """From 04:00 to a second, whole minutes only."""
        minutes = bisect_right(self._ends, second)
        return self._sums[minutes - 1] if minutes else 0.0
