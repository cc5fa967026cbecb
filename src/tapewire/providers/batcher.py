"""Slices of frames in, batches for shards out: the listener's accounting, without I/O.

Provider-neutral: a protocol cuts frames into slices, this joins them per shard, counts
offsets and stamps producer and epoch (architecture.md 2, decisions 1 and 4). Time is passed in.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, field

from tapewire.model.batch import Batch
from tapewire.model.streams import Shard

MAX_BATCH_BYTES = 64 * 1024
"""A batch is sent when its payload has reached this; one slice is never cut."""

MAX_WAIT_NS = 10_000_000
"""A batch is sent when its first event is this old."""


class Slice(Struct, gc=False, frozen=True):
    """Some events of one frame that belong to one shard, as they travel (see ``Batcher``)."""

    shard: Shard
    count: int
    payload: bytes


class _Open(Struct):
    """The batch that is being filled for one shard."""

    offset: int = 0
    count: int = 0
    size: int = 0
    first_ns: int = 0
    interrupted: bool = False
    pieces: list[bytes] = field(default_factory=list)


class Batcher:
    """Joins slices per shard until a batch is large or old enough.

    ``separator`` goes between slices: a comma where events travel as JSON. ``events`` and
    ``batches`` count by stream what was closed, ``untaken`` the events by stream for which
    this listener has no shard.
    """

    def __init__(
        self,
        provider: str,
        producer: str,
        shards: Iterable[Shard],
        *,
        max_bytes: int = MAX_BATCH_BYTES,
        max_wait_ns: int = MAX_WAIT_NS,
        separator: bytes = b",",
    ) -> None:
        self._provider = provider
        self._producer = producer
        self._max_bytes = max_bytes
        self._max_wait_ns = max_wait_ns
        self._join = separator.join
        self._epoch = 0
        self._open = {shard: _Open() for shard in shards}
        self._closed: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.batches: Counter[str] = Counter()
        self.untaken: Counter[str] = Counter()

    @property
    def shards(self) -> list[Shard]:
        """The shards that it makes batches for."""
        return list(self._open)

    def begin(self, epoch: int) -> list[Batch]:
        """Start an epoch at offset 0; returns what was still open, under the old one."""
        rest = self.flush()
        self._epoch = epoch
        for shard in self._open:
            self._open[shard] = _Open()
        return rest

    def add(self, slices: Sequence[Slice], now_ns: int) -> list[Batch]:
        """Take in a frame's slices, received at wall clock ``now_ns``; returns full batches."""
        full = []
        for piece in slices:
            open_batch = self._open.get(piece.shard)
            if open_batch is None:
                self.untaken[piece.shard.stream] += piece.count
                continue
            if not open_batch.pieces:
                open_batch.first_ns = now_ns
            open_batch.pieces.append(piece.payload)
            open_batch.count += piece.count
            open_batch.size += len(piece.payload)
            if open_batch.size >= self._max_bytes:
                full.append(self._close(piece.shard, open_batch))
        return full

    def lose(self, slices: Sequence[Slice]) -> list[Batch]:
        """Count slices as taken in that will never be published; returns what came before them.

        Consumers see the gap in the offset of their shard's next batch.
        """
        before = []
        for piece in slices:
            open_batch = self._open.get(piece.shard)
            if open_batch is None:
                self.untaken[piece.shard.stream] += piece.count
                continue
            if open_batch.pieces:
                before.append(self._close(piece.shard, open_batch))
            open_batch.offset += piece.count
            self._closed[piece.shard.name] += piece.count
        return before

    def due(self, now_ns: int) -> list[Batch]:
        """Batches whose first event is as old as may be."""
        oldest = now_ns - self._max_wait_ns
        return self._close_where(lambda one: one.first_ns <= oldest)

    def next_due_ns(self) -> int | None:
        """When ``due`` will have something to give; None while nothing is open."""
        first = min((one.first_ns for one in self._open.values() if one.pieces), default=None)
        return None if first is None else first + self._max_wait_ns

    def flush(self) -> list[Batch]:
        """Every open batch, however young."""
        return self._close_where(lambda one: True)

    def interrupt(self) -> list[Batch]:
        """Note that the provider's connection was away; returns what came before that.

        Every shard's next batch that holds events says so.
        """
        before = self.flush()
        for one in self._open.values():
            one.interrupted = True
        return before

    def heartbeat(self, now_ns: int, newest_ms: int = 0) -> list[Batch]:
        """What is open, then an empty batch for every shard that tells the newest event's time."""
        return self.flush() + self._empty(now_ns, newest_ms, ending=False)

    def ending(self, now_ns: int, newest_ms: int = 0) -> list[Batch]:
        """What is open, then the batch that ends a replay for every shard."""
        return self.flush() + self._empty(now_ns, newest_ms, ending=True)

    @property
    def taken_in(self) -> dict[str, int]:
        """Events taken in by shard name, over all epochs, open batches included."""
        return {
            shard.name: self._closed[shard.name] + one.count for shard, one in self._open.items()
        }

    def offsets(self) -> dict[str, int]:
        """Events taken in by shard name in this epoch."""
        return {shard.name: one.offset + one.count for shard, one in self._open.items()}

    def _empty(self, now_ns: int, newest_ms: int, ending: bool) -> list[Batch]:
        return [
            self._batch(shard, one, now_ns, b"", ending, newest_ms)
            for shard, one in self._open.items()
        ]

    def _close_where(self, chosen: Callable[[_Open], bool]) -> list[Batch]:
        return [
            self._close(shard, one)
            for shard, one in self._open.items()
            if one.pieces and chosen(one)
        ]

    def _close(self, shard: Shard, one: _Open) -> Batch:
        batch = self._batch(shard, one, one.first_ns, self._join(one.pieces))
        self._closed[shard.name] += one.count
        self.events[shard.stream] += one.count
        self.batches[shard.stream] += 1
        one.offset += one.count
        one.count = one.size = 0
        one.pieces = []
        one.interrupted = False
        return batch

    def _batch(
        self,
        shard: Shard,
        one: _Open,
        received_ns: int,
        payload: bytes,
        ending: bool = False,
        newest_ms: int = 0,
    ) -> Batch:
        return Batch(
            provider=self._provider,
            stream=shard.stream,
            shard=shard.index,
            producer=self._producer,
            epoch=self._epoch,
            offset=one.offset,
            count=one.count,
            received_ns=received_ns,
            payload=payload,
            ending=ending,
            interrupted=one.interrupted and bool(payload),
            newest_ms=newest_ms,
        )
