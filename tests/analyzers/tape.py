"""Events as tests write them: symbols, prices and New York times of one trading day."""

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from zoneinfo import ZoneInfo

from tapewire.market.sessions import SessionCalendar
from tapewire.model.events import Aggregate, Clock, Gap, Trade

FRIDAY, MONDAY = "2026-11-20", "2026-11-23"
CALENDAR = SessionCalendar.load("XNYS")
NEW_YORK = ZoneInfo("America/New_York")

ODD_LOT, FORM_T, OUT_OF_SEQUENCE = 37, 12, 13
OFFICIAL_CLOSE, OFFICIAL_OPEN, CORRECTED_CLOSE = 15, 16, 38
OPENING_NYSE, OPENING_NASDAQ, DERIVED = 17, 25, 10

_sequences = count(1)


def ms(clock: str, date: str = FRIDAY) -> int:
    """``09:31``, ``09:31:02`` or ``09:31:02.250`` in New York on a date, as ms UTC."""
    local = datetime.fromisoformat(f"{date}T{clock}").replace(tzinfo=NEW_YORK)
    return round(local.timestamp() * 1000)


def trade(
    symbol: str,
    price: float,
    *,
    at: str,
    size: float = 100,
    conditions: Sequence[int] = (),
    sequence: int | None = None,
    date: str = FRIDAY,
) -> Trade:
    """One trade; without ``sequence`` it comes after every trade that was written before."""
    number = next(_sequences) if sequence is None else sequence
    return Trade(symbol, price, size, ms(at, date), tuple(conditions), number)


def bar(
    symbol: str,
    *prices: float,
    at: str,
    volume: float = 100,
    accumulated: float = 100,
    seconds: int = 1,
    op: float | None = None,
    vwap: float | None = None,
    day_vwap: float | None = None,
    average_size: float | None = None,
    date: str = FRIDAY,
) -> Aggregate:
    """A provider's bar: ``prices`` are open, high, low, close, or one price for all four."""
    first, high, low, last = prices if len(prices) == 4 else prices * 4
    start = ms(at, date)
    return Aggregate(
        symbol,
        first,
        high,
        low,
        last,
        volume,
        start,
        start + seconds * 1000,
        accumulated,
        op,
        vwap,
        day_vwap,
        average_size,
    )


def clock(at: str, *, final: bool = False, date: str = FRIDAY) -> Clock:
    """Event time has reached this; ``final`` ends the replay."""
    return Clock(ms(at, date), final=final)


def gap(start: str, end: str, *, date: str = FRIDAY, until: str | None = None) -> Gap:
    """Ten events between two times (the second on the date ``until``) never came."""
    return Gap("trades.0", "mdl", 1, 0, 10, 10, ms(start, date), ms(end, until or date), "lost")
