"""Every fault of the REST side, over HTTP, as a client meets it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.rest_faults import REST_FAULTS
from tapewire.simulators.source_strings import parse_source
from tests.simulators.client import running

KEY = {"Authorization": "Bearer key"}
TICKERS = "/v3/reference/tickers?limit=2"


@pytest.fixture
async def simulator() -> AsyncIterator[MassiveSimulator]:
    async with running(MassiveSimulator([parse_source("generator:symbols=5")])) as one:
        yield one


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=KEY) as session:
        yield session


async def plan(simulator: MassiveSimulator, http: aiohttp.ClientSession, **fault: Any) -> int:
    url = f"{simulator.rest_url}/_simulator/rest_faults"
    async with http.post(url, json=fault) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        ("bad_key", 401, "application/json"),
        ("not_entitled", 403, "application/json"),
        ("not_found", 404, "application/json"),
        ("no_route", 404, "text/plain"),
        ("throttle", 429, "text/plain"),
        ("error", 500, "text/plain"),
        ("unavailable", 503, "text/plain"),
        ("wrong_type", 200, "text/html"),
    ],
)
async def test_a_refusal_comes_once_and_then_data(
    simulator: MassiveSimulator,
    http: aiohttp.ClientSession,
    fault: str,
    status: int,
    content_type: str,
) -> None:
    assert await plan(simulator, http, fault=fault) == 200
    async with http.get(simulator.rest_url + TICKERS) as answer:
        assert (answer.status, answer.content_type) == (status, content_type)
    async with http.get(simulator.rest_url + TICKERS) as answer:
        assert answer.status == 200
    assert simulator.statistics.faults[fault] == 1


@pytest.mark.parametrize("asked", ["7", "Fri, 20 Nov 2026 14:30:10 GMT"])
async def test_a_throttle_says_for_how_long(
    simulator: MassiveSimulator, http: aiohttp.ClientSession, asked: str
) -> None:
    await plan(simulator, http, fault="throttle", retry_after=asked)
    async with http.get(simulator.rest_url + TICKERS) as answer:
        assert answer.headers["Retry-After"] == asked
        assert "exceeded the maximum requests per minute" in await answer.text()


async def test_a_burst_hits_only_its_path_until_it_is_over(
    simulator: MassiveSimulator, http: aiohttp.ClientSession
) -> None:
    await plan(simulator, http, fault="unavailable", path="/v3/reference", times=2)
    seen = []
    for path in ("/v1/marketstatus/now", TICKERS, TICKERS, TICKERS):
        async with http.get(simulator.rest_url + path) as answer:
            seen.append(answer.status)
    assert seen == [200, 503, 503, 200]


async def test_a_fault_for_ever_ends_when_it_is_taken_back(
    simulator: MassiveSimulator, http: aiohttp.ClientSession
) -> None:
    await plan(simulator, http, fault="error", times=None)
    for _ in range(3):
        async with http.get(simulator.rest_url + TICKERS) as answer:
            assert answer.status == 500
    async with http.delete(f"{simulator.rest_url}/_simulator/rest_faults"):
        pass
    async with http.get(simulator.rest_url + TICKERS) as answer:
        assert answer.status == 200


async def test_a_truncated_document_cannot_be_read(
    simulator: MassiveSimulator, http: aiohttp.ClientSession
) -> None:
    await plan(simulator, http, fault="truncated")
    async with http.get(simulator.rest_url + TICKERS) as answer:
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(await answer.text())


async def test_a_foreign_page_and_a_delayed_answer_keep_their_rows(
    simulator: MassiveSimulator, http: aiohttp.ClientSession
) -> None:
    evil = "http://evil.example.com/next"
    await plan(simulator, http, fault="foreign_page", next_url=evil)
    await plan(simulator, http, fault="delayed")
    async with http.get(simulator.rest_url + TICKERS) as answer:
        first = await answer.json()
    async with http.get(simulator.rest_url + TICKERS) as answer:
        second = await answer.json()
    assert (first["next_url"], second["status"]) == (evil, "DELAYED")
    assert first["results"] == second["results"]
    assert len(first["results"]) == 2


async def test_a_hang_up_is_no_answer(
    simulator: MassiveSimulator, http: aiohttp.ClientSession
) -> None:
    await plan(simulator, http, fault="hang_up", times=2)  # the client tries a GET once more
    with pytest.raises(aiohttp.ClientError):
        await http.get(simulator.rest_url + TICKERS)


async def test_a_slow_answer_comes(
    simulator: MassiveSimulator, http: aiohttp.ClientSession
) -> None:
    await plan(simulator, http, fault="slow", seconds=0.05)
    async with http.get(simulator.rest_url + TICKERS) as answer:
        assert answer.status == 200


async def test_an_unknown_fault_is_refused_by_name(
    simulator: MassiveSimulator, http: aiohttp.ClientSession
) -> None:
    assert await plan(simulator, http, fault="explode") == 400
    assert await plan(simulator, http, fault="error", when="now") == 400
    assert "explode" not in REST_FAULTS
