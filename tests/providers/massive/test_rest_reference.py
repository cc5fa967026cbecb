"""Calls about one ticker, against a real server on a real port."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tapewire.providers.massive.rest import CallRejected, Malformed, NotEntitled, UnknownRoute
from tapewire.providers.massive.rest_reference import MassiveReference
from tapewire.providers.massive.rest_reference_models import (
    Branding,
    Dividend,
    LastQuote,
    LastTrade,
    ShortInterest,
    Split,
)
from tests.providers.massive.rest_server import (
    NOT_ENTITLED,
    FakeTime,
    Reply,
    RestServer,
    new_session,
    ok,
)

UNKNOWN = Reply({"status": "NOT_FOUND", "message": "Ticker not found."}, status=404)


@pytest.fixture
async def server() -> AsyncIterator[RestServer]:
    async with RestServer() as server:
        yield server


@pytest.fixture
async def rest(server: RestServer) -> AsyncIterator[MassiveReference]:
    time = FakeTime()
    async with new_session() as session:
        yield MassiveReference(
            str(server.url), "a-key", session=session, clock=time, sleep=time.sleep
        )


def one(**fields: Any) -> Reply:
    return Reply({"status": "OK", "request_id": "r", "results": fields})


async def test_a_snapshot_of_one_ticker(rest: MassiveReference, server: RestServer) -> None:
    ticker = {"ticker": "AAPL", "day": {"c": 10, "v": 5.0}, "lastTrade": {"p": 10.5, "t": 1}}
    server.answers(
        "/v2/snapshot/locale/us/markets/stocks/tickers/AAPL",
        Reply({"status": "DELAYED", "ticker": ticker}),
    )
    snapshot = await rest.snapshot("AAPL")
    assert snapshot is not None
    assert snapshot.day is not None
    assert snapshot.last_trade is not None
    assert (snapshot.day.close, snapshot.last_trade.price) == (10, 10.5)


async def test_the_last_trade_and_quote(rest: MassiveReference, server: RestServer) -> None:
    server.answers("/v2/last/trade/AAPL", one(T="AAPL", p=10, s=100, t=7, c=[12], q=3))
    server.answers("/v2/last/nbbo/AAPL", one(T="AAPL", P=10.1, S=2, p=10.0, s=1, t=7))
    trade, quote = await rest.last_trade("AAPL"), await rest.last_quote("AAPL")
    assert trade == LastTrade(
        symbol="AAPL", price=10, size=100, timestamp_ns=7, conditions=[12], sequence=3
    )
    assert quote == LastQuote(
        symbol="AAPL", ask=10.1, ask_size=2, bid=10.0, bid_size=1, timestamp_ns=7
    )


async def test_a_company_and_its_names(rest: MassiveReference, server: RestServer) -> None:
    branding = {"icon_url": f"{server.url}/i.png", "logo_url": f"{server.url}/l.svg"}
    server.answers("/v3/reference/tickers/META", one(ticker="META", name="M", branding=branding))
    renaming = {"date": "2022-06-09", "type": "ticker_change", "ticker_change": {"ticker": "META"}}
    server.answers("/vX/reference/tickers/META/events", one(name="M", events=[renaming]))
    details, events = await rest.ticker_details("META"), await rest.ticker_events("META")
    assert details is not None
    assert events is not None
    assert details.branding == Branding(**branding)
    assert [event.date for event in events.events] == ["2022-06-09"]


async def test_rows_of_one_ticker_are_asked_for_newest_first(
    rest: MassiveReference, server: RestServer
) -> None:
    answers = {
        "/stocks/v1/short-interest": ok({"ticker": "A", "short_interest": 5, "days_to_cover": 1.5}),
        "/stocks/v1/short-volume": ok({"ticker": "A", "short_volume": 5}),
        "/stocks/v1/splits": ok({"ticker": "A", "split_from": 1, "split_to": 4.0}),
        "/stocks/v1/dividends": ok({"ticker": "A", "cash_amount": 0.24}),
        "/v2/reference/news": ok({"id": "n1", "title": "t", "tickers": ["A"]}),
        "/stocks/vX/float": ok({"ticker": "A", "free_float": 9}, {"ticker": "AA"}),
    }
    for path, reply in answers.items():
        server.answers(path, reply)
    assert await rest.short_interest("A") == [
        ShortInterest(symbol="A", short_interest=5, days_to_cover=1.5)
    ]
    assert len(await rest.short_volume("A")) == 1
    assert await rest.splits("A") == [Split(symbol="A", split_from=1, split_to=4.0)]
    assert await rest.dividends("A") == [Dividend(symbol="A", cash_amount=0.24)]
    assert [article.id for article in await rest.news("A")] == ["n1"]
    found = await rest.free_float("A")
    assert found is not None
    assert found.free_float == 9
    assert all(asked.query["ticker"] == "A" for asked in server.asked)
    assert server.asked[2].query["sort"] == "execution_date.desc"


async def test_an_unknown_ticker_is_nothing_and_an_unknown_route_an_error(
    rest: MassiveReference, server: RestServer
) -> None:
    server.answers("/v3/reference/tickers/NONE", UNKNOWN)
    server.answers("/stocks/v1/splits", UNKNOWN)
    assert await rest.ticker_details("NONE") is None
    assert await rest.splits("NONE") == []
    with pytest.raises(UnknownRoute, match="check the base URL"):
        await rest.last_trade("NONE")


async def test_a_thing_of_another_shape_is_malformed(
    rest: MassiveReference, server: RestServer
) -> None:
    server.answers("/v2/last/trade/A", Reply(text='{"status":"OK","results":{"T":"A","p'))
    with pytest.raises(Malformed, match="expected documented JSON"):
        await rest.last_trade("A")


async def test_a_refusal_inside_the_envelope_switches_that_call_off_only(
    rest: MassiveReference, server: RestServer
) -> None:
    server.answers("/v2/last/nbbo/A", Reply(NOT_ENTITLED))
    server.answers("/v2/last/trade/A", one(T="A", p=1))
    for _ in range(2):
        with pytest.raises(NotEntitled):
            await rest.last_quote("A")
    assert await rest.last_trade("A") is not None
    assert len(server.asked) == 2


class Pictures:
    """A branding route that answers bytes of a type."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self._reply = Reply(text=body.decode("latin-1"), headers={"Content-Type": content_type})

    def __call__(self, _: web.Request) -> Reply:
        return self._reply


