"""Massive's REST calls for one ticker or company (``reference/massive.md`` 2).

`MassiveReference` adds them to `MassiveRest`, whose calls are about the whole market. All of
them answer None or an empty list for a ticker of which the provider knows nothing.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from yarl import URL

from tapewire.providers.massive.rest import MassiveRest, Query, segment, unreadable
from tapewire.providers.massive.rest_models import FreeFloat, RowDecoder, Snapshot
from tapewire.providers.massive.rest_reference_models import (
    Dividend,
    LastQuote,
    LastTrade,
    NewsArticle,
    One,
    ShortInterest,
    ShortVolume,
    Split,
    TickerDetails,
    TickerEvents,
    decode_details,
    decode_events,
    decode_last_quote,
    decode_last_trade,
    decode_snapshot,
)
from tapewire.providers.massive.rest_transport import (
    Answer,
    CallRejected,
    Malformed,
    NotFound,
)

R = TypeVar("R")

SNAPSHOT = "/v2/snapshot/locale/us/markets/stocks/tickers/{ticker}"
LAST_TRADE = "/v2/last/trade/{ticker}"
LAST_QUOTE = "/v2/last/nbbo/{ticker}"
DETAILS = "/v3/reference/tickers/{ticker}"
EVENTS = "/vX/reference/tickers/{ticker}/events"
FLOATS = "/stocks/vX/float"
SHORT_INTEREST = "/stocks/v1/short-interest"
SHORT_VOLUME = "/stocks/v1/short-volume"
SPLITS = "/stocks/v1/splits"
DIVIDENDS = "/stocks/v1/dividends"
NEWS = "/v2/reference/news"

PICTURES: Final = frozenset({"image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp"})
MAX_PICTURE_BYTES: Final = 1024 * 1024

_floats = RowDecoder(FreeFloat)
_short_interest = RowDecoder(ShortInterest)
_short_volume = RowDecoder(ShortVolume)
_splits = RowDecoder(Split)
_dividends = RowDecoder(Dividend)
_news = RowDecoder(NewsArticle)


class MassiveReference(MassiveRest):
    """Every call there is."""

    async def snapshot(self, ticker: str) -> Snapshot | None:
        """The day's state of one ticker."""
        return await self._thing("snapshot", SNAPSHOT, ticker, decode_snapshot)

    async def last_trade(self, ticker: str) -> LastTrade | None:
        """The most recent trade."""
        return await self._thing("last_trade", LAST_TRADE, ticker, decode_last_trade)

    async def last_quote(self, ticker: str) -> LastQuote | None:
        """The most recent best bid and ask."""
        return await self._thing("last_quote", LAST_QUOTE, ticker, decode_last_quote)

    async def ticker_details(self, ticker: str) -> TickerDetails | None:
        """The company behind a ticker."""
        return await self._thing("ticker_details", DETAILS, ticker, decode_details)

    async def ticker_events(self, ticker: str) -> TickerEvents | None:
        """The names that a company's shares have had."""
        return await self._thing("ticker_events", EVENTS, ticker, decode_events)

    async def free_float(self, ticker: str) -> FreeFloat | None:
        """One ticker's free float."""
        rows = await self._rows("floats", FLOATS, {"ticker": ticker, "limit": "100"}, _floats)
        return next((row for row in rows if row.symbol == ticker), None)

    async def short_interest(self, ticker: str, *, limit: int = 24) -> list[ShortInterest]:
        """Reports of short interest, newest first."""
        query = {"ticker": ticker, "sort": "settlement_date.desc", "limit": str(limit)}
        return await self._rows("short_interest", SHORT_INTEREST, query, _short_interest)

    async def short_volume(self, ticker: str, *, limit: int = 30) -> list[ShortVolume]:
        """Daily short volume, newest first."""
        query = {"ticker": ticker, "sort": "date.desc", "limit": str(limit)}
        return await self._rows("short_volume", SHORT_VOLUME, query, _short_volume)

    async def splits(self, ticker: str, *, limit: int = 100) -> list[Split]:
        """Splits, newest first."""
        query = {"ticker": ticker, "sort": "execution_date.desc", "limit": str(limit)}
        return await self._rows("splits", SPLITS, query, _splits)

    async def dividends(self, ticker: str, *, limit: int = 100) -> list[Dividend]:
        """Dividends, newest first."""
        query = {"ticker": ticker, "sort": "ex_dividend_date.desc", "limit": str(limit)}
        return await self._rows("dividends", DIVIDENDS, query, _dividends)

    async def news(self, ticker: str, *, limit: int = 50) -> list[NewsArticle]:
        """Headlines about a ticker, newest first."""
        query = {"ticker": ticker, "order": "desc", "limit": str(limit)}
        return await self._rows("news", NEWS, query, _news)

    async def picture(self, address: str) -> tuple[bytes, str] | None:
        """A company's logo or icon: its bytes and content type; None where there is none.

        The bytes are a stranger's: an SVG may hold scripts. `CallRejected` for an address on
        another origin, where the key is never sent; `Malformed` for what is no picture, or
        is over 1 MiB.
        """
        url = URL(address)
        if not url.absolute or not self.is_ours(url):
            raise CallRejected(
                f"picture: {address} is not on {self.base.origin()}, the only place that the key"
                " is sent to"
            )
        try:
            answer = await self.answer("picture", url.with_user(None))
        except NotFound:
            return None
        if answer.content_type not in PICTURES or len(answer.body) > MAX_PICTURE_BYTES:
            raise Malformed(
                f"picture: {url.path} is {len(answer.body)} bytes of {answer.content_type};"
                f" expected a picture of at most {MAX_PICTURE_BYTES} bytes"
            )
        return answer.body, answer.content_type

    async def _rows(self, call: str, path: str, query: Query, decoder: RowDecoder[R]) -> list[R]:
        try:
            return await self._one(call, path, query, decoder)
        except NotFound:
            return []

    async def _thing(
        self, call: str, path: str, ticker: str, decode: Callable[[bytes], One[R]]
    ) -> R | None:
        url = self._url(path.format(ticker=segment(ticker)), {})
        try:
            body = await self.get(call, url)
            envelope = decode(body)
            answer = Answer(200, "application/json", body)
            await self._check_status(call, url, answer, envelope.status)
        except NotFound:
            return None
        except msgspec.DecodeError as error:
            raise unreadable(call, error) from error
        return envelope.thing
