"""The unit that crosses a process boundary: many events, one message.

``payload`` is the provider's original events, joined by commas and never re-encoded
(JSON providers: ``{...},{...}``; an empty payload with ``count`` 0 is a heartbeat).
"""

import msgspec
from msgspec import Struct

from tapewire.model.streams import Shard, Stream


class Batch(Struct, array_like=True, gc=False, frozen=True):
    """Events of one shard from one producer.

    ``offset`` is the number of events that the producer took in for this shard in this
    epoch before this batch, whether or not they could be published; ``count`` the
    number in it. ``received_ns`` is the wall clock when its first frame arrived.
    ``ending`` marks the last batch of a replay; ``interrupted`` one before whose events the
    provider's connection was away, so that nobody knows what was missed. ``trace`` is a W3C
    ``traceparent``. Empty batches tell in ``newest_ms`` the event time of the newest event
    that the producer took in (any shard's; 0 where it has none): what is lost is not newer.
    """

    provider: str
    stream: Stream
    shard: int
    producer: str
    epoch: int
    offset: int
    count: int
    received_ns: int
    payload: bytes = b""
    ending: bool = False
    trace: str = ""
    interrupted: bool = False
    newest_ms: int = 0

    @property
    def destination(self) -> Shard:
        """The shard that this batch belongs to."""
        return Shard(self.stream, self.shard)


encode_batch = msgspec.msgpack.Encoder().encode
"""Batch -> bytes, as it crosses a queue."""

decode_batch = msgspec.msgpack.Decoder(Batch).decode
"""bytes -> Batch; raises msgspec.DecodeError or msgspec.ValidationError."""
