"""What reference data there is: one table of kinds, with the call behind each and its lives.

A kind's value is fresh for ``fresh_s``; then it is shown as stale, for ``stale_s`` more, while
somebody asks again. That the provider has nothing is a value too, fresh for ``negative_s``.
Times are jittered by the cache, so that what was asked for together does not expire together.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from tapewire.model.feeds import DAY_S
from tapewire.model.rows import Reference

MINUTE_S: Final = 60
HOUR_S: Final = 3_600

KIB: Final = 1024
MIB: Final = 1024 * KIB

ROWS: Final = "reference rows"
"""`Kind.whole_market` of what the day's reference rows hold (``caches/reference.py``)."""


class Kind(Struct, frozen=True):
    """One kind of reference data.

    ``call``: what the given ``fetch`` is asked for. ``whole_market``: the kind, or `ROWS`, whose
    one answer for all symbols serves this one while it is fresh. ``argument``: what it is of
    (``symbol``, ``symbol:range``), nothing for the market as a whole. ``daily``: never fresh
    beyond the trading day's turn. ``max_bytes``: a larger value is refused, not stored.
    """

    name: str
    call: str
    fresh_s: int
    negative_s: int
    stale_s: int
    whole_market: str = ""
    argument: str = "symbol"
    daily: bool = False
    max_bytes: int = 256 * KIB

    @property
    def is_market(self) -> bool:
        """Whether one value holds every symbol's: kept as a hash, not as one string."""
        return self.name == "snapshots"


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("last_trade", "last_trade", 5, MINUTE_S, HOUR_S),
        Kind("last_quote", "last_quote", 5, MINUTE_S, HOUR_S),
        Kind("snapshot", "snapshot", 5, MINUTE_S, HOUR_S, whole_market="snapshots"),
        Kind("snapshots", "snapshots", MINUTE_S, MINUTE_S, HOUR_S, argument="", max_bytes=64 * MIB),
        Kind("market_status", "market_status", 30, 30, DAY_S, argument=""),
        Kind("market_upcoming", "upcoming_holidays", HOUR_S, HOUR_S, 30 * DAY_S, argument=""),
        Kind(
            "aggregates",
            "aggregates",
            MINUTE_S,
            5 * MINUTE_S,
            DAY_S,
            argument="symbol:multiplier:timespan:first:last",
            max_bytes=8 * MIB,
        ),
        Kind("news", "news", 5 * MINUTE_S, 5 * MINUTE_S, DAY_S, max_bytes=MIB),
        Kind(
            "previous_day",
            "previous_day",
            6 * HOUR_S,
            HOUR_S,
            4 * DAY_S,
            whole_market=ROWS,
            daily=True,
        ),
        Kind(
            "average_volume",
            "average_volume",
            12 * HOUR_S,
            HOUR_S,
            4 * DAY_S,
            whole_market=ROWS,
            daily=True,
        ),
        Kind("free_float", "free_float", 24 * HOUR_S, 12 * HOUR_S, 7 * DAY_S, whole_market=ROWS),
        Kind("short_volume", "short_volume", 6 * HOUR_S, 6 * HOUR_S, 7 * DAY_S),
        Kind("short_interest", "short_interest", 12 * HOUR_S, 12 * HOUR_S, 30 * DAY_S),
        Kind("splits", "splits", 12 * HOUR_S, 12 * HOUR_S, 30 * DAY_S),
        Kind("dividends", "dividends", 12 * HOUR_S, 12 * HOUR_S, 30 * DAY_S),
        Kind("ticker_events", "ticker_events", 24 * HOUR_S, 12 * HOUR_S, 30 * DAY_S),
        Kind("ticker_details", "ticker_details", 24 * HOUR_S, HOUR_S, 30 * DAY_S),
        Kind("logo", "logo", 24 * HOUR_S, 24 * HOUR_S, 30 * DAY_S, max_bytes=MIB),
        Kind("icon", "icon", 24 * HOUR_S, 24 * HOUR_S, 30 * DAY_S, max_bytes=MIB),
    )
}
"""Every kind by its name. ``logo`` and ``icon`` are a company's branding, as bytes."""


def _previous_day(row: Reference) -> dict[str, Any] | None:
    if row.prev_day_close is None:
        return None
    return {
        "symbol": row.symbol,
        "open": row.prev_day_open,
        "high": row.prev_day_high,
        "low": row.prev_day_low,
        "close": row.prev_day_close,
        "volume": row.prev_day_volume,
        "vwap": row.prev_day_vwap,
    }


def _average_volume(row: Reference) -> dict[str, Any] | None:
    if row.avg_volume is None:
        return None
    return {"symbol": row.symbol, "avg_volume": row.avg_volume}


def _free_float(row: Reference) -> dict[str, Any] | None:
    if row.free_float is None:
        return None
    return {"symbol": row.symbol, "free_float": row.free_float}


FROM_ROW: Final[Mapping[str, Callable[[Reference], dict[str, Any] | None]]] = {
    "previous_day": _previous_day,
    "average_volume": _average_volume,
    "free_float": _free_float,
}
"""What a reference row says of a kind; None where it says nothing."""
