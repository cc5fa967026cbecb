"""A listener's side of a shard: batches of trades as the provider spells them, in order."""

import msgspec

from tapewire.model.batch import Batch, encode_batch
from tapewire.model.events import Trade
from tapewire.model.streams import Shard, Stream

TRADES = Shard(Stream.TRADES, 0)


def wire(trade: Trade) -> bytes:
    """A trade as Massive sends it."""
    fields = {"ev": "T", "sym": trade.symbol, "p": trade.price, "s": trade.size, "x": 11}
    fields |= {"t": trade.timestamp_ms, "q": trade.sequence}
    if trade.conditions:
        fields["c"] = trade.conditions
    return msgspec.json.encode(fields)


class Producer:
    """Stamps epoch, offset and count; what is stamped counts as taken in.

    ``now_ms`` is its wall clock, which stands until a test moves it.
    """

    now_ms = 0

    def __init__(self, epoch: int = 7, name: str = "mdl", shard: Shard = TRADES) -> None:
        self.epoch = epoch
        self.name = name
        self.shard = shard
        self.taken_in = 0

    def batch(self, *trades: Trade, ending: bool = False, extra: tuple[bytes, ...] = ()) -> Batch:
        """The next batch; ``extra`` are events that are not sound."""
        events = [*map(wire, trades), *extra]
        batch = Batch(
            provider="massive",
            stream=self.shard.stream,
            shard=self.shard.index,
            producer=self.name,
            epoch=self.epoch,
            offset=self.taken_in,
            count=len(events),
            received_ns=self.now_ms * 1_000_000 + 1,
            payload=b",".join(events),
            ending=ending,
        )
        self.taken_in += batch.count
        return batch

    def deliver(self, *trades: Trade, ending: bool = False, extra: tuple[bytes, ...] = ()) -> bytes:
        """The next batch as a consumer gets it."""
        return encode_batch(self.batch(*trades, ending=ending, extra=extra))

    def heartbeat(self) -> bytes:
        """A batch without events."""
        return self.deliver()

    def restart(self) -> None:
        """A new epoch, with offsets from the beginning."""
        self.epoch, self.taken_in = self.epoch + 1, 0
