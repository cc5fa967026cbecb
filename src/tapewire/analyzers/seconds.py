"""One-second candles of the last quarter of an hour.

They lie by time: a slot of ten seconds holds a symbol's seconds in one packed row, so that a
flush writes a few hashes, whatever the number of symbols. The rows are exact (order keys
and sums included): they are the state too, and nothing private goes with them. A second's
bars are kept as they came until a drain packs them; what grew old before that is never packed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tapewire.analyzers.analyzer import ROWS
from tapewire.analyzers.bars import SECOND_MS, Bar
from tapewire.analyzers.buckets import Spans, overlaps
from tapewire.analyzers.shard_clock import LATENESS_MS
from tapewire.model.candle_names import (
    MINUTE_MS,
    SECONDS_KEPT_MS,
    SLOT_MS,
    SecondsHash,
    seconds_hash,
)
from tapewire.model.changes import Changes
from tapewire.model.packed_candles import (
    CENTS,
    CLOSED,
    ESTIMATED,
    GAP,
    REVISION,
    PackedSecond,
    candle_fields,
    decode_seconds,
    encode_packed,
    state_of,
)

KEPT_MS: Final = max(SECONDS_KEPT_MS, LATENESS_MS) + MINUTE_MS
"""A minute longer than anybody reads: a corrected second's whole minute is summed again."""


