"""What is listed on the made-up Indian market: shares, indices, futures and options.

Names, and the exchange's numbers of the best known shares, are the real ones; every other number
is counted up. The first future of the Nifty is ``NSE_FO:8765``; the derivatives of both exchanges
are numbered alike, so that a number alone names nothing, as on the real ones.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.market.sessions import SessionCalendar

TICK_SIZE: Final = 0.05


class Underlying(NamedTuple):
    """What has a price of its own: a company or an index. ``volatility`` is a year's."""

    name: str
    price: float
    volatility: float


class Listing(NamedTuple):
    """An instrument, what its price follows, and how often it trades beside the others.

    ``underlying`` counts in `UNDERLYINGS`; ``weight`` is 1 for the most active share.
    """

    instrument: Instrument
    underlying: int
    weight: float


_INDICES: Final = (
    ("NIFTY", "NSE_INDEX", "Nifty_50", 26_000.0),
    ("BANKNIFTY", "NSE_INDEX", "Nifty_Bank", 58_500.0),
    ("FINNIFTY", "NSE_INDEX", "Nifty_Fin_Service", 27_400.0),
    ("NIFTYIT", "NSE_INDEX", "Nifty_IT", 37_000.0),
    ("SENSEX", "BSE_INDEX", "SENSEX", 85_000.0),
    ("BANKEX", "BSE_INDEX", "BANKEX", 65_500.0),
)
_SHARES: Final = (
    ("RELIANCE", 1450), ("HDFCBANK", 980), ("ICICIBANK", 1370), ("SBIN", 960), ("INFY", 1500),
    ("TCS", 3100), ("BHARTIARTL", 2050), ("ITC", 410), ("LT", 3900), ("AXISBANK", 1240),
    ("KOTAKBANK", 2100), ("BAJFINANCE", 1020), ("TATASTEEL", 175), ("MARUTI", 15800),
    ("M&M", 3600), ("SUNPHARMA", 1720), ("HINDUNILVR", 2450), ("NTPC", 335), ("ETERNAL", 300),
    ("TITAN", 3800), ("ULTRACEMCO", 11900), ("HCLTECH", 1560), ("ADANIPORTS", 1450),
    ("POWERGRID", 280), ("JSWSTEEL", 1170), ("COALINDIA", 385), ("ONGC", 250), ("WIPRO", 245),
    ("ASIANPAINT", 2850), ("NESTLEIND", 1260), ("GRASIM", 2750), ("BAJAJFINSV", 2080),
    ("BAJAJ-AUTO", 8900), ("EICHERMOT", 6900), ("HINDALCO", 800), ("CIPLA", 1510),
    ("TECHM", 1440), ("DRREDDY", 1230), ("SBILIFE", 1990), ("HDFCLIFE", 760),
    ("BRITANNIA", 5850), ("DIVISLAB", 6500), ("APOLLOHOSP", 7500), ("HEROMOTOCO", 5600),
    ("TATACONSUM", 1170), ("BPCL", 360), ("INDUSINDBK", 820), ("ADANIENT", 2400),
    ("SHRIRAMFIN", 800), ("TRENT", 4400), ("BEL", 415), ("JIOFIN", 305), ("VEDL", 515),
    ("DLF", 750), ("PNB", 122), ("CANBK", 145), ("BANKBARODA", 290), ("IDEA", 10),
    ("YESBANK", 23), ("SUZLON", 58), ("GAIL", 182), ("IOC", 165), ("TATAPOWER", 395),
    ("IRCTC", 710), ("LUPIN", 2000), ("AMBUJACEM", 560), ("PIDILITIND", 1480),
    ("SIEMENS", 3100), ("HAL", 4700), ("SAIL", 137), ("NMDC", 76), ("NHPC", 83),
    ("FEDERALBNK", 240), ("IDFCFIRSTB", 80), ("ASHOKLEY", 148), ("PFC", 375), ("RECLTD", 360),
    ("INDIGO", 5700), ("DMART", 4000), ("GODREJCP", 1130),
)  # fmt: skip

UNDERLYINGS: Final = (
    *(Underlying(name, price, 0.13) for name, _, _, price in _INDICES),
    *(Underlying(name, float(price), 0.24) for name, price in _SHARES),
)
"""Indices first, then shares by how active they are."""

INDICES: Final = len(_INDICES)
"""So many of the underlyings, the first ones, are indices."""

