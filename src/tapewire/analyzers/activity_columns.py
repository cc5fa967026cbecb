"""What many symbols traded in one span of time, as columns, and packed into few bytes.

A day of 10,000 symbols is ten million of these entries; objects would take gigabytes. Packed,
an entry takes about ten bytes, in memory and in the store alike.
"""

import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct as Layout
from typing import Final, NamedTuple

from tapewire.analyzers.bars import Bar

Numbers = Sequence[int | float]

_HEAD: Final = Layout("<cI5s")
_PLAIN, _DEFLATED = b"p", b"z"
_WORTH_IT: Final = 256
"""Bytes from which on deflating pays."""

_FEW: Final = 6
"""Entries that never take ``_WORTH_IT`` bytes: five numbers of at most eight bytes each."""

_WIDTHS: Final = ((1 << 8, "B"), (1 << 16, "H"), (1 << 32, "I"))

_FRACTION: Final = 1 << 20
"""Fractions of a share are kept to 1/1,048,576: sums of such floats are exact."""


class Columns(NamedTuple):
    """Entries of a span: a symbol's number, and its sums over trades that count for volume.

    A symbol may stand in several entries; they add up. ``notionals`` are in millionths of
    price x size, ``largest`` the sizes of the largest single trades.
    """

    symbols: Sequence[int]
    trades: Sequence[int]
    volumes: Numbers = ()
    notionals: Numbers = ()
    largest: Numbers = ()


def columns_of(symbols: Sequence[int], bars: Sequence[Bar]) -> Columns:
    """One entry a bar; ``symbols`` are the bars' numbers."""
    return Columns(
        symbols,
        [bar.trades for bar in bars],
        [exact(bar.volume) for bar in bars],
        [round(bar.notional) for bar in bars],
        [exact(bar.largest) for bar in bars],
    )


def exact(size: float) -> int | float:
    """A size of which sums are exact in whatever order they are made."""
    if type(size) is int:
        return size
    rounded = round(size * _FRACTION) / _FRACTION
    return int(rounded) if rounded.is_integer() else rounded


def pack(columns: Columns) -> bytes:
    """Columns -> bytes, each column in the narrowest type that holds it."""
    if len(columns.symbols) <= _FEW:
        return _pack_few(columns)
    return _pack_arrays([_narrow(column) for column in columns], len(columns.symbols))


def _pack_few(columns: Columns) -> bytes:
    """As ``_pack_arrays`` would, in one call: most seconds of a quiet market are like this."""
    codes = "".join([_code(max(column)) if column else "-" for column in columns]).encode()
    head = _HEAD.pack(_PLAIN, len(columns.symbols), codes)
    try:
        return head + _layout(head)[0].pack(*chain.from_iterable(columns))
    except struct.error:  # fractions, or more than anybody ever traded
        return _pack_arrays([_narrow(column) for column in columns], len(columns.symbols))


def _pack_arrays(arrays: "Sequence[array[int] | array[float]]", count: int) -> bytes:
    body = b"".join(column.tobytes() for column in arrays)
    codes = "".join(column.typecode if column else "-" for column in arrays).encode()
    if len(body) < _WORTH_IT:
        return _HEAD.pack(_PLAIN, count, codes) + body
    return _HEAD.pack(_DEFLATED, count, codes) + zlib.compress(body, 1)


def _narrow(values: Numbers) -> "array[int] | array[float]":
    try:
        return array(_code(max(values, default=0)), values)
    except (TypeError, OverflowError):  # fractions, or more than anybody ever traded
        return array("d", values)


def _code(top: float) -> str:
    """Of the narrowest type that holds whole numbers up to ``top``."""
    for bound, code in _WIDTHS:
        if top < bound:
            return code
    return "Q"


@lru_cache(maxsize=4096)
def _layout(head: bytes) -> tuple[Layout, tuple[slice, ...]]:
    """How the plain body after a head is laid out, and where each column's values are then."""
    _, count, codes = _HEAD.unpack(head)
    layout, places, start = "=", [], 0
    for code in codes.decode():
        filled = count if code != "-" else 0
        layout += f"{count}{code}" if filled else ""
        places.append(slice(start, start + filled))
        start += filled
    return Layout(layout), tuple(places)


def unpack(packed: bytes) -> Columns:
    """Read ``pack`` back; a column that was empty is."""
    if packed[:1] == _PLAIN:
        return _unpack_plain(packed)
    _, count, codes = _HEAD.unpack_from(packed)
    body = zlib.decompress(packed[_HEAD.size :])
    columns: list[Numbers] = []
    start = 0
    for code in codes.decode():
        if code == "-":
            columns.append(())
            continue
        values = array(code)
        end = start + count * values.itemsize
        values.frombytes(body[start:end])
        columns.append(values)
        start = end
    return Columns(*columns)  # type: ignore[arg-type]  # the first two hold ints


def _unpack_plain(packed: bytes) -> Columns:
    layout, places = _layout(packed[: _HEAD.size])
    values = layout.unpack_from(packed, _HEAD.size)
    return Columns(*[values[place] for place in places])


def counts_only(packed: bytes) -> bytes:
    """The same entries with nothing but their numbers of trades."""
    return pack(Columns(*unpack(packed)[:2]))


class Sums:
    """Running sums by a symbol's number."""

    __slots__ = ("notionals", "trades", "volumes")

    def __init__(self, symbols: int = 0) -> None:
        self.trades = [0] * symbols
        self.volumes: list[int | float] = [0] * symbols
        self.notionals: list[int | float] = [0] * symbols

    def grow(self) -> None:
        """There is one symbol more."""
        self.trades.append(0)
        self.volumes.append(0)
        self.notionals.append(0)

    def add(self, columns: Columns) -> None:
        """Put entries in."""
        trades, volumes, notionals = self.trades, self.volumes, self.notionals
        for i, n, v, x in zip(*columns[:4], strict=False):
            trades[i] += n
            volumes[i] += v
            notionals[i] += x

    def take(self, columns: Columns) -> None:
        """Take entries out that were put in."""
        trades, volumes, notionals = self.trades, self.volumes, self.notionals
        for i, n, v, x in zip(*columns[:4], strict=False):
            trades[i] -= n
            volumes[i] -= v
            notionals[i] -= x

    def columns(self) -> Columns:
        """One entry for every symbol that traded, without the largest sizes."""
        traded = [i for i, n in enumerate(self.trades) if n]
        kept = (self.trades, self.volumes, self.notionals)
        return Columns(traded, *([column[i] for i in traded] for column in kept))  # type: ignore[arg-type]


def count(counts: list[int], columns: Columns) -> None:
    """Add entries' trades to counts by a symbol's number."""
    for i, n in zip(columns.symbols, columns.trades, strict=True):
        counts[i] += n


def discount(counts: list[int], columns: Columns) -> None:
    """Take entries' trades out of counts again."""
    for i, n in zip(columns.symbols, columns.trades, strict=True):
        counts[i] -= n


def count_all(counts: list[int], many: Iterable[Columns]) -> None:
    """Count the trades of many spans."""
    for columns in many:
        count(counts, columns)
