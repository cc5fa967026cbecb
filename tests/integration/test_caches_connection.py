"""A connection's requests can be cancelled and are bounded, whatever they are doing."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import Link
from tests.conftest import StartRedis

STEPS = 30
"""More turns of the loop than a request takes from its first line to its answer."""

Ask = Callable[[Link], Awaitable[object]]


@pytest.mark.parametrize("is_connected", [False, True])
@pytest.mark.parametrize(
    "ask",
    [lambda link: link.run("PING"), lambda link: link.together([("PING",)], atomic=True)],
    ids=["command", "transaction"],
)
async def test_a_cancelled_request_never_runs_on(
    redis_url: str, ask: Ask, is_connected: bool
) -> None:
    async def ask_and_go_on(link: Link) -> None:
        await ask(link)
        await asyncio.Event().wait()

    for step in range(STEPS):
        link = Link(redis_url)
        if is_connected:
            await link.run("PING")
        asking = asyncio.create_task(ask_and_go_on(link))
        for _ in range(step):
            await asyncio.sleep(0)
        asking.cancel()
        _, pending = await asyncio.wait({asking}, timeout=1.0)
        assert not pending, f"cancelled after {step} turns of the loop, it runs on"
        await link.close()


async def test_a_server_that_does_not_answer_costs_one_timeout_and_says_so(
    start_redis: StartRedis,
) -> None:
    server = start_redis()
    link = Link(server.url, timeout_s=0.2)
    await link.run("PING")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(1.0):
            with pytest.raises(CacheUnavailable, match="not in time"):
                await link.run("PING")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert await link.run("PING") is True
    await link.close()
