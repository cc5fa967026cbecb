"""How far a shard has applied each producer's events: effectively once.

Architecture decision 4: same epoch, ``offset`` below applied is a duplicate, equal is
folded, above is a gap of exactly ``offset - applied`` events and then folded. A newer
epoch is a gap of unknown size and then folded; an older one is refused.
"""

from enum import Enum

import msgspec
from msgspec import Struct

from tapewire.model.batch import Batch


class Position(Struct, array_like=True):
    """One producer's place in one shard.

    ``applied`` counts every event up to here in this epoch, lost ones included;
    ``lost`` those of them that never arrived: taken in = folded + lost.
    """

    epoch: int
    applied: int = 0
    lost: int = 0


class Verdict(Enum):
    """What to do with a batch."""

    FOLD = "fold"
    GAP_THEN_FOLD = "gap"
    DUPLICATE = "duplicate"
    OLD_EPOCH = "old_epoch"


class Missing(Struct, frozen=True):
    """The offsets that a gap covers; ``events`` is None when nobody knows how many."""

    from_offset: int
    to_offset: int
    events: int | None
    reason: str


class Positions:
    """The applied position of every producer of one shard."""

    def __init__(self, stored: dict[str, Position] | None = None) -> None:
        self.by_producer: dict[str, Position] = dict(stored or {})

    def accept(self, batch: Batch) -> tuple[Verdict, Missing | None]:
        """Judge ``batch`` and move the position past it when it is to be folded.

        A batch that overlaps the applied position in part cannot come from our
        listener (it never cuts a batch anew), and is refused as a duplicate.
        """
        position = self.by_producer.get(batch.producer)
        if position is None:
            position = self.by_producer[batch.producer] = Position(batch.epoch)
        if batch.epoch < position.epoch:
            return Verdict.OLD_EPOCH, None
        if batch.epoch > position.epoch:
            return Verdict.GAP_THEN_FOLD, self._new_epoch(batch)
        if batch.offset < position.applied:
            return Verdict.DUPLICATE, None
        missing = batch.offset - position.applied
        position.applied = batch.offset + batch.count
        if not missing:
            return Verdict.FOLD, None
        position.lost += missing
        start = batch.offset - missing
        return Verdict.GAP_THEN_FOLD, Missing(start, batch.offset, missing, "lost")

    def _new_epoch(self, batch: Batch) -> Missing:
        self.by_producer[batch.producer] = Position(
            batch.epoch, batch.offset + batch.count, batch.offset
        )
        return Missing(0, batch.offset, None, "new epoch")

    def pack(self) -> dict[str, bytes]:
        """Producer -> packed position, as a flush stores them."""
        return {name: _encode(position) for name, position in self.by_producer.items()}

    @classmethod
    def unpack(cls, stored: dict[str, bytes]) -> "Positions":
        """Read back what ``pack`` wrote."""
        return cls({name: _decode(value) for name, value in stored.items()})


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Position).decode
