"""Plays a source of Massive's events: to each what it has subscribed to, in JSON frames."""

from __future__ import annotations

from collections.abc import Callable

from tapewire.simulators.audience import Audience
from tapewire.simulators.connection import Connection
from tapewire.simulators.faults import EVENT_FAULTS, JSON_CHANGES, Fault, FaultError, Tampering
from tapewire.simulators.pacing import Speed
from tapewire.simulators.playback import Playback
from tapewire.simulators.prints import PrintError, Prints
from tapewire.simulators.sources import Slice, Source, TimedEvent
from tapewire.simulators.statistics import Statistics


class Player(Playback[TimedEvent, Connection]):
    """A source played to its subscribers, in frames of at most ``max_frame_bytes``."""

    def __init__(
        self,
        source: Source,
        speed: Speed,
        audience: Audience[Connection],
        statistics: Statistics,
        strike: Callable[[str], None],
        *,
        max_frame_events: int,
        max_frame_bytes: int,
        head_start_ms: int = 0,
    ) -> None:
        super().__init__(
            source.slices,
            speed,
            audience,
            statistics,
            Tampering(JSON_CHANGES),
            strike,
            max_together=max_frame_events,
            head_start_ms=head_start_ms,
        )
        self._source = source
        self._max_frame_bytes = max_frame_bytes
        self._prints = Prints()

    def plan(self, fault: Fault) -> None:
        """Add a fault to those to come; FaultError when the source cannot have it."""
        if fault.name in EVENT_FAULTS and self._source.whole_frames:
            raise FaultError(f"{fault.name!r} changes events, but a capture is played as frames")
        super().plan(fault)

    def _due(self, bundle: Slice) -> None:
        self._prints.watch(bundle)

    def _heard(self, listeners: list[Connection], events: Slice) -> Slice:
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
