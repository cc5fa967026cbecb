"""The one client of all brokers over real sockets: what it survives, refuses and says."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest

from tapewire.model.events import Tick
from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.broker_client import BrokerClient, ClientState
from tapewire.providers.broker_socket import ClientBounds, unreachable
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tests.providers.small_broker import (
    MASTER,
    Exchange,
    SmallBroker,
    SmallConnection,
    Visit,
    opened,
    until,
)

QUICK = ClientBounds(
    mute_s=0.4,
    life_s=0.4,
    prove_s=0.2,
    auth_timeout_s=0.3,
    authorize_timeout_s=0.3,
    send_timeout_s=0.3,
    close_timeout_s=0.3,
    watch_s=0.05,
    backoff_base_s=0.02,
)
RELIANCE, INFY, NIFTY = MASTER
AT_MS = 1_795_232_700_000


class Taken:
    """What a client handed on, and how its run ended."""

    def __init__(self) -> None:
        self.frames: list[bytes | str] = []
        self.ticks: list[Tick] = []
        self.ending: Ending | None = None

    def take(self, frame: bytes | str, ticks: Sequence[Tick]) -> None:
        self.frames.append(frame)
        self.ticks += ticks


def client(
    url: str, *tokens: str, broker: SmallBroker | None = None, **options: Any
) -> BrokerClient:
    usual: dict[str, Any] = {"bounds": QUICK, "draw": lambda: 0.99}
    return BrokerClient(broker or SmallBroker(url, *tokens), MASTER, **(usual | options))


@asynccontextmanager
async def reading(one: BrokerClient) -> AsyncIterator[Taken]:
    """The client's run in the background, ended at the end."""
    taken = Taken()
    run = asyncio.create_task(one.run(taken.take))
    try:
        yield taken
    finally:
        one.stop()
        taken.ending = await run


async def stream(visit: Visit) -> None:
    await visit.admit()
    await visit.say(("r", 10.0, 100, AT_MS, 1))
    await visit.say(("r", 10.05, 150, AT_MS + 5), ("n", 24000.0, 75, AT_MS + 6))
    await visit.linger()


async def drop(visit: Visit) -> None:
    await visit.admit()
    await visit.say(("r", 10.0, 100, AT_MS))
    visit.drop()


async def flood(visit: Visit) -> None:
    await visit.admit()
    while True:
        await visit.say(*[("r", 10.0, 100, AT_MS)] * 50)


def says(*endings: str) -> Any:
    """A scene that admits and then gives up with a code; the last word is the code."""

    async def scene(visit: Visit) -> None:
        await visit.admit()
        for ending in endings:
            await visit.socket.send(ending)
        await visit.linger()

    return scene


async def test_ticks_arrive_with_what_the_frame_was() -> None:
    async with opened(Exchange(stream)) as exchange:
        one = client(exchange.url)
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 3)
            assert exchange.visits[0].asked == ["r", "i", "n"]
            assert exchange.visits[0].token == "good"
            assert (one.state, one.connected, one.healthy) == (ClientState.STREAMING, True, True)
            assert one.proved == 2
            assert not one.ready
            await until(lambda: one.ready)  # one instrument is silent, and that is all
    assert [tick.token for tick in taken.ticks] == ["2885", "2885", "2885"]
    assert [tick.exchange for tick in taken.ticks] == ["NSE_EQ", "NSE_EQ", "NSE_FO"]
    assert taken.frames[0] == "in"
    assert taken.ending is None
    assert one.state is ClientState.STOPPED
    assert one.statistics.ticks == 3


async def test_only_live_ticks_count_as_heard() -> None:
    async def snapshots(visit: Visit) -> None:
        await visit.admit()
        await visit.say(*(row(key) for key in "rin"))
        await visit.linger()

    def row(key: str) -> tuple[str, float, int, int, int]:
        return (key, 10.0, 100, AT_MS, 1)

    async with opened(Exchange(snapshots)) as exchange:
        one = client(exchange.url)
        async with reading(one):
            await until(lambda: one.ready)
            assert one.heard_at is None


async def test_drops_are_survived_and_subscribed_again_with_growing_waits() -> None:
    async with opened(Exchange(drop, drop, drop, stream)) as exchange:
        one = client(exchange.url)
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 6)
    assert one.statistics.connections == 4
    assert one.statistics.reconnects == 3
    assert one.statistics.endings == {"dropped": 3}
    assert one.last_ending == "dropped: without a closing frame"
    assert [visit.asked for visit in exchange.visits] == [["r", "i", "n"]] * 4
    assert isinstance(one.broker, SmallBroker)
    assert one.broker.authorized == 4


async def test_a_fatal_code_ends_the_broker_with_advice_until_told_otherwise() -> None:
    async with opened(Exchange(says("fatal"), stream)) as exchange:
        one = client(exchange.url)
        taken = Taken()
        assert await one.run(taken.take) == Ending("fatal", Fatal("buy the data plan"))
        assert one.state is ClientState.ENDED
        assert len(exchange.visits) == 1
        async with reading(one) as again:
            await until(lambda: len(again.ticks) == 3)
            assert one.ended is None


