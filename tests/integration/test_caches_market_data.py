"""Look-ups over a real server: how often the provider is asked, and who waits for it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import Link
from tapewire.caches.keys import MarketDataCacheKeys as Keys
from tapewire.caches.keys import MarketDataCacheTTL as Ttl
from tapewire.caches.kinds import KINDS
from tapewire.caches.known import (
    Fetched,
    FetchFailed,
    FetchRefused,
    Found,
    FoundMarket,
    Nothing,
    NotYet,
    Refused,
    Source,
)
from tapewire.caches.market_data_cache import CacheBounds, MarketDataCache
from tapewire.caches.reference import Loaded, ReferenceCache
from tapewire.market.sessions import SessionCalendar
from tapewire.model.rows import Reference
from tests.conftest import StartRedis

QUICK = CacheBounds(wait_s=5.0, flight_s=0.3, failed_s=5.0)


class Wall:
    """A wall clock that the test turns; Friday noon in New York."""

    def __init__(self) -> None:
        self.now_ms = int(datetime(2026, 11, 20, 17, tzinfo=UTC).timestamp() * 1000)

    def __call__(self) -> int:
        return self.now_ms

    def pass_s(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


class Provider:
    """Answers with the number of the asking, unless told otherwise; counts who asked for what."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.answer: Callable[[str], Fetched] = lambda argument: value(
            argument, sum(self.asked.values())
        )
        self.trouble: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, call: str, argument: str) -> Fetched:
        self.asked[call, argument] += 1
        await self.free.wait()
        if self.trouble:
            raise self.trouble
        return self.answer(argument)

    @property
    def calls(self) -> int:
        return sum(self.asked.values())


def value(symbol: str, number: int) -> Found:
    return Found(json.dumps({"symbol": symbol, "number": number}).encode())


Open = Callable[..., MarketDataCache]


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def provider() -> Provider:
    return Provider()


@asynccontextmanager
async def caches(url: str, provider: Provider, wall: Wall) -> AsyncIterator[Open]:
    link, opened = Link(url), list[MarketDataCache]()

    def open_one(fetch: Provider | None = provider, **options: object) -> MarketDataCache:
        options = {"bounds": QUICK, "jitter": lambda: 0.5} | options
        calendar = SessionCalendar.load("XNYS")
        cache = MarketDataCache(link, fetch, calendar, "sim", now_ms=wall, **options)  # type: ignore[arg-type]
        opened.append(cache)
        return cache

    yield open_one
    for cache in opened:
        await cache.close()
    await link.close()


@pytest.fixture
async def open_cache(redis_url: str, provider: Provider, wall: Wall) -> AsyncIterator[Open]:
    async with caches(redis_url, provider, wall) as open_one:
        yield open_one


@pytest.fixture
def cache(open_cache: Open) -> MarketDataCache:
    return open_cache()


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - what is waited for is any state
            await asyncio.sleep(0.005)


async def test_what_was_asked_for_is_known(cache: MarketDataCache, wall: Wall) -> None:
    first = await cache.lookup("splits", "AIG")
    wall.pass_s(60)
    second = await cache.lookup("splits", "AIG")
    assert first.value() == second.value() == {"symbol": "AIG", "number": 1}
    assert (first.age_ms, second.age_ms, second.stale) == (0, 60_000, False)
    assert (cache.counts.calls, cache.counts.hits) == (1, 2)


async def test_ten_look_ups_of_a_symbol_without_data_make_one_call(
    cache: MarketDataCache, provider: Provider, wall: Wall
) -> None:
    provider.answer = lambda _: Nothing("Ticker not found.")
    for _ in range(10):
        known = await cache.lookup("ticker_details", "NONE")
        assert (known.body, known.reason) == (None, "Ticker not found.")
    assert provider.calls == 1
    assert cache.counts.negative == 10
    wall.pass_s(KINDS["ticker_details"].negative_s + 1)
    provider.answer = lambda symbol: value(symbol, 2)
    assert (await cache.lookup("ticker_details", "NONE")).stale
    await until(lambda: provider.calls == 2)
    await cache.close()
    assert (await cache.lookup("ticker_details", "NONE")).value() is not None


