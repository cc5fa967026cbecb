"""Read the records of Fyers' data frames into ticks, by the topics that they are about.

A record names its topic by an id that means something on one connection only: a snapshot
introduces it with a name, a price scale and every value, and updates leave out what has not
changed. The id is opaque.

An update is found by its first four bytes (type, id, number of fields) in one look-up;
everything else is the uncommon way.
"""

import struct
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.providers.fyers.topics import KINDS, Topic
from tapewire.providers.fyers.wire import (
    ABSENT,
    LITE,
    LITE_RECORD,
    RECORD_HEAD,
    SNAPSHOT,
    UPDATE,
    VECTORS,
    SnapshotRecord,
    named_values,
    read_snapshot,
)

MAX_PRECISION: Final = 9
"""Decimals of a price; a snapshot that says more is malformed."""

SNAPSHOTS: Final = "snapshots"
"""Count of snapshots that introduced a topic."""

ABSENT_BYTES: Final = struct.pack(">i", ABSENT)


class Fault:
    """What can be wrong with a frame: the keys of ``faults``."""

    TRUNCATED: Final = "truncated"
    """The frame ends within a record or field: the rest is dropped."""
    TRAILING: Final = "trailing"
    """Bytes after the announced records: not read."""
    TEXT: Final = "text"
    """A text message: Fyers sends none."""
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


class Records:
    """Read the records of one connection's data frames; a new connection needs a new one.

    ``wanted`` holds the instruments that are asked for at each moment, by topic; ``faults``
    what could not be used. Both belong to the connection. ``counts`` are of what could, by
    ``SNAPSHOTS`` and ``UNCHANGED``. ``seen`` has the wanted topics that a snapshot introduced.
    """

    def __init__(self, wanted: Mapping[str, Instrument], faults: Counter[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.seen: set[str] = set()
        self._wanted = wanted
        self._faults = faults
        self._topics: dict[bytes, Topic] = {}
        self._updates: dict[bytes, Topic] = {}
        self._references: list[Reference] = []
        self._readers: Mapping[int, Callable[[bytes, int, int, list[Tick]], int]] = {
            SNAPSHOT: self._snapshot,
            UPDATE: self._odd_update,
            LITE: self._lite,
        }

    def read(self, frame: bytes, at: int, count: int, received_ns: int) -> list[Tick]:
        """Ticks of the ``count`` records from ``at`` to the frame's end, in order."""
        ticks: list[Tick] = []
        try:
            self._read(frame, at, count, received_ns, ticks)
        except (IndexError, struct.error):
            self._faults[Fault.TRUNCATED] += 1
        return ticks

    def forget(self) -> None:
        """Drop the ids of topics that are no longer wanted."""
        wanted = self._wanted
        self.seen.intersection_update(wanted)
        self._topics = {key: topic for key, topic in self._topics.items() if topic.name in wanted}
        self._updates = {key: topic for key, topic in self._updates.items() if topic.name in wanted}

    def learned(self) -> list[Reference]:
        """Names and previous closes of snapshots since the last call."""
        learned, self._references = self._references, []
        return learned

    def _read(self, frame: bytes, at: int, count: int, received_ns: int, ticks: list[Tick]) -> None:
        """The hot loop."""
        find, add = self._updates.get, ticks.append
        for _ in range(count):
            topic = find(frame[at : at + 4])
            if topic is not None:
                tick = topic.take(frame, at, received_ns)
                if tick is not None:
                    add(tick)
                at += topic.record_bytes
                continue
            read = self._readers.get(frame[at])
            if read is None:
                self._faults[Fault.UNKNOWN_RECORD] += 1
                return
            at = read(frame, at, received_ns, ticks)
        if at < len(frame):
            self._faults[Fault.TRAILING] += 1

    def _snapshot(self, frame: bytes, at: int, received_ns: int, ticks: list[Tick]) -> int:
        record, end = read_snapshot(frame, at)
        key = frame[at + 1 : at + 3]
        self._drop(key)
        objection = self._objection(record)
        if objection is not None:
            self._faults[objection] += 1
            return end
        topic = self._introduce(key, record)
        vector = VECTORS[len(record.values)].pack(*record.values)
        tick = topic.take(self._fitted(vector, topic), 0, received_ns)
        if tick is not None:
            tick.flags |= TICK_SNAPSHOT
            ticks.append(tick)
        return end

    def _objection(self, record: SnapshotRecord) -> str | None:
        """Why a snapshot cannot be used, None when it can."""
        if record.name.partition("|")[0] not in KINDS:
            return Fault.UNKNOWN_KIND
        if record.name not in self._wanted:
            return Fault.NOT_SUBSCRIBED
        if not record.multiplier or record.precision > MAX_PRECISION:
            return Fault.BAD_SCALE
        return None

    def _introduce(self, key: bytes, record: SnapshotRecord) -> Topic:
        """Know the topic of a snapshot by its id from now on."""
        instrument = self._wanted[record.name]
        scale = 10**record.precision * record.multiplier
        kind = KINDS[record.name.partition("|")[0]]
        topic = kind(record.name, instrument, scale, self.counts, self._faults)
        self._topics[key] = topic
        self._updates[bytes([UPDATE]) + key + bytes([len(topic.fields)])] = topic
        self.seen.add(record.name)
        self.counts[SNAPSHOTS] += 1
        close = named_values(topic.fields, scale, record.values).get("previous_close") or None
        reference = Reference(instrument.key, "", prev_day_close=close, name=instrument.symbol)
        self._references.append(reference)
        return topic

    def _drop(self, key: bytes) -> None:
        """A snapshot gives an id a new meaning, or none."""
        old = self._topics.pop(key, None)
        if old is not None:
            del self._updates[bytes([UPDATE]) + key + bytes([len(old.fields)])]

    def _fitted(self, vector: bytes, topic: Topic) -> bytes:
        """A vector as an update record of the documented length; what it lacks is absent."""
        known, held = len(topic.fields), len(vector) // 4
        if held != known:
            self._faults[Fault.FIELD_COUNT] += 1
        vector = vector[: 4 * known] + ABSENT_BYTES * (known - held)
        return bytes(RECORD_HEAD.size) + vector

    def _odd_update(self, frame: bytes, at: int, received_ns: int, ticks: list[Tick]) -> int:
        """An update of an unknown topic, or of another length than its topic's."""
        first = at + RECORD_HEAD.size
        end = first + VECTORS[frame[at + 3]].size
        if end > len(frame):
            raise IndexError(f"a vector ends at {end}, the frame at {len(frame)}")
        topic = self._topics.get(frame[at + 1 : at + 3])
        if topic is None:
            self._faults[Fault.UNKNOWN_TOPIC] += 1
            return end
        tick = topic.take(self._fitted(frame[first:end], topic), 0, received_ns)
        if tick is not None:
            ticks.append(tick)
        return end

    def _lite(self, frame: bytes, at: int, received_ns: int, ticks: list[Tick]) -> int:
        _, _, price = LITE_RECORD.unpack_from(frame, at)
        topic = self._topics.get(frame[at + 1 : at + 3])
        if topic is None:
            self._faults[Fault.UNKNOWN_TOPIC] += 1
        elif (tick := topic.lite(price, received_ns)) is not None:
            ticks.append(tick)
        return at + LITE_RECORD.size
