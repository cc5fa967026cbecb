"""A price set by hand: the trade and the bar that tell of it."""

import json
from typing import Any

import aiohttp
import pytest

from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.prints import FIRST_SEQUENCE, PrintError, Prints
from tests.simulators.client import running, subscribed
from tests.simulators.tape import START_MS, Tape

BAR = '{"ev":"A","sym":"AIG","av":300,"op":49.0,"a":49.5,"v":10,"c":49.2,"s":1,"e":1001}'


def made(prints: Prints, price: float) -> list[dict[str, Any]]:
    return [json.loads(text) for _, _, text in prints.make("AIG", price, START_MS + 250)]


def test_a_print_is_a_trade_and_the_bar_of_its_second() -> None:
    trade, bar = made(Prints(), 50.25)
    assert (trade["ev"], trade["p"], trade["t"]) == ("T", 50.25, START_MS + 250)
    assert (bar["ev"], bar["o"], bar["c"], bar["vw"]) == ("A", 50.25, 50.25, 50.25)
    assert (bar["s"], bar["e"]) == (START_MS, START_MS + 1000)
    assert (bar["av"], bar["a"]) == (trade["s"], 50.25)


def test_the_days_sums_go_on_from_the_last_bar_seen() -> None:
    prints = Prints()
    prints.watch([(START_MS, "T.AIG", "{}"), (START_MS, "A.AIG", BAR)])
    bars = [made(prints, price)[1] for price in (50.5, 51.5)]
    assert [(bar["av"], bar["op"]) for bar in bars] == [(400, 49.0), (500, 49.0)]
    assert [bar["a"] for bar in bars] == [49.75, 50.1]  # (300 × 49.5 + 100 × 50.5) / 400, …


def test_every_print_has_a_sequence_number_of_its_own() -> None:
    prints = Prints()
    sequences = [made(prints, price)[0]["q"] for price in (1.0, 2.0)]
    assert sequences == [FIRST_SEQUENCE, FIRST_SEQUENCE + 1]


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_price_is_refused(price: float) -> None:
    with pytest.raises(PrintError, match="expected more than 0"):
        Prints().make("AIG", price, START_MS)


async def ask(simulator: MassiveSimulator, **body: object) -> tuple[int, dict[str, Any]]:
    url = f"{simulator.rest_url}/_simulator/price"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json=body) as answer:
            return answer.status, await answer.json()


async def test_a_price_set_over_http_reaches_the_subscribers_at_once() -> None:
    simulator = MassiveSimulator([Tape(1)], speed="original")
    async with running(simulator), subscribed(simulator, "T.*,A.*") as client:
        await client.take(1)
        status, answer = await ask(simulator, symbol="IBM", price=180.5)
        assert (status, answer["timestamp_ms"]) == (200, START_MS)
        await client.take(3)
        trade, bar = client.data()[-2:]
    assert (trade["sym"], trade["p"], bar["sym"], bar["c"]) == ("IBM", 180.5, "IBM", 180.5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"symbol": "ZZZ", "price": 1.0}, "no ticker 'ZZZ'"),
        ({"symbol": "AIG", "price": -1.0}, "expected more than 0"),
        ({"symbol": "AIG"}, "price"),
        ({"symbol": "AIG", "price": "many"}, "price"),
    ],
)
async def test_a_price_that_cannot_be_set_is_a_bad_request(
    body: dict[str, object], reason: str
) -> None:
    simulator = MassiveSimulator([Tape(1)], speed="original")
    async with running(simulator), subscribed(simulator) as client:
        await client.take(1)
        status, answer = await ask(simulator, **body)
    assert status == 400
    assert reason in answer["error"]


@pytest.mark.parametrize(("speed", "reason"), [("max", "speed max"), ("original", "subscribe")])
async def test_without_a_moment_that_is_played_there_is_no_price(speed: str, reason: str) -> None:
    simulator = MassiveSimulator([Tape(1)], speed=speed)
    async with running(simulator):
        status, answer = await ask(simulator, symbol="AIG", price=50.0)
    assert status == 400
    assert reason in answer["error"]
