"""Trades folded into one bar per symbol and second, and the cut that ends each second.

A trade touches one object, its symbol's bar of the current second; everything longer
(days, minutes, boards) is a sum over bars, made when the second ends. Bars are deltas
and merging them is associative: sums add, extremes widen, and first and last price are
decided by the order key (timestamp, sequence), whatever order the trades arrived in.
"""

from array import array
from collections.abc import Iterable, Iterator
from math import inf
from typing import Final

from msgspec import Struct, msgpack

from tapewire.market.conditions import HIGH_LOW, OPEN_CLOSE, OPENING, VOLUME
from tapewire.model.events import Trade
from tapewire.model.rows import NOTIONAL_SCALE

SECOND_MS: Final = 1000


class Bar(Struct, array_like=True, gc=False):
    """What one symbol traded in one span of time, before anybody rounds it.

    ``notional`` is in millionths of price x size. ``high`` is -inf and ``low`` inf
    until a high/low-eligible trade; ``close_t`` is -1 until an open/close-eligible one.
    ``(open_t, open_q)`` and ``(close_t, close_q)`` are order keys (ms UTC, sequence);
    ``(last_t, last_q)`` that of the newest trade of any kind. ``official_*`` is the first
    opening print (condition 17 or 25), -1 while there is none. ``seen`` counts trades of
    any kind, eligible or not; ``largest`` is the size of the largest that counts for volume.
    ``estimated`` when its volume holds sizes that stand for others too.
    """

    symbol: str
    start_ms: int
    volume: int | float = 0
    notional: int | float = 0
    trades: int = 0
    high: float = -inf
    low: float = inf
    open: float = 0.0
    open_t: int = -1
    open_q: int = -1
    close: float = 0.0
    close_t: int = -1
    close_q: int = -1
    last_t: int = -1
    last_q: int = -1
    official: float = 0.0
    official_t: int = -1
    official_q: int = -1
    seen: int = 0
    largest: int | float = 0
    estimated: bool = False

    def add(self, trade: Trade, effects: int) -> None:
        """Put one trade in, wherever in the order it belongs."""
        price, t, q = trade.price, int(trade.timestamp_ms), int(trade.sequence)
        self.seen += 1
        if t > self.last_t:
            self.last_t = t
        if q > self.last_q:
            self.last_q = q
        if effects & VOLUME:
            size = trade.size
            self.volume += size
            if size > self.largest:
                self.largest = size
            self.notional += notional(price, size)
            self.trades += 1
        if effects & HIGH_LOW:
            self._widen(price, price)
        if effects & OPEN_CLOSE:
            self._begin(price, t, q)
            self._end(price, t, q)
        if effects & OPENING:
            self._opening(price, t, q)

    def merge(self, other: "Bar") -> None:
        """Put another span's bar of the same symbol in; the order of merging is free."""
        self.seen += other.seen
        self.volume += other.volume
        self.notional += other.notional
        self.trades += other.trades
        self.largest = max(self.largest, other.largest)
        if other.estimated:
            self.estimated = True
        self._widen(other.high, other.low)
        if other.close_t >= 0:
            self._begin(other.open, other.open_t, other.open_q)
            self._end(other.close, other.close_t, other.close_q)
        if other.official_t >= 0:
            self._opening(other.official, other.official_t, other.official_q)

    def _widen(self, high: float, low: float) -> None:
        if high > self.high:
            self.high = high
        if low < self.low:
            self.low = low

    def _begin(self, price: float, t: int, q: int) -> None:
        if self.open_t < 0 or t < self.open_t or (t == self.open_t and q < self.open_q):
            self.open, self.open_t, self.open_q = price, t, q

    def _end(self, price: float, t: int, q: int) -> None:
        if t > self.close_t or (t == self.close_t and q >= self.close_q):
            self.close, self.close_t, self.close_q = price, t, q

    def _opening(self, price: float, t: int, q: int) -> None:
        if self.official_t < 0 or (t, q) < (self.official_t, self.official_q):
            self.official, self.official_t, self.official_q = price, t, q

    @property
    def touched(self) -> bool:
        """Whether a trade in it updates anything: prices that markets only report do not."""
        return self.trades > 0 or self.official_t >= 0 or self.traded

    @property
    def traded(self) -> bool:
        """Whether a trade in it has an eligible size or price."""
        return self.trades > 0 or self.close_t >= 0 or self.high > -inf


