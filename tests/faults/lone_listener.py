"""A listener in a process of its own, to be frozen or killed.

Arguments: the provider's URL, RabbitMQ's, Redis's, seconds that its lease lasts.
"""

import asyncio
import os
import sys
from typing import Final

from tapewire.caches.connection import Link
from tapewire.caches.lease import RedisLease
from tapewire.model.streams import Stream
from tapewire.providers.massive.client import MassiveClient
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.rabbitmq import RabbitQueue
from tapewire.services.listener import ListenerBounds, MassiveDataListener

SHARDS: Final = {Stream.TRADES: 1}
LEASE: Final = "massive:tests"


def lease_of(link: Link, holder: str, ttl_s: float) -> RedisLease:
    """The lease that every listener of these tests asks for."""
    return RedisLease(link, LEASE, holder, ttl_s)


async def listen(provider: str, rabbitmq: str, redis: str, ttl_s: float) -> None:
    """Listen until the source or somebody else ends it."""
    link = Link(redis)
    queue = RabbitQueue(rabbitmq, QueueLayout.lossless("", SHARDS), name="lone listener")
    await queue.start()
    listener = MassiveDataListener(
        MassiveClient(f"{provider}/stocks", "secret", ["T.*"], once=True),
        queue,
        lease_of(link, f"lone {os.getpid()}", ttl_s),
        shards=SHARDS,
        bounds=ListenerBounds(lease_ttl_s=ttl_s, heartbeat_s=0.2),
    )
    await listener.start()
    try:
        await listener.wait()
    finally:
        await listener.stop()
        await queue.stop()
        await link.close()


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
