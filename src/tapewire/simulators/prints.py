"""A trade on demand: a price that somebody asks for, as the provider would report it.

One trade at the moment that is being played, and the second bar around it, so that whoever
folds trades and whoever folds bars both see the price at once. What the source says of the
ticker afterwards holds again.
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any, Final

import msgspec

from tapewire.simulators.sources import Slice, TimedEvent

FIRST_SEQUENCE: Final = 9_000_000_000
"""Sequence numbers of our trades begin here, above those of any source."""

SIZE: Final = 100
"""Shares of such a trade."""

_SECOND_MS: Final = 1000
_WATCHED: Final = ("T.", "Q.", "A.")
_encode: Final = msgspec.json.Encoder().encode


class PrintError(ValueError):
    """A trade that cannot be made here: what was asked for, and what would work."""


class Prints:
    """Makes trades and second bars; remembers each ticker's last ones, and its last quote."""

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}
        self._sequence = count(FIRST_SEQUENCE)

    def watch(self, events: Slice) -> None:
        """See events that are being played."""
        self._latest.update(
            (topic, text) for _, topic, text in events if topic.startswith(_WATCHED)
        )

    def latest(self, topic: str) -> str | None:
        """The last event of a topic and ticker (``T.AIG``) that was seen or made."""
        return self._latest.get(topic)

    def make(self, symbol: str, price: float, time_ms: int) -> Slice:
        """A trade at ``time_ms``, and a bar of its second that closes at its price.

        Raises PrintError for a price that is no price.
        """
        if not (math.isfinite(price) and price > 0):
            raise PrintError(f"price is {price}; expected more than 0")
        return [self._trade(symbol, price, time_ms), self._bar(symbol, price, time_ms)]

    def _trade(self, symbol: str, price: float, time_ms: int) -> TimedEvent:
        number = next(self._sequence)
        fields = {"ev": "T", "sym": symbol, "x": 11, "i": str(number), "z": 1, "p": price}
        fields |= {"s": SIZE, "t": time_ms, "q": number}
        topic = f"T.{symbol}"
        self._latest[topic] = text = _encode(fields).decode()
        return time_ms, topic, text

    def _bar(self, symbol: str, price: float, time_ms: int) -> TimedEvent:
        start_ms = time_ms - time_ms % _SECOND_MS
        topic = f"A.{symbol}"
        last: dict[str, Any] = msgspec.json.decode(self._latest.get(topic, "{}"))
        volume = last.get("av", 0)
        value = volume * last.get("a", price) + SIZE * price
        day = {"av": volume + SIZE, "a": round(value / (volume + SIZE), 4)}
        bar = {"ev": "A", "sym": symbol, "v": SIZE, "z": SIZE}
        bar |= dict.fromkeys(("vw", "o", "c", "h", "l"), price)
        fields = last | day | bar | {"s": start_ms, "e": start_ms + _SECOND_MS}
        text = _encode(fields).decode()
        self._latest[topic] = text
        return time_ms, topic, text
