"""One topic of a simulated Fyers connection: ticks into its records."""

import struct
from typing import Final

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.providers.fyers.wire import (
    ABSENT,
    INDEX_FIELDS,
    SYMBOL_FIELDS,
    UPDATE,
    SnapshotRecord,
)
from tapewire.simulators.fyers_frames import encode_lite, encode_snapshot

MIN_PRECISION: Final = 2
MAX_PRECISION: Final = 6

State = tuple[int, int, int, int, int]
"""Raw price, day's volume, seconds, last size and open interest; ``ABSENT`` for what is not."""

NOTHING: Final[State] = (ABSENT,) * 5

_GAP: Final = struct.pack(">i", ABSENT)
_symbol = struct.Struct(">BHB4i16si12si32s").pack
_index = struct.Struct(">BHBi4si12s").pack


class TopicWriter:
    """Writes the records of a topic, with only what has changed since the last one.

    A tick that changes nothing is written whole: a broker that repeats itself.
    """

    def __init__(self, topic_id: int, name: str, instrument: Instrument, channel: int) -> None:
        self.key = instrument.key
        self.channel = channel
        self._topic_id = topic_id
        self._name = name
        self._instrument = instrument
        self._precision = precision_of(instrument.tick_size)
        self._scale: int = 10**self._precision
        self._pack = _index_update if name.startswith("if|") else _symbol_update
        self._held = NOTHING

    def snapshot(self, last: Tick | None, previous_close: float) -> bytes:
        """The whole state: of an instrument without a tick the previous close alone."""
        self._held = NOTHING if last is None else self._state(last)
        close = round(previous_close * self._scale) if previous_close else ABSENT
        values = _index_vector if self._pack is _index_update else _symbol_vector
        one = self._instrument
        said = (one.exchange.partition("_")[0], one.token, one.symbol)
        vector = values(self._held, close)
        return encode_snapshot(
            SnapshotRecord(self._topic_id, self._name, vector, 1, self._precision, *said)
        )

    def update(self, tick: Tick) -> bytes:
        """What a tick has changed."""
        held, new = self._held, self._state(tick)
        if ABSENT in new:
            new = _merged(held, new)
        self._held = new
        if new == held:
            return self._pack(self._topic_id, new)
        price, volume, time_s, size, interest = new
        changed = (
            price if price != held[0] else ABSENT,
            volume if volume != held[1] else ABSENT,
            time_s if time_s != held[2] else ABSENT,
            size if size != held[3] else ABSENT,
            interest if interest != held[4] else ABSENT,
        )
        return self._pack(self._topic_id, changed)

    def lite(self, tick: Tick) -> bytes:
        """The price of a tick."""
        return encode_lite(self._topic_id, self._state(tick)[0])

    def _state(self, tick: Tick) -> State:
        price = tick.last_price
        return (
            ABSENT if price is None else round(price * self._scale),
            _signed(tick.day_volume),
            tick.timestamp_ms // 1000,
            tick.last_size,
            _signed(tick.open_interest),
        )


def precision_of(tick_size: float) -> int:
    """Decimals in which prices are sent: two, or as many as the tick size has."""
    for precision in range(MIN_PRECISION, MAX_PRECISION):
        if abs(tick_size * 10**precision - round(tick_size * 10**precision)) < 1e-9:
            return precision
    return MAX_PRECISION


def _merged(held: State, new: State) -> State:
    """A state with what the tick before said of what this one leaves out."""
    price, volume, time_s, size, interest = (
        before if now == ABSENT else now for before, now in zip(held, new, strict=True)
    )
    return price, volume, time_s, size, interest


def _symbol_vector(state: State, close: int) -> list[int]:
    """The whole vector of an instrument; the trade's time is the feed's too."""
    price, volume, time_s, size, interest = state
    said = {
        "last_price": price,
        "day_volume": volume,
        "last_trade_time_s": time_s,
        "feed_time_s": time_s,
        "last_size": size,
        "open_interest": interest,
        "previous_close": close,
    }
    return [said.get(field.name, ABSENT) for field in SYMBOL_FIELDS]


def _index_vector(state: State, close: int) -> list[int]:
    """The whole vector of an index."""
    said = {"last_price": state[0], "feed_time_s": state[2], "previous_close": close}
    return [said.get(field.name, ABSENT) for field in INDEX_FIELDS]


def _symbol_update(topic_id: int, state: State) -> bytes:
    """The update record of `_symbol_vector`, without a previous close."""
    price, volume, time_s, size, interest = state
    return _symbol(
        UPDATE,
        topic_id,
        len(SYMBOL_FIELDS),
        price,
        volume,
        time_s,
        time_s,
        _GAP * 4,
        size,
        _GAP * 3,
        interest,
        _GAP * 8,
    )


def _index_update(topic_id: int, state: State) -> bytes:
    """The update record of `_index_vector`, without a previous close."""
    return _index(UPDATE, topic_id, len(INDEX_FIELDS), state[0], _GAP, state[2], _GAP * 3)


def _signed(count: int | None) -> int:
    """A count as the wire has it: unsigned values past 2**31 are negative."""
    if count is None:
        return ABSENT
    return count if count < 2**31 else count - 2**32
