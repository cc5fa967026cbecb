"""The protobuf of Upstox frames, as far as it becomes ticks: a table, and decoders made from it.

A frame of 50 instruments in ``full`` mode is 20 KB, of which six numbers an instrument are
wanted. What is not in the table (depth, greeks, candles) is an unknown field to the decoder,
which steps over it; ``market_data_feed.proto`` beside this file has all that the provider sends.
The map of feeds is read as what it is on the wire, repeated pairs of key and value: so their
order is kept, and a key is bytes that need not be text.

There is no generated code, because there is so little to generate, and because that would have
to follow the versions of the ``protobuf`` package.
"""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

__all__ = ["DecodeError", "Entry", "Frame", "Sections"]

_DOUBLE: Final = FieldDescriptorProto.TYPE_DOUBLE
_INT64: Final = FieldDescriptorProto.TYPE_INT64
_INT32: Final = FieldDescriptorProto.TYPE_INT32
_BYTES: Final = FieldDescriptorProto.TYPE_BYTES
_MESSAGE: Final = FieldDescriptorProto.TYPE_MESSAGE

_REPEATED: Final = FieldDescriptorProto.LABEL_REPEATED
_ONE: Final = FieldDescriptorProto.LABEL_OPTIONAL

_PACKAGE: Final = "tapewire.upstox"

# Message -> field -> number and type; a name is that of another message, in a list: repeated.
# Enums are read as integers, which is what they are on the wire.
_Field = tuple[int, int | str | list[int | str]]
_MESSAGES: Final[Mapping[str, Mapping[str, _Field]]] = {
    # LTPC: price and size of the last trade, its time in ms UTC, and the previous close.
    "Last": {
        "price": (1, _DOUBLE),
        "time_ms": (2, _INT64),
        "size": (3, _INT64),
        "close": (4, _DOUBLE),
    },
    # MarketFullFeed: ``volume`` is the day's so far. No ``last`` where only the depth changed.
    "Market": {"last": (1, "Last"), "volume": (6, _INT64), "interest": (7, _DOUBLE)},
    # IndexFullFeed
    "Index": {"last": (1, "Last")},
    # FirstLevelWithGreeks
    "Greeks": {"last": (1, "Last"), "volume": (4, _INT64), "interest": (5, _DOUBLE)},
    # FullFeed
    "Full": {"market": (1, "Market"), "index": (2, "Index")},
    "Feed": {"last": (1, "Last"), "full": (2, "Full"), "greeks": (3, "Greeks")},
    "Entry": {"key": (1, _BYTES), "feed": (2, "Feed")},
    "Segment": {"name": (1, _BYTES), "status": (2, _INT32)},
    # MarketInfo
    "Info": {"segments": (1, ["Segment"])},
    # FeedResponse: ``kind`` is a FrameKind, ``time_ms`` the server's clock.
    "Frame": {
        "kind": (1, _INT32),
        "entries": (2, ["Entry"]),
        "time_ms": (3, _INT64),
        "info": (4, "Info"),
    },
    # FeedResponse whose entries are left as they are: for a frame of which one is malformed.
    "Sections": {"kind": (1, _INT32), "entries": (2, [_BYTES]), "time_ms": (3, _INT64)},
}

_ONE_OF: Final = frozenset({"Feed", "Full"})
"""Messages of which one field can be there: a later one takes the place of an earlier one."""


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="tapewire/upstox.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _ONE_OF:
            message.oneof_decl.add(name="one")
        for field_name, (number, kind) in fields.items():
            of = kind[0] if isinstance(kind, list) else kind
            field = message.field.add(name=field_name, number=number)
            field.label = _REPEATED if isinstance(kind, list) else _ONE
            field.type = _MESSAGE if isinstance(of, str) else of
            if isinstance(of, str):
                field.type_name = f".{_PACKAGE}.{of}"
            if name in _ONE_OF:
                field.oneof_index = 0
    return file


def _classes() -> Mapping[str, Any]:
    pool = DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_made: Final = _classes()

# Message classes of the ``protobuf`` package: ``Frame.FromString(data)`` raises DecodeError.
Frame: Final = _made["Frame"]
Entry: Final = _made["Entry"]
Sections: Final = _made["Sections"]
