"""The Dhan account: which token is used when, where it leads, and what refusals lead to."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending, fingerprint
from tapewire.providers.dhan.client import MAX_LOGINS, DhanAccount, DhanBroker
from tapewire.providers.dhan.packets import Disconnect, PreviousClose, Segment
from tapewire.providers.dhan.totp import secret_bytes, totp
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.runtime.redact import redact
from tests.providers.dhan.market import RELIANCE, T_S, frame
from tests.providers.dhan.rest_server import CLIENT_ID, DhanServer, jwt
from tests.providers.dhan.test_master import HEADER, SHARE

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
DAY_S = 86_400
GENERATE, RENEW = "/app/generateAccessToken", "/v2/RenewToken"
FEED = "wss://feed.example"


class Given:
    """A token that somebody may replace, and a clock."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.now_s = float(T_S)

    def read(self) -> str:
        return self.token


Make = Callable[..., DhanBroker]


@pytest.fixture
async def server() -> AsyncIterator[DhanServer]:
    async with DhanServer() as made:
        yield made


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
async def make(server: DhanServer, given: Given, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[DhanBroker] = []

    def broker(**account: Any) -> DhanBroker:
        settings: dict[str, Any] = {"client_id": CLIENT_ID, "read_token": given.read} | account
        made.append(
            DhanBroker(
                DhanAccount(**settings),
                InstrumentCache(tmp_path, lambda: given.now_s),
                clock=lambda: 0.0,
                now_s=lambda: given.now_s,
                rest_url=server.url,
                ws_url=FEED,
            )
        )
        return made[-1]

    yield broker
    for one in made:
        await one.close()


@pytest.fixture
def headless(make: Make) -> DhanBroker:
    return make(pin="246810", totp_secret=SECRET)


async def token_of(broker: DhanBroker) -> str:
    return URL((await broker.authorize()).url).query["token"]


async def ending_of(broker: DhanBroker) -> Ending:
    with pytest.raises(BrokerError) as refused:
        await broker.authorize()
    return refused.value.ending


def end_with(broker: DhanBroker, reason: int, *, after_data: bool = False) -> None:
    """A connection that the server ends."""
    connection = broker.connection(0.0)
    connection.subscribe([RELIANCE])
    if after_data:
        connection.receive(frame(PreviousClose(Segment.NSE_EQ, 2_885, 1.0, 0)), 0, 0.0)
    connection.receive(frame(Disconnect(0, 0, reason)), 0, 0.0)


async def test_the_address_has_all_that_dhan_wants(make: Make, given: Given) -> None:
    given.token = "a+b/c="
    broker = make()
    address = await broker.authorize()
    url = URL(address.url)
    assert (url.scheme, url.host) == ("wss", "feed.example")
    assert dict(url.query) == {
        "version": "2",
        "token": "a+b/c=",
        "clientId": CLIENT_ID,
        "authType": "2",
    }
    assert address.headers == {}
    assert broker.credential() == fingerprint("a+b/c=")


async def test_a_given_token_is_read_again_each_time(make: Make, given: Given) -> None:
    broker = make()
    for given.token in ("first", "second"):
        assert await token_of(broker) == given.token


@pytest.mark.parametrize(
    ("account", "reason"),
    [({"client_id": ""}, "no_client_id"), ({}, "no_token"), ({"pin": "1"}, "no_token")],
)
async def test_what_is_not_set_is_said(make: Make, account: dict[str, str], reason: str) -> None:
    ending = await ending_of(make(**account))
    assert ending.reason == reason
    assert isinstance(ending.policy, Fatal)
    assert "set DHAN_" in ending.policy.advice


async def test_a_token_that_has_ended_is_not_sent(
    make: Make, given: Given, server: DhanServer
) -> None:
    given.token = jwt(T_S - 1)
    broker = make()
    ending = await ending_of(broker)
    assert ending.reason == "token_expired"
    assert isinstance(ending.policy, RefreshToken)
    assert broker.credential() == fingerprint(given.token)
    assert server.asked == []


async def test_a_token_that_ends_soon_is_renewed_once(
    make: Make, given: Given, server: DhanServer
) -> None:
    given.token = jwt(T_S + 1_800)
    renewed = jwt(T_S + DAY_S, "renewed")
    server.answer(RENEW, (200, {"accessToken": renewed}))
    broker = make()
    assert [await token_of(broker), await token_of(broker)] == [renewed, renewed]
    assert len(server.asked) == 1
    given.token = jwt(T_S + 2 * DAY_S, "another")
    assert await token_of(broker) == given.token


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end(
    make: Make, given: Given, server: DhanServer
) -> None:
    given.token = jwt(T_S + 1_800)
    server.answer(RENEW, (400, {"errorMessage": "made by TOTP"}))
    assert await token_of(make()) == given.token


async def test_a_token_is_made_without_a_browser_and_kept(
    headless: DhanBroker, given: Given, server: DhanServer
) -> None:
    made = jwt(T_S + DAY_S)
    server.answer(GENERATE, (200, {"accessToken": made}))
    assert [await token_of(headless), await token_of(headless)] == [made, made]
    (asked,) = server.asked
    assert asked.query["totp"] == totp(secret_bytes(SECRET), given.now_s)
    assert redact(f"GET /?x={made}") == "GET /?x=***"


async def test_another_is_made_before_it_ends(
    headless: DhanBroker, given: Given, server: DhanServer
) -> None:
    server.answer(GENERATE, *[(200, {"accessToken": jwt(T_S + n * DAY_S)}) for n in (1, 2)])
    first = await token_of(headless)
    given.now_s += DAY_S - 600
    assert await token_of(headless) != first


@pytest.mark.parametrize("reason", [807, 809])
async def test_another_is_made_when_it_is_refused(
    headless: DhanBroker, server: DhanServer, reason: int
) -> None:
    server.answer(GENERATE, (200, {"accessToken": "one"}), (200, {"accessToken": "two"}))
    assert await token_of(headless) == "one"
    end_with(headless, reason)
    assert await token_of(headless) == "two"
    end_with(headless, 805)
    assert await token_of(headless) == "two"
    assert headless.refused(401).reason == "token_refused"
    assert await token_of(headless) == "two"
    assert len(server.asked) == 3


async def test_logins_are_given_up_before_dhan_locks_the_account(
    headless: DhanBroker, server: DhanServer
) -> None:
    server.answer(GENERATE, (400, {"errorMessage": "Invalid PIN"}))
    endings = [await ending_of(headless) for _ in range(MAX_LOGINS)]
    assert [type(one.policy) for one in endings] == [BackOff, BackOff, Fatal]
    assert "DHAN_PIN" in endings[-1].policy.advice
    assert len(server.asked) == MAX_LOGINS


async def test_made_tokens_that_are_refused_at_once_are_given_up_too(
    headless: DhanBroker, server: DhanServer
) -> None:
    server.answer(GENERATE, (200, {"accessToken": "never good"}))
    for _ in range(MAX_LOGINS):
        await headless.authorize()
        end_with(headless, 809)
    assert isinstance((await ending_of(headless)).policy, Fatal)
    assert len(server.asked) == MAX_LOGINS


async def test_a_day_of_each_token_may_go_on_for_ever(
    headless: DhanBroker, server: DhanServer
) -> None:
    server.answer(GENERATE, (200, {"accessToken": "good for a day"}))
    for _ in range(3 * MAX_LOGINS):
        await headless.authorize()
        end_with(headless, 807, after_data=True)
    assert len(server.asked) == 3 * MAX_LOGINS


async def test_a_bad_secret_is_fatal_and_not_shown(make: Make, server: DhanServer) -> None:
    ending = await ending_of(make(pin="246810", totp_secret="hush1hush"))
    assert isinstance(ending.policy, Fatal)
    assert "hush" not in f"{ending}"
    assert server.asked == []


def test_an_account_does_not_show_its_secrets() -> None:
    account = DhanAccount(client_id=CLIENT_ID, pin="246810", totp_secret=SECRET)
    assert f"{account} {account!r}" == f"{DhanAccount(client_id=CLIENT_ID)} " + repr(account)
    assert "246810" not in repr(account)
    assert SECRET not in repr(account)


async def test_the_master_is_kept_for_when_it_cannot_be_fetched(
    make: Make, given: Given, server: DhanServer
) -> None:
    path = "/api-data/api-scrip-master.csv"
    server.answer(path, (200, f"{HEADER}\n{SHARE}\n{SHARE}\n".encode()))
    broker = make()
    first = await broker.instruments()
    assert [one.key for one in first] == ["NSE_EQ:2885"]
    assert broker.skipped == {"repeated": 1}
    server.answer(path, (503, b""))
    given.now_s += DAY_S
    assert await broker.instruments() == first
