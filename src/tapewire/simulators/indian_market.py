"""An Indian market that does not exist, second by second: the ticks that brokers would send.

Like `made_up_market`, nothing is simulated step by step: every price is a function of (seed,
underlying, time), so that two generators that begin at different moments agree on prices, and a
day's previous close is the close of the session before. Futures carry their spot, options are
priced by Black and Scholes. Activity follows Zipf's law by name and a U over the session; before
09:15 only shares trade, and little.

What a second brings is the same wherever a generator began; cumulative volumes begin at what is
expected of an instrument until then.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice
from random import Random
from typing import Final

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.market.sessions import SessionCalendar, TradingDay
from tapewire.model.events import TICK_INDEX, Tick
from tapewire.simulators.generator_options import Hours, Stretch, session_on
from tapewire.simulators.indian_listings import (
    INDICES,
    TICK_SIZE,
    UNDERLYINGS,
    Listing,
    listings,
)
from tapewire.simulators.made_up_market import gauss, mix
from tapewire.simulators.sources import SourceError, TimedTick

DEFAULT_DATE: Final = "2026-11-20"
DEFAULT_AT: Final = "09:14:50"

_PRE_OPEN_HOUR: Final = 9
_HOURS: Final = Hours(_PRE_OPEN_HOUR, "in India from 09:00 until 15:30")
_RATE_A_YEAR: Final = 0.065
_YEAR_MS: Final = 365 * 86_400_000
_OCTAVES: Final = ((1800, 0.8), (180, 0.4), (15, 0.15))  # seconds between points, weight
_LOTS: Final = (1, 1, 1, 1, 2, 2, 3, 4, 6, 10)
_MEAN_LOTS: Final = sum(_LOTS) / len(_LOTS)
_SHARES_A_LOT: Final = 12
_BOUNCES: Final = (-1, 0, 0, 0, 1)
_LEAST_BOUNCING: Final = 5.0
"""Below, a step of the grid is a percent or more: an option that is worth nothing stays there."""
_MOVERS: Final = 12
"""One share in so many has news on a day, and moves `_MOVE` times as far as usual."""
_MOVE: Final = 5


class IndianMarket:
    """The underlyings of one seed: their closes from session to session."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.calendar = SessionCalendar.load("XNSE")

    def close(self, underlying: int, date: str) -> float:
        """The close of an underlying on an ISO date, in rupees, on the grid of 0.05."""
        ordinal = dt.date.fromisoformat(date).toordinal()
        drift = 0.1 * self._smooth(underlying, ordinal, 30)
        drift += 0.03 * self._smooth(underlying, ordinal, 7)
        moved = mix(self.seed, 30, underlying, ordinal) % _MOVERS == 0 and underlying >= INDICES
        daily = UNDERLYINGS[underlying].volatility / 20 * (_MOVE if moved else 1)
        drift += daily * gauss(self.seed, 31, underlying, ordinal)
        return _on_grid(UNDERLYINGS[underlying].price * math.exp(drift))

    def _smooth(self, underlying: int, ordinal: int, days: int) -> float:
        """Noise over days, interpolated between points ``days`` apart."""
        point, rest = divmod(ordinal, days)
        before, after = (gauss(self.seed, 32, days, underlying, at) for at in (point, point + 1))
        return before + (after - before) * rest / days


