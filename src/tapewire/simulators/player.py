"""Plays a source to whoever has subscribed, at a speed, with the faults asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tapewire.simulators.connection import Connection
from tapewire.simulators.faults import (
    EVENT_FAULTS,
    JSON_CHANGES,
    Fault,
    FaultError,
    FaultScript,
    Tampering,
)
from tapewire.simulators.pacing import Pace, Speed, SpeedKind
from tapewire.simulators.prints import PrintError, Prints
from tapewire.simulators.sources import Slice, Source
from tapewire.simulators.statistics import Statistics

_MAX_QUEUED_BYTES = 256 * 1024


class Audience:
    """The connections of a server, and who among them is to get events."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self._changed = asyncio.Event()

    def listeners(self) -> list[Connection]:
        """Those with a subscription, oldest first."""
        return [connection for connection in self.connections if connection.listening]

    def changed(self) -> None:
        """Somebody came, went, subscribed or unsubscribed."""
        self._changed.set()

    async def present(self) -> None:
        """Wait until somebody listens."""
        while not self.listeners():
            await self._next_change()

    async def gone(self) -> None:
        """Wait until nobody is connected."""
        while self.connections:
            await self._next_change()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Player:
    """One playing of a source, from the first subscription to its end.

    ``strike`` is called with the name of each connection or login fault when it is due. The
    first ``head_start_ms`` of event time are played at once; a negative one delays everything.
    """

    def __init__(
        self,
        source: Source,
        speed: Speed,
        audience: Audience,
        statistics: Statistics,
        strike: Callable[[str], None],
        *,
        max_frame_events: int,
        max_frame_bytes: int,
        head_start_ms: int = 0,
    ) -> None:
        self._source = source
        self._waits = speed.kind is SpeedKind.MAX
        self._pace = Pace(speed, max_frame_events, head_start_ms)
        self._audience = audience
        self._statistics = statistics
        self._strike = strike
        self._max_frame_bytes = max_frame_bytes
        self._tampering = Tampering(JSON_CHANGES)
        self._script = FaultScript()
        self._prints = Prints()
        self.event_ms = 0
        """The time of the last event that was due; 0 before the first."""

    async def run(self) -> None:
        """Play to the end, then send what a fault still held back."""
        now_s = asyncio.get_running_loop().time
        await self._audience.present()
        for events in self._source.slices():
            await asyncio.sleep(0)
            for bundle in self._pace.bundles(events):
                if not self._waits:
                    await asyncio.sleep(self._pace.delay_s(bundle, now_s()))
                    self._prints.watch(bundle)
                self.event_ms = bundle[-1][0]
                await self._deliver(bundle)
        if held := self._tampering.release():
            self._send(self._audience.listeners(), held)

    async def _deliver(self, events: Slice) -> None:
        """Send events to all listeners, stopping exactly where a fault is due."""
        while events:
            if self._waits:
                await self._audience.present()
            listeners = self._audience.listeners()
            if not listeners:
                self._statistics.unheard += len(events)
                return
            events = self._wanted(listeners, events)
            until_fault = self._script.until_next(self._statistics.taken)
            piece, events = (events, []) if until_fault is None else _cut(events, until_fault)
            self._statistics.taken += len(piece)
            self._send(listeners, self._tampering.apply(piece))
            for name in self._script.due(self._statistics.taken):
                self._happen(name)
            if self._waits:
                for listener in listeners:
                    await listener.outbox.room(_MAX_QUEUED_BYTES)

    def _wanted(self, listeners: list[Connection], events: Slice) -> Slice:
        """The events that at least one listener has subscribed to; the others are counted."""
        if len(listeners) == 1:
            wanted = listeners[0].subscriptions.select(events)
        else:
            held = [listener.subscriptions for listener in listeners]
            wanted = [event for event in events if any(topics[event[1]] for topics in held)]
        if len(wanted) < len(events):
            left_out = {id(event) for event in wanted}
            rest = [event for event in events if id(event) not in left_out]
            self._statistics.count(self._statistics.unsubscribed, rest)
        return wanted

    def _send(self, listeners: list[Connection], events: Slice) -> None:
        for listener in listeners:
            own = events if len(listeners) == 1 else listener.subscriptions.select(events)
            if own:
                self._statistics.count(self._statistics.events, own)
                listener.send(own, self._max_frame_bytes)

    async def trade(self, symbol: str, price: float) -> int:
        """Send a trade of ``symbol`` and its second bar now; their event time in ms.

        Raises PrintError for a ticker that the source does not have, and where no moment is
        being played: at speed ``max``, of a capture, or before the first event.
        """
        if self._waits or self._source.whole_frames:
            raise PrintError(
                f"the price of {symbol!r} cannot be set at speed max or in a capture; play"
                " another source, or at another speed"
            )
        if not self.event_ms:
            raise PrintError("nothing has been played yet; subscribe first")
        if self._source.symbols and symbol not in self._source.symbols:
            raise PrintError(f"{self._source.name} has no ticker {symbol!r}")
        await self._deliver(self._prints.make(symbol, price, self.event_ms))
        return self.event_ms

    def latest(self, topic: str) -> str | None:
        """The last event of a topic and ticker (``T.AIG``); None at speed ``max``."""
        return self._prints.latest(topic)

    def plan(self, fault: Fault) -> None:
        """Add a fault to those to come; FaultError when the source cannot have it."""
        if fault.name in EVENT_FAULTS and self._source.whole_frames:
            raise FaultError(f"{fault.name!r} changes events, but a capture is played as frames")
        self._script.add(fault)

    def _happen(self, name: str) -> None:
        if name not in EVENT_FAULTS:
            self._strike(name)
            return
        self._tampering.arm(name)
        self._statistics.faults[name] += 1


def _cut(events: Slice, count: int) -> tuple[Slice, Slice]:
    return events[:count], events[count:]
