"""The simulated Upstox: who is let in, what is answered, and what subscribers get."""

import json
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.providers.upstox.messages import Mode
from tapewire.providers.upstox.protocol import UpstoxConnection
from tapewire.providers.upstox.rest import AUTHORIZE_PATH, MASTER_PATH, feed_url
from tapewire.simulators.broker_voice import Account, BrokerSide, HttpCall, Voice
from tapewire.simulators.upstox import FEED_PATH, SOCKET_PATH, UpstoxSide, UpstoxVoice
from tapewire.simulators.upstox_master import upstox_key
from tests.simulators.upstox_market import (
    FUTURE,
    INDEX,
    LISTED,
    MONTHLY,
    SHARE,
    TRADE_MS,
    SmallMarket,
    traded,
)

BEARER = {"authorization": "Bearer key"}


def side(market: SmallMarket | None = None, **account: Any) -> UpstoxSide:
    """A side that listens on ws://here and gives out the codes c1, c2, ..."""
    codes = count(1)
    return UpstoxSide(
        market or SmallMarket(),
        Account(token="key", **account),
        ws_url=lambda: "ws://here",
        now_ms=lambda: TRADE_MS,
        new_code=lambda: f"c{next(codes)}",
    )


async def address(upstox: UpstoxSide) -> str:
    """The single-use address that a client with the token gets."""
    answer = await upstox.routes()["GET", AUTHORIZE_PATH](HttpCall({}, BEARER, b""))
    return feed_url(answer.body, plain=True)


def known(*instruments: Instrument) -> list[Instrument]:
    """Instruments as the master has them."""
    return [replace(each, broker_key=upstox_key(each)) for each in instruments]


def client(voice: Voice, *instruments: Instrument, mode: Mode = Mode.FULL) -> UpstoxConnection:
    """A client that has subscribed; what it got for that it has not read."""
    made = UpstoxConnection(lambda: "g", now_s=0.0, mode=mode)
    made.subscribe(known(*instruments))
    return made


def told(made: UpstoxConnection, voice: Voice) -> list[Tick]:
    """Give the voice what the client has to say, and the client the answers."""
    answers = [each for message in made.data_to_send() for each in voice.receive(message)]
    return [tick for answer in answers for tick in made.receive(answer, 0, 0.0)]


def heard(made: UpstoxConnection, voice: Voice, *ticks: Tick) -> list[Tick]:
    """Let ticks happen, and the client read of them."""
    return [tick for frame in voice.ticks(ticks) for tick in made.receive(frame, 0, 0.0)]


def test_it_is_a_side_of_the_server() -> None:
    contract: BrokerSide = side()
    assert contract.name == "upstox"


async def test_an_address_is_good_for_one_connection() -> None:
    upstox = side()
    assert await address(upstox) == f"ws://here{SOCKET_PATH}?code=c1"
    assert upstox.admit(SOCKET_PATH, {"code": "c1"}, {}).status == 101
    assert upstox.admit(SOCKET_PATH, {"code": "c1"}, {}).status == 410
    assert upstox.admit(SOCKET_PATH, {}, {}).status == 410
    assert upstox.admit("/", {"code": "c1"}, BEARER).status == 404


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer kex"}, {"Authorization": "key"}, {"X": "Bearer key"}]
)
async def test_a_wrong_token_is_refused(headers: dict[str, str]) -> None:
    upstox = side()
    answer = await upstox.routes()["GET", AUTHORIZE_PATH](HttpCall({}, headers, b""))
    assert answer.status == 401
    assert json.loads(answer.body)["errors"][0]["message"] == "Invalid token used to access API"
    assert upstox.admit(FEED_PATH, {}, headers).status == 401


async def test_any_token_is_taken_where_none_is_set() -> None:
    upstox = side()
    upstox._account.token = None
    assert await address(upstox)
    answer = await upstox.routes()["GET", AUTHORIZE_PATH](
        HttpCall({}, {"Authorization": "Bearer "}, b"")
    )
    assert answer.status == 401


