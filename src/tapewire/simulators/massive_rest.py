"""The REST side of the Massive simulator: the provider's calls, and the simulator's own controls.

Shapes follow massive.md, section 2. What is answered hangs together with what is played: bars of
the days before, snapshots and last trades of the moment, companies made up from their tickers.
``/_simulator/...`` is ours: faults, prices and statistics, without a key.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from tapewire.market.sessions import Session, SessionCalendar, TradingDay
from tapewire.simulators.connection import Account
from tapewire.simulators.rest_answers import (
    NOT_ENTITLED,
    Answers,
    BadRequestError,
    Row,
    UnknownTickerError,
    json_response,
    limit_of,
)
from tapewire.simulators.rest_bars import BarHistory, bar_row, rest_of
from tapewire.simulators.rest_company import PNG, Companies
from tapewire.simulators.rest_controls import MassiveControls
from tapewire.simulators.rest_faults import Handler, RestFaults
from tapewire.simulators.rest_snapshots import Latest, TickerNow
from tapewire.simulators.rest_tables import (
    condition_rows,
    exchange_rows,
    in_range,
    quote_row,
    trade_row,
)
from tapewire.simulators.sources import Reference, TickerReference
from tapewire.simulators.statistics import Statistics

_UPCOMING_DAYS: Final = 366
_SHORT_VOLUME_DAYS: Final = 10
_MOVERS: Final = 20
_MARKET: Final = {
    Session.PRE: "extended-hours",
    Session.REGULAR: "open",
    Session.POST: "extended-hours",
    Session.CLOSED: "closed",
}


class RestSide:
    """The calls, answered from a source's reference.

    ``now_ms`` is the simulated time: that of the last event sent, 0 before the first.
    ``last_date`` is the last session that is played. ``inject`` takes a fault's name and the
    number of further events; ``trade`` makes a ticker trade at a price; ``latest`` gives the
    last event of a ticker.
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
        latest: Latest = lambda _: None,
        last_date: str = "",
    ) -> None:
        self._reference = reference
        self._last_date = last_date
        self._key = key
        self._account = account
        self._statistics = statistics
        self._now_ms = now_ms
        self._latest = latest
        self._calendar = SessionCalendar.load("XNYS")
        self._answers = Answers()
        self.faults = RestFaults(self._answers, statistics.faults)
        self._controls = MassiveControls(self.faults, statistics, inject, trade)
        self._companies = Companies(self._calendar, self._today)
        self._bars = BarHistory(reference, self._calendar, self._is_over)

    def application(self) -> web.Application:
        """The web application with all routes."""
        application = web.Application(middlewares=[self._guard])
        aggs = "/v2/aggs"
        stocks = "/v2/snapshot/locale/us/markets/stocks"
        branding = "/v1/reference/company-branding"
        application.add_routes([
            web.get(f"{aggs}/grouped/locale/us/market/stocks/{{date}}", self._grouped),
            web.get(f"{aggs}/ticker/{{ticker}}/prev", self._previous),
            web.get(f"{aggs}/ticker/{{ticker}}/range/{{n}}/{{span}}/{{from}}/{{to}}", self._range),
            web.get("/v1/open-close/{ticker}/{date}", self._open_close),
            web.get(f"{stocks}/tickers", self._snapshots),
            web.get(f"{stocks}/tickers/{{ticker}}", self._snapshot),
            web.get(f"{stocks}/{{direction:gainers|losers}}", self._movers),
            web.get("/v3/snapshot", self._unified),
            web.get("/v2/last/trade/{ticker}", self._last_trade),
            web.get("/v2/last/nbbo/{ticker}", self._last_quote),
            web.get("/v3/reference/tickers", self._tickers),
            web.get("/v3/reference/tickers/{ticker}", self._details),
            web.get("/vX/reference/tickers/{ticker}/events", self._events),
            web.get(f"{branding}/{{ticker}}/images/{{file}}", self._picture),
            web.get("/stocks/vX/float", self._floats),
            web.get("/stocks/v1/short-interest", self._short_interest),
            web.get("/stocks/v1/short-volume", self._short_volume),
            web.get("/stocks/v1/splits", self._splits),
            web.get("/stocks/v1/dividends", self._dividends),
            web.get("/v2/reference/news", self._news),
            web.get("/v1/marketstatus/now", self._market_now),
            web.get("/v1/marketstatus/upcoming", self._market_upcoming),
            web.get("/v3/trades/{ticker}", self._trades),
            web.get("/v3/quotes/{ticker}", self._quotes),
            web.get("/v3/reference/conditions", self._conditions),
            web.get("/v3/reference/exchanges", self._exchanges),
            *self._controls.routes(),
        ])  # fmt: skip
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check key and plan; answer an unknown route as the provider does, in plain text."""
        if request.path.startswith("/_simulator/"):
            return await handler(request)
        if isinstance(request.match_info.http_exception, web.HTTPNotFound):
            return web.Response(status=404, text="404 page not found")
        resource = request.match_info.route.resource
        self._statistics.calls[resource.canonical if resource else request.path] += 1
        return await self.faults.meet(request, lambda asked: self._serve(asked, handler))

    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        failure = self._answers.failure
        if not self._accepts(request):
            return failure(401, "ERROR", "error", "Unknown API Key")
        if any(request.path.startswith(path) for path in self._account.refused_calls):
            return failure(403, "NOT_AUTHORIZED", "message", NOT_ENTITLED)
        try:
            return await handler(request)
        except BadRequestError as error:
            return failure(400, "ERROR", "error", str(error))
        except UnknownTickerError as error:
            return failure(404, "NOT_FOUND", "message", str(error))

    def _accepts(self, request: web.Request) -> bool:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        key = bearer or request.query.get("apiKey", "")
        return bool(key) if self._key is None else key == self._key

    async def _grouped(self, request: web.Request) -> web.Response:
        day = self._bars.day(request.match_info["date"])
        bars = await self._bars.daily(day)
        rows = [{"T": symbol, **bar_row(bar, day.close_ms)} for symbol, bar in sorted(bars.items())]
        return self._answers.bars(rows)

    async def _previous(self, request: web.Request) -> web.Response:
        ticker = request.match_info["ticker"]
        day = self._calendar.previous_session(self._today())
        bar = (await self._bars.daily(day)).get(ticker)
        rows = [{"T": ticker, **bar_row(bar, day.close_ms)}] if bar else []
        return self._answers.bars(rows, ticker=ticker)

    async def _range(self, request: web.Request) -> web.Response:
        """Bars of days, hours and minutes before the day that is played; no others.

        A page ends with the limit of results; the next one begins at the bar after it.
        """
        asked = request.match_info
        ticker, limit = asked["ticker"], limit_of(request, 5000, 50_000)
        rows = await self._bars.rows(ticker, asked["n"], asked["span"], asked["from"], asked["to"])
        if request.query.get("sort") == "desc":
            rows.reverse()
        more = {"next_url": rest_of(request, rows[limit]["t"])} if len(rows) > limit else {}
        return self._answers.bars(rows[:limit], ticker=ticker, **more)

    async def _open_close(self, request: web.Request) -> web.Response:
        day = self._bars.day(request.match_info["date"])
        ticker = request.match_info["ticker"]
        bar = (await self._bars.daily(day)).get(ticker)
        if bar is None:
            raise UnknownTickerError("Data not found.")
        names = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
        extended = {"preMarket": bar.open, "afterHours": bar.close, "volume": bar.volume}
        return json_response(
            {"status": "OK", "from": day.date, "symbol": ticker, **names, **extended}
        )

    async def _snapshots(self, request: web.Request) -> web.Response:
        """Every ticker's state, or that of those asked for."""
        wanted = set(filter(None, request.query.get("tickers", "").split(",")))
        rows = [now.snapshot() for now in await self._nows() if not wanted or now.symbol in wanted]
        return self._answers.success({"count": len(rows), "tickers": rows})

    async def _snapshot(self, request: web.Request) -> web.Response:
        now = await self._now(request)
        return self._answers.success({"ticker": now.snapshot()})

    async def _movers(self, request: web.Request) -> web.Response:
        rows = [now.snapshot() for now in await self._nows()]
        sign = -1 if request.match_info["direction"] == "gainers" else 1
        rows.sort(key=lambda row: (sign * row["todaysChangePerc"], row["ticker"]))
        return self._answers.success({"tickers": rows[:_MOVERS]})

    async def _unified(self, request: web.Request) -> web.Response:
        names = {row.symbol: row.name for row in self._reference.tickers()}
        session = self._calendar.session_at(self._time_ms())
        nows = await self._nows()
        rows = [now.unified(session, names.get(now.symbol, now.symbol)) for now in nows]
        return self._answers.page(request, rows, default=10, most=250)

    async def _last_trade(self, request: web.Request) -> web.Response:
        return self._answers.one(_some((await self._now(request)).last_trade()))

    async def _last_quote(self, request: web.Request) -> web.Response:
        return self._answers.one(_some((await self._now(request)).last_quote()))

    async def _trades(self, request: web.Request) -> web.Response:
        """Of the tape only the last trade is kept: that one, where the time asked for holds it."""
        return self._tape(request, trade_row((await self._now(request)).last_trade()))

    async def _quotes(self, request: web.Request) -> web.Response:
        """As `_trades`, with the last quote."""
        return self._tape(request, quote_row((await self._now(request)).last_quote()))

    def _tape(self, request: web.Request, row: Row | None) -> web.Response:
        fits = row is not None and in_range(request.query, row["sip_timestamp"])
        return self._answers.success({"results": [row] if fits else []})

    async def _conditions(self, request: web.Request) -> web.Response:
        rows = condition_rows()[: limit_of(request, 10, 1000)]
        return self._answers.success({"count": len(rows), "results": rows})

    async def _exchanges(self, _: web.Request) -> web.Response:
        rows = exchange_rows()
        return self._answers.success({"count": len(rows), "results": rows})

    async def _nows(self) -> list[TickerNow]:
        before = self._calendar.previous_session(self._today())
        bars = await self._bars.daily(before)
        symbols = {*bars, *(row.symbol for row in self._reference.tickers())}
        return [TickerNow(one, bars.get(one), before, self._latest) for one in sorted(symbols)]

    async def _now(self, request: web.Request) -> TickerNow:
        """The ticker in the path; UnknownTickerError when it neither traded nor is listed."""
        symbol = request.match_info["ticker"]
        before = self._calendar.previous_session(self._today())
        now = TickerNow(symbol, (await self._bars.daily(before)).get(symbol), before, self._latest)
        if now.price is None:
            raise UnknownTickerError("Ticker not found.")
        return now

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
        return self._answers.page(request, rows, default=100, most=1000)

    async def _details(self, request: web.Request) -> web.Response:
        row = self._listed(request.match_info["ticker"])
        price = (await self._now(request)).price
        base = str(request.url.origin())
        return self._answers.one(self._companies.details(row, price, base))

    async def _events(self, request: web.Request) -> web.Response:
        row = self._listed(request.match_info["ticker"])
        return self._answers.one(self._companies.events(row))

    async def _picture(self, request: web.Request) -> web.Response:
        row, file = self._listed(request.match_info["ticker"]), request.match_info["file"]
        if file.endswith(".png"):
            return web.Response(body=PNG, content_type="image/png")
        return web.Response(body=self._companies.logo(row.symbol), content_type="image/svg+xml")

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
        return self._answers.page(request, rows, default=100, most=5000)

    async def _short_interest(self, request: web.Request) -> web.Response:
        bars = await self._bars.daily(self._calendar.previous_session(self._today()))
        rows = [
            report
            for row in self._asked_for(request)
            if (bar := bars.get(row.symbol))
            for report in self._companies.short_interest(row, bar.volume)
        ]
        return self._answers.page(request, rows, default=10, most=50_000)

    async def _short_volume(self, request: web.Request) -> web.Response:
        rows: list[Row] = []
        asked, date = self._asked_for(request), self._today()
        for _ in range(_SHORT_VOLUME_DAYS):
            day = self._calendar.previous_session(date)
            bars, date = await self._bars.daily(day), day.date
            rows += [
                self._companies.short_volume(row.symbol, date, bars[row.symbol])
                for row in asked
                if row.symbol in bars
            ]
        return self._answers.page(request, rows, default=10, most=50_000)

    async def _splits(self, request: web.Request) -> web.Response:
        rows = [one for row in self._asked_for(request) for one in self._companies.splits(row)]
        return self._answers.page(request, rows, default=100, most=5000)

    async def _dividends(self, request: web.Request) -> web.Response:
        bars = await self._bars.daily(self._calendar.previous_session(self._today()))
        rows = [
            dividend
            for row in self._asked_for(request)
            if (bar := bars.get(row.symbol))
            for dividend in self._companies.dividends(row, bar.close)
        ]
        return self._answers.page(request, rows, default=100, most=5000)

    async def _news(self, request: web.Request) -> web.Response:
        rows = [one for row in self._asked_for(request) for one in self._companies.news(row)]
        limit = limit_of(request, 10, 1000)
        return self._answers.success({"count": len(rows[:limit]), "results": rows[:limit]})

    def _asked_for(self, request: web.Request) -> Sequence[TickerReference]:
        """The listings that ``ticker`` names; every one without it."""
        symbol = request.query.get("ticker")
        return [row for row in self._reference.tickers() if symbol in (None, row.symbol)]

    def _listed(self, symbol: str) -> TickerReference:
        for row in self._reference.tickers():
            if row.symbol == symbol:
                return row
        raise UnknownTickerError("Ticker not found.")

    async def _market_now(self, _: web.Request) -> web.Response:
        now_ms = self._time_ms()
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
        return json_response(body)

    async def _market_upcoming(self, _: web.Request) -> web.Response:
        first = dt.date.fromisoformat(self._today())
        rows: list[Row] = []
        for number in range(_UPCOMING_DAYS):
            date = first + dt.timedelta(days=number)
            day = self._calendar.day(date.isoformat())
            if date.weekday() < 5 and (day.early_close or not day.is_session):
                rows += [_holiday(day) | {"exchange": name} for name in ("NASDAQ", "NYSE")]
        return json_response(rows)

    def _is_over(self, date: str) -> bool:
        """Whether a day has its bars; one that is not over in simulated time has none yet.

        Before anything is played the days between the first and the last have theirs: whoever
        plays several days may load what each is measured against.
        """
        today = self._today() if self._now_ms() else max(self._today(), self._last_date)
        return date < today

    def _time_ms(self) -> int:
        return self._now_ms() or self._calendar.day(self._today()).turn_ms

    def _today(self) -> str:
        now_ms = self._now_ms()
        return self._calendar.trading_date(now_ms) if now_ms else self._reference.today()


def _some(row: Row | None) -> Row:
    if row is None:
        raise UnknownTickerError("Ticker not found.")
    return row


def _holiday(day: TradingDay) -> Row:
    row: Row = {"date": day.date, "name": "Holiday", "status": "closed"}
    if day.is_session:
        hours = {"open": _rfc3339(day.open_ms), "close": _rfc3339(day.close_ms)}
        row |= {"name": "Early close", "status": "early-close", **hours}
    return row


def _rfc3339(time_ms: int) -> str:
    at = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
