"""Frames of Fyers' data socket, as a server writes and reads them: what the simulator sends."""

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tapewire.providers.fyers.protocol import DATA, DATA_HEAD, NOTICE
from tapewire.providers.fyers.requests import FIELD_HEAD, HEAD, RequestType
from tapewire.providers.fyers.wire import (
    LITE,
    LITE_RECORD,
    RECORD_HEAD,
    SCALE,
    SNAPSHOT,
    UPDATE,
    VECTORS,
    SnapshotRecord,
)

OWN_LENGTH: Final = 2
"""A frame's length does not count the two bytes in which it stands."""


class Request(NamedTuple):
    """A client's frame: its type, and its fields by id."""

    kind: RequestType
    fields: dict[int, bytes]


def encode_snapshot(record: SnapshotRecord) -> bytes:
    """One snapshot record."""
    return b"".join(
        (
            struct.pack(">BH", SNAPSHOT, record.topic_id),
            _text(record.name),
            bytes([len(record.values)]),
            VECTORS[len(record.values)].pack(*record.values),
            SCALE.pack(record.multiplier, record.precision),
            *map(_text, (record.exchange, record.token, record.symbol)),
        )
    )


def encode_update(topic_id: int, values: Sequence[int]) -> bytes:
    """One update record: the whole vector, ``ABSENT`` for what has not changed."""
    head = RECORD_HEAD.pack(UPDATE, topic_id, len(values))
    return head + VECTORS[len(values)].pack(*values)


def encode_lite(topic_id: int, last_price: int) -> bytes:
    """One lite record: the raw last price alone."""
    return LITE_RECORD.pack(LITE, topic_id, last_price)


def encode_data(message_number: int, records: Sequence[bytes]) -> bytes:
    """One data frame. Raises ``struct.error`` when its length exceeds 16 bits."""
    body = b"".join(records)
    length = DATA_HEAD.size + len(body) - OWN_LENGTH
    return DATA_HEAD.pack(length, DATA, message_number, len(records)) + body


def encode_reply(request: RequestType, text: str = "K", ack_count: int | None = None) -> bytes:
    """The answer to a request; that to an authentication also says how often to ack."""
    fields = [(1, text.encode())]
    if ack_count is not None:
        fields.append((2, struct.pack(">I", ack_count)))
    return _frame(request, fields)


def encode_notice(code: int, message: str, request: RequestType) -> bytes:
    """A custom message about a request."""
    fields = [(1, struct.pack(">i", code)), (2, message.encode()), (3, bytes([request]))]
    return _frame(NOTICE, fields)


def read_request(frame: bytes) -> Request:
    """A client's frame taken apart; the outer length, which clients get wrong, is ignored.

    Raises ``ValueError``, ``struct.error`` for a frame that is none.
    """
    _, kind, count = HEAD.unpack_from(frame)
    fields, at = {}, HEAD.size
    for _ in range(count):
        number, length = FIELD_HEAD.unpack_from(frame, at)
        at += FIELD_HEAD.size
        fields[number] = frame[at : at + length]
        at += length
    if at != len(frame):
        raise ValueError(f"the fields end at {at}, the frame at {len(frame)}")
    return Request(RequestType(kind), fields)


def requested_topics(request: Request) -> list[str]:
    """The topics of a request to subscribe or unsubscribe."""
    (count,) = struct.unpack_from(">H", request.fields[1])
    topics, at = [], 2
    for _ in range(count):
        end = at + 1 + request.fields[1][at]
        topics.append(request.fields[1][at + 1 : end].decode("ascii"))
        at = end
    return topics


def _frame(kind: int, fields: Iterable[tuple[int, bytes]]) -> bytes:
    written = [FIELD_HEAD.pack(number, len(value)) + value for number, value in fields]
    body = b"".join(written)
    return HEAD.pack(HEAD.size + len(body) - OWN_LENGTH, kind, len(written)) + body


def _text(text: str) -> bytes:
    written = text.encode()
    return bytes([len(written)]) + written
