"""Topics of one connection: the last values of an instrument or index, and updates into ticks.

These are the hot path: of a record's vector only what makes a tick is unpacked, and a topic
holds only that.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from tapewire.market.instruments import Instrument
from tapewire.market.ticks import NO_PRICE
from tapewire.model.events import TICK_INDEX, Tick
from tapewire.providers.fyers.wire import (
    ABSENT,
    INDEX_FIELDS,
    INDEX_UPDATE,
    SYMBOL_FIELDS,
    SYMBOL_UPDATE,
    UNSIGNED_ABSENT,
    Field,
)

BROKER: Final = "fyers"

UNCHANGED: Final = "unchanged"
"""Count of updates that hold nothing of a tick: a best price or size, another day's range."""

_unpack_symbol = SYMBOL_UPDATE.unpack_from
_unpack_index = INDEX_UPDATE.unpack_from


class Topic:
    """What a connection knows of a topic id, with the last value of what makes a tick.

    ``name`` is what was subscribed to (``sf|nse_cm|2885``). A price is its integer divided by
    ``scale``.
    """

    __slots__ = (
        "counts",
        "exchange",
        "faults",
        "name",
        "price",
        "scale",
        "symbol",
        "time_ms",
        "token",
    )

    fields: ClassVar[Sequence[Field]]
    record_bytes: ClassVar[int]
    flags: ClassVar[int]

    def __init__(
        self,
        name: str,
        instrument: Instrument,
        scale: int,
        counts: Counter[str],
        faults: Counter[str],
    ) -> None:
        self.name = name
        self.exchange = instrument.exchange
        self.token = instrument.token
        self.symbol = instrument.symbol
        self.scale = scale
        self.counts = counts
        self.faults = faults
        self.price: float | None = None
        self.time_ms = 0

    def take(self, frame: bytes, at: int, received_ns: int) -> Tick | None:
        """The tick of the update record at ``at``; None, counted, when it makes none.

        Raises ``struct.error`` when the frame ends within the record.
        """
        raise NotImplementedError

    def lite(self, raw_price: int, received_ns: int) -> Tick | None:
        """The tick of a lite record: a price alone, at the time of its receipt."""
        if raw_price == ABSENT:
            return self._nothing()
        self.price = price = raw_price / self.scale
        time_ms = received_ns // 1_000_000
        named = (BROKER, self.exchange, self.token, self.symbol)
        return Tick(*named, price, 0, None, None, time_ms, received_ns, self.flags)

    def _nothing(self) -> Tick | None:
        """Count a record that makes no tick, and make none."""
        if self.price is None:
            self.faults[NO_PRICE] += 1
        else:
            self.counts[UNCHANGED] += 1
        return None


class SymbolTopic(Topic):
    """An instrument's topic (``sf``)."""

    __slots__ = ("interest", "size", "volume")

    fields = SYMBOL_FIELDS
    record_bytes = SYMBOL_UPDATE.size
    flags = 0

    def __init__(
        self,
        name: str,
        instrument: Instrument,
        scale: int,
        counts: Counter[str],
        faults: Counter[str],
    ) -> None:
        super().__init__(name, instrument, scale, counts, faults)
        self.size = 0
        self.volume: int | None = None
        self.interest: int | None = None

    def take(self, frame: bytes, at: int, received_ns: int) -> Tick | None:
        """As of a topic; what the record leaves out is what the topic holds."""
        raw, volume, time_s, size, interest = _unpack_symbol(frame, at)
        price = self.price
        if raw != ABSENT:
            self.price = price = raw / self.scale
        elif volume == UNSIGNED_ABSENT and time_s == size == interest == ABSENT:
            return self._nothing()
        if volume != UNSIGNED_ABSENT:
            self.volume = volume
        else:
            volume = self.volume
        if time_s != ABSENT:
            self.time_ms = time_ms = time_s * 1000
        else:
            time_ms = self.time_ms
        if size != ABSENT:
            self.size = size
        else:
            size = self.size
        if interest != ABSENT:
            self.interest = interest
        else:
            interest = self.interest
        if price is None:
            return self._nothing()
        return Tick(
            BROKER,
            self.exchange,
            self.token,
            self.symbol,
            price,
            size,
            volume,
            interest,
            time_ms,
            received_ns,
        )


class IndexTopic(Topic):
    """An index's topic (``if``): it has neither volume nor trades."""

    __slots__ = ()

    fields = INDEX_FIELDS
    record_bytes = INDEX_UPDATE.size
    flags = TICK_INDEX

    def take(self, frame: bytes, at: int, received_ns: int) -> Tick | None:
        """As of a topic; the time is that of the exchange's feed."""
        raw, time_s = _unpack_index(frame, at)
        if raw != ABSENT:
            self.price = raw / self.scale
        elif time_s == ABSENT:
            return self._nothing()
        if time_s != ABSENT:
            self.time_ms = time_s * 1000
        if self.price is None:
            return self._nothing()
        named = (BROKER, self.exchange, self.token, self.symbol)
        return Tick(*named, self.price, 0, None, None, self.time_ms, received_ns, self.flags)


KINDS: Final[Mapping[str, type[Topic]]] = {"sf": SymbolTopic, "if": IndexTopic}
"""By the first part of a topic's name."""
