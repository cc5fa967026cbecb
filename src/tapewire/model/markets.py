"""The markets that one system may carry at once, and what keeps them apart.

Each stream belongs to one market. Symbols of different markets never meet, but trading dates,
currencies and hours differ: so boards, rankings and states are of one market each.
"""

from functools import lru_cache
from typing import Final

from msgspec import Struct

from tapewire.model.streams import Shard, Stream


class Market(Struct, frozen=True):
    """One market.

    ``name`` is written in feeds (``scanners:in:top_volume``; that of the US market in none),
    ``exchange`` in candles; ``calendar`` names the trading days; ``clock`` says in words whose
    time people there go by.
    """

    name: str
    exchange: str
    calendar: str
    clock: str


US: Final = Market("us", "US", "XNYS", "New York")
INDIA: Final = Market("in", "IN", "XNSE", "India")

MARKETS: Final = (US, INDIA)
BY_NAME: Final = {market.name: market for market in MARKETS}

_INDIA_AHEAD_MS: Final = 330 * 60_000
"""India Standard Time is UTC+05:30 all year."""


def market_of(stream: Stream) -> Market:
    """The market whose events a stream carries: broker ticks are India's."""
    return INDIA if stream is Stream.TICKS else US


@lru_cache(maxsize=1024)
def market_of_shard(name: str) -> Market:
    """The market of ``ticks.0``; that of a name that is none of ours is the US one."""
    try:
        return market_of(Shard.parse(name).stream)
    except ValueError:
        return US


def minute_int(timestamp_ms: int) -> int:
    """India's wall clock as hour x 10000 + minute x 100: 91500 is 09:15 (``components.md`` 6)."""
    hours, minutes = divmod((timestamp_ms + _INDIA_AHEAD_MS) // 60_000 % (24 * 60), 60)
    return hours * 10_000 + minutes * 100