_NSE_NUMBERS: Final = {
    "RELIANCE": 2885, "TCS": 11536, "INFY": 1594, "HDFCBANK": 1333, "SBIN": 3045,
    "ICICIBANK": 4963,
}  # fmt: skip
_BSE_NUMBERS: Final = {
    "RELIANCE": 500325, "TCS": 532540, "INFY": 500209, "HDFCBANK": 500180, "SBIN": 500112,
    "ICICIBANK": 532174,
}  # fmt: skip
_FIRST_NSE, _FIRST_BSE, _FIRST_DERIVATIVE = 20_011, 590_011, 8_765
_ON_BOTH: Final = 40
"""So many of the shares trade on BSE too."""
_BSE_WEIGHT: Final = 0.12
_WITH_FUTURES, _WITH_OPTIONS = 20, 6
_MONTH_WEIGHTS: Final = (2.0, 0.3, 0.05)
_TUESDAY, _THURSDAY = 1, 3
_MONTHS: Final = "123456789OND"
_STEPS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


class _Chain(NamedTuple):
    """The options of one underlying: two of each strike, ``reach`` strikes to either side."""

    name: str
    exchange: str
    weekday: int
    weeks: int
    step: float
    reach: int
    lot_size: int
    weight: float


_INDEX_CHAINS: Final = (
    _Chain("NIFTY", "NSE_FO", _TUESDAY, 2, 50.0, 10, 75, 1.2),
    _Chain("BANKNIFTY", "NSE_FO", _TUESDAY, 0, 100.0, 10, 35, 0.5),
    _Chain("SENSEX", "BSE_FO", _THURSDAY, 1, 100.0, 8, 20, 0.3),
)


def listings(
    calendar: SessionCalendar, date: str, closes: Mapping[str, float]
) -> Sequence[Listing]:
    """Everything that is listed on an ISO date.

    ``closes`` has each underlying's close of the session before: strikes lie around it.
    """
    place = {underlying.name: number for number, underlying in enumerate(UNDERLYINGS)}
    found = [*_indices(place), *_shares(place)]
    for exchange in ("NSE_FO", "BSE_FO"):
        derivatives = list(_derivatives(exchange, calendar, date, closes, place))
        found += _numbered(exchange, derivatives)
    return found


def _indices(place: Mapping[str, int]) -> Iterator[Listing]:
    for name, exchange, token, _ in _INDICES:
        instrument = Instrument(
            exchange=exchange,
            token=token,
            symbol=name,
            kind=InstrumentKind.INDEX,
            tick_size=TICK_SIZE,
        )
        yield Listing(instrument, place[name], 0.0)


def _shares(place: Mapping[str, int]) -> Iterator[Listing]:
    for rank, (name, _) in enumerate(_SHARES):
        number = _NSE_NUMBERS.get(name, _FIRST_NSE + 11 * rank)
        yield Listing(_share("NSE_EQ", number, name), place[name], 1 / (rank + 1))
    for rank, (name, _) in enumerate(_SHARES[:_ON_BOTH]):
        number = _BSE_NUMBERS.get(name, _FIRST_BSE + 11 * rank)
        yield Listing(_share("BSE_EQ", number, name), place[name], _BSE_WEIGHT / (rank + 1))


def _share(exchange: str, number: int, name: str) -> Instrument:
    return Instrument(exchange=exchange, token=str(number), symbol=name, tick_size=TICK_SIZE)


def _numbered(exchange: str, listed: Sequence[Listing]) -> Iterator[Listing]:
    """Derivatives under the numbers of their exchange, counted up."""
    for number, listing in enumerate(listed):
        token = str(_FIRST_DERIVATIVE + 7 * number)
        yield listing._replace(
            instrument=replace(listing.instrument, exchange=exchange, token=token)
        )


