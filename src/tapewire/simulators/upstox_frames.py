"""Frames as Upstox V3 sends them: the writer of ``FeedResponse`` for the simulator.

Fields go out in the order of their numbers and zeros stay away, as proto3 has it. What is not
given but always there in the real feed (lower depth levels, greeks, candles) can be added with
depth, greeks and candles, so that a frame has its real size.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from tapewire.providers.upstox.messages import MARKET_STATUS, FrameKind, Mode

_double: Final = struct.Struct("<d").pack

_REQUEST_MODE: Final = {Mode.LTPC: 0, Mode.FULL: 1, Mode.OPTION_GREEKS: 2, Mode.FULL_D30: 3}


class Last(NamedTuple):
    """``LTPC``: the last trade and the previous close."""

    price: float
    trade_ms: int
    size: int
    close: float


class Level(NamedTuple):
    """``Quote``: one level of the depth."""

    bid_size: int
    bid: float
    ask_size: int
    ask: float


class Candle(NamedTuple):
    """``OHLC``: the exchange's own candle; ``interval`` is ``1d`` or ``I1``."""

    interval: str
    open: float
    high: float
    low: float
    close: float
    volume: int
    start_ms: int


class Totals(NamedTuple):
    """What a market's instrument has beside its last trade.

    ``volume`` is the day's so far. ``average_price``, ``volatility``, ``buy_size`` and
    ``sell_size`` are ``atp``, ``iv``, ``tbq`` and ``tsq``.
    """

    volume: int = 0
    open_interest: float = 0.0
    average_price: float = 0.0
    volatility: float = 0.0
    buy_size: float = 0.0
    sell_size: float = 0.0


def varint_bytes(value: int) -> bytes:
    """A varint; a negative number becomes its 64-bit two's complement, ten bytes."""
    if 0 <= value < 0x80:
        return _SHORT[value]
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SHORT: Final = [bytes([value]) for value in range(0x80)]
_ZERO: Final = _double(0.0)

# Fields are numbered below 16, so that a tag is one byte.
_VARINT_TAGS: Final = [bytes([number << 3]) for number in range(16)]
_DOUBLE_TAGS: Final = [bytes([number << 3 | 1]) for number in range(16)]
_BYTES_TAGS: Final = [bytes([number << 3 | 2]) for number in range(16)]


def _integer(number: int, value: int) -> bytes:
    return _VARINT_TAGS[number] + varint_bytes(value) if value else b""


def _float(number: int, value: float) -> bytes:
    encoded = _double(value)
    return _DOUBLE_TAGS[number] + encoded if encoded != _ZERO else b""


def _message(number: int, body: bytes) -> bytes:
    """A sub-message or string; an empty one is present all the same."""
    return _BYTES_TAGS[number] + varint_bytes(len(body)) + body


def _floats(values: Iterable[float]) -> bytes:
    return b"".join(_float(number, value) for number, value in enumerate(values, 1))


def _last(last: Last | None) -> bytes:
    """Field 1 of whatever carries it: ``LTPC``."""
    if last is None:
        return b""
    body = _float(1, last.price) + _integer(2, last.trade_ms)
    return _message(1, body + _integer(3, last.size) + _float(4, last.close))


def _level(level: Level) -> bytes:
    return (
        _integer(1, level.bid_size)
        + _float(2, level.bid)
        + _integer(3, level.ask_size)
        + _float(4, level.ask)
    )


def _candle(candle: Candle) -> bytes:
    prices = (candle.open, candle.high, candle.low, candle.close)
    return (
        _message(1, candle.interval.encode())
        + b"".join(_float(number, price) for number, price in enumerate(prices, 2))
        + _integer(6, candle.volume)
        + _integer(7, candle.start_ms)
    )


def _candles(number: int, candles: Sequence[Candle]) -> bytes:
    if not candles:
        return b""
    return _message(number, b"".join(_message(1, _candle(candle)) for candle in candles))


def ltpc_feed(last: Last) -> bytes:
    """A ``Feed`` in mode ``ltpc``."""
    return _last(last)


def full_feed(
    last: Last | None,
    totals: Totals,
    depth: Sequence[Level] = (),
    greeks: Sequence[float] = (),
    candles: Sequence[Candle] = (),
    mode: Mode = Mode.FULL,
) -> bytes:
    """A ``Feed`` in mode ``full`` or ``full_d30``; without ``last``, only the rest changed.

    ``greeks`` are delta, theta, gamma, vega and rho.
    """
    return full_feed_around(last, totals, surroundings(depth, greeks, candles), mode)


def surroundings(
    depth: Sequence[Level] = (), greeks: Sequence[float] = (), candles: Sequence[Candle] = ()
) -> bytes:
    """The parts of a full feed that no tick is made of, to be written once for many."""
    return (
        (_message(2, b"".join(_message(1, _level(level)) for level in depth)) if depth else b"")
        + (_message(3, _floats(greeks)) if greeks else b"")
        + _candles(4, candles)
    )


def full_feed_around(
    last: Last | None, totals: Totals, surrounding: bytes, mode: Mode = Mode.FULL
) -> bytes:
    """As `full_feed`, with what `surroundings` gave."""
    body = (
        _last(last)
        + surrounding
        + _float(5, totals.average_price)
        + _integer(6, totals.volume)
        + _float(7, totals.open_interest)
        + _float(8, totals.volatility)
        + _float(9, totals.buy_size)
        + _float(10, totals.sell_size)
    )
    return _message(2, _message(1, body)) + _integer(4, _REQUEST_MODE[mode])


def index_feed(last: Last, candles: Sequence[Candle] = ()) -> bytes:
    """A ``Feed`` of an index in mode ``full``."""
    body = _last(last) + _candles(2, candles)
    return _message(2, _message(2, body)) + _integer(4, _REQUEST_MODE[Mode.FULL])


def greeks_feed(
    last: Last | None, totals: Totals, best: Level | None = None, greeks: Sequence[float] = ()
) -> bytes:
    """A ``Feed`` in mode ``option_greeks``."""
    body = (
        _last(last)
        + (_message(2, _level(best)) if best is not None else b"")
        + (_message(3, _floats(greeks)) if greeks else b"")
        + _integer(4, totals.volume)
        + _float(5, totals.open_interest)
        + _float(6, totals.volatility)
    )
    return _message(3, body) + _integer(4, _REQUEST_MODE[Mode.OPTION_GREEKS])


def feed_frame(kind: FrameKind, feeds: Iterable[tuple[str, bytes]], time_ms: int) -> bytes:
    """A frame of feeds by instrument key; ``time_ms`` is the server's clock."""
    entries = (_message(2, _message(1, key.encode()) + _message(2, feed)) for key, feed in feeds)
    return _integer(1, kind) + b"".join(entries) + _integer(3, time_ms)


def market_frame(markets: Mapping[str, str], time_ms: int) -> bytes:
    """A ``market_info`` frame: the status of each segment, by its name.

    Raises ValueError for a name that is not in ``MARKET_STATUS``.
    """
    if unknown := set(markets.values()).difference(MARKET_STATUS):
        raise ValueError(f"status {sorted(unknown)}: expected one of {', '.join(MARKET_STATUS)}")
    entries = (
        _message(1, _message(1, segment.encode()) + _integer(2, MARKET_STATUS.index(status)))
        for segment, status in markets.items()
    )
    info = _message(4, b"".join(entries))
    return _integer(1, FrameKind.MARKET_INFO) + _integer(3, time_ms) + info
