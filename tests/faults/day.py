"""A made-up stretch of trading whose candles can be told by plain arithmetic.

The trades are a source for the simulator; ``candles`` says what must come out at the other
end, for all trades or for those that were not lost. It shares no code with the package.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from tapewire.model.events import Gap
from tapewire.simulators.sources import NoReference, Reference, Slice

START_MS = 1_381_152_600_000  # 2013-10-07 09:30 New York
MINUTE_MS = 60_000
SYMBOLS = ("AIG", "BAC", "IBM")

Candle = dict[str, Any]


@dataclass(frozen=True)
class Print:
    """One trade, its price in cents."""

    number: int
    symbol: str
    cents: int
    size: int
    time_ms: int

    @property
    def json(self) -> str:
        return (
            f'{{"ev":"T","sym":"{self.symbol}","i":"{self.number}","x":11,'
            f'"p":{self.cents / 100},"s":{self.size},"z":1,"t":{self.time_ms},'
            f'"q":{self.number + 1}}}'
        )


class Day:
    """``count`` trades, ``every_ms`` apart, of the symbols in turn; a simulator's source."""

    whole_frames: bool = False
    name: str = "made-up day"
    topics = frozenset({"T"})
    symbols = frozenset(SYMBOLS)
    dates: tuple[str, ...] = ("2013-10-07",)
    notes: Sequence[str] = ()
    reference: Reference = NoReference("2013-10-07")

    def __init__(self, count: int, *, every_ms: int = 20, first: int = 0) -> None:
        self.prints = [
            Print(
                number,
                SYMBOLS[number % len(SYMBOLS)],
                5_000 + number * 37 % 211 - number * 11 % 97,
                100 + number % 7,
                START_MS + number * every_ms,
            )
            for number in range(first, first + count)
        ]

    def slices(self) -> Iterator[Slice]:
        for start in range(0, len(self.prints), 100):
            yield [(p.time_ms, f"T.{p.symbol}", p.json) for p in self.prints[start : start + 100]]

    def of_shard(self, index: int, shards: int) -> list[Print]:
        """The trades of one shard, in order: offset ``n`` of a producer is the ``n``-th."""
        return [p for p in self.prints if crc32(p.symbol.encode()) % shards == index]


def without(prints: Sequence[Print], gaps: Iterable[Gap]) -> list[Print]:
    """The trades that are outside the gaps, which count offsets of one shard."""
    lost = {at for gap in gaps for at in range(gap.from_offset, gap.to_offset)}
    return [p for at, p in enumerate(prints) if at not in lost]


def candles(prints: Iterable[Print], gaps: Collection[Gap] = ()) -> list[Candle]:
    """The finished 1-minute candles of these trades, by symbol and start.

    A candle that overlaps a gap in time carries its mark.
    """
    minutes: dict[tuple[str, int], list[Print]] = defaultdict(list)
    for p in prints:
        minutes[p.symbol, p.time_ms // MINUTE_MS * MINUTE_MS].append(p)
    return [_candle(*key, minutes[key], gaps) for key in sorted(minutes)]


def _candle(symbol: str, start_ms: int, prints: list[Print], gaps: Collection[Gap]) -> Candle:
    prints = sorted(prints, key=lambda p: (p.time_ms, p.number))
    cents = [p.cents for p in prints]
    volume = sum(p.size for p in prints)
    end_ms = start_ms + MINUTE_MS
    return {
        "feed": f"candles:1m:{symbol}",
        "symbol": symbol,
        "exchange": "US",
        "interval": "1m",
        "start_ms": start_ms,
        "open": cents[0] / 100,
        "high": max(cents) / 100,
        "low": min(cents) / 100,
        "close": cents[-1] / 100,
        "volume": volume,
        "vwap": sum(p.cents * 10_000 * p.size for p in prints) / (volume * 1_000_000),
        "trades": len(prints),
        "closed": True,
        "revision": 0,
        "gap": any(gap.from_ms < end_ms and start_ms <= gap.to_ms for gap in gaps),
        "minute_int": None,
        "estimated": False,
    }
