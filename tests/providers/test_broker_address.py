"""A broker's address is a credential: nothing that goes wrong with it shows what it carries."""

import asyncio
import logging
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tapewire.providers.broker import Address
from tapewire.providers.broker_client import BrokerClient
from tapewire.providers.broker_socket import ClientBounds
from tests.providers.small_broker import MASTER, Exchange, SmallBroker, Visit, opened, until

BOUNDS = ClientBounds(backoff_base_s=0.02, close_timeout_s=0.3)
SECRET = "s3cret-of-a-day"


def carrying(address: str) -> str:
    return f"{address}?version=2&token={SECRET}&clientId=1000000001"


async def ending_of(url: str, caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    """The first ending with an address, and everything that was said of it anywhere."""
    caplog.set_level(logging.DEBUG)
    one = BrokerClient(SmallBroker(url), MASTER, bounds=BOUNDS)
    run = asyncio.create_task(one.run(lambda frame, ticks: None))
    await until(lambda: one.last_ending != "")
    one.stop()
    ours = [line.getMessage() for line in caplog.records if "server" not in line.name]
    return one.last_ending, f"{one.last_ending} {one.status()} {await run} {ours}"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://127.0.0.1/",
        "ws://",
        "ws://[::1/",
        "ws://127.0.0.1:99999/",
        "ws://127.0.0.1:many/",
        "ws://user:word@127.0.0.1:1/",
        "ws://127.0.0.1:1/",
        "ws://nowhere.invalid/",
        "wss://127.0.0.1:1/",
    ],
)
async def test_an_address_that_leads_nowhere_is_not_shown(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    ending, said = await ending_of(carrying(address), caplog)
    assert ending.partition(":")[0] in ("bad_address", "unreachable")
    assert SECRET not in said


@pytest.mark.parametrize("proxy", ["nonsense", "ftp://127.0.0.1:1", "http://user:word@[::1"])
async def test_a_proxy_that_is_none_ends_in_words_and_without_the_address(
    proxy: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, proxy)
    ending, said = await ending_of(carrying("wss://feed.invalid/"), caplog)
    assert ending.startswith(("bad_address", "unreachable"))
    assert SECRET not in said
    assert "word@" not in said


async def test_a_server_that_repeats_the_address_does_not_make_us_show_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def repeat(visit: Visit) -> None:
        assert visit.socket.request is not None
        await visit.socket.close(4001, visit.socket.request.path)

    async with opened(Exchange(repeat)) as exchange:
        ending, said = await ending_of(carrying(exchange.url), caplog)
    assert ending == "dropped: code 4001 /feed?version=2&token=***&clientId=***"
    assert SECRET not in said


@pytest.mark.parametrize("location", ["http://elsewhere{path}", "ws://[{path}", "{path}"])
async def test_a_redirection_with_the_address_in_it_is_not_shown(
    location: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Redirecting(Exchange):
        def upgrade(self, socket: ServerConnection, request: Request) -> Response:
            answer = socket.respond(HTTPStatus.FOUND, "there\n")
            answer.headers["Location"] = location.format(path=request.path)
            return answer

    async with opened(Redirecting(Visit.linger)) as exchange:
        ending, said = await ending_of(carrying(exchange.url), caplog)
    assert ending.startswith(("bad_address", "unreachable"))
    assert SECRET not in said


def test_an_address_shows_nothing_of_itself() -> None:
    address = Address(carrying("wss://host/"), {"Authorization": f"Bearer {SECRET}"})
    assert repr(address) == str(address) == "Address(***)"
    assert f"Bearer {SECRET}" in address.secrets
    assert "a b" in Address("wss://host/?code=a%20b").secrets
