"""The same hour live and 15 minutes late, a thousand times as fast, through the servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replays import Databases, Stored, databases, environment, started

HOUR = "generator:date=2026-06-15,at=09:10,until=10:10,symbols=300,rate=8"
FAST = ("--queue", "rabbitmq", "--speed", "x1000", "--shards", "2")
"""Clocks follow the events: at wall speed a second would be a quarter of an hour."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Databases]:
    with databases(tmp_path / "redis") as found:
        yield found


def test_a_delayed_feed_ends_in_the_rows_of_the_live_one(
    redis: Databases, rabbitmq_url: str
) -> None:
    urls = [redis.new(), redis.new()]
    envs = [environment(WDC_REDIS_URL=url, RABBITMQ_URL=rabbitmq_url) for url in urls]
    with started("replay", HOUR, *FAST, "--json", env=envs[0]) as live:
        with started("replay", HOUR, *FAST, "--delayed", "--json", env=envs[1]) as delayed:
            results = [each.end().result for each in (live, delayed)]
    for result in results:
        assert (result["gaps"], result["dropped"]) == ([], {})
        assert result["skipped"].keys() <= {"other_length"}  # minute bars, beside second bars
    assert results[0]["events"] == results[1]["events"]
    assert results[0]["events"]["trades"] > 10_000
    dumps = [Stored(url).dump for url in urls]
    assert len(dumps[0]) == len(dumps[1]) > 5_000
    assert dumps[0] == dumps[1]
