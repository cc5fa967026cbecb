"""The REST calls that reference data needs, and the simulator's own controls."""

import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tapewire.simulators.connection import Account
from tapewire.simulators.lean import LeanSource
from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.source_strings import parse_source
from tests.simulators.client import running, subscribed
from tests.simulators.tape import Tape

KEY = {"Authorization": "Bearer key"}


@pytest.fixture
def recorded_days(tmp_path: Path) -> Path:
    """Two days of three tickers, of which the second is played."""
    for symbol, price in (("aig", 487300), ("bac", 138100), ("ibm", 1820100)):
        for date, more in (("20131007", 0), ("20131008", 100)):
            path = tmp_path / "tick" / symbol / f"{date}_trade.zip"
            path.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("ticks.csv", f"34200000,{price + more},100,N,1,0\n")
    return tmp_path / "tick"


@pytest.fixture
async def simulator(recorded_days: Path) -> AsyncIterator[MassiveSimulator]:
    folders = [recorded_days / symbol for symbol in ("aig", "bac", "ibm")]
    sources = [LeanSource(folder / "20131008_trade.zip") for folder in folders]
    async with running(MassiveSimulator(sources, key="key")) as one:
        yield one


async def get(simulator: MassiveSimulator, path: str, **headers: str) -> tuple[int, Any]:
    """Status and JSON body of a call with the right key, unless headers are given."""
    url = path if path.startswith("http") else simulator.rest_url + path
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers=headers or KEY) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text


async def test_the_grouped_day_before_the_one_played_comes_from_the_files_beside(
    simulator: MassiveSimulator,
) -> None:
    _, body = await get(simulator, "/v2/aggs/grouped/locale/us/market/stocks/2013-10-07")
    closes = {row["T"]: row["c"] for row in body["results"]}
    assert closes == {"AIG": 48.73, "BAC": 13.81, "IBM": 182.01}
    assert body["status"] == "OK"
    assert body["resultsCount"] == 3


async def test_a_day_nobody_recorded_has_no_results(simulator: MassiveSimulator) -> None:
    status, body = await get(simulator, "/v2/aggs/grouped/locale/us/market/stocks/2013-10-04")
    assert status == 200
    assert body["resultsCount"] == 0
    assert "results" not in body


async def test_previous_close_and_daily_bars_end_before_the_day_played(
    simulator: MassiveSimulator,
) -> None:
    _, previous = await get(simulator, "/v2/aggs/ticker/AIG/prev")
    _, bars = await get(simulator, "/v2/aggs/ticker/AIG/range/1/day/2013-10-01/2013-10-08")
    assert [row["c"] for row in previous["results"]] == [48.73]
    assert [(row["c"], row["v"]) for row in bars["results"]] == [(48.73, 100)]
    assert bars["results"][0]["t"] == 1_381_118_400_000  # midnight in New York


async def test_the_snapshot_holds_the_previous_day(simulator: MassiveSimulator) -> None:
    _, body = await get(simulator, "/v2/snapshot/locale/us/markets/stocks/tickers?tickers=AIG,IBM")
    assert [(row["ticker"], row["prevDay"]["c"]) for row in body["tickers"]] == [
        ("AIG", 48.73),
        ("IBM", 182.01),
    ]


async def test_the_universe_is_paged_by_next_url_without_the_key(
    simulator: MassiveSimulator,
) -> None:
    _, first = await get(simulator, "/v3/reference/tickers?limit=2&apiKey=key")
    assert [row["ticker"] for row in first["results"]] == ["AIG", "BAC"]
    assert "key" not in first["next_url"].replace("apiKey", "key").partition("?")[2]
    _, second = await get(simulator, first["next_url"])
    assert [row["ticker"] for row in second["results"]] == ["IBM"]
    assert "next_url" not in second


async def test_recorded_ticks_have_no_float(simulator: MassiveSimulator) -> None:
    _, body = await get(simulator, "/stocks/vX/float")
    assert body["results"] == []


async def test_market_status_follows_the_simulated_time(recorded_days: Path) -> None:
    source = LeanSource(recorded_days / "aig/20131008_trade.zip")
    async with running(MassiveSimulator([source], speed="max")) as simulator:
        _, before = await get(simulator, "/v1/marketstatus/now")
        async with subscribed(simulator) as client:
            await client.take(1)
            _, after = await get(simulator, "/v1/marketstatus/now")
    assert (before["market"], before["earlyHours"]) == ("extended-hours", True)
    assert (after["market"], after["earlyHours"]) == ("open", False)


async def test_upcoming_holidays_are_a_bare_array(simulator: MassiveSimulator) -> None:
    _, rows = await get(simulator, "/v1/marketstatus/upcoming")
    by_date = {(row["date"], row["exchange"]): row for row in rows}
    assert by_date["2013-11-28", "NYSE"]["status"] == "closed"
    assert by_date["2013-11-29", "NASDAQ"]["status"] == "early-close"
    assert by_date["2013-11-29", "NASDAQ"]["close"] == "2013-11-29T18:00:00.000Z"


