"""What came last off a provider's socket: its event time, and the holes between connections."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from tapewire.providers.batcher import Slice
from tapewire.providers.massive.wire import newest_ms

MAX_HOLES: Final = 100
"""Holes remembered for the report; the oldest are forgotten, ``reconnects`` still counts."""


class Hole(Struct):
    """Wall-clock ms between the last data of one connection and the first of the next."""

    from_ms: int
    to_ms: int
    reason: str


class Reception:
    """The newest frame that held events, over all connections.

    ``latest_ms`` is the event time of the newest event ever, 0 before there is any. How a
    source that is in order was cut into frames makes no difference to it: of each shard's part
    of a frame the last event is read.
    """

    def __init__(self) -> None:
        self.holes: list[Hole] = []
        self._connections = 0
        self._at_ns = 0
        self._newest_ms: int | None = None
        self.latest_ms = 0

    def note(
        self, slices: Sequence[Slice], now_ns: int, connections: int, ending: str
    ) -> Hole | None:
        """Note a frame's slices; the hole before them, when they are a new connection's first.

        ``connections`` counts those made so far; ``ending`` is why the last one ended.
        """
        hole = None
        if connections != self._connections and self._at_ns:
            hole = Hole(self._at_ns // 1_000_000, now_ns // 1_000_000, ending)
            self.holes = [*self.holes[1 - MAX_HOLES :], hole]
        self._connections, self._at_ns = connections, now_ns
        times = [newest_ms(each.payload) for each in slices]
        self._newest_ms = max((at_ms for at_ms in times if at_ms is not None), default=None)
        self.latest_ms = max(self.latest_ms, self._newest_ms or 0)
        return hole

    def newest_ms(self) -> int | None:
        """Event time of the last frame's newest event, whichever shard's; None if it has none."""
        return self._newest_ms
