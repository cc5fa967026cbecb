"""The reference service against a real REST server, with a wall clock that the test turns."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.reference import Loaded
from tapewire.market.sessions import SessionCalendar
from tapewire.model.rows import Reference
from tapewire.providers.massive.rest import MassiveRest, RestSettings
from tapewire.runtime.lease import Renewal
from tapewire.runtime.service import DependencyMissing, RefusedByProvider, State
from tapewire.services.reference import ReferenceService
from tapewire.simulators.lean import LeanSource
from tapewire.simulators.massive import MassiveSimulator
from tests.providers.massive.rest_server import (
    NOT_ENTITLED,
    FakeTime,
    Reply,
    RestServer,
    new_session,
    ok,
)
from tests.simulators.client import running

GROUPED = "/v2/aggs/grouped/locale/us/market/stocks/"
FLOAT = "/stocks/vX/float"
THURSDAY_NOON = "2013-10-10T16:00"  # 12:00 in New York; the turn is at 08:00 UTC
BROKEN = Reply(text="upstream", status=503)


class Store:
    """Keeps what is put, by date; ``refusals`` answers come first."""

    def __init__(self) -> None:
        self.puts: list[tuple[str, list[Reference]]] = []
        self.marks: dict[str, Loaded] = {}
        self.refusals = 0

    async def put(self, date: str, rows: Sequence[Reference]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise CacheUnavailable("the store is restarting")
        self.puts.append((date, list(rows)))

    async def mark_loaded(self, loaded: Loaded) -> None:
        self.marks[loaded.date] = loaded

    async def loaded(self, date: str) -> Loaded | None:
        return self.marks.get(date)

    def rows(self, date: str) -> dict[str, Reference]:
        return {row.symbol: row for put, rows in self.puts if put == date for row in rows}


class World:
    """The provider, the store and the time of day around one service."""

    def __init__(self, server: RestServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.store = Store()
        self.time = FakeTime()
        self.days: dict[str, list[dict[str, Any]]] = {}
        self.floats = Reply(text="404 page not found", status=404)
        self.refused: dict[str, Reply] = {}
        self.at(THURSDAY_NOON)
        server.standing = self._answer
        self.rest = MassiveRest(
            str(server.url),
            "a-key",
            session=session,
            clock=self.time,
            sleep=self.time.sleep,
            jitter=lambda: 1.0,
            settings=RestSettings(tries=1),
        )
        self.service = self.another()
        self.waits: list[float] = []

    def another(self, **options: Any) -> ReferenceService:
        return ReferenceService(
            self.rest,
            self.store,
            SessionCalendar.load("XNYS"),
            wall_ms=lambda: self.wall_ms,
            sleep=self._sleep,
            jitter=lambda: 1.0,
            **options,
        )

    def at(self, utc: str) -> None:
        self.wall_ms = int(datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp() * 1000)

    def day(self, date: str, **volumes: float) -> None:
        """Let the provider know a day: each symbol's volume, and prices around 100."""
        self.days[date] = [
            {"T": symbol, "o": 100, "h": 103.5, "l": 99, "c": 102.5, "v": volume, "vw": 101.25}
            for symbol, volume in volumes.items()
        ]

    def asked_dates(self) -> list[str]:
        paths = [asked.path for asked in self.server.asked]
        return [path.removeprefix(GROUPED) for path in paths if path.startswith(GROUPED)]

    async def until(self, happened: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if happened():
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"did not happen; the service reports {self.service.report()}")

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time.now_s += seconds
        await asyncio.sleep(0.002)

    def _answer(self, request: web.Request) -> Reply:
        if request.path == FLOAT:
            return self.floats
        date = request.path.removeprefix(GROUPED)
        return self.refused.get(date) or ok(*self.days.get(date, self._older_day(date)))

    def _older_day(self, date: str) -> list[dict[str, Any]]:
        """Days before the newest one given are known, but show nobody's volume."""
        return [{"T": "OTHER", "c": 1.0}] if date < max(self.days, default="") else []


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with RestServer() as server, new_session() as session:
        world = World(server, session)
        yield world
        await world.service.stop()


