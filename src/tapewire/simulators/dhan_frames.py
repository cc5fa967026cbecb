"""Packets of Dhan's feed, as a server writes them: what the simulator sends."""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import astuple

from tapewire.providers.dhan.protocol import (
    DEPTH_LEVEL,
    HEADER,
    LAYOUTS,
    DepthLevel,
    Layout,
    Update,
)

DEPTH_LEVELS: Final = 5


def _writer(code: int, layout: Layout) -> tuple[int, struct.Struct, int]:
    """A packet's code, the bytes after its header, and how many fields they hold."""
    body = struct.Struct(f"<{layout.fields}")
    return code, body, len(body.unpack(bytes(body.size)))


_WRITERS: Final = {layout.packet: _writer(code, layout) for code, layout in LAYOUTS.items()}
_HEADER_FIELDS: Final = 2


def encode_packet(update: Update) -> bytes:
    """One packet; what a connection adds to it (``snapshot``) is not on the wire.

    Raises ``struct.error`` for a value that its field cannot hold.
    """
    code, body, count = _WRITERS[type(update)]
    values = astuple(update)[_HEADER_FIELDS:]
    packed = body.pack(*values[:count])
    return HEADER.pack(code, HEADER.size + body.size, update.segment, update.security_id) + packed


def encode_frame(updates: Iterable[Update]) -> bytes:
    """One WebSocket message with several packets."""
    return b"".join(map(encode_packet, updates))


def encode_depth(levels: Sequence[DepthLevel] = ()) -> bytes:
    """The depth of a full packet, best level first; missing levels are empty."""
    written = b"".join(DEPTH_LEVEL.pack(*level) for level in levels)
    return written.ljust(DEPTH_LEVELS * DEPTH_LEVEL.size, b"\0")
