"""Dhan's live market feed v2 without I/O: packets in, requests out, one connection's state.

Packets are little-endian and packed, several to a WebSocket message; requests are JSON
text. Every packet type is one message type whose fields stand in wire order, and one row
of ``LAYOUTS``. Prices are float32 and stay as they came: ``market.price_grid`` puts them
back on the instrument's grid.

Sources: the market feed and annexure pages of Dhan's API v2; what they leave open (the
clock, the first packet) is said where it matters.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
from msgspec import Struct

from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken

MAX_PER_REQUEST: Final = 100
"""Instruments in one request; the server refuses a longer list."""

MAX_INSTRUMENTS: Final = 5_000
"""Instruments on one connection (five connections a user)."""

SILENCE_LIMIT_S: Final = 40.0
"""The server pings every 10 s and closes a connection that is silent for longer than this."""

IST_OFFSET_S: Final = 19_800
"""How far the feed's clock is ahead where it writes Indian wall clock as if it were UTC."""


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


class Mode(IntEnum):
    """What is sent of an instrument: the code that subscribes. The next one unsubscribes."""

    TICKER = 15
    QUOTE = 17
    FULL = 21


DISCONNECT_REQUEST: Final = 12


class Instrument(NamedTuple):
    """Dhan's name of an instrument: the number is unique within its segment only."""

    segment: int
    security_id: int


class Packet(Struct, gc=False):
    """What every packet says in its header."""

    segment: int
    security_id: int


class Ticker(Packet, gc=False):
    """Last price and time (code 2): no volume, so candles from it have none but estimates."""

    last_price: float
    last_trade_time_s: int
    snapshot: bool = False
    last_size: ClassVar[int] = 0
    day_volume: ClassVar[int | None] = None
    open_interest: ClassVar[int | None] = None


class Quote(Packet, gc=False):
    """Last trade and the day's figures (code 4); ``close`` is 0 until the session has ended.

    ``last_size`` is sent in 16 bits and wraps: volume is the change of ``day_volume``.
    ``open_interest`` comes in packets of its own; the connection fills in the last one.
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
    snapshot: bool = False
    open_interest: int | None = None


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
    snapshot: bool = False


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


Update = Ticker | Quote | OpenInterest | PreviousClose | MarketStatus | Full | Disconnect


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

DISCONNECTS: Final[Mapping[int, Policy]] = {
    800: BackOff(advice="Dhan reports an internal error"),
    804: Fatal("more instruments than the plan allows: subscribe to fewer"),
    805: BackOff(60.0, "too many connections: another process uses this account's five"),
    806: Fatal("the account has no data API subscription: buy the add-on"),
    807: RefreshToken("the access token has expired (24 hours): provide a new one"),
    808: Fatal("authentication failed: check the client id and the access token"),
    809: RefreshToken("the access token is not valid: provide a new one"),
    810: Fatal("the client id is not valid: check DHAN_CLIENT_ID"),
    811: Fatal("an expiry date is not valid: check the instruments"),
    812: Fatal("a date has a wrong format: check the instruments"),
    813: Fatal("a security id is not valid: load the instrument master again"),
    814: Fatal("the request is not valid"),
}
"""What follows a disconnect, by reason: the numbers are the contract, their texts vary."""

UNKNOWN_DISCONNECT: Final = BackOff(60.0, "Dhan gave a reason that is not documented")


def disconnect_policy(reason: int) -> Policy:
    """What to do after a disconnect with ``reason``; an unknown one waits a minute."""
    return DISCONNECTS.get(reason, UNKNOWN_DISCONNECT)


def upgrade_policy(http_status: int) -> Policy:
    """What to do when the upgrade is refused: a blocked client (429) waits a minute."""
    if http_status == 401:
        return RefreshToken("the access token was refused: provide a new one")
    return BackOff(60.0, "too many requests") if http_status == 429 else BackOff()


def utc_ms(last_trade_time_s: int, clock_offset_s: int) -> int:
    """Milliseconds UTC of a packet's time; 0 where there was no trade yet.

    The documentation says epoch seconds; the feed was seen to write Indian wall clock as
    if it were UTC, hence the offset (0 or ``IST_OFFSET_S``).
    """
    return (last_trade_time_s - clock_offset_s) * 1_000 if last_trade_time_s else 0


def depth(packet: Full) -> list[DepthLevel]:
    """The five levels of a full packet, best first; sizes of 0 mean an empty level."""
    return [DepthLevel(*level) for level in DEPTH_LEVEL.iter_unpack(packet.depth)]


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
    NOT_SUBSCRIBED: Final = "not_subscribed"
    """The instrument is not, or no longer, asked for: the packet is dropped."""


def decode(frame: bytes, faults: Counter[str]) -> list[Update]:
    """Every packet of a message that can be read, in order; what cannot is counted."""
    updates: list[Update] = []
    offset, end = 0, len(frame)
    while end - offset >= HEADER.size:
        code, length = frame[offset], frame[offset + 1] | frame[offset + 2] << 8
        layout = LAYOUTS.get(code)
        if layout is None or length != layout.size or offset + length > end:
            length, layout = _doubtful(code, length, layout, end - offset, faults)
        if layout is not None:
            updates.append(layout.packet(*layout.unpack(frame, offset)))
        offset += length
    if offset < end and frame[offset] != HEARTBEAT:
        faults[Fault.TRUNCATED] += 1
    return updates


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


class _Held(Struct):
    """An instrument on this connection."""

    mode: Mode
    fresh: bool = True
    open_interest: int | None = None


def _complete(update: Ticker | Quote | Full, held: _Held) -> None:
    """Mark an instrument's first price, and give a quote the open interest beside it."""
    if held.fresh:
        update.snapshot, held.fresh = True, False
    if isinstance(update, Quote):
        update.open_interest = held.open_interest


