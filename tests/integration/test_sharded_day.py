"""A recorded day in 1, 2 and 4 shards, on as many processors' processes: one dump."""

import pytest

from tests.replays import Replays

MONDAY = "2013-10-07"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shards_and_processors_make_no_difference_to_the_dump(count: int, replays: Replays) -> None:
    alone = replays.of(MONDAY, "--queue", "memory")
    options = ("--shards", str(count), "--processors", str(count)) if count > 1 else ()
    spread = replays.of(MONDAY, "--queue", "rabbitmq", *options)
    assert spread.result["events"] == alone.result["events"]
    assert (spread.result["gaps"], spread.result["dropped"]) == ([], alone.result["dropped"])
    assert len(spread.stored.dump) == len(alone.stored.dump)
    assert spread.stored.dump == alone.stored.dump
    shards = [f"trades.{k}" for k in range(count)]
    applied = [one.applied for one in spread.stored.progress(*shards)]
    assert sum(applied) == alone.result["events"]["trades"]
    assert sum(map(bool, applied)) >= min(count, 2)
