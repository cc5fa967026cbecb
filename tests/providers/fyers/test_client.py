"""Fyers as a broker: its REST, against a server that answers as Fyers."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tapewire.providers.broker import Broker, BrokerError, Ending, fingerprint
from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken
from tapewire.providers.fyers.client import WS_URL, FyersBroker
from tapewire.providers.fyers.rest import FyersRest, master_url
from tapewire.providers.fyers.token import read_token
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.runtime.redact import redact
from tapewire.simulators.broker_voice import Account, HttpCall
from tapewire.simulators.fyers import FyersSide
from tapewire.simulators.fyers_files import make_token
from tapewire.simulators.tick_tape import TickTape
from tests.providers.fyers.tokens import JWT, NOW_S, TOKEN
from tests.simulators.fyers_market import LISTED, ListedMarket

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(*routes: tuple[str, str, Handler]) -> AsyncIterator[str]:
    """A real HTTP server on a free port; its address."""
    application = web.Application()
    for method, path, handler in routes:
        application.router.add_route(method, path, handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fyers(account: Account | None = None) -> AsyncIterator[tuple[str, FyersSide]]:
    """The simulated REST of Fyers."""
    side = FyersSide(
        TickTape(ListedMarket()),
        account,
        now_s=lambda: NOW_S,
        logins={"CODE-1": ("APP-100", "s3cret-of-app")},
    )
    routes = []
    for (method, path), handle in side.routes().items():

        async def answer(request: web.Request, handle: object = handle) -> web.Response:
            call = HttpCall(dict(request.query), request.headers, await request.read())
            told = await handle(call)  # type: ignore[operator]
            return web.Response(status=told.status, body=told.body)

        routes.append((method, path, answer))
    async with serving(*routes) as url:
        yield url, side


def answering(status: int, body: str = "{}") -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    return answer


@asynccontextmanager
async def broker(folder: Path, rest_url: str, token: str = TOKEN) -> AsyncIterator[FyersBroker]:
    cache = InstrumentCache(folder, lambda: NOW_S)
    made = FyersBroker(
        lambda: token, cache, now_s=lambda: NOW_S, clock=lambda: 0.0, rest_url=rest_url
    )
    try:
        yield made
    finally:
        await made.close()


async def test_the_token_is_read_again_for_every_connection(tmp_path: Path) -> None:
    tokens = [TOKEN, make_token("SECOND", NOW_S + 60)]
    given = iter(tokens)
    cache = InstrumentCache(tmp_path, lambda: NOW_S)
    fyers: Broker = FyersBroker(lambda: next(given), cache, now_s=lambda: NOW_S, clock=lambda: 0.0)
    assert fyers.credential() == ""
    address = await fyers.authorize()
    assert redact(f"sent {JWT}") == "sent ***"
    assert (address.url, dict(address.headers)) == (WS_URL, {})
    assert fyers.credential() == fingerprint(tokens[0])
    connection = fyers.connection(0.0)
    connection.opened(0.0)
    assert b"HSMKEY-SECRET" in b"".join(
        one for one in connection.data_to_send() if isinstance(one, bytes)
    )
    await fyers.authorize()
    assert fyers.credential() == fingerprint(tokens[1])
    await fyers.close()


@pytest.mark.parametrize(
    ("token", "reason", "policy"),
    [
        ("", "no_token", Fatal),
        ("rubbish", "token_unreadable", RefreshToken),
        (make_token("K", NOW_S), "token_expired", RefreshToken),
    ],
)
async def test_a_token_that_cannot_be_used_is_not_tried(
    tmp_path: Path, token: str, reason: str, policy: type[Policy]
) -> None:
    async with broker(tmp_path, "http://127.0.0.1:1", token) as made:
        with pytest.raises(BrokerError) as refused:
            await made.authorize()
        assert refused.value.ending.reason == reason
        assert isinstance(refused.value.ending.policy, policy)
        assert not token or token not in str(refused.value)
        assert made.credential() == fingerprint(token)


async def test_an_expired_token_says_when_it_did(tmp_path: Path) -> None:
    async with broker(tmp_path, "http://127.0.0.1:1", make_token("K", 1_794_999_999)) as made:
        with pytest.raises(BrokerError, match="it expired at 2026-11-18 11:06 UTC"):
            await made.authorize()


async def test_a_connection_needs_an_authorization_before(tmp_path: Path) -> None:
    async with broker(tmp_path, "http://127.0.0.1:1") as made:
        with pytest.raises(BrokerError, match="authorize was not called"):
            made.connection(0.0)


@pytest.mark.parametrize(
    ("status", "reason", "policy"),
    [
        (401, "token_refused", RefreshToken),
        (403, "token_refused", RefreshToken),
        (404, "http_404", Fatal),
        (429, "http_429", BackOff),
        (400, "http_400", Fatal),
        (503, "http_503", BackOff),
    ],
)
async def test_a_refused_upgrade_has_its_meaning(
    tmp_path: Path, status: int, reason: str, policy: type[Policy]
) -> None:
    async with broker(tmp_path, "http://127.0.0.1:1") as made:
        ending = made.refused(status)
    assert ending.reason == reason
    assert isinstance(ending.policy, policy)


async def test_all_masters_are_read_and_a_missing_one_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fyers() as (url, _), broker(tmp_path, url) as made:
        found = {one.key: one for one in await made.instruments()}
    assert set(found) == set(LISTED)
    for key, one in LISTED.items():
        assert (found[key].kind, found[key].expiry) == (one.kind, one.expiry)
        assert (found[key].strike, found[key].tick_size) == (one.strike, one.tick_size)
        if one.token.isdecimal():
            assert found[key].symbol == one.symbol
    assert "fyers_NSE_COM" in caplog.text
    assert made.skipped["index"] == 1


async def test_masters_come_from_the_disk_when_fyers_is_out_of_reach(tmp_path: Path) -> None:
    async with fyers() as (url, _), broker(tmp_path, url) as made:
        first = await made.instruments()
    async with broker(tmp_path, "http://127.0.0.1:1") as made:
        assert await made.instruments() == first


async def test_no_master_at_all_is_an_error_with_its_policy(tmp_path: Path) -> None:
    async with broker(tmp_path, "http://127.0.0.1:1") as made:
        with pytest.raises(BrokerError, match="no_master") as error:
            await made.instruments()
    assert isinstance(error.value.ending.policy, BackOff)


async def test_tickers_that_the_masters_lack_are_asked_for(tmp_path: Path) -> None:
    async with fyers(Account(token=TOKEN)) as (url, _), broker(tmp_path, url) as made:
        found = await made.resolve(["NSE:RELIANCE-EQ", "NSE:NIFTY50-INDEX", "NSE:NOBODY-EQ"])
    assert [one.key for one in found] == ["NSE_EQ:2885"]


async def test_tickers_go_out_500_a_call_with_the_bare_token() -> None:
    asked: list[tuple[str, list[str]]] = []

    async def answer(request: web.Request) -> web.Response:
        names = json.loads(await request.text())["symbols"]
        asked.append((request.headers["Authorization"], names))
        return web.json_response({"s": "ok", "validSymbol": {names[0]: 101000000000007}})

    async with serving(("POST", "/data/symbol-token", answer)) as url:
        rest = FyersRest(url, clock=lambda: 0.0)
        names = [f"NSE:S{number}-EQ" for number in range(1_100)]
        found = await rest.symbol_tokens(read_token(TOKEN), [*names, names[0]])
        await rest.close()
    assert [len(names) for _, names in asked] == [500, 500, 100]
    assert {authorization for authorization, _ in asked} == {JWT}
    assert found == {names[first]: "101000000000007" for first in (0, 500, 1000)}


@pytest.mark.parametrize(
    ("account", "token"),
    [
        (Account(token=TOKEN), make_token("OTHER", NOW_S + 60)),
        (Account(), make_token("K", NOW_S - 1)),
    ],
)
async def test_a_token_that_fyers_refuses_asks_for_another(account: Account, token: str) -> None:
    async with fyers(account) as (url, _):
        rest = FyersRest(url, clock=lambda: 0.0)
        with pytest.raises(BrokerError) as refused:
            await rest.symbol_tokens(read_token(token), ["NSE:RELIANCE-EQ"])
        await rest.close()
    assert refused.value.ending.reason == "token_refused"
    assert isinstance(refused.value.ending.policy, RefreshToken)


@pytest.mark.parametrize(
    ("status", "body", "reason", "policy"),
    [
        (200, '{"s":"error","code":-16,"message":"no"}', "token_refused", RefreshToken),
        (200, '{"s":"error","code":-429,"message":"slow"}', "http_200", BackOff),
        (429, "Too many", "http_429", BackOff),
        (500, "<html>", "http_500", BackOff),
        (400, '{"s":"error","code":-50,"message":"bad"}', "http_400", Fatal),
        (200, "<html>", "http_200", BackOff),
        (200, '{"s":"ok","validSymbol":[]}', "unreadable", BackOff),
    ],
)
async def test_an_answer_that_is_no_data_says_what_follows(
    status: int, body: str, reason: str, policy: type[Policy]
) -> None:
    ending = await refusal(answering(status, body))
    assert ending.reason == reason
    assert isinstance(ending.policy, policy)


async def refusal(handler: Handler) -> Ending:
    async with serving(("POST", "/data/symbol-token", handler)) as url:
        rest = FyersRest(url, clock=lambda: 0.0)
        with pytest.raises(BrokerError) as refused:
            await rest.symbol_tokens(read_token(TOKEN), ["NSE:RELIANCE-EQ"])
        await rest.close()
    return refused.value.ending


async def test_an_answer_that_repeats_the_token_does_not_show_it() -> None:
    async def echo(request: web.Request) -> web.Response:
        said = f"bad {request.headers['Authorization']} HSMKEY-SECRET"
        return web.json_response({"s": "error", "code": -16, "message": said}, status=401)

    ending = await refusal(echo)
    assert JWT not in str(ending)
    assert "HSMKEY-SECRET" not in str(ending)


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    assert (await refusal(elsewhere)).reason == "http_302"


async def test_a_code_becomes_a_token() -> None:
    async with fyers(Account(token=TOKEN)) as (url, _):
        rest = FyersRest(url, clock=lambda: 0.0)
        assert await rest.access_token("APP-100", "s3cret-of-app", "CODE-1") == TOKEN
        with pytest.raises(BrokerError, match="invalid auth code") as used:
            await rest.access_token("APP-100", "s3cret-of-app", "CODE-1")
        await rest.close()
    assert "s3cret-of-app" not in str(used.value)
    assert "CODE-1" not in str(used.value)


@pytest.mark.parametrize("url", ["", "ftp://x", "http://user:secret@host", "http://h?x=1", "//"])
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="FYERS_REST_URL") as refused:
        FyersRest(url, clock=lambda: 0.0)
    assert "secret" not in str(refused.value)


def test_masters_lie_on_a_host_of_their_own_or_with_another_rest() -> None:
    public = "https://public.fyers.in/sym_details/NSE_CM.csv"
    assert master_url("https://api-t1.fyers.in", "NSE_CM.csv") == public
    assert master_url("http://h:1/", "NSE_CM.csv") == "http://h:1/sym_details/NSE_CM.csv"