async def test_a_wrong_key_is_401_and_a_call_outside_the_plan_403() -> None:
    account = Account(refused_calls=frozenset({"/stocks/vX/float"}))
    async with running(MassiveSimulator([Tape(0)], key="key", account=account)) as simulator:
        status, body = await get(simulator, "/v1/marketstatus/now", Authorization="Bearer no")
        assert (status, body["status"]) == (401, "ERROR")
        status, body = await get(simulator, "/stocks/vX/float")
        assert (status, body["status"]) == (403, "NOT_AUTHORIZED")


async def test_an_unknown_route_is_plain_text_and_a_bad_date_an_error(
    simulator: MassiveSimulator,
) -> None:
    assert await get(simulator, "/v9/nothing") == (404, "404 page not found")
    status, body = await get(simulator, "/v2/aggs/grouped/locale/us/market/stocks/yesterday")
    assert (status, body["status"]) == (400, "ERROR")


async def test_faults_are_planned_and_counted_over_http() -> None:
    simulator = MassiveSimulator([Tape(100)], speed="max", once=True)
    async with running(simulator), aiohttp.ClientSession() as session:
        url = f"{simulator.rest_url}/_simulator"
        async with session.post(f"{url}/faults", json={"fault": "drop", "after": 10}) as answer:
            assert answer.status == 200
        async with session.post(f"{url}/faults", json={"fault": "explode"}) as answer:
            assert answer.status == 400
            assert "explode" in (await answer.json())["error"]
        async with subscribed(simulator) as client:
            await client.until_closed()
        async with session.get(f"{url}/statistics") as answer:
            counts = await answer.json()
    assert counts["events"] == {"T": 10}
    assert counts["faults"] == {"drop": 1}


@pytest.fixture
async def made_up() -> AsyncIterator[MassiveSimulator]:
    """A generated market of 30 tickers, playing."""
    source = parse_source("generator:symbols=30,at=09:30:05")
    async with running(MassiveSimulator([source])) as one:
        yield one


async def a_ticker(simulator: MassiveSimulator) -> str:
    _, body = await get(simulator, "/v3/reference/tickers?limit=1")
    return str(body["results"][0]["ticker"])


async def test_the_last_trade_is_the_one_that_was_played_last(made_up: MassiveSimulator) -> None:
    async with subscribed(made_up, "T.*") as client:
        trade = (await client.take(40))[-1]
        symbol = trade["sym"]
        _, last = await get(made_up, f"/v2/last/trade/{symbol}")
        _, quote = await get(made_up, f"/v2/last/nbbo/{symbol}")
        _, body = await get(made_up, f"/v2/snapshot/locale/us/markets/stocks/tickers/{symbol}")
    played = {event["t"] * 1_000_000 for event in client.data() if event["sym"] == symbol}
    assert last["results"]["t"] >= max(played)
    assert quote["results"]["p"] < quote["results"]["P"]
    snapshot = body["ticker"]
    assert snapshot["lastTrade"]["t"] >= max(played)
    assert snapshot["todaysChange"] == pytest.approx(
        snapshot["lastTrade"]["p"] - snapshot["prevDay"]["c"], abs=0.01
    )


async def test_before_anything_is_played_the_market_stands_at_its_previous_close(
    made_up: MassiveSimulator,
) -> None:
    symbol = await a_ticker(made_up)
    _, previous = await get(made_up, f"/v2/aggs/ticker/{symbol}/prev")
    _, last = await get(made_up, f"/v2/last/trade/{symbol}")
    assert last["results"]["p"] == previous["results"][0]["c"]


async def test_companies_hang_together_with_their_market(made_up: MassiveSimulator) -> None:
    symbol = await a_ticker(made_up)
    _, details = await get(made_up, f"/v3/reference/tickers/{symbol}")
    _, floats = await get(made_up, f"/stocks/vX/float?ticker={symbol}")
    _, shorts = await get(made_up, f"/stocks/v1/short-interest?ticker={symbol}")
    _, sold = await get(made_up, f"/stocks/v1/short-volume?ticker={symbol}")
    _, previous = await get(made_up, f"/v2/aggs/ticker/{symbol}/prev")
    company, bar = details["results"], previous["results"][0]
    assert company["share_class_shares_outstanding"] >= floats["results"][0]["free_float"]
    assert shorts["results"][0]["short_interest"] <= floats["results"][0]["free_float"]
    assert [row["settlement_date"] for row in shorts["results"][:2]] == ["2026-11-15", "2026-10-31"]
    assert sold["results"][0]["total_volume"] == bar["v"]
    assert sold["results"][0]["short_volume"] < bar["v"]


