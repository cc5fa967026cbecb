"""Frames that a client sends to Fyers' data socket, byte by byte.

A request is u16 length, u8 type, u8 number of fields, then fields of u8 id, u16 length and
bytes; all big-endian. Source: the official client's data socket.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Final

DEFAULT_CHANNEL: Final = 11
MAX_CHANNEL: Final = 63

MAX_TOPICS_PER_REQUEST: Final = 1_500
"""Topics in one frame, as the official client sends them, half a second apart."""

MAX_TOPIC_BYTES: Final = 60_000
"""Bytes of topics in one frame: the field's length has 16 bits."""

PING: Final = b"\x00\x01\x0b"
"""What the client sends every ``PING_INTERVAL_S``; there is no answer to it."""

PING_INTERVAL_S: Final = 10.0
SUBSCRIBE_PAUSE_S: Final = 0.5

HEAD: Final = struct.Struct(">HBB")
FIELD_HEAD: Final = struct.Struct(">BH")


class RequestType(IntEnum):
    """The type byte of requests and of the answers to them."""

    AUTH = 1
    ACK = 3
    SUBSCRIBE = 4
    UNSUBSCRIBE = 5
    PAUSE = 7
    RESUME = 8
    MODE = 12


class Mode(IntEnum):
    """What is sent of a topic: every field, or the last price alone."""

    FULL = ord("F")
    LITE = ord("L")


def auth(hsm_key: str, source: str) -> bytes:
    """The first frame: the key out of the access token, and this client's name."""
    fields = [(1, hsm_key.encode("ascii")), (2, b"P"), (3, b"\x01"), (4, source.encode("ascii"))]
    return _request(RequestType.AUTH, fields)


def mode(channel: int, wanted: Mode) -> bytes:
    """Choose a channel's mode; its outer length is 0, as the official client writes it."""
    if not 1 <= channel <= MAX_CHANNEL:
        raise ValueError(f"channel {channel}: expected 1 to {MAX_CHANNEL}")
    fields = [(1, struct.pack(">Q", 1 << channel)), (2, bytes([wanted]))]
    return bytes(2) + _request(RequestType.MODE, fields)[2:]


def acknowledge(message_number: int) -> bytes:
    """Say that every data frame up to this one has arrived."""
    return _request(RequestType.ACK, [(1, struct.pack(">I", message_number))])


def topic_requests(kind: RequestType, topics: Iterable[str], channel: int) -> list[bytes]:
    """Frames that subscribe to or unsubscribe from topics, as many as the limits make.

    Raises ``ValueError`` for a topic of more than 255 bytes.
    """
    fields = (_topics_field(batch) for batch in _batches(topics))
    return [_request(kind, [(1, field), (2, bytes([channel]))]) for field in fields]


def _batches(topics: Iterable[str]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    room = MAX_TOPIC_BYTES
    for topic in topics:
        written = _topic(topic)
        if len(batch) == MAX_TOPICS_PER_REQUEST or len(written) > room:
            yield batch
            batch, room = [], MAX_TOPIC_BYTES
        batch.append(written)
        room -= len(written)
    if batch:
        yield batch


def _topic(topic: str) -> bytes:
    name = topic.encode("ascii")
    if not 0 < len(name) <= 255:
        raise ValueError(f"topic {topic!r}: expected 1 to 255 bytes, found {len(name)}")
    return bytes([len(name)]) + name


def _topics_field(batch: Sequence[bytes]) -> bytes:
    return struct.pack(">H", len(batch)) + b"".join(batch)


def _request(kind: RequestType, fields: Sequence[tuple[int, bytes]]) -> bytes:
    """One frame; its length does not count itself."""
    body = b"".join(FIELD_HEAD.pack(number, len(value)) + value for number, value in fields)
    return HEAD.pack(len(body) + 2, kind, len(fields)) + body
