"""What Massive's REST answers, typed (``reference/massive.md`` 2).

Every number may come as an integer or a float, missing fields are omitted, and a row that
cannot be read loses that row only. Wire names are a decoding detail.
"""

from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct, field

Number = int | float
R = TypeVar("R")

SUCCESS = frozenset({"OK", "DELAYED"})
"""Envelope statuses that carry data; DELAYED is the normal one on delayed plans."""


class Bar(Struct, kw_only=True):
    """One aggregate bar; ``start_ms`` is UTC milliseconds, prices are in the currency."""

    open: Number | None = field(default=None, name="o")
    high: Number | None = field(default=None, name="h")
    low: Number | None = field(default=None, name="l")
    close: Number | None = field(default=None, name="c")
    volume: Number | None = field(default=None, name="v")
    vwap: Number | None = field(default=None, name="vw")
    start_ms: Number | None = field(default=None, name="t")
    trades: Number | None = field(default=None, name="n")


class DayBar(Bar, kw_only=True):
    """One symbol's bar of a whole day, as grouped days and previous closes have it."""

    symbol: str = field(name="T")


class SnapshotTrade(Struct, kw_only=True):
    """Last trade of a snapshot; ``timestamp_ns`` is UTC nanoseconds."""

    price: Number | None = field(default=None, name="p")
    size: Number | None = field(default=None, name="s")
    exchange: Number | None = field(default=None, name="x")
    conditions: list[int] | None = field(default=None, name="c")
    timestamp_ns: Number | None = field(default=None, name="t")


class SnapshotQuote(Struct, kw_only=True):
    """Last quote of a snapshot; the wire's capital letters are the ask side."""

    ask: Number | None = field(default=None, name="P")
    ask_size: Number | None = field(default=None, name="S")
    bid: Number | None = field(default=None, name="p")
    bid_size: Number | None = field(default=None, name="s")
    timestamp_ns: Number | None = field(default=None, name="t")


class Snapshot(Struct, kw_only=True):
    """One ticker's state of the day; trade and quote only where the plan has them."""

    symbol: str = field(name="ticker")
    change: Number | None = field(default=None, name="todaysChange")
    pct_change: Number | None = field(default=None, name="todaysChangePerc")
    updated_ns: Number | None = field(default=None, name="updated")
    day: Bar | None = None
    previous_day: Bar | None = field(default=None, name="prevDay")
    minute: Bar | None = field(default=None, name="min")
    last_trade: SnapshotTrade | None = field(default=None, name="lastTrade")
    last_quote: SnapshotQuote | None = field(default=None, name="lastQuote")


class FreeFloat(Struct, kw_only=True):
    """Shares that can be traded; ``effective_date`` is an ISO date."""

    symbol: str = field(name="ticker")
    effective_date: str | None = None
    free_float: Number | None = None
    free_float_percent: Number | None = None


class TickerInfo(Struct, kw_only=True):
    """One row of the universe; ``primary_exchange`` is a MIC."""

    symbol: str = field(name="ticker")
    name: str | None = None
    market: str | None = None
    type: str | None = None
    active: bool | None = None
    primary_exchange: str | None = None
    currency_name: str | None = None
    composite_figi: str | None = None
    share_class_figi: str | None = None
    cik: str | None = None


class MarketStatus(Struct, kw_only=True):
    """The market now: ``open``, ``closed`` or ``extended-hours``; time as RFC 3339."""

    market: str
    early_hours: bool | None = field(default=None, name="earlyHours")
    after_hours: bool | None = field(default=None, name="afterHours")
    server_time: str | None = field(default=None, name="serverTime")
    exchanges: dict[str, str] = field(default_factory=dict)


class MarketHoliday(Struct, kw_only=True):
    """A coming day with other hours; ``status`` is ``closed`` or ``early-close``."""

    date: str
    exchange: str
    status: str
    name: str | None = None
    open: str | None = None
    close: str | None = None


class Envelope(Struct, kw_only=True):
    """What surrounds the rows; snapshots call them ``tickers``, everything else ``results``."""

    status: str | None = None
    results: list[Raw] | None = None
    tickers: list[Raw] | None = None
    next_url: str | None = None
    error: str | None = None
    message: str | None = None

    @property
    def raw_rows(self) -> list[Raw]:
        """The rows, undecoded; none when the provider has nothing."""
        return self.results or self.tickers or []

    @property
    def text(self) -> str:
        """What the provider says in words; empty when it says nothing."""
        return self.message or self.error or ""


class RowDecoder(Generic[R]):
    """Decodes rows of one type; built once, kept."""

    def __init__(self, row: type[R]) -> None:
        self._decode = msgspec.json.Decoder(row).decode

    def rows(self, raws: list[Raw]) -> tuple[list[R], int]:
        """Return the rows that can be read, and how many could not."""
        rows, unreadable = [], 0
        for raw in raws:
            try:
                rows.append(self._decode(raw))
            except msgspec.DecodeError:
                unreadable += 1
        return rows, unreadable


decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_array = msgspec.json.Decoder(list[Raw]).decode
decode_market_status = msgspec.json.Decoder(MarketStatus).decode