async def test_fifty_at_once_make_one_call(cache: MarketDataCache, provider: Provider) -> None:
    provider.free.clear()
    asking = [asyncio.create_task(cache.lookup("splits", "AIG")) for _ in range(50)]
    await until(lambda: provider.calls == 1)
    provider.free.set()
    known = await asyncio.gather(*asking)
    assert provider.calls == 1
    assert {one.body for one in known} == {known[0].body}
    assert cache.counts.waited == 49


async def test_fifty_at_once_of_two_caches_make_one_call(
    open_cache: Open, provider: Provider
) -> None:
    two = open_cache(), open_cache()
    provider.free.clear()
    asking = [asyncio.create_task(two[n % 2].lookup("splits", "AIG")) for n in range(50)]
    await until(lambda: provider.calls == 1 and sum(one.counts.waited for one in two) == 49)
    provider.free.set()
    assert len({known.body for known in await asyncio.gather(*asking)}) == 1
    assert provider.calls == 1


async def test_a_stale_value_is_given_at_once_and_asked_for_behind_it(
    cache: MarketDataCache, provider: Provider, wall: Wall
) -> None:
    await cache.lookup("last_trade", "AIG")
    wall.pass_s(6)
    provider.free.clear()
    for _ in range(20):
        known = await cache.lookup("last_trade", "AIG")
        assert (known.stale, known.age_ms, known.value()["number"]) == (True, 6000, 1)
    await until(lambda: provider.calls == 2)
    provider.free.set()
    await cache.close()  # lets nothing hang; the flight may or may not have landed
    again = await cache.lookup("last_trade", "AIG")
    assert again.value()["number"] in (1, 2)


async def test_warm_answers_never_wait_for_a_provider_that_is_gone(
    cache: MarketDataCache, provider: Provider, wall: Wall
) -> None:
    await cache.lookup("last_trade", "AIG")
    provider.trouble = FetchFailed("the provider is down")
    for _ in range(100):
        wall.pass_s(1)
        known = await asyncio.wait_for(cache.lookup("last_trade", "AIG"), 1)
        assert known.value()["number"] == 1
    await until(lambda: not cache._flights)
    assert (await cache.lookup("last_trade", "AIG")).stale
    # Stale after 5 s, then tried once in 5 s at most: 100 s / 5 s.
    assert provider.calls <= 20
    assert cache.counts.stale >= 95


async def test_an_outage_is_not_asked_again_at_once(
    cache: MarketDataCache, provider: Provider, wall: Wall
) -> None:
    provider.trouble = FetchFailed("the provider is down", 30.0)
    for _ in range(50):
        with pytest.raises(NotYet, match="the provider is down") as raised:
            await cache.lookup("splits", "AIG")
        assert raised.value.retry_after_s == pytest.approx(30)
    assert provider.calls == 1
    assert cache.counts.failed == 50


async def test_what_the_plan_lacks_is_refused_without_asking_again(
    open_cache: Open, provider: Provider
) -> None:
    provider.trouble = FetchRefused("the plan does not include it")
    for _ in range(2):
        with pytest.raises(Refused, match="the plan does not include it"):
            await open_cache().lookup("short_interest", "AIG")
    assert provider.calls == 1


async def test_when_whoever_asks_dies_the_next_one_goes_on(
    open_cache: Open, provider: Provider, redis_url: str
) -> None:
    link = Link(redis_url)
    flight = Keys.known("sim", "splits", "AIG", "flight")
    await link.run("SET", flight, "a process that was killed", "PX", 200)
    cache = open_cache()
    assert (await cache.lookup("splits", "AIG")).value()["number"] == 1
    assert (cache.counts.taken_over, provider.calls) == (1, 1)
    await link.close()


async def test_whoever_asks_for_long_keeps_its_flight(open_cache: Open, provider: Provider) -> None:
    one, other = open_cache(), open_cache()
    provider.free.clear()
    first = asyncio.create_task(one.lookup("splits", "AIG"))
    await until(lambda: provider.calls == 1)
    second = asyncio.create_task(other.lookup("splits", "AIG"))
    await asyncio.sleep(3 * QUICK.flight_s)
    provider.free.set()
    assert (await first).body == (await second).body
    assert provider.calls == 1


