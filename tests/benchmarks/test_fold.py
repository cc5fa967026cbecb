"""The fold benchmark on a few events: right answers pass, every altered one is noticed."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

from benchmarks.answers import SHARD, differences
from benchmarks.batches import bodies_of
from benchmarks.fold import expected_of, previous_closes, references, timed
from benchmarks.frames import DATE, Recording
from benchmarks.oracle import Answers
from benchmarks.peak import Peak
from benchmarks.recorded_day import expected
from tests.servers import RedisServer

Alter = Callable[[Any, str], object]


def change_field(position: int, value: object) -> Callable[[bytes], bytes]:
    def changed(packed: bytes) -> bytes:
        row = msgspec.msgpack.decode(packed)
        row[position] = value
        return msgspec.msgpack.encode(row)

    return changed


def minutes(store: Any, symbol: str) -> bytes:
    """The first block of a symbol's minutes."""
    return bytes(min(store.keys(f"{SHARD}candles:US:{symbol}:1m:{DATE}.*")))


def alter_candle(store: Any, symbol: str) -> None:
    key = minutes(store, symbol)
    start, packed = next(iter(store.hgetall(key).items()))
    store.hset(key, start, change_field(3, 0.5)(packed))


def alter_quote(store: Any, symbol: str) -> None:
    key = f"{SHARD}quote:{DATE}"
    store.hset(key, symbol, change_field(3, 1)(store.hget(key, symbol)))


def lose_candle(store: Any, symbol: str) -> None:
    key = minutes(store, symbol)
    store.hdel(key, next(iter(store.hkeys(key))))


def invent_candle(store: Any, symbol: str) -> None:
    packed = next(iter(store.hvals(minutes(store, symbol))))
    store.hset(f"{SHARD}candles:US:{symbol}X:1m:{DATE}.3", "840", packed)


def alter_score(store: Any, symbol: str) -> None:
    listed = store.zrange(f"{SHARD}top_volume:{DATE}", 0, 0)
    store.zincrby(f"{SHARD}top_volume:{DATE}", 1, listed[0])


def list_somebody_else(store: Any, symbol: str) -> None:
    store.zadd(f"{SHARD}top_gappers:{DATE}", {"NOBODY": 1.0})


def lose_events(store: Any, symbol: str) -> None:
    totals = msgspec.msgpack.decode(store.hget(f"{SHARD}private:progress", "totals"))
    packed = msgspec.msgpack.encode(totals | {"lost": 1})
    store.hset(f"{SHARD}private:progress", "totals", packed)


@pytest.fixture
def folded(small_peak: Peak, redis_server: RedisServer, redis_url: str) -> Answers:
    """A peak folded into Redis, and what must stand there now."""
    closes = previous_closes(small_peak)
    bodies = bodies_of(small_peak.frames())
    timing = timed(bodies, redis_server, references(small_peak, closes))
    assert timing.events == small_peak.count
    return expected_of(small_peak, closes)


def test_every_answer_of_a_peak_is_right(folded: Answers, redis_url: str) -> None:
    assert differences(redis_url, folded) == []
    assert min(len(folded.quotes), len(folded.candles)) > 250
    assert any(len(rows) == 2 for rows in folded.candles.values())


@pytest.mark.parametrize(
    "alter",
    [
        alter_candle,
        alter_quote,
        lose_candle,
        invent_candle,
        alter_score,
        list_somebody_else,
        lose_events,
    ],
)
def test_an_altered_answer_is_noticed(folded: Answers, redis_url: str, alter: Alter) -> None:
    with redis.Redis.from_url(redis_url, protocol=2) as store:
        alter(store, min(folded.quotes))
    assert differences(redis_url, folded)


def test_every_answer_of_a_day_is_right(
    day: Recording, redis_server: RedisServer, redis_url: str
) -> None:
    timed(bodies_of(day.frames), redis_server, (), live=False)
    assert differences(redis_url, expected(day)) == []


def test_frames_of_a_file_are_checked_by_the_plain_oracle(
    day: Recording, redis_server: RedisServer, redis_url: str
) -> None:
    part = Recording("a file", day.frames[:200])
    timed(bodies_of(part.frames), redis_server, (), live=False)
    answers = expected(part)
    assert answers.events == len(list(part.events()))
    assert differences(redis_url, answers) == []
