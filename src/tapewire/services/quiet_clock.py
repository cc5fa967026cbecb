"""Event time of a shard while no event comes, and how far ahead an event may be.

Time is the listener's, as its batches and heartbeats carry it through the shard's queue. So a
quiet shard's clock never passes events that wait before a heartbeat, however long a broker, a
cache or this process was held up; and an hour of delay in the feed makes no difference, since
only what has passed since the last event counts.
"""

from typing import Final

from msgspec import Struct

SILENCE_MS: Final = 60_000
"""Without a word from a listener for so long, not even a heartbeat, our own clock drives."""

STEP_MS: Final = 1_000
"""What one look at our own clock counts at most: a process that was frozen saw no silence."""

AHEAD_MS: Final = 5 * 60_000
"""How far an event's time may be ahead of the feed's, for clocks that are not set well."""


class Anchor(Struct, frozen=True, array_like=True):
    """Event time after the newest event (a whole second), and the listener's time then."""

    second_ms: int
    received_ms: int


class QuietClock:
    """Tells where event time stands after a silence. It only moves forward.

    ``anchor`` survives an owner: kept with the shard's totals, it lets the next owner's clock
    stand where this one's would.
    """

    def __init__(self, anchor: Anchor | None = None) -> None:
        self.anchor = anchor
        self._heard_ms = anchor.second_ms if anchor else -1
        self._silent_ms = 0.0
        self._looked_ms: float | None = None

    def event(self, second_ms: int, received_ms: int) -> None:
        """Events were folded; event time now stands in ``second_ms``."""
        self.anchor = Anchor(second_ms, received_ms)
        self._heard_ms, self._silent_ms = second_ms, 0.0

    def heartbeat(self, received_ms: int) -> int:
        """Nothing came until then: where event time stands, -1 before the first event."""
        anchor = self.anchor
        if anchor is None:
            return -1
        at_ms = anchor.second_ms + received_ms - anchor.received_ms
        self._heard_ms, self._silent_ms = max(at_ms, self._heard_ms), 0.0
        return self._heard_ms

    def tick(self, now_ms: float) -> int:
        """Where event time stands by our own clock; -1 while listeners can be heard."""
        passed_ms = 0.0 if self._looked_ms is None else now_ms - self._looked_ms
        self._looked_ms = now_ms
        self._silent_ms += min(max(passed_ms, 0.0), STEP_MS)
        if self.anchor is None or self._silent_ms < SILENCE_MS:
            return -1
        return self._heard_ms + int(self._silent_ms)


def latest_ms(received_ms: int, delay_ms: int | None) -> int | None:
    """The latest time that an event received then may have on a feed with this delay.

    None without a delay to go by: a feed of one's own may play any day.
    """
    return None if delay_ms is None else received_ms - delay_ms + AHEAD_MS
