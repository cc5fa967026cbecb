"""Massive's events as they travel, and how a batch of them becomes model events.

A wire type is a subclass of the model's event that carries the provider's short names, so
that decoding costs one C call a batch and yields what analyzers read. Two variants of each:
the *strict* one has integers where the provider documents integers, a sane time in ms and
positive prices; only when a batch fails it, the *tolerant* one takes what was seen in
production as well (integers as 62.0, nulls, s/us/ns times), and only what fails that too is
decoded event by event, so that one malformed event loses one event.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct, structs

from tapewire.market.symbols import MAX_SYMBOL_LENGTH, is_test_symbol, is_valid_symbol
from tapewire.model.batch import Batch
from tapewire.model.events import Aggregate, Event, Luld, Quote, Trade
from tapewire.model.streams import Stream
from tapewire.providers.decoded import Decoded

MIN_MS: Final = 946_684_800_000
"""2000-01-01: calendars begin here; an earlier time is a fault."""

MAX_MS: Final = 4_102_444_800_000
"""2100-01-01: a later time would drive every watermark past all real events."""

MAX_KNOWN_SYMBOLS: Final = 100_000
"""Symbols remembered as sound; the memory is emptied when an odd feed exceeds it."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on input that is not what it should be."""


class Skipped:
    """Why an event was taken in but not folded: the keys of ``Decoded.skipped``."""

    MISSING_FIELD: Final = "missing_field"
    WRONG_TYPE: Final = "wrong_type"
    BAD_VALUE: Final = "bad_value"
    WRONG_EVENT: Final = "wrong_event"
    MALFORMED: Final = "malformed"
    TEST_SYMBOL: Final = "test_symbol"
    BAD_SYMBOL: Final = "bad_symbol"
    UNKNOWN_EVENT: Final = "unknown_event"


class BadValueError(ValueError):
    """A field that no reading makes sound."""


def milliseconds(value: float) -> int:
    """Read a time by its magnitude: below 1e11 s, 1e14 ms, 1e17 us, else ns (massive.md 1.4).

    Raises BadValueError outside 2000 to 2100.
    """
    if value < 1e11:
        value = value * 1000
    elif value >= 1e17:
        value = value // 1_000_000
    elif value >= 1e14:
        value = value // 1000
    if not MIN_MS <= value < MAX_MS:
        raise BadValueError(f"time {value} ms is outside 2000 to 2100")
    return int(value)


def _quantity(value: float) -> int | float:
    """Shares: whole where the number is whole (``100.0``), else the fraction as sent."""
    return int(value) if value == int(value) else value


def _numbers(values: tuple[int | float, ...]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


# Field of a model event -> what it is. Everything else is taken as the model declares it.
_SYMBOL: Final = ("symbol",)
_PRICES: Final = ("price", "open", "high", "low", "close")
_SIDES: Final = ("bid", "ask")  # a missing side is 0
_TIMES: Final = ("timestamp_ms", "start_timestamp", "end_timestamp")
_SIZES: Final = ("size", "bid_size", "ask_size", "volume", "accumulated_volume")
_NUMBERS: Final = ("sequence", "exchange", "bid_exchange", "ask_exchange", "condition", "tape")
_LISTS: Final = ("conditions", "indicators")

_MAX_PRICE: Final = 1e9
_MAX_INTEGER: Final = 2**53
_MAX_TIME: Final = 2**62

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_SYMBOL_LENGTH)]
_Price = Annotated[float, Meta(gt=0, lt=_MAX_PRICE)]
_Side = Annotated[float, Meta(ge=0, lt=_MAX_PRICE)]
_Size = Annotated[int, Meta(ge=0, le=_MAX_INTEGER)]
_Time = Annotated[int, Meta(ge=MIN_MS, lt=MAX_MS)]
_Number = Annotated[int, Meta(ge=-_MAX_INTEGER, le=_MAX_INTEGER)]
_AnySize = _Size | Annotated[float, Meta(ge=0, le=_MAX_INTEGER)]
_AnyTime = Annotated[int, Meta(gt=0, lt=_MAX_TIME)] | Annotated[float, Meta(gt=0, lt=_MAX_TIME)]
_AnyNumber = _Number | Annotated[float, Meta(ge=-_MAX_INTEGER, le=_MAX_INTEGER)]


