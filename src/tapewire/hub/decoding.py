"""Rows as they come from the store, decoded; those that do not decode are counted.

A row of another version's layout, or a damaged one, is treated as if it were not there: it
loses itself and nothing else. Counts only; ``services/undecodable_log.py`` says so in the log.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date as calendar_date
from functools import lru_cache
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from tapewire.caches.decoding import UNDECODABLE
from tapewire.caches.records import decoder
from tapewire.model.candle_names import CandleHash
from tapewire.model.rows import Candle

MOST_CHARACTERS: Final = 200
"""Of what a decoder says that is kept."""

T = TypeVar("T")


class Decoding:
    """All decoders of one market.

    ``counts``: feed family -> stored rows that did not decode; ``causes``: why the last of them
    did not. A row that is read again from the store is counted again.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.causes: dict[str, str] = {}

    def refuse(self, family: str, cause: str, rows: int = 1) -> None:
        """Count rows that cannot be read."""
        self.counts[family] += rows
        self.causes[family] = cause[:MOST_CHARACTERS]

    def rows(self, family: str, row: type[Struct]) -> Callable[[bytes], tuple[Any, ...]]:
        """A decoder of packed rows into tuples of their fields; empty for one it cannot read."""
        decode = decoder(row).decode

        def read(packed: bytes) -> tuple[Any, ...]:
            try:
                return astuple(decode(packed))
            except UNDECODABLE as error:
                self.refuse(family, str(error))
                return ()

        return read

    def value(self, family: str, decode: Callable[[bytes], T], packed: bytes) -> T | None:
        """One value decoded; None if it does not."""
        try:
            return decode(packed)
        except UNDECODABLE as error:
            self.refuse(family, str(error))
            return None

    def name(self, parse: Callable[[str], T], name: str, rows: int = 1) -> T | None:
        """A hash's name taken apart; None, and its rows are counted, for one of another layout."""
        try:
            return parse(name)
        except ValueError as error:
            family = "candles" if name.startswith("seconds:") else name.partition(":")[0]
            self.refuse(family, f"{name!r}: {error}", rows)
            return None

    def is_dated(self, family: str, date: str, rows: int) -> bool:
        """Whether a hash is of a trading date; if not its rows are counted."""
        if _is_date(date):
            return True
        self.refuse(family, f"{date[:40]!r} is not a trading date", rows)
        return False

    def candles(self, name: CandleHash, rows: Mapping[str, bytes]) -> list[Candle]:
        """A hash's candles, without fields that do not decode."""
        try:
            return list(name.candles(rows))
        except UNDECODABLE:
            return [candle for field in rows for candle in self._of(name, field, rows[field])]

    def _of(self, name: CandleHash, field: str, packed: bytes) -> list[Candle]:
        try:
            return list(name.candles({field: packed}))
        except UNDECODABLE as error:
            self.refuse("candles", f"{name.name} {field[:40]!r}: {error}")
            return []

    def newest(self, name: CandleHash, rows: Mapping[str, bytes]) -> dict[str, bytes]:
        """The field with a hash's newest candles that can be read; empty without one."""
        for field in sorted(rows, key=_number, reverse=True):
            if self._of(name, field, rows[field]):
                return {field: rows[field]}
        return {}


def _number(field: str) -> int:
    """A candle's field as it is ordered; one that is no number comes before all others."""
    try:
        return int(field)
    except ValueError:
        return -(2**63)


@lru_cache(maxsize=64)
def _is_date(text: str) -> bool:
    """Whether it is written ``2026-11-20``."""
    try:
        return calendar_date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
