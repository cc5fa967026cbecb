"""The events that analyzers fold.

Field names are the long, standard ones; a provider's short wire names are a decoding
detail (each provider's ``protocol.py`` subclasses these with ``rename``). Times are
milliseconds UTC, prices in the instrument's currency, sizes in shares.

``Clock`` and ``Gap`` are made by the processor and put into the same list, so that
an analyzer has a single entrance for data, time and loss.
"""

from typing import Final

from msgspec import Struct

TICK_SNAPSHOT: Final = 1
"""``Tick.flags``: a state sent on subscription; a baseline, never a trade."""
TICK_INDEX: Final = 2
"""``Tick.flags``: the value of an index; nothing is traded in it."""
TICK_TRADE: Final = 4
"""``Tick.flags``: the broker says that this update was caused by a trade."""
TICK_IN_ORDER: Final = 8
"""``Tick.flags``: the listener's own mark: new, and neither older nor with less volume than what
it had of the instrument, so that candles could do without it where others of its second stay."""


class Trade(Struct, gc=False):
    """One execution. ``conditions`` is empty for a regular trade.

    ``size`` is shares (a float only when the provider sends a fraction);
    ``sequence`` increases per symbol within a day, 0 where the provider has none.
    """

    symbol: str
    price: float
    size: int | float
    timestamp_ms: int | float
    conditions: tuple[int, ...] = ()
    sequence: int | float = 0
    exchange: int | float = 0


class Quote(Struct, gc=False):
    """A national best bid and offer; a missing side is 0. Sizes as the provider sends them."""

    symbol: str
    timestamp_ms: int | float
    bid: float = 0.0
    bid_size: int | float = 0
    ask: float = 0.0
    ask_size: int | float = 0
    bid_exchange: int | float = 0
    ask_exchange: int | float = 0
    condition: int | float = 0
    sequence: int | float = 0


class Aggregate(Struct, gc=False):
    """A bar as the provider computes it: one second (``A``) or one minute (``AM``).

    An idempotent upsert keyed by (symbol, start_timestamp, length): a corrected bar
    is sent again whole.
    """

    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: int | float
    start_timestamp: int | float
    end_timestamp: int | float
    accumulated_volume: int | float = 0
    official_open_price: float | None = None
    vwap: float | None = None
    aggregate_vwap: float | None = None
    average_size: int | float | None = None


class Luld(Struct, gc=False):
    """Limit-up limit-down band or state; indicators 17 and 18 are halt and reopening."""

    symbol: str
    high: float
    low: float
    timestamp_ms: int | float
    indicators: tuple[int, ...] = ()
    tape: int | float = 0
    sequence: int | float = 0


class Tick(Struct, gc=False):
    """A broker's last state of one instrument (``components.md`` 10).

    ``exchange`` is the exchange and segment (``NSE_EQ``, ``NSE_FO``) and ``token`` the
    exchange's number of the instrument in it: the two name it with every broker, and
    neither does alone. ``last_price`` is None when the update has none (a previous close
    or a depth change only). ``last_size`` and ``day_volume`` are shares or contracts, the
    latter cumulative over the trading day and None in modes that do not send it, as is
    ``open_interest``. ``timestamp_ms`` is the time of the last trade, UTC; ``received_ns``
    is the receiver's clock, nanoseconds since 1970. ``flags`` is a sum of ``TICK_*``.
    """

    broker: str
    exchange: str
    token: str
    symbol: str
    last_price: float | None
    last_size: int
    day_volume: int | None
    open_interest: int | None
    timestamp_ms: int
    received_ns: int
    flags: int = 0


class Clock(Struct, frozen=True):
    """Event time has reached ``timestamp_ms`` though no event said so.

    ``final`` ends a replay: every candle is closed.
    """

    timestamp_ms: int
    final: bool = False


class Gap(Struct, frozen=True):
    """Events that were taken in upstream and never reached this shard.

    ``from_offset`` (inclusive) to ``to_offset`` (exclusive) count the producer's
    events; ``events`` is their number, None when an epoch changed and nobody knows.
    ``from_ms`` to ``to_ms`` is the event time in which they fell.
    """

    shard: str
    producer: str
    epoch: int
    from_offset: int
    to_offset: int
    events: int | None
    from_ms: int
    to_ms: int
    reason: str


Event = Trade | Quote | Aggregate | Luld | Tick | Clock | Gap
