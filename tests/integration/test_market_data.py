"""The Market Data Cache over a provider that speaks HTTP: look-ups, faults, two processes."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from tapewire.caches.connection import Link
from tapewire.caches.corrections import CalendarKeeper, CorrectionStore
from tapewire.caches.kinds import KINDS
from tapewire.caches.known import Known, NotYet, Refused, Source
from tapewire.caches.market_data_cache import MarketDataCache
from tapewire.caches.provider_limits import ProviderLimits, account_of, provider_of
from tapewire.caches.reference import ReferenceCache
from tapewire.market.corrections import Correction
from tapewire.market.sessions import Session, SessionCalendar
from tapewire.providers.massive.rest_reference import MassiveReference
from tapewire.services.calendar_watch import CalendarWatch, read_list
from tapewire.services.reference import ReferenceService
from tapewire.services.reference_calls import CALLS, MassiveFetch
from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.rest_faults import RestFault
from tapewire.simulators.source_strings import parse_source
from tests.providers.massive.rest_server import RestServer
from tests.simulators.client import running

FRIDAY_NOON_MS = int(datetime(2026, 11, 20, 17, tzinfo=UTC).timestamp() * 1000)
DETAILS = "/v3/reference/tickers/{ticker}"
KEY = "the-key-that-never-leaves"


class Desk:
    """One process's Market Data Cache over the simulator."""

    def __init__(self, simulator: MassiveSimulator, link: Link, session: object) -> None:
        base = simulator.rest_url
        self.simulator, self.link = simulator, link
        self.now_ms = FRIDAY_NOON_MS
        self.calendar = SessionCalendar.load("XNYS")
        self.limits = ProviderLimits(link, account_of(base, KEY))
        self.rest = MassiveReference(
            base,
            KEY,
            session=session,  # type: ignore[arg-type]
            clock=time.monotonic,
            sleep=self._sleep,
            shared=self.limits,
        )
        fetch = MassiveFetch(self.rest, self.calendar, lambda: self.now_ms)
        provider = provider_of(base)
        self.cache = MarketDataCache(
            link, fetch, self.calendar, provider, now_ms=lambda: self.now_ms, jitter=lambda: 0.5
        )
        self.slept: list[float] = []

    async def lookup(self, kind: str, argument: str = "") -> Known:
        return await self.cache.lookup(kind, argument)

    def fault(self, fault: str, **more: Any) -> None:
        self.simulator.faults.plan(RestFault(fault, **more))

    @property
    def requests(self) -> int:
        return sum(self.simulator.statistics.calls.values())

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


Open = Callable[[], Desk]


@pytest.fixture
async def simulator() -> AsyncIterator[MassiveSimulator]:
    source = parse_source("generator:symbols=30,at=12:00")
    async with running(MassiveSimulator([source], key=KEY)) as one:
        yield one


@asynccontextmanager
async def desks(url: str, simulator: MassiveSimulator) -> AsyncIterator[Open]:
    opened: list[Desk] = []
    async with aiohttp.ClientSession() as session:

        def open_desk() -> Desk:
            opened.append(Desk(simulator, Link(url), session))
            return opened[-1]

        yield open_desk
        for desk in opened:
            await desk.cache.close()
            await desk.link.close()


@pytest.fixture
async def open_desk(redis_url: str, simulator: MassiveSimulator) -> AsyncIterator[Open]:
    async with desks(redis_url, simulator) as open_one:
        yield open_one


@pytest.fixture
def desk(open_desk: Open) -> Desk:
    return open_desk()


@pytest.fixture
def symbol(simulator: MassiveSimulator) -> str:
    return simulator.source.reference.tickers()[0].symbol


def test_every_kind_has_its_call() -> None:
    assert {kind.call for kind in KINDS.values()} == CALLS


async def test_every_kind_is_answered(desk: Desk, simulator: MassiveSimulator) -> None:
    listed = [row.symbol for row in simulator.source.reference.tickers()]
    for kind in KINDS.values():
        found = 0
        for symbol in listed if kind.name in ("splits", "dividends") else listed[:1]:
            argument = symbol if kind.argument else ""
            if kind.name == "aggregates":
                argument += ":1:minute:2026-11-19:2026-11-19"
            known = await desk.lookup(kind.name, argument)
            assert not known.stale
            found += known.body is not None
        assert found, f"{kind.name}: nobody has any"


