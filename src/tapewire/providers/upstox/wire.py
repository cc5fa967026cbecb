"""Reads the protobuf of Upstox frames: only the fields that become an update, in order or not.

A reader of our own, because a frame of 50 instruments in ``full`` mode is 30 KB of depth, greeks
and candles of which ten numbers an instrument are wanted: lengths let it step over the rest.
Two shapes that every serializer writes (``LTPC`` and ``Quote``, all fields present, in order)
are read straight; whatever looks otherwise goes through ``scalars``, which takes any order.

Rules of the wire format: a tag is ``number << 3 | type`` as a varint; types are 0 varint,
1 eight bytes, 2 length and bytes, 5 four bytes; int64 is two's complement; a field with
another type than its own is unknown, and unknown fields are skipped; of a repeated scalar
the last one counts. ``market_data_feed.proto`` beside this file has the fields.
"""

import struct
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Final

from tapewire.providers.upstox.messages import (
    MARKET_STATUS,
    Feed,
    FrameKind,
    Instrument,
    InstrumentKeyError,
    Skipped,
    Update,
    split_key,
)

MAX_KNOWN_INSTRUMENTS: Final = 50_000
"""Keys remembered as split; the memory is emptied when an odd feed exceeds it."""

_MAX_VARINT_BYTES: Final = 10
_DOUBLES: Final = frozenset(number << 3 | 1 for number in range(1, 16))
_MESSAGES: Final = frozenset(number << 3 | 2 for number in range(1, 16))

_double: Final = struct.Struct("<d").unpack_from
_full_head: Final = struct.Struct("<BHBH").unpack_from
_quote_middle: Final = struct.Struct("<BdB").unpack_from
_ltpc_head: Final = struct.Struct("<BdBQ").unpack_from

# Eight bytes after the tag of ``ltt``: six of its varint (any time from 1971 to 2109 has six),
# the tag of ``ltq``, and the first byte of that.
_TIME_MASK: Final = 0x00FF808080808080
_TIME_SHAPE: Final = 0x0018008080808080


class WireError(ValueError):
    """Bytes that are not the protobuf they should be: what was seen, and where."""


class _BadValueError(ValueError):
    """A number that no market has: not finite, or a wrapped quantity."""


_BROKEN: Final = (WireError, IndexError, struct.error, UnicodeDecodeError)


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """Read the int64 at ``pos``; returns it and the position after it.

    Raises WireError beyond ten bytes, IndexError where the data ends first.
    """
    a = data[pos]
    if a < 0x80:
        return a, pos + 1
    b = data[pos + 1]
    if b < 0x80:
        return a + (b << 7) - 0x80, pos + 2
    c = data[pos + 2]
    if c < 0x80:
        return a + (b << 7) + (c << 14) - 0x4080, pos + 3
    d = data[pos + 3]
    if d < 0x80:
        return a + (b << 7) + (c << 14) + (d << 21) - 0x204080, pos + 4
    return _long_varint(data, pos)


