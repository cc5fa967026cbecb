"""What ``tapewire replay`` refuses, where its result stays, and what it leaves behind."""

import json
from pathlib import Path

import pytest

from tapewire.caches.widget_cache import RedisWidgetCache
from tests.caches.rows import write_market
from tests.replays import environment, tapewire, trade_files
from tests.servers import RabbitServer

MONDAY = "2013-10-07"


@pytest.fixture
def ibm(shared: Path) -> str:
    """One symbol's day."""
    (source,) = trade_files(shared, MONDAY, symbols=["IBM"])
    return source


@pytest.fixture
def embedded(tmp_path: Path) -> dict[str, str]:
    """Settings without any server: what is kept is kept in a folder."""
    return environment(TAPEWIRE_DATA_DIR=str(tmp_path / "data"))


async def test_a_redis_with_live_data_is_refused_and_left_alone(redis_url: str, ibm: str) -> None:
    cache = RedisWidgetCache(redis_url)
    await write_market(cache, ["AIG", "IBM"], 2)
    before = {shard: await cache.names(shard) for shard in await cache.shards()}
    ended = tapewire("replay", ibm, env=environment(WDC_REDIS_URL=redis_url))
    assert ended.code == 2
    assert "WDC_REDIS_URL holds the data of a live system" in ended.stderr
    assert ended.stdout == ""
    assert {shard: await cache.names(shard) for shard in await cache.shards()} == before
    await cache.close()


def test_several_processors_need_rabbitmq(ibm: str, embedded: dict[str, str]) -> None:
    ended = tapewire("replay", ibm, "--queue", "memory", "--processors", "2", env=embedded)
    assert ended.code == 2
    assert "--queue rabbitmq" in ended.stderr
    assert "one processor" in ended.stderr


@pytest.mark.parametrize(
    ("source", "what_could_be"),
    [
        ("nowhere.zip", "lean:PATH"),
        ("csv:day.csv", "flatfile:PATH"),
        ("lean:nowhere", "expected a recorded zip or a folder of them"),
        ("generator:x=1", "expected of seed="),
    ],
)
def test_an_unknown_source_is_a_usage_error(
    source: str, what_could_be: str, embedded: dict[str, str]
) -> None:
    ended = tapewire("replay", source, "--json", env=embedded)
    assert ended.code == 2
    assert source.rpartition(":")[2] in ended.stderr
    assert what_could_be in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("options", [["--speed", "fast"], ["--ttl", "0"], ["--shards", "0"]])
def test_an_option_out_of_range_is_a_usage_error(
    options: list[str], ibm: str, embedded: dict[str, str]
) -> None:
    ended = tapewire("replay", ibm, *options, env=embedded)
    assert ended.code == 2
    assert options[0] in ended.stderr


@pytest.mark.parametrize(
    ("setting", "url"),
    [("RABBITMQ_URL", "amqp://127.0.0.1:1/"), ("WDC_REDIS_URL", "redis://127.0.0.1:1/0")],
)
def test_a_server_that_does_not_answer_is_exit_code_4(
    setting: str, url: str, ibm: str, embedded: dict[str, str]
) -> None:
    ended = tapewire("replay", ibm, "--queue", "rabbitmq", env=embedded | {setting: url})
    assert ended.code == 4
    assert "127.0.0.1:1" in ended.stderr


def test_the_result_stays_readable_in_the_embedded_server(
    ibm: str, embedded: dict[str, str]
) -> None:
    result = tapewire("replay", ibm, "--json", env=embedded).result
    candles = tapewire("candles", "IBM", "--interval", "1m", "--json", env=embedded).lines
    assert len(candles) == result["candles"] > 0
    dumped = tapewire("dump", env=embedded).lines
    assert len(dumped) > len(candles)
    assert tapewire("dump", env=embedded).lines == dumped


def test_a_replay_over_rabbitmq_into_the_embedded_server_ends_in_the_same_rows(
    ibm: str,
    embedded: dict[str, str],
    tmp_path: Path,
    rabbitmq_server: RabbitServer,
    rabbitmq_vhost: str,
) -> None:
    elsewhere = environment(TAPEWIRE_DATA_DIR=str(tmp_path / "other"))
    broker = {"RABBITMQ_URL": rabbitmq_server.url(rabbitmq_vhost)}
    assert tapewire("replay", ibm, "--json", env=embedded).code == 0
    result = tapewire("replay", ibm, "--queue", "rabbitmq", "--json", env=elsewhere | broker).result
    assert (result["gaps"], result["skipped"]) == ([], {})
    assert tapewire("dump", env=elsewhere).lines == tapewire("dump", env=embedded).lines
    assert rabbitmq_server.queue_info(rabbitmq_vhost) == {}


def test_progress_and_notes_stay_out_of_the_result(ibm: str, embedded: dict[str, str]) -> None:
    ended = tapewire("replay", ibm, "--json", env=embedded)
    (line,) = ended.stdout.splitlines()
    assert json.loads(line).keys() == {
        "events",
        "batches",
        "skipped",
        "dropped",
        "gaps",
        "candles",
        "seconds",
        "events_per_second",
    }
    assert ended.stderr == ""
