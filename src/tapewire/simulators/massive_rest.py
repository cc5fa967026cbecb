"""The REST side of the Massive simulator: what the reference service asks, and its own controls.

Shapes follow massive.md, section 2: previous day and average volume (grouped daily, previous
close, daily bars), universe, float, market status. ``/_simulator/...`` is ours: faults,
prices and statistics, without a key.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final

import msgspec
from aiohttp import web

from tapewire.market.sessions import Session, SessionCalendar, TradingDay
from tapewire.simulators.connection import Account
from tapewire.simulators.faults import FaultError
from tapewire.simulators.prints import PrintError
from tapewire.simulators.sources import DailyBar, Reference
from tapewire.simulators.statistics import Statistics

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Row = dict[str, Any]

_NO_BAR: Final = {"o": 0, "h": 0, "l": 0, "c": 0, "v": 0, "vw": 0}
_UPCOMING_DAYS: Final = 366
_MARKET: Final = {
    Session.PRE: "extended-hours",
    Session.REGULAR: "open",
    Session.POST: "extended-hours",
    Session.CLOSED: "closed",
}
_NOT_ENTITLED: Final = (
    "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
)
_encode: Final = msgspec.json.Encoder().encode


class FaultRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /_simulator/faults``: what, and after how many more events."""

    fault: str
    after: int = 0


class PriceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /_simulator/price``: a ticker, and what it is to trade at now."""

    symbol: str
    price: float


class RestSide:
    """The calls, answered from a source's reference.

    ``now_ms`` is the simulated time: that of the last event sent, 0 before the first.
    ``last_date`` is the last session that is played. ``inject`` takes a fault's name and the
    number of further events; ``trade`` makes a ticker trade at a price.
    """

    def __init__(
        self,
        reference: Reference,
        *,
        key: str | None,
        account: Account,
        statistics: Statistics,
        now_ms: Callable[[], int],
        inject: Callable[[str, int], None],
        trade: Callable[[str, float], Awaitable[int]],
        last_date: str = "",
    ) -> None:
        self._reference = reference
        self._last_date = last_date
        self._key = key
        self._account = account
        self._statistics = statistics
        self._now_ms = now_ms
        self._inject = inject
        self._trade = trade
        self._calendar = SessionCalendar.load("XNYS")
        self._request_ids = (f"{number:032x}" for number in count(1))

    def application(self) -> web.Application:
        """The web application with all routes."""
        application = web.Application(middlewares=[self._guard])
        aggs = "/v2/aggs"
        stocks = "/v2/snapshot/locale/us/markets/stocks"
        application.add_routes([
            web.get(f"{aggs}/grouped/locale/us/market/stocks/{{date}}", self._grouped),
            web.get(f"{aggs}/ticker/{{ticker}}/prev", self._previous),
            web.get(f"{aggs}/ticker/{{ticker}}/range/{{n}}/{{span}}/{{from}}/{{to}}", self._range),
            web.get(f"{stocks}/tickers", self._snapshots),
            web.get("/v3/reference/tickers", self._tickers),
            web.get("/stocks/vX/float", self._floats),
            web.get("/v1/marketstatus/now", self._market_now),
            web.get("/v1/marketstatus/upcoming", self._market_upcoming),
            web.post("/_simulator/faults", self._add_fault),
            web.post("/_simulator/price", self._set_price),
            web.get("/_simulator/statistics", self._show_statistics),
        ])  # fmt: skip
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Check key and plan; answer an unknown route as the provider does, in plain text."""
        if request.path.startswith("/_simulator/"):
            return await handler(request)
        if isinstance(request.match_info.http_exception, web.HTTPNotFound):
            return web.Response(status=404, text="404 page not found")
        if not self._accepts(request):
            return self._failure(401, "ERROR", "error", "Unknown API Key")
        if any(request.path.startswith(path) for path in self._account.refused_calls):
            return self._failure(403, "NOT_AUTHORIZED", "message", _NOT_ENTITLED)
        try:
            return await handler(request)
        except _BadRequestError as error:
            return self._failure(400, "ERROR", "error", str(error))

    def _accepts(self, request: web.Request) -> bool:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        key = bearer or request.query.get("apiKey", "")
        return bool(key) if self._key is None else key == self._key

    async def _grouped(self, request: web.Request) -> web.Response:
        day = self._day(request.match_info["date"])
        bars = await self._daily_bars(day)
        rows = [{"T": symbol, **_bar(bar, day.close_ms)} for symbol, bar in sorted(bars.items())]
        return self._bars(rows)

    async def _previous(self, request: web.Request) -> web.Response:
        ticker = request.match_info["ticker"]
        day = self._calendar.previous_session(self._today())
        bar = (await self._daily_bars(day)).get(ticker)
        rows = [{"T": ticker, **_bar(bar, day.close_ms)}] if bar else []
        return self._bars(rows, ticker=ticker)

    async def _range(self, request: web.Request) -> web.Response:
        """Daily bars before the day that is played; other spans have none here."""
        ticker = request.match_info["ticker"]
        if (request.match_info["n"], request.match_info["span"]) != ("1", "day"):
            return self._bars([], ticker=ticker)
        first, last = (self._day(request.match_info[name]).date for name in ("from", "to"))
        rows = [
            _bar(bar, day.turn_ms - 4 * 3_600_000)
            for day in self._calendar.sessions(first, last)
            if (bar := (await self._daily_bars(day)).get(ticker))
        ]
        if request.query.get("sort") == "desc":
            rows.reverse()
        return self._bars(rows[: _limit(request, 5000, 50_000)], ticker=ticker)

    async def _snapshots(self, request: web.Request) -> web.Response:
        """Previous day of every ticker; the day itself as after the reset, without bars."""
        wanted = set(filter(None, request.query.get("tickers", "").split(",")))
        bars = await self._daily_bars(self._calendar.previous_session(self._today()))
        rows = [
            {
                "ticker": symbol,
                "todaysChange": 0,
                "todaysChangePerc": 0,
                "updated": 0,
                "day": _NO_BAR,
                "prevDay": _prices(bar),
                "min": _NO_BAR | {"av": 0, "t": 0, "n": 0},
            }
            for symbol, bar in sorted(bars.items())
            if not wanted or symbol in wanted
        ]
        return self._success({"count": len(rows), "tickers": rows})

    async def _tickers(self, request: web.Request) -> web.Response:
        rows = [
            {
                "ticker": row.symbol,
                "name": row.name,
                "market": "stocks",
                "locale": "us",
                "type": "CS",
                "active": True,
                "currency_name": "usd",
            }
            | ({"primary_exchange": row.primary_exchange} if row.primary_exchange else {})
            for row in self._reference.tickers()
        ]
        return self._page(request, rows, default=100, most=1000)

    async def _floats(self, request: web.Request) -> web.Response:
        rows = [
            {
                "ticker": row.symbol,
                "effective_date": self._today(),
                "free_float": row.free_float,
                "free_float_percent": row.free_float_percent,
            }
            for row in self._reference.tickers()
            if row.free_float is not None
        ]
        return self._page(request, rows, default=100, most=5000)

    async def _market_now(self, _: web.Request) -> web.Response:
        now_ms = self._now_ms() or self._calendar.day(self._today()).turn_ms
        session = self._calendar.session_at(now_ms)
        market = _MARKET[session]
        body = {
            "market": market,
            "earlyHours": session is Session.PRE,
            "afterHours": session is Session.POST,
            "serverTime": dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).isoformat(),
            "exchanges": {"nasdaq": market, "nyse": market, "otc": market},
            "currencies": {"crypto": "open", "fx": "open"},
        }
        return _json(body)

    async def _market_upcoming(self, _: web.Request) -> web.Response:
        first = dt.date.fromisoformat(self._today())
        rows: list[_Row] = []
        for number in range(_UPCOMING_DAYS):
            date = first + dt.timedelta(days=number)
            day = self._calendar.day(date.isoformat())
            if date.weekday() < 5 and (day.early_close or not day.is_session):
                rows += [_holiday(day) | {"exchange": name} for name in ("NASDAQ", "NYSE")]
        return _json(rows)

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=FaultRequest)
            self._inject(wanted.fault, wanted.after)
        except (msgspec.DecodeError, FaultError) as error:
            return _json({"error": str(error)}, 400)
        return _json({"planned": wanted.fault, "after": wanted.after})

    async def _set_price(self, request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=PriceRequest)
            time_ms = await self._trade(wanted.symbol, wanted.price)
        except (msgspec.DecodeError, PrintError) as error:
            return _json({"error": str(error)}, 400)
        return _json({"symbol": wanted.symbol, "price": wanted.price, "timestamp_ms": time_ms})

    async def _show_statistics(self, _: web.Request) -> web.Response:
        return _json(self._statistics.as_dict())

    async def _daily_bars(self, day: TradingDay) -> Mapping[str, DailyBar]:
        """A day's bars, worked out in a thread: recorded days are read from files.

        A day that is not over in simulated time has none yet. Before anything is played the
        days between the first and the last have theirs: whoever plays several days may load
        what each is measured against.
        """
        today = self._today() if self._now_ms() else max(self._today(), self._last_date)
        if day.date >= today:
            return {}
        return await asyncio.to_thread(self._reference.daily_bars, day.date)

    def _today(self) -> str:
        now_ms = self._now_ms()
        return self._calendar.trading_date(now_ms) if now_ms else self._reference.today()

    def _day(self, text: str) -> TradingDay:
        """The trading day of ``YYYY-MM-DD`` or of milliseconds."""
        try:
            if text.isdigit():
                return self._calendar.day_at(int(text))
            return self._calendar.day(text)
        except ValueError as error:
            raise _BadRequestError(f"Could not parse the time input: {error}") from error

    def _page(
        self, request: web.Request, rows: Sequence[_Row], *, default: int, most: int
    ) -> web.Response:
        """One page of the rows asked for, with ``next_url`` when more follow."""
        wanted = {request.query.get("ticker"), *request.query.get("ticker.any_of", "").split(",")}
        wanted -= {None, ""}
        rows = [row for row in rows if not wanted or row["ticker"] in wanted]
        offset, limit = _position(request, default, most)
        page = rows[offset : offset + limit]
        body: _Row = {"count": len(page), "results": page}
        if offset + limit < len(rows):
            cursor = base64.urlsafe_b64encode(f"{offset + limit}/{limit}".encode()).decode()
            query = {name: value for name, value in request.query.items() if name != "apiKey"}
            body["next_url"] = str(request.url.with_query(query | {"cursor": cursor}))
        return self._success(body)

    def _bars(self, rows: Sequence[_Row], **more: str) -> web.Response:
        counts = {"queryCount": len(rows), "resultsCount": len(rows), "count": len(rows)}
        body = {**more, **counts, "adjusted": True}
        return self._success(body | ({"results": rows} if rows else {}))

    def _success(self, body: Mapping[str, Any]) -> web.Response:
        return _json({"status": "OK", "request_id": next(self._request_ids), **body})

    def _failure(self, code: int, status: str, field: str, text: str) -> web.Response:
        body = {"status": status, "request_id": next(self._request_ids), field: text}
        return _json(body, code)