async def test_a_picture_is_fetched_with_the_key_in_the_header(
    rest: MassiveReference, server: RestServer
) -> None:
    server.standing = Pictures(b"<svg/>", "image/svg+xml")
    assert await rest.picture(f"{server.url}/v1/logo.svg") == (
        b"<svg/>",
        "image/svg+xml",
    )
    assert server.asked[0].key == "Bearer a-key"
    assert server.asked[0].query == {}


async def test_a_picture_elsewhere_is_not_asked_for(
    rest: MassiveReference, server: RestServer
) -> None:
    async with RestServer() as elsewhere:
        for address in (f"{elsewhere.url}/logo.svg", "/logo.svg", "file:///etc/passwd"):
            with pytest.raises(CallRejected, match="the only place that the key is sent to"):
                await rest.picture(address)
        assert elsewhere.asked == []
    assert server.asked == []


@pytest.mark.parametrize(
    ("size", "content_type"), [(10, "text/html"), (2 * 1024 * 1024, "image/png")]
)
async def test_what_is_no_picture_or_too_large_is_refused(
    rest: MassiveReference, server: RestServer, size: int, content_type: str
) -> None:
    server.standing = Pictures(b"x" * size, content_type)
    with pytest.raises(Malformed, match="expected a picture"):
        await rest.picture(f"{server.url}/v1/logo.png")