def test_a_token_at_the_feeds_own_address_is_sent_on() -> None:
    upstox = side()
    answer = upstox.admit(FEED_PATH, {}, BEARER)
    assert (answer.status, answer.headers) == (
        302,
        {"Location": f"ws://here{SOCKET_PATH}?code=c1"},
    )
    assert upstox.admit(SOCKET_PATH, {"code": "c1"}, {}).status == 101


@pytest.mark.parametrize(("account", "allowed"), [({}, 2), ({"max_connections": 1}, 1)])
async def test_connections_beyond_the_plan_are_refused(
    account: dict[str, Any], allowed: int
) -> None:
    upstox = side(**account)
    voices = []
    for number in range(1, allowed + 2):
        await address(upstox)
        answer = upstox.admit(SOCKET_PATH, {"code": f"c{number}"}, {})
        assert answer.status == (101 if number <= allowed else 403)
        if number <= allowed:
            voices.append(upstox.voice())
    voices[0].closed()
    await address(upstox)
    assert upstox.admit(SOCKET_PATH, {"code": f"c{allowed + 2}"}, {}).status == 101


def test_the_market_is_open_first() -> None:
    voice = side().voice()
    made = client(voice)
    (frame,) = voice.opened()
    assert made.receive(frame, 0, 0.0) == []
    status = made.status()
    assert status["markets"] == dict.fromkeys(["NSE_EQ", "NSE_FO", "NSE_INDEX"], "NORMAL_OPEN")
    assert status["server_ms"] == TRADE_MS


@pytest.mark.parametrize("mode", [Mode.FULL, Mode.OPTION_GREEKS, Mode.LTPC])
def test_a_subscription_brings_the_last_state_and_then_what_happens(mode: Mode) -> None:
    market = SmallMarket()
    market.lasts = {each.key: traded(each, 101.5) for each in LISTED}
    voice = side(market).voice()
    made = client(voice, *LISTED, mode=mode)
    snapshot = told(made, voice)
    assert [tick.symbol for tick in snapshot] == [each.symbol for each in LISTED]
    assert all(tick.flags & TICK_SNAPSHOT for tick in snapshot)
    assert {tick.last_price for tick in snapshot} == {101.5}
    live = heard(made, voice, traded(FUTURE, 102.0, 825, 1000), traded(INDEX, 26_000.5, at=1000))
    volume = None if mode is Mode.LTPC else 825
    interest = None if mode is Mode.LTPC else 5_000
    assert live == [
        Tick("upstox", "NSE_FO", "8765", "NIFTY26NOVFUT", 102.0, 75, volume, interest,
             TRADE_MS + 1000, 0, 0),
        Tick("upstox", "NSE_INDEX", "Nifty_50", "NIFTY", 26_000.5, 0, None, None,
             TRADE_MS + 1000, 0, TICK_INDEX),
    ]  # fmt: skip
    assert not made.faults
    assert {each.prev_day_close for each in made.references()} == {99.25}


def test_before_the_first_trade_a_state_has_the_previous_close_only() -> None:
    voice = side().voice()
    made = client(voice, SHARE, INDEX)
    assert told(made, voice) == []
    assert made.faults == {"no_price": 2}
    assert made.proved == 2
    assert {each.prev_day_close for each in made.references()} == {99.25}


def test_a_client_listens_once_it_has_subscribed() -> None:
    voice = side().voice()
    before = voice.listening
    told(client(voice, SHARE), voice)
    assert (before, voice.listening) == (False, True)


def test_only_what_is_subscribed_is_sent() -> None:
    voice = side().voice()
    made = client(voice, SHARE, FUTURE)
    told(made, voice)
    made.unsubscribe(known(SHARE))
    told(made, voice)
    live = heard(made, voice, traded(SHARE, 1.0), traded(FUTURE, 2.0), traded(MONTHLY, 3.0))
    assert [tick.last_price for tick in live] == [2.0]
    assert voice.ticks([traded(SHARE, 1.0)]) == []


