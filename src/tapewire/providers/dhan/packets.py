"""Dhan's packets: what each holds, how it lies in bytes, and how odd ones are got over.

Packets are little-endian and packed, several to a WebSocket message. Every packet type is one
message type whose fields stand in wire order, and one row of ``LAYOUTS``; the simulator writes
from the same rows. Prices are float32 and stay as they came. Source: the market feed and
annexure pages of Dhan's API v2 (``brokers.md`` 3.3).
"""

import struct
from collections import Counter
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from msgspec import Struct


class Segment(IntEnum):
    """Exchange segments: the number is in packets, the name in requests."""

    IDX_I = 0
    NSE_EQ = 1
    NSE_FNO = 2
    NSE_CURRENCY = 3
    BSE_EQ = 4
    MCX_COMM = 5
    BSE_CURRENCY = 7
    BSE_FNO = 8


EXCHANGES: Final[Mapping[int, str]] = {
    Segment.NSE_EQ: "NSE_EQ",
    Segment.NSE_FNO: "NSE_FO",
    Segment.NSE_CURRENCY: "NCD_FO",
    Segment.BSE_EQ: "BSE_EQ",
    Segment.MCX_COMM: "MCX_FO",
    Segment.BSE_CURRENCY: "BCD_FO",
    Segment.BSE_FNO: "BSE_FO",
}
"""A segment as ``Tick.exchange`` spells it; whose an index is, the instrument master says."""


class Packet(Struct, gc=False):
    """What every packet says in its header."""

    segment: int
    security_id: int


class Ticker(Packet, gc=False):
    """Last price and time (code 2): no volume, so candles from it have none but estimates."""

    last_price: float
    last_trade_time_s: int


class Quote(Packet, gc=False):
    """Last trade and the day's figures (code 4); ``close`` is 0 until the session has ended.

    ``last_size`` is sent in 16 bits and wraps: volume is the change of ``day_volume``. Open
    interest comes in packets of its own.
    """

    last_price: float
    last_size: int
    last_trade_time_s: int
    average_price: float
    day_volume: int
    total_sell_size: int
    total_buy_size: int
    open: float
    close: float
    high: float
    low: float


class OpenInterest(Packet, gc=False):
    """Open interest (code 5), sent beside quotes."""

    open_interest: int


class PreviousClose(Packet, gc=False):
    """Yesterday's close and open interest (code 6), sent after every subscription."""

    previous_close: float
    previous_open_interest: int


class MarketStatus(Packet, gc=False):
    """The segment's market opened or closed (code 7); which of them is not in the packet."""


class Full(Packet, gc=False):
    """A quote with open interest (code 8); five levels of depth follow, see ``depth``."""

    last_price: float
    last_size: int
    last_trade_time_s: int
    average_price: float
    day_volume: int
    total_sell_size: int
    total_buy_size: int
    open_interest: int
    open_interest_high: int
    open_interest_low: int
    open: float
    close: float
    high: float
    low: float
    depth: bytes


class Disconnect(Packet, gc=False):
    """The server ends the connection (code 50); ``reason`` is a key of ``DISCONNECTS``."""

    reason: int


class DepthLevel(NamedTuple):
    """One of the five levels at the end of a full packet."""

    bid_size: int
    ask_size: int
    bid_orders: int
    ask_orders: int
    bid_price: float
    ask_price: float


Priced = Ticker | Quote | Full
Update = Priced | OpenInterest | PreviousClose | MarketStatus | Disconnect


class Layout:
    """How one packet type lies in bytes: ``fields`` are those after the header.

    The three bytes of code and length are read before; ``size`` counts them.
    """

    def __init__(self, packet: Callable[..., Update], fields: str = "") -> None:
        wire = struct.Struct(f"<3xBI{fields}")
        self.packet = packet
        self.fields = fields
        self.size = wire.size
        self.unpack: Callable[[bytes, int], tuple[Any, ...]] = wire.unpack_from


LAYOUTS: Final[Mapping[int, Layout]] = {
    2: Layout(Ticker, "fI"),
    4: Layout(Quote, "fHIfIIIffff"),
    5: Layout(OpenInterest, "I"),
    6: Layout(PreviousClose, "fI"),
    7: Layout(MarketStatus),
    8: Layout(Full, "fHIfIIIIIIffff100s"),
    50: Layout(Disconnect, "H"),
}

DEPTH_LEVEL: Final = struct.Struct("<IIHHff")
HEADER: Final = struct.Struct("<BHBI")
HEARTBEAT: Final = 0


class Fault:
    """What can be wrong with a packet: the keys of ``faults``."""

    TRUNCATED: Final = "truncated"
    """The length cannot be true and the code's own does not fit: the rest is dropped."""
    BAD_LENGTH: Final = "bad_length"
    """The length cannot be true: the code's own was used instead."""
    TOO_SHORT: Final = "too_short"
    """Shorter than its code's layout: the packet is dropped."""
    TOO_LONG: Final = "too_long"
    """Longer than its code's layout: read, and the bytes beyond it skipped."""
    UNKNOWN_CODE: Final = "unknown_code"
    """No layout is known (index packets among them): skipped by its length."""


def depth(packet: Full) -> list[DepthLevel]:
    """The five levels of a full packet, best first; sizes of 0 mean an empty level."""
    return [DepthLevel(*level) for level in DEPTH_LEVEL.iter_unpack(packet.depth)]


def decode(frame: bytes, faults: Counter[str]) -> list[Update]:
    """Every packet of a message that can be read, in order; what cannot is counted."""
    updates = []
    at, end = 0, len(frame)
    while at < end:
        update, at = read(frame, at, faults)
        if update is not None:
            updates.append(update)
    return updates


def read(frame: bytes, at: int, faults: Counter[str]) -> tuple[Update | None, int]:
    """The packet that begins at ``at``, and where the next one does.

    None where it cannot be used; that is counted, unless it is a heartbeat. The next one begins
    beyond ``at``: at the frame's end when nothing can be made of what is left.
    """
    code, room = frame[at], len(frame) - at
    layout = LAYOUTS.get(code)
    length = room if room < HEADER.size else frame[at + 1] | frame[at + 2] << 8
    if layout is None or length != layout.size or length > room:
        length, layout = _doubtful(code, length, layout, room, faults)
    if layout is None:
        return None, at + length
    return layout.packet(*layout.unpack(frame, at)), at + length


def _doubtful(
    code: int, length: int, layout: Layout | None, room: int, faults: Counter[str]
) -> tuple[int, Layout | None]:
    """How far to go on, and the layout to read with (None: skip the packet)."""
    if HEADER.size <= length <= room:
        return length, _by_length(code, length, layout, faults)
    if layout is not None and layout.size <= room:
        faults[Fault.BAD_LENGTH] += 1
        return layout.size, layout
    if code != HEARTBEAT:
        faults[Fault.TRUNCATED] += 1
    return room, None


def _by_length(
    code: int, length: int, layout: Layout | None, faults: Counter[str]
) -> Layout | None:
    if layout is None:
        if code != HEARTBEAT:
            faults[Fault.UNKNOWN_CODE] += 1
        return None
    if length < layout.size:
        faults[Fault.TOO_SHORT] += 1
        return None
    faults[Fault.TOO_LONG] += 1
    return layout
