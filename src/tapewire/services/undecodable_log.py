"""Stored rows that do not decode, in the log: a line for each feed family and minute."""

from collections.abc import Callable
from typing import Final

from tapewire.hub.decoding import Decoding
from tapewire.runtime.logging import get_logger

log = get_logger(__name__)

EVERY_S: Final = 60.0
"""Least time between two lines about the same family."""


class UndecodableLog:
    """Says what a market could not decode.

    Args:
        decoding: counts it.
        monotonic_s: a clock that only goes forward.
    """

    def __init__(self, decoding: Decoding, monotonic_s: Callable[[], float]) -> None:
        self._decoding = decoding
        self._monotonic_s = monotonic_s
        self._told: dict[str, tuple[int, float]] = {}

    def look(self) -> None:
        """Write a line for each family with new ones, unless its minute is not over."""
        now_s = self._monotonic_s()
        for family, count in self._decoding.counts.items():
            told, at_s = self._told.get(family, (0, now_s - EVERY_S))
            if count > told and now_s - at_s >= EVERY_S:
                self._told[family] = count, now_s
                log.warning(
                    "stored rows do not decode; each is treated as absent",
                    feed=family,
                    rows=count - told,
                    reason=self._decoding.causes[family],
                    hint="written by another version, or damaged",
                )
