"""The simulated Dhan: who is let in, what is answered, what subscribers get; and its client."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.providers.broker_client import BrokerClient
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.dhan.client import DhanAccount, DhanBroker
from tapewire.providers.dhan.clock import IST_OFFSET_S
from tapewire.providers.dhan.master import parse
from tapewire.providers.dhan.packets import (
    Disconnect,
    Full,
    OpenInterest,
    PreviousClose,
    Quote,
    Segment,
    Ticker,
    Update,
    decode,
)
from tapewire.providers.dhan.protocol import DhanConnection
from tapewire.providers.dhan.rest import GENERATE_PATH, MASTER_PATH, RENEW_PATH, expires_s
from tapewire.providers.dhan.totp import secret_bytes, totp
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import (
    Account,
    BrokerSide,
    HttpAnswer,
    HttpCall,
    Messages,
    Voice,
)
from tapewire.simulators.dhan import (
    BAD_REQUEST,
    DAY_S,
    EVICTED,
    TOO_MANY_INSTRUMENTS,
    UNKNOWN_INSTRUMENT,
    DhanLogin,
    DhanSide,
)
from tapewire.simulators.tick_tape import parse_tape
from tests.simulators.client import until
from tests.simulators.upstox_market import (
    FUTURE,
    INDEX,
    LISTED,
    SHARE,
    TRADE_MS,
    SmallMarket,
    traded,
)

LOGIN = DhanLogin(client_id="1000000401", pin="246810", totp_secret="GEZDGNBVGY3TQOJQ")
QUERY = {"version": "2", "token": "key", "clientId": LOGIN.client_id, "authType": "2"}
T_S = TRADE_MS // 1_000


class Clock:
    """Seconds since 1970 that pass when a test says so."""

    now_s = float(T_S)

    def __call__(self) -> float:
        return self.now_s


def side(market: SmallMarket | None = None, clock: Clock | None = None, **account: Any) -> DhanSide:
    return DhanSide(
        market or SmallMarket(),
        Account(token="key", **account),
        now_s=clock or Clock(),
        login=LOGIN,
    )


def request(code: int, *named: tuple[str, str], count: int | None = None) -> str:
    listed = [{"ExchangeSegment": segment, "SecurityId": number} for segment, number in named]
    count = len(named) if count is None else count
    return json.dumps({"RequestCode": code, "InstrumentCount": count, "InstrumentList": listed})


def packets(messages: Messages) -> list[Update]:
    faults: Counter[str] = Counter()
    frames = [message for message in messages if isinstance(message, bytes)]
    assert len(frames) == len(messages)
    updates = [update for frame in frames for update in decode(frame, faults)]
    assert not faults
    return updates


SHARE_NAME, INDEX_NAME, FUTURE_NAME = ("NSE_EQ", "2885"), ("IDX_I", "13"), ("NSE_FNO", "8765")


def test_it_is_a_side_of_the_server() -> None:
    contract: BrokerSide = side()
    voice: Voice = contract.voice()
    assert (contract.name, contract.ping_every_s) == ("dhan", 10.0)
    assert voice.opened() == []
    assert not voice.listening


# -- upgrades and tokens


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({}, 101),
        ({"token": ""}, 401),
        ({"token": "other"}, 401),
        ({"clientId": ""}, 401),
        ({"version": "1"}, 400),
        ({"authType": "1"}, 400),
    ],
)
def test_an_upgrade_is_judged_by_its_address(wrong: dict[str, str], status: int) -> None:
    assert side().admit("/", QUERY | wrong, {}).status == status


async def asked(dhan: DhanSide, method: str, path: str, **call: Any) -> HttpAnswer:
    return await dhan.routes()[method, path](
        HttpCall(call.get("query", {}), call.get("headers", {}), b"")
    )


async def login(dhan: DhanSide, clock: Clock, **wrong: str) -> HttpAnswer:
    password = totp(secret_bytes(LOGIN.totp_secret), clock.now_s)
    query = {"dhanClientId": LOGIN.client_id, "pin": LOGIN.pin, "totp": password} | wrong
    return await asked(dhan, "POST", GENERATE_PATH, query=query)


def token_in(answer: HttpAnswer) -> str:
    assert answer.status == 200
    token = json.loads(answer.body)["accessToken"]
    assert isinstance(token, str)
    return token


async def test_a_token_is_made_for_pin_and_password_once() -> None:
    clock = Clock()
    dhan = side(clock=clock)
    token = token_in(await login(dhan, clock))
    assert expires_s(token) == T_S + DAY_S
    assert dhan.admit("/", QUERY | {"token": token}, {}).status == 101
    assert b"Invalid TOTP" in (await login(dhan, clock)).body
    clock.now_s += 60
    assert b"once every 2 minutes" in (await login(dhan, clock)).body
    clock.now_s += 60
    assert token_in(await login(dhan, clock)) != token


@pytest.mark.parametrize("wrong", [{"pin": "1"}, {"dhanClientId": "2"}, {"totp": "000000"}])
async def test_a_login_with_something_wrong_is_refused(wrong: dict[str, str]) -> None:
    clock = Clock()
    assert (await login(side(clock=clock), clock, **wrong)).status == 400


async def test_a_token_that_is_renewed_ends() -> None:
    clock = Clock()
    dhan = side(clock=clock)
    headers = {"Access-Token": "key", "dhanClientId": LOGIN.client_id}
    token = token_in(await asked(dhan, "GET", RENEW_PATH, headers=headers))
    assert dhan.admit("/", QUERY, {}).status == 401
    assert dhan.admit("/", QUERY | {"token": token}, {}).status == 101
    assert (await asked(dhan, "GET", RENEW_PATH, headers=headers)).status == 401
    clock.now_s += DAY_S
    assert dhan.admit("/", QUERY | {"token": token}, {}).status == 401


async def test_the_master_lists_everything_under_dhans_names() -> None:
    answer = await asked(side(), "GET", MASTER_PATH)
    skipped: Counter[str] = Counter()
    listed = {one.key: one for one in parse(answer.body, skipped)}
    assert not skipped
    assert listed.keys() == {one.key for one in LISTED}
    for one in LISTED:
        known = listed[one.key]
        assert (known.symbol, known.kind) == (one.symbol, one.kind)
        assert (known.underlying, known.expiry) == (one.underlying, one.expiry)
        assert (known.strike, known.lot_size) == (one.strike, one.lot_size)
        assert known.tick_size == (one.tick_size or 0.01)
    assert listed[INDEX.key].broker_key == "IDX_I|13"


# -- requests


def test_a_subscription_is_answered_with_close_and_state() -> None:
    market = SmallMarket()
    market.lasts[FUTURE.key] = traded(FUTURE, 26_010.05)
    told = packets(side(market).voice().receive(request(17, FUTURE_NAME, SHARE_NAME)))
    assert [type(one) for one in told] == [
        PreviousClose,
        OpenInterest,
        Quote,
        PreviousClose,
        Quote,
    ]
    close, _, state, _, untraded = told
    assert isinstance(close, PreviousClose)
    assert isinstance(state, Quote)
    assert isinstance(untraded, Quote)
    assert (close.segment, close.previous_close) == (Segment.NSE_FNO, 99.25)
    assert (state.day_volume, state.last_trade_time_s) == (750, T_S + IST_OFFSET_S)
    assert (untraded.last_price, untraded.last_trade_time_s) == (0.0, 0)


@pytest.mark.parametrize(("code", "kind"), [(15, Ticker), (17, Quote), (21, Full)])
def test_each_mode_has_its_packet_and_an_index_but_one(code: int, kind: type[Update]) -> None:
    voice = side().voice()
    voice.receive(request(code, SHARE_NAME, INDEX_NAME))
    told = packets(voice.ticks([traded(SHARE, 1.0), traded(INDEX, 2.0), traded(FUTURE, 3.0)]))
    assert [type(one) for one in told] == [kind, Ticker]
    assert [one.security_id for one in told] == [2_885, 13]


def test_what_is_given_back_comes_no_more() -> None:
    voice = side().voice()
    voice.receive(request(17, SHARE_NAME, FUTURE_NAME))
    assert voice.receive(request(18, SHARE_NAME)) == []
    told = packets(voice.ticks([traded(SHARE, 1.0), traded(FUTURE, 2.0)]))
    assert {one.security_id for one in told} == {8_765}


def test_open_interest_is_told_when_it_changes() -> None:
    voice = side().voice()
    voice.receive(request(17, FUTURE_NAME))
    told = packets(voice.ticks([traded(FUTURE, 1.0), traded(FUTURE, 2.0)]))
    assert [type(one) for one in told] == [OpenInterest, Quote, Quote]


def test_frames_hold_fifty_instruments() -> None:
    voice = side().voice()
    voice.receive(request(17, FUTURE_NAME))
    frames = voice.ticks([traded(FUTURE, 1.0 + n, n) for n in range(120)])
    kinds = [Counter(type(one) for one in packets([frame])) for frame in frames]
    assert [kind[Quote] for kind in kinds] == [50, 50, 20]


def test_sizes_wrap_as_the_field_does() -> None:
    voice = side().voice()
    voice.receive(request(17, SHARE_NAME))
    tick = traded(SHARE, 1.0)
    tick.last_size = 65_536 + 7
    (told,) = packets(voice.ticks([tick]))
    assert isinstance(told, Quote)
    assert told.last_size == 7


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("subscribe!", BAD_REQUEST),
        (b"\xff", BAD_REQUEST),
        (request(99, SHARE_NAME), BAD_REQUEST),
        (request(17, SHARE_NAME, count=2), BAD_REQUEST),
        (request(17, *[SHARE_NAME] * 101), BAD_REQUEST),
        (request(17, ("NSE_EQ", "1")), UNKNOWN_INSTRUMENT),
        (request(17, SHARE_NAME, FUTURE_NAME, INDEX_NAME), TOO_MANY_INSTRUMENTS),
    ],
)
def test_a_request_that_cannot_be_carried_out_ends_the_connection(
    message: str | bytes, reason: int
) -> None:
    voice = side(max_instruments=2).voice()
    assert packets(voice.receive(message)) == [Disconnect(0, 0, reason)]
    assert voice.close_code is not None


def test_a_good_bye_is_answered_with_a_close() -> None:
    voice = side().voice()
    assert voice.receive(json.dumps({"RequestCode": 12})) == []
    assert voice.close_code == 1000


def test_one_connection_too_many_ends_the_oldest() -> None:
    dhan = side()
    voices = [dhan.voice() for _ in range(5)]
    assert [voice.close_code for voice in voices] == [None] * 5
    voices[1].closed()
    dhan.voice()
    assert [voice.close_code for voice in voices] == [None] * 5
    dhan.voice()
    assert packets(voices[0].ticks([])) == [Disconnect(0, 0, EVICTED)]
    assert voices[0].ticks([]) == []
    assert [voice.close_code for voice in voices[1:]] == [None] * 4
    dhan.voice()
    assert voices[2].close_code is not None


def test_ticks_come_through_the_connection_as_they_were() -> None:
    voice = side().voice()
    connection = DhanConnection(0.0, clock_offset_s=IST_OFFSET_S)
    listed = parse(asyncio.run(asked(side(), "GET", MASTER_PATH)).body, Counter())
    connection.subscribe(listed)
    connection.opened(0.0)
    taken: list[Tick] = []
    for message in connection.data_to_send():
        for frame in voice.receive(message):
            taken += connection.receive(frame, 0, 0.0)
    assert taken == []
    sent = [traded(one, 1.05 + n, 750 + n, 1_000 * n) for n, one in enumerate(LISTED * 3)]
    for frame in voice.ticks(sent):
        taken += connection.receive(frame, 0, 0.0)
    for tick in sent:
        tick.broker = "dhan"
        if tick.flags == TICK_INDEX:
            tick.last_size = 0
    assert taken == sent
    assert {reference.prev_day_close for reference in connection.references()} == {99.25}


# -- over real sockets

QUICK = ClientBounds(backoff_base_s=0.02, watch_s=0.05, prove_s=0.2)


class Run:
    """A client of the simulator that runs in the background."""

    def __init__(
        self, dhan: BrokerSimulator, instruments: Sequence[Instrument], broker: DhanBroker
    ):
        self.ticks: list[Tick] = []
        self.client = BrokerClient(broker, instruments, bounds=QUICK, draw=lambda: 0.5)
        self.task = asyncio.create_task(self.client.run(lambda _, ticks: self.ticks.extend(ticks)))

    async def stop(self) -> None:
        self.client.stop()
        await self.task


def broker(dhan: BrokerSimulator, folder: Path, clock: Clock, **account: Any) -> DhanBroker:
    return DhanBroker(
        DhanAccount(client_id=LOGIN.client_id, **account),
        InstrumentCache(folder, clock),
        clock=asyncio.get_running_loop().time,
        now_s=clock,
        rest_url=dhan.rest_url,
        ws_url=dhan.ws_url,
        clock_offset_s=IST_OFFSET_S,
    )


@asynccontextmanager
async def simulated(clock: Clock, **options: Any) -> AsyncIterator[BrokerSimulator]:
    tape = parse_tape("generator:seed=5,at=09:15,until=09:15:20")
    account = Account(token="key", max_connections=options.pop("max_connections", None))
    dhan = BrokerSimulator(
        DhanSide(tape, account, now_s=clock, login=LOGIN), tape, speed="max", once=True, **options
    )
    await dhan.start()
    try:
        yield dhan
    finally:
        await dhan.stop()


async def test_everything_that_is_listed_and_traded_arrives(tmp_path: Path) -> None:
    clock = Clock()
    async with simulated(clock) as dhan:
        feed = broker(dhan, tmp_path, clock, pin=LOGIN.pin, totp_secret=LOGIN.totp_secret)
        instruments = await feed.instruments()
        assert len(instruments) == len(dhan.tape.instruments) > 100
        run = Run(dhan, instruments, feed)
        await dhan.finished.wait()
        await until(lambda: not run.client.connected)
        await run.stop()
        await feed.close()
        played = [tick for ticks in dhan.tape.slices() for _, _, tick in ticks]
        assert dhan.statistics.unheard == 0
        assert len(played) > 1_000
    live = [tick for tick in run.ticks if not tick.flags & TICK_SNAPSHOT]
    assert [figures(tick) for tick in live] == [figures(tick) for tick in played]
    assert run.client.statistics.faults.keys() <= {"no_price"}


def figures(tick: Tick) -> tuple[Any, ...]:
    """What of a tick goes over Dhan's wire; time in whole seconds, sizes in 16 bits."""
    index = tick.flags == TICK_INDEX
    return (
        tick.exchange,
        tick.token,
        tick.symbol,
        tick.last_price,
        0 if index else tick.last_size % 65_536,
        None if index else tick.day_volume,
        tick.open_interest,
        tick.timestamp_ms // 1_000,
    )


async def test_an_evicted_client_does_not_fight_back(tmp_path: Path) -> None:
    clock = Clock()
    async with simulated(clock, max_connections=1) as dhan:
        first, second = (broker(dhan, tmp_path, clock, read_token=lambda: "key") for _ in "12")
        listed = (await first.instruments())[:1]
        run = Run(dhan, listed, first)
        await until(lambda: run.client.connected)
        other = Run(dhan, listed, second)
        await until(lambda: run.client.statistics.endings["805"] == 1)
        await dhan.finished.wait()
        assert run.client.statistics.connections == 1
        assert "805" in run.client.last_ending
        await asyncio.gather(run.stop(), other.stop(), first.close(), second.close())


async def test_a_wrong_token_ends_after_one_refusal_more(tmp_path: Path) -> None:
    clock = Clock()
    async with simulated(clock) as dhan:
        feed = broker(dhan, tmp_path, clock, read_token=lambda: "wrong")
        run = Run(dhan, await feed.instruments(), feed)
        await run.task
        await feed.close()
        assert run.client.ended is not None
        assert run.client.ended.reason == "token_refused"
        assert "wrong" not in f"{run.client.status()}"
        assert dhan.statistics.refused_logins == 2
