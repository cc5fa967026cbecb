"""The records of Fyers' data frames, and the topics that they are about.

A record names its topic by an id that means something on one connection only: a snapshot
introduces it with a name, a price scale and every value, and updates leave out what has not
changed. Integers are big-endian; the id is opaque.
"""

import struct
from collections import Counter
from collections.abc import Callable, Container, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

ABSENT: Final = -(2**31)
"""A value that is not there: unchanged in an update, unknown in a snapshot."""

MAX_PRECISION: Final = 9
"""Decimals of a price; a snapshot that says more is malformed."""


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

EXCHANGES: Final[Mapping[str, str]] = {
    "sf|nse_cm": "NSE_EQ",
    "sf|nse_fo": "NSE_FO",
    "sf|cde_fo": "NCD_FO",
    "sf|nse_com": "NSE_COM",
    "sf|bse_cm": "BSE_EQ",
    "sf|bse_fo": "BSE_FO",
    "sf|bcs_fo": "BCD_FO",
    "sf|mcx_fo": "MCX_FO",
    "if|nse_cm": "NSE_INDEX",
    "if|bse_cm": "BSE_INDEX",
}
"""Exchange and segment of a topic, spelled as in ``Tick.exchange``, by its first two parts."""

LAST_PRICE, DAY_VOLUME, LAST_TRADE_TIME, LAST_SIZE, OPEN_INTEREST = (
    [field.name for field in SYMBOL_FIELDS].index(name)
    for name in ("last_price", "day_volume", "last_trade_time_s", "last_size", "open_interest")
)
INDEX_TIME: Final = [field.name for field in INDEX_FIELDS].index("feed_time_s")

VECTORS: Final = tuple(struct.Struct(f">{count}i") for count in range(256))
RECORD_HEAD: Final = struct.Struct(">BHB")
LITE_RECORD: Final = struct.Struct(">BHi")
SCALE: Final = struct.Struct(">2xHB")

SNAPSHOT: Final = ord("S")
UPDATE: Final = ord("U")
LITE: Final = ord("L")


class Fault:
    """What can be wrong with a frame: the keys of ``faults``."""

    TRUNCATED: Final = "truncated"
    """The frame ends within a record or field: the rest is dropped."""
    TRAILING: Final = "trailing"
    """Bytes after the announced records: not read."""
    UNKNOWN_TYPE: Final = "unknown_type"
    """A frame of a type that is not documented."""
    UNKNOWN_RECORD: Final = "unknown_record"
    """A record whose length nobody knows: the rest of the frame is dropped."""
    UNKNOWN_TOPIC: Final = "unknown_topic"
    """A record before its topic's snapshot, or after it was given back: stepped over."""
    UNKNOWN_KIND: Final = "unknown_kind"
    """A snapshot of neither an instrument nor an index (depth): stepped over."""
    NOT_SUBSCRIBED: Final = "not_subscribed"
    """A snapshot of a topic that is not, or no longer, asked for: stepped over."""
    BAD_SCALE: Final = "bad_scale"
    """A snapshot with multiplier 0 or too many decimals: stepped over."""
    FIELD_COUNT: Final = "field_count"
    """A vector shorter or longer than documented: the known fields are read."""


class Topic(Struct):
    """What a connection knows of a topic id, with the last value of what makes a tick.

    ``name`` is what was subscribed to (``sf|nse_cm|2885``); ``exchange`` (a value of
    ``EXCHANGES``, empty where it has none) and ``token`` are made of it. ``symbol``,
    ``venue`` and ``venue_token`` are what the snapshot said. A price is its integer
    divided by ``scale``.
    """

    name: str
    exchange: str
    token: str
    symbol: str
    venue: str
    venue_token: str
    scale: int
    fields: tuple[Field, ...]
    last_price: float | None = None
    last_size: int = 0
    day_volume: int | None = None
    open_interest: int | None = None
    time_s: int | None = None

    @property
    def is_index(self) -> bool:
        """An index: it has neither volume nor trades."""
        return self.fields is INDEX_FIELDS