def _by_field(*kinds: tuple[tuple[str, ...], Any]) -> dict[str, Any]:
    return {name: value for names, value in kinds for name in names}


_STRICT: Final = _by_field(
    (_SYMBOL, _Name),
    (_PRICES, _Price),
    (_SIDES, _Side),
    (_TIMES, _Time),
    (_SIZES, _Size),
    (_NUMBERS, _Number),
)
_TOLERANT: Final = _by_field(
    (_SYMBOL, _Name),
    (_PRICES, _Price),
    (_SIDES, _Side),
    (_TIMES, _AnyTime),
    (_SIZES, _AnySize),
    (_NUMBERS, _AnyNumber),
    (_LISTS, tuple[_AnyNumber, ...]),
)
_REPAIRS: Final[dict[str, Callable[[Any], Any]]] = _by_field(
    (_TIMES, milliseconds), (_SIZES, _quantity), (_NUMBERS, int), (_LISTS, _numbers)
)


class _Kind(NamedTuple):
    """One event type on the wire; ``types`` are those that differ from ``_STRICT``."""

    tag: str
    base: type[Struct]
    names: Mapping[str, str]
    types: Mapping[str, Any] = MappingProxyType({})


_BAR: Final = {
    "symbol": "sym",
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "start_timestamp": "s",
    "end_timestamp": "e",
    "accumulated_volume": "av",
    "official_open_price": "op",
    "vwap": "vw",
    "aggregate_vwap": "a",
    "average_size": "z",
}
_TRADE: Final = {
    "symbol": "sym",
    "price": "p",
    "size": "s",
    "timestamp_ms": "t",
    "conditions": "c",
    "sequence": "q",
    "exchange": "x",
}
_QUOTE: Final = {
    "symbol": "sym",
    "timestamp_ms": "t",
    "bid": "bp",
    "bid_size": "bs",
    "ask": "ap",
    "ask_size": "as",
    "bid_exchange": "bx",
    "ask_exchange": "ax",
    "condition": "c",
    "sequence": "q",
}
_BANDS: Final = {"high": _Side, "low": _Side}
"""A halt need not come with price bands."""

_LULD: Final = {
    "symbol": "T",
    "high": "h",
    "low": "l",
    "timestamp_ms": "t",
    "indicators": "i",
    "tape": "z",
    "sequence": "q",
}

KINDS: Final[Mapping[Stream, tuple[_Kind, ...]]] = {
    Stream.TRADES: (_Kind("T", Trade, _TRADE),),
    Stream.QUOTES: (_Kind("Q", Quote, _QUOTE),),
    Stream.AGGREGATE: (_Kind("A", Aggregate, _BAR), _Kind("AM", Aggregate, _BAR)),
    Stream.HALTS: (_Kind("LULD", Luld, _LULD, _BANDS),),
}
"""Stream -> the event types that it carries. ``A`` and ``AM`` differ by end - start."""


def _wire(kind: _Kind, types: Mapping[str, Any], nullable: bool) -> type[Struct]:
    """A subclass of the model's event that reads the provider's names.

    The fields are declared again because ``rename`` reaches only a class's own ones.
    """
    fields: list[Any] = []
    for field in structs.fields(kind.base):
        declared = kind.types.get(field.name, types.get(field.name, field.type))
        if field.required:
            fields.append((field.name, declared))
        else:
            fields.append((field.name, declared | None if nullable else declared, field.default))
    return msgspec.defstruct(
        f"{kind.base.__name__}{kind.tag}",
        fields,
        bases=(kind.base,),
        tag_field="ev",
        tag=kind.tag,
        rename=dict(kind.names),
        gc=False,
    )


class _Wire(NamedTuple):
    """The decoders of one stream, fastest first."""

    strict: Callable[[bytes], list[Any]]
    tolerant: Callable[[bytes], list[Any]]
    one: Callable[[Raw], Any]


def _union(types: list[Any]) -> Any:
    first, *others = types
    for other in others:
        first = first | other
    return first


def _decoders(kinds: tuple[_Kind, ...]) -> _Wire:
    strict: Any = _union([_wire(kind, _STRICT, nullable=False) for kind in kinds])
    tolerant: Any = _union([_wire(kind, _TOLERANT, nullable=True) for kind in kinds])
    return _Wire(
        msgspec.json.Decoder(list[strict]).decode,
        msgspec.json.Decoder(list[tolerant]).decode,
        msgspec.json.Decoder(tolerant).decode,
    )


