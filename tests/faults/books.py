"""What a finished run of the data path says of itself, and how its end is waited for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tapewire.caches.cache import CacheUnavailable, Place, WidgetCache
from tapewire.caches.reader import WidgetReader
from tapewire.model.changes import PRIVATE
from tapewire.model.events import Gap
from tapewire.model.positions import Positions
from tapewire.model.streams import Shard
from tapewire.runtime.service import Report
from tapewire.services.processor import MassiveDataProcessor
from tapewire.services.shard_owner import ShardOwner
from tapewire.services.shard_state import PROGRESS, Totals, decode_totals
from tests.faults.day import Candle

_T = TypeVar("_T")


async def until(happened: Callable[[], object], within_s: float = 15.0) -> None:
    """Wait for something that nobody signals; TimeoutError when it does not happen."""
    async with asyncio.timeout(within_s):
        while not happened():  # noqa: ASYNC110 - that is what this is for
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Books:
    """What a finished run says of itself, over all shards."""

    taken_in: int
    folded: int
    lost: int
    skipped: Mapping[str, int]
    gaps: Sequence[Gap]
    rows: Sequence[Candle]

    @property
    def balanced(self) -> bool:
        """Every event that was taken in was folded or is known to be lost."""
        return self.taken_in == self.folded + self.lost == self.folded + self.lost_in_gaps

    @property
    def lost_in_gaps(self) -> int:
        """The sum of the gaps whose size is known."""
        return sum(gap.events or 0 for gap in self.gaps)

    @property
    def losses(self) -> list[Gap]:
        """The gaps in which events are missing.

        A loss that a heartbeat shows before the next event comes is told in two parts; the
        second has no events of its own, only the time up to that event.
        """
        return [gap for gap in self.gaps if gap.events != 0]

    @property
    def candles(self) -> list[Candle]:
        """The 1-minute candles; the longer ones are folded from the same trades."""
        return [row for row in self.rows if row["feed"].startswith("candles:1m:")]


class Listening(Protocol):
    """What is asked of a listener, whatever it listens to."""

    async def wait(self) -> None: ...
    def report(self) -> Report: ...


class DataPath:
    """A listener, processors and a store, and what they have made of a day."""

    shards: Sequence[Shard]
    cache: WidgetCache
    listener: Listening
    processors: list[MassiveDataProcessor]

    def owner(self, shard: int = 0) -> ShardOwner:
        """Whoever owns a shard now."""
        wanted = self.shards[shard]
        return only([p._owners[wanted] for p in self.processors if wanted in p._owners])

    async def fold_more(self, events: int) -> None:
        """Wait until the first shard's owner has folded so many more, stored or not."""
        state = self.owner().state
        goal = state.folded + events
        await until(lambda: state.folded >= goal)

    def taken_in(self) -> int:
        """Events that the listener took in, by its own count."""
        taken = self.listener.report().detail["taken_in"]
        return sum(taken[shard.name] for shard in self.shards)

    async def folded(self) -> int:
        """Events that the stored rows hold."""
        return sum(totals.events for totals in await self._totals())

    async def lost(self) -> int:
        """Events that the stored positions know to be lost."""
        total = 0
        for shard in self.shards:
            found = await self.cache.fetch(shard.name, {"positions": None})
            positions = Positions.unpack(found["positions"]).by_producer.values()
            total += sum(position.lost for position in positions)
        return total

    async def place(self, shard: int = 0) -> Place:
        """Who owns a shard, and how often that owner flushed."""
        place = (await self.cache.snapshot(self.shards[shard].name, {})).place
        assert place is not None
        return place

    async def gaps(self) -> list[Gap]:
        return [gap for shard in self.shards for gap in await self.cache.gaps(shard.name)]

    async def rows(self) -> list[Candle]:
        """Every row that a client can read, in canonical order."""
        return [row async for row in WidgetReader(self.cache).dump()]

    async def _totals(self) -> list[Totals]:
        return [totals for totals, _ in await self._progress()]

    async def _progress(self) -> list[tuple[Totals, bool]]:
        progress = []
        for shard in self.shards:
            name = PRIVATE + PROGRESS
            found = (await self.cache.fetch(shard.name, {name: None}))[name]
            totals = decode_totals(found["totals"]) if "totals" in found else Totals()
            progress.append((totals, "ended" in found))
        return progress

    # -- its end

    async def end(self, within_s: float = 40.0) -> Books:
        """Wait until the source has been read, folded and flushed to its end."""
        failures = [asyncio.ensure_future(p.wait()) for p in self.processors]
        ended = asyncio.ensure_future(self._until_ended())
        try:
            async with asyncio.timeout(within_s):
                await asyncio.wait({ended, *failures}, return_when=asyncio.FIRST_COMPLETED)
            for task in failures:
                if task.done():
                    task.result()
            await ended
        finally:
            for task in (ended, *failures):
                task.cancel()
            await asyncio.gather(ended, *failures, return_exceptions=True)
        return await self.books()

    async def _until_ended(self) -> None:
        await self.listener.wait()
        while not await self._all_ended():  # noqa: ASYNC110 - another part ends it
            await asyncio.sleep(0.02)

    async def _all_ended(self) -> bool:
        try:
            return all(ended for _, ended in await self._progress())
        except CacheUnavailable:
            return False

    async def books(self) -> Books:
        """What the store and the listener say now."""
        skipped: Counter[str] = Counter()
        for totals in await self._totals():
            skipped.update(totals.skipped)
        return Books(
            self.taken_in(),
            await self.folded(),
            await self.lost(),
            dict(skipped),
            await self.gaps(),
            await self.rows(),
        )


def only(values: Sequence[_T]) -> _T:
    """The only element."""
    (value,) = values
    return value
