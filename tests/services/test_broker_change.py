"""The three brokers' own protocols behind one feed: the candles do not show who told what."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tapewire.model.events import Tick
from tapewire.providers.broker_factory import BrokerFactory
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.failover import FailoverLimits
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.runtime.broker_settings import BROKERS, BrokerSettings
from tapewire.services.broker_feed import BrokerFeed
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.brokers import Surroundings, broker_simulator, environment, token_of
from tapewire.simulators.tick_tape import parse_tape
from tests.providers.small_broker import until
from tests.services.rivals import MINUTE_MS, OPEN_MS, Fold, Shape

TAPE = "generator:seed=3,date=2026-11-20,at=09:15,until=09:17"
KEYS = ["NSE_FO:8765", "BSE_FO:8765", "NSE_FO:9234", "NSE_FO:8786", "NSE_EQ:2885"]
BOUNDS = ClientBounds(prove_s=0.5, watch_s=0.1, backoff_base_s=0.05, close_timeout_s=0.5)
LIMITS = FailoverLimits(silence_s=30, unreachable_s=0.2, prove_s=10, rest_s=60)


def simulator(broker: str, speed: str) -> BrokerSimulator:
    around = Surroundings(lambda: time.time_ns() // 1_000_000, lambda: os.urandom(8).hex())
    return broker_simulator(broker, parse_tape(TAPE), Account(), around, speed=speed)


def settings(played: dict[str, BrokerSimulator]) -> BrokerSettings:
    given: dict[str, Any] = {}
    for name, one in played.items():
        token = token_of(name, "word", time.time_ns() // 1_000_000)
        values = environment(name, one.rest_url, one.ws_url, token)
        given |= {key.lower(): value for key, value in values.items()}
    return BrokerSettings(**given | {"brokers": list(played)})


@asynccontextmanager
async def played(*brokers: str, speed: str) -> AsyncIterator[dict[str, BrokerSimulator]]:
    simulators = {name: simulator(name, speed) for name in brokers}
    for one in simulators.values():
        await one.start()
    try:
        yield simulators
    finally:
        for one in simulators.values():
            await one.stop()


def computed(ticks: Iterable[Tick], keys: Iterable[str]) -> dict[tuple[str, int], Shape]:
    """Minute candles directly from what is played.

    The first tick of each is its baseline, unless it is the day's first trade.
    """
    wanted = set(keys)
    known: dict[str, int] = {}
    found: dict[tuple[str, int], Shape] = {}
    for tick in ticks:
        key = f"{tick.exchange}:{tick.token}"
        price, volume = tick.last_price or 0.0, tick.day_volume or 0
        if key not in known and volume == tick.last_size:
            known[key] = 0
        if key in wanted and key in known:
            place = key, tick.timestamp_ms // MINUTE_MS * MINUTE_MS
            first, high, low, _, so_far = found.get(place, (price, price, price, price, 0))
            size = volume - known[key]
            found[place] = first, max(high, price), min(low, price), price, so_far + size
        known[key] = volume
    return found


class Told:
    """What a feed hands on, folded as it comes."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.counts: Counter[str] = Counter()
        self.volumes: dict[str, int | None] = {}

    def take(self, frame: bytes | str, ticks: Sequence[Tick]) -> None:
        self.fold.take(frame, ticks)
        self.counts.update(tick.broker for tick in ticks)
        self.volumes |= {f"{tick.exchange}:{tick.token}": tick.day_volume for tick in ticks}


async def test_three_brokers_in_turn_make_the_candles_of_one_tape(tmp_path: Path) -> None:
    tape = [tick for ticks in parse_tape(TAPE).slices() for _, _, tick in ticks]
    last = {f"{tick.exchange}:{tick.token}": tick.day_volume for tick in tape}
    told = Told()
    async with AsyncExitStack() as stack:
        simulators = await stack.enter_async_context(played(*BROKERS, speed="40000/s"))
        factory = BrokerFactory(
            settings(simulators), lambda name: InstrumentCache(tmp_path / name, time.time)
        )
        brokers = factory.make()
        for broker in brokers:
            stack.push_async_callback(broker.close)
        feed = BrokerFeed(
            brokers,
            KEYS,
            limits=LIMITS,
            bounds=BOUNDS,
            judge_s=0.05,
            today=lambda: "2026-11-20",
        )
        run = asyncio.create_task(feed.run(told.take))
        await until(lambda: told.counts["upstox"] > 2000)
        await simulators["upstox"].stop()
        await until(lambda: told.counts["fyers"] > 4000)
        await simulators["fyers"].stop()
        await until(lambda: all(told.volumes.get(key) == last[key] for key in KEYS), 20)
        feed.stop()
        await run
        assert [(one.target, one.reason) for one in feed.switches] == [
            ("upstox", "start"),
            ("fyers", "unreachable"),
            ("dhan", "unreachable"),
        ]
        assert {name: one["missing"] for name, one in feed.status()["brokers"].items()} == {
            name: {} for name in BROKERS
        }
    direct, folded = computed(tape, KEYS), told.fold.candles(KEYS)
    assert folded.keys() == direct.keys()
    for (key, start_ms), candle in folded.items():
        # Whose first tick was a snapshot decides whether its price is in the first candle.
        whole = slice(3 if start_ms == OPEN_MS else 0, None)
        assert candle[whole] == pytest.approx(direct[key, start_ms][whole]), (key, start_ms)
