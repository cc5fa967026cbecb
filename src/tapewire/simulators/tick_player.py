"""Plays a tape of ticks: to each client in the broker's frames, as few as its format allows."""

from __future__ import annotations

from collections.abc import Callable

from tapewire.simulators.audience import Audience
from tapewire.simulators.broker_faults import TICK_CHANGES
from tapewire.simulators.faults import Tampering
from tapewire.simulators.pacing import Speed
from tapewire.simulators.playback import Playback
from tapewire.simulators.sources import TimedTick
from tapewire.simulators.statistics import Statistics
from tapewire.simulators.tick_tape import TickTape
from tapewire.simulators.voiced_line import VoicedLine


class TickPlayer(Playback[TimedTick, VoicedLine]):
    """A tape played to those who have subscribed; what is not heard is the past all the same."""

    def __init__(
        self,
        tape: TickTape,
        speed: Speed,
        audience: Audience[VoicedLine],
        statistics: Statistics,
        strike: Callable[[str], None],
        *,
        max_turn_ticks: int,
        head_start_ms: int = 0,
    ) -> None:
        super().__init__(
            tape.slices,
            speed,
            audience,
            statistics,
            Tampering(TICK_CHANGES),
            strike,
            max_together=max_turn_ticks,
            head_start_ms=head_start_ms,
        )
        self._tape = tape

    def _happened(self, events: list[TimedTick]) -> None:
        self._tape.play(events)

    def _send(self, listeners: list[VoicedLine], events: list[TimedTick]) -> None:
        ticks = [tick for _, _, tick in events]
        for listener in listeners:
            listener.say(listener.voice.ticks(ticks))
        self._statistics.events["ticks"] += len(ticks) * len(listeners)
