"""One topic of a simulated Fyers connection: ticks into its records."""

from collections.abc import Mapping
from typing import Final

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.providers.fyers.wire import ABSENT, INDEX_FIELDS, SYMBOL_FIELDS, SnapshotRecord
from tapewire.simulators.fyers_frames import encode_lite, encode_snapshot, encode_update

MIN_PRECISION: Final = 2
MAX_PRECISION: Final = 6

_SYMBOL: Final[Mapping[str, int]] = {field.name: at for at, field in enumerate(SYMBOL_FIELDS)}
_INDEX: Final[Mapping[str, int]] = {field.name: at for at, field in enumerate(INDEX_FIELDS)}


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
        self._places = _INDEX if name.startswith("if|") else _SYMBOL
        self._held: list[int] = [ABSENT] * len(self._places)

    def snapshot(self, last: Tick | None, previous_close: float) -> bytes:
        """The whole state: of an instrument without a tick the previous close alone."""
        self._held = [ABSENT] * len(self._places)
        if last is not None:
            self._held = self._vector(last)
        if previous_close:
            self._held[self._places["previous_close"]] = self._raw(previous_close)
        one = self._instrument
        said = (one.exchange.partition("_")[0], one.token, one.symbol)
        record = SnapshotRecord(self._topic_id, self._name, self._held, 1, self._precision, *said)
        return encode_snapshot(record)

    def update(self, tick: Tick) -> bytes:
        """What a tick has changed."""
        held, vector = self._held, self._vector(tick)
        changed = [new if new != old else ABSENT for new, old in zip(vector, held, strict=True)]
        self._held = [old if new == ABSENT else new for new, old in zip(vector, held, strict=True)]
        is_repeated = all(value == ABSENT for value in changed)
        return encode_update(self._topic_id, vector if is_repeated else changed)

    def lite(self, tick: Tick) -> bytes:
        """The price of a tick."""
        return encode_lite(self._topic_id, self._price(tick))

    def _vector(self, tick: Tick) -> list[int]:
        vector = [ABSENT] * len(self._places)
        for name, value in (
            ("last_price", self._price(tick)),
            ("feed_time_s", tick.timestamp_ms // 1000),
            ("last_trade_time_s", tick.timestamp_ms // 1000),
            ("last_size", tick.last_size),
            ("day_volume", _signed(tick.day_volume)),
            ("open_interest", _signed(tick.open_interest)),
        ):
            if name in self._places:
                vector[self._places[name]] = value
        return vector

    def _price(self, tick: Tick) -> int:
        return ABSENT if tick.last_price is None else self._raw(tick.last_price)

    def _raw(self, price: float) -> int:
        return round(price * self._scale)


def precision_of(tick_size: float) -> int:
    """Decimals in which prices are sent: two, or as many as the tick size has."""
    for precision in range(MIN_PRECISION, MAX_PRECISION):
        if abs(tick_size * 10**precision - round(tick_size * 10**precision)) < 1e-9:
            return precision
    return MAX_PRECISION


def _signed(count: int | None) -> int:
    """A count as the wire has it: unsigned values past 2**31 are negative."""
    if count is None:
        return ABSENT
    return count - 2**32 if count >= 2**31 else count
