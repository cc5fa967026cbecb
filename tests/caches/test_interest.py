"""Interest in symbols ends by itself; processors are told what is watched and what is not."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.interest import Interest, MemoryInterest, RedisInterest, keep_telling
from tapewire.model.rows import WATCHED, Fact


class Clock:
    now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
async def interest(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Interest]:
    made: MemoryInterest | RedisInterest = MemoryInterest(now_ms=clock)
    if request.param == "redis":
        made = RedisInterest(request.getfixturevalue("redis_url"), now_ms=clock)
    yield made
    await made.close()


async def test_interest_ends_unless_it_is_renewed(interest: Interest, clock: Clock) -> None:
    assert await interest.watched() == []
    await interest.renew(["IBM", "AIG"])
    clock.now_ms += 20_000
    await interest.renew(["AIG"])
    await interest.renew([])
    assert await interest.watched() == ["AIG", "IBM"]
    clock.now_ms += 10_000
    assert await interest.watched() == ["AIG"]
    clock.now_ms += 20_000
    assert await interest.watched() == []


async def test_interest_is_bounded(interest: Interest, clock: Clock) -> None:
    await interest.renew(["OLD"])
    clock.now_ms += 1
    await interest.renew(f"S{number:05}" for number in range(10_000))
    watched = await interest.watched()
    assert len(watched) == 10_000
    assert "OLD" not in watched


class Scripted:
    """An interest whose answers are given; None is no answer."""

    def __init__(self, *answers: list[str] | None) -> None:
        self._answers = list(answers)

    async def renew(self, symbols: object) -> None: ...

    async def watched(self) -> list[str]:
        answer = self._answers.pop(0)
        if answer is None:
            raise CacheUnavailable("no answer")
        return answer

    async def sleep(self, seconds: float) -> None:
        if not self._answers:
            raise asyncio.CancelledError


async def test_all_that_is_watched_is_told_each_time_and_once_what_no_longer_is() -> None:
    told: list[list[tuple[str, object]]] = []

    def learn(facts: Sequence[Fact]) -> None:
        assert all(fact.field == WATCHED for fact in facts)
        told.append([(fact.symbol, fact.value) for fact in facts])

    script = Scripted([], ["AIG"], None, ["AIG", "IBM"], ["IBM"], [], [])
    with pytest.raises(asyncio.CancelledError):
        await keep_telling(script, learn, sleep=script.sleep)
    assert told == [
        [("AIG", True)],
        [("AIG", True)],
        [("AIG", True), ("IBM", True)],
        [("AIG", False), ("IBM", True)],
        [("IBM", False)],
    ]
