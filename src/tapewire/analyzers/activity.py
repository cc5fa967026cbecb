"""What every symbol traded, second by second for two days, and its sums over equal windows.

A window is the last N whole seconds of event time. Its sums are kept by adding the seconds
that enter and taking out those that leave, each touched once at each boundary; a jump of
event time that is longer than a window fills it anew. Seconds are kept packed; a quarter of
an hour that can no longer change has a total, so that a new owner need not walk a day.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import msgpack

from tapewire.analyzers.activity_columns import (
    Columns,
    Numbers,
    Sums,
    columns_of,
    count,
    count_all,
    counts_only,
    discount,
    pack,
    unpack,
)
from tapewire.analyzers.bars import SECOND_MS, Bar
from tapewire.analyzers.shard_clock import LATENESS_MS

Fields = dict[str, bytes]

BLOCK_S: Final = 900
HOUR_S: Final = 3_600
LATENESS_S: Final = LATENESS_MS // SECOND_MS
HASH: Final = "activity:"


class Stairs:
    """A symbol's largest sizes: each second that no later one reaches. Sizes only descend."""

    __slots__ = ("seconds", "sizes")

    def __init__(self) -> None:
        self.seconds: list[int] = []
        self.sizes: list[int | float] = []

    def put(self, second: int, size: float) -> None:
        """Put a second's largest size in; seconds may come in any order."""
        seconds, sizes = self.seconds, self.sizes
        at = len(seconds)
        if seconds and second <= seconds[-1]:
            at = bisect_left(seconds, second)
            if sizes[at] >= size:
                return
            if seconds[at] == second:
                del seconds[at], sizes[at]
        first = at
        while first and sizes[first - 1] <= size:
            first -= 1
        seconds[first:at] = [second]
        sizes[first:at] = [size]

    def since(self, second: int) -> int | float:
        """The largest size at or after a second; 0 without one."""
        at = bisect_left(self.seconds, second)
        return self.sizes[at] if at < len(self.sizes) else 0

    def forget(self, second: int) -> None:
        """Forget what came before a second."""
        at = bisect_left(self.seconds, second)
        del self.seconds[:at], self.sizes[:at]


class Window:
    """Sums of the last ``length_s`` seconds, and the trades of as many before those."""

    __slots__ = ("before", "length_s", "sums")

    def __init__(self, length_s: int) -> None:
        self.length_s = length_s
        self.sums = Sums()
        self.before: list[int] = []