class Update(Struct, gc=False):
    """One record, completed with what its topic held: an instrument or an index now.

    ``time_s`` is the last trade's time (an index's: the exchange feed's), UTC. Lite
    records have a price only: no time, no volume. ``values`` is the record's vector as it
    came, ``ABSENT`` for what it leaves out; a lite record's is empty.
    """

    topic: Topic
    last_price: float | None
    last_size: int
    day_volume: int | None
    open_interest: int | None
    time_s: int | None
    snapshot: bool
    values: tuple[int, ...]


def named_values(update: Update) -> dict[str, float | int]:
    """The fields that a record carries, by name; prices scaled."""
    topic = update.topic
    return {
        field.name: _READ[field.unit](value, topic.scale)
        for field, value in zip(topic.fields, update.values, strict=False)
        if value != ABSENT
    }


_READ: Final[Mapping[Unit, Callable[[int, int], float | int]]] = {
    Unit.PRICE: lambda value, scale: value / scale,
    Unit.COUNT: lambda value, _: value,
    Unit.UNSIGNED: lambda value, _: value & 0xFFFFFFFF,
    Unit.TIME: lambda value, _: value,
}


def _symbol(topic: Topic, values: tuple[int, ...], snapshot: bool) -> Update:
    if (price := values[LAST_PRICE]) != ABSENT:
        topic.last_price = price / topic.scale
    if (size := values[LAST_SIZE]) != ABSENT:
        topic.last_size = size
    if (volume := values[DAY_VOLUME]) != ABSENT:
        topic.day_volume = volume & 0xFFFFFFFF
    if (interest := values[OPEN_INTEREST]) != ABSENT:
        topic.open_interest = interest
    if (time_s := values[LAST_TRADE_TIME]) != ABSENT:
        topic.time_s = time_s
    return _update(topic, values, snapshot)


def _index(topic: Topic, values: tuple[int, ...], snapshot: bool) -> Update:
    if (price := values[LAST_PRICE]) != ABSENT:
        topic.last_price = price / topic.scale
    if (time_s := values[INDEX_TIME]) != ABSENT:
        topic.time_s = time_s
    return _update(topic, values, snapshot)


def _update(topic: Topic, values: tuple[int, ...], snapshot: bool) -> Update:
    return Update(
        topic,
        topic.last_price,
        topic.last_size,
        topic.day_volume,
        topic.open_interest,
        topic.time_s,
        snapshot,
        values,
    )


class Kind(NamedTuple):
    """A kind of topic: its vector, and how an update is made of it."""

    fields: tuple[Field, ...]
    update: Callable[[Topic, tuple[int, ...], bool], Update]


KINDS: Final[Mapping[str, Kind]] = {
    "sf": Kind(SYMBOL_FIELDS, _symbol),
    "if": Kind(INDEX_FIELDS, _index),
}


def _text(frame: bytes, at: int) -> tuple[str, int]:
    """A text of u8 length and bytes, and where it ends."""
    end = at + 1 + frame[at]
    if end > len(frame):
        raise IndexError(f"a text ends at {end}, the frame at {len(frame)}")
    return frame[at + 1 : end].decode("utf-8", "replace"), end


class _Snapshot(NamedTuple):
    """A snapshot record as it lies in the frame."""

    topic_id: int
    name: str
    values: tuple[int, ...]
    multiplier: int
    precision: int
    venue: str
    venue_token: str
    symbol: str
    end: int

    @property
    def kind(self) -> str:
        """The first part of the name: a key of ``KINDS`` if it is one that is read."""
        return self.name.partition("|")[0]


def _read_snapshot(frame: bytes, at: int) -> _Snapshot:
    _, topic_id, _ = RECORD_HEAD.unpack_from(frame, at)
    name, at = _text(frame, at + 3)
    vector = VECTORS[frame[at]]
    values = vector.unpack_from(frame, at + 1)
    at += 1 + vector.size
    multiplier, precision = SCALE.unpack_from(frame, at)
    texts, at = _texts(frame, at + SCALE.size)
    return _Snapshot(topic_id, name, values, multiplier, precision, *texts, at)


def _texts(frame: bytes, at: int) -> tuple[tuple[str, str, str], int]:
    """Venue, its number of the instrument and Fyers' symbol, and where they end."""
    venue, at = _text(frame, at)
    venue_token, at = _text(frame, at)
    symbol, at = _text(frame, at)
    return (venue, venue_token, symbol), at


