"""What the simulated Fyers says, heard by the real client's protocol."""

import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.providers.broker import Ending
from tapewire.providers.broker_client import BrokerClient
from tapewire.providers.disconnects import Fatal
from tapewire.providers.fyers.client import FyersBroker
from tapewire.providers.fyers.protocol import FyersConnection
from tapewire.providers.fyers.requests import FIELD_HEAD, HEAD, PING, Mode, RequestType
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.fyers import MISSED_ACKS, SOCKET_PATH, FyersSide, FyersVoice
from tapewire.simulators.fyers_files import make_token
from tapewire.simulators.fyers_state import precision_of
from tapewire.simulators.tick_tape import TickTape
from tests.simulators.fyers_market import (
    DOLLAR,
    FUTURE,
    LISTED,
    NIFTY,
    RELIANCE,
    ListedMarket,
    made_tick,
)

NOW_S = 1_795_146_000.0
TOKEN = make_token("HSM-KEY", NOW_S + 3600, app_id="APP-100")
CHANNEL = 11


class Talk:
    """The client's protocol and a voice of the server, with nothing between them."""

    def __init__(
        self,
        account: Account | None = None,
        *,
        ack_count: int = 50,
        mode: Mode = Mode.FULL,
        key: str = "HSM-KEY",
    ) -> None:
        self.market = ListedMarket()
        self.tape = TickTape(self.market)
        side = FyersSide(self.tape, account, now_s=lambda: NOW_S, ack_count=ack_count)
        self.voice: FyersVoice = side.voice()
        self.client = FyersConnection(key, 0.0, mode=mode)
        self.got: list[Tick] = []
        self.second = 0.0
        self.client.opened(0.0)

    def exchange(self) -> None:
        """Carry messages both ways until nobody has anything to say."""
        while sent := self.client.data_to_send():
            for message in sent:
                self.hear(self.voice.receive(message))
            self.second += 1
            self.client.due(self.second)

    def hear(self, messages: Sequence[bytes | str]) -> None:
        for message in messages:
            self.got += self.client.receive(message, 0, self.second)

    def subscribe(self, *instruments: Instrument) -> None:
        self.client.subscribe(instruments)
        self.exchange()

    def play(self, count: int, first: int = 0, *, answered: bool = True) -> list[Tick]:
        """Play so many ticks; those that the client got of them."""
        self.got.clear()
        for number in range(first, first + count):
            ticks = self.tape.play([self.market.timed(number)])
            self.hear(self.voice.ticks(ticks))
            if answered:
                self.exchange()
        return list(self.got)

    def pause(self, kind: RequestType) -> None:
        mask = struct.pack(">Q", 1 << CHANNEL)
        body = FIELD_HEAD.pack(1, len(mask)) + mask
        self.hear(self.voice.receive(HEAD.pack(len(body) + 2, kind, 1) + body))


def test_updates_of_what_was_subscribed_to_come_as_they_were_played() -> None:
    talk = Talk()
    talk.subscribe(*LISTED.values())
    assert (talk.got, talk.client.proved) == ([], 5)
    played = talk.play(100)
    assert played == [made_tick(list(LISTED.values())[n % 5], n) for n in range(100)]
    assert talk.client.faults == {"no_price": 5}


def test_a_snapshot_is_the_newest_tick_with_the_previous_close() -> None:
    talk = Talk()
    talk.play(5)
    talk.subscribe(RELIANCE, NIFTY)
    assert talk.got == [
        replace(made_tick(RELIANCE, 0), flags=TICK_SNAPSHOT),
        replace(made_tick(NIFTY, 4), flags=made_tick(NIFTY, 4).flags | TICK_SNAPSHOT),
    ]
    assert {row.symbol: row.prev_day_close for row in talk.client.references()} == {
        RELIANCE.key: 100.0,
        NIFTY.key: 100.0,
    }


def test_a_tick_that_is_repeated_comes_twice() -> None:
    talk = Talk()
    talk.subscribe(RELIANCE)
    assert talk.play(1) == talk.play(1) == [made_tick(RELIANCE, 0)]


def test_the_same_number_on_another_exchange_is_another_instrument() -> None:
    talk = Talk()
    talk.subscribe(FUTURE)
    assert {(tick.exchange, tick.token) for tick in talk.play(20)} == {("NSE_FO", "2885")}


def test_lite_mode_has_prices_alone() -> None:
    talk = Talk(mode=Mode.LITE)
    talk.subscribe(RELIANCE)
    (tick,) = talk.play(1)
    assert (tick.last_price, tick.day_volume, tick.last_size) == (1460.0, None, 0)


def test_a_paused_channel_is_silent_until_it_is_resumed() -> None:
    talk = Talk()
    talk.subscribe(RELIANCE)
    talk.pause(RequestType.PAUSE)
    assert talk.play(10) == []
    talk.pause(RequestType.RESUME)
    assert len(talk.play(10, first=10)) == 2


