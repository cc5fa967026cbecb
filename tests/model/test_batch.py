"""A batch as it crosses a queue."""

import msgspec
import pytest

from tapewire.model.batch import Batch, decode_batch, encode_batch
from tapewire.model.streams import Shard, Stream

BATCH = Batch("massive", Stream.TRADES, 3, "mdl", 2**41, 70, 2, 123, b'{"ev":"T"},{"ev":"T"}', True)


def test_a_batch_survives_the_queue() -> None:
    assert decode_batch(encode_batch(BATCH)) == BATCH


def test_it_knows_its_destination() -> None:
    assert BATCH.destination == Shard(Stream.TRADES, 3)


@pytest.mark.parametrize("body", [b"", b"nonsense", encode_batch(BATCH)[:-5], b"\x93\x01\x02\x03"])
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_batch(body)
