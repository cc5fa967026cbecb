"""The brokers benchmark on a few ticks: right candles pass, altered ones are noticed."""

from typing import Any

import msgspec
import pytest
import redis

from benchmarks import machine
from benchmarks.broker_line import Line, differences
from benchmarks.broker_market import KINDS, BrokerKind, tape
from benchmarks.brokers import decode_rate, fold_p99_us
from benchmarks.peak import Peak
from tests.servers import RedisServer


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_candle_of_a_broker_is_right(
    kind: BrokerKind, small_peak: Peak, redis_server: RedisServer, redis_url: str
) -> None:
    made = tape(kind, small_peak)
    timing = machine.run_on_loop(Line(made, redis_url).run)
    assert timing.ticks == made.ticks >= small_peak.count
    assert differences(redis_url, [made]) == []
    assert any(len(rows) == 2 for rows in made.candles.values())
    assert fold_p99_us(made) > 0 < decode_rate(made)


def test_what_is_wrong_is_noticed(
    small_peak: Peak, redis_server: RedisServer, redis_url: str
) -> None:
    made = tape(KINDS[2], small_peak)
    machine.run_on_loop(Line(made, redis_url).run)
    with redis.Redis.from_url(redis_url, protocol=2) as store:
        keys: Any = sorted(store.scan_iter("*:candles:IN:*:1m:*"))
        field, packed = next(iter(store.hgetall(keys[0]).items()))
        row = msgspec.msgpack.decode(packed)
        store.hset(keys[0], field, msgspec.msgpack.encode([*row[:5], row[5] + 1, *row[6:]]))
        store.delete(keys[1])
    wrong = differences(redis_url, [made])
    assert any("volume is" in line for line in wrong)
    assert any("missing" in line for line in wrong)


def test_parts_of_the_instruments_make_up_the_whole(small_peak: Peak) -> None:
    kind = KINDS[1]
    whole = tape(kind, small_peak)
    parts = [tape(kind, small_peak, part, 2) for part in range(2)]
    keys = [one.key for part in parts for one in part.instruments]
    assert sorted(keys) == sorted(one.key for one in whole.instruments)
    assert sum(part.ticks for part in parts) == whole.ticks


def test_frames_wait_no_less_than_their_flush_takes(
    small_peak: Peak, redis_server: RedisServer, redis_url: str
) -> None:
    made = tape(KINDS[1], small_peak)
    line = Line(made, redis_url, per_second=40_000.0)
    machine.run_on_loop(line.run)
    waits = line.waits_s()
    assert len(waits) == len(made.frames) - made.handshake
    assert all(0 < wait < 5 for wait in waits)
