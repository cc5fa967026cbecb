"""Where candles lie in the store: names of hashes, their fields, and back.

Candles of a minute or longer lie in hashes of one symbol, interval and trading date,
``candles:US:AIG:5m:2026-11-20``; the field is the start in minutes since midnight UTC of that
date. A day's minutes are cut into blocks of four hours (``...:1m:2026-11-20.3``), so that Redis
keeps every hash in its compact form. One-second candles lie by time: a hash for ten seconds of
all of a shard's symbols, ``seconds:US:1795185000000``, field = symbol.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from tapewire.model.packed_candles import decode_candle, read_seconds
from tapewire.model.rows import Candle

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
DAY_MS: Final = 24 * 60 * MINUTE_MS

INTERVALS: Final[Mapping[str, int]] = {
    "1s": SECOND_MS,
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "1d": DAY_MS,
}
"""Interval -> its length in ms. ``1d`` is a trading date, of 23 to 25 hours."""

BLOCK_MS: Final = 4 * 60 * MINUTE_MS
"""A block of minutes: 240 fields at most."""

BLOCKS: Final[Mapping[str, range]] = {"US": range(2, 9), "IN": range(-1, 6)}
"""Exchange -> blocks, counted from midnight UTC, that a trading date there can reach into."""

EVERY_BLOCK: Final = range(-4, 10)
"""The same of an exchange that is not named, on any meridian."""

SLOT_MS: Final = 10 * SECOND_MS
SECONDS_KEPT_MS: Final = 15 * MINUTE_MS
"""How far one-second candles go back from the newest of them."""

_CANDLES: Final = "candles:"
_SECONDS: Final = "seconds:"
_EPOCH: Final = dt.date(1970, 1, 1).toordinal()


@lru_cache(maxsize=1024)
def midnight_ms(date: str) -> int:
    """Midnight UTC of ``2026-11-20``, ms UTC."""
    return (dt.date.fromisoformat(date).toordinal() - _EPOCH) * DAY_MS


def candle_hash(exchange: str, symbol: str, interval: str, date: str, start_ms: int) -> str:
    """Hash of the candle of a minute or longer that starts at a time on a trading date."""
    before, after = around_symbol(exchange, interval, date, start_ms)
    return before + symbol + after


def around_symbol(exchange: str, interval: str, date: str, start_ms: int) -> tuple[str, str]:
    """What stands before and after the symbol in ``candle_hash``."""
    block = f".{(start_ms - midnight_ms(date)) // BLOCK_MS}" if interval == "1m" else ""
    return f"{_CANDLES}{exchange}:", f":{interval}:{date}{block}"


def candle_field(date: str, start_ms: int) -> str:
    """Field of the candle that starts at a time on a trading date."""
    return str((start_ms - midnight_ms(date)) // MINUTE_MS)


def seconds_hash(exchange: str, slot_ms: int) -> str:
    """Hash of the one-second candles of ten seconds; field = symbol."""
    return f"{_SECONDS}{exchange}:{slot_ms}"


def is_candles(name: str) -> bool:
    """Whether a hash holds candles of a minute or longer."""
    return name.startswith(_CANDLES)


def is_seconds(name: str) -> bool:
    """Whether a hash holds one-second candles."""
    return name.startswith(_SECONDS)


class CandleHash(NamedTuple):
    """Which candles a hash holds; a symbol may hold colons (``O:SPY261218C00600000``).

    ``date`` is empty for one-second candles: their time is in the field.
    """

    feed: str
    exchange: str
    date: str
    symbol: str
    interval: str

    @classmethod
    def of(cls, exchange: str, symbol: str, interval: str, date: str = "") -> "CandleHash":
        """Name the candles of a symbol and interval on a trading date."""
        return cls(f"candles:{interval}:{symbol}", exchange, date, symbol, interval)

    @classmethod
    def parse(cls, name: str) -> "CandleHash":
        """Read ``candles:US:AIG:1m:2026-11-20.3``."""
        _, exchange, rest = name.split(":", 2)
        symbol, interval, date = rest.rsplit(":", 2)
        return cls.of(exchange, symbol, interval, date.partition(".")[0])

    @property
    def name(self) -> str:
        """What ``parse`` reads back."""
        return f"{_CANDLES}{self.exchange}:{self.symbol}:{self.interval}:{self.date}"

    def hashes(self) -> list[str]:
        """Every hash of a minute or longer in which such candles may lie."""
        if self.interval != "1m":
            return [self.name]
        return [f"{self.name}.{block}" for block in BLOCKS.get(self.exchange, EVERY_BLOCK)]

    def candles(self, rows: Mapping[str, bytes]) -> Iterator[Candle]:
        """Unpack a hash's fields; of one-second candles, field = slot (ms UTC).

        Raises ValueError or MsgspecError where a name, a field or a value is of another layout.
        """
        if self.interval == "1s":
            for slot, packed in rows.items():
                yield from read_seconds(packed, int(slot))
            return
        midnight = midnight_ms(self.date)
        for field, packed in rows.items():
            yield decode_candle(packed, midnight + int(field) * MINUTE_MS)


class SecondsHash(NamedTuple):
    """A hash of one-second candles."""

    exchange: str
    slot_ms: int

    @classmethod
    def parse(cls, name: str) -> "SecondsHash":
        """Read ``seconds:US:1795185000000``."""
        _, exchange, slot_ms = name.split(":")
        return cls(exchange, int(slot_ms))

    def split(self, rows: Mapping[str, bytes]) -> Iterator[tuple[CandleHash, dict[str, bytes]]]:
        """Its candles symbol by symbol, as ``CandleHash.candles`` reads them."""
        slot = str(self.slot_ms)
        for symbol, packed in rows.items():
            yield CandleHash.of(self.exchange, symbol, "1s"), {slot: packed}
