"""One playing of whatever has its time: to those who listen, at a speed, with faults."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Final, Generic

from tapewire.simulators.audience import ALine, Audience
from tapewire.simulators.faults import Fault, FaultScript, Tampering
from tapewire.simulators.pacing import Pace, Speed, SpeedKind
from tapewire.simulators.sources import Timed
from tapewire.simulators.statistics import Statistics

_MAX_QUEUED_BYTES: Final = 256 * 1024


class Playback(ABC, Generic[Timed, ALine]):
    """From the first subscription to the end of ``slices``.

    ``strike`` is called with the name of each connection or login fault when it is due. The
    first ``head_start_ms`` of event time are played at once; a negative one delays everything.
    At speed ``max`` at most ``max_together`` leave together.
    """

    def __init__(
        self,
        slices: Callable[[], Iterable[list[Timed]]],
        speed: Speed,
        audience: Audience[ALine],
        statistics: Statistics,
        tampering: Tampering[Timed],
        strike: Callable[[str], None],
        *,
        max_together: int,
        head_start_ms: int = 0,
    ) -> None:
        self._slices = slices
        self._waits = speed.kind is SpeedKind.MAX
        self._pace = Pace(speed, max_together, head_start_ms)
        self._audience = audience
        self._statistics = statistics
        self._tampering = tampering
        self._strike = strike
        self._script = FaultScript()
        self.event_ms = 0
        """The time of the last event that was due; 0 before the first."""

    async def run(self) -> None:
        """Play to the end, then send what a fault still held back."""
        now_s = asyncio.get_running_loop().time
        await self._audience.present()
        for events in self._slices():
            await asyncio.sleep(0)
            for bundle in self._pace.bundles(events):
                if not self._waits:
                    await asyncio.sleep(self._pace.delay_s(bundle, now_s()))
                    self._due(bundle)
                self.event_ms = bundle[-1][0]
                await self._deliver(bundle)
        if held := self._tampering.release():
            self._send(self._audience.listeners(), held)

    def plan(self, fault: Fault) -> None:
        """Add a fault to those to come; FaultError when what is played cannot have it."""
        self._script.add(fault)

    @abstractmethod
    def _send(self, listeners: list[ALine], events: list[Timed]) -> None:
        """Send to each listener what it has subscribed to."""

    def _due(self, bundle: list[Timed]) -> None:
        """These are due, at a speed other than ``max``."""

    def _heard(self, listeners: list[ALine], events: list[Timed]) -> list[Timed]:
        """What faults count: those that a listener is to get."""
        return events

    def _happened(self, events: list[Timed]) -> None:
        """These are part of the market's past from now on, heard or not."""

    async def _deliver(self, events: list[Timed]) -> None:
        """Send events to all listeners, stopping exactly where a fault is due."""
        while events:
            if self._waits:
                await self._audience.present()
            listeners = self._audience.listeners()
            if not listeners:
                self._happened(events)
                self._statistics.unheard += len(events)
                return
            events = self._heard(listeners, events)
            until_fault = self._script.until_next(self._statistics.taken)
            piece, events = (events, []) if until_fault is None else _cut(events, until_fault)
            self._statistics.taken += len(piece)
            self._happened(piece)
            self._send(listeners, self._tampering.apply(piece))
            for name in self._script.due(self._statistics.taken):
                self._make(name)
            if self._waits:
                for listener in listeners:
                    await listener.outbox.room(_MAX_QUEUED_BYTES)

    def _make(self, name: str) -> None:
        """Make a fault happen that is due."""
        if not self._tampering.knows(name):
            self._strike(name)
            return
        self._tampering.arm(name)
        self._statistics.faults[name] += 1


def _cut(events: list[Timed], count: int) -> tuple[list[Timed], list[Timed]]:
    return events[:count], events[count:]