class Seconds:
    """The seconds of one shard.

    Memory forgets them by event time; the store when newer candles have come, so that it holds
    the last ones also while nothing trades.
    """

    def __init__(self, exchange: str, grace_ms: int) -> None:
        self._exchange = exchange
        self._grace_ms = grace_ms
        self._fresh: dict[int, Sequence[Bar] | dict[str, Bar]] = {}
        self._slots: dict[int, dict[str, list[PackedSecond] | bytes]] = {}
        self._open: dict[int, list[str]] = {}
        self._changed: dict[tuple[int, str], list[PackedSecond] | bytes] = {}
        self._written: set[int] = set()
        self._dropped: list[str] = []
        self._outdated = ""
        self._newest_slot = -1
        self._tidied = False
        self._second_ms = -1
        self._closed_ms = -1

    def __len__(self) -> int:
        """How many symbols' slots are in memory."""
        return sum(map(len, self._slots.values()))

    def add(self, bars: Sequence[Bar]) -> None:
        """Take all bars of a second that has ended."""
        start_ms = bars[0].start_ms
        self._fresh[start_ms] = bars
        if any(bar.close_t >= 0 for bar in bars):
            self._advance(start_ms)

    def amend(self, bar: Bar, lost: Spans) -> None:
        """Merge a late trade's bar into its second."""
        elements = self._elements(bar.symbol, bar.start_ms, lost)
        known = _find(elements, bar.start_ms)
        whole = bar
        if known is not None:
            whole = _bar_of(bar.symbol, slot_of(bar.start_ms), known)
            whole.merge(bar)
        self._set(elements, known, whole, lost)

    def take(self, bar: Bar, lost: Spans) -> Bar | None:
        """Put a provider's bar in; what it replaces, itself if it says nothing new."""
        start_ms, symbol = bar.start_ms, bar.symbol
        if self._is_closed(start_ms) or symbol in self._slots.get(slot_of(start_ms), {}):
            return self._replace(bar, lost)
        fresh = self._fresh.setdefault(start_ms, {})
        if not isinstance(fresh, dict) or symbol in fresh:
            return self._replace(bar, lost)
        fresh[symbol] = bar
        self._advance(start_ms)
        return None

    def _replace(self, bar: Bar, lost: Spans) -> Bar | None:
        elements = self._elements(bar.symbol, bar.start_ms, lost)
        known = _find(elements, bar.start_ms)
        before = _bar_of(bar.symbol, slot_of(bar.start_ms), known) if known else None
        if before == bar:
            return bar
        self._set(elements, known, bar, lost)
        return before

    def of(self, symbol: str, from_ms: int, to_ms: int, lost: Spans) -> Iterator[Bar]:
        """A symbol's bars between two times, oldest first."""
        for start_ms in range(from_ms, to_ms, SECOND_MS):
            if start_ms in self._fresh:
                self._settle_one(symbol, start_ms, lost)
        for slot in range(slot_of(from_ms), to_ms, SLOT_MS):
            found = self._slots.get(slot, {}).get(symbol)
            if found is not None:
                elements = decode_seconds(found) if isinstance(found, bytes) else found
                for one in elements:
                    if from_ms <= slot + one.second * SECOND_MS < to_ms:
                        yield _bar_of(symbol, slot, one)

    def _elements(self, symbol: str, start_ms: int, lost: Spans) -> list[PackedSecond]:
        """A symbol's seconds in the slot of a time, unpacked, this one's among them."""
        if start_ms in self._fresh:
            self._settle_one(symbol, start_ms, lost)
        return self._thaw(symbol, slot_of(start_ms))

    def _thaw(self, symbol: str, slot: int) -> list[PackedSecond]:
        symbols = self._slots.setdefault(slot, {})
        found = symbols.get(symbol)
        if found is None:
            found = symbols[symbol] = []
        elif isinstance(found, bytes):
            found = symbols[symbol] = decode_seconds(found)
        return found

    def _set(
        self, elements: list[PackedSecond], known: PackedSecond | None, bar: Bar, lost: Spans
    ) -> None:
        """Put a bar in the place of what is known of its second: an amendment if it is closed."""
        start_ms = bar.start_ms
        if known is None:
            self._insert(elements, bar, self._new_state(start_ms, lost, amended=True))
        else:
            state = (known.state & ~(CENTS | ESTIMATED)) + (REVISION if known.state & CLOSED else 0)
            elements[elements.index(known)] = _packed(bar, state)
            self._changed[slot_of(start_ms), bar.symbol] = elements
        if bar.close_t >= 0:
            self._advance(start_ms)

    def _insert(self, elements: list[PackedSecond], bar: Bar, state: int) -> None:
        one, start_ms = _packed(bar, state), bar.start_ms
        if elements and elements[-1].second > one.second:
            elements.append(one)
            elements.sort(key=_second)
        else:
            elements.append(one)
        self._changed[slot_of(start_ms), bar.symbol] = elements
        if not state & CLOSED:
            self._open.setdefault(start_ms, []).append(bar.symbol)

    def _new_state(self, start_ms: int, lost: Spans, *, amended: bool) -> int:
        closed = self._is_closed(start_ms)
        gap = bool(lost) and overlaps(lost, start_ms, start_ms + SECOND_MS)
        return state_of(closed, gap, int(closed and amended))

    def _is_closed(self, start_ms: int) -> bool:
        return start_ms + SECOND_MS + self._grace_ms <= self._closed_ms

    def _settle_one(self, symbol: str, start_ms: int, lost: Spans) -> None:
        """Pack one symbol's bar of a second that waits for a drain."""
        fresh = self._fresh[start_ms]
        if not isinstance(fresh, dict):
            fresh = self._fresh[start_ms] = {bar.symbol: bar for bar in fresh}
        bar = fresh.pop(symbol, None)
        if bar is not None:
            self._pack([bar], start_ms, lost)

    def _pack(self, bars: Iterable[Bar], start_ms: int, lost: Spans) -> None:
        slot, state = slot_of(start_ms), self._new_state(start_ms, lost, amended=False)
        for bar in bars:
            self._insert(self._thaw(bar.symbol, slot), bar, state)

    def clock(self, second_ms: int) -> None:
        """Event time stands here now: close seconds, forget those that cannot change."""
        self._second_ms = second_ms
        self._close(second_ms)

    def _close(self, second_ms: int) -> None:
        self._closed_ms = max(self._closed_ms, second_ms)
        if not self._open:
            return
        for start_ms in [start for start in self._open if self._is_closed(start)]:
            slot = slot_of(start_ms)
            for symbol in self._open.pop(start_ms):
                elements = self._thaw(symbol, slot)
                known = _find(elements, start_ms)
                if known is not None:
                    known.state |= CLOSED
                    self._changed[slot, symbol] = elements

    def finish(self) -> None:
        """Close everything."""
        self._close(self._second_ms + self._grace_ms)

    def forget(self, second_ms: int, lost: Spans) -> None:
        """Forget what can no longer change; the store keeps it until newer candles come."""
        oldest = slot_of(second_ms - KEPT_MS)
        for start_ms in [start for start in self._fresh if start < oldest]:
            bars = self._fresh.pop(start_ms)
            if start_ms >= self._newest_slot - KEPT_MS:
                self._pack(bars.values() if isinstance(bars, dict) else bars, start_ms, lost)
        for slot in [slot for slot in self._slots if slot < oldest]:
            del self._slots[slot]

    def _advance(self, start_ms: int) -> None:
        """A candle has come: what is older than the newest by ``KEPT_MS`` goes for good."""
        slot = slot_of(start_ms)
        if slot <= self._newest_slot:
            return
        self._newest_slot = slot
        first = slot - KEPT_MS
        while self._fresh and (start := next(iter(self._fresh))) < first:
            del self._fresh[start]
        for old in [known for known in self._slots if known < first]:
            del self._slots[old]
        for old in [known for known in self._written if known < first]:
            self._written.discard(old)
            self._dropped.append(seconds_hash(self._exchange, old))
        if not self._tidied:
            self._tidied, self._outdated = True, str(first)

    def mark(self, from_ms: int, to_ms: int) -> None:
        """Mark the seconds that touch a time in which events were lost."""
        for slot, symbols in self._slots.items():
            if from_ms < slot + SLOT_MS and slot <= to_ms:
                for symbol in list(symbols):
                    self._mark(symbol, slot, from_ms, to_ms)

    def _mark(self, symbol: str, slot: int, from_ms: int, to_ms: int) -> None:
        found = self._slots[slot][symbol]
        elements = decode_seconds(found) if isinstance(found, bytes) else found
        for one in elements:
            start_ms = slot + one.second * SECOND_MS
            if from_ms < start_ms + SECOND_MS and start_ms <= to_ms and not one.state & GAP:
                one.state |= GAP
                self._slots[slot][symbol] = elements
                self._changed[slot, symbol] = elements

    def drain(self, changes: Changes, lost: Spans) -> None:
        """Add the rows that changed, and the hashes whose time is over."""
        first = self._newest_slot - KEPT_MS
        for start_ms, bars in self._fresh.items():
            if start_ms >= first:
                self._pack(bars.values() if isinstance(bars, dict) else bars, start_ms, lost)
        self._fresh = {}
        for (slot, symbol), elements in self._changed.items():
            if slot >= first:
                self._write(changes, slot, symbol, elements)
        self._changed = {}
        changes.dropped += self._dropped
        self._dropped = []
        if self._outdated:
            changes.outdated[SECONDS] = self._outdated
            self._outdated = ""

    def _write(
        self, changes: Changes, slot: int, symbol: str, elements: list[PackedSecond] | bytes
    ) -> None:
        packed = elements if isinstance(elements, bytes) else encode_packed(elements)
        changes.rows.setdefault(seconds_hash(self._exchange, slot), {})[symbol] = packed
        self._written.add(slot)
        if slot + SLOT_MS + self._grace_ms <= self._closed_ms and slot in self._slots:
            self._slots[slot][symbol] = packed

    def renew(self) -> None:
        """Make the next drain write every second that is still in memory."""
        for slot, symbols in self._slots.items():
            self._changed.update(((slot, symbol), found) for symbol, found in symbols.items())

    def hashes(self, second_ms: int) -> list[str]:
        """The hashes of rows that could be in memory then."""
        slots = range(slot_of(second_ms - KEPT_MS), second_ms + 1, SLOT_MS)
        return [ROWS + seconds_hash(self._exchange, slot) for slot in slots]

    def restore(self, hashes: Mapping[str, Mapping[str, bytes]]) -> None:
        """Read the rows back: packed, but for the newest slots, whose seconds may be open."""
        for name, rows in hashes.items():
            if name.startswith(ROWS + SECONDS) and rows:
                slot = SecondsHash.parse(name.removeprefix(ROWS)).slot_ms
                self._slots[slot] = dict(rows)
        self._slots = dict(sorted(self._slots.items()))
        self._written = set(self._slots)
        for slot in reversed(self._slots):
            found = {symbol: decode_seconds(rows) for symbol, rows in self._packed(slot)}
            self._find_newest(slot, found.values())
            if not self._reopen(slot, found) and self._newest_slot >= 0:
                break

    def _packed(self, slot: int) -> Iterator[tuple[str, bytes]]:
        for symbol, packed in self._slots[slot].items():
            assert isinstance(packed, bytes)
            yield symbol, packed

    def _find_newest(self, slot: int, found: Iterable[list[PackedSecond]]) -> None:
        if any(one.is_candle for elements in found for one in elements):
            self._newest_slot = max(self._newest_slot, slot)

    def _reopen(self, slot: int, found: dict[str, list[PackedSecond]]) -> bool:
        """Note the seconds of a slot that are still open; whether there are any."""
        before = len(self._open)
        for symbol, elements in found.items():
            for one in elements:
                if not one.state & CLOSED:
                    self._open.setdefault(slot + one.second * SECOND_MS, []).append(symbol)
                    self._slots[slot][symbol] = elements
        return len(self._open) > before


