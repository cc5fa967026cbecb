"""A made-up stretch of Indian trading whose candles can be told by plain arithmetic.

Trades become what brokers send, states that carry the day's volume so far; `TickTape` plays
them in whatever order they are given. ``candles`` says what must come out at the other end. It
shares no code with the package.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from itertools import chain
from typing import Any

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import Gap, Tick
from tapewire.simulators.sources import TimedTick

FRIDAY, MONDAY = "2026-11-20", "2026-11-23"
YESTERDAY = "2026-11-19"
INDIA = timezone(timedelta(hours=5, minutes=30))
INDIA_MS, MINUTE_MS, DAY_MS = 19_800_000, 60_000, 86_400_000
BEFORE_VOLUME = 9_000_000
"""What had been traded on the day before, more than on any day here."""

_CHUNK = 400
_FIRST_TOKEN = 40_001

Candle = dict[str, Any]


def ms(clock: str, on: str = FRIDAY) -> int:
    """Indian wall clock to ms UTC."""
    return round(datetime.fromisoformat(f"{on}T{clock}").replace(tzinfo=INDIA).timestamp() * 1000)


def shares(count: int, exchange: str = "NSE_EQ") -> list[Instrument]:
    """Made-up shares of one exchange."""
    numbers = range(_FIRST_TOKEN, _FIRST_TOKEN + count)
    return [share(str(number), exchange) for number in numbers]


def share(token: str, exchange: str = "NSE_EQ") -> Instrument:
    return Instrument(exchange=exchange, token=token, symbol=f"S{token}", tick_size=0.05)


def future(token: str, exchange: str = "NSE_FO") -> Instrument:
    return Instrument(
        exchange=exchange,
        token=token,
        symbol="NIFTY26NOVFUT",
        kind=InstrumentKind.FUTURE,
        underlying="NIFTY",
        expiry="2026-11-24",
        tick_size=0.05,
    )


@dataclass(frozen=True)
class Deal:
    """One trade, its price in paise, with the day's volume up to and with it."""

    instrument: Instrument
    paise: int
    size: int
    time_ms: int
    volume: int

    @property
    def day(self) -> int:
        """The trading date in India by its number; none of the deals here is at night."""
        return (self.time_ms + INDIA_MS) // DAY_MS

    @property
    def timed(self) -> TimedTick:
        one = self.instrument
        price, volume, at_ms = self.paise / 100, self.volume, self.time_ms
        return at_ms, one.key, Tick(
            "", one.exchange, one.token, one.symbol, price, self.size, volume, None, at_ms, 0
        )  # fmt: skip

    def to_the_second(self) -> Deal:
        """As brokers tell it whose clock has whole seconds."""
        return replace(self, time_ms=self.time_ms // 1000 * 1000)


class Trading:
    """Makes deals, and knows each instrument's volume of the day."""

    def __init__(self) -> None:
        self._volumes: dict[tuple[str, int], int] = defaultdict(int)

    def deal(self, one: Instrument, paise: int, size: int, at: str | int) -> Deal:
        """The next trade of an instrument, at a clock of Friday or at ms UTC."""
        at_ms = ms(at) if isinstance(at, str) else at
        name = one.key, Deal(one, paise, size, at_ms, 0).day
        self._volumes[name] += size
        return Deal(one, paise, size, at_ms, self._volumes[name])

    def stretch(
        self, instruments: Sequence[Instrument], count: int, per_s: float, first: str | int
    ) -> list[Deal]:
        """So many deals of the instruments in turn, so many in a second of event time."""
        first_ms = ms(first) if isinstance(first, str) else first
        return [
            self.deal(
                instruments[number % len(instruments)],
                5 * (20_000 + number // 997 + number * 7 % 23 - number * 3 % 19),
                1 + number % 83,
                first_ms + int(number * 1000 / per_s),
            )
            for number in range(count)
        ]


class DealTape:
    """Deals in the order in which they are told; a source for a broker's simulator."""

    name = "made-up deals"
    notes: Sequence[str] = ()

    def __init__(self, deals: Sequence[Deal], instruments: Iterable[Instrument] = ()) -> None:
        self.deals = deals
        listed = chain(instruments, (deal.instrument for deal in deals))
        self.instruments: Mapping[str, Instrument] = {one.key: one for one in listed}
        self.dates = tuple(map(_date, sorted({deal.day for deal in deals})))

    def previous_close(self, key: str) -> float:
        return 1_000.0

    def skip(self, seconds: int) -> None:
        raise NotImplementedError("these deals are played from their beginning")

    def slices(self) -> Iterator[list[TimedTick]]:
        for start in range(0, len(self.deals), _CHUNK):
            yield [deal.timed for deal in self.deals[start : start + _CHUNK]]


def _date(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def closing_states(instruments: Iterable[Instrument], on: str = YESTERDAY) -> list[TimedTick]:
    """What brokers know of instruments before a day: their last trades of the day before."""
    at_ms = ms("15:29:59", on)
    return [Deal(one, 100_000, 1, at_ms, BEFORE_VOLUME).timed for one in instruments]


def candles(
    told: Iterable[Deal], gaps: Collection[Gap] = (), missed: range | None = None
) -> list[Candle]:
    """The finished 1-minute candles of deals in the order in which they came.

    What a deal adds to its instrument's volume of the day is its minute's; a deal that was told
    late adds nothing more, since the one before it told of it. Of deals at places in ``missed``
    nothing came but, afterwards, how far the volume had got.
    """
    known: dict[tuple[str, int], int] = defaultdict(int)
    minutes: dict[tuple[str, int], list[tuple[Deal, int]]] = defaultdict(list)
    for place, deal in enumerate(told):
        name = deal.instrument.key, deal.day
        new = max(0, deal.volume - known[name])
        known[name] += new
        if missed is None or place not in missed:
            start_ms = deal.time_ms // MINUTE_MS * MINUTE_MS
            minutes[deal.instrument.key, start_ms].append((deal, new))
    return [_candle(*key, minutes[key], gaps) for key in sorted(minutes)]


def _candle(
    key: str, start_ms: int, counted: Sequence[tuple[Deal, int]], gaps: Collection[Gap]
) -> Candle:
    in_time = sorted((deal for deal, _ in counted), key=lambda deal: (deal.time_ms, deal.volume))
    paise = [deal.paise for deal in in_time]
    volume = sum(new for _, new in counted)
    end_ms = start_ms + MINUTE_MS
    minutes = (start_ms // MINUTE_MS + 330) % 1440
    return {
        "feed": f"candles:1m:{key}",
        "symbol": key,
        "exchange": "IN",
        "interval": "1m",
        "start_ms": start_ms,
        "open": paise[0] / 100,
        "high": max(paise) / 100,
        "low": min(paise) / 100,
        "close": paise[-1] / 100,
        "volume": volume,
        "vwap": sum(deal.paise * new for deal, new in counted) / (volume * 100) if volume else None,
        "trades": sum(new > 0 for _, new in counted),
        "closed": True,
        "revision": 0,
        "gap": any(gap.from_ms < end_ms and start_ms <= gap.to_ms for gap in gaps),
        "minute_int": minutes // 60 * 10_000 + minutes % 60 * 100,
        "estimated": False,
    }
