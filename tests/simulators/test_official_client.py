"""The provider's own Python client, unmodified, against the simulator."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from massive import RESTClient, WebSocketClient
from massive.exceptions import AuthError, BadResponse
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


def read_everything(client: RESTClient, symbol: str) -> dict[str, Any]:
    """What the client makes of one ticker, call by call."""
    return {
        "tickers": [row.ticker for row in client.list_tickers(market="stocks", limit=7)],
        "previous": client.get_previous_close_agg(symbol),
        "grouped": client.get_grouped_daily_aggs("2026-11-19"),
        "minutes": list(client.list_aggs(symbol, 1, "minute", "2026-11-19", "2026-11-19")),
        "all": client.get_snapshot_all("stocks"),
        "one": client.get_snapshot_ticker("stocks", symbol),
        "trade": client.get_last_trade(symbol),
        "quote": client.get_last_quote(symbol),
        "details": client.get_ticker_details(symbol),
        "floats": list(client.list_stocks_floats(limit=100)),
        "interest": list(client.list_short_interest(ticker=symbol)),
        "holidays": client.get_market_holidays(),
        "status": client.get_market_status(),
    }


async def test_its_rest_calls_are_answered() -> None:
    simulator = MassiveSimulator([parse_source("generator:symbols=20")], key="key")
    async with running(simulator):
        client = RESTClient("key", base=simulator.rest_url)
        symbol = (await asyncio.to_thread(lambda: next(client.list_tickers()))).ticker
        read = await asyncio.to_thread(read_everything, client, symbol)
    assert len(read["tickers"]) == len(set(read["tickers"])) == 20
    assert len(read["grouped"]) == len(read["all"]) == len(read["floats"]) == 20
    close = read["previous"][0].close
    assert read["one"].prev_day.close == read["trade"].price == close
    assert read["minutes"][-1].close == close
    assert read["details"].branding.logo_url.endswith("_logo.svg")
    assert read["interest"][0].short_interest > 0
    assert {row.status for row in read["holidays"]} == {"closed", "early-close"}
    assert read["status"].market == "extended-hours"


async def test_its_rest_client_sees_a_wrong_key_refused() -> None:
    simulator = MassiveSimulator([parse_source("generator:symbols=5")], key="another")
    async with running(simulator):
        client = RESTClient("key", base=simulator.rest_url)
        with pytest.raises(BadResponse, match="Unknown API Key"):
            await asyncio.to_thread(client.get_market_status)