async def test_a_token_that_was_refused_is_read_again_and_fatal_when_it_is_the_same() -> None:
    async with opened(Exchange(says("expired"))) as exchange:
        one = client(exchange.url, "old", "old", "never read")
        taken = Taken()
        ending = await one.run(taken.take)
    assert ending is not None
    assert ending.reason == "expired"
    said = "refused twice, not changed since; provide a new token"
    assert ending.policy == Fatal(said, renewable=True)
    assert [visit.token for visit in exchange.visits] == ["old", "old"]
    assert one.statistics.refreshes == 2


async def test_a_token_that_has_changed_is_tried() -> None:
    async with opened(Exchange(says("expired"), says("expired"), stream)) as exchange:
        one = client(exchange.url, "old", "newer", "newest")
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 3)
    assert [visit.token for visit in exchange.visits] == ["old", "newer", "newest"]


async def test_a_token_that_served_may_expire_again() -> None:
    async def serve_a_day(visit: Visit) -> None:
        await visit.admit()
        await visit.say(("r", 10.0, 100, AT_MS))
        await visit.socket.send("expired")
        await visit.linger()

    async with opened(Exchange(serve_a_day, serve_a_day, stream)) as exchange:
        one = client(exchange.url, "good")
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 5)
    assert one.statistics.refreshes == 2


async def test_an_upgrade_that_is_refused_follows_the_brokers_table() -> None:
    refusals = [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED]
    async with opened(Exchange(stream, refusals=refusals)) as exchange:
        one = client(exchange.url, "old", "new", "newer")
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 3)
    assert one.statistics.endings == {"refused": 1, "expired": 1}


@pytest.mark.parametrize(
    ("refusal", "fatal"),
    [
        (Ending("no_plan", Fatal("buy one")), True),
        (Ending("denied", RefreshToken("log in")), True),
        (Ending("away", BackOff(0.0)), False),
    ],
)
async def test_what_authorization_refuses_is_followed_too(refusal: Ending, fatal: bool) -> None:
    async with opened(Exchange(stream)) as exchange:
        broker = SmallBroker(exchange.url)
        broker.refusal = refusal
        one = client(exchange.url, broker=broker)
        async with reading(one) as taken:
            await until(lambda: one.ended is not None if fatal else broker.authorized > 3)
            broker.refusal = None
            if not fatal:
                await until(lambda: len(taken.ticks) == 3)
    assert (one.ended is not None) is fatal
    assert one.statistics.endings[refusal.reason] >= 1


async def test_an_unreachable_broker_is_tried_again_with_full_jitter() -> None:
    drawn: list[float] = []

    def draw() -> float:
        drawn.append(0.5)
        return 0.5

    async with opened(Exchange(stream)) as exchange:
        url = exchange.url
    one = client(url, draw=draw)
    async with reading(one):
        await until(lambda: one.statistics.reconnects >= 3)
        assert not one.healthy
    assert one.statistics.connections == 0
    assert set(one.statistics.endings) == {"unreachable"}
    assert len(drawn) >= 3


async def test_an_address_that_is_none_ends_the_broker_and_is_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = client("https://broker.example/?token=hush")
    ending = await one.run(Taken().take)
    assert ending is not None
    assert ending.reason == "bad_address"
    assert "hush" not in caplog.text + repr(ending) + repr(one.status())


async def test_credentials_that_get_no_answer_end_the_connection() -> None:
    async def mute(visit: Visit) -> None:
        await visit.linger()

    async with opened(Exchange(mute, stream)) as exchange:
        one = client(exchange.url)
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 3)
    assert one.statistics.endings == {"auth_timeout": 1}


async def test_a_connection_that_pings_but_carries_no_data_is_not_alive() -> None:
    async def only_pings(visit: Visit) -> None:
        await visit.admit()
        while True:
            await (await visit.socket.ping())
            await asyncio.sleep(0.05)

    async with opened(Exchange(only_pings, stream)) as exchange:
        one = client(exchange.url)
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 3)
    assert one.statistics.endings == {"mute": 1}


async def test_outside_market_hours_pings_are_life_enough() -> None:
    async with opened(Exchange(says()), ping_interval=0.05) as exchange:
        broker = SmallBroker(exchange.url, silent_s=0.3)
        one = client(exchange.url, broker=broker, live=lambda: False)
        async with reading(one):
            await until(lambda: one.authenticated)
            await asyncio.sleep(0.8)
            assert one.healthy
            assert one.ready
    assert one.statistics.connections == 1
    assert one.statistics.endings == {}


async def test_without_even_pings_the_protocol_ends_the_connection() -> None:
    async with opened(Exchange(says())) as exchange:
        broker = SmallBroker(exchange.url, silent_s=0.3)
        bounds = QUICK
        one = client(exchange.url, broker=broker, live=lambda: False, bounds=bounds)
        async with reading(one):
            await until(lambda: one.statistics.endings["silent"] == 1)