def test_what_is_given_back_is_silent() -> None:
    talk = Talk()
    talk.subscribe(RELIANCE, FUTURE)
    talk.client.unsubscribe([RELIANCE])
    talk.second += 1
    talk.client.due(talk.second)
    talk.exchange()
    assert {tick.exchange for tick in talk.play(10)} == {"NSE_FO"}
    assert talk.voice.listening


def test_more_than_the_plan_allows_is_refused_with_its_code() -> None:
    talk = Talk(Account(max_instruments=2))
    talk.subscribe(RELIANCE, FUTURE, NIFTY)
    assert talk.client.ending == Ending(
        "51001",
        Fatal("more symbols than the plan allows: subscribe to fewer"),
        "3 symbols, the limit is 2",
    )
    assert not talk.voice.listening


def test_without_acknowledgements_the_data_stops_and_goes_on_after_one() -> None:
    talk = Talk(ack_count=2)
    talk.subscribe(*LISTED.values())
    assert len(talk.play(100, answered=False)) < 2 * MISSED_ACKS
    heard = [talk.voice.listening]
    talk.exchange()
    assert [*heard, talk.voice.listening] == [False, True]
    assert len(talk.play(10)) == 10


def test_only_the_accounts_own_key_is_taken() -> None:
    talk = Talk(Account(token=TOKEN), key="ANOTHER")
    talk.subscribe(RELIANCE)
    assert talk.client.ending is not None
    assert talk.client.ending.reason == "token_refused"
    assert not talk.voice.listening
    assert talk.play(5) == []


def test_requests_before_the_key_are_not_answered() -> None:
    talk = Talk()
    talk.pause(RequestType.PAUSE)
    assert talk.voice.receive(PING) == []
    assert not talk.voice.listening


@pytest.mark.parametrize("message", [b"\xff", b"\x00\x04\x63\x00", b"\x00\x02\x01\x09"])
def test_what_is_no_request_ends_the_connection(message: bytes) -> None:
    talk = Talk()
    assert talk.voice.receive(message) == []
    assert talk.voice.close_code == 1002


def test_topic_ids_differ_from_connection_to_connection() -> None:
    side = FyersSide(TickTape(ListedMarket()), now_s=lambda: NOW_S)
    first, second = side.voice(), side.voice()
    assert first is not second
    assert side.open == 2
    first.closed()
    assert side.open == 1


def test_an_upgrade_is_admitted_at_its_path_while_there_is_room() -> None:
    side = FyersSide(TickTape(ListedMarket()), Account(max_connections=1), now_s=lambda: NOW_S)
    assert side.admit("/other", {}, {}).status == 404
    assert side.admit(SOCKET_PATH, {}, {}).status == 101
    side.voice()
    assert side.admit(SOCKET_PATH, {}, {}).status == 429


def test_a_good_bye_has_its_code() -> None:
    talk = Talk()
    talk.subscribe(RELIANCE)
    talk.hear(talk.voice.disconnect(-99))
    assert talk.client.ending is not None
    assert talk.client.ending.reason == "-99"
    assert talk.voice.close_code == 1000


@pytest.mark.parametrize(
    ("tick_size", "precision"), [(0.05, 2), (0.0, 2), (1.0, 2), (0.0025, 4), (0.0001, 4)]
)
def test_prices_are_sent_with_the_decimals_of_the_tick_size(
    tick_size: float, precision: int
) -> None:
    assert precision_of(tick_size) == precision


@asynccontextmanager
async def simulated(folder: Path, count: int) -> AsyncIterator[tuple[BrokerSimulator, FyersBroker]]:
    tape = TickTape(ListedMarket(count))
    side = FyersSide(tape, Account(token=TOKEN), now_s=lambda: NOW_S, ack_count=5)
    simulator = BrokerSimulator(side, tape, speed="max", once=True)
    await simulator.start()
    broker = FyersBroker(
        lambda: TOKEN,
        InstrumentCache(folder, lambda: NOW_S),
        now_s=lambda: NOW_S,
        clock=lambda: 0.0,
        rest_url=simulator.rest_url,
        ws_url=simulator.ws_url + SOCKET_PATH,
    )
    try:
        yield simulator, broker
    finally:
        await broker.close()
        await simulator.stop()


async def test_a_day_goes_over_real_sockets_from_the_master_to_the_ticks(tmp_path: Path) -> None:
    async with simulated(tmp_path, 2_000) as (simulator, broker):
        client = BrokerClient(broker, await broker.instruments())
        got: list[Tick] = []

        def take(_: bytes | str, ticks: Sequence[Tick]) -> None:
            got.extend(ticks)
            if len(got) == 2_000:
                client.stop()

        assert await client.run(take) is None
    expected = [made_tick(list(LISTED.values())[n % 5], n) for n in range(2_000)]
    assert [replace(one, received_ns=0, symbol="") for one in got] == [
        replace(one, symbol="") for one in expected
    ]
    assert DOLLAR.key in client.instruments
    assert client.status()["faults"] == {"no_price": 5}
    assert simulator.statistics.taken == 2_000