def test_several_trades_of_an_instrument_are_frames_one_after_the_other() -> None:
    voice = side().voice()
    made = client(voice, SHARE, FUTURE)
    told(made, voice)
    ticks = [traded(SHARE, 1.0), traded(FUTURE, 2.0), traded(SHARE, 3.0), traded(SHARE, 3.0)]
    assert len(voice.ticks(ticks)) == 3
    assert [tick.last_price for tick in heard(made, voice, *ticks)] == [1.0, 2.0, 3.0, 3.0]


def test_a_change_of_mode_is_a_new_snapshot() -> None:
    market = SmallMarket()
    market.lasts = {FUTURE.key: traded(FUTURE, 101.5)}
    voice = side(market).voice()
    made = client(voice, FUTURE, mode=Mode.LTPC)
    assert [tick.day_volume for tick in told(made, voice)] == [None]
    made.subscribe(known(FUTURE), Mode.FULL)
    assert [tick.day_volume for tick in told(made, voice)] == [750]


def test_a_full_frame_has_its_real_size() -> None:
    voice = side().voice()
    made = client(voice, MONTHLY)
    told(made, voice)
    (frame,) = voice.ticks([traded(MONTHLY, 101.5)])
    assert 350 < len(frame) < 450


def refused(voice: UpstoxVoice, message: bytes) -> str:
    """The error of the one refusal that a message gets."""
    (text,) = voice.receive(message)
    assert isinstance(text, str)
    refusal = json.loads(text)
    assert refusal["status"] == "failed"
    return str(refusal["error"])


def asking(method: str, *keys: str, **more: str) -> bytes:
    """A request."""
    return json.dumps({"method": method, "data": {"instrumentKeys": keys, **more}}).encode()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"{", "unreadable request"),
        (b"\xff", "unreadable request"),
        (asking("order", "NSE_FO|8765"), "Invalid enum value 'order'"),
        (asking("sub", "NSE_FO|8765", mode="all"), "Invalid enum value 'all'"),
        (asking("sub"), "none given"),
        (asking("sub", "NSE_FO|1", "NSE_FO|8765"), "invalid instrument keys: NSE_FO|1"),
        (asking("sub", "NSE_FO|8765", mode="full_d30"), "full_d30 is not in the plan"),
    ],
)
def test_what_cannot_be_done_is_refused_in_text(message: bytes, error: str) -> None:
    voice = side().voice()
    assert error in refused(voice, message)
    assert not voice.listening


def test_an_account_may_have_a_smaller_limit() -> None:
    voice = side(max_instruments=1).voice()
    assert voice.receive(asking("sub", upstox_key(SHARE)))
    assert refused(voice, asking("sub", upstox_key(FUTURE))) == "2 instruments; 1 allowed"


def test_text_is_ignored() -> None:
    voice = side().voice()
    assert voice.receive(asking("sub", "NSE_FO|8765").decode()) == []
    assert not voice.listening


def test_a_request_without_a_mode_means_ltpc() -> None:
    voice = side().voice()
    voice.receive(asking("sub", "NSE_FO|8765"))
    made = client(voice, FUTURE)
    assert [tick.day_volume for tick in heard(made, voice, traded(FUTURE, 1.0))] == [None]


def test_a_disconnect_is_a_closed_socket_and_nothing_said() -> None:
    voice = side().voice()
    assert voice.disconnect(1013) == []
    assert voice.close_code == 1013
    voice.disconnect(805)
    assert voice.close_code == 1011


async def test_the_master_is_a_gzip_file() -> None:
    answer = await side().routes()["GET", MASTER_PATH](HttpCall({}, {}, b""))
    assert answer.body[:2] == b"\x1f\x8b"
    assert answer.content_type == "application/gzip"