async def test_a_flight_that_was_lost_meanwhile_writes_nothing(
    cache: MarketDataCache, provider: Provider, redis_url: str
) -> None:
    link = Link(redis_url)
    provider.free.clear()
    asking = asyncio.create_task(cache.lookup("splits", "AIG"))
    await until(lambda: provider.calls == 1)
    await link.run("SET", Keys.known("sim", "splits", "AIG", "flight"), "somebody else")
    provider.free.set()
    assert (await asking).value()["number"] == 1
    assert await link.run("EXISTS", Keys.known("sim", "splits", "AIG", "value")) == 0
    assert await link.run("GET", Keys.known("sim", "splits", "AIG", "flight")) == b"somebody else"
    await link.close()


async def test_a_cache_that_closes_lets_the_next_one_ask_at_once(
    open_cache: Open, provider: Provider
) -> None:
    one, other = open_cache(), open_cache()
    provider.free.clear()
    first = asyncio.create_task(one.lookup("splits", "AIG"))
    await until(lambda: provider.calls == 1)
    await one.close()
    with pytest.raises(NotYet, match="stopped while asking"):
        await first
    provider.free.set()
    assert (await other.lookup("splits", "AIG")).value() is not None
    assert other.counts.waited == 0


async def test_nobody_waits_longer_than_the_bound(open_cache: Open, provider: Provider) -> None:
    cache = open_cache(bounds=CacheBounds(wait_s=0.05))
    provider.free.clear()
    with pytest.raises(NotYet, match="no answer in time"):
        await cache.lookup("splits", "AIG")
    provider.free.set()
    await until(lambda: not cache._flights)
    assert (await cache.lookup("splits", "AIG")).value() is not None
    assert provider.calls == 1


async def test_one_answer_for_the_whole_market_serves_every_symbol(
    cache: MarketDataCache, provider: Provider, wall: Wall
) -> None:
    bodies = {f"S{number}": value(f"S{number}", number).body for number in range(5000)}
    provider.answer = lambda _: FoundMarket(bodies)
    market = await cache.lookup("snapshots")
    assert len(market.value()) == 5000
    known = await cache.lookup("snapshot", "S7")
    absent = await cache.lookup("snapshot", "NONE")
    assert (known.value(), known.source) == ({"symbol": "S7", "number": 7}, Source.MARKET)
    assert (absent.body, absent.source) == (None, Source.MARKET)
    assert provider.calls == 1
    wall.pass_s(61)
    provider.answer = lambda symbol: value(symbol, 100)
    assert (await cache.lookup("snapshot", "S7")).stale
    await until(lambda: provider.asked["snapshot", "S7"] == 1 and not cache._flights)
    again = await cache.lookup("snapshot", "S7")
    assert (again.value()["number"], again.source, again.stale) == (100, Source.ITSELF, False)


async def test_reference_rows_that_were_loaded_answer_without_a_call(
    cache: MarketDataCache, provider: Provider, wall: Wall, redis_url: str
) -> None:
    rows = ReferenceCache(redis_url)
    row = Reference("AIG", "2026-11-20", prev_day_close=50.0, avg_volume=1e6)
    await rows.put("2026-11-20", [row])
    loaded = Loaded("2026-11-20", "2026-11-20", loaded_ms=wall.now_ms - 1000, provider="sim")
    await rows.mark_loaded(loaded)
    close = await cache.lookup("previous_day", "AIG")
    average = await cache.lookup("average_volume", "AIG")
    assert (close.value()["close"], close.age_ms, close.source) == (50.0, 1000, Source.ROWS)
    assert average.value() == {"symbol": "AIG", "avg_volume": 1e6}
    assert provider.calls == 0
    assert (await cache.lookup("free_float", "AIG")).source is Source.ITSELF
    assert provider.calls == 1
    await rows.close()


async def test_a_daily_value_is_stale_from_the_days_turn_on(
    cache: MarketDataCache, wall: Wall
) -> None:
    wall.now_ms = int(datetime(2026, 11, 20, 8, 59, tzinfo=UTC).timestamp() * 1000)
    assert not (await cache.lookup("previous_day", "AIG")).stale
    wall.pass_s(61)
    assert (await cache.lookup("previous_day", "AIG")).stale


