"""``generator[:seed=7,symbols=5000,date=2026-11-20,at=09:29:50,until=09:35]``: a seeded market.

One second at a time: trades drawn by activity and rank, priced by `MarketDay`, with odd lots,
sweeps, off-exchange prints, form T outside the session, crosses with their official prices,
halts; quotes around them; second and minute bars added up from the trades that were sent.

Beginning in the middle of a day: trades and quotes of a second are the same wherever the
generator began. A bar's day volume ``av`` and day VWAP ``a`` begin at what is expected of the
ticker until then (share of the day's activity, at the mean of open and present price) and add
the trades sent; ``op`` is the official open once that has been printed. The minute that it
begins in the middle of has no ``AM``. After the last second of a day comes the next session,
unless ``until`` ends it on the first day (``end``: with that day).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from tapewire.simulators.day_tape import CROSS_SHARE, MEAN_SIZE, DayTape
from tapewire.simulators.generator_options import Hours, Stretch, read_options, session_on
from tapewire.simulators.made_up_market import Activity, Market, MarketDay
from tapewire.simulators.sources import (
    DailyBar,
    Reference,
    Slice,
    SourceError,
    TickerReference,
)

DEFAULT_DATE: Final = "2026-11-20"

_HOURS: Final = Hours(4, "in New York between 04:00 and the day's end")


class GeneratorSource:
    """A made-up market, deterministic for its arguments; endless without ``until``.

    ``rate`` is trades a second just after the open; quotes and bars come on top. ``at`` and
    ``until`` are New York times between 04:00 and the end of the post-market of ``date``.
    """

    whole_frames = False

    def __init__(
        self,
        *,
        seed: int = 1,
        symbols: int = 5000,
        date: str = DEFAULT_DATE,
        at: str = "09:29:50",
        rate: float = 1500.0,
        until: str | None = None,
    ) -> None:
        try:
            self.market = Market(seed, symbols)
        except ValueError as error:
            raise SourceError(str(error)) from error
        self.name = f"generator:seed={seed},symbols={symbols},date={date},at={at},rate={rate:g}"
        self.topics = frozenset({"T", "Q", "A", "AM", "LULD"})
        self.symbols = frozenset(listing.symbol for listing in self.market.listings)
        self.notes: Sequence[str] = ()
        self._rate = rate
        if rate <= 0:
            raise SourceError(f"rate={rate:g} trades a second; expected more than 0")
        session_on(self.market.calendar, date)
        self._first_day = self.market.day(date)
        self._stretch = Stretch(_HOURS, self._first_day.end_s, at, until)
        self.dates: tuple[str, ...] = (date,)
        self.reference: Reference = GeneratorReference(self.market, self._first_day, rate)

    def skip(self, seconds: int) -> None:
        """Begin later, at the latest with the last second that is played."""
        self._stretch.skip(seconds)

    def slices(self) -> Iterator[Slice]:
        """A slice a second, to the end asked for or while the calendar reaches."""
        yield from islice(self._endless(), self._stretch.seconds)

    def _endless(self) -> Iterator[Slice]:
        day, second = self._first_day, self._stretch.first
        while True:
            yield from DayTape(self.market.seed, day, self._rate, second).slices()
            following = self.market.calendar.next_session(day.hours.date).date
            day, second = self.market.day(following), 0


class GeneratorReference:
    """What the provider's REST knows of the made-up market, from the same seed."""

    def __init__(self, market: Market, first: MarketDay, rate: float) -> None:
        self._market = market
        self._today = first.hours.date
        usual = rate * Activity(first).total * MEAN_SIZE * (1 + sum(CROSS_SHARE.values()))
        self._volumes = [usual * listing.share for listing in market.listings]

    def tickers(self) -> Sequence[TickerReference]:
        """All tickers, with names and float."""
        rows = [
            TickerReference(one.symbol, one.name, one.mic, one.free_float, one.free_float_percent)
            for one in self._market.listings
        ]
        return sorted(rows)

    def today(self) -> str:
        """The day that the generator begins with."""
        return self._today

    def daily_bars(self, day: str) -> Mapping[str, DailyBar]:
        """All tickers' bars of a session; closes are those that the next session starts from."""
        if not self._market.calendar.day(day).is_session:
            return {}
        session = self._market.day(day)
        return {
            one.symbol: session.bar(one.rank, self._volumes[one.rank])
            for one in self._market.listings
        }


_OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "seed": int,
    "symbols": int,
    "date": str,
    "at": str,
    "rate": float,
    "until": str,
}


def parse_generator(options: str, *, seed: int | None = None) -> GeneratorSource:
    """A generator from ``name=value,...``; ``seed`` holds where the options name none."""
    return GeneratorSource(**read_options(options, _OPTIONS, seed))
