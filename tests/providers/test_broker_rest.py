"""What the REST of all brokers has alike, against a real server."""

import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiohttp import web
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.broker_rest import BrokerRest, checked_base, unanswered
from tapewire.providers.disconnects import BackOff, Fatal
from tapewire.runtime.redact import Redactor
from tests.ports import FREE_PORTS

SECRET = "135791-the-secret"


class FilesOnly(BrokerRest):
    """A broker that has public files, each of 1,000 bytes at most."""

    max_file_bytes = 1_000

    def refusal(self, status: int, detail: str) -> Ending:
        return Ending(f"http_{status}", BackOff(), detail)

    async def present(self, url: str) -> int:
        """Send the secret along; the status of the answer."""
        redactor = Redactor((SECRET,))
        return (await self._ask("POST", URL(url), {"Key": SECRET}, b"{}", redactor=redactor)).status


class Clock:
    """Seconds that pass when a test says so."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Server(NamedTuple):
    """A server that always gives the one answer, and the keys that it was asked with."""

    url: str
    answers: list[tuple[int, bytes]]
    keys: list[str | None]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    answers: list[tuple[int, bytes]] = []
    keys: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        keys.append(request.headers.get("Key"))
        status, body = answers[-1]
        return web.Response(status=status, body=body, headers={"Location": "/elsewhere"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Server(f"http://127.0.0.1:{runner.addresses[0][1]}", answers, keys)
    await runner.cleanup()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def rest(clock: Clock) -> AsyncIterator[FilesOnly]:
    made = FilesOnly(clock=clock)
    yield made
    await made.close()


async def failure(rest: FilesOnly, url: str) -> Ending:
    with pytest.raises(BrokerError) as failed:
        await rest.fetch(url)
    return failed.value.ending


async def test_a_file_comes_as_it_lies_there(server: Server, rest: FilesOnly) -> None:
    server.answers.append((200, b"\x1f\x8b bytes"))
    assert await rest.fetch(f"{server.url}/file") == b"\x1f\x8b bytes"
    server.answers.append((404, b""))
    ending = await failure(rest, f"{server.url}/file")
    assert (ending.reason, ending.detail) == ("http_404", f"{server.url}/file: 404")


async def test_an_answer_that_is_too_long_is_left(server: Server, rest: FilesOnly) -> None:
    server.answers.append((200, b"x" * 1_001))
    ending = await failure(rest, server.url)
    assert ending.reason == "unreachable"
    assert "over 1000 bytes" in ending.detail


async def test_a_redirect_is_not_followed_with_the_secret(server: Server, rest: FilesOnly) -> None:
    server.answers.append((302, b""))
    assert await rest.present(server.url) == 302
    assert server.keys == [SECRET]


async def test_a_server_that_keeps_failing_is_left_alone_for_a_while(
    server: Server, rest: FilesOnly, clock: Clock
) -> None:
    server.answers.append((500, b""))
    for _ in range(5):
        await failure(rest, server.url)
    assert (
        await failure(rest, server.url)
    ).detail == "not asked: 127.0.0.1 keeps failing, wait 10 s"
    assert len(server.keys) == 5
    clock.now_s = 11.0
    server.answers.append((200, b"well"))
    assert await rest.fetch(server.url) == b"well"


async def test_one_host_that_fails_does_not_stop_another(server: Server, rest: FilesOnly) -> None:
    server.answers.append((200, b"well"))
    elsewhere = f"http://localhost:{next(FREE_PORTS)}"
    said = [(await failure(rest, elsewhere)).detail for _ in range(6)]
    assert said[-1].startswith("not asked")
    assert await rest.fetch(server.url) == b"well"


async def test_nobody_there_is_unreachable_and_said_without_secrets(rest: FilesOnly) -> None:
    with pytest.raises(BrokerError) as failed:
        await rest.present(f"http://127.0.0.1:{next(FREE_PORTS)}/{SECRET}")
    ending = failed.value.ending
    assert (ending.reason, ending.policy) == ("unreachable", BackOff())
    assert ending.detail.startswith("127.0.0.1: ClientConnectorError")
    assert SECRET not in str(failed.value)


def test_a_certificate_that_is_not_trusted_is_no_reason_to_try_again() -> None:
    ending = unanswered(ssl.SSLCertVerificationError(1, "certificate verify failed"), "said")
    assert (ending.reason, ending.detail) == ("untrusted", "said")
    assert isinstance(ending.policy, Fatal)


def test_an_address_that_is_none_is_refused_by_its_setting() -> None:
    with pytest.raises(ValueError, match=r"A_REST_URL: expected http\(s\)") as refused:
        checked_base("http://user:secret@host", "A_REST_URL")
    assert "secret" not in str(refused.value)
    assert checked_base("http://host/", "A_REST_URL") == URL("http://host")
