"""``tapewire run reference`` and ``tapewire reference``, over a simulated provider."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tapewire.caches.connection import unix_ms
from tapewire.caches.registry import RedisRegistry
from tapewire.market.sessions import SessionCalendar
from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.rest_faults import RestFault
from tapewire.simulators.source_strings import parse_source
from tests.simulators.client import running

KEY = "a-key-of-ours"


@pytest.fixture
async def simulator() -> AsyncIterator[MassiveSimulator]:
    """A provider whose day is the session of today, or the next one: all before it has bars."""
    calendar = SessionCalendar.load("XNYS")
    day = calendar.day_at(unix_ms())
    date = day.date if day.is_session else calendar.next_session(day.date).date
    source = parse_source(f"generator:symbols=20,date={date}")
    async with running(MassiveSimulator([source], key=KEY)) as one:
        yield one


class Terminal:
    """A shell with the settings of one deployment."""

    def __init__(self, redis_url: str, rest_url: str, folder: Path) -> None:
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "MASSIVE_API_KEY": KEY,
            "MASSIVE_REST_URL": rest_url,
            "MDC_REDIS_URL": redis_url,
            "TAPEWIRE_DATA_DIR": str(folder),
        }

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tapewire", *words),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *words: str) -> tuple[int, str, str]:
        process = await self.start(*words)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def lines(self, *words: str) -> dict[str, dict[str, Any]]:
        """What a reference command prints as JSON, by kind."""
        code, out, err = await self.run("reference", *words, "--json")
        assert code == 0, err
        return {line["kind"]: line for line in map(json.loads, out.splitlines())}


@pytest.fixture
def terminal(redis_url: str, simulator: MassiveSimulator, tmp_path: Path) -> Terminal:
    return Terminal(redis_url, simulator.rest_url, tmp_path)


async def test_what_is_known_is_shown_with_its_age(
    terminal: Terminal, simulator: MassiveSimulator
) -> None:
    symbol = simulator.source.reference.tickers()[0].symbol
    code, _, err = await terminal.run("reference", symbol)
    assert (code, f"nothing is known of {symbol}" in err) == (1, True)
    simulator.faults.plan(RestFault("not_entitled", path="/stocks/v1/short-volume"))
    asked = await terminal.lines(symbol, "--ask")
    assert asked["ticker_details"]["value"]["symbol"] == symbol
    assert (asked["last_trade"]["stale"], asked["last_trade"]["source"]) == (False, "itself")
    assert "plan does not include it" in asked["short_volume"]["reason"]
    calls = dict(simulator.statistics.calls)
    read = await terminal.lines(symbol)
    assert read["ticker_details"]["value"] == asked["ticker_details"]["value"]
    assert read["ticker_details"]["age_ms"] > 0
    assert "plan does not include it" in read["short_volume"]["reason"]
    assert simulator.statistics.calls == calls
    _, table, _ = await terminal.run("reference", symbol)
    assert "image/svg+xml" in table
    assert KEY not in table


async def test_the_service_warms_up_and_reports_its_counters(
    terminal: Terminal, simulator: MassiveSimulator, redis_url: str
) -> None:
    symbol = simulator.source.reference.tickers()[0].symbol
    service = await terminal.start("run", "reference", "--http", "off")
    registry = RedisRegistry(redis_url)
    try:
        async with asyncio.timeout(30):  # another process
            while not any(one.healthy for one in await registry.reports()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        asked = {"kind": "previous_day", "argument": symbol}
        reply = await registry.send("reference", "0", "lookup", asked, 5.0)
        report = (await registry.reports())[0]
    finally:
        service.terminate()
        await service.wait()
        await registry.close()
    assert reply["value"]["symbol"] == symbol
    assert report.detail["lookups"]["calls"] >= 2
    assert report.detail["calendar"]["misfits"] == []
    assert report.detail["loaded"]
    read = await terminal.lines(symbol)
    assert read["previous_day"]["source"] == "rows"
    assert read["average_volume"]["value"]["avg_volume"] > 0
