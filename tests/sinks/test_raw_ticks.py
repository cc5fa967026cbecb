"""The list of raw ticks: what comes into it, how long it grows, what an outage costs."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tapewire.caches.connection import Link
from tapewire.caches.keys import EarlierEngineKeys as Keys
from tapewire.model.batch import Batch
from tapewire.model.events import Trade
from tapewire.model.streams import Stream
from tapewire.providers import tick_wire
from tapewire.providers.circuit_breaker import BreakerState, CircuitBreaker
from tapewire.providers.tick_filter import TickFilter, TickRules
from tapewire.sinks.raw_ticks import RawTicks
from tests.conftest import StartRedis
from tests.services.ticks import FUTURE, RELIANCE, tick

NOBODY = "redis://127.0.0.1:1"


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[Link]:
    link = Link(redis_url)
    yield link
    await link.close()


def raw(link: Link, rules: TickRules | None = None, clock: Clock | None = None) -> RawTicks:
    passes = TickFilter(rules) if rules else None
    return RawTicks(link, passes, CircuitBreaker(clock or Clock()))


async def listed(link: Link) -> list[dict[str, Any]]:
    return [json.loads(text) for text in await link.run("LRANGE", Keys.RAW_TICKS, 0, -1)]


async def test_ticks_are_objects_in_order_as_they_were_decoded(link: Link) -> None:
    ticks = [tick(FUTURE, 100.05, 75, "09:15:01"), tick(RELIANCE, 1_310.0, None, "09:15:02")]
    batch = Batch("brokers", Stream.TICKS, 0, "b", 1, 0, 2, 0, tick_wire.encode(ticks))
    sink = raw(link)
    assert sink.around(tick_wire.decode)(batch).events == tick_wire.decode(batch).events
    await sink.flush()
    first, second = await listed(link)
    assert first == {
        "broker": "upstox", "exchange": "NSE_FO", "token": "8765", "symbol": "NIFTY26NOVFUT",
        "last_price": 100.05, "last_size": 1, "day_volume": 75, "open_interest": None,
        "timestamp_ms": ticks[0].timestamp_ms, "received_ns": 0, "flags": 0,
    }  # fmt: skip
    assert (second["token"], second["day_volume"]) == ("2885", None)
    assert 0 < await link.run("TTL", Keys.RAW_TICKS) <= Keys.TTL_S


async def test_what_is_not_valid_or_does_not_pass_stays_out(link: Link) -> None:
    sink = raw(link, TickRules(sample=2, deny=frozenset({"NSE_EQ"})))
    bad = tick(FUTURE, -1.0, 75, "09:15:01")
    prices = [tick(FUTURE, 100.0 + k, 75 * k, "09:15:02") for k in range(4)]
    sink.take([bad, *prices, tick(RELIANCE, 1.0, 5, "09:15:03"), Trade("AIG", 1.0, 1, 1)])
    await sink.flush()
    assert [one["last_price"] for one in await listed(link)] == [100.0, 102.0]


async def test_the_list_keeps_its_newest(link: Link) -> None:
    sink = raw(link)
    total = Keys.RAW_TICKS_KEPT + 1_500
    same = tick(FUTURE, 1.0, 1, "09:15:01")
    for _ in range(total // 500):
        sink.take([same] * 500)
        if len(sink._waiting) >= 5_000:
            await sink.flush()
    sink.take([tick(FUTURE, 2.0, 1, "09:15:02")])
    await sink.flush()
    assert await link.run("LLEN", Keys.RAW_TICKS) == Keys.RAW_TICKS_KEPT
    assert json.loads(await link.run("LINDEX", Keys.RAW_TICKS, -1))["last_price"] == 2.0
    assert sink.counts == {"written": total + 1, "dropped": 0}


async def test_an_outage_opens_the_breaker_and_loses_nothing_that_would_be_kept(
    start_redis: StartRedis,
) -> None:
    redis, clock = start_redis(), Clock()
    link = Link(redis.url, timeout_s=1.0)
    sink = raw(link, clock=clock)
    redis.stop()
    sink.take([tick(FUTURE, 1.0, 1, "09:15:01")])
    for _ in range(6):
        await sink.flush()
    assert sink._breaker.state is BreakerState.OPEN
    assert sink._breaker.counts.failed == 5, "the sixth was not even tried"
    sink.take([tick(FUTURE, 2.0, 2, "09:15:02")])
    redis.start()
    await sink.flush()
    assert sink.counts["written"] == 0, "it is open still"
    clock.now_s = 11.0
    await sink.flush()
    assert [one["last_price"] for one in await listed(link)] == [1.0, 2.0]
    await link.close()


async def test_what_waits_is_bounded_by_what_would_be_kept() -> None:
    link = Link(NOBODY, timeout_s=0.2)
    sink = raw(link)
    same = [tick(FUTURE, 1.0, 1, "09:15:01")] * 10_000
    for _ in range(11):
        sink.take(same)
    assert sink.counts["dropped"] == 10_000
    await sink.flush()
    assert sink.counts == {"dropped": 10_000}, "what could not be written waits on"
    sink.take(same[:1])
    assert sink.counts["dropped"] == 10_001
    await link.close()