_WIRES: Final = {stream: _decoders(kinds) for stream, kinds in KINDS.items()}
raw_events: Final = msgspec.json.Decoder(list[Raw]).decode
"""JSON array -> its elements unread; raises one of UNREADABLE."""

_symbol_of = attrgetter("symbol")
_sound_symbols: set[str] = set()


def decode(batch: Batch) -> Decoded:
    """Model events of one batch; never raises for what a provider may send.

    Times are ms, sizes and sequences whole numbers unless the provider sent a fraction of
    a share. Symbols that test an exchange are left out here (``test_symbol``), not in the
    listener, so that ``count`` keeps counting all events taken in.
    """
    if not batch.payload:
        return Decoded([], {})
    wire = _WIRES.get(batch.stream)
    if wire is None:
        return Decoded([], {Skipped.UNKNOWN_EVENT: batch.count})
    text = b"[" + batch.payload + b"]"
    skipped: Counter[str] = Counter()
    try:
        events = wire.strict(text)
    except UNREADABLE:
        events = _tolerantly(wire, text, batch.count, skipped)
    if not _sound_symbols.issuperset(map(_symbol_of, events)):
        events = [event for event in events if _is_sound(event.symbol, skipped)]
    return Decoded(events, skipped)


def _tolerantly(wire: _Wire, text: bytes, count: int, skipped: Counter[str]) -> list[Event]:
    try:
        return [_repaired(event) for event in wire.tolerant(text)]
    except (*UNREADABLE, BadValueError):
        return _one_by_one(wire, text, count, skipped)


def _one_by_one(wire: _Wire, text: bytes, count: int, skipped: Counter[str]) -> list[Event]:
    try:
        elements = raw_events(text)
    except UNREADABLE:
        skipped[Skipped.MALFORMED] += count
        return []
    events = []
    for element in elements:
        try:
            events.append(_repaired(wire.one(element)))
        except (*UNREADABLE, BadValueError) as error:
            skipped[_reason(error)] += 1
    return events


def _repaired(event: Any) -> Any:
    """Make a tolerantly decoded event look as the strict decoder would have made it."""
    for field in structs.fields(event):
        value = getattr(event, field.name)
        if value is None and not field.required:
            setattr(event, field.name, field.default)
        elif field.name in _REPAIRS:
            setattr(event, field.name, _REPAIRS[field.name](value))
    return event


def _reason(error: Exception) -> str:
    if isinstance(error, BadValueError):
        return Skipped.BAD_VALUE
    if not isinstance(error, msgspec.ValidationError):
        return Skipped.MALFORMED
    said = str(error)
    if "missing required field" in said:
        return Skipped.MISSING_FIELD
    if said.startswith("Invalid value"):
        return Skipped.WRONG_EVENT
    return Skipped.WRONG_TYPE if ", got `" in said else Skipped.BAD_VALUE


def _is_sound(symbol: str, skipped: Counter[str]) -> bool:
    if symbol in _sound_symbols:
        return True
    if is_test_symbol(symbol):
        skipped[Skipped.TEST_SYMBOL] += 1
        return False
    if not is_valid_symbol(symbol):
        skipped[Skipped.BAD_SYMBOL] += 1
        return False
    if len(_sound_symbols) >= MAX_KNOWN_SYMBOLS:
        _sound_symbols.clear()
    _sound_symbols.add(symbol)
    return True


class _Times(Struct, gc=False):
    """The times of any event: ``t``, or a bar's end."""

    t: float = 0
    e: float = 0


_times = msgspec.json.Decoder(list[_Times]).decode


def newest_ms(payload: bytes) -> int | None:
    """Event time in ms of the last of some events; None where it cannot be told.

    A bar's is the last millisecond that it covers. Only the last event is read, if it begins as
    the provider's do.
    """
    at = payload.rfind(b',{"ev"') + 1
    try:
        last = _times(b"[" + payload[at:] + b"]")[-1]
        return milliseconds(last.e) - 1 if last.e else milliseconds(last.t)
    except (*UNREADABLE, BadValueError, IndexError):
        return None
