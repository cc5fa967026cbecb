"""What Massive's REST knows of one company or ticker, typed (``reference/massive.md`` 2).

As in ``rest_models.py``: every number may be an integer or a float, and any field may be
missing. Dates are ISO, ``*_ns`` UTC nanoseconds, percents 5.0 for 5 %.
"""

from typing import Generic, TypeVar

import msgspec
from msgspec import Struct, field

from tapewire.providers.massive.rest_models import Number, Snapshot

R = TypeVar("R")


class LastTrade(Struct, kw_only=True):
    """The most recent trade of a ticker; ``sequence`` is the provider's number of it."""

    symbol: str = field(name="T")
    price: Number | None = field(default=None, name="p")
    size: Number | None = field(default=None, name="s")
    exchange: Number | None = field(default=None, name="x")
    conditions: list[int] | None = field(default=None, name="c")
    sequence: Number | None = field(default=None, name="q")
    timestamp_ns: Number | None = field(default=None, name="t")
    tape: Number | None = field(default=None, name="z")


class LastQuote(Struct, kw_only=True):
    """The most recent best bid and ask of a ticker; the wire's capitals are the ask side."""

    symbol: str = field(name="T")
    ask: Number | None = field(default=None, name="P")
    ask_size: Number | None = field(default=None, name="S")
    ask_exchange: Number | None = field(default=None, name="X")
    bid: Number | None = field(default=None, name="p")
    bid_size: Number | None = field(default=None, name="s")
    bid_exchange: Number | None = field(default=None, name="x")
    sequence: Number | None = field(default=None, name="q")
    timestamp_ns: Number | None = field(default=None, name="t")
    tape: Number | None = field(default=None, name="z")


class Branding(Struct, kw_only=True):
    """Addresses of a company's pictures. They need the key: never hand them to a browser."""

    icon_url: str | None = None
    logo_url: str | None = None


class TickerDetails(Struct, kw_only=True):
    """A company as its filings have it; ``market_cap`` in the currency of the listing."""

    symbol: str = field(name="ticker")
    name: str | None = None
    market: str | None = None
    locale: str | None = None
    type: str | None = None
    active: bool | None = None
    primary_exchange: str | None = None
    currency_name: str | None = None
    cik: str | None = None
    composite_figi: str | None = None
    share_class_figi: str | None = None
    description: str | None = None
    homepage_url: str | None = None
    list_date: str | None = None
    delisted_utc: str | None = None
    market_cap: Number | None = None
    phone_number: str | None = None
    address: dict[str, str] | None = None
    round_lot: Number | None = None
    share_class_shares_outstanding: Number | None = None
    weighted_shares_outstanding: Number | None = None
    sic_code: str | None = None
    sic_description: str | None = None
    ticker_root: str | None = None
    ticker_suffix: str | None = None
    total_employees: Number | None = None
    branding: Branding | None = None


class ShortInterest(Struct, kw_only=True):
    """Shares sold short at a settlement date, reported twice a month."""

    symbol: str = field(name="ticker")
    settlement_date: str | None = None
    short_interest: Number | None = None
    avg_daily_volume: Number | None = None
    days_to_cover: Number | None = None


class ShortVolume(Struct, kw_only=True):
    """Shares sold short on one day; ``short_volume_ratio`` in percent of ``total_volume``."""

    symbol: str = field(name="ticker")
    date: str | None = None
    short_volume: Number | None = None
    total_volume: Number | None = None
    short_volume_ratio: Number | None = None
    exempt_volume: Number | None = None
    non_exempt_volume: Number | None = None


class Split(Struct, kw_only=True):
    """``split_from`` shares become ``split_to`` on the execution date."""

    symbol: str = field(name="ticker")
    id: str | None = None
    execution_date: str | None = None
    split_from: Number | None = None
    split_to: Number | None = None
    adjustment_type: str | None = None
    historical_adjustment_factor: Number | None = None


class Dividend(Struct, kw_only=True):
    """A cash distribution per share; ``frequency`` is payments a year."""

    symbol: str = field(name="ticker")
    id: str | None = None
    cash_amount: Number | None = None
    currency: str | None = None
    declaration_date: str | None = None
    ex_dividend_date: str | None = None
    record_date: str | None = None
    pay_date: str | None = None
    frequency: Number | None = None
    distribution_type: str | None = None
    split_adjusted_cash_amount: Number | None = None
    historical_adjustment_factor: Number | None = None


class NewTicker(Struct, kw_only=True):
    """The name that a company's shares got."""

    symbol: str = field(name="ticker")


class TickerEvent(Struct, kw_only=True):
    """One renaming."""

    date: str | None = None
    type: str | None = None
    ticker_change: NewTicker | None = None


class TickerEvents(Struct, kw_only=True):
    """Every name that a company's shares have had."""

    name: str | None = None
    composite_figi: str | None = None
    cik: str | None = None
    events: list[TickerEvent] = field(default_factory=list)


class Publisher(Struct, kw_only=True):
    """Who published an article."""

    name: str | None = None
    homepage_url: str | None = None


class NewsArticle(Struct, kw_only=True):
    """A headline; its text and addresses are strangers' words, to be shown as text only."""

    id: str
    title: str | None = None
    author: str | None = None
    published_utc: str | None = None
    article_url: str | None = None
    description: str | None = None
    tickers: list[str] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    publisher: Publisher | None = None


class One(Struct, Generic[R], kw_only=True):
    """What surrounds a single thing; a snapshot is called ``ticker``, all else ``results``."""

    status: str | None = None
    results: R | None = None
    ticker: R | None = None

    @property
    def thing(self) -> R | None:
        """The thing itself; None when the provider has nothing."""
        return self.ticker if self.results is None else self.results


decode_snapshot = msgspec.json.Decoder(One[Snapshot]).decode
decode_last_trade = msgspec.json.Decoder(One[LastTrade]).decode
decode_last_quote = msgspec.json.Decoder(One[LastQuote]).decode
decode_details = msgspec.json.Decoder(One[TickerDetails]).decode
decode_events = msgspec.json.Decoder(One[TickerEvents]).decode