class _BadRequestError(ValueError):
    """A parameter that cannot be read; answered with 400."""


def _json(body: object, status: int = 200) -> web.Response:
    response = web.Response(body=_encode(body), status=status, content_type="application/json")
    response.enable_compression()
    return response


def _prices(bar: DailyBar) -> _Row:
    names = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close}
    return {**names, "v": bar.volume, "vw": bar.vwap}


def _bar(bar: DailyBar, time_ms: int) -> _Row:
    return _prices(bar) | {"t": time_ms, "n": bar.trades}


def _holiday(day: TradingDay) -> _Row:
    row: _Row = {"date": day.date, "name": "Holiday", "status": "closed"}
    if day.is_session:
        hours = {"open": _rfc3339(day.open_ms), "close": _rfc3339(day.close_ms)}
        row |= {"name": "Early close", "status": "early-close", **hours}
    return row


def _rfc3339(time_ms: int) -> str:
    at = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _limit(request: web.Request, default: int, most: int) -> int:
    text = request.query.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise _BadRequestError(f"limit is {text!r}; expected 1 to {most}")
    return int(text)


def _position(request: web.Request, default: int, most: int) -> tuple[int, int]:
    """Where a page starts, and its size: from the cursor, else from the beginning."""
    cursor = request.query.get("cursor")
    if cursor is None:
        return 0, _limit(request, default, most)
    try:
        offset, limit = base64.urlsafe_b64decode(cursor).decode().split("/")
        return int(offset), int(limit)
    except ValueError as error:
        raise _BadRequestError(f"cursor {cursor!r} is not one of ours") from error
