"""Processors killed in the middle of a recorded day: every candle right, nothing counted twice.

Each kill is proved to find batches that the processor had taken and not acknowledged: it is
frozen first, the broker is asked, and only then it dies.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stage import Stage
from tests.oracles import recorded as oracle
from tests.replays import (
    SYMBOLS,
    Databases,
    Day,
    Ended,
    Replays,
    Stored,
    databases,
    environment,
    started,
    trade_files,
)
from tests.servers import RabbitServer

MONDAY = "2013-10-07"
SECONDS = {True: 5.0, False: 15.0}
"""What the day is stretched to, recorded or generated: kills must land in its middle third,
and while a killed processor starts again a second of it waits in the queue."""

SEED = 20131007
SHARD = "trades.0"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with databases(tmp_path_factory.mktemp("kills") / "redis") as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(replays: Replays) -> Day:
    """The day without kills."""
    return replays.of(MONDAY, "--queue", "memory")


def speed(events: int, recorded: bool) -> str:
    """The ``--speed`` that stretches the day."""
    return f"{round(events / SECONDS[recorded])}/s"


def places(count: int, events: int, chance: random.Random) -> list[int]:
    """Seeded places in the middle third, in order and apart; room is left at its end."""
    third, step = events // 3, events // 3 // (count + 1)
    return [third + round(step * (n + chance.uniform(0.0, 0.4))) for n in range(count)]


def check_same_as_without_kills(
    ended: Ended, stored: Stored, undisturbed: Day, shared: Path, *shards: str
) -> None:
    """The books balance to the event, and every row is what it is without kills."""
    day = {s: oracle.trades(shared / "data", s, MONDAY) for s in SYMBOLS}
    taken_in = sum(map(len, day.values()))
    assert ended.result["events"] == {"trades": taken_in}
    assert (ended.result["gaps"], ended.result["dropped"]) == ([], {})
    progress = stored.progress(*shards)
    assert sum(shard.totals.lost for shard in progress) == 0
    assert sum(shard.applied for shard in progress) == taken_in
    assert sum(shard.totals.events for shard in progress) == taken_in
    assert ended.result["candles"] == undisturbed.result["candles"]
    expected = [
        candle
        for symbol, trades in day.items()
        for candle in oracle.candle_rows(oracle.massive_rule(trades), symbol, MONDAY)
    ]
    assert stored.candles() == expected
    assert stored.dump == undisturbed.stored.dump


def test_a_processor_killed_three_times_leaves_the_same_result(
    shared: Path,
    results: Databases,
    undisturbed: Day,
    rabbitmq_server: RabbitServer,
    rabbitmq_vhost: str,
    recorded: bool,
) -> None:
    events = undisturbed.result["events"]["trades"]
    stored = Stored(results.new())
    env = environment(WDC_REDIS_URL=stored.url, RABBITMQ_URL=rabbitmq_server.url(rabbitmq_vhost))
    options = ("--queue", "rabbitmq", "--speed", speed(events, recorded), "--json")
    with started("replay", *trade_files(shared, MONDAY), *options, env=env) as replay:
        stage = Stage(replay, stored, rabbitmq_server, rabbitmq_vhost)
        first, second, third = places(3, events, random.Random(SEED))
        kills = [
            stage.kill(0, ".trades", first, SHARD),
            stage.kill_in_a_flush(0, ".trades", second, results.pid, SHARD),
            stage.kill(0, ".trades", third, SHARD),
        ]
        ended = replay.end()
    assert all(kill.unacknowledged > 0 for kill in kills)
    assert all(events / 3 <= kill.applied <= 2 * events / 3 for kill in kills)
    check_same_as_without_kills(ended, stored, undisturbed, shared, SHARD)


def test_one_of_two_processors_killed_leaves_the_same_result(
    shared: Path,
    results: Databases,
    undisturbed: Day,
    rabbitmq_server: RabbitServer,
    rabbitmq_vhost: str,
    recorded: bool,
) -> None:
    events = undisturbed.result["events"]["trades"]
    chance = random.Random(SEED)
    stored = Stored(results.new())
    shards = ("trades.0", "trades.1")
    env = environment(WDC_REDIS_URL=stored.url, RABBITMQ_URL=rabbitmq_server.url(rabbitmq_vhost))
    options = (
        "--queue",
        "rabbitmq",
        "--shards",
        "2",
        "--processors",
        "2",
        "--speed",
        speed(events, recorded),
    )
    with started("replay", *trade_files(shared, MONDAY), *options, "--json", env=env) as replay:
        stage = Stage(replay, stored, rabbitmq_server, rabbitmq_vhost)
        victim = chance.randrange(2)
        (place,) = places(1, events, chance)
        kill = stage.kill(victim, f".trades.{victim}", place, *shards)
        ended = replay.end()
    assert kill.unacknowledged > 0
    assert events / 3 <= kill.applied <= 2 * events / 3
    check_same_as_without_kills(ended, stored, undisturbed, shared, *shards)