async def test_lives_are_spread_by_a_tenth(open_cache: Open, wall: Wall, redis_url: str) -> None:
    link = Link(redis_url)
    kind = KINDS["splits"]
    for jitter, factor in ((0.0, 0.9), (1.0, 1.1)):
        symbol = f"S{jitter:g}"
        await open_cache(jitter=lambda drawn=jitter: drawn).lookup("splits", symbol)
        ttl_s = await link.run("TTL", Keys.known("sim", "splits", symbol, "value"))
        assert ttl_s == pytest.approx(kind.fresh_s * factor + kind.stale_s, abs=2)
        assert ttl_s <= Ttl.known_s("splits")
    await link.close()


async def test_a_value_that_is_too_large_is_not_kept(
    cache: MarketDataCache, provider: Provider
) -> None:
    provider.answer = lambda _: Found(b"x" * (KINDS["logo"].max_bytes + 1), "image/svg+xml")
    with pytest.raises(NotYet, match="at most 1048576 are kept"):
        await cache.lookup("logo", "AIG")


async def test_a_picture_comes_back_byte_by_byte(
    cache: MarketDataCache, provider: Provider
) -> None:
    provider.answer = lambda _: Found(b"\x89PNG\x00\xff", "image/png")
    for _ in range(2):
        known = await cache.lookup("icon", "AIG")
        assert (known.body, known.content_type) == (b"\x89PNG\x00\xff", "image/png")
        assert known.value() is None


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("weather", "AIG"), ("splits", ""), ("splits", "A B"), ("splits", "A}"), ("snapshots", "A")],
)
async def test_what_cannot_be_asked_for_is_said_so(
    cache: MarketDataCache, kind: str, argument: str
) -> None:
    with pytest.raises(ValueError, match="expected"):
        await cache.lookup(kind, argument)


async def test_a_reader_without_a_provider_shows_what_is_there(
    open_cache: Open, cache: MarketDataCache
) -> None:
    reader = open_cache(fetch=None)
    assert await reader.peek("splits", "AIG") is None
    with pytest.raises(NotYet, match="nothing is known of splits AIG"):
        await reader.lookup("splits", "AIG")
    await cache.lookup("splits", "AIG")
    known = await reader.peek("splits", "AIG")
    assert known is not None
    assert known.value()["number"] == 1


async def test_too_many_at_once_stand_in_line(open_cache: Open, provider: Provider) -> None:
    cache = open_cache(bounds=CacheBounds(flights=4))
    provider.free.clear()
    asking = [asyncio.create_task(cache.lookup("splits", f"S{n}")) for n in range(20)]
    await until(lambda: provider.calls == 4)
    await asyncio.sleep(0.05)
    assert provider.calls == 4
    provider.free.set()
    await asyncio.gather(*asking)
    assert provider.calls == 20


async def test_without_its_server_a_look_up_says_so_and_goes_on_later(
    start_redis: StartRedis, provider: Provider, wall: Wall
) -> None:
    server = start_redis()
    async with caches(server.url, provider, wall) as open_one:
        cache = open_one()
        await cache.lookup("splits", "AIG")
        server.stop()
        with pytest.raises(CacheUnavailable):
            await cache.lookup("splits", "AIG")
        server.start()
        assert (await cache.lookup("splits", "BAC")).value() is not None


async def test_yesterdays_rows_do_until_todays_are_loaded(
    cache: MarketDataCache, provider: Provider, wall: Wall, redis_url: str
) -> None:
    rows = ReferenceCache(redis_url)
    provider.trouble = FetchFailed("the provider is down")
    for date, close in (("2026-11-19", 49.0), ("2026-11-20", 50.0)):
        await rows.put(date, [Reference("AIG", date, prev_day_close=close)])
        await rows.mark_loaded(Loaded(date, date, wall.now_ms, provider="sim"))
        known = await asyncio.wait_for(cache.lookup("previous_day", "AIG"), 1)
        assert (known.value()["close"], known.stale) == (close, date == "2026-11-19")
    newest = await rows.newest()
    assert newest is not None
    assert newest.date == "2026-11-20"
    await rows.close()
