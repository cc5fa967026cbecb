"""What a simulator did, counted exactly, so that tests can assert on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from typing import Any

from tapewire.simulators.sources import Slice

_topic = itemgetter(1)


@dataclass
class Statistics:
    """Counters since the start; ``frames`` and ``events`` are what was handed to a socket."""

    connections: int = 0
    logins: int = 0
    refused_logins: int = 0
    kicked: int = 0
    slow_consumers: int = 0
    bad_requests: int = 0
    taken: int = 0
    """Events of the source that a subscriber was to get; what ``fault@N`` counts."""
    unheard: int = 0
    """Events that were due while nobody was connected and subscribed to anything."""
    frames: int = 0
    bytes: int = 0
    events: Counter[str] = field(default_factory=Counter)
    """Events sent by topic, over all connections, duplicates and made-up ones included."""
    unsubscribed: Counter[str] = field(default_factory=Counter)
    """Events by topic that no subscription covered."""
    faults: Counter[str] = field(default_factory=Counter)
    """Faults that happened, by name."""
    calls: Counter[str] = field(default_factory=Counter)
    """Requests to the REST side by route, however they were answered."""

    def count(self, counter: Counter[str], events: Slice) -> None:
        """Add events to ``counter`` by their topic prefix."""
        for key, number in Counter(map(_topic, events)).items():
            counter[key.partition(".")[0]] += number

    def as_dict(self) -> dict[str, Any]:
        """The counters as plain JSON values."""
        return asdict(self) | {
            "events": dict(self.events),
            "unsubscribed": dict(self.unsubscribed),
            "faults": dict(self.faults),
            "calls": dict(self.calls),
        }
