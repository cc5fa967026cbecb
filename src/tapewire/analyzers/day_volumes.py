"""What was traded, from a broker's cumulative volume of the day.

A broker sends states, not trades: the size of what happened between two is the difference of
their volumes. Sums of differences are right whatever is left out, repeated or reordered, which
sums of ``last_size`` are not (Dhan's wraps at 65,536, and a conflated feed leaves some out).
"""

from collections import Counter
from typing import Final

from msgspec import Struct

from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick

NOTHING: Final = -1
"""Not a size: nothing happened, not even at a price."""


class Baseline(Struct, array_like=True, frozen=True, gc=False):
    """Where an instrument stood when a baseline came.

    ``unseen`` of its day's volume were never given out as a size; ``price`` is that of its last
    trade then, at ``t`` (ms UTC).
    """

    key: str
    turn_ms: int
    unseen: int
    price: float
    t: int


class DayVolume(Struct, array_like=True, gc=False):
    """One instrument's volume so far on one trading day, as private state too.

    ``turn_ms`` names the trading day. ``volume`` is the volume up to which trades have been
    counted, -1 while no broker has said one; ``t`` and ``price`` are those of the newest
    tick. ``lower`` and ``lower_t`` are of a later tick with less volume, -1 if there is none:
    one alone is taken for a fault, a second for a counter that began anew. ``unseen`` is what of
    ``volume`` was never given out as a size: traded before the first tick, or while none came.
    """

    key: str
    turn_ms: int
    volume: int = -1
    t: int = -1
    price: float = 0.0
    lower: int = -1
    lower_t: int = -1
    unseen: int = 0

    @classmethod
    def first(cls, key: str, turn_ms: int, tick: Tick, skipped: Counter[str]) -> "DayVolume":
        """Begin with an instrument's first tick ever: what was traded before it is unknown."""
        skipped["baseline"] += 1
        day = cls(key, turn_ms)
        day._stand(tick)
        day.unseen = max(day.volume, 0)
        return day

    @property
    def baseline(self) -> Baseline:
        """The present state as a baseline, right after one has come."""
        return Baseline(self.key, self.turn_ms, self.unseen, self.price, self.t)

    def take(self, turn_ms: int, tick: Tick, skipped: Counter[str]) -> int:
        """Put a valid tick of the trading day ``turn_ms`` in; what was traded at its price.

        0 is a price without a size; ``NOTHING`` is counted in ``skipped``: ``baseline`` (a
        snapshot), ``duplicate`` (time, price and volume as before), ``day_before`` (of an
        earlier trading day than known). Counted too, though they change the state or give a
        price: ``missed`` (snapshots that show trades that never came), ``behind`` (older
        than what is counted), ``lower_volume``, ``reset``.
        """
        if turn_ms < self.turn_ms or self.repeats(tick):
            skipped["day_before" if turn_ms < self.turn_ms else "duplicate"] += 1
            return NOTHING
        if turn_ms > self.turn_ms:
            self._begin(turn_ms)
        if tick.flags & TICK_SNAPSHOT:
            return self._baseline(tick, skipped)
        return self._difference(tick, skipped)

    def _begin(self, turn_ms: int) -> None:
        """A new trading day: its volume starts at 0, if the broker sends volumes at all."""
        self.turn_ms, self.t, self.lower, self.unseen = turn_ms, -1, -1, 0
        if self.volume >= 0:
            self.volume = 0

    def _baseline(self, tick: Tick, skipped: Counter[str]) -> int:
        """Stand where a snapshot says, unless it is older than what is counted."""
        skipped["baseline"] += 1
        volume = tick.day_volume
        if volume is not None and self.volume >= 0:
            if volume < self.volume and tick.timestamp_ms <= self.t:
                return NOTHING
            if volume != self.volume:
                skipped["missed" if volume > self.volume else "reset"] += 1
        if volume is not None:
            self.unseen += volume - max(self.volume, 0)
        self._stand(tick)
        return NOTHING

    def _stand(self, tick: Tick) -> None:
        if tick.day_volume is not None:
            self.volume, self.lower = tick.day_volume, -1
        self._move(tick)

    def _move(self, tick: Tick) -> None:
        if tick.timestamp_ms >= self.t:
            self.t, self.price = tick.timestamp_ms, tick.last_price or self.price

    def repeats(self, tick: Tick) -> bool:
        """Whether a tick says nothing new: time, price and volume are those of the newest."""
        same = tick.timestamp_ms == self.t and tick.last_price == self.price
        return same and tick.day_volume in (None, self.volume)

    def is_unsized(self, tick: Tick) -> bool:
        """Whether all that tells what was traded is the size of the last trade.

        True while the broker has said no volume of the day: its mode has none.
        """
        known = self.volume >= 0 or tick.day_volume is not None
        return tick.last_size > 0 and not known and not tick.flags & (TICK_SNAPSHOT | TICK_INDEX)

    def _difference(self, tick: Tick, skipped: Counter[str]) -> int:
        volume, known = tick.day_volume, self.volume
        if volume is None or tick.flags & TICK_INDEX:
            self._move(tick)
            return 0
        if known < 0:  # the first that has a volume
            skipped["baseline"] += 1
            self.unseen += volume
        elif volume < known:
            return self._lower(tick, volume, skipped)
        self._stand(tick)
        return volume - known if known >= 0 else 0

    def _lower(self, tick: Tick, volume: int, skipped: Counter[str]) -> int:
        """Less volume than is counted: late, one faulty tick, or a counter that began anew."""
        if tick.timestamp_ms <= self.t:
            skipped["behind"] += 1
            return 0
        if 0 <= self.lower <= volume and tick.timestamp_ms > self.lower_t:
            skipped["reset"] += 1
            size = volume - self.lower
            self.unseen += self.lower - self.volume
            self._stand(tick)
            return size
        skipped["lower_volume"] += 1
        self.lower, self.lower_t = volume, tick.timestamp_ms
        return 0


def is_days_first(tick: Tick) -> bool:
    """Whether a tick is its instrument's first trade of the day: its size is the day's volume.

    A snapshot is not, whatever it says: it was traded before anybody listened.
    """
    said = tick.day_volume == tick.last_size and tick.last_size > 0
    return said and not tick.flags & (TICK_SNAPSHOT | TICK_INDEX)
