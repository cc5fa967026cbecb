"""Dhan's REST calls against a real server: what each answer means, and what is never said."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.dhan.rest import LOGIN_WAIT_S, DhanRest, Endpoints, expires_s
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tests.providers.dhan.rest_server import CLIENT_ID, DhanServer, jwt

PIN, PASSWORD, TOKEN = "246810", "135791", "the.present.token"
GENERATE, RENEW = "/app/generateAccessToken", "/v2/RenewToken"


@pytest.fixture
async def server() -> AsyncIterator[DhanServer]:
    async with DhanServer() as made:
        yield made


@pytest.fixture
async def rest(server: DhanServer) -> AsyncIterator[DhanRest]:
    made = DhanRest(server.url + "/", clock=lambda: 0.0)
    yield made
    await made.close()


async def refused_login(rest: DhanRest) -> Ending:
    with pytest.raises(BrokerError) as refused:
        await rest.generate(CLIENT_ID, PIN, PASSWORD)
    assert PIN not in str(refused.value)
    assert PASSWORD not in str(refused.value)
    return refused.value.ending


async def refused_renewal(rest: DhanRest, token: str = TOKEN) -> Ending:
    with pytest.raises(BrokerError) as refused:
        await rest.renew(CLIENT_ID, token)
    assert TOKEN not in str(refused.value)
    return refused.value.ending


async def test_a_token_is_made_with_pin_and_password(rest: DhanRest, server: DhanServer) -> None:
    server.answer(GENERATE, (200, {"dhanClientId": CLIENT_ID, "accessToken": "new"}))
    assert await rest.generate(CLIENT_ID, PIN, PASSWORD) == "new"
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", GENERATE)
    assert asked.query == {"dhanClientId": CLIENT_ID, "pin": PIN, "totp": PASSWORD}


@pytest.mark.parametrize("spelling", ["accessToken", "token"])
async def test_a_token_is_renewed(rest: DhanRest, server: DhanServer, spelling: str) -> None:
    server.answer(RENEW, (200, {spelling: "new"}))
    assert await rest.renew(CLIENT_ID, TOKEN) == "new"
    (asked,) = server.asked
    assert asked == ("GET", RENEW, {}, TOKEN, CLIENT_ID)


@pytest.mark.parametrize(
    ("status", "body", "reason", "wait_s"),
    [
        (200, {"status": "error", "message": f"Invalid TOTP {PASSWORD}"}, "login_refused", 130),
        (400, {"errorCode": "DH-905", "errorMessage": "Invalid PIN"}, "login_refused", 130),
        (401, b"", "login_refused", 130),
        (302, b"", "login_refused", 130),
        (429, b"slow down", "rate_limited", 60),
        (503, b"<html>", "unreachable", 0),
    ],
)
async def test_a_refused_login_waits_before_the_next(
    rest: DhanRest, server: DhanServer, status: int, body: Any, reason: str, wait_s: float
) -> None:
    server.answer(GENERATE, (status, body))
    ending = await refused_login(rest)
    assert ending.reason == reason
    assert isinstance(ending.policy, BackOff)
    assert ending.policy.seconds >= wait_s
    assert len(server.asked) == 1


def test_a_login_may_be_tried_again_when_dhan_makes_another_token() -> None:
    assert LOGIN_WAIT_S > 120


async def test_dhans_words_are_told_without_secrets(rest: DhanRest, server: DhanServer) -> None:
    server.answer(GENERATE, (400, {"errorCode": "DH-1", "errorMessage": f"no {PIN}\n{PASSWORD}"}))
    assert (await refused_login(rest)).detail == "login: 400 DH-1 no *** ***"


@pytest.mark.parametrize(
    ("status", "body", "reason", "kind"),
    [
        (401, {"errorMessage": f"bad {TOKEN}"}, "token_refused", RefreshToken),
        (403, b"", "token_refused", RefreshToken),
        (404, b"", "unknown_route", Fatal),
        (200, b"{}", "unreachable", BackOff),
        (500, b"", "unreachable", BackOff),
    ],
)
async def test_a_refused_renewal_has_its_policy(
    rest: DhanRest, server: DhanServer, status: int, body: Any, reason: str, kind: type[Any]
) -> None:
    server.answer(RENEW, (status, body))
    ending = await refused_renewal(rest)
    assert (ending.reason, type(ending.policy)) == (reason, kind)


@pytest.mark.parametrize("token", ["", "two words", "nāo"])
async def test_what_a_header_cannot_carry_is_not_sent(
    rest: DhanRest, server: DhanServer, token: str
) -> None:
    assert (await refused_renewal(rest, token)).reason == "token_refused"
    assert server.asked == []


async def test_a_file_is_fetched_as_it_lies(rest: DhanRest, server: DhanServer) -> None:
    server.answer("/api-data/api-scrip-master.csv", (200, b"a,b\n1,2\n"))
    assert await rest.fetch(str(rest.endpoints.master)) == b"a,b\n1,2\n"
    server.answer("/api-data/api-scrip-master.csv", (503, b""))
    with pytest.raises(BrokerError, match="503"):
        await rest.fetch(str(rest.endpoints.master))


def test_dhan_has_three_hosts_and_a_simulator_one() -> None:
    dhan = Endpoints.of("https://api.dhan.co/")
    assert str(dhan.generate) == "https://auth.dhan.co/app/generateAccessToken"
    assert str(dhan.renew) == "https://api.dhan.co/v2/RenewToken"
    assert str(dhan.master) == "https://images.dhan.co/api-data/api-scrip-master.csv"
    other = Endpoints.of("http://127.0.0.1:7000")
    assert {url.origin() for url in (other.generate, other.renew, other.master)} == {
        URL("http://127.0.0.1:7000")
    }


@pytest.mark.parametrize("url", ["", "api.dhan.co", "wss://x", "https://u:p@x", "https://x?y=1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="DHAN_REST_URL"):
        Endpoints.of(url)


@pytest.mark.parametrize(
    ("token", "ends_s"),
    [
        (jwt(1_790_000_000), 1_790_000_000),
        ("", None),
        ("plain", None),
        ("a.b.c", None),
        ("a.AAAA.c", None),
        ("a.e30.c", None),
        ("a.ü.c", None),
    ],
)
def test_a_token_says_itself_when_it_ends(token: str, ends_s: int | None) -> None:
    assert expires_s(token) == ends_s
