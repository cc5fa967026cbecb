"""The Upstox account against the simulated Upstox: over real sockets, with everything between."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.providers.broker import Broker, BrokerError, fingerprint
from tapewire.providers.broker_client import BrokerClient
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.providers.upstox.client import UpstoxBroker
from tapewire.providers.upstox.messages import Mode
from tapewire.providers.upstox.protocol import UpstoxConnection
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.tick_tape import TickTape, parse_tape
from tapewire.simulators.upstox import UpstoxSide

TAPE = "generator:at=09:20,until=09:20:04,rate=300"
TOKEN = "an-analytics-token"
FAST = ClientBounds(backoff_base_s=0.01, watch_s=0.05)


def simulated(
    tape: TickTape, *, speed: str = "max", once: bool = True, **more: Any
) -> BrokerSimulator:
    """A simulated Upstox on ports of its own."""
    codes = count(1)
    urls: list[Callable[[], str]] = []
    side = UpstoxSide(
        tape,
        Account(token=TOKEN),
        ws_url=lambda: urls[0](),
        now_ms=lambda: time.time_ns() // 1_000_000,
        new_code=lambda: f"code-{next(codes)}",
    )
    played = BrokerSimulator(side, tape, speed=speed, once=once, **more)
    urls.append(lambda: played.ws_url)
    return played


@asynccontextmanager
async def running(played: BrokerSimulator) -> AsyncIterator[BrokerSimulator]:
    await played.start()
    try:
        yield played
    finally:
        await played.stop()


@asynccontextmanager
async def account(
    played: BrokerSimulator, folder: Path, token: Callable[[], str] = lambda: TOKEN, **more: Any
) -> AsyncIterator[UpstoxBroker]:
    guids = count(1)
    broker = UpstoxBroker(
        token,
        InstrumentCache(folder, time.time),
        clock=time.monotonic,
        new_guid=lambda: f"guid-{next(guids)}",
        rest_url=played.rest_url,
        **more,
    )
    try:
        yield broker
    finally:
        await broker.close()


async def received(
    broker: UpstoxBroker, instruments: list[Instrument], played: BrokerSimulator
) -> tuple[list[Tick], BrokerClient]:
    """Everything that comes until the simulator has ended."""
    ticks: list[Tick] = []
    client = BrokerClient(broker, instruments, bounds=FAST)
    run = asyncio.create_task(client.run(lambda _, new: ticks.extend(new)))
    await played.finished.wait()
    await played.gone()
    client.stop()
    await run
    return ticks, client


def traded(ticks: list[Tick]) -> list[tuple[str, float | None, int | None, int]]:
    """What ticks say, without who and when."""
    return [(f"{t.exchange}:{t.token}", t.last_price, t.day_volume, t.timestamp_ms) for t in ticks]


def played_ticks(tape: TickTape) -> list[Tick]:
    """All ticks of a tape."""
    return [tick for timed in tape.slices() for _, _, tick in timed]


async def test_every_tick_of_a_market_arrives_as_it_was(tmp_path: Path) -> None:
    async with running(simulated(parse_tape(TAPE))) as played, account(played, tmp_path) as broker:
        contract: Broker = broker
        instruments = list(await contract.instruments())
        assert len(instruments) == len(played.tape.instruments)
        assert {each.key for each in instruments} == set(played.tape.instruments)
        ticks, client = await received(broker, instruments, played)
        expected = played_ticks(parse_tape(TAPE))
        assert len(expected) > 500
        live = [tick for tick in ticks if not tick.flags & 1]
        assert traded(live) == traded(expected)
        assert [t.symbol for t in live] == [t.symbol for t in expected]
        assert [t.open_interest or 0 for t in live] == [t.open_interest or 0 for t in expected]
        closes = {each.symbol: each.prev_day_close for each in client.references()}
        assert closes.keys() >= played.tape.instruments.keys()
        key = next(iter(closes))
        assert closes[key] == played.tape.previous_close(key)


@pytest.mark.parametrize("mode", [Mode.LTPC, Mode.OPTION_GREEKS])
async def test_every_price_arrives_in_other_modes(tmp_path: Path, mode: Mode) -> None:
    async with (
        running(simulated(parse_tape(TAPE))) as played,
        account(played, tmp_path, mode=mode) as broker,
    ):
        ticks, _ = await received(broker, list(await broker.instruments()), played)
        live = [(t.token, t.last_price, t.timestamp_ms) for t in ticks if not t.flags & 1]
        expected = [(t.token, t.last_price, t.timestamp_ms) for t in played_ticks(parse_tape(TAPE))]
        assert live == expected


@pytest.mark.parametrize("fault", ["drop@200", "close@200", "garbage@200", "refuse_upgrade"])
async def test_after_a_fault_the_next_connection_has_an_address_of_its_own(
    tmp_path: Path, fault: str
) -> None:
    played = simulated(parse_tape(TAPE), faults=[fault])
    async with running(played), account(played, tmp_path) as broker:
        ticks, client = await received(broker, list(await broker.instruments()), played)
        again = 0 if fault.startswith("garbage") else 1
        assert client.statistics.reconnects == again
        faults = client.statistics.faults["malformed_frame"]
        assert faults == (1 if fault.startswith("garbage") else 0)
        last = {t.token: t for t in ticks}
        for tick in played_ticks(parse_tape(TAPE)):
            assert last[tick.token].timestamp_ms >= tick.timestamp_ms


async def test_a_token_is_read_again_for_every_connection(tmp_path: Path) -> None:
    tokens = ["", "old", TOKEN]
    played = simulated(parse_tape(TAPE))
    async with running(played), account(played, tmp_path, lambda: tokens.pop(0)) as broker:
        assert broker.credential() == ""
        with pytest.raises(BrokerError) as refused:
            await broker.authorize()
        assert isinstance(refused.value.ending.policy, Fatal)
        with pytest.raises(BrokerError) as refused:
            await broker.authorize()
        assert isinstance(refused.value.ending.policy, RefreshToken)
        assert "old" not in str(refused.value)
        assert broker.credential() == fingerprint("old")
        address = await broker.authorize()
        assert address.url.startswith(played.ws_url)
        assert not address.headers
        assert broker.credential() == fingerprint(TOKEN)


async def test_a_used_address_is_no_reason_to_change_the_token(tmp_path: Path) -> None:
    async with running(simulated(parse_tape(TAPE))) as played, account(played, tmp_path) as broker:
        assert broker.refused(410).policy == BackOff()
        assert broker.refused(403).policy == BackOff(
            60.0, "the plan's connections are all in use, or the token may not read the feed"
        )
        connection = broker.connection(5.0)
        assert isinstance(connection, UpstoxConnection)


async def test_without_the_server_the_instruments_are_those_on_disk(tmp_path: Path) -> None:
    async with running(simulated(parse_tape(TAPE))) as played, account(played, tmp_path) as broker:
        fetched = await broker.instruments()
    tomorrow = InstrumentCache(tmp_path, lambda: time.time() + 86_400)
    offline = UpstoxBroker(
        str, tomorrow, clock=time.monotonic, new_guid=str, rest_url="http://127.0.0.1:9"
    )
    assert await offline.instruments() == fetched
    assert tomorrow.counts == {"fell_back": 1}
    await offline.close()