async def test_the_previous_session_gives_the_row_its_bar(world: World) -> None:
    world.day("2013-10-07", IBM=4000, SPY=90_000)
    ibm, spy = await world.service.load("2013-10-08")
    assert ibm == Reference(
        symbol="IBM",
        date="2013-10-08",
        prev_day_open=100,
        prev_day_high=103.5,
        prev_day_low=99,
        prev_day_close=102.5,
        prev_day_volume=4000,
        prev_day_vwap=101.25,
        avg_volume=4000.0,
    )
    assert (spy.symbol, spy.prev_day_volume) == ("SPY", 90_000)
    assert world.store.puts == []


async def test_one_call_for_each_of_thirty_sessions_and_each_page_of_floats(world: World) -> None:
    world.day("2013-10-07", IBM=4000)
    following = f"{world.server.url}{FLOAT}?cursor=2"
    world.server.answers(FLOAT, ok({"ticker": "IBM", "free_float": 9}, next_url=following))
    world.floats = ok({"ticker": "NEW", "free_float": 8.5})
    ibm, new = await world.service.load("2013-10-08")
    assert (ibm.free_float, new.free_float, new.prev_day_close) == (9, 8.5, None)
    dates = world.asked_dates()
    assert len(dates) == len(set(dates)) == 30
    assert (dates[0], dates[1], dates[-1]) == ("2013-10-07", "2013-10-04", "2013-08-26")
    assert "2013-09-02" not in dates  # Labor Day
    assert Counter(asked.path for asked in world.server.asked)[FLOAT] == 2


async def test_the_average_counts_sessions_in_which_the_symbol_appears(world: World) -> None:
    world.day("2013-10-07", IBM=1000)
    world.day("2013-10-04", IBM=2001, OLD=7)
    world.day("2013-08-26", IBM=3000, OLD=8)
    world.day("2013-08-23", IBM=10**9)  # the 31st session back
    rows = {row.symbol: row for row in await world.service.load("2013-10-08")}
    assert rows["IBM"].avg_volume == 6001 / 3
    assert (rows["OLD"].avg_volume, rows["OLD"].prev_day_close) == (7.5, None)


async def test_a_float_of_a_later_day_is_not_known_yet(world: World) -> None:
    world.floats = ok(
        {"ticker": "IBM", "free_float": 1, "effective_date": "2013-10-08"},
        {"ticker": "SPY", "free_float": 2, "effective_date": "2013-10-09"},
    )
    assert [row.symbol for row in await world.service.load("2013-10-08")] == ["IBM"]


async def test_a_replay_asks_for_prices_as_they_were_traded(world: World) -> None:
    await world.service.load("2013-10-08")
    grouped = [asked for asked in world.server.asked if asked.path.startswith(GROUPED)]
    assert {asked.query["adjusted"] for asked in grouped} == {"false"}


async def test_a_provider_that_knows_nothing_gives_no_rows(world: World) -> None:
    assert await world.service.load("2013-10-07") == []


async def test_the_first_days_of_the_calendar_average_over_fewer_sessions(world: World) -> None:
    world.day("2000-01-03", IBM=5)
    rows = await world.service.load("2000-01-04")
    assert [(row.symbol, row.avg_volume) for row in rows] == [("IBM", 5.0)]
    assert world.asked_dates() == ["2000-01-03"]


async def test_a_session_beyond_the_plan_leaves_every_average_empty(world: World) -> None:
    world.day("2013-10-07", IBM=1000)
    world.day("2013-10-04", IBM=2000, OLD=7)
    world.refused["2013-10-03"] = Reply(NOT_ENTITLED, status=403)
    (ibm,) = await world.service.load("2013-10-08")
    assert (ibm.prev_day_volume, ibm.avg_volume) == (1000, None)
    assert len(world.asked_dates()) == 3
    assert "not entitled" in world.service.report().detail["missing"]["avg_volume"]


async def test_a_replay_without_the_provider_says_which_date_it_lacks(world: World) -> None:
    world.refused["2013-10-07"] = BROKEN
    with pytest.raises(DependencyMissing, match=r"reference data of 2013-10-08.*503"):
        await world.service.load("2013-10-08")


