"""Each simulated broker plays a tape to our own account of it, and nothing is lost or changed."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tapewire.cli.broker_parts import build_brokers
from tapewire.market.instruments import InstrumentKind
from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.providers.broker_client import BrokerClient
from tapewire.runtime.settings import Settings
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.brokers import Surroundings, broker_simulator, environment, token_of
from tapewire.simulators.tick_tape import TickTape, parse_tape
from tests.simulators.toy_broker import running

NOW_MS = 1_795_146_300_000
TICKS = 3_000
WHOLE_SECONDS = {"upstox": False, "fyers": True, "dhan": True}


def settings_of(environ: dict[str, str], folder: Path) -> Settings:
    given = {name.lower(): value for name, value in environ.items()}
    return Settings(tapewire_data_dir=folder, **given)  # type: ignore[arg-type]


async def listen(client: BrokerClient, count: int) -> list[Tick]:
    """The first ticks that are no snapshots."""
    heard: list[Tick] = []

    def take(_: bytes | str, ticks: Sequence[Tick]) -> None:
        heard.extend(tick for tick in ticks if not tick.flags & TICK_SNAPSHOT)
        if len(heard) >= count:
            client.stop()

    async with asyncio.timeout(30):
        await client.run(take)
    return heard[:count]


async def heard_from(
    broker: str, tape: TickTape, folder: Path, count: int = TICKS, **chosen: str
) -> list[Tick]:
    """The first ticks of a simulated broker; ``chosen`` are further settings."""
    token = token_of(broker, "word", NOW_MS)
    around = Surroundings(lambda: NOW_MS, iter(map(str, range(1000))).__next__)
    simulator = broker_simulator(broker, tape, Account(token=token), around, speed="max")
    async with running(simulator), AsyncExitStack() as stack:
        environ = environment(broker, simulator.rest_url, simulator.ws_url, token) | chosen
        (account,), _ = build_brokers(settings_of(environ, folder), stack)
        listed = {one.key: one for one in await account.instruments()}
        assert listed.keys() == tape.instruments.keys()
        wanted = [one for one in listed.values() if one.kind is not InstrumentKind.INDEX]
        return await listen(BrokerClient(account, wanted[:50]), count)


@pytest.mark.parametrize("broker", ["upstox", "fyers", "dhan"])
async def test_recorded_trades_come_through_a_brokers_frames_unchanged(
    broker: str, shared: Path, tmp_path: Path
) -> None:
    text = f"lean:{shared / 'data/lean/tick/aig'},date=2026-11-19"
    heard = await heard_from(broker, parse_tape(text), tmp_path)
    played = [tick for ticks in parse_tape(text).slices() for _, _, tick in ticks]
    # What the first snapshot says already may come no more.
    first = next(n for n, tick in enumerate(played) if tick.day_volume == heard[0].day_volume)
    second_ms = 1000 if WHOLE_SECONDS[broker] else 1
    expected = [
        (tick.symbol, tick.last_price, tick.day_volume, tick.timestamp_ms // second_ms * second_ms)
        for tick in played[first : first + len(heard)]
    ]
    assert first <= 2
    assert [
        (tick.symbol, tick.last_price, tick.day_volume, tick.timestamp_ms) for tick in heard
    ] == expected


@pytest.mark.parametrize(
    ("broker", "chosen", "has_volume"),
    [
        ("upstox", {"UPSTOX_MODE": "ltpc"}, False),
        ("upstox", {"UPSTOX_MODE": "option_greeks"}, True),
        ("fyers", {"FYERS_MODE": "lite"}, False),
        ("dhan", {"DHAN_MODE": "ticker"}, False),
        ("dhan", {"DHAN_MODE": "full"}, True),
    ],
)
async def test_every_mode_that_can_be_set_brings_prices(
    broker: str, chosen: dict[str, str], has_volume: bool, tmp_path: Path
) -> None:
    tape = parse_tape("generator:seed=3,date=2026-11-20,at=09:15,until=09:20")
    heard = await heard_from(broker, tape, tmp_path, 500, **chosen)
    assert all(tick.last_price for tick in heard)
    assert any(tick.day_volume is not None for tick in heard) is has_volume
