"""How fast a source is played: speeds, and bundles of events that share a moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from tapewire.simulators.sources import Timed

BUNDLE_MS: Final = 10
"""Wall time whose events are sent together, within the 1 to 20 ms seen of the provider."""

OVERNIGHT_MS: Final = 6 * 3_600_000
"""A longer gap in event time is the night between two sessions; it is played in one second."""

_MOST_PER_BUNDLE: Final = 100
_SPEED: Final = re.compile(r"x(?P<times>\d+(?:\.\d+)?)|(?P<rate>\d+(?:\.\d+)?)/s")


class SpeedKind(StrEnum):
    """What a speed's value means."""

    MAX = "max"
    TIMES = "times"
    RATE = "rate"


class Speed(NamedTuple):
    """As fast as the client reads, ``value`` times event time, or ``value`` events a second."""

    kind: SpeedKind
    value: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Speed:
        """Read ``max``, ``original``, ``x2.5`` or ``5000/s``; ValueError says what was seen."""
        if text == "max":
            return cls(SpeedKind.MAX)
        if text == "original":
            return cls(SpeedKind.TIMES, 1.0)
        match = _SPEED.fullmatch(text)
        value = float(match["times"] or match["rate"]) if match else 0.0
        if not match or value <= 0:
            raise ValueError(
                f"speed {text!r} is unknown; expected max, original, xN (times original) or N/s"
            )
        return cls(SpeedKind.TIMES if match["times"] else SpeedKind.RATE, value)


class Pace:
    """Cut slices into bundles and say when each is due.

    At speed ``max`` a bundle is ``max_events`` and due at once. Otherwise it spans at most 10 ms
    of wall time and 100 events; the first ``head_start_ms`` of event time are due at once. A
    negative one lets everything wait.
    """

    def __init__(self, speed: Speed, max_events: int, head_start_ms: int = 0) -> None:
        self._speed = speed
        self._head_start_ms = head_start_ms
        self._max_events = max_events if speed.kind is SpeedKind.MAX else _MOST_PER_BUNDLE
        self._wall_s = 0.0
        self._event_ms = -1
        self._sent = 0

    def bundles(self, events: list[Timed]) -> Iterator[list[Timed]]:
        """The slice in pieces that are sent together."""
        if self._speed.kind is SpeedKind.TIMES:
            yield from self._by_time(events)
            return
        step = self._max_events
        if self._speed.kind is SpeedKind.RATE:
            step = max(1, min(step, int(self._speed.value * BUNDLE_MS / 1000)))
        for start in range(0, len(events), step):
            yield events[start : start + step]

    def delay_s(self, bundle: list[Timed], now_s: float) -> float:
        """Seconds from ``now_s`` (a monotonic clock) until the bundle is due; never negative."""
        if self._speed.kind is SpeedKind.MAX:
            return 0.0
        first_ms = bundle[0][0]
        if self._event_ms < 0:
            self._wall_s, self._event_ms = now_s, first_ms + self._head_start_ms
        if self._speed.kind is SpeedKind.RATE:
            due_s = self._wall_s + self._sent / self._speed.value
            self._sent += len(bundle)
            return max(0.0, due_s - now_s)
        due_s = self._wall_s + (first_ms - self._event_ms) / 1000 / self._speed.value
        if (due_s - now_s) * self._speed.value * 1000 > OVERNIGHT_MS:
            due_s = now_s + 1.0
            self._wall_s, self._event_ms = due_s, first_ms
        return max(0.0, due_s - now_s)

    def _by_time(self, events: list[Timed]) -> Iterator[list[Timed]]:
        span_ms = max(1, int(BUNDLE_MS * self._speed.value))
        start = 0
        for index, (time_ms, _, _) in enumerate(events):
            full = index - start >= self._max_events
            if full or time_ms - events[start][0] >= span_ms:
                yield events[start:index]
                start = index
        if start < len(events):
            yield events[start:]