async def test_it_is_healthy_once_the_current_date_is_stored(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    world.day("2013-10-08", IBM=3000)
    assert world.service.report().state is State.STOPPED
    await world.service.start()
    assert not world.service.report().healthy
    await world.until(lambda: world.service.report().healthy)
    assert world.store.rows("2013-10-10")["IBM"].avg_volume == 2000
    report = world.service.report()
    assert report.state is State.RUNNING
    assert report.detail["loaded"] == {
        "2013-10-10": {"symbols": 1, "prev_day": 1, "avg_volume": 1, "free_float": 0}
    }
    assert "404" in report.detail["missing"]["free_float"]
    assert {asked.query.get("adjusted") for asked in world.server.asked} == {"true", None}
    assert len(world.asked_dates()) == 30


async def test_previous_bars_go_ahead_of_the_averages(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    await world.service.start()
    await world.until(lambda: len(world.store.puts) == 2)
    early, whole = (rows[0] for _, rows in world.store.puts)
    assert (early.prev_day_close, early.avg_volume) == (102.5, None)
    assert (whole.prev_day_close, whole.avg_volume) == (102.5, 1000)


async def test_a_date_is_loaded_half_an_hour_before_its_turn(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    world.day("2013-10-10", IBM=1500)
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    world.at("2013-10-11T07:29")
    looks = len(world.waits)
    await world.until(lambda: len(world.waits) > looks + 2)
    assert len(world.asked_dates()) == 30
    world.at("2013-10-11T07:30")
    await world.until(lambda: "2013-10-11" in world.service.report().detail["loaded"])
    assert world.store.rows("2013-10-11")["IBM"].prev_day_volume == 1500
    assert len(world.asked_dates()) == 60
    assert set(world.service.report().detail["loaded"]) == {"2013-10-10", "2013-10-11"}


async def test_a_new_date_that_cannot_be_had_is_unhealthy_from_its_turn_on(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    world.at("2013-10-11T07:45")
    await world.until(lambda: world.service.report().state is State.DEGRADED)
    assert world.service.report().healthy
    world.at("2013-10-11T08:00")
    report = world.service.report()
    assert not report.healthy
    assert report.reason == "2013-10-11: the provider has no bars of 2013-10-10 (yet)"
    world.day("2013-10-10", IBM=1500)
    await world.until(lambda: world.service.report().healthy)


async def test_on_a_weekend_the_next_session_is_loaded_and_once_more_at_each_turn(
    world: World,
) -> None:
    world.day("2013-10-11", IBM=1000)
    world.at("2013-10-12T15:00")
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    assert set(world.service.report().detail["loaded"]) == {"2013-10-14"}
    world.day("2013-10-11", IBM=1001)
    world.at("2013-10-14T07:30")
    await world.until(lambda: len(world.asked_dates()) == 60)
    await world.until(lambda: world.store.rows("2013-10-14")["IBM"].prev_day_volume == 1001)
    assert len(world.store.puts) == 3  # a refresh never takes the averages away in between


async def test_a_failed_load_goes_on_where_it_stopped(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    failing = f"{GROUPED}2013-10-04"
    world.server.answers(failing, BROKEN, BROKEN, BROKEN)
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    assert Counter(world.asked_dates())["2013-10-04"] == 4
    assert len(world.asked_dates()) == 33
    assert world.waits[:3] == [2.0, 4.0, 8.0]
    assert world.service.report().state is State.RUNNING


async def test_it_waits_as_long_as_the_provider_asks(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    world.server.answers(
        f"{GROUPED}2013-10-09", Reply(text="", status=429, headers={"Retry-After": "120"})
    )
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    assert world.waits[0] == 120


async def test_a_store_that_restarts_is_written_again_without_asking_again(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    world.store.refusals = 3
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    assert world.store.rows("2013-10-10")["IBM"].avg_volume == 1000
    assert len(world.asked_dates()) == 30


async def test_a_refused_key_ends_the_service(world: World) -> None:
    world.refused["2013-10-09"] = Reply({"status": "ERROR", "error": "bad key"}, status=401)
    await world.service.start()
    with pytest.raises(RefusedByProvider, match="bad key"):
        await world.service.wait()
    await world.service.drain()
    await world.service.stop()
    report = world.service.report()
    assert (report.state, report.healthy) == (State.FAILED, False)
    assert RefusedByProvider.exit_code == 3


async def test_drained_it_ends_by_itself_and_asks_nothing_more(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    await world.service.drain()
    await world.service.wait()
    assert world.service.report().state is State.DRAINING
    await world.service.stop()
    assert world.service.report().state is State.STOPPED
    assert len(world.asked_dates()) == 30


async def test_reload_loads_again_now(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    world.day("2013-10-09", IBM=1234)
    assert await world.service.command("reload", {}) == {"date": "2013-10-10"}
    await world.until(lambda: world.store.rows("2013-10-10")["IBM"].prev_day_volume == 1234)
    with pytest.raises(ValueError, match="unknown command 'halt'; known: reload"):
        await world.service.command("halt", {})


async def test_the_simulator_of_a_recorded_day_serves_the_day_before(shared: Path) -> None:
    source = LeanSource(shared / "data/lean/tick/ibm/20131008_trade.zip")
    simulator = MassiveSimulator([source], key="the-key")
    async with running(simulator), new_session() as session:
        time = FakeTime()
        rest = MassiveRest(
            simulator.rest_url, "the-key", session=session, clock=time, sleep=time.sleep
        )
        calendar = SessionCalendar.load("XNYS")
        service = ReferenceService(rest, Store(), calendar, wall_ms=lambda: 0)
        assert await service.load("2013-10-07") == []
        (row,) = await service.load("2013-10-08")
        assert rest.counts.answers == {200: 62}
    bar = source.reference.daily_bars("2013-10-07")["IBM"]
    assert (row.prev_day_close, row.prev_day_volume) == (bar.close, bar.volume)
    assert (row.avg_volume, row.free_float) == (None, None)
    assert "no bars of 29" in service.report().detail["missing"]["avg_volume"]


async def test_the_simulator_accepts_no_other_key(shared: Path) -> None:
    source = LeanSource(shared / "data/lean/tick/ibm/20131008_trade.zip")
    simulator = MassiveSimulator([source], key="the-key")
    async with running(simulator), new_session() as session:
        rest = MassiveRest(simulator.rest_url, "another", session=session, clock=FakeTime())
        with pytest.raises(RefusedByProvider, match="Unknown API Key"):
            await rest.market_status()


async def test_started_again_it_loads_nothing_that_was_loaded(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    await world.service.start()
    await world.until(lambda: world.service.report().healthy)
    asked = len(world.server.asked)
    again = world.another()
    await again.start()
    await world.until(lambda: again.report().healthy)
    assert len(world.server.asked) == asked
    assert again.report().detail["loaded"] == world.service.report().detail["loaded"]
    await again.stop()


async def test_of_several_replicas_one_loads_and_the_others_take_it_over(world: World) -> None:
    world.day("2013-10-09", IBM=1000)
    leases = OneHolder()
    leases.holder = "somebody who is just dying"
    services = [world.another(lease=leases.of(name)) for name in ("a", "b", "c")]
    for service in services:
        await service.start()
    await world.until(lambda: {one.report().state for one in services} == {State.STAND_BY})
    assert world.server.asked == []
    leases.holder = None
    await world.until(lambda: all(one.report().healthy for one in services))
    await world.until(lambda: {one.report().state for one in services} == {State.RUNNING})
    assert set(Counter(world.asked_dates()).values()) == {1}
    assert leases.holder is None
    for service in services:
        await service.stop()


class OneHolder:
    """A lease that one of several may hold."""

    def __init__(self) -> None:
        self.holder: str | None = None

    def of(self, name: str) -> "OneHolder.Handle":
        return OneHolder.Handle(self, name)

    class Handle:
        def __init__(self, lease: "OneHolder", name: str) -> None:
            self._lease, self._name = lease, name

        async def acquire(self) -> int | None:
            if self._lease.holder not in (None, self._name):
                return None
            self._lease.holder = self._name
            return 1

        async def renew(self) -> Renewal:
            return Renewal.HELD if self._lease.holder == self._name else Renewal.REFUSED

        async def release(self) -> None:
            if self._lease.holder == self._name:
                self._lease.holder = None