async def test_values_have_names_in_full(desk: Desk, symbol: str) -> None:
    trade = (await desk.lookup("last_trade", symbol)).value()
    snapshot = (await desk.lookup("snapshot", symbol)).value()
    average = (await desk.lookup("average_volume", symbol)).value()
    bars = (await desk.lookup("aggregates", f"{symbol}:1:hour:2026-11-18:2026-11-19")).value()
    assert trade["price"] == snapshot["previous_day"]["close"]
    assert average["sessions"] == 30
    assert average["avg_volume"] > 0
    assert [sorted(bar) for bar in bars][:1] == [
        ["close", "high", "low", "open", "start_ms", "trades", "volume", "vwap"]
    ]


async def test_ten_look_ups_of_a_symbol_without_data_make_one_call(
    desk: Desk, simulator: MassiveSimulator
) -> None:
    for _ in range(10):
        assert (await desk.lookup("ticker_details", "NONE")).body is None
    assert simulator.statistics.calls == {DETAILS: 1}


async def test_fifty_at_once_make_one_call(
    desk: Desk, simulator: MassiveSimulator, symbol: str
) -> None:
    desk.fault("slow", seconds=0.1)
    await asyncio.gather(*(desk.lookup("ticker_details", symbol) for _ in range(50)))
    assert simulator.statistics.calls == {DETAILS: 1}


