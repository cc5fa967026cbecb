"""Two brokers' ticks of the same instruments, joined at one moment without counting twice.

Both tell the same cumulative volume of the day, so the volume that was handed on last of an
instrument (its *floor*) says exactly which of the other broker's ticks are new. Pure.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace

from tapewire.model.events import TICK_SNAPSHOT, Tick

BUFFER_NS: Final = 5_000_000_000
"""How much of the probed broker's ticks is kept: the most that one may be ahead of the other."""

MAX_BUFFERED: Final = 200_000
"""... and at most so many ticks: about 60 MB; the oldest go, and their trades then count
at the price of the next tick."""

HOLD_S: Final = 30.0
"""How long floors hold after a change: the most that one may be behind the other. After that a
lower volume is the broker's own way of counting, and the fold begins anew with it."""

Name: TypeAlias = tuple[str, str]


class Overlap:
    """What is known of two brokers from the moment at which the second one is started.

    Joined without a hole every trade counts once, if both ran together for longer than the old
    one is behind the new one. ``behind`` counts ticks of the new broker that the old one had
    told already.
    """

    def __init__(self) -> None:
        self._floors: dict[Name, int] = {}
        self._latest: dict[Name, Tick] = {}
        self._frames: deque[Sequence[Tick]] = deque()
        self._buffered = 0
        self._seamless = True
        self.behind = 0

    def active(self, ticks: Iterable[Tick]) -> None:
        """Note what is handed on of the broker that still is listened to."""
        floors = self._floors
        for tick in ticks:
            if tick.day_volume:
                floors[tick.exchange, tick.token] = tick.day_volume

    def probed(self, ticks: Sequence[Tick]) -> None:
        """Keep what the other broker says meanwhile."""
        self._latest.update({(tick.exchange, tick.token): tick for tick in ticks})
        if not ticks:
            return
        frames = self._frames
        frames.append(ticks)
        self._buffered += len(ticks)
        oldest_ns = ticks[-1].received_ns - BUFFER_NS
        while self._buffered > MAX_BUFFERED or frames[0][-1].received_ns < oldest_ns:
            self._buffered -= len(frames.popleft())
            if not frames:
                return

    def take_over(self, *, hole: bool) -> list[Tick]:
        """The probed broker is listened to from now on: what it said that the other had not.

        After a hole that is its newest state of each instrument, as a baseline: what was
        traded in the hole has no price and time, and must not count as traded now.
        """
        self._seamless = not hole
        if hole:
            taken = [
                replace(tick, flags=tick.flags | TICK_SNAPSHOT)
                for tick in self._latest.values()
                if self._is_ahead(tick)
            ]
        else:
            taken = [tick for frame in self._frames for tick in self.admit(frame)]
            older = [tick for tick in self._latest.values() if self._is_ahead(tick, unknown=False)]
            taken += self.admit(older)
        self._latest.clear()
        self._frames.clear()
        self._buffered = 0
        return taken

    def admit(self, ticks: Sequence[Tick]) -> list[Tick]:
        """Of the new broker's ticks those that are new, in order.

        Without a hole, a snapshot of an instrument that the old one had told is a tick.
        """
        floors, admitted = self._floors, []
        for tick in ticks:
            if not floors or not tick.day_volume:
                admitted.append(tick)
                continue
            name = tick.exchange, tick.token
            floor = floors.get(name)
            if floor is None:
                admitted.append(tick)
            elif tick.day_volume > floor:
                del floors[name]
                if tick.flags & TICK_SNAPSHOT and self._seamless:
                    tick = replace(tick, flags=tick.flags & ~TICK_SNAPSHOT)
                admitted.append(tick)
            else:
                self.behind += 1
        return admitted

    def _is_ahead(self, tick: Tick, *, unknown: bool = True) -> bool:
        """Whether a tick has more volume than its floor; ``unknown`` where there is none."""
        floor = self._floors.get((tick.exchange, tick.token))
        if floor is None or not tick.day_volume:
            return unknown
        return tick.day_volume > floor
