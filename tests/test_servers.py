"""The tests' own servers do what the fault tests rely on."""

import os
from pathlib import Path

import aio_pika
import pytest

from tests.conftest import StartRedis
from tests.generated_day import write_generated_day
from tests.servers import QueueInfo, RabbitServer, is_listening


def test_redis_keeps_its_data_over_a_crash_with_an_appendonly_file(
    start_redis: StartRedis,
) -> None:
    server = start_redis(appendonly=True)
    server.call("SET symbol AAPL")
    server.kill()
    assert not is_listening(server.port)
    server.start()
    assert server.call("GET symbol") == b"$4\r\nAAPL\r\n"
    server.stop()
    server.start(wipe=True)
    assert server.call("GET symbol") == b"$-1\r\n"


def test_redis_url_begins_empty(redis_url: str) -> None:
    assert redis_url.startswith("redis://127.0.0.1:")


async def test_rabbitmq_counts_what_a_virtual_host_holds(
    rabbitmq_server: RabbitServer, rabbitmq_vhost: str, rabbitmq_url: str
) -> None:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("trades.0", durable=True)
        await channel.default_exchange.publish(aio_pika.Message(b"batch"), queue.name)
        expected = QueueInfo("trades.0", ready=1, unacknowledged=0, consumers=0)
        assert rabbitmq_server.queue_info(rabbitmq_vhost) == {"trades.0": expected}


@pytest.mark.stops_rabbitmq
async def test_rabbitmq_keeps_durable_queues_and_loses_transient_messages_in_a_restart(
    rabbitmq_server: RabbitServer, rabbitmq_vhost: str, rabbitmq_url: str
) -> None:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("trades.0", durable=True)
        await channel.default_exchange.publish(aio_pika.Message(b"batch"), "trades.0")
    first = rabbitmq_server.pid
    rabbitmq_server.restart()
    assert rabbitmq_server.pid != first
    assert not os.path.exists(f"/proc/{first}")  # noqa: PTH110, ASYNC240
    queue = rabbitmq_server.queue_info(rabbitmq_vhost)["trades.0"]
    assert (queue.ready, queue.consumers) == (0, 0)


def test_generated_days_are_the_same_bytes_for_a_seed(tmp_path: Path) -> None:
    one, two = (write_generated_day(tmp_path / name, seed=7) for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*.zip"))
    assert len(files) == 4 * 2 * 3 + 3 * 2
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)
