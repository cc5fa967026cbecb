"""Candles as the store keeps them: small, and exact.

A packed candle is a MessagePack array ``[state, open, high, low, close, volume, trades,
value]``. ``state`` holds flags in its low bits (``CLOSED``, ``GAP``, ``CENTS``, ``ESTIMATED``) and
the revision above them. Two forms, told apart by the type of ``open``:

- an integer: prices are exact in ten-thousandths (in hundredths with ``CENTS``) and given as
  ``open``, ``high - open``, ``open - low``, ``close - open``; ``value`` is the sum of
  (price - open) x size in ten-thousandths, from which the vwap follows;
- a float: prices as they are; ``value`` is the vwap, nil without volume.

The start is not in it: the hash and the field say it (``model/candle_names.py``). One-second
candles of a symbol lie together, see ``PackedSecond``.
"""

from typing import Final

import msgspec
from msgspec import Struct

from tapewire.model.rows import NOTIONAL_SCALE, Candle, vwap

CLOSED: Final = 1
GAP: Final = 2
CENTS: Final = 4
ESTIMATED: Final = 8
REVISION: Final = 16
"""What one revision adds to ``state``."""

PRICE_SCALE: Final = 10_000
_TO_CENTS: Final = PRICE_SCALE // 100
_TO_NOTIONAL: Final = NOTIONAL_SCALE // PRICE_SCALE
_EXACT_BELOW: Final = 2.0**40
_LARGEST: Final = 2**62

Number = int | float
Fields = tuple[int, Number, Number, Number, Number, Number, int, Number | None]
"""The values of a packed candle, in order."""


class PackedCandle(Struct, array_like=True, gc=False):
    """A packed candle, taken apart."""

    state: int
    open: int | float
    high: int | float
    low: int | float
    close: int | float
    volume: int | float
    trades: int
    value: int | float | None

    @property
    def prices(self) -> tuple[float, float, float, float]:
        """Open, high, low, close."""
        if type(self.open) is float:
            return self.open, self.high, self.low, self.close
        unit = _TO_CENTS if self.state & CENTS else 1
        first = self.open * unit
        return (
            first / PRICE_SCALE,
            (first + self.high * unit) / PRICE_SCALE,
            (first - self.low * unit) / PRICE_SCALE,
            (first + self.close * unit) / PRICE_SCALE,
        )

    @property
    def notional(self) -> int | float | None:
        """Price x size in millionths where that is exact, else None (``value`` is the vwap)."""
        if type(self.open) is float or self.value is None:
            return None
        unit = _TO_CENTS if self.state & CENTS else 1
        return (self.value + self.open * unit * self.volume) * _TO_NOTIONAL

    def candle(self, start_ms: int) -> Candle:
        """The candle that starts at a time."""
        notional = self.notional
        state = self.state
        return Candle(
            start_ms,
            *self.prices,
            self.volume,
            self.value if notional is None else vwap(notional, self.volume),
            self.trades,
            bool(state & CLOSED),
            state // REVISION,
            bool(state & GAP),
            bool(state & ESTIMATED),
        )


def candle_fields(
    state: int, prices: tuple[float, float, float, float], volume: Number, trades: int,
    notional: Number,
) -> Fields:  # fmt: skip
    """The values of a packed candle; ``prices`` are open, high, low, close.

    ``notional`` is price x size in millionths; ``state`` comes without ``CENTS``.
    """
    first, high, low, last = prices
    most = _EXACT_BELOW
    sane = high < most and first < most and low > -most and last > -most
    if sane and type(volume) is int and type(notional) is int:
        packed = _in_units(state | CENTS, prices, 100, volume, trades, notional)
        packed = packed or _in_units(state, prices, PRICE_SCALE, volume, trades, notional)
        if packed:
            return packed
    exact = (float(first), float(high), float(low), float(last))
    return (state, *exact, volume, trades, vwap(notional, volume))


def _in_units(
    state: int, prices: tuple[float, float, float, float], scale: int, volume: int, trades: int,
    notional: int,
) -> Fields | None:  # fmt: skip
    """The exact form, prices in units of 1 / ``scale``; None where that is not exact."""
    first, high, low, last = prices
    o, h, l, c = round(first * scale), round(high * scale), round(low * scale), round(last * scale)  # noqa: E741
    if o / scale != first or h / scale != high or l / scale != low or c / scale != last:
        return None
    value, rest = divmod(notional, _TO_NOTIONAL)
    value -= o * (PRICE_SCALE // scale) * volume
    if rest or not -_LARGEST < value < _LARGEST:
        return None
    return (state, o, h - o, o - l, c - o, volume, trades, value)


def state_of(closed: bool, gap: bool, revision: int, estimated: bool = False) -> int:
    """``state`` without ``CENTS``."""
    return closed * CLOSED + gap * GAP + estimated * ESTIMATED + revision * REVISION


def encode_candle(candle: Candle) -> bytes:
    """Pack a candle; ``decode_candle`` gives it back as it was."""
    state = state_of(candle.closed, candle.gap, candle.revision, candle.estimated)
    prices = (candle.open, candle.high, candle.low, candle.close)
    price, volume = candle.vwap, candle.volume
    sane = max(map(abs, (*prices, price or 0.0, volume))) < _EXACT_BELOW
    notional = round(price * volume * PRICE_SCALE) * _TO_NOTIONAL if price and sane else 0
    if sane and vwap(notional, volume) == price:
        return encode_packed(candle_fields(state, prices, volume, candle.trades, notional))
    exact = tuple(map(float, prices))
    return encode_packed((state, *exact, volume, candle.trades, price))


def decode_candle(packed: bytes, start_ms: int) -> Candle:
    """Unpack a candle that starts at ``start_ms``."""
    return decode_packed(packed).candle(start_ms)


encode_packed = msgspec.msgpack.Encoder().encode
decode_packed = msgspec.msgpack.Decoder(PackedCandle).decode


class PackedSecond(PackedCandle, array_like=True, gc=False):
    """A packed one-second candle within its slot.

    After the fields of a candle come its ``second`` (0 to 9) in the slot and what a late trade
    needs to find its place: the order keys of open and close (ms within the second, sequence),
    and the exact notional in millionths where the packed form does not give it. ``open`` is
    nil in a second without an open/close-eligible trade: that is no candle.
    """

    open: int | float | None  # type: ignore[assignment]
    second: int = 0
    open_t: int = -1
    open_q: int = -1
    close_t: int = -1
    close_q: int = -1
    sum: int | float | None = None

    @property
    def is_candle(self) -> bool:
        """Whether it has an open and a close."""
        return self.open is not None


def read_seconds(packed: bytes, slot_ms: int) -> list[Candle]:
    """The one-second candles of one symbol's field of a slot, oldest first."""
    seconds = [one for one in decode_seconds(packed) if one.is_candle]
    return [one.candle(slot_ms + 1000 * one.second) for one in seconds]


decode_seconds = msgspec.msgpack.Decoder(list[PackedSecond]).decode
