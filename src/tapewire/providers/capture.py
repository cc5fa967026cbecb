"""Raw capture: every frame a provider sent, byte by byte, with when it came.

What a decoder gets wrong today can be played again tomorrow. A file is

- a header: ``TWCAP``, version (1 byte), length (4 bytes), CRC32 (4 bytes), JSON of `Header`;
- blocks: length (4 bytes), CRC32 (4 bytes), a zstd frame of about 1 MiB of records;
- records in a block: connection (4 bytes), wall receive time (8 bytes, ns since 1970 UTC),
  monotonic time (8 bytes, ns), length (4 bytes), the frame's bytes.

All integers are little-endian; CRCs are over the bytes as stored. A block is written whole or,
when the process dies, cut off: a reader then yields everything before it and says how much was
cut. Nothing here knows of an event loop; a caller that must not wait for the disk writes from a
thread of its own.

Errors::

    CaptureError (ValueError)
    ├── NotACaptureError        no header of ours, or a version this release does not know
    └── DamagedCaptureError     bytes changed in the middle of the file
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

import msgspec
import zstandard

SUFFIX: Final = ".twcap"
VERSION: Final = 1
BLOCK_BYTES: Final = 1024 * 1024
MAX_STORED_BYTES: Final = 256 * 1024 * 1024
"""The most that one header or block is unpacked to."""

_MAGIC: Final = b"TWCAP"
_HEADER: Final = struct.Struct("<5sBII")
_BLOCK: Final = struct.Struct("<II")
_RECORD: Final = struct.Struct("<IQQI")


class CaptureError(ValueError):
    """Base of this module's errors."""


class NotACaptureError(CaptureError):
    """The file does not begin like a capture that this release can read."""


class DamagedCaptureError(CaptureError):
    """A block in the middle of the file does not match its checksum."""


class Header(msgspec.Struct, frozen=True):
    """What was captured: provider, endpoint, subscriptions, and the local clock's error.

    ``clock_offset_ns`` is what must be added to a receive time to get true UTC, as far as known.
    """

    provider: str
    endpoint: str
    subscriptions: tuple[str, ...] = ()
    clock_offset_ns: int = 0


class Frame(NamedTuple):
    """One frame as received; ``monotonic_ns`` orders frames even when the wall clock jumps."""

    connection: int
    received_ns: int
    monotonic_ns: int
    data: bytes


class CaptureWriter:
    """Write frames to a new file; FileExistsError rather than overwriting one.

    ``write`` only copies; a block is compressed and stored when about ``block_bytes`` have come
    together, or by `flush`. What has not been flushed is lost when the process dies.
    """

    def __init__(
        self, path: Path, header: Header, *, block_bytes: int = BLOCK_BYTES, level: int = 3
    ) -> None:
        self.path = path
        self.frames = 0
        self.frame_bytes = 0
        self._block_bytes = block_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._compress = zstandard.ZstdCompressor(level=level).compress
        self._file: BinaryIO = path.open("xb")
        text = msgspec.json.encode(header)
        self._file.write(_HEADER.pack(_MAGIC, VERSION, len(text), zlib.crc32(text)) + text)

    def write(
        self, frame: bytes, received_ns: int, monotonic_ns: int, *, connection: int = 0
    ) -> None:
        """Add a frame; raises OSError when a full block cannot be stored."""
        self._pending += (_RECORD.pack(connection, received_ns, monotonic_ns, len(frame)), frame)
        self._pending_bytes += _RECORD.size + len(frame)
        self.frames += 1
        self.frame_bytes += len(frame)
        if self._pending_bytes >= self._block_bytes:
            self._store()

    def flush(self) -> None:
        """Hand everything so far to the operating system."""
        self._store()
        self._file.flush()

    def close(self) -> None:
        """Store the rest, sync it to the disk, and close."""
        if self._file.closed:
            return
        try:
            self.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _store(self) -> None:
        if not self._pending:
            return
        block = self._compress(b"".join(self._pending))
        self._pending.clear()
        self._pending_bytes = 0
        self._file.write(_BLOCK.pack(len(block), zlib.crc32(block)) + block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class CaptureReader:
    """Read a capture: ``header`` at once, frames by iterating, each time from the beginning.

    After an iteration ``cut_bytes`` is the number of bytes at the end of the file that belong to
    a block which was never written whole; 0 for a file that was closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut_bytes = 0
        with path.open("rb") as file:
            self.header = self._read_header(file)
            self._first_block = file.tell()

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame in the order received; DamagedCaptureError when bytes changed."""
        self.cut_bytes = 0
        with self.path.open("rb") as file:
            file.seek(self._first_block)
            while (records := self._read_block(file)) is not None:
                yield from _frames(records)

    def _read_header(self, file: BinaryIO) -> Header:
        start = file.read(_HEADER.size)
        if len(start) < _HEADER.size or start[: len(_MAGIC)] != _MAGIC:
            raise NotACaptureError(
                f"{self.path} is not a capture: it begins with {start[:8]!r}, expected {_MAGIC!r}"
            )
        _, version, length, checksum = _HEADER.unpack(start)
        if version != VERSION:
            raise NotACaptureError(
                f"{self.path} is a capture of version {version}; this release reads {VERSION}"
            )
        text = file.read(min(length, MAX_STORED_BYTES))
        if zlib.crc32(text) != checksum:
            raise NotACaptureError(f"{self.path}: the capture's header is cut off or damaged")
        return msgspec.json.decode(text, type=Header)

    def _read_block(self, file: BinaryIO) -> bytes | None:
        """The next block's records; None at the end, with what was cut counted."""
        at = file.tell()
        size = os.fstat(file.fileno()).st_size
        if size - at < _BLOCK.size:
            self.cut_bytes = size - at
            return None
        length, checksum = _BLOCK.unpack(file.read(_BLOCK.size))
        end = at + _BLOCK.size + length
        if end > size:
            self.cut_bytes = size - at
            return None
        block = file.read(length)
        if zlib.crc32(block) == checksum:
            return _decompressed(block)
        if end == size:
            self.cut_bytes = size - at
            return None
        raise DamagedCaptureError(
            f"{self.path}: the block at byte {at} does not match its checksum, and {size - end} "
            "bytes follow; the file was changed after it was written"
        )


def _decompressed(block: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(block, max_output_size=MAX_STORED_BYTES)


def _frames(records: bytes) -> Iterator[Frame]:
    at = 0
    while at < len(records):
        connection, received_ns, monotonic_ns, length = _RECORD.unpack_from(records, at)
        at += _RECORD.size
        yield Frame(connection, received_ns, monotonic_ns, records[at : at + length])
        at += length