async def test_fifty_at_once_of_two_processes_make_one_call(
    redis_url: str, simulator: MassiveSimulator, symbol: str
) -> None:
    simulator._rest._key = "key"
    simulator.faults.plan(RestFault("slow", seconds=0.3))
    processes = [await start_process(redis_url, simulator, symbol, 25) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    told = [json.loads((await process.communicate())[0]) for process in processes]
    assert simulator.statistics.calls == {DETAILS: 1}
    assert told[0]["bodies"] == told[1]["bodies"]
    assert len(told[0]["bodies"]) == 1
    assert sorted(one["calls"] for one in told) == [0, 1]


async def test_a_process_that_is_killed_while_asking_is_replaced(
    redis_url: str, simulator: MassiveSimulator, symbol: str, desk: Desk
) -> None:
    simulator._rest._key = None
    simulator.faults.plan(RestFault("slow", seconds=30.0))
    process = await start_process(redis_url, simulator, symbol, 1)
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    async with asyncio.timeout(10):
        while not desk.requests:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    process.kill()
    await process.wait()
    assert (await desk.lookup("ticker_details", symbol)).value()["symbol"] == symbol
    assert desk.cache.counts.taken_over == 1
    assert desk.requests == 2


async def start_process(
    redis_url: str, simulator: MassiveSimulator, symbol: str, count: int
) -> asyncio.subprocess.Process:
    """A process that is ready to look up a ticker's details."""
    module = ("-m", "tests.integration.lookup_process")
    arguments = (redis_url, simulator.rest_url, "ticker_details", symbol, str(count))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def test_an_outage_makes_a_bounded_number_of_calls(
    desk: Desk, simulator: MassiveSimulator
) -> None:
    desk.fault("unavailable", times=None)
    symbols = [f"S{number}" for number in range(300)]
    looking = (desk.lookup("ticker_details", symbol) for symbol in symbols)
    outcomes = await asyncio.gather(*looking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NotYet}
    # Five failures open the breaker; at most seven more requests were on their way by then.
    assert 5 <= desk.requests <= 12


async def test_warm_answers_never_wait_on_a_provider_that_is_down_or_slow(
    desk: Desk, symbol: str
) -> None:
    kinds = ("last_trade", "snapshot", "ticker_details", "previous_day")
    for kind in kinds:
        await desk.lookup(kind, symbol)
    for fault in ("slow", "unavailable", "hang_up"):
        desk.fault(fault, times=None, seconds=30.0)
        desk.now_ms += 25 * 3_600_000
        for kind in kinds:
            known = await asyncio.wait_for(desk.lookup(kind, symbol), 0.5)
            assert (known.stale, known.body is None) == (True, False)
        desk.simulator.faults.clear()


async def test_what_the_plan_lacks_is_asked_for_once_by_all_processes(
    open_desk: Open, simulator: MassiveSimulator
) -> None:
    one, other = open_desk(), open_desk()
    one.fault("not_entitled", path="/stocks/v1/short-interest", times=None)
    for number, desk in enumerate((one, other, one, other)):
        with pytest.raises(Refused, match=r"plan does not include|answered 403"):
            await desk.lookup("short_interest", f"S{number}")
    assert simulator.statistics.calls["/stocks/v1/short-interest"] == 1
    key_names = await one.link.run("KEYS", "*")
    assert not any(KEY.encode() in name for name in key_names)


async def test_a_throttle_holds_every_process(
    open_desk: Open, simulator: MassiveSimulator, symbol: str
) -> None:
    one, other = open_desk(), open_desk()
    one.fault("throttle", retry_after="120")
    with pytest.raises(NotYet, match="429") as raised:
        await one.lookup("ticker_details", symbol)
    assert raised.value.retry_after_s == pytest.approx(120, rel=0.02)
    for desk in (one, other):
        with pytest.raises(NotYet, match="asked to wait"):
            await desk.lookup("news", symbol)
    assert one.requests == 1


@pytest.mark.parametrize("fault", ["truncated", "wrong_type", "no_route"])
async def test_an_answer_that_is_none_is_trouble_and_not_nothing(
    desk: Desk, symbol: str, fault: str
) -> None:
    desk.fault(fault)
    for _ in range(5):
        with pytest.raises(NotYet):
            await desk.lookup("ticker_details", symbol)
    assert desk.requests == 1
    desk.now_ms += 6000
    assert (await desk.lookup("ticker_details", symbol)).value()["symbol"] == symbol


async def test_a_delayed_plan_is_answered(desk: Desk, symbol: str) -> None:
    desk.fault("delayed")
    assert (await desk.lookup("ticker_details", symbol)).value()["symbol"] == symbol


async def test_a_wrong_key_is_shown_once_and_said(
    redis_url: str, simulator: MassiveSimulator
) -> None:
    simulator._rest._key = "another"
    async with desks(redis_url, simulator) as open_one:
        desk = open_one()
        for number in range(5):
            with pytest.raises(Refused, match="key"):
                await desk.lookup("news", f"S{number}")
        assert desk.requests == 1


async def test_a_malicious_page_never_gets_the_key(desk: Desk, symbol: str) -> None:
    async with RestServer() as thief:
        desk.fault("foreign_page", next_url=f"{thief.url}/v2/aggs/next?apiKey=please")
        with pytest.raises(Refused, match="where the key is never sent"):
            await desk.lookup("aggregates", f"{symbol}:1:minute:2026-11-19:2026-11-19")
        assert [asked.key for asked in thief.asked] == [None]


async def test_pictures_are_bytes_and_their_addresses_stay_here(desk: Desk, symbol: str) -> None:
    details = (await desk.lookup("ticker_details", symbol)).value()
    logo, icon = await desk.lookup("logo", symbol), await desk.lookup("icon", symbol)
    assert "branding" not in details
    assert (logo.content_type, icon.content_type) == ("image/svg+xml", "image/png")
    assert logo.body is not None
    assert logo.body.startswith(b"<svg")


async def test_after_the_warm_up_the_market_is_known_without_a_call(
    desk: Desk, simulator: MassiveSimulator, redis_url: str, symbol: str
) -> None:
    store = ReferenceCache(redis_url)
    service = ReferenceService(
        desk.rest, store, desk.calendar, wall_ms=lambda: desk.now_ms, lookups=desk.cache
    )
    desk.now_ms = int(datetime(2026, 11, 20, 8, 40, tzinfo=UTC).timestamp() * 1000)  # 03:40
    await service.start()
    async with asyncio.timeout(20):
        while not service.report().healthy:  # noqa: ASYNC110 - what is waited for is any state
            await asyncio.sleep(0.01)
    calls = dict(simulator.statistics.calls)
    assert calls["/v2/aggs/grouped/locale/us/market/stocks/{date}"] == 30
    assert (calls["/stocks/vX/float"], sum(calls.values())) == (1, 33)
    desk.now_ms = FRIDAY_NOON_MS
    for kind in ("previous_day", "average_volume", "free_float"):
        known = await desk.lookup(kind, symbol)
        assert (known.source, known.stale) == (Source.ROWS, False)
    assert simulator.statistics.calls == calls
    asked = {"kind": "previous_day", "argument": symbol}
    answer = await service.command("lookup", asked)
    assert answer["value"]["symbol"] == symbol
    assert service.report().detail["lookups"]["hits"] >= 4
    with pytest.raises(ValueError, match="expected one of"):
        await service.command("lookup", {"kind": "weather"})
    await service.stop()
    await store.close()


async def test_a_correction_reaches_every_calendar(desk: Desk, redis_url: str) -> None:
    day = desk.calendar.day("2026-11-23")
    closes = "2026-11-23T18:00:00.000Z"
    rows = [
        {"date": "2026-11-23", "exchange": "NYSE", "status": "early-close", "close": closes},
        {"date": "2026-11-24", "exchange": "NYSE", "status": "closed", "name": "Mourning"},
        {"date": "2026-11-24", "exchange": "OTC", "status": "open"},
        {"date": "2026-11-25", "exchange": "NYSE", "status": "perhaps", "name": "Odd"},
        {"date": "1950-11-25", "exchange": "NYSE", "status": "closed", "name": "Past"},
    ]
    store = CorrectionStore(desk.link)
    watch = CalendarWatch(Said(rows), store, desk.calendar, lambda: desk.now_ms)
    await watch.look()
    elsewhere = SessionCalendar.load("XNYS")
    await CalendarKeeper(store, elsewhere).look()
    for calendar in (desk.calendar, elsewhere):
        assert calendar.day("2026-11-23").close_ms == day.close_ms - 3 * 3_600_000
        assert calendar.session_at(day.close_ms - 1) is Session.POST
        assert calendar.next_session("2026-11-23").date == "2026-11-25"
    assert watch.keeper.applied == 2
    assert [text.split()[1] for text in watch.unreadable] == ["Odd:"]


async def test_the_providers_own_list_corrects_nothing_that_ships(desk: Desk) -> None:
    watch = CalendarWatch(
        desk.cache, CorrectionStore(desk.link), desk.calendar, lambda: desk.now_ms
    )
    await watch.look()
    assert (watch.keeper.applied, watch.keeper.misfits, watch.unreadable) == (0, [], [])
    assert len(await CorrectionStore(desk.link).corrections("XNYS")) >= 10


async def test_stored_corrections_hold_while_the_provider_is_away(desk: Desk) -> None:
    store, paused = CorrectionStore(desk.link), asyncio.Event()
    await store.add("XNYS", [Correction("2026-11-23", False)], "2026-11-01")
    desk.fault("error", times=None)

    async def pause(_: float) -> None:
        paused.set()
        await asyncio.Event().wait()

    watch = CalendarWatch(desk.cache, store, desk.calendar, lambda: desk.now_ms)
    following = asyncio.create_task(watch.follow(sleep=pause))
    await asyncio.wait_for(paused.wait(), 10)
    assert not desk.calendar.day("2026-11-23").is_session
    following.cancel()
    await asyncio.wait({following})


def test_hours_without_an_offset_cannot_be_read() -> None:
    row = {"date": "2026-11-27", "exchange": "NYSE", "status": "early-close", "close": "13:00"}
    corrections, unreadable = read_list([row], "NYSE")
    assert (corrections, len(unreadable)) == ([], 1)


class Said:
    """Look-ups that answer with one list."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._body = json.dumps(rows).encode()

    async def lookup(self, kind: str, argument: str = "") -> Known:
        return Known(
            kind=kind,
            argument=argument,
            body=self._body,
            content_type="application/json",
            fetched_ms=0,
            age_ms=0,
            stale=False,
        )