def slot_of(timestamp_ms: int) -> int:
    """Start of the slot of ten seconds that a time falls in."""
    return timestamp_ms // SLOT_MS * SLOT_MS


def _find(elements: Iterable[PackedSecond], start_ms: int) -> PackedSecond | None:
    second = start_ms % SLOT_MS // SECOND_MS
    return next((one for one in elements if one.second == second), None)


def _second(one: PackedSecond) -> int:
    return one.second


def _packed(bar: Bar, state: int) -> PackedSecond:
    """A second in packed form; without an open and a close it holds its sums only."""
    start_ms, volume, notional = bar.start_ms, bar.volume, bar.notional
    state |= bar.estimated * ESTIMATED
    second = start_ms % SLOT_MS // SECOND_MS
    if bar.close_t < 0:
        nothing = (None, bar.high, bar.low, 0.0, volume, bar.trades, None)
        return PackedSecond(state, *nothing, second, sum=notional)
    prices = (bar.open, bar.high, bar.low, bar.close)
    fields = candle_fields(state, prices, volume, bar.trades, notional)
    return PackedSecond(
        *fields,
        second,
        bar.open_t - start_ms,
        bar.open_q,
        bar.close_t - start_ms,
        bar.close_q,
        None if type(fields[1]) is int else notional,
    )


def _bar_of(symbol: str, slot: int, one: PackedSecond) -> Bar:
    """The bar that ``_packed`` made this of."""
    start_ms = slot + one.second * SECOND_MS
    notional = one.notional if one.sum is None else one.sum
    bar = Bar(symbol, start_ms, one.volume, notional or 0, one.trades)
    bar.estimated = bool(one.state & ESTIMATED)
    if not one.is_candle:
        bar.high, bar.low = one.high, one.low
        return bar
    bar.open, bar.high, bar.low, bar.close = one.prices
    bar.open_t, bar.open_q = start_ms + one.open_t, one.open_q
    bar.close_t, bar.close_q = start_ms + one.close_t, one.close_q
    return bar


SECONDS: Final = "seconds"
