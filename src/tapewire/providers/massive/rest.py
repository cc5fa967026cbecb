"""Massive's REST calls that reference data needs (``reference/massive.md`` 2).

How a call is made, limited, retried and refused is ``rest_transport.py``; what the rows look
like is ``rest_models.py``.
"""

from collections.abc import AsyncIterator, Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec
from yarl import URL

from tapewire.providers.massive.rest_models import (
    SUCCESS,
    Bar,
    DayBar,
    Envelope,
    FreeFloat,
    MarketHoliday,
    MarketStatus,
    RowDecoder,
    Snapshot,
    TickerInfo,
    decode_array,
    decode_envelope,
    decode_market_status,
)
from tapewire.providers.massive.rest_transport import (
    BASIC_PLAN,
    PAID_PLAN,
    Answer,
    CallRejected,
    CircuitOpen,
    Malformed,
    NotEntitled,
    NotFound,
    RestCounts,
    RestError,
    RestSettings,
    RestTransport,
    TryLater,
    UnknownRoute,
)

__all__ = [
    "BASIC_PLAN",
    "PAID_PLAN",
    "CallRejected",
    "CircuitOpen",
    "Malformed",
    "MassiveRest",
    "NotEntitled",
    "NotFound",
    "Query",
    "RestCounts",
    "RestError",
    "RestSettings",
    "TryLater",
    "UnknownRoute",
    "segment",
    "unreadable",
]

R = TypeVar("R")
Query = Mapping[str, str]

GROUPED_DAY = "/v2/aggs/grouped/locale/us/market/stocks/{date}"
PREVIOUS_CLOSE = "/v2/aggs/ticker/{ticker}/prev"
BARS = "/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{first}/{last}"
SNAPSHOTS = "/v2/snapshot/locale/us/markets/stocks/tickers"
FLOATS = "/stocks/vX/float"
TICKERS = "/v3/reference/tickers"
MARKET_NOW = "/v1/marketstatus/now"
MARKET_UPCOMING = "/v1/marketstatus/upcoming"

REFUSED_IN_BODY = {"NOT_AUTHORIZED": 403, "NOT_FOUND": 404}
"""Envelope statuses that mean what the HTTP status of the same sense means."""

_day_bars = RowDecoder(DayBar)
_bars = RowDecoder(Bar)
_snapshots = RowDecoder(Snapshot)
_floats = RowDecoder(FreeFloat)
_tickers = RowDecoder(TickerInfo)
_holidays = RowDecoder(MarketHoliday)


