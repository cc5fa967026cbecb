"""What lies where in a record of Fyers' data frames; all integers are big-endian.

A record is an update (the whole vector, less what has not changed), a lite update (the last
price) or a snapshot (the vector, and what its topic is). Source: the official client.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

ABSENT: Final = -(2**31)
"""A value that is not there: unchanged in an update, unknown in a snapshot."""

UNSIGNED_ABSENT: Final = ABSENT & 0xFFFFFFFF
"""``ABSENT``, of a value that is read unsigned."""


class Unit(StrEnum):
    """How the integer of a field is read."""

    PRICE = "price"
    """Divided by the topic's scale."""
    COUNT = "count"
    UNSIGNED = "unsigned"
    """A count that is past 2**31 when negative: the day's volume."""
    TIME = "time"
    """Seconds since 1970, UTC."""


class Field(NamedTuple):
    """One place of a topic's vector."""

    name: str
    unit: Unit


def _fields(unit: Unit, names: str) -> tuple[Field, ...]:
    return tuple(Field(name, unit) for name in names.split())


SYMBOL_FIELDS: Final = (
    *_fields(Unit.PRICE, "last_price"),
    *_fields(Unit.UNSIGNED, "day_volume"),
    *_fields(Unit.TIME, "last_trade_time_s feed_time_s"),
    *_fields(Unit.COUNT, "bid_size ask_size"),
    *_fields(Unit.PRICE, "bid ask"),
    *_fields(Unit.COUNT, "last_size total_buy_size total_sell_size"),
    *_fields(Unit.PRICE, "average_price"),
    *_fields(Unit.COUNT, "open_interest"),
    *_fields(Unit.PRICE, "low high year_high year_low lower_circuit upper_circuit"),
    *_fields(Unit.PRICE, "open previous_close"),
)
"""The vector of ``sf`` topics: an instrument's last trade, best prices and day."""

INDEX_FIELDS: Final = (
    *_fields(Unit.PRICE, "last_price previous_close"),
    *_fields(Unit.TIME, "feed_time_s"),
    *_fields(Unit.PRICE, "high low open"),
)
"""The vector of ``if`` topics: the value of an index."""

VECTORS: Final = tuple(struct.Struct(f">{count}i") for count in range(256))
RECORD_HEAD: Final = struct.Struct(">BHB")
LITE_RECORD: Final = struct.Struct(">BHi")
SCALE: Final = struct.Struct(">2xHB")

SNAPSHOT: Final = ord("S")
UPDATE: Final = ord("U")
LITE: Final = ord("L")


def named_values(
    fields: Sequence[Field], scale: int, values: Sequence[int]
) -> dict[str, float | int]:
    """The values that a vector carries, by name; prices scaled."""
    return {
        field.name: _READ[field.unit](value, scale)
        for field, value in zip(fields, values, strict=False)
        if value != ABSENT
    }


_READ: Final[Mapping[Unit, Callable[[int, int], float | int]]] = {
    Unit.PRICE: lambda value, scale: value / scale,
    Unit.COUNT: lambda value, _: value,
    Unit.UNSIGNED: lambda value, _: value & 0xFFFFFFFF,
    Unit.TIME: lambda value, _: value,
}


def _picking(fields: Sequence[Field], *names: str) -> struct.Struct:
    """Unpack these fields alone from a whole update record, in the order of the vector."""
    codes = ("I" if field.unit is Unit.UNSIGNED else "i" for field in fields)
    places = (
        code if field.name in names else "4x" for code, field in zip(codes, fields, strict=True)
    )
    return struct.Struct(f">{RECORD_HEAD.size}x{''.join(places)}")


SYMBOL_UPDATE: Final = _picking(
    SYMBOL_FIELDS, "last_price", "day_volume", "last_trade_time_s", "last_size", "open_interest"
)
INDEX_UPDATE: Final = _picking(INDEX_FIELDS, "last_price", "feed_time_s")


def _text(frame: bytes, at: int) -> tuple[str, int]:
    """A text of u8 length and bytes, and where it ends."""
    end = at + 1 + frame[at]
    if end > len(frame):
        raise IndexError(f"a text ends at {end}, the frame at {len(frame)}")
    return frame[at + 1 : end].decode("utf-8", "replace"), end


class SnapshotRecord(NamedTuple):
    """Everything that a snapshot says of a topic; a price is raw / (10**precision * multiplier)."""

    topic_id: int
    name: str
    values: Sequence[int]
    multiplier: int
    precision: int
    exchange: str
    token: str
    symbol: str


def read_snapshot(frame: bytes, at: int) -> tuple[SnapshotRecord, int]:
    """The snapshot record at ``at``, and where it ends.

    Raises ``IndexError``, ``struct.error`` when the frame ends before it does.
    """
    _, topic_id, _ = RECORD_HEAD.unpack_from(frame, at)
    name, at = _text(frame, at + 3)
    vector = VECTORS[frame[at]]
    values = vector.unpack_from(frame, at + 1)
    at += 1 + vector.size
    multiplier, precision = SCALE.unpack_from(frame, at)
    exchange, at = _text(frame, at + SCALE.size)
    token, at = _text(frame, at)
    symbol, at = _text(frame, at)
    said = (exchange, token, symbol)
    return SnapshotRecord(topic_id, name, values, multiplier, precision, *said), at
