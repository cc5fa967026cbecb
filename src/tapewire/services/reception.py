"""What came last off a provider's socket: its event time, and the holes between connections."""

from typing import Final

from msgspec import Struct

MAX_HOLES: Final = 100
"""Holes remembered for the report; the oldest are forgotten, ``reconnects`` still counts."""


class Hole(Struct):
    """Wall-clock ms between the last data of one connection and the first of the next."""

    from_ms: int
    to_ms: int
    reason: str


class Reception:
    """The newest frame that held events, over all connections.

    ``newest_ms`` is the event time of its newest event, None where it says none; ``latest_ms``
    that of the newest event ever, 0 before there is any; ``connections`` what was noted last.
    """

    def __init__(self) -> None:
        self.holes: list[Hole] = []
        self.connections = 0
        self._at_ns = 0
        self.newest_ms: int | None = None
        self.latest_ms = 0

    def note(
        self, newest_ms: int | None, now_ns: int, connections: int, ending: str
    ) -> Hole | None:
        """Note a frame with events; the hole before it, when it is a new connection's first.

        ``connections`` counts those made so far; ``ending`` is why the last one ended.
        """
        hole = None
        if connections != self.connections and self._at_ns:
            hole = Hole(self._at_ns // 1_000_000, now_ns // 1_000_000, ending)
            self.holes = [*self.holes[1 - MAX_HOLES :], hole]
        self.connections, self._at_ns = connections, now_ns
        self.newest_ms = newest_ms
        self.latest_ms = max(self.latest_ms, newest_ms or 0)
        return hole
