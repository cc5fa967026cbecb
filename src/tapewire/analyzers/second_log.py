"""What a fold holds of the current second, as private state.

Each flush adds one field with what changed since the one before: a field a symbol would cost
the store more than the rest of a flush. The hash ends with its second.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from msgspec import msgpack

from tapewire.model.changes import PRIVATE, Changes

T = TypeVar("T")


class SecondLog(Generic[T]):
    """The log of one second after another.

    Args:
        name: of the fold, so that two folds of one shard do not meet.
        kind: what an entry is; of an entry that is there twice the later one counts.
    """

    PARTS: Final = 16
    """Fields of a second that lasts long; then the first is written over with everything."""

    def __init__(self, name: str, kind: type[T]) -> None:
        self._name = name
        self._decode = msgpack.Decoder(tuple[int, list[kind]]).decode  # type: ignore[valid-type]
        self._parts = 0
        self._dropped: list[str] = []

    @property
    def wants_all(self) -> bool:
        """Whether the next part takes the place of all before it, and so has to be whole."""
        return self._parts > 0 and self._parts % self.PARTS == 0

    def renew(self) -> None:
        """Make the next part a whole one."""
        self._parts = -(-self._parts // self.PARTS) * self.PARTS

    def hash(self, second_ms: int) -> str:
        """Private hash of a second."""
        return f"{self._name}_second:{second_ms}"

    def write(self, changes: Changes, second_ms: int, entries: Sequence[T]) -> None:
        """Add what changed since the last part of this second."""
        if entries or self.wants_all:
            packed = _encode((self._parts, entries))
            changes.private[self.hash(second_ms)] = {str(self._parts % self.PARTS): packed}
            self._parts += 1
        if self._dropped:
            changes.dropped += self._dropped
            self._dropped = []

    def end(self, second_ms: int) -> None:
        """The second is over: the parts have it, and the store need not keep it."""
        if self._parts:
            self._dropped.append(PRIVATE + self.hash(second_ms))
            self._parts = 0

    def restore(self, stored: Mapping[str, bytes]) -> Iterable[T]:
        """A second's entries from the last whole part on; the next part comes after them."""
        parts = sorted((self._decode(value) for value in stored.values()), key=_number)
        self._parts = parts[-1][0] + 1 if parts else 0
        first = max(self._parts - 1, 0) // self.PARTS * self.PARTS
        return [entry for number, entries in parts if number >= first for entry in entries]


def _number(part: tuple[int, list[T]]) -> int:
    return part[0]


_encode = msgpack.Encoder().encode