def _long_varint(data: bytes, pos: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        byte = data[pos + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            value &= 0xFFFF_FFFF_FFFF_FFFF
            return (value - (1 << 64) if value >> 63 else value), pos + index + 1
    raise WireError(f"varint at byte {pos} is longer than {_MAX_VARINT_BYTES} bytes")


def span(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Where the bytes lie whose length is at ``pos``. Raises WireError if beyond ``end``."""
    length, start = varint(data, pos)
    if length < 0 or start + length > end:
        raise WireError(f"{length} bytes announced at byte {pos}, {end - start} are there")
    return start, start + length


def skip(data: bytes, pos: int, end: int) -> int:
    """Return the position after the field whose tag is at ``pos``."""
    tag, start = varint(data, pos)
    if not tag >> 3:
        raise WireError(f"field number 0 at byte {pos}")
    match tag & 7:
        case 0:
            return varint(data, start)[1]
        case 1:
            return start + 8
        case 2:
            return span(data, start, end)[1]
        case 5:
            return start + 4
        case other:
            raise WireError(f"wire type {other} at byte {pos}; expected 0, 1, 2 or 5")


def scalars(data: bytes, pos: int, end: int) -> dict[int, int | float]:
    """Integers and doubles of a message by tag; the last of each counts."""
    found: dict[int, int | float] = {}
    while pos < end:
        tag, start = varint(data, pos)
        if tag & 7 == 0 and tag >> 3:
            found[tag], pos = varint(data, start)
        elif tag & 7 == 1 and tag >> 3:
            found[tag], pos = _double(data, start)[0], start + 8
        else:
            pos = skip(data, pos, end)
    _ends_at(pos, end)
    return found


def _ends_at(pos: int, end: int) -> None:
    if pos != end:
        raise WireError(f"a message ends at byte {end}, its last field at byte {pos}")


def _finite(value: float) -> float:
    if not isfinite(value):
        raise _BadValueError(f"{value} where a number was expected")
    return value


def _ltpc(data: bytes, pos: int, end: int, update: Update) -> None:
    """Read ``LTPC``: 09 ltp(8) 10 ltt(6) 18 ltq 21 cp(8), or any other shape."""
    if end - pos < 27 or data[end - 9] != 0x21:
        return _any_ltpc(data, pos, end, update)
    price_tag, price, time_tag, word = _ltpc_head(data, pos)
    if price_tag != 0x09 or time_tag != 0x10 or word & _TIME_MASK != _TIME_SHAPE:
        return _any_ltpc(data, pos, end, update)
    size, after = varint(data, pos + 17)
    if after != end - 9:
        return _any_ltpc(data, pos, end, update)
    # 6 x 7 bits, two steps: pairs of 7 into 14, then three of 14 into 42.
    pairs = word & 0x7F007F007F | (word & 0x7F007F007F00) >> 1
    update.last_trade_ms = (
        pairs & 0x3FFF | (pairs & 0x3FFF0000) >> 2 | (pairs & 0x3FFF00000000) >> 4
    )
    close = _double(data, after + 1)[0]
    if not (isfinite(price) and isfinite(close)):
        raise _BadValueError(f"last price {price}, close {close}")
    update.last_price = price or None
    update.last_size = size
    update.close = close or None
    return None


def _any_ltpc(data: bytes, pos: int, end: int, update: Update) -> None:
    found = scalars(data, pos, end)
    price, close = found.get(0x09, 0.0), found.get(0x21, 0.0)
    update.last_price = _finite(price) or None
    update.last_trade_ms = int(found.get(0x10, 0))
    update.last_size = int(found.get(0x18, 0))
    update.close = _finite(close) or None


def _quote(data: bytes, pos: int, end: int, update: Update) -> None:
    """Read ``Quote``: 08 size 11 bid(8) 18 size 21 ask(8), or any other shape."""
    if end - pos < 22 or data[pos] != 0x08:
        return _any_quote(data, pos, end, update)
    bid_size, after = varint(data, pos + 1)
    bid_tag, bid, size_tag = _quote_middle(data, after)
    if bid_tag != 0x11 or size_tag != 0x18:
        return _any_quote(data, pos, end, update)
    ask_size, after = varint(data, after + 10)
    if after != end - 9 or data[after] != 0x21:
        return _any_quote(data, pos, end, update)
    ask = _double(data, after + 1)[0]
    if not (isfinite(bid) and isfinite(ask)):
        raise _BadValueError(f"bid {bid}, ask {ask}")
    update.bid_size = bid_size
    update.bid = bid
    update.ask_size = ask_size
    update.ask = ask
    return None


def _any_quote(data: bytes, pos: int, end: int, update: Update) -> None:
    found = scalars(data, pos, end)
    update.bid_size = int(found.get(0x08, 0))
    update.bid = _finite(found.get(0x11, 0.0))
    update.ask_size = int(found.get(0x18, 0))
    update.ask = _finite(found.get(0x21, 0.0))


def _best_quote(data: bytes, pos: int, end: int, update: Update) -> None:
    """Read the first level of a ``MarketLevel``, and step over the others."""
    while pos < end and data[pos] != 0x0A:
        pos = skip(data, pos, end)
    if pos < end:
        _quote(data, *span(data, pos + 1, end), update)


_Reader = Callable[[bytes, int, int, Update], None]
_Parts = Mapping[int, _Reader]


def _read(
    data: bytes,
    pos: int,
    end: int,
    update: Update,
    parts: _Parts,
    volume: int = 0,
    interest: int = 0,
) -> None:
    """Read a message whose sub-messages ``parts`` reads by tag; and volume, open interest.

    ``volume`` and ``interest`` are the tags of the two, 0 where a message has neither.
    """
    while pos < end:
        tag = data[pos]
        if tag in _DOUBLES:
            if tag == interest:
                update.open_interest = int(_finite(_double(data, pos + 1)[0]))
            pos += 9
        elif tag in _MESSAGES:
            length = data[pos + 1]
            start = pos + 2
            if length > 0x7F:
                start, pos = span(data, pos + 1, end)
            else:
                pos = start + length
            if tag in parts:
                if pos > end:
                    _ends_at(pos, end)
                parts[tag](data, start, pos, update)
        elif tag == volume:
            update.day_volume, pos = varint(data, pos + 1)
        else:
            pos = skip(data, pos, end)
    if pos != end:
        _ends_at(pos, end)


def _market(data: bytes, pos: int, end: int, update: Update) -> None:
    """Read ``MarketFullFeed``."""
    update.day_volume = update.open_interest = 0
    _read(data, pos, end, update, _MARKET, 0x30, 0x39)


def _greeks(data: bytes, pos: int, end: int, update: Update) -> None:
    """Read ``FirstLevelWithGreeks``."""
    update.day_volume = update.open_interest = 0
    _read(data, pos, end, update, _GREEKS, 0x20, 0x29)


def _index(data: bytes, pos: int, end: int, update: Update) -> None:
    """Read ``IndexFullFeed``."""
    update.index = True
    _read(data, pos, end, update, _INDEX)


def _full(data: bytes, pos: int, end: int, update: Update) -> None:
    """Read ``FullFeed``."""
    _read(data, pos, end, update, _FULL)


def _feed(data: bytes, pos: int, end: int, update: Update) -> None:
    """Read ``Feed``: 12 length(2) 0a length(2) ``MarketFullFeed`` 20 mode, or any other shape."""
    if end - pos > 6:
        tag, outer, inner_tag, inner = _full_head(data, pos)
        stop = pos + 3 + (outer & 0x7F | outer >> 1 & 0x3F80)
        if (
            tag == 0x12
            and inner_tag == 0x0A
            and outer & 0x8080 == inner & 0x8080 == 0x0080
            and pos + 6 + (inner & 0x7F | inner >> 1 & 0x3F80) == stop
            and (stop == end or (stop + 2 == end and data[stop] == 0x20 and data[stop + 1] < 0x80))
        ):
            return _market(data, pos + 6, stop, update)
    return _read(data, pos, end, update, _FEED)


# Tag of a sub-message (number << 3 | 2) -> who reads it.
_FEED: Final[_Parts] = {0x0A: _ltpc, 0x12: _full, 0x1A: _greeks}
_FULL: Final[_Parts] = {0x0A: _market, 0x12: _index}
_MARKET: Final[_Parts] = {0x0A: _ltpc, 0x12: _best_quote}
_INDEX: Final[_Parts] = {0x0A: _ltpc}
_GREEKS: Final[_Parts] = {0x0A: _ltpc, 0x12: _quote}


def _pair(data: bytes, pos: int, end: int, value_tag: int) -> tuple[bytes, int, int]:
    """Read a map's entry: its key, and where the value lies (or, of a varint, starts)."""
    key, start, stop = b"", end, end
    while pos < end:
        tag = data[pos]
        if tag == 0x0A:
            at, pos = span(data, pos + 1, end)
            key = data[at:pos]
        elif tag == value_tag and tag & 7 == 2:
            start, stop = span(data, pos + 1, end)
            pos = stop
        elif tag == value_tag:
            start = pos + 1
            stop = pos = varint(data, start)[1]
        else:
            pos = skip(data, pos, end)
    _ends_at(pos, end)
    return key, start, stop


def _feed_pair(data: bytes, pos: int, end: int) -> tuple[bytes, int, int]:
    """Read an entry of ``feeds``: 0a length(1) key 12 length ``Feed``, or any other shape."""
    value = pos + 2 + data[pos + 1]
    if data[pos] == 0x0A and data[pos + 1] < 0x80 and value < end and data[value] == 0x12:
        length, start = varint(data, value + 1)
        if start + length == end:
            return data[pos + 2 : value], start, end
    return _pair(data, pos, end, 0x12)


class FeedDecoder:
    """Decodes frames; remembers the instruments it has seen, so that keys are split once."""

    def __init__(self, max_instruments: int = MAX_KNOWN_INSTRUMENTS) -> None:
        self._instruments: dict[bytes, Instrument] = {}
        self._max_instruments = max_instruments

    def decode(self, frame: bytes) -> Feed:
        """Decode one binary frame (``FeedResponse``). Raises nothing.

        A malformed entry loses itself only and is counted in ``skipped``; where the frame
        itself breaks (a length beyond its end), what was read before is kept, and one
        ``malformed_frame`` counted.
        """
        feed = Feed()
        try:
            self._frame(frame, feed)
        except _BROKEN:
            feed.skipped[Skipped.MALFORMED_FRAME] += 1
        if feed.kind == FrameKind.LIVE_FEED:
            for update in feed.updates:
                update.snapshot = False
        return feed

    def _frame(self, frame: bytes, feed: Feed) -> None:
        pos, end = 0, len(frame)
        while pos < end:
            tag = frame[pos]
            if tag == 0x12:
                start, pos = span(frame, pos + 1, end)
                self._entry(frame, start, pos, feed)
            elif tag == 0x08:
                feed.kind, pos = varint(frame, pos + 1)
            elif tag == 0x18:
                feed.time_ms, pos = varint(frame, pos + 1)
            elif tag == 0x22:
                start, pos = span(frame, pos + 1, end)
                _market_info(frame, start, pos, feed)
            else:
                pos = skip(frame, pos, end)
        _ends_at(pos, end)

    def _entry(self, data: bytes, pos: int, end: int, feed: Feed) -> None:
        """Read one entry of ``feeds``; its faults are its own."""
        try:
            key, start, stop = _feed_pair(data, pos, end)
            update = Update(self._instruments.get(key) or self._learn(key))
            _feed(data, start, stop, update)
        except InstrumentKeyError as error:
            feed.skipped[error.reason] += 1
        except _BadValueError:
            feed.skipped[Skipped.BAD_VALUE] += 1
        except _BROKEN:
            feed.skipped[Skipped.MALFORMED_ENTRY] += 1
        else:
            feed.updates.append(update)

    def _learn(self, key: bytes) -> Instrument:
        instrument = split_key(key.decode())
        if len(self._instruments) >= self._max_instruments:
            self._instruments.clear()
        self._instruments[key] = instrument
        return instrument


def _market_info(data: bytes, pos: int, end: int, feed: Feed) -> None:
    """Read ``MarketInfo``: the status of each segment."""
    while pos < end:
        if data[pos] != 0x0A:
            pos = skip(data, pos, end)
            continue
        at, pos = span(data, pos + 1, end)
        key, start, stop = _pair(data, at, pos, 0x10)
        number = varint(data, start)[0] if start < stop else 0
        known = number < len(MARKET_STATUS)
        feed.markets[key.decode()] = MARKET_STATUS[number] if known else f"UNKNOWN_{number}"
    _ends_at(pos, end)
