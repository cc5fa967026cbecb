"""Upstox's two REST calls against a real server: what each answer means, and what is not said."""

import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiohttp import web

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken
from tapewire.providers.upstox.rest import AUTHORIZE_PATH, UpstoxRest, feed_url, master_url
from tests.ports import FREE_PORTS

TOKEN = "an-analytics-token"


class Server(NamedTuple):
    """A server that gives ``answers`` in order, the last one for ever."""

    url: str
    answers: list[tuple[int, bytes]]
    asked: list[tuple[str, str | None]]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    answers: list[tuple[int, bytes]] = []
    asked: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("Authorization")))
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, body=body, headers=headers)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Server(f"http://127.0.0.1:{runner.addresses[0][1]}", answers, asked)
    await runner.cleanup()


class Clock:
    """Seconds that pass when a test says so."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def rest(server: Server, clock: Clock) -> AsyncIterator[UpstoxRest]:
    made = UpstoxRest(server.url + "/", clock=clock)
    yield made
    await made.close()


def place(url: str) -> bytes:
    """The authorize call's answer."""
    data = {"authorizedRedirectUri": "old", "authorized_redirect_uri": url}
    return json.dumps({"status": "success", "data": data}).encode()


async def refusal(rest: UpstoxRest, token: str = TOKEN) -> Ending:
    """The ending that asking for an address has."""
    with pytest.raises(BrokerError) as refused:
        await rest.feed_address(token)
    assert TOKEN not in str(refused.value)
    return refused.value.ending


async def test_the_address_is_asked_for_with_the_token(server: Server, rest: UpstoxRest) -> None:
    server.answers.append((200, place("ws://feed/?code=s3cret")))
    assert await rest.feed_address(TOKEN) == "ws://feed/?code=s3cret"
    assert server.asked == [(AUTHORIZE_PATH, f"Bearer {TOKEN}")]


@pytest.mark.parametrize(
    ("status", "reason", "policy"),
    [
        (401, "token_refused", RefreshToken),
        (403, "connection_refused", BackOff),
        (404, "link_refused", BackOff),
        (429, "rate_limited", BackOff),
        (302, "unreachable", BackOff),
        (500, "unreachable", BackOff),
        (503, "unreachable", BackOff),
    ],
)
async def test_each_status_has_its_ending(
    server: Server, rest: UpstoxRest, status: int, reason: str, policy: type[Policy]
) -> None:
    server.answers.append((status, b"{}"))
    ending = await refusal(rest)
    assert (ending.reason, type(ending.policy)) == (reason, policy)
    assert str(status) in ending.detail
    assert len(server.asked) == 1


async def test_the_providers_words_are_shown_without_the_token(
    server: Server, rest: UpstoxRest
) -> None:
    message = {"errorCode": "UDAPI100050", "message": f"Invalid token {TOKEN} used\n"}
    server.answers.append((401, json.dumps({"errors": [message]}).encode()))
    assert (await refusal(rest)).detail == "authorize: 401 Invalid token *** used"
    server.answers[:] = [(401, b"\xff<html>" + b"x" * 999)]
    assert len((await refusal(rest)).detail) < 240


@pytest.mark.parametrize(
    ("token", "policy"),
    [("", Fatal), ("two words", RefreshToken), ("né", RefreshToken), ("line\n", RefreshToken)],
)
async def test_what_cannot_be_a_token_is_not_sent(
    server: Server, rest: UpstoxRest, token: str, policy: type[Policy]
) -> None:
    ending = await refusal(rest, token)
    assert isinstance(ending.policy, policy)
    assert server.asked == []


@pytest.mark.parametrize(
    "answer", [b"<html>", b"{}", place("https://feed/?code=s3cret"), b"\xff", b'{"data": null}']
)
async def test_an_answer_without_an_address_is_said_without_showing_it(
    server: Server, rest: UpstoxRest, answer: bytes
) -> None:
    server.answers.append((200, answer))
    ending = await refusal(rest)
    assert ending.reason == "unreadable"
    assert "s3cret" not in ending.detail


def test_behind_https_the_feed_must_be_encrypted() -> None:
    with pytest.raises(ValueError, match="begins with wss://") as refused:
        feed_url(place("ws://feed/?code=s3cret"))
    assert "s3cret" not in str(refused.value)
    assert feed_url(place("wss://feed/?code=s3cret")) == "wss://feed/?code=s3cret"


async def test_a_server_that_is_not_there_is_unreachable(clock: Clock) -> None:
    rest = UpstoxRest(f"http://127.0.0.1:{next(FREE_PORTS)}", clock=clock)
    ending = await refusal(rest)
    assert (ending.reason, ending.policy) == ("unreachable", BackOff())
    assert ending.detail.startswith("127.0.0.1: ClientConnectorError")
    await rest.close()


async def test_a_file_comes_as_it_lies_there_and_without_the_token(
    server: Server, rest: UpstoxRest
) -> None:
    server.answers.append((200, b"\x1f\x8b bytes"))
    assert await rest.fetch(master_url(server.url)) == b"\x1f\x8b bytes"
    path = "/market-quote/instruments/exchange/complete.json.gz"
    assert server.asked == [(path, None)]
    server.answers[:] = [(404, b"")]
    with pytest.raises(BrokerError, match=r"link_refused: .*complete\.json\.gz: 404"):
        await rest.fetch(master_url(server.url))


def test_instruments_are_on_a_host_of_their_own_unless_the_rest_is_ours() -> None:
    path = "/market-quote/instruments/exchange/complete.json.gz"
    assert master_url("https://api.upstox.com") == f"https://assets.upstox.com{path}"
    assert master_url("https://api.upstox.com/") == f"https://assets.upstox.com{path}"
    assert master_url("http://127.0.0.1:80/") == f"http://127.0.0.1:80{path}"


@pytest.mark.parametrize(
    "url", ["", "ftp://host", "http://", "http://a:b@host", "http://h?token=1"]
)
def test_an_address_that_is_none_is_refused(url: str, clock: Clock) -> None:
    with pytest.raises(ValueError, match="UPSTOX_REST_URL: expected http"):
        UpstoxRest(url, clock=clock)