def _derivatives(
    exchange: str,
    calendar: SessionCalendar,
    date: str,
    closes: Mapping[str, float],
    place: Mapping[str, int],
) -> Iterator[Listing]:
    """Futures of the three coming months, then options, without their numbers."""
    chains = [chain for chain in _INDEX_CHAINS if chain.exchange == exchange]
    for chain in chains:
        months = _monthly(calendar, date, chain.weekday, len(_MONTH_WEIGHTS))
        yield from _futures(chain, months, _MONTH_WEIGHTS, place[chain.name])
    stocks = list(_stock_chains(closes)) if exchange == "NSE_FO" else []
    months = _monthly(calendar, date, _TUESDAY, 2)
    for chain in stocks:
        yield from _futures(chain, months, _MONTH_WEIGHTS, place[chain.name])
    for chain in chains:
        weeks = _weekly(calendar, date, chain.weekday, chain.weeks)
        expiries = weeks or _monthly(calendar, date, chain.weekday, 1)
        yield from _options(chain, expiries, closes[chain.name], place[chain.name])
    for chain in stocks[:_WITH_OPTIONS]:
        yield from _options(chain, months[:1], closes[chain.name], place[chain.name])


def _stock_chains(closes: Mapping[str, float]) -> Iterator[_Chain]:
    for rank, (name, price) in enumerate(_SHARES[:_WITH_FUTURES]):
        step = next(step for step in _STEPS if step >= closes[name] * 0.015)
        lot_size = max(25, round(750_000 / price / 25) * 25)
        yield _Chain(name, "NSE_FO", _TUESDAY, 0, step, 3, lot_size, 0.25 / (rank + 1))


def _futures(
    chain: _Chain, expiries: Sequence[dt.date], weights: Sequence[float], underlying: int
) -> Iterator[Listing]:
    for expiry, weight in zip(expiries, weights, strict=False):
        symbol = f"{chain.name}{expiry:%y}{expiry:%b}FUT".upper()
        instrument = _derivative(chain, InstrumentKind.FUTURE, symbol, expiry)
        yield Listing(instrument, underlying, chain.weight * weight)


def _options(
    chain: _Chain, expiries: Sequence[dt.date], close: float, underlying: int
) -> Iterator[Listing]:
    """Nearer strikes and earlier expiries are the more active ones."""
    middle = round(close / chain.step)
    for late, expiry in enumerate(expiries):
        for away in range(-chain.reach, chain.reach + 1):
            weight = chain.weight * 0.6 ** (abs(away) + 3 * late)
            strike = (middle + away) * chain.step
            for kind in (InstrumentKind.CALL, InstrumentKind.PUT):
                when = f"{expiry:%b}" if chain.weeks == 0 else _week(expiry)
                symbol = f"{chain.name}{expiry:%y}{when}{strike:g}{kind}".upper()
                instrument = _derivative(chain, kind, symbol, expiry, strike)
                yield Listing(instrument, underlying, weight)


def _week(expiry: dt.date) -> str:
    """A weekly expiry in a symbol: month as one character, and the day."""
    return f"{_MONTHS[expiry.month - 1]}{expiry:%d}"


def _derivative(
    chain: _Chain, kind: InstrumentKind, symbol: str, expiry: dt.date, strike: float = 0.0
) -> Instrument:
    return Instrument(
        exchange=chain.exchange,
        token="",
        symbol=symbol,
        kind=kind,
        underlying=chain.name,
        expiry=expiry.isoformat(),
        strike=strike,
        tick_size=TICK_SIZE,
        lot_size=chain.lot_size,
    )


def _weekly(calendar: SessionCalendar, date: str, weekday: int, count: int) -> list[dt.date]:
    """The next expiries that fall on a weekday, from an ISO date on."""
    day = dt.date.fromisoformat(date)
    first = day + dt.timedelta((weekday - day.weekday()) % 7)
    return [_open_day(calendar, first + dt.timedelta(7 * week)) for week in range(count)]


def _monthly(calendar: SessionCalendar, date: str, weekday: int, count: int) -> list[dt.date]:
    """The next expiries on a month's last such weekday, from an ISO date on."""
    day = dt.date.fromisoformat(date)
    months = [(day.year + (day.month - 1 + n) // 12, (day.month - 1 + n) % 12) for n in range(9)]
    lasts = [_open_day(calendar, _last(year, month + 1, weekday)) for year, month in months]
    return [last for last in lasts if last >= day][:count]


def _last(year: int, month: int, weekday: int) -> dt.date:
    end = dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(1)
    return end - dt.timedelta((end.weekday() - weekday) % 7)


def _open_day(calendar: SessionCalendar, day: dt.date) -> dt.date:
    """The day itself, or the session before when it is closed; beyond the calendar, itself."""
    date = day.isoformat()
    if date > calendar.last or calendar.day(date).is_session:
        return day
    return dt.date.fromisoformat(calendar.previous_session(date).date)
