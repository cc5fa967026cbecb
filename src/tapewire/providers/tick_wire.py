"""Ticks as they travel between a broker's listener and the processor.

A broker's frame means nothing without the state of its connection, so ticks travel decoded:
each as one MessagePack array of its fields in the order of ``Tick``. The arrays of several
frames are joined as they are; ``decode`` puts the head of the whole list before them, which
``Batch.count`` tells. (Measured against columns with a table of instruments, and JSON: one
call that makes ``Tick``s is the cheapest of them to read, at 71 bytes a tick.)
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import msgpack, structs
from msgspec.structs import astuple

from tapewire.market.instruments import EXCHANGES
from tapewire.model.batch import Batch
from tapewire.model.events import Tick
from tapewire.providers.decoded import Decoded

SEPARATOR: Final = b""
"""What ``Batcher`` puts between encoded ticks."""

MALFORMED: Final = "malformed"
"""Reason of every tick of a payload that is not what ``encode`` gave."""


class _WireTick(Tick, array_like=True, gc=False):
    """A tick that is read from an array; encoded, it would become one again."""


_NAMES: Final[Mapping[str, Any]] = {
    "broker": Literal["upstox", "fyers", "dhan"],
    "exchange": Literal[EXCHANGES],
}
"""Fields with few values: listed, each is read as the one string that there is of it, whose
hash is known. A payload with another value is read once more without the list."""


def _listed_decoder() -> msgpack.Decoder[list[Any]]:
    """Reads ``_WireTick``s whose fields of ``_NAMES`` are declared as they are there."""
    fields: list[Any] = [
        (field.name, _NAMES.get(field.name, field.type), field.default)[: 2 + (not field.required)]
        for field in structs.fields(Tick)
    ]
    tick: Any = msgspec.defstruct("ListedTick", fields, bases=(Tick,), array_like=True, gc=False)
    return msgpack.Decoder(list[tick])


def encode(ticks: Sequence[Tick]) -> bytes:
    """Ticks one after the other, to be joined with others of the same shard."""
    return _encode([astuple(tick) for tick in ticks])[_head_bytes(len(ticks)) :]


def read(payload: bytes, count: int) -> list[Any]:
    """The ``count`` ticks of joined pieces. Raises msgspec.MsgspecError where they are not."""
    packed = _list_head(_LIST, count) + payload
    try:
        return _decode_listed(packed)
    except msgspec.ValidationError:
        return _decode(packed)


def decode(batch: Batch) -> Decoded:
    """Ticks of one batch; never raises: what cannot be read is counted as ``malformed``."""
    if not batch.payload:
        return Decoded([], {})
    try:
        return Decoded(read(batch.payload, batch.count), {})
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Decoded([], {MALFORMED: batch.count})


def _head_bytes(count: int) -> int:
    """Length of a MessagePack array's head."""
    if count < 1 << 4:
        return 1
    return 3 if count < 1 << 16 else 5


_LIST: Final = 0xDD
"""Of the array that says its length in 32 bits."""

_list_head: Final = struct.Struct(">BI").pack
_encode: Final = msgpack.Encoder().encode
_decode_listed: Final[Callable[[bytes], list[Any]]] = _listed_decoder().decode
_decode: Final[Callable[[bytes], list[Any]]] = msgpack.Decoder(list[_WireTick]).decode