class IndianDay:
    """One session: prices at any second. Seconds count from 09:00 in India."""

    def __init__(self, market: IndianMarket, hours: TradingDay) -> None:
        self.hours = hours
        self.open_s = (hours.open_ms - hours.pre_ms) // 1000
        self.close_s = (hours.close_ms - hours.pre_ms) // 1000
        self._seed = market.seed
        self._ordinal = dt.date.fromisoformat(hours.date).toordinal()
        self._before = market.calendar.previous_session(hours.date)
        everyone = range(len(UNDERLYINGS))
        self._previous = [market.close(number, self._before.date) for number in everyone]
        self._closes = [market.close(number, hours.date) for number in everyone]
        self._opens = [self._open(number) for number in everyone]
        self._noise: dict[tuple[int, int], tuple[int, float, float]] = {}

    @property
    def previous_closes(self) -> Mapping[str, float]:
        """Each underlying's close of the session before, by name."""
        return {one.name: self._previous[number] for number, one in enumerate(UNDERLYINGS)}

    def previous_close(self, listing: Listing) -> float:
        """An instrument's close of the session before, in rupees."""
        spot = self._previous[listing.underlying]
        return _on_grid(worth(listing, spot, self._before.close_ms))

    def spot(self, underlying: int, second: float) -> float:
        """An underlying's price, not rounded; exact opens and closes at their moments."""
        open_, close = self._opens[underlying], self._closes[underlying]
        wobble = self._wobble(underlying, second)
        if second < self.open_s:
            return open_ * math.exp(0.001 * wobble * (1 - second / self.open_s))
        done = min(1.0, (second - self.open_s) / (self.close_s - self.open_s))
        reach = UNDERLYINGS[underlying].volatility / 20
        path = done * math.log(close / open_) + reach * wobble * 4 * done * (1 - done)
        return open_ * math.exp(path)

    def price(self, listing: Listing, second: float) -> float:
        """An instrument's price, not rounded."""
        at_ms = self.hours.pre_ms + int(second * 1000)
        return worth(listing, self.spot(listing.underlying, second), at_ms)

    def _open(self, underlying: int) -> float:
        """Half of the day's move is there at the open, and a little noise."""
        noise = UNDERLYINGS[underlying].volatility / 80
        gap = noise * gauss(self._seed, 33, underlying, self._ordinal)
        gap += 0.5 * math.log(self._closes[underlying] / self._previous[underlying])
        return _on_grid(self._previous[underlying] * math.exp(gap))

    def _wobble(self, underlying: int, second: float) -> float:
        total = 0.0
        for octave, (spacing, weight) in enumerate(_OCTAVES):
            point = int(second // spacing)
            known = self._noise.get((underlying, octave))
            if known is None or known[0] != point:
                before, after = (
                    gauss(self._seed, 34 + octave, self._ordinal, underlying, at)
                    for at in (point, point + 1)
                )
                known = self._noise[underlying, octave] = (point, before, after)
            _, before, after = known
            total += weight * (before + (after - before) * (second / spacing - point))
        return total


def worth(listing: Listing, spot: float, at_ms: int) -> float:
    """What an instrument is worth at its underlying's price: itself, a future's or an option's."""
    instrument = listing.instrument
    if not instrument.expiry:
        return spot
    expiry = dt.datetime.fromisoformat(f"{instrument.expiry}T15:30:00+05:30")
    years = max(0.0, (expiry.timestamp() * 1000 - at_ms) / _YEAR_MS)
    forward = spot * math.exp(_RATE_A_YEAR * years)
    if instrument.kind is InstrumentKind.FUTURE:
        return forward
    deviation = UNDERLYINGS[listing.underlying].volatility * math.sqrt(years)
    call = _call(forward, instrument.strike, deviation)
    price = call if instrument.kind is InstrumentKind.CALL else call - forward + instrument.strike
    return max(TICK_SIZE, price * math.exp(-_RATE_A_YEAR * years))


def _call(forward: float, strike: float, deviation: float) -> float:
    """Black's formula, not discounted."""
    if deviation <= 0:
        return max(0.0, forward - strike)
    above = math.log(forward / strike) / deviation + deviation / 2
    return forward * _normal(above) - strike * _normal(above - deviation)


def _normal(value: float) -> float:
    return 0.5 * (1 + math.erf(value / math.sqrt(2)))


def _on_grid(price: float) -> float:
    return max(1, round(price / TICK_SIZE)) * 5 / 100


def activity(second: float, day: IndianDay) -> float:
    """Ticks per second beside those just after the open: little before it, a U over the day."""
    if second < day.open_s:
        return 0.02
    done = (second - day.open_s) / (day.close_s - day.open_s)
    return 0.3 + 0.7 * math.exp(-done / 0.06) + 0.5 * math.exp(-(1 - done) / 0.08)


class IndianTicks:
    """The ticks of one session from a second on.

    ``rate`` is ticks a second just after the open, beside one of each index.
    """

    def __init__(
        self, seed: int, day: IndianDay, listed: Sequence[Listing], rate: float, second: int
    ) -> None:
        self._seed, self._day, self._rate, self._first = seed, day, rate, second
        self._listed = listed
        self._keys = [listing.instrument.key for listing in listed]
        date = day.hours.date
        weights = [one.weight if (one.instrument.expiry or date) >= date else 0.0 for one in listed]
        early = [weight * (not one.instrument.expiry) for weight, one in zip(weights, listed)]  # noqa: B905
        self._weights, self._early = list(accumulate(weights)), list(accumulate(early))
        self._volumes = self._expected(weights)
        self._ordinal = dt.date.fromisoformat(date).toordinal()

    def slices(self) -> Iterator[list[TimedTick]]:
        """Each second's ticks, in order of time."""
        for second in range(self._first, self._day.close_s):
            yield self._second(second)

    def _expected(self, weights: Sequence[float]) -> list[int]:
        """What each instrument has probably traded until the first second."""
        step, day = 60, self._day
        seconds = range(min(day.open_s, self._first), self._first, step)
        ticks = self._rate * sum(step * activity(second, day) for second in seconds)
        total = sum(weights)
        return [
            int(ticks * weight / total * _MEAN_LOTS) * _lot(listing)
            for weight, listing in zip(weights, self._listed, strict=True)
        ]

    def _second(self, second: int) -> list[TimedTick]:
        random = Random(mix(self._seed, 35, self._ordinal, second))
        is_open = second >= self._day.open_s
        count = int(self._rate * activity(second, self._day) + random.random())
        weights = self._weights if is_open else self._early
        chosen = random.choices(range(len(weights)), cum_weights=weights, k=count)
        prices: dict[int, float] = {}
        ticks = []
        for number in chosen:
            if number not in prices:
                prices[number] = self._day.price(self._listed[number], second)
            ticks.append(self._tick(number, second, prices[number], random))
        if is_open:
            ticks += self._indices(second, random)
        ticks.sort(key=_due)
        return self._counted(ticks)

    def _tick(self, number: int, second: int, price: float, random: Random) -> _Made:
        time_ms = self._day.hours.pre_ms + second * 1000 + random.randrange(1000)
        bounce = random.choice(_BOUNCES) if price >= _LEAST_BOUNCING else 0
        bounced = _on_grid(price + bounce * TICK_SIZE)
        return time_ms, number, bounced, random.choice(_LOTS) * _lot(self._listed[number])

    def _indices(self, second: int, random: Random) -> list[_Made]:
        begin_ms = self._day.hours.pre_ms + second * 1000
        return [
            (begin_ms + random.randrange(1000), number, self._day.price(listing, second), 0)
            for number, listing in enumerate(self._listed)
            if listing.instrument.kind is InstrumentKind.INDEX
        ]

    def _counted(self, made: Sequence[_Made]) -> list[TimedTick]:
        """The ticks with the day's volume so far."""
        ticks: list[TimedTick] = []
        for time_ms, number, price, size in made:
            self._volumes[number] += size
            ticks.append((time_ms, self._keys[number], self._state(number, time_ms, price, size)))
        return ticks

    def _state(self, number: int, time_ms: int, price: float, size: int) -> Tick:
        listing, volume = self._listed[number], self._volumes[number]
        instrument = listing.instrument
        is_index = instrument.kind is InstrumentKind.INDEX
        return Tick(
            broker="",
            exchange=instrument.exchange,
            token=instrument.token,
            symbol=instrument.symbol,
            last_price=_on_grid(price),
            last_size=size,
            day_volume=None if is_index else volume,
            open_interest=_open_interest(listing, volume) if instrument.expiry else None,
            timestamp_ms=time_ms,
            received_ns=0,
            flags=TICK_INDEX if is_index else 0,
        )


_Made = tuple[int, int, float, int]
"""Time in ms, number of the listing, price, size."""


def _due(made: _Made) -> int:
    return made[0]


def _lot(listing: Listing) -> int:
    return listing.instrument.lot_size if listing.instrument.expiry else _SHARES_A_LOT


def _open_interest(listing: Listing, volume: int) -> int:
    """Contracts held, in shares: many to begin with, and some of the day's volume on top."""
    lot = listing.instrument.lot_size
    return lot * (int(40_000 * listing.weight) + 200 + volume // lot // 20)


class IndianGenerator:
    """The made-up market from a moment on; endless without ``until``.

    ``at`` and ``until`` are times in India from 09:00 to 15:30 of ``date``; ``until=end`` plays
    that day only. Which instruments there are is that of ``date``, also on the days after.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        date: str = DEFAULT_DATE,
        at: str = DEFAULT_AT,
        rate: float = 600.0,
        until: str | None = None,
    ) -> None:
        if rate <= 0:
            raise SourceError(f"rate={rate:g} ticks a second; expected more than 0")
        self.name = f"generator:seed={seed},date={date},at={at},rate={rate:g}"
        self.notes: Sequence[str] = ()
        self.dates: tuple[str, ...] = (date,)
        self._market = IndianMarket(seed)
        self._rate = rate
        hours = session_on(self._market.calendar, date, where=" in India")
        self._day = IndianDay(self._market, hours)
        self._stretch = Stretch(_HOURS, self._day.close_s, at, until)
        self._listed = listings(self._market.calendar, date, self._day.previous_closes)
        self._by_key = {listing.instrument.key: listing for listing in self._listed}

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Everything that is listed, by key."""
        return {key: listing.instrument for key, listing in self._by_key.items()}

    def previous_close(self, key: str) -> float:
        """The close of the session before the one that is being played."""
        return self._day.previous_close(self._by_key[key])

    def skip(self, seconds: int) -> None:
        """Begin later, at the latest with the last second that is played."""
        self._stretch.skip(seconds)

    def slices(self) -> Iterator[list[TimedTick]]:
        """A slice a second, to the end asked for or while the calendar reaches."""
        yield from islice(self._endless(), self._stretch.seconds)

    def _endless(self) -> Iterator[list[TimedTick]]:
        second = self._stretch.first
        while True:
            day = self._day
            yield from IndianTicks(
                self._market.seed, day, self._listed, self._rate, second
            ).slices()
            following = self._market.calendar.next_session(day.hours.date)
            self._day, second = IndianDay(self._market, following), 0
