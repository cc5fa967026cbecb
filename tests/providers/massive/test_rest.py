"""Massive's REST client against a real server on a real port."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tapewire.providers.circuit_breaker import BreakerState
from tapewire.providers.massive.rest import (
    CallRejected,
    CircuitOpen,
    Malformed,
    MassiveRest,
    NotEntitled,
    NotFound,
    RestSettings,
    TryLater,
    UnknownRoute,
)
from tapewire.providers.massive.rest_limits import SharedLimits
from tapewire.providers.token_bucket import RateLimit
from tapewire.runtime.service import RefusedByProvider, UsageError
from tests.providers.massive.rest_server import (
    NOT_ENTITLED,
    FakeTime,
    Reply,
    RestServer,
    new_session,
    ok,
)

KEY = "a-key"
GROUPED = "/v2/aggs/grouped/locale/us/market/stocks/2013-10-07"
BROKEN = Reply(text="upstream", status=503)


@pytest.fixture
async def server() -> AsyncIterator[RestServer]:
    async with RestServer() as server:
        yield server


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
async def connect(server: RestServer, time: FakeTime) -> AsyncIterator["Connect"]:
    async with new_session() as session:
        yield Connect(server, time, session)


@pytest.fixture
def rest(connect: "Connect") -> MassiveRest:
    return connect()


class Connect:
    """Makes clients of the server; jitter is always at its upper end."""

    def __init__(self, server: RestServer, time: FakeTime, session: object) -> None:
        self._server, self._time, self._session = server, time, session

    def __call__(
        self, path: str = "", shared: SharedLimits | None = None, **settings: object
    ) -> MassiveRest:
        return MassiveRest(
            f"{self._server.url.origin()}{path}",
            KEY,
            session=self._session,  # type: ignore[arg-type]
            clock=self._time,
            sleep=self._time.sleep,
            jitter=lambda: 1.0,
            settings=RestSettings(**settings),  # type: ignore[arg-type]
            shared=shared,
        )


async def test_a_grouped_day_is_one_keyed_compressed_get(
    rest: MassiveRest, server: RestServer
) -> None:
    bar = {"T": "IBM", "o": 182, "h": 183.5, "l": 181.0, "c": 182.01, "v": 3966955.0, "vw": 182.3}
    server.answers(GROUPED, ok({**bar, "t": 1381176000000, "n": 20000}, {"T": "SPY", "c": 167}))
    ibm, spy = await rest.grouped_day("2013-10-07", adjusted=False)
    assert (ibm.symbol, ibm.open, ibm.close, ibm.volume) == ("IBM", 182, 182.01, 3966955.0)
    assert (spy.close, spy.volume, spy.vwap) == (167, None, None)
    (asked,) = server.asked
    assert asked == (GROUPED, {"adjusted": "false"}, f"Bearer {KEY}", "gzip")


async def test_a_delayed_plan_answers_with_data(rest: MassiveRest, server: RestServer) -> None:
    server.answers(GROUPED, ok({"T": "IBM", "c": 1}, status="DELAYED"))
    assert [bar.symbol for bar in await rest.grouped_day("2013-10-07")] == ["IBM"]


async def test_an_unreadable_row_loses_that_row_only(rest: MassiveRest, server: RestServer) -> None:
    server.answers(GROUPED, ok({"T": "IBM", "c": 1}, {"c": 2}, {"T": "SPY", "c": "three"}))
    assert [bar.symbol for bar in await rest.grouped_day("2013-10-07")] == ["IBM"]
    assert rest.counts.unreadable_rows == 2


async def test_an_empty_day_is_no_rows(rest: MassiveRest, server: RestServer) -> None:
    server.answers(GROUPED, Reply({"status": "OK", "resultsCount": 0}))
    assert await rest.grouped_day("2013-10-07") == []


async def test_a_ticker_is_one_escaped_segment_of_the_path(
    connect: Connect, server: RestServer
) -> None:
    path = "/proxy/v2/aggs/ticker/BRK%2FA/prev"
    server.answers("/proxy/v2/aggs/ticker/BRK/A/prev", ok({"T": "BRK/A", "c": 170_000}))
    bar = await connect("/proxy").previous_close("BRK/A")
    assert bar is not None
    assert bar.close == 170_000
    assert server.asked[0].path == path


async def test_an_unknown_ticker_has_no_previous_close(
    rest: MassiveRest, server: RestServer
) -> None:
    missing = Reply({"status": "NOT_FOUND", "message": "Ticker not found."}, status=404)
    server.answers("/v2/aggs/ticker/NOPE/prev", missing)
    assert await rest.previous_close("NOPE") is None


async def test_pages_are_followed_with_the_key_on_the_same_origin(
    rest: MassiveRest, server: RestServer
) -> None:
    path = "/v2/aggs/ticker/IBM/range/1/minute/2013-10-07/2013-10-07"
    following = str(server.url.with_path(path)) + "?cursor=a%2Fb%3D%3D"
    server.answers(path, ok({"o": 1, "t": 1}, next_url=following), ok({"o": 2.5, "t": 2}))
    pages = [page async for page in rest.bars("IBM", 1, "minute", "2013-10-07", "2013-10-07")]
    assert [[bar.open for bar in page] for page in pages] == [[1], [2.5]]
    assert [asked.key for asked in server.asked] == [f"Bearer {KEY}"] * 2
    assert server.asked[0].query == {"adjusted": "true", "sort": "asc", "limit": "50000"}
    assert server.asked[1].query == {"cursor": "a/b=="}


async def test_the_key_never_goes_to_another_origin(rest: MassiveRest, server: RestServer) -> None:
    async with RestServer() as other:
        other.answers("/stocks/vX/float", ok({"ticker": "SPY", "free_float": 7}))
        following = str(other.url / "stocks/vX/float")
        server.answers("/stocks/vX/float", ok({"ticker": "IBM"}, next_url=following))
        pages = [page async for page in rest.floats()]
    assert [row.symbol for page in pages for row in page] == ["IBM", "SPY"]
    assert [asked.key for asked in other.asked] == [None]
    assert rest.counts.foreign_pages == 1


async def test_another_name_of_the_same_host_is_another_origin(
    rest: MassiveRest, server: RestServer
) -> None:
    following = f"http://user:{KEY}@localhost:{server.url.port}/stocks/vX/float"
    server.answers("/stocks/vX/float", ok(next_url=following), ok())
    assert [page async for page in rest.floats()] == [[], []]
    assert [asked.key for asked in server.asked] == [f"Bearer {KEY}", None]


async def test_a_foreign_page_that_wants_a_key_says_so_and_ends_nothing_else(
    rest: MassiveRest, server: RestServer
) -> None:
    async with RestServer() as other:
        other.answers("/stocks/vX/float", Reply({"status": "ERROR"}, status=401))
        server.answers("/stocks/vX/float", ok(next_url=str(other.url / "stocks/vX/float")))
        with pytest.raises(CallRejected, match="the key is never sent"):
            [page async for page in rest.floats()]
    server.answers("/stocks/vX/float", ok())
    assert [page async for page in rest.floats()] == [[]]


async def test_a_redirect_is_refused(rest: MassiveRest, server: RestServer) -> None:
    server.answers(GROUPED, Reply(text="", status=302, headers={"Location": "/elsewhere"}))
    with pytest.raises(CallRejected, match="302"):
        await rest.grouped_day("2013-10-07")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "following", ["ftp://127.0.0.1/x", "http://[bad", "http://:99999999/", "{same}"]
)
async def test_a_next_page_that_leads_nowhere_is_an_error(
    rest: MassiveRest, server: RestServer, following: str
) -> None:
    same = str(server.url / "stocks/vX/float") + "?limit=5000"
    server.answers("/stocks/vX/float", ok(next_url=following.format(same=same)))
    with pytest.raises(Malformed):
        [page async for page in rest.floats()]
    assert len(server.asked) == 1


async def test_endless_pages_are_bounded(connect: Connect, server: RestServer) -> None:
    numbers = iter(range(100))

    def endless(request: web.Request) -> Reply:
        return ok(next_url=f"{server.url}{request.path}?cursor={next(numbers)}")

    server.standing = endless
    with pytest.raises(Malformed, match="over 3 pages"):
        [page async for page in connect(max_pages=3).floats()]
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [413, 499, 500, 502, 503, 504])
async def test_a_failing_call_is_tried_again(
    rest: MassiveRest, server: RestServer, time: FakeTime, status: int
) -> None:
    failing = Reply(text="no", status=status)
    server.answers(GROUPED, failing, failing, ok({"T": "IBM"}))
    assert len(await rest.grouped_day("2013-10-07")) == 1
    assert time.slept == [0.2, 0.4]
    assert rest.counts.answers == {status: 2, 200: 1}
    assert rest.counts.retries == 2


async def test_a_hung_up_connection_is_tried_again(rest: MassiveRest, server: RestServer) -> None:
    server.answers(GROUPED, Reply(text="", hang_up=True), ok({"T": "IBM"}))
    assert len(await rest.grouped_day("2013-10-07")) == 1


async def test_after_four_tries_the_caller_hears_why(rest: MassiveRest, server: RestServer) -> None:
    server.answers(GROUPED, *[BROKEN] * 4)
    with pytest.raises(TryLater, match=r"tried 4 times; last: 503 \(upstream\)"):
        await rest.grouped_day("2013-10-07")
    assert len(server.asked) == 4


async def test_an_unreachable_provider_is_try_later(time: FakeTime) -> None:
    async with RestServer() as gone:
        url = str(gone.url)
    async with new_session() as session:
        rest = MassiveRest(url, KEY, session=session, clock=time, sleep=time.sleep)
        with pytest.raises(TryLater, match="nothing"):
            await rest.grouped_day("2013-10-07")
    assert rest.counts.answers == {0: 4}


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(
    rest: MassiveRest, server: RestServer, time: FakeTime, status: int
) -> None:
    server.answers(GROUPED, Reply(text="", status=status, headers={"Retry-After": "17"}), ok())
    await rest.grouped_day("2013-10-07")
    assert sum(time.slept) == pytest.approx(17.2)
    assert len(server.asked) == 2


async def test_retry_after_may_be_a_date(
    rest: MassiveRest, server: RestServer, time: FakeTime
) -> None:
    dates = {
        "Date": "Mon, 07 Oct 2013 13:30:00 GMT",
        "Retry-After": "Mon, 07 Oct 2013 13:30:40 GMT",
    }
    server.answers(GROUPED, Reply(text="", status=503, headers=dates), ok())
    await rest.grouped_day("2013-10-07")
    assert time.slept == [40.2]


async def test_an_unreadable_retry_after_leaves_our_own_back_off(
    rest: MassiveRest, server: RestServer, time: FakeTime
) -> None:
    server.answers(GROUPED, Reply(text="", status=503, headers={"Retry-After": "soon"}), ok())
    await rest.grouped_day("2013-10-07")
    assert time.slept == [0.2]


async def test_a_wait_beyond_the_bound_is_handed_to_the_caller(
    rest: MassiveRest, server: RestServer, time: FakeTime
) -> None:
    server.answers(GROUPED, Reply(text="", status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(TryLater) as raised:
        await rest.grouped_day("2013-10-07")
    assert raised.value.retry_after_s == 3600
    assert time.slept == []


async def test_a_429_holds_the_other_calls_too(
    connect: Connect, server: RestServer, time: FakeTime
) -> None:
    rest = connect(tries=2)
    server.answers(GROUPED, Reply(text="slow down", status=429), ok())
    await rest.grouped_day("2013-10-07")
    assert time.slept == [5.0]
    assert rest.breaker.counts.failed == 0


async def test_calls_are_spaced_by_the_plan(
    connect: Connect, server: RestServer, time: FakeTime
) -> None:
    rest = connect(limit=RateLimit(calls=5, per_s=60.0))
    server.standing = lambda _: ok()
    for _ in range(3):
        await rest.grouped_day("2013-10-07")
    assert time.slept == [12.0, 12.0]


async def test_a_refused_key_ends_it(rest: MassiveRest, server: RestServer) -> None:
    server.answers(GROUPED, Reply({"status": "ERROR", "error": "Unknown API Key"}, status=401))
    with pytest.raises(RefusedByProvider, match="Unknown API Key") as raised:
        await rest.grouped_day("2013-10-07")
    assert KEY not in str(raised.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [403, 200])
async def test_what_the_plan_lacks_is_switched_off_and_asked_again_after_an_hour(
    rest: MassiveRest, server: RestServer, time: FakeTime, status: int
) -> None:
    server.answers("/stocks/vX/float", Reply(NOT_ENTITLED, status=status), ok(), ok())
    for _ in range(3):
        with pytest.raises(NotEntitled):
            [page async for page in rest.floats()]
    assert len(server.asked) == 1
    assert rest.counts.switched_off == 2
    server.answers(GROUPED, ok())
    await rest.grouped_day("2013-10-07")
    time.now_s += 3600
    for _ in range(2):
        assert [page async for page in rest.floats()] == [[]]
    assert len(server.asked) == 4


async def test_unknown_things_and_unknown_routes_differ(
    rest: MassiveRest, server: RestServer
) -> None:
    server.answers(GROUPED, Reply({"status": "NOT_FOUND"}, status=404))
    with pytest.raises(NotFound):
        await rest.grouped_day("2013-10-07")
    with pytest.raises(UnknownRoute, match=r"404 page not found.*check the base URL"):
        await rest.grouped_day("2013-10-07")


@pytest.mark.parametrize(
    "reply", [Reply(text="<html>"), Reply([1, 2]), Reply({"results": "none"})], ids=repr
)
async def test_an_answer_of_another_shape_is_malformed(
    rest: MassiveRest, server: RestServer, reply: Reply
) -> None:
    server.answers(GROUPED, reply)
    with pytest.raises(Malformed, match="expected documented JSON"):
        await rest.grouped_day("2013-10-07")


async def test_an_error_in_the_envelope_is_a_rejection(
    rest: MassiveRest, server: RestServer
) -> None:
    server.answers(GROUPED, Reply({"status": "ERROR", "error": "bad\r\ndate"}))
    with pytest.raises(CallRejected, match="bad  date"):
        await rest.grouped_day("2013-10-07")


async def test_a_body_is_bounded_after_decompression(connect: Connect, server: RestServer) -> None:
    server.answers(GROUPED, Reply({"status": "OK", "filler": "x" * 100_000}))
    with pytest.raises(Malformed, match="over 50000 bytes"):
        await connect(max_body_bytes=50_000).grouped_day("2013-10-07")


async def test_the_breaker_stops_asking_then_probes_once(
    rest: MassiveRest, server: RestServer, time: FakeTime
) -> None:
    server.answers(GROUPED, *[BROKEN] * 6)
    with pytest.raises(TryLater):
        await rest.grouped_day("2013-10-07")
    for _ in range(3):
        with pytest.raises(CircuitOpen):
            await rest.grouped_day("2013-10-07")
    assert len(server.asked) == 5
    time.now_s += 10
    with pytest.raises(CircuitOpen) as raised:
        await rest.grouped_day("2013-10-07")
    assert raised.value.retry_after_s == pytest.approx(19.8)
    assert len(server.asked) == 6
    time.now_s += 20
    server.answers(GROUPED, ok())
    assert await rest.grouped_day("2013-10-07") == []
    assert rest.breaker.state is BreakerState.CLOSED


async def test_a_cancelled_probe_leaves_room_for_another(
    rest: MassiveRest, server: RestServer, time: FakeTime
) -> None:
    for _ in range(5):
        ticket = rest.breaker.begin()
        assert ticket is not None
        rest.breaker.failed(ticket)
    time.now_s += 10
    server.answers(GROUPED, ok())
    probe = asyncio.create_task(rest.grouped_day("2013-10-07"))
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert await rest.grouped_day("2013-10-07") == []


async def test_snapshots_of_the_market_and_of_some_tickers(
    rest: MassiveRest, server: RestServer
) -> None:
    path = "/v2/snapshot/locale/us/markets/stocks/tickers"
    ticker = {
        "ticker": "IBM",
        "todaysChangePerc": 1,
        "updated": 1381176000000000000,
        "prevDay": {"c": 184.1, "v": 2 * 10**6},
        "lastQuote": {"P": 184.3, "S": 2, "p": 184.2, "s": 1, "t": 1381176000000000000},
    }
    snapshot = Reply({"status": "OK", "count": 1, "tickers": [ticker]})
    server.answers(path, snapshot, snapshot)
    (row,) = await rest.snapshots()
    assert row.previous_day is not None
    assert row.last_quote is not None
    assert (row.previous_day.close, row.last_quote.ask, row.last_quote.bid) == (184.1, 184.3, 184.2)
    assert row.last_trade is None
    await rest.snapshots(("IBM", "SPY"))
    assert [asked.query for asked in server.asked] == [{}, {"tickers": "IBM,SPY"}]


async def test_the_universe(rest: MassiveRest, server: RestServer) -> None:
    server.answers("/v3/reference/tickers", ok({"ticker": "IBM", "primary_exchange": "XNYS"}))
    (page,) = [page async for page in rest.tickers()]
    assert (page[0].symbol, page[0].primary_exchange) == ("IBM", "XNYS")
    assert server.asked[0].query == {"market": "stocks", "active": "true", "limit": "1000"}


async def test_market_status_and_holidays(rest: MassiveRest, server: RestServer) -> None:
    now = {"market": "extended-hours", "earlyHours": True, "exchanges": {"nyse": "open"}}
    server.answers("/v1/marketstatus/now", Reply(now), Reply({}))
    holiday = {"date": "2026-12-24", "exchange": "NYSE", "status": "early-close", "open": "x"}
    server.answers("/v1/marketstatus/upcoming", Reply([holiday, {}]), Reply({}))
    assert (await rest.market_status()).early_hours is True
    assert [row.status for row in await rest.upcoming_holidays()] == ["early-close"]
    with pytest.raises(Malformed):
        await rest.market_status()
    with pytest.raises(Malformed):
        await rest.upcoming_holidays()


@pytest.mark.parametrize("base", ["", "api.massive.com", "ws://x", "http://", "http://u:p@x"])
async def test_a_bad_address_is_a_usage_error(base: str, time: FakeTime) -> None:
    async with new_session() as session:
        with pytest.raises(UsageError, match="expected http"):
            MassiveRest(base, KEY, session=session, clock=time)


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX: y", "schlüssel"])
async def test_a_key_that_no_header_carries_is_a_usage_error(key: str, time: FakeTime) -> None:
    async with new_session() as session:
        with pytest.raises(UsageError, match="key is empty or holds") as raised:
            MassiveRest("http://localhost", key, session=session, clock=time)
    assert not key or key not in str(raised.value)


async def test_an_outage_costs_a_bounded_number_of_requests(
    rest: MassiveRest, server: RestServer
) -> None:
    server.standing = lambda _: BROKEN
    calls = [rest.previous_close(f"S{number}") for number in range(200)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, TryLater) for outcome in outcomes)
    assert 5 <= len(server.asked) <= 5 + rest.settings.concurrent - 1


async def test_a_refused_key_is_not_shown_again_for_a_minute(
    rest: MassiveRest, server: RestServer, time: FakeTime
) -> None:
    server.standing = lambda _: Reply({"status": "ERROR", "error": "Unknown API Key"}, status=401)
    for _ in range(20):
        with pytest.raises(RefusedByProvider):
            await rest.grouped_day("2013-10-07")
    assert len(server.asked) == 1
    time.now_s += 60
    server.standing = lambda _: ok()
    assert await rest.grouped_day("2013-10-07") == []


async def test_a_long_wait_that_the_provider_asks_for_holds_every_call(
    rest: MassiveRest, server: RestServer, time: FakeTime
) -> None:
    server.answers(GROUPED, Reply(text="", status=429, headers={"Retry-After": "120"}))
    for _ in range(10):
        with pytest.raises(TryLater) as raised:
            await rest.grouped_day("2013-10-07")
        assert raised.value.retry_after_s == pytest.approx(120, abs=1)
    assert len(server.asked) == 1
    assert rest.counts.held_back == 9
    time.now_s += 121
    server.answers(GROUPED, ok())
    await rest.grouped_day("2013-10-07")


class Elsewhere:
    """What other processes with the same key have met."""

    def __init__(self) -> None:
        self.off: dict[str, float] = {}
        self.pause_s = 0.0

    async def look(self, call: str) -> tuple[float, float]:
        return self.off.get(call, 0.0), self.pause_s

    async def switch_off(self, call: str, seconds: float) -> None:
        self.off[call] = seconds

    async def pause(self, seconds: float) -> None:
        self.pause_s = seconds


async def test_processes_with_one_key_tell_each_other_what_it_may_not(
    connect: Connect, server: RestServer
) -> None:
    shared = Elsewhere()
    one, other = connect(shared=shared), connect(shared=shared)
    server.answers("/stocks/vX/float", Reply(NOT_ENTITLED, status=403))
    for rest in (one, other):
        with pytest.raises(NotEntitled):
            [page async for page in rest.floats()]
    assert len(server.asked) == 1
    assert shared.off == {"floats": 3600.0}


async def test_processes_with_one_key_wait_together(
    connect: Connect, server: RestServer, time: FakeTime
) -> None:
    shared = Elsewhere()
    one, other = connect(shared=shared), connect(shared=shared)
    server.answers(GROUPED, Reply(text="", status=429, headers={"Retry-After": "120"}), ok())
    with pytest.raises(TryLater):
        await one.grouped_day("2013-10-07")
    with pytest.raises(TryLater, match="asked to wait 120 s"):
        await other.grouped_day("2013-10-07")
    shared.pause_s = 7.0
    await other.grouped_day("2013-10-07")
    assert time.slept == [7.0]
    assert len(server.asked) == 2
