"""The registry on a real server keeps the contract."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tapewire.caches.connection import Link
from tapewire.caches.registry import RedisRegistry
from tapewire.runtime.registry import RegistryError
from tests.caches.registry_contract import RegistryContract, Timepiece, report


class TestRedisRegistry(RegistryContract):
    @pytest.fixture
    def time(self) -> Timepiece:
        return Timepiece()

    @pytest.fixture
    async def registry(self, redis_url: str, time: Timepiece) -> AsyncIterator[RedisRegistry]:
        registry = RedisRegistry(redis_url, now_ms=time.ms)
        yield registry
        await registry.close()

    async def test_every_key_has_a_ttl(self, registry: RedisRegistry, redis_url: str) -> None:
        await registry.heartbeat(report())
        with pytest.raises(RegistryError):
            await registry.send("listener", "0", "pause", {}, 0.01)
        command = await registry.take("listener", "0", 1)
        assert command is not None
        sent = asyncio.create_task(registry.send("listener", "0", "pause", {}, 0.01))
        with pytest.raises(RegistryError):
            await sent
        link = Link(redis_url)
        keys = {key.decode() for key in await link.run("KEYS", "*")}
        assert keys == {"report:listener:0", "tapewire:services", "commands:listener:0"}
        for key in keys:
            assert 0 < await link.run("TTL", key) <= 60
        await link.close()
