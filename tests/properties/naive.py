"""The rules of components.md 4 once more, in the plainest Python, over a list of trades.

Shares no code with the package: sessions are wall-clock times in New York, the condition
table is that of massive.md 1.6, sums are fractions.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, time, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
MINUTE_MS, LATENESS_MS, WINDOW = 60_000, 15 * 60_000, 1024

NO_VOLUME = {15, 16, 38}
NO_HIGH_LOW = {2, 7, 12, 13, 15, 16, 20, 21, 29, 37, 52, 53}
NO_OPEN_CLOSE = NO_HIGH_LOW | {5, 10, 22, 32, 33}
EXTENDED_HOURS = {12, 13}


class Sale(NamedTuple):
    """A trade as these rules see it."""

    symbol: str
    price: float
    size: int
    t: int
    conditions: tuple[int, ...]
    q: int

    @property
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.t / 1000, NEW_YORK)

    @property
    def date(self) -> str:
        """The trading date: it turns at 04:00."""
        return (self.local - timedelta(hours=4)).date().isoformat()

    @property
    def session(self) -> str:
        """Of a full day of trading (tests use no weekend's session and no half day)."""
        hour = self.local.hour + self.local.minute / 60
        if self.local.weekday() >= 5 or not 4 <= hour < 20:
            return "closed"
        return "pre" if hour < 9.5 else "regular" if hour < 16 else "post"

    def may(self, forbidden: set[int]) -> bool:
        """Whether no condition forbids it; 12 and 13 count in the regular session only."""
        exempt = set() if self.session == "regular" else EXTENDED_HOURS
        return not (set(self.conditions) - exempt) & forbidden

    @property
    def counts(self) -> bool:
        return self.may(NO_VOLUME)

    @property
    def ranges(self) -> bool:
        return self.may(NO_HIGH_LOW)

    @property
    def prices(self) -> bool:
        return self.may(NO_OPEN_CLOSE)

    @property
    def opens(self) -> bool:
        return bool({17, 25} & set(self.conditions))


def sales_of(trades: Iterable[Any]) -> list[Sale]:
    return [
        Sale(x.symbol, x.price, x.size, x.timestamp_ms, x.conditions, x.sequence) for x in trades
    ]


def applied(arrivals: Sequence[Sale]) -> list[Sale]:
    """Without repeated ones, those that came over 15 minutes late and those without a price.

    Lateness is measured from the start of the newest second; sequences begin anew with each
    trading date.
    """
    kept: list[Sale] = []
    seen: dict[tuple[str, str], list[int]] = {}
    now = 0
    for sale in arrivals:
        now = max(now, sale.t)
        too_late = sale.t < now // 1000 * 1000 - LATENESS_MS
        known = seen.setdefault((sale.date, sale.symbol), [])
        if sale.price <= 0 or too_late or sale.q in known[-WINDOW:]:
            continue
        known.append(sale.q)
        kept.append(sale)
    return kept


LENGTHS_MS = {"1s": 1_000, "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000}


def candles(sales: Iterable[Sale], interval: str = "1m") -> dict[tuple[str, int], dict[str, Any]]:
    """(symbol, start) -> the fields that follow from the trades alone; ``1d`` is a trading date."""
    buckets: dict[tuple[str, int], list[Sale]] = {}
    for sale in sorted(sales, key=lambda sale: (sale.t, sale.q)):
        buckets.setdefault((sale.symbol, start_of(sale, interval)), []).append(sale)
    return {
        place: candle(bucket)
        for place, bucket in buckets.items()
        if any(sale.prices for sale in bucket)
    }


def start_of(sale: Sale, interval: str) -> int:
    if interval == "1d":
        turn = datetime.fromisoformat(sale.date).replace(hour=4, tzinfo=NEW_YORK)
        return int(turn.timestamp() * 1000)
    return sale.t // LENGTHS_MS[interval] * LENGTHS_MS[interval]


def candle(bucket: Sequence[Sale]) -> dict[str, Any]:
    prices = [sale.price for sale in bucket if sale.prices]
    return {
        "open": prices[0],
        "high": max(sale.price for sale in bucket if sale.ranges),
        "low": min(sale.price for sale in bucket if sale.ranges),
        "close": prices[-1],
        "volume": sum(sale.size for sale in bucket if sale.counts),
        "vwap": vwap(bucket),
        "trades": sum(sale.counts for sale in bucket),
    }


def vwap(bucket: Iterable[Sale]) -> float | None:
    counted = [sale for sale in bucket if sale.counts]
    volume = sum(sale.size for sale in counted)
    value = sum(Fraction(str(sale.price)) * sale.size for sale in counted)
    return float(value / volume) if volume else None


def quotes(arrivals: Sequence[Sale], previous: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Symbol -> fields of the last quote record of the last trading date.

    A trade of an earlier date that came after the turn belongs to no record of the new one.
    The end of a tape is the end of its last second.
    """
    last = max(arrivals, key=lambda sale: sale.t)
    today = [sale for sale in applied(arrivals) if sale.date == last.date]
    by_symbol: dict[str, list[Sale]] = {}
    for sale in sorted(today, key=lambda sale: (sale.t, sale.q)):
        if sale.counts or sale.ranges or sale.prices or is_official(sale):
            by_symbol.setdefault(sale.symbol, []).append(sale)
    since_turn = datetime.fromtimestamp(last.t // 1000 + 1, NEW_YORK) - timedelta(hours=4)
    after_open = since_turn.hour + since_turn.minute / 60 >= 5.5
    cut = last.t // 1000 * 1000 + 1000
    if since_turn.time() == time():  # the last row of a day that has ended is of its last second
        cut -= 1000
    return {
        symbol: quote(sales, previous.get(symbol), after_open) | windows(sales, cut)
        for symbol, sales in by_symbol.items()
    }


def windows(sales: Sequence[Sale], cut: int) -> dict[str, Any]:
    """Changes and volumes over the last minutes before a cut."""
    fields: dict[str, Any] = {}
    close = next((sale.price for sale in reversed(sales) if sale.prices), None)
    for minutes in (1, 5, 15):
        start = cut - minutes * MINUTE_MS
        before = [sale.price for sale in sales if sale.prices and sale.t < start]
        fields[f"pct_change_{minutes}m"] = percent(close, before[-1] if before else None)
        volume = sum(sale.size for sale in sales if sale.counts and start <= sale.t < cut)
        fields[f"volume_{minutes}m"] = volume
    del fields["volume_15m"]
    return fields


def is_official(sale: Sale) -> bool:
    return sale.opens and sale.session in ("regular", "post")


def quote(sales: Sequence[Sale], previous: float | None, after_open: bool) -> dict[str, Any]:
    second = sales[-1].t // 1000 * 1000
    last = [sale for sale in sales if sale.t >= second]
    volume = sum(sale.size for sale in last if sale.counts)
    count = sum(sale.counts for sale in last)
    close = next((sale.price for sale in reversed(sales) if sale.prices), None)
    official = next((sale.price for sale in sales if is_official(sale)), None)
    base, note = base_of(sales, official, after_open)
    return {
        "volume": volume,
        "vwap": vwap(last),
        "average_size": volume / count if count else None,
        "high": extreme(max, last),
        "low": extreme(min, last),
        "close": close,
        "accumulated_volume": sum(sale.size for sale in sales if sale.counts),
        "aggregate_vwap": vwap(sales),
        "official_open_price": official,
        "open": base,
        "base_note": note,
        "day_high": extreme(max, sales),
        "day_low": extreme(min, sales),
        "prev_day_close": previous,
        "change": difference(close, previous),
        "pct_change": percent(close, previous),
        "change_since_open": difference(close, base),
        "pct_change_since_open": percent(close, base),
        "start_timestamp": second,
        "end_timestamp": second + 1000,
        "session": last[-1].session,
    }


def base_of(
    sales: Sequence[Sale], official: float | None, after_open: bool
) -> tuple[float | None, str | None]:
    """Before 09:30 the first pre-market price; then the official open, else the first trade."""
    wanted = "regular" if after_open else "pre"
    first = next((x.price for x in sales if x.prices and x.session == wanted), None)
    if after_open and official is not None:
        return official, "official open"
    return first, None if first is None else NOTES[wanted]


NOTES = {"regular": "first regular trade", "pre": "first pre-market trade"}


def extreme(pick: Callable[[list[float]], float], sales: Iterable[Sale]) -> float | None:
    prices = [sale.price for sale in sales if sale.ranges]
    return pick(prices) if prices else None


def difference(close: float | None, base: float | None) -> float | None:
    return None if close is None or not base else close - base


def percent(close: float | None, base: float | None) -> float | None:
    return None if close is None or not base else 100 * (close - base) / base