class Records:
    """Read the records of one connection's data frames; a new connection needs a new one.

    ``wanted`` holds the topics that are asked for at each moment, ``faults`` what could
    not be used. Both belong to the connection.
    """

    def __init__(self, wanted: Container[str], faults: Counter[str]) -> None:
        self._wanted = wanted
        self._faults = faults
        self._topics: dict[int, tuple[Topic, Kind]] = {}
        self._readers: Mapping[int, Callable[[bytes, int, list[Update]], int]] = {
            SNAPSHOT: self._snapshot,
            UPDATE: self._update,
            LITE: self._lite,
        }

    def read(self, frame: bytes, at: int, count: int) -> list[Update]:
        """Updates of the ``count`` records from ``at`` to the frame's end, in order."""
        updates: list[Update] = []
        try:
            self._read(frame, at, count, updates)
        except (IndexError, struct.error):
            self._faults[Fault.TRUNCATED] += 1
        return updates

    def forget(self) -> None:
        """Drop the ids of topics that are no longer wanted."""
        wanted = self._wanted
        self._topics = {
            topic_id: held for topic_id, held in self._topics.items() if held[0].name in wanted
        }

    def _read(self, frame: bytes, at: int, count: int, updates: list[Update]) -> None:
        for _ in range(count):
            read = self._readers.get(frame[at])
            if read is None:
                self._faults[Fault.UNKNOWN_RECORD] += 1
                return
            at = read(frame, at, updates)
        if at < len(frame):
            self._faults[Fault.TRAILING] += 1

    def _snapshot(self, frame: bytes, at: int, updates: list[Update]) -> int:
        record = _read_snapshot(frame, at)
        objection = self._objection(record)
        if objection is not None:
            self._topics.pop(record.topic_id, None)
            self._faults[objection] += 1
        else:
            topic, kind = self._topics[record.topic_id] = self._introduce(record)
            updates.append(kind.update(topic, self._fit(record.values, kind), True))
        return record.end

    def _objection(self, record: _Snapshot) -> str | None:
        """Why a snapshot cannot be used, None when it can."""
        if record.kind not in KINDS:
            return Fault.UNKNOWN_KIND
        if record.name not in self._wanted:
            return Fault.NOT_SUBSCRIBED
        if not record.multiplier or record.precision > MAX_PRECISION:
            return Fault.BAD_SCALE
        return None

    def _introduce(self, record: _Snapshot) -> tuple[Topic, Kind]:
        kind = KINDS[record.kind]
        scale = 10**record.precision * record.multiplier
        segment, _, token = record.name.rpartition("|")
        said = (record.symbol, record.venue, record.venue_token)
        exchange = EXCHANGES.get(segment, "")
        return Topic(record.name, exchange, token, *said, scale, kind.fields), kind

    def _fit(self, values: tuple[int, ...], kind: Kind) -> tuple[int, ...]:
        """The known fields of a vector; those that it does not reach are absent."""
        known = len(kind.fields)
        if len(values) != known:
            self._faults[Fault.FIELD_COUNT] += 1
            values = (values + (ABSENT,) * known)[:known]
        return values

    def _update(self, frame: bytes, at: int, updates: list[Update]) -> int:
        _, topic_id, count = RECORD_HEAD.unpack_from(frame, at)
        vector: struct.Struct = VECTORS[count]
        at += RECORD_HEAD.size
        values = vector.unpack_from(frame, at)
        held = self._topics.get(topic_id)
        if held is None:
            self._faults[Fault.UNKNOWN_TOPIC] += 1
        else:
            topic, kind = held
            updates.append(kind.update(topic, self._fit(values, kind), False))
        return at + vector.size

    def _lite(self, frame: bytes, at: int, updates: list[Update]) -> int:
        _, topic_id, price = LITE_RECORD.unpack_from(frame, at)
        held = self._topics.get(topic_id)
        if held is None:
            self._faults[Fault.UNKNOWN_TOPIC] += 1
        else:
            topic = held[0]
            if price != ABSENT:
                topic.last_price = price / topic.scale
            updates.append(Update(topic, topic.last_price, 0, None, None, None, False, ()))
        return at + LITE_RECORD.size