class MassiveRest(RestTransport):
    """Typed calls to one REST base.

    Every call raises a `RestError` (its tree is in ``rest_transport.py``), or
    ``RefusedByProvider`` when the key is not accepted. The session belongs to the caller.
    Dates are ISO (``YYYY-MM-DD``). ``adjusted``: prices and volumes in today's shares, after
    every split since; otherwise as they were traded.
    """

    async def grouped_day(self, date: str, *, adjusted: bool = True) -> list[DayBar]:
        """Every symbol's bar of one day, about 12,000; empty on a day without trading."""
        path = GROUPED_DAY.format(date=segment(date))
        return await self._one("grouped_day", path, {"adjusted": _flag(adjusted)}, _day_bars)

    async def previous_close(self, ticker: str, *, adjusted: bool = True) -> DayBar | None:
        """One symbol's last complete day; None when the provider has none."""
        path = PREVIOUS_CLOSE.format(ticker=segment(ticker))
        query = {"adjusted": _flag(adjusted)}
        try:
            rows = await self._one("previous_close", path, query, _day_bars)
        except NotFound:
            return None
        return rows[0] if rows else None

    async def snapshots(self, tickers: tuple[str, ...] = ()) -> list[Snapshot]:
        """The day's state of these tickers, or of the whole market (several MB)."""
        query = {"tickers": ",".join(tickers)} if tickers else {}
        return await self._one("snapshots", SNAPSHOTS, query, _snapshots)

    def bars(
        self,
        ticker: str,
        multiplier: int,
        timespan: str,
        first: str | int,
        last: str | int,
        *,
        adjusted: bool = True,
        limit: int = 50_000,
    ) -> AsyncIterator[list[Bar]]:
        """Bars of one symbol, oldest first, page by page.

        ``timespan``: ``second`` to ``year``; ``first`` and ``last``: dates or UTC ms, both
        included; ``limit`` counts the base bars that a page is made of.
        """
        path = BARS.format(
            ticker=segment(ticker),
            multiplier=multiplier,
            timespan=segment(timespan),
            first=segment(str(first)),
            last=segment(str(last)),
        )
        query = {"adjusted": _flag(adjusted), "sort": "asc", "limit": str(limit)}
        return self._pages("bars", path, query, _bars)

    def floats(self, *, limit: int = 5000) -> AsyncIterator[list[FreeFloat]]:
        """Free float of every symbol that has one, page by page."""
        return self._pages("floats", FLOATS, {"limit": str(limit)}, _floats)

    def tickers(self, *, active: bool = True, limit: int = 1000) -> AsyncIterator[list[TickerInfo]]:
        """The universe of US stocks, page by page."""
        query = {"market": "stocks", "active": _flag(active), "limit": str(limit)}
        return self._pages("tickers", TICKERS, query, _tickers)

    async def market_status(self) -> MarketStatus:
        """Whether the market is open now."""
        body = await self.get("market_status", self._url(MARKET_NOW, {}))
        try:
            return decode_market_status(body)
        except msgspec.DecodeError as error:
            raise unreadable("market_status", error) from error

    async def upcoming_holidays(self) -> list[MarketHoliday]:
        """Coming closures and early closes; the one answer that is a bare array."""
        body = await self.get("upcoming_holidays", self._url(MARKET_UPCOMING, {}))
        try:
            raws = decode_array(body)
        except msgspec.DecodeError as error:
            raise unreadable("upcoming_holidays", error) from error
        rows, lost = _holidays.rows(raws)
        self.counts.unreadable_rows += lost
        return rows

    async def _one(self, call: str, path: str, query: Query, decoder: RowDecoder[R]) -> list[R]:
        rows, _ = await self._page(call, self._url(path, query), decoder)
        return rows

    async def _pages(
        self, call: str, path: str, query: Query, decoder: RowDecoder[R]
    ) -> AsyncIterator[list[R]]:
        url: URL | None = self._url(path, query)
        pages = 0
        while url is not None:
            if pages == self.settings.max_pages:
                raise Malformed(f"{call}: over {pages} pages; raise max_pages if that is right")
            rows, url = await self._page(call, url, decoder)
            pages += 1
            yield rows

    async def _page(
        self, call: str, url: URL, decoder: RowDecoder[R]
    ) -> tuple[list[R], URL | None]:
        body = await self.get(call, url)
        try:
            envelope = decode_envelope(body)
        except msgspec.DecodeError as error:
            raise unreadable(call, error) from error
        await self._check_status(call, url, Answer(200, "application/json", body), envelope.status)
        rows, lost = decoder.rows(envelope.raw_rows)
        self.counts.unreadable_rows += lost
        return rows, self._following(call, url, envelope)

    async def _check_status(self, call: str, url: URL, answer: Answer, status: str | None) -> None:
        """Refuse an envelope that says it carries no data, whatever the HTTP status was."""
        if status is not None and status not in SUCCESS:
            answer.status = REFUSED_IN_BODY.get(status, 200)
            raise await self.refusal(call, url, answer)

    def _following(self, call: str, url: URL, envelope: Envelope) -> URL | None:
        """Return the next page's address as the provider gives it, cursor untouched."""
        if not envelope.next_url:
            return None
        try:
            following = url.join(URL(envelope.next_url, encoded=True)).with_user(None)
            foreign = not self.is_ours(following)
        except ValueError as error:
            raise unreadable(call, error) from error
        if following.scheme not in ("http", "https") or following == url:
            raise Malformed(f"{call}: next_url {following} leads nowhere; expected another page")
        self.counts.foreign_pages += foreign
        return following

    def _url(self, path: str, query: Query) -> URL:
        return URL(f"{self.base}{path}", encoded=True).with_query(query)


def unreadable(call: str, error: Exception) -> Malformed:
    """The error for an answer that is not what the path is documented to give."""
    return Malformed(f"{call}: the answer cannot be read: {error}; expected documented JSON")


def segment(text: str) -> str:
    """A ticker or date as one segment of a path."""
    return quote(text, safe="")


def _flag(value: bool) -> str:
    return "true" if value else "false"
