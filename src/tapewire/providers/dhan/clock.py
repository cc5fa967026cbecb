"""How far Dhan's clock is ahead of UTC, found out from packets that cannot be old.

The documentation says that times are epoch seconds; the feed was seen to write the Indian wall
clock as if it were UTC, 19,800 s ahead (``brokers.md`` 3.6). A packet alone does not tell which:
a trade five and a half hours old on the one clock looks like one of just now on the other, and
what is sent on subscription may be a day old. Two kinds of packet do tell:

- one whose time lies hours in the future: no trade does, so the clock is the Indian one;
- one that shows that its instrument has traded since an earlier packet: it is sent because of
  that trade, so its time is about now on the right clock.

A single one could still be damaged, or a state that the broker corrected late, so several must
agree over some time; any that does not begins the count anew. A wrong offset would be worse than
a late one: until it is known, ticks wait (``protocol.py``).
"""

from typing import Final

IST_OFFSET_S: Final = 19_800
"""How far ahead the Indian wall clock is."""

TOLERANCE_S: Final = 7_200
"""How far a live packet's time may be from the receive clock: less than half the distance
between the two offsets, so that at most one of them fits."""

SETTLED_AFTER_S: Final = 2
"""A subscription may send several states; those of the first seconds say nothing of now."""

VOTES: Final = 3
VOTES_SPAN_S: Final = 1
"""So many live packets must agree, the last of them so long after the first."""

_UNBOUNDED: Final = 2**32


class FeedClock:
    """The offset of one connection's feed: given, or None until packets have shown it.

    Times are whole seconds; ``received_s`` is the receiver's clock since 1970.
    """

    def __init__(self, offset_s: int | None = None) -> None:
        self.offset_s = offset_s
        self.given = offset_s is not None
        self._named: int | None = None
        self._votes = 0
        self._since_s = 0

    def latest_s(self, received_s: int) -> int:
        """The latest time that can be true; 0 while the offset is not known.

        There is none for a given offset, which may be that of a recording.
        """
        if self.given:
            return _UNBOUNDED
        return 0 if self.offset_s is None else received_s + self.offset_s + TOLERANCE_S

    def observe(self, time_s: int, received_s: int, live: bool) -> bool:
        """Learn from a packet's time; whether it can be true on either clock.

        ``live``: the instrument has traded since an earlier packet of this connection.
        """
        ahead_s = time_s - received_s
        if self.given:
            return True
        if TOLERANCE_S < ahead_s <= IST_OFFSET_S + TOLERANCE_S:
            self._vote(IST_OFFSET_S, received_s)
        elif ahead_s > TOLERANCE_S:
            return False
        elif live and self.offset_s is None:
            fits = ahead_s >= -TOLERANCE_S
            self._vote(0 if fits else None, received_s)
            return fits
        return True

    def _vote(self, named: int | None, received_s: int) -> None:
        """Count packets that name one offset in a row; None is a live one that fits neither."""
        if named != self._named:
            self._named, self._votes, self._since_s = named, 0, received_s
        self._votes += 1
        enough = self._votes >= VOTES and received_s - self._since_s >= VOTES_SPAN_S
        if enough and named is not None:
            self.offset_s = named
