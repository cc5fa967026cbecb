"""What a Dhan connection is subscribed to, and the requests that say so.

Requests are JSON text of at most ``MAX_PER_REQUEST`` instruments each, one kind for each mode.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.market.price_grid import PriceGrid
from tapewire.model.events import TICK_INDEX
from tapewire.providers.dhan.packets import Segment

MAX_PER_REQUEST: Final = 100
"""Instruments in one request; the server refuses a longer list."""

DISCONNECT_REQUEST: Final = 12
"""The code of a good-bye."""

UNKNOWN_TICK_SIZES: Final = {Segment.NSE_CURRENCY: 0.0025, Segment.BSE_CURRENCY: 0.0025}
"""Where the master has no tick size; elsewhere prices have two decimals."""


class Mode(IntEnum):
    """What is sent of an instrument: the code that subscribes. The next one unsubscribes."""

    TICKER = 15
    QUOTE = 17
    FULL = 21


NAME: Final = struct.Struct("<BI")
"""An instrument as packets have it: segment and number, their bytes 3 to 8."""

_MAX_NUMBER: Final = 2**32 - 1


class Held(Struct):
    """An instrument on a connection, and what is known of it there.

    ``name`` is its ``NAME``; ``raw`` the wire's price of which ``price`` was made; ``since_s``
    and ``time_s`` are when its first price came and the newest trade's time on the feed's clock.
    """

    instrument: Instrument
    exchange: str
    token: str
    symbol: str
    name: bytes
    segment: Segment
    number: int
    mode: Mode
    flags: int
    nearest: Callable[[float], float]
    open_interest: int | None = None
    raw: float = 0.0
    price: float = 0.0
    heard: bool = False
    since_s: int = 0
    time_s: int = 0


def hold(instrument: Instrument, mode: Mode) -> Held:
    """Make ready for an instrument; of an index there is a value and a time, whatever the mode.

    Raises ValueError for a ``broker_key`` or tick size that cannot be.
    """
    segment, number = segment_and_number(instrument)
    index = instrument.kind is InstrumentKind.INDEX
    return Held(
        instrument,
        instrument.exchange,
        instrument.token,
        instrument.symbol,
        NAME.pack(segment, number),
        segment,
        number,
        Mode.TICKER if index else mode,
        TICK_INDEX * index,
        _nearest(instrument.tick_size or UNKNOWN_TICK_SIZES.get(segment, 0.01)),
    )


def segment_and_number(instrument: Instrument) -> tuple[Segment, int]:
    """Dhan's name of an instrument, from its ``broker_key``; ValueError when it is none."""
    segment, _, number = instrument.broker_key.partition("|")
    if segment in Segment.__members__ and number.isdecimal() and int(number) <= _MAX_NUMBER:
        return Segment[segment], int(number)
    raise ValueError(
        f"{instrument.key}: Dhan's name of it is {instrument.broker_key!r}, expected one such as "
        "NSE_EQ|2885; load Dhan's instrument master again"
    )


def requests(held: Iterable[Held], *, end: bool = False) -> Iterator[str]:
    """Requests that subscribe to instruments, or ``end`` their subscription, mode by mode."""
    wanted = list(held)
    for mode in Mode:
        of_mode = [one for one in wanted if one.mode is mode]
        for start in range(0, len(of_mode), MAX_PER_REQUEST):
            yield _request(mode + end, of_mode[start : start + MAX_PER_REQUEST])


def goodbye() -> str:
    """What is sent before the socket is closed."""
    return _encode({"RequestCode": DISCONNECT_REQUEST}).decode()


def _request(code: int, batch: Sequence[Held]) -> str:
    listed = [{"ExchangeSegment": one.segment.name, "SecurityId": str(one.number)} for one in batch]
    return _encode(
        {"RequestCode": code, "InstrumentCount": len(batch), "InstrumentList": listed}
    ).decode()


@lru_cache(maxsize=64)
def _nearest(tick_size: float) -> Callable[[float], float]:
    """One grid for all instruments of a tick size: thousands of them would not stay in cache."""
    return PriceGrid(tick_size).nearest


_encode: Final = msgspec.json.Encoder().encode
