"""The feed table: every feed's name, kind, key, storage family, TTL and audience.

Key and TTL classes elsewhere are views of this table; a feed that is not here cannot be
read by anyone.
"""

from enum import StrEnum

from msgspec import Struct

DAY_S = 86_400


class Kind(StrEnum):
    """How a feed behaves for a reader."""

    STATE = "state"  # rows by key, conflated
    BOARD = "board"  # a state feed whose order is a score
    EVENT = "event"  # items in order


class Feed(Struct, frozen=True):
    """One feed. ``family`` is the first part of its hash or sorted set's name in WDC."""

    pattern: str
    kind: Kind
    key: str
    family: str
    ttl_s: int
    readers: str = "viewer"


FEEDS: tuple[Feed, ...] = (
    Feed("scanners:top_gainers", Kind.BOARD, "symbol", "top_gainers", 4 * DAY_S),
    Feed("scanners:top_gappers", Kind.BOARD, "symbol", "top_gappers", 4 * DAY_S),
    Feed("scanners:top_volume", Kind.BOARD, "symbol", "top_volume", 4 * DAY_S),
    Feed("quote:{symbol}", Kind.STATE, "symbol", "quote", 4 * DAY_S),
    Feed("candles:{interval}:{symbol}", Kind.STATE, "start_ms", "candles", 4 * DAY_S),
)

OWN_FEEDS: tuple[Feed, ...] = (Feed("system:status", Kind.STATE, "id", "status", 0),)
"""Feeds that the widget service makes itself; nothing of them is stored in WDC."""

PRIVATE_TTL_S = 4 * DAY_S
"""Private state lives as long as the rows that it continues."""

MINUTES_TTL_S = 7_200
"""Except the exact sums of minutes, which can change for a quarter of an hour."""

_BY_FAMILY = {feed.family: feed for feed in FEEDS}


def ttl_s(name: str) -> int:
    """TTL in seconds of a hash or sorted set, from its name without the shard's tag."""
    if name.startswith("private:minutes:"):
        return MINUTES_TTL_S
    feed = _BY_FAMILY.get(name.partition(":")[0])
    return feed.ttl_s if feed else PRIVATE_TTL_S


def quote_hash(date: str) -> str:
    """Hash of all quote records of a shard on a trading date; field = symbol."""
    return f"quote:{date}"


def candle_hash(exchange: str, symbol: str, interval: str, date: str) -> str:
    """Hash of one symbol's candles of one interval on a trading date; field = start_ms."""
    return f"candles:{exchange}:{symbol}:{interval}:{date}"


def board_set(board: str, date: str) -> str:
    """Sorted set of one board of a shard on a trading date; member = symbol."""
    return f"{board}:{date}"


BOARDS = ("top_gainers", "top_gappers", "top_volume")
BOARD_SIZE = 500
