"""What is read from the store when somebody first asks for it, and followed from there on."""

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from tapewire.caches.cache import Place

EARLY: Final = 10_000
"""Flushes that are kept while the store is being read (drop_oldest: all, and read again)."""

V = TypeVar("V")


class OnDemand(Generic[V]):
    """A table that is not ready until it was loaded.

    What the change streams bring while the store is being read is kept, and put over what
    was read unless that is as new. Whoever derives from it gives ``take``.
    """

    def __init__(self) -> None:
        self.ready = False
        self._missed = False
        self._early: list[tuple[str, Place, str, V]] = []
        self._floor: Mapping[str, Place] = {}

    def take(self, shard: str, name: str, value: V) -> None:
        """Take in what a flush wrote under this name."""
        raise NotImplementedError

    def unload(self) -> None:
        """Wait for the store again; until then everything stays as it is."""
        self.ready = False
        self._early.clear()
        self._missed = False

    def put(self, shard: str, place: Place, name: str, value: V) -> None:
        """Take in what a flush wrote, now or when the store has been read."""
        if not self.ready:
            self._keep_early(shard, place, name, value)
            return
        floor = self._floor.get(shard)
        if floor is None or place > floor:
            self.take(shard, name, value)

    def _keep_early(self, shard: str, place: Place, name: str, value: V) -> None:
        self._early.append((shard, place, name, value))
        if len(self._early) > EARLY:
            self._early.clear()
            self._missed = True

    def was_overrun(self) -> bool:
        """Whether too much came while the store was read: then it has to be read again."""
        missed, self._missed = self._missed, False
        return missed

    def follow(self, places: Mapping[str, Place]) -> None:
        """It was loaded as of these places: go on from there."""
        self._floor = places
        self.ready = True
        early, self._early = self._early, []
        for entry in early:
            self.put(*entry)