def _text(message: bytes | str) -> str:
    return message if isinstance(message, str) else bytes(message).decode()


async def test_instruments_can_be_added_and_given_back_while_it_runs() -> None:
    heard: list[str] = []

    async def listen(visit: Visit) -> None:
        await visit.admit()
        while True:
            heard.append(_text(await visit.socket.recv()))

    async with opened(Exchange(listen)) as exchange:
        one = BrokerClient(SmallBroker(exchange.url, limit=2), [RELIANCE], bounds=QUICK)
        async with reading(one):
            await until(lambda: one.authenticated)
            await one.subscribe([RELIANCE, INFY])
            with pytest.raises(ValueError, match="3 asked, limit 2"):
                await one.subscribe([NIFTY])
            await one.unsubscribe([RELIANCE.key, "NSE_EQ:0"])
            await until(lambda: len(heard) == 2)
            assert list(one.instruments) == [INFY.key]
    assert heard[:2] == ["sub i", "unsub r"]
    assert heard[2] == "bye"


async def test_more_instruments_than_the_limit_end_the_broker() -> None:
    async with opened(Exchange(stream)) as exchange:
        one = client(exchange.url, broker=SmallBroker(exchange.url, limit=2))
        ending = await one.run(Taken().take)
    assert ending == Ending("too_many_instruments", Fatal("subscribe to fewer"), "3 asked, limit 2")


async def test_it_stops_at_once_under_full_flow_and_takes_its_leave() -> None:
    async with opened(Exchange(flood)) as exchange:
        one = client(exchange.url)
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) > 1000)
            asked_s = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - asked_s < 1.0
        await exchange.visits[0].socket.wait_closed()
        assert exchange.visits[0].socket.close_code == 1000


async def test_a_paused_client_reads_nothing_and_loses_no_connection() -> None:
    async with opened(Exchange(flood)) as exchange:
        one = client(exchange.url, broker=SmallBroker(exchange.url, silent_s=0.2))
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) > 100)
            one.pause()
            await asyncio.sleep(0.1)
            frames = len(taken.frames)
            await asyncio.sleep(0.6)
            assert len(taken.frames) <= frames + 1
            assert one.connected
            one.resume()
            await until(lambda: len(taken.frames) > frames + 100)
    assert one.statistics.connections == 1


async def test_frames_that_cannot_be_used_are_counted_over_all_connections() -> None:
    async def garble(visit: Visit) -> None:
        await visit.admit()
        await visit.socket.send(b"\xff")
        await visit.socket.send("busy")
        await visit.linger()

    async with opened(Exchange(garble, garble, stream)) as exchange:
        one = client(exchange.url)
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 3)
            assert one.status()["faults"] == {"unreadable": 2}
    assert one.statistics.faults == {"unreadable": 2}


async def test_tokens_are_nowhere_in_logs_or_reports(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    # The test's own server logs what it hears.
    caplog.set_level(logging.WARNING, "websockets.server")
    async with opened(Exchange(drop, says("expired"))) as exchange:
        one = client(f"{exchange.url}?token=hush-hush", "hush-hush")
        ending = await one.run(Taken().take)
    assert caplog.records
    assert "hush" not in caplog.text + repr(ending) + repr(one.status()) + one.last_ending


async def test_stable_data_forgives_earlier_failures() -> None:
    clock = [100.0]

    async def serve_long(visit: Visit) -> None:
        await visit.admit()
        await visit.say(("r", 10.0, 100, AT_MS))
        await visit.socket.recv()
        await visit.say(("r", 10.0, 101, AT_MS))
        visit.drop()

    async with opened(Exchange(drop, serve_long, stream)) as exchange:
        one = client(exchange.url, clock=lambda: clock[0], draw=lambda: 0.5)
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 2)
            assert one._attempts == 1
            clock[0] += QUICK.stable_s
            await one.unsubscribe([INFY.key])
            await until(lambda: one.statistics.connections == 3)
            assert one._attempts == 1


async def test_what_was_learned_of_instruments_outlives_the_connection() -> None:
    async with opened(Exchange(drop, stream)) as exchange:
        one = client(exchange.url)
        async with reading(one) as taken:
            await until(lambda: len(taken.ticks) == 4)
            learned = one.references()
            assert [row.symbol for row in learned] == [RELIANCE.key, RELIANCE.key, NIFTY.key]
            assert one.references() == []


async def test_a_broker_that_has_no_connection_to_give_is_followed_too() -> None:
    class Unready(SmallBroker):
        def connection(self, now_s: float) -> SmallConnection:
            raise BrokerError(Ending("unready", Fatal("log in first")))

    async with opened(Exchange(stream)) as exchange:
        one = client(exchange.url, broker=Unready(exchange.url))
        assert await one.run(Taken().take) == Ending("unready", Fatal("log in first"))
        assert not one.connected


def test_a_certificate_that_is_not_trusted_is_no_reason_to_try_again() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    ending = unreachable(error)
    assert ending.reason == "untrusted"
    assert isinstance(ending.policy, Fatal)
