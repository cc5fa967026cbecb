"""A frame becomes slices per shard without reading what analyzers read.

Only the event type and, with several shards, the symbol are looked at; the events' bytes
go on as they came. A frame of one type for one shard, the usual case on a busy feed, is
passed on whole.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

import msgspec
from msgspec import Raw, Struct

from tapewire.market.symbols import shard_of
from tapewire.model.streams import Shard, Stream
from tapewire.providers.batcher import Slice
from tapewire.providers.massive.wire import UNREADABLE, raw_events

STREAM_OF_EVENT: Final[Mapping[str, Stream]] = {
    "T": Stream.TRADES,
    "A": Stream.AGGREGATE,
    "AM": Stream.AGGREGATE,
    "Q": Stream.QUOTES,
    "LULD": Stream.HALTS,
}
"""Event type -> stream; every other type goes to ``unknown``."""

STATUS: Final = "status"
UNREADABLE_TYPE: Final = "(unreadable)"
OTHER_TYPES: Final = "(other)"
MAX_EVENT_TYPES: Final = 100
MAX_ROUTES: Final = 200_000


class Status(Struct, gc=False):
    """What the provider says of the connection (massive.md 1.2, status catalogue)."""

    status: str = ""
    message: str = ""


class _Head(Struct, gc=False):
    """The fields that decide where an event goes."""

    ev: str = UNREADABLE_TYPE
    sym: str = ""
    T: str = ""


class _Type(Struct, gc=False):
    ev: str = UNREADABLE_TYPE


class QueueNameResolver:
    """Which stream, shard and queue an event type belongs to.

    ``shards`` is the number of shards by stream; a stream that it does not name has one.
    """

    def __init__(self, shards: Mapping[Stream, int]) -> None:
        self._shards = dict(shards)
        self._routes: dict[tuple[str, str], Shard] = {}

    def stream(self, event_type: str) -> Stream:
        """``T`` -> ``trades`` and so on; anything unheard of is ``unknown``."""
        return STREAM_OF_EVENT.get(event_type, Stream.UNKNOWN)

    def shards(self, stream: Stream) -> int:
        """Into how many shards a stream is split."""
        return self._shards.get(stream, 1)

    def shard(self, event_type: str, symbol: str) -> Shard:
        """The shard of one symbol's events: ``crc32(symbol) % N``."""
        route = self._routes.get((event_type, symbol))
        return route if route is not None else self._new_route(event_type, symbol)

    def queue(self, event_type: str, symbol: str, prefix: str = "") -> str:
        """The name of the queue: ``{prefix}{stream}`` or, with several shards, with ``.{k}``."""
        shard = self.shard(event_type, symbol)
        return prefix + (shard.name if self.shards(shard.stream) > 1 else shard.stream.value)

    def _new_route(self, event_type: str, symbol: str) -> Shard:
        stream = self.stream(event_type)
        route = Shard(stream, shard_of(symbol, self.shards(stream)))
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()
        self._routes[event_type, symbol] = route
        return route


class FrameStatistics(Struct):
    """What came off the socket. ``unknown`` counts event types that no stream is for."""

    frames: int = 0
    bytes: int = 0
    bad_frames: int = 0
    events: Counter[str] = msgspec.field(default_factory=Counter)
    unknown: Counter[str] = msgspec.field(default_factory=Counter)


_heads = msgspec.json.Decoder(list[_Head]).decode
_head = msgspec.json.Decoder(_Head).decode
_type = msgspec.json.Decoder(_Type).decode
_status = msgspec.json.Decoder(Status).decode
_type_of: Callable[[_Head], str] = attrgetter("ev")
_FIRST_TYPE: Final = re.compile(rb'\[\s*(\{"ev":"(\w{1,16})")')


class FrameSplitter:
    """Cuts frames into slices and statuses; ``statistics`` counts over all connections."""

    def __init__(self, resolver: QueueNameResolver) -> None:
        self._resolver = resolver
        self.statistics = FrameStatistics()

    def split(self, frame: bytes | str) -> list[Slice | Status]:
        """A frame's slices, one per shard in it, and its statuses.

        A frame that is not a JSON array is one counted bad frame. An element that is no
        event at all goes to ``unknown``: nothing that arrived is dropped here.
        """
        if isinstance(frame, str):
            frame = frame.encode("utf-8", "surrogatepass")
        self.statistics.frames += 1
        self.statistics.bytes += len(frame)
        frame = frame.strip()
        try:
            events = raw_events(frame)
        except UNREADABLE:
            self.statistics.bad_frames += 1
            return []
        first = _FIRST_TYPE.match(frame)
        if first is not None and frame.count(first[1]) == len(events):
            return self._uniform(frame, events, first[2].decode())
        return self._mixed(events, _heads_of(frame, events))

    def _uniform(self, frame: bytes, events: list[Raw], event_type: str) -> list[Slice | Status]:
        """A frame whose events all have one type."""
        if event_type == STATUS:
            return [_read_status(event) for event in events]
        stream = self._resolver.stream(event_type)
        if self._resolver.shards(stream) > 1:
            return self._mixed(events, _heads_of(frame, events))
        self._count({event_type: len(events)})
        return [Slice(Shard(stream, 0), len(events), frame[1:-1])]

    def _mixed(self, events: list[Raw], heads: Sequence[_Head]) -> list[Slice | Status]:
        shard_of_event = self._resolver.shard
        groups: dict[Shard, list[Raw]] = {}
        items: list[Slice | Status] = []
        for event, head in zip(events, heads, strict=True):
            if head.ev == STATUS:
                items.append(_read_status(event))
                continue
            shard = shard_of_event(head.ev, head.sym or head.T)
            group = groups.get(shard)
            if group is None:
                groups[shard] = [event]
            else:
                group.append(event)
        self._count(Counter(map(_type_of, heads)))
        items += (Slice(shard, len(group), b",".join(group)) for shard, group in groups.items())
        return items

    def _count(self, by_type: Mapping[str, int]) -> None:
        for event_type, count in by_type.items():
            if event_type in STREAM_OF_EVENT:
                self.statistics.events[event_type] += count
            elif event_type != STATUS:
                unknown = self.statistics.unknown
                known = event_type in unknown or len(unknown) < MAX_EVENT_TYPES
                unknown[event_type[:16] if known else OTHER_TYPES] += count


def _heads_of(frame: bytes, events: Sequence[Raw]) -> Sequence[_Head]:
    try:
        return _heads(frame)
    except UNREADABLE:
        return [_head_of(event) for event in events]


def _head_of(event: Raw) -> _Head:
    """One event's head; without a readable symbol it goes where its type goes."""
    try:
        return _head(event)
    except UNREADABLE:
        return _Head(_readable_type(event))


def _readable_type(event: Raw) -> str:
    try:
        return _type(event).ev
    except UNREADABLE:
        return UNREADABLE_TYPE


def _read_status(event: Raw) -> Status:
    try:
        return _status(event)
    except UNREADABLE:
        return Status("unreadable")
