"""Stored rows that do not decode: what raises then, and how a reader says so.

Fields are only ever appended to rows (``model/rows.py``), so a row of this layout decodes. One
that does not was written by a version with another layout, or is damaged. Who answers one
question (commands) ends with ``UndecodableRowError``; who shows everything all day (the hub)
counts it and goes on without the row (``hub/decoding.py``).
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from tapewire import __version__
from tapewire.model.candle_names import (
    MINUTE_MS,
    CandleHash,
    candle_hash,
    midnight_ms,
    seconds_hash,
)
from tapewire.model.rows import Candle

UNDECODABLE: Final = (msgspec.MsgspecError, ValueError)
"""What decoders, and those who read names and fields, raise for another layout."""

T = TypeVar("T")


class UndecodableRowError(Exception):
    """A stored row is not as this version writes it; says where it lies and what to do."""

    def __init__(self, where: str, seen: str) -> None:
        super().__init__(
            f"stored data cannot be read: {where}: {seen}; expected what version {__version__}"
            " writes. It was written by another version, or is damaged: read it with the version"
            " that wrote it, upgrade the older of the two, or start with an empty store"
        )


def decoded(decode: Callable[[bytes], T], packed: bytes, shard: str, key: str, field: object) -> T:
    """Decode a field of a hash, or an item of a list by its number.

    Raises UndecodableRowError that names feed, shard, key and field.
    """
    try:
        return decode(packed)
    except UNDECODABLE as error:
        family = key.partition(":")[0]
        where = f"feed {family}, shard {shard}, key {key}, field {field}"
        raise UndecodableRowError(where, f"{len(packed)} bytes, {error}") from error


def parsed_name(parse: Callable[[str], T], shard: str, key: str) -> T:
    """Read a key's name; UndecodableRowError for one that is not named as rows are."""
    try:
        return parse(key)
    except ValueError as error:
        where = f"feed {key.partition(':')[0]}, shard {shard}, key {key}"
        raise UndecodableRowError(where, f"a name that is unknown, {error}") from error


def decoded_candles(name: CandleHash, rows: Mapping[str, bytes]) -> list[Candle]:
    """A hash's candles, as ``CandleHash.candles`` reads them.

    Raises UndecodableRowError that names feed, key and field of the first that does not decode.
    """
    try:
        return list(name.candles(rows))
    except UNDECODABLE:
        return [candle for field in rows for candle in _candles_of(name, field, rows[field])]


def _candles_of(name: CandleHash, field: str, packed: bytes) -> list[Candle]:
    try:
        return list(name.candles({field: packed}))
    except UNDECODABLE as error:
        where = "feed {}, key {}, field {}".format(name.feed, *_place(name, field))
        raise UndecodableRowError(where, f"{len(packed)} bytes, {error}") from error


def _place(name: CandleHash, field: str) -> tuple[str, str]:
    """Key and field of a candle, as far as its field can be read."""
    try:
        if name.interval == "1s":
            return seconds_hash(name.exchange, int(field)), name.symbol
        start_ms = midnight_ms(name.date) + int(field) * MINUTE_MS
    except ValueError:
        return name.name, field
    return candle_hash(name.exchange, name.symbol, name.interval, name.date, start_ms), field
