"""The provider's own Python client, unmodified, against the simulator."""

import asyncio
import time
from collections import Counter

import pytest
from massive import WebSocketClient
from massive.exceptions import AuthError
from massive.websocket.models import EquityAgg, EquityQuote, EquityTrade

from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.source_strings import parse_source
from tests.simulators.client import running


def client_of(simulator: MassiveSimulator, *topics: str) -> WebSocketClient:
    host = simulator.ws_url.removeprefix("ws://")
    return WebSocketClient("key", feed=host, secure=False, subscriptions=list(topics))


async def test_it_logs_in_subscribes_and_gets_lively_trades_and_bars_within_two_seconds() -> None:
    simulator = MassiveSimulator([parse_source("generator")])
    received: Counter[type] = Counter()
    enough = asyncio.Event()

    async def take(messages: list[object]) -> None:
        received.update(map(type, messages))
        if received[EquityTrade] > 100 and received[EquityAgg] > 10 and received[EquityQuote] > 10:
            enough.set()

    async with running(simulator):
        started = time.monotonic()
        client = client_of(simulator, "T.*", "A.*", "Q.*")
        receiving = asyncio.create_task(client.connect(take))
        await asyncio.wait_for(enough.wait(), 10)
        assert time.monotonic() - started < 2
        await client.close()
        await receiving
    assert set(received) == {EquityTrade, EquityAgg, EquityQuote}


async def test_it_sees_a_wrong_key_refused() -> None:
    simulator = MassiveSimulator([parse_source("generator:symbols=10")], key="another")

    async def take(_: list[object]) -> None:
        raise AssertionError("nothing is sent to a client that is not logged in")

    async with running(simulator):
        with pytest.raises(AuthError, match="authentication failed"):
            await client_of(simulator, "T.*").connect(take)
