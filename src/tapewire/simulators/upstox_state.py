"""An instrument's state as Upstox words it in each mode, its book, greeks and candles made up.

What is made up gives frames their real size and follows the price in steps of `_STEP` ticks, so
that it is not written anew for each.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import Tick
from tapewire.providers.upstox.messages import Mode
from tapewire.simulators.upstox_frames import (
    Candle,
    Last,
    Level,
    Totals,
    full_feed_around,
    greeks_feed,
    index_feed,
    ltpc_feed,
    surroundings,
)

_LEVELS: Final = {Mode.FULL: 5, Mode.FULL_D30: 30}
_OPTIONS: Final = (InstrumentKind.CALL, InstrumentKind.PUT)
_STEP: Final = 20
_TICK: Final = 0.05
_GREEKS: Final = (0.52, -11.4, 0.0009, 14.2, 6.1)
"""Delta, theta, gamma, vega, rho."""
_VOLATILITY: Final = 0.13
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_INDIA_MS: Final = 330 * 60_000


class StateWriter:
    """Writes the ``Feed`` of a tick; once for each mode, however many clients there are.

    ``previous_close`` gives that of an instrument by its key.
    """

    def __init__(self, previous_close: Callable[[str], float]) -> None:
        self._previous_close = previous_close
        self._written: dict[tuple[str, Mode], tuple[Tick, bytes]] = {}
        self._around: dict[tuple[str, Mode], tuple[float, bytes]] = {}

    def feed(self, tick: Tick, instrument: Instrument, key: str, mode: Mode) -> bytes:
        """The state that a tick is, in a mode. ``key`` is the instrument's."""
        known = self._written.get((key, mode))
        if known is not None and known[0] is tick:
            return known[1]
        feed = self._write(tick, instrument, key, mode)
        self._written[key, mode] = (tick, feed)
        return feed

    def _write(self, tick: Tick, instrument: Instrument, key: str, mode: Mode) -> bytes:
        last = _last(tick, self._previous_close(key))
        index = instrument.kind is InstrumentKind.INDEX
        if mode is Mode.LTPC or (index and mode is Mode.OPTION_GREEKS):
            return ltpc_feed(last)
        if index:
            return index_feed(last, _candles(tick, last))
        greeks = _GREEKS if instrument.kind in _OPTIONS else ()
        totals = _totals(tick, _VOLATILITY if greeks else 0.0)
        if mode is Mode.OPTION_GREEKS:
            return greeks_feed(last, totals, _book(last.price, instrument, 1)[0], greeks)
        return full_feed_around(
            last, totals, self._surroundings(tick, last, instrument, key, mode), mode
        )

    def _surroundings(
        self, tick: Tick, last: Last, instrument: Instrument, key: str, mode: Mode
    ) -> bytes:
        """Book, greeks and candles: those from before, until the price has gone a step."""
        written_at, made_up = self._around.get((key, mode), (-inf, b""))
        if abs(last.price - written_at) >= _STEP * (instrument.tick_size or _TICK):
            book = _book(last.price, instrument, _LEVELS[mode])
            greeks = _GREEKS if instrument.kind in _OPTIONS else ()
            made_up = surroundings(book, greeks, _candles(tick, last))
            self._around[key, mode] = (last.price, made_up)
        return made_up


def _last(tick: Tick, close: float) -> Last:
    """A tick without a price has the previous close only."""
    if tick.last_price is None:
        return Last(0.0, 0, 0, close)
    return Last(tick.last_price, tick.timestamp_ms, tick.last_size, close)


def _totals(tick: Tick, volatility: float) -> Totals:
    return Totals(
        tick.day_volume or 0,
        float(tick.open_interest or 0),
        tick.last_price or 0.0,
        volatility,
        1_250_000.0,
        1_340_000.0,
    )


def _book(price: float, instrument: Instrument, levels: int) -> Sequence[Level]:
    """Levels a tick apart around a price, the best first."""
    step, lot = instrument.tick_size or _TICK, instrument.lot_size
    return [
        Level(
            lot * (3 * level + 2),
            max(round(price - step * level, 4), 0.0),
            lot * (2 * level + 3),
            round(price + step * (level + 1), 4),
        )
        for level in range(levels)
    ]


def _candles(tick: Tick, last: Last) -> Sequence[Candle]:
    """The day's and the minute's: as if every price had been this one or yesterday's."""
    close = last.close or last.price
    low, high = min(close, last.price), max(close, last.price)
    volume = tick.day_volume or 0
    day_ms = (tick.timestamp_ms + _INDIA_MS) // _DAY_MS * _DAY_MS - _INDIA_MS
    minute_ms = tick.timestamp_ms // _MINUTE_MS * _MINUTE_MS
    return (
        Candle("1d", close, high, low, last.price, volume, day_ms),
        Candle("I1", last.price, last.price, last.price, last.price, tick.last_size, minute_ms),
    )
