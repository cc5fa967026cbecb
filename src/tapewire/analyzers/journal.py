"""Private state of many symbols, of which every second changes a part.

A field of its own for each symbol that changed would cost the store more than the rest of a flush.
So what changes at one time goes into one field, an entry of the journal. Entries are written over
in turn; a symbol that no later entry holds gets a field of its own then, so that a hash is always
whole: what is in an entry is newer than a symbol's own field, and of two entries the later counts.
"""

from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from msgspec import Raw, msgpack

T = TypeVar("T")

_MARK: Final = "#"
"""Begins the field of an entry; no symbol begins so."""


class Journal(Generic[T]):
    """What one hash holds: states ``T``, anything that can be packed, by symbol."""

    ENTRIES: Final = 8
    """More would let fewer symbols need a field of their own, and a hash take more room."""

    def __init__(self) -> None:
        self._number = 0
        self._whole = False
        self._newest: dict[str, int] = {}  # symbol -> number of the entry that holds it
        self._held: list[tuple[str, ...]] = [()] * self.ENTRIES

    def write(
        self, changed: Mapping[str, T], state_of: Callable[[str], T | None]
    ) -> dict[str, bytes]:
        """The fields to write for what changed since the last time.

        ``state_of`` gives the state of other symbols as it is now, None for one that is of no
        more use.
        """
        if self._whole:
            return self._write_whole(changed)
        if not changed:
            return {}
        number, slot = self._number, self._number % self.ENTRIES
        fields = {
            symbol: _encode(state)
            for symbol in self._pushed_out(slot)
            if symbol not in changed and (state := state_of(symbol)) is not None
        }
        fields[f"{_MARK}{slot}"] = _encode((number, changed))
        self._held[slot] = tuple(changed)
        self._newest.update(dict.fromkeys(changed, number))
        self._number += 1
        return fields

    def _pushed_out(self, slot: int) -> list[str]:
        """Symbols of which only the entry that is written over knows the state."""
        newest, oldest = self._newest, self._number - self.ENTRIES
        gone = [symbol for symbol in self._held[slot] if newest.get(symbol) == oldest]
        for symbol in gone:
            del newest[symbol]
        return gone

    def _write_whole(self, states: Mapping[str, T]) -> dict[str, bytes]:
        self._whole = False
        return self.emptied() | {symbol: _encode(state) for symbol, state in states.items()}

    def emptied(self) -> dict[str, bytes]:
        """Fields that empty all entries: every symbol gets one of its own together with them."""
        empty = _encode((self._number, {}))
        self._number += 1
        self._newest, self._held = {}, [()] * self.ENTRIES
        return {f"{_MARK}{slot}": empty for slot in range(self.ENTRIES)}

    def renew(self) -> None:
        """The store lost writes: what is written next is every symbol's state."""
        self._whole = True

    def read(self, fields: Mapping[str, bytes]) -> dict[str, bytes]:
        """The packed states of a stored hash by symbol; the next entry comes after its last."""
        found = {symbol: one for symbol, one in fields.items() if not symbol.startswith(_MARK)}
        entries = [_decode(one) for name, one in fields.items() if name.startswith(_MARK)]
        for number, states in sorted(entries, key=_number):
            self._number = number + 1
            self._held[number % self.ENTRIES] = tuple(states)
            self._newest.update(dict.fromkeys(states, number))
            found.update((symbol, bytes(packed)) for symbol, packed in states.items())
        return found


def _number(entry: tuple[int, Mapping[str, Raw]]) -> int:
    return entry[0]


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(tuple[int, dict[str, Raw]]).decode
