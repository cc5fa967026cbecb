"""Packets of Dhan's feed, as a server writes them: what the simulator sends."""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import astuple

from tapewire.providers.dhan.packets import (
    DEPTH_LEVEL,
    HEADER,
    LAYOUTS,
    DepthLevel,
    Update,
)

DEPTH_LEVELS: Final = 5


_WRITERS: Final = {
    layout.packet: (code, struct.Struct(f"<{layout.fields}")) for code, layout in LAYOUTS.items()
}
_HEADER_FIELDS: Final = 2


def encode_packet(update: Update) -> bytes:
    """One packet; raises ``struct.error`` for a value that its field cannot hold."""
    code, body = _WRITERS[type(update)]
    packed = body.pack(*astuple(update)[_HEADER_FIELDS:])
    return HEADER.pack(code, HEADER.size + body.size, update.segment, update.security_id) + packed


def encode_frame(updates: Iterable[Update]) -> bytes:
    """One WebSocket message with several packets."""
    return b"".join(map(encode_packet, updates))


def encode_depth(levels: Sequence[DepthLevel] = ()) -> bytes:
    """The depth of a full packet, best level first; missing levels are empty."""
    written = b"".join(DEPTH_LEVEL.pack(*level) for level in levels)
    return written.ljust(DEPTH_LEVELS * DEPTH_LEVEL.size, b"\0")