class Activity:
    """Every symbol's trading of the last two days, and windows that end at ``now_s``.

    Args:
        lengths_s: the windows' lengths in seconds; the longest says how long is kept.

    Seconds are numbered since 1970. ``names`` are the symbols by number.
    """

    def __init__(self, lengths_s: Iterable[int]) -> None:
        self.windows = {length_s: Window(length_s) for length_s in lengths_s}
        self.longest_s = max(self.windows)
        self.names: list[str] = []
        self.now_s = -1
        self._numbers: dict[str, int] = {}
        self._stairs: list[Stairs] = []
        self._seconds: dict[int, tuple[bytes, ...]] = {}
        self._order: list[int] = []
        self._open: dict[int, Sums] = {}
        self._totals: dict[int, tuple[bytes, bytes]] = {}
        self._named: dict[int, set[int]] = {}
        self._unsaved: dict[str, Fields] = {}
        self._dropped: list[str] = []

    def put(self, second_s: int, bars: Sequence[Bar]) -> None:
        """Put bars of one second in, all with trades that count; it may be a past second."""
        numbers = [self._number(bar.symbol) for bar in bars]
        columns = columns_of(numbers, bars)
        layers = self._seconds.get(second_s, ())
        if not layers:
            insort(self._order, second_s)
        packed = pack(columns)
        self._seconds[second_s] = (*layers, packed)
        self._save(second_s, f"{second_s}:{len(layers)}", packed)
        self._name(second_s, len(layers), numbers)
        if second_s < self.now_s:
            self._enter_late(second_s, columns)

    def _number(self, symbol: str) -> int:
        number = self._numbers.get(symbol)
        return self._introduce(symbol, len(self.names)) if number is None else number

    def _introduce(self, symbol: str, number: int) -> int:
        """Give a symbol a number; numbers in between belong to nobody any more."""
        while len(self.names) <= number:
            self.names.append("")
            self._stairs.append(Stairs())
            for window in self.windows.values():
                window.sums.grow()
                window.before.append(0)
            for sums in self._open.values():
                sums.grow()
        self.names[number] = symbol
        self._numbers[symbol] = number
        return number

    def _name(self, second_s: int, layer: int, numbers: Iterable[int]) -> None:
        """Save the names of numbers that are new in this hour."""
        named = self._named.setdefault(second_s // HOUR_S, set())
        new = [number for number in numbers if number not in named]
        if new:
            named.update(new)
            names = [(number, self.names[number]) for number in new]
            self._save(second_s, f"names:{second_s}:{layer}", _encode(names))

    def _save(self, second_s: int, field: str, packed: bytes) -> None:
        self._unsaved.setdefault(_hash_of(second_s), {})[field] = packed

    def advance(self, now_s: int) -> None:
        """Let every window end before ``now_s``."""
        old_s, self.now_s = self.now_s, now_s
        if old_s < 0 or now_s <= old_s:
            return
        fresh = list(self._walk(old_s, now_s))
        for window in self.windows.values():
            if now_s - old_s >= window.length_s:
                self._fill(window)
            else:
                self._move(window, old_s, fresh)
        for second_s, columns in fresh:
            self._enter(second_s, columns)
        self._end_blocks()
        self._drop_old()

    def _walk(self, from_s: int, to_s: int) -> Iterator[tuple[int, Columns]]:
        """Seconds with trades, in order, and what was traded."""
        order, seconds = self._order, self._seconds
        for second_s in order[bisect_left(order, from_s) : bisect_left(order, to_s)]:
            for packed in seconds[second_s]:
                yield second_s, unpack(packed)

    def _move(self, window: Window, old_s: int, fresh: Sequence[tuple[int, Columns]]) -> None:
        for _, columns in fresh:
            window.sums.add(columns)
        length_s, moved_s = window.length_s, self.now_s - old_s
        start_s = old_s - length_s
        for second_s, columns in self._walk(start_s, start_s + moved_s):
            window.sums.take(columns)
            count(window.before, columns)
            if length_s == self.longest_s:
                self._seconds[second_s] = tuple(map(counts_only, self._seconds[second_s]))
        start_s -= length_s
        for _, columns in self._walk(start_s, start_s + moved_s):
            discount(window.before, columns)

    def _fill(self, window: Window) -> None:
        """Sum a window up from nothing."""
        start_s, known = self.now_s - window.length_s, len(self.names)
        window.sums, window.before = Sums(known), [0] * known
        for columns in self._spans(start_s, self.now_s):
            window.sums.add(columns)
        count_all(window.before, self._spans(start_s - window.length_s, start_s))

    def _spans(self, from_s: int, to_s: int) -> Iterator[Columns]:
        """What was traded, in totals of whole blocks where there are any."""
        at_s = from_s
        while at_s < to_s:
            block, end_s = at_s // BLOCK_S, min(to_s, (at_s // BLOCK_S + 1) * BLOCK_S)
            if end_s - at_s == BLOCK_S and block in self._totals:
                yield unpack(self._totals[block][0])
            else:
                yield from (columns for _, columns in self._walk(at_s, end_s))
            at_s = end_s

    def _enter(self, second_s: int, columns: Columns) -> None:
        """Put a second into its block and onto the stairs."""
        block = second_s // BLOCK_S
        sums = self._open.get(block)
        if sums is None:
            sums = self._open[block] = Sums(len(self.names))
        sums.add(columns)
        stairs = self._stairs
        for number, size in zip(columns.symbols, columns.largest, strict=True):
            stairs[number].put(second_s, size)

    def _enter_late(self, second_s: int, columns: Columns) -> None:
        for window in self.windows.values():
            start_s = self.now_s - window.length_s
            if second_s >= start_s:
                window.sums.add(columns)
            elif second_s >= start_s - window.length_s:
                count(window.before, columns)
        self._enter(second_s, columns)

    def _end_blocks(self) -> None:
        """Total the blocks into which no trade can come any more."""
        last_s = self.now_s - LATENESS_S
        for block in [b for b in self._open if (b + 1) * BLOCK_S <= last_s]:
            total = (pack(self._open.pop(block).columns()), pack(self._steps(block)))
            self._totals[block] = total
            self._save(block * BLOCK_S, f"total:{block}", _encode(total))
        for hour in [h for h in self._named if (h + 1) * HOUR_S <= last_s]:
            del self._named[hour]
            oldest_s = self.now_s - self.longest_s
            for stairs in self._stairs:
                stairs.forget(oldest_s)

    def _steps(self, block: int) -> Columns:
        """The stairs' steps that lie in a block: what came later and is larger covers the rest.

        ``trades`` hold the place of the second in the block.
        """
        start_s = block * BLOCK_S
        steps = [
            (number, second_s - start_s, size)
            for number, stairs in enumerate(self._stairs)
            for second_s, size in zip(stairs.seconds, stairs.sizes, strict=True)
            if start_s <= second_s < start_s + BLOCK_S
        ]
        numbers, places, sizes = zip(*steps, strict=True) if steps else ((), (), ())
        return Columns(numbers, places, largest=sizes)

    def _drop_old(self) -> None:
        """Forget whole hours that no window reaches any more."""
        oldest = (self.now_s - 2 * self.longest_s) // HOUR_S
        gone = self._order[: bisect_left(self._order, oldest * HOUR_S)]
        if not gone:
            return
        del self._order[: len(gone)]
        for second_s in gone:
            del self._seconds[second_s]
        self._seconds = dict(self._seconds)  # one that only turns over ends up twice as large
        for block in [b for b in self._totals if b * BLOCK_S // HOUR_S < oldest]:
            del self._totals[block]
        for hour in sorted({second_s // HOUR_S for second_s in gone}):
            self._unsaved.pop(_hash_of(hour * HOUR_S), None)
            self._dropped.append(_hash_of(hour * HOUR_S))

    def largest(self, number: int, window: Window) -> int | float:
        """The largest single trade of a symbol in a window."""
        return self._stairs[number].since(self.now_s - window.length_s)

    def drain(self) -> tuple[dict[str, Fields], list[str]]:
        """Private fields by hash that changed since the last drain, and hashes to drop."""
        changed, self._unsaved = self._unsaved, {}
        dropped, self._dropped = self._dropped, []
        return changed, dropped

    def renew(self) -> None:
        """Make the next drain write everything."""
        for second_s, layers in self._seconds.items():
            for layer, packed in enumerate(layers):
                self._save(second_s, f"{second_s}:{layer}", packed)
        names = _encode([(number, name) for number, name in enumerate(self.names) if name])
        for hour in {second_s // HOUR_S for second_s in self._seconds}:
            self._save(hour * HOUR_S, "names:all", names)
        for block, total in self._totals.items():
            self._save(block * BLOCK_S, f"total:{block}", _encode(total))

    def hashes(self, now_s: int) -> list[str]:
        """Names of the private hashes that ``restore`` needs."""
        first = (now_s - 2 * self.longest_s) // HOUR_S
        return [_hash_of(hour * HOUR_S) for hour in range(first, now_s // HOUR_S + 1)]

    def restore(self, private: Mapping[str, Mapping[str, bytes]], now_s: int) -> None:
        """Read everything back; windows end at ``now_s``."""
        for name in sorted(name for name in private if name.startswith(HASH)):
            self._restore_hour(int(name.removeprefix(HASH)) // HOUR_S, private[name])
        self._order = sorted(self._seconds)
        self.now_s = now_s
        for window in self.windows.values():
            self._fill(window)
        self._restore_stairs()
        self._end_blocks()

    def _restore_hour(self, hour: int, fields: Mapping[str, bytes]) -> None:
        layers: dict[int, dict[int, bytes]] = {}
        for field, packed in fields.items():
            kind, _, rest = field.rpartition(":")
            if kind == "total":
                self._totals[int(rest)] = _decode_total(packed)
            elif kind.startswith("names"):
                self._restore_names(hour, packed)
            else:
                layers.setdefault(int(kind), {})[int(rest)] = packed
        for second_s, found in layers.items():
            self._seconds[second_s] = tuple(found[layer] for layer in sorted(found))

    def _restore_names(self, hour: int, packed: bytes) -> None:
        for number, name in _decode_names(packed):
            self._introduce(name, number)
            self._named.setdefault(hour, set()).add(number)

    def _restore_stairs(self) -> None:
        """Rebuild the stairs, and the sums of blocks that can still change."""
        oldest_s = self.now_s - self.longest_s
        for block in sorted({second_s // BLOCK_S for second_s in self._order}):
            start_s = block * BLOCK_S
            if start_s + BLOCK_S <= oldest_s:
                continue
            if block in self._totals:
                steps = unpack(self._totals[block][1])
                for number, place, size in zip(*_places(steps), strict=True):
                    self._stairs[number].put(start_s + place, size)
            else:
                for second_s, columns in self._walk(start_s, min(start_s + BLOCK_S, self.now_s)):
                    self._enter(second_s, columns)


def _places(steps: Columns) -> tuple[Sequence[int], Sequence[int], Numbers]:
    return steps.symbols, steps.trades, steps.largest


def _hash_of(second_s: int) -> str:
    return f"{HASH}{second_s // HOUR_S * HOUR_S}"


_encode = msgpack.Encoder().encode
_decode_names = msgpack.Decoder(list[tuple[int, str]]).decode
_decode_total = msgpack.Decoder(tuple[bytes, bytes]).decode
