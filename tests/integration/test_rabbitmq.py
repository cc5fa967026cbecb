"""The RabbitMQ queue against a real server: the contract, and what only a server can do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tapewire.model.streams import Shard, Stream
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.rabbitmq import RabbitQueue
from tests.queues.contract import QueueContract


class RabbitWorld:
    """A virtual host of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queues: list[RabbitQueue] = []

    async def queue(
        self, *, ttl_ms: int = 0, max_bytes: int = 0, prefetch: int = 500
    ) -> RabbitQueue:
        layout = QueueLayout(ttl_ms=ttl_ms, max_bytes=max_bytes)
        queue = RabbitQueue(self.url, layout, prefetch=prefetch)
        self.queues.append(queue)
        await queue.start()
        return queue

    async def elapse(self, milliseconds: int) -> None:
        await asyncio.sleep(milliseconds / 1000)

    async def close(self) -> None:
        for queue in self.queues:
            await queue.stop()


@pytest.fixture
async def broker(rabbitmq_url: str) -> AsyncIterator[RabbitWorld]:
    world = RabbitWorld(rabbitmq_url)
    yield world
    await world.close()


class TestRabbitQueue(QueueContract):
    """The contract, over a broker."""