def notional(price: float, size: float) -> int | float:
    """Price x size in millionths, exact for prices of up to six decimals and whole sizes."""
    return int(price * NOTIONAL_SCALE + 0.5) * size


class Recent:
    """A symbol's last trade sequences: the window in which a repeated one is a duplicate.

    Holds at least the last 1,024 (components.md 4) in 8 bytes each. Packed in chunks so that a
    flush writes only what was added: field ``{symbol}:{chunk % CHUNKS}``, value (total before
    the chunk, sequences).
    """

    WINDOW: Final = 1024
    CHUNK: Final = 64
    CHUNKS: Final = WINDOW // CHUNK + 1
    MOST: Final = WINDOW + 3 * CHUNK
    """Sequences that are held before they are trimmed to the window."""

    __slots__ = ("base", "flushed", "newest", "sequences")

    def __init__(self) -> None:
        self.base = 0  # sequences trimmed off the front; a multiple of CHUNK
        self.flushed = 0
        self.newest = -1
        self.sequences: array[int] = array("q")

    def extend(self, sequences: list[int | float]) -> list[int]:
        """Remember sequences, oldest first; forget chunks that the window has left behind.

        Returns them as they are remembered.
        """
        known = self.sequences
        added: list[int] = sequences  # type: ignore[assignment]  # ints, as a rule
        try:
            known.fromlist(added)
        except (TypeError, OverflowError):  # nothing was added
            added = [min(int(q), _LARGEST) for q in sequences]
            known.fromlist(added)
        if len(known) > self.MOST:
            spare = (len(known) - self.WINDOW) // self.CHUNK * self.CHUNK
            del known[:spare]
            self.base += spare
        return added

    def has(self, sequence: int, within: int = WINDOW) -> bool:
        """Whether a sequence is among the last ``within``."""
        return within > 0 and sequence in self.sequences[-within:]

    def note(self, newest: int) -> None:
        """The symbol's sequences have come to ``newest``."""
        if newest > self.newest:
            self.newest = newest

    def drain(self, symbol: str) -> Iterator[tuple[str, bytes]]:
        """Fields and values of the chunks that changed since the last drain."""
        total = self.base + len(self.sequences)
        if total == self.flushed:
            return
        oldest = max(self.base, total - self.WINDOW - self.CHUNK)
        start = max(self.flushed, oldest) // self.CHUNK * self.CHUNK
        for first in range(max(start, self.base), total, self.CHUNK):
            at = first - self.base
            field = f"{symbol}:{first // self.CHUNK % self.CHUNKS}"
            yield field, _encode((first, self.sequences[at : at + self.CHUNK].tolist()))
        self.flushed = total

    def renew(self) -> None:
        """Make the next drain write everything."""
        self.flushed = self.base

    @classmethod
    def restore(cls, chunks: Iterable[bytes]) -> "Recent":
        """Read the chunks of one symbol back, in any order."""
        recent = cls()
        for first, sequences in _contiguous(map(_decode_chunk, chunks)):
            if not recent.sequences:
                recent.base = first
            recent.sequences.extend(sequences)
        recent.flushed = recent.base + len(recent.sequences)
        recent.newest = max(recent.sequences, default=-1)
        return recent


def _contiguous(chunks: Iterable[tuple[int, list[int]]]) -> list[tuple[int, list[int]]]:
    """The newest chunks up to the first hole: one that was trimmed unwritten leaves an old part."""
    whole: list[tuple[int, list[int]]] = []
    for first, sequences in sorted(chunks, reverse=True):
        if whole and first + len(sequences) != whole[-1][0]:
            break
        whole.append((first, sequences))
    return whole[::-1]


_LARGEST: Final = 2**63 - 1
_encode = msgpack.Encoder().encode
_decode_chunk = msgpack.Decoder(tuple[int, list[int]]).decode
