"""The in-memory registry keeps the contract."""

import pytest

from tapewire.runtime.registry import MemoryRegistry
from tests.caches.registry_contract import RegistryContract, Timepiece


class TestMemoryRegistry(RegistryContract):
    @pytest.fixture
    def time(self) -> Timepiece:
        return Timepiece()

    @pytest.fixture
    def registry(self, time: Timepiece) -> MemoryRegistry:
        return MemoryRegistry(time.seconds)