_encode = msgspec.json.Encoder().encode


class DhanConnection:
    """One connection, from the open socket to its end. A new socket needs a new one.

    ``faults`` counts what could not be used, by ``Fault``; it may be shared by successive
    connections. ``clock_offset_s`` is how far the feed's clock is ahead of UTC, None until
    somebody has found out. ``disconnect`` is the server's reason, once it gave one.
    """

    def __init__(
        self, faults: Counter[str] | None = None, max_instruments: int = MAX_INSTRUMENTS
    ) -> None:
        self.faults: Counter[str] = Counter() if faults is None else faults
        self.clock_offset_s: int | None = None
        self.disconnect: int | None = None
        self._max_instruments = max_instruments
        self._held: dict[tuple[int, int], _Held] = {}
        self._is_open = False
        self._out: list[bytes] = []

    def opened(self) -> None:
        """The socket is open: ask for everything that is wanted."""
        self._is_open = True
        for mode in Mode:
            self._request(mode, [key for key, held in self._held.items() if held.mode is mode])

    def data_to_send(self) -> list[bytes]:
        """Text messages to send now, in order; each is given once."""
        out, self._out = self._out, []
        return out

    def subscribe(self, instruments: Iterable[Instrument], mode: Mode = Mode.QUOTE) -> None:
        """Ask for instruments; one held in another mode is given back first.

        Raises ``ValueError``, and asks for nothing, when the connection would hold more
        than its limit.
        """
        asked = dict.fromkeys(instruments)
        total = len(self._held.keys() | asked.keys())
        if total > self._max_instruments:
            raise ValueError(
                f"{total} instruments on one connection, the limit is "
                f"{self._max_instruments}: open another connection"
            )
        new = [key for key in asked if key not in self._held or self._held[key].mode is not mode]
        self.unsubscribe(new)
        self._held.update((key, _Held(mode)) for key in new)
        self._request(mode, new)

    def unsubscribe(self, instruments: Iterable[Instrument]) -> None:
        """Give instruments back; unknown ones are ignored."""
        gone: dict[Mode, list[tuple[int, int]]] = {}
        for key in instruments:
            held = self._held.pop(key, None)
            if held is not None:
                gone.setdefault(held.mode, []).append(key)
        for mode, keys in gone.items():
            self._request(mode + 1, keys)

    def close(self) -> None:
        """Say good-bye before the socket is closed."""
        if self._is_open:
            self._out.append(_encode({"RequestCode": DISCONNECT_REQUEST}))

    def receive(self, frame: bytes) -> list[Update]:
        """Updates of one message, in order; each instrument's first price is a snapshot."""
        return [update for update in decode(frame, self.faults) if self._accept(update)]

    def _accept(self, update: Update) -> bool:
        """Bring an update together with what is held; False drops it, counted."""
        if isinstance(update, Disconnect):
            self.disconnect = update.reason
            return True
        if isinstance(update, MarketStatus):
            return True
        held = self._held.get((update.segment, update.security_id))
        if held is None:
            self.faults[Fault.NOT_SUBSCRIBED] += 1
            return False
        if isinstance(update, OpenInterest):
            held.open_interest = update.open_interest
        elif not isinstance(update, PreviousClose):
            _complete(update, held)
        return True

    def _request(self, code: int, keys: Sequence[tuple[int, int]]) -> None:
        """Put requests out, as many as the limit of one makes necessary."""
        if not self._is_open:
            return
        for start in range(0, len(keys), MAX_PER_REQUEST):
            self._out.append(_encode(_message(code, keys[start : start + MAX_PER_REQUEST])))


def _message(code: int, keys: Sequence[tuple[int, int]]) -> dict[str, object]:
    return {
        "RequestCode": int(code),
        "InstrumentCount": len(keys),
        "InstrumentList": [
            {"ExchangeSegment": Segment(segment).name, "SecurityId": str(security_id)}
            for segment, security_id in keys
        ],
    }
