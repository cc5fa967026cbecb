"""The in-memory store of reference rows keeps the contract."""

import pytest

from tapewire.caches.reference import MemoryReference
from tests.caches.reference_contract import ReferenceStoreContract


class TestMemoryReference(ReferenceStoreContract):
    @pytest.fixture
    def store(self) -> MemoryReference:
        return MemoryReference()
