"""The rabbitmq benchmark on a few events, with its real processes."""

from pathlib import Path

import redis

from benchmarks.answers import SHARD, differences
from benchmarks.fold import expected_of, previous_closes
from benchmarks.frames import DATE
from benchmarks.peak import Peak
from benchmarks.rabbitmq import Servers, through
from tests.servers import RabbitServer, RedisServer


def test_a_peak_goes_through_processes_of_its_own(
    small_peak: Peak,
    rabbitmq_server: RabbitServer,
    redis_server: RedisServer,
    redis_url: str,
    tmp_path: Path,
) -> None:
    rabbitmq_server.start()
    timing = through(Servers(rabbitmq_server, redis_server, tmp_path), small_peak)
    expected = expected_of(small_peak, previous_closes(small_peak))
    assert timing.events == small_peak.count
    assert differences(redis_url, expected) == []
    with redis.Redis.from_url(redis_url, protocol=2) as store:
        store.hdel(f"{SHARD}quote:{DATE}", min(expected.quotes))
    assert len(differences(redis_url, expected)) == 1