async def test_pictures_need_the_key(made_up: MassiveSimulator) -> None:
    _, details = await get(made_up, f"/v3/reference/tickers/{await a_ticker(made_up)}")
    branding = details["results"]["branding"]
    async with aiohttp.ClientSession() as session:
        async with session.get(branding["logo_url"]) as answer:
            assert answer.status == 401
        async with session.get(branding["logo_url"], headers=KEY) as answer:
            assert answer.content_type == "image/svg+xml"
            assert (await answer.read()).startswith(b"<svg")
        async with session.get(branding["icon_url"], headers=KEY) as answer:
            assert (await answer.read()).startswith(b"\x89PNG")


async def test_minutes_add_up_to_their_day(made_up: MassiveSimulator) -> None:
    symbol = await a_ticker(made_up)
    path = f"/v2/aggs/ticker/{symbol}/range"
    _, day = await get(made_up, f"{path}/1/day/2026-11-19/2026-11-19")
    _, minutes = await get(made_up, f"{path}/1/minute/2026-11-19/2026-11-19")
    _, hours = await get(made_up, f"{path}/1/hour/2026-11-19/2026-11-19")
    for rows in (minutes["results"], hours["results"]):
        made = (rows[0]["o"], max(row["h"] for row in rows), min(row["l"] for row in rows))
        bar = day["results"][0]
        assert (*made, rows[-1]["c"]) == (bar["o"], bar["h"], bar["l"], bar["c"])
        assert sum(row["v"] for row in rows) == bar["v"]
    assert (len(minutes["results"]), len(hours["results"])) == (390, 7)


async def test_a_long_range_comes_in_pages(made_up: MassiveSimulator) -> None:
    symbol = await a_ticker(made_up)
    path = f"/v2/aggs/ticker/{symbol}/range/1/minute/2026-11-19/2026-11-19"
    _, whole = await get(made_up, path)
    _, first = await get(made_up, f"{path}?limit=300&apiKey=key")
    assert "apiKey" not in first["next_url"]
    _, second = await get(made_up, first["next_url"])
    assert first["results"] + second["results"] == whole["results"]
    assert "next_url" not in second


@pytest.mark.parametrize(
    "path",
    [
        "/v3/snapshot?ticker.any_of={}&limit=10",
        "/v1/open-close/{}/2026-11-19",
        "/vX/reference/tickers/{}/events",
        "/v2/reference/news?ticker={}",
        "/stocks/v1/splits?ticker={}",
        "/stocks/v1/dividends?ticker={}",
        "/v2/snapshot/locale/us/markets/stocks/gainers?{}",
    ],
)
async def test_every_other_documented_call_is_answered(
    made_up: MassiveSimulator, path: str
) -> None:
    status, body = await get(made_up, path.format(await a_ticker(made_up)))
    assert (status, body["status"]) == (200, "OK")


@pytest.mark.parametrize(
    "path", ["/v2/last/trade/NONE", "/v3/reference/tickers/NONE", "/v1/open-close/NONE/2026-11-19"]
)
async def test_an_unknown_ticker_is_not_found_in_json(made_up: MassiveSimulator, path: str) -> None:
    status, body = await get(made_up, path)
    assert (status, body["status"]) == (404, "NOT_FOUND")


async def test_calls_are_counted_by_route(made_up: MassiveSimulator) -> None:
    symbol = await a_ticker(made_up)
    for _ in range(3):
        await get(made_up, f"/v2/last/trade/{symbol}")
    assert made_up.statistics.calls["/v2/last/trade/{ticker}"] == 3


async def test_the_last_print_is_on_the_tape_where_its_time_was_asked_for(
    made_up: MassiveSimulator,
) -> None:
    symbol = await a_ticker(made_up)
    for path in (f"/v3/trades/{symbol}", f"/v3/quotes/{symbol}"):
        _, whole = await get(made_up, path)
        row = whole["results"][0]
        _, since = await get(made_up, f"{path}?timestamp.gte={row['sip_timestamp']}")
        _, after = await get(made_up, f"{path}?timestamp.gt={row['sip_timestamp']}")
        assert (since["results"], after["results"]) == ([row], [])
        status, _ = await get(made_up, f"{path}?timestamp.gt=yesterday")
        assert status == 400


async def test_conditions_carry_the_markets_own_rules(made_up: MassiveSimulator) -> None:
    _, body = await get(made_up, "/v3/reference/conditions?limit=1000")
    rules = {row["id"]: row["update_rules"]["consolidated"] for row in body["results"]}
    assert list(rules[12].values()) == [False, False, True]
    assert list(rules[15].values()) == [False, False, False]
    _, exchanges = await get(made_up, "/v3/reference/exchanges")
    assert {"XNYS", "XNAS", "ARCX"} <= {row["mic"] for row in exchanges["results"]}
