"""Events as they are decoded, passed through: for people who want raw streams.

Stateless: nothing is remembered but what the next flush takes along. Off unless asked for
(``TAPEWIRE_ANALYZERS=default,massive_data?streams=halts``), since it writes every event.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import asdict

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate, Clock, Event, Gap, Luld, Quote, Tick, Trade
from tapewire.model.rows import RawEvent, Reference, encode_row
from tapewire.model.streams import Stream

MAX_ITEMS: Final = 2_000
"""Events that one flush takes along; of more the oldest go (drop_oldest), and are counted."""

STREAMS: Final = (Stream.TRADES, Stream.AGGREGATE, Stream.QUOTES, Stream.HALTS)
"""Streams whose events are decoded; what is unknown stays in queues and captures."""

Raw = Trade | Quote | Aggregate | Luld | Tick

_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (Trade, "trade"),
    (Quote, "quote"),
    (Aggregate, "aggregate"),
    (Luld, "luld"),
    (Tick, "tick"),
)


class MassiveDataAnalyzer:
    """Publish every event of a stream in the event feed ``raw:{stream}``; an ``Analyzer``.

    ``max_items`` bounds one flush: a reader that must have everything reads a capture. What
    did not fit is ``not_passed_on`` in ``skipped``; other analyzers fold it all the same.
    """

    def __init__(self, stream: Stream, max_items: int = MAX_ITEMS) -> None:
        self.stream = stream
        self.skipped: Counter[str] = Counter()
        self.second_ms = -1
        self._feed = f"raw:{stream.value}"
        self._waiting: deque[Raw] = deque(maxlen=max_items)

    def apply(self, events: Sequence[Event]) -> None:
        """Put events by for the next drain; losses and clocks are nobody's events."""
        waiting = self._waiting
        for event in events:
            if isinstance(event, Clock | Gap):
                continue
            if len(waiting) == waiting.maxlen:
                self.skipped["not_passed_on"] += 1
            waiting.append(event)
            self.second_ms = max(self.second_ms, time_of(event) // SECOND_MS * SECOND_MS)

    def drain(self) -> Changes:
        """The events since the last drain, in their order."""
        if not self._waiting:
            return Changes()
        items = [encode_row(raw_event(self.stream, event)) for event in self._waiting]
        self._waiting.clear()
        return Changes(items={self._feed: items})

    def refer(self, references: Iterable[Reference]) -> None:
        """Events need no references."""

    def renew(self) -> None:
        """There are no rows to write again."""

    def first_hashes(self) -> Sequence[str]:
        """No state."""
        return ()

    def further_hashes(self, private: Hashes) -> Sequence[str]:
        """No state."""
        return ()

    def restore(self, private: Hashes) -> None:
        """No state."""


def time_of(event: Raw) -> int:
    """An event's time in ms; a bar's is the last that it covers."""
    if isinstance(event, Aggregate):
        return int(event.end_timestamp) - 1
    return int(event.timestamp_ms)


def raw_event(stream: Stream, event: Raw) -> RawEvent:
    """An event as it is published; whatever is not in the head is in ``fields``."""
    fields = asdict(event)
    symbol = fields.pop("symbol")
    fields.pop("timestamp_ms", None)
    name = next(name for kind, name in _NAMES if isinstance(event, kind))
    return RawEvent(stream.value, name, symbol, time_of(event), fields)
