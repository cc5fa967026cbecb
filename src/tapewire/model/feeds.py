"""The feed table: every feed's name, kind, key, storage family, TTL and audience.

Key and TTL classes elsewhere are views of this table; a feed that is not here, and that no
plug-in has declared, cannot be read by anyone.
"""

from enum import StrEnum

from msgspec import Struct

from tapewire.model.markets import INDIA, US, Market
from tapewire.model.rows import (
    DailyRange,
    HaltEvent,
    HaltState,
    RangeAlert,
    RawEvent,
    Sale,
)

DAY_S = 86_400

MAX_ITEMS = 10_000
"""Items that an event feed keeps where its line in the table says nothing."""


class Kind(StrEnum):
    """How a feed behaves for a reader."""

    STATE = "state"  # rows by key, conflated
    BOARD = "board"  # a state feed whose order is a score
    EVENT = "event"  # items in order


class Feed(Struct, frozen=True):
    """One feed. ``family`` is the first part of its hash or sorted set's name in WDC.

    ``row`` is what its rows or items are, where every reader may treat them alike: a state
    feed's rows then lie in hashes ``<family>:<date>`` with ``key`` as field; an event feed's
    items in a list of the feed's own name, each with a time (``timestamp_ms``) to order by.
    ``max_items``: how many of an event feed's items are kept, the newest. ``market``: of boards
    and rankings, whose shards they are merged from.
    """

    pattern: str
    kind: Kind
    key: str
    family: str
    ttl_s: int
    readers: str = "viewer"
    row: type[Struct] | None = None
    max_items: int = MAX_ITEMS
    market: str = US.name


def _of_india(pattern: str, kind: Kind, family: str) -> Feed:
    return Feed(pattern, kind, "symbol", family, 4 * DAY_S, market=INDIA.name)


FEEDS: tuple[Feed, ...] = (
    Feed("scanners:top_gainers", Kind.BOARD, "symbol", "top_gainers", 4 * DAY_S),
    Feed("scanners:top_gappers", Kind.BOARD, "symbol", "top_gappers", 4 * DAY_S),
    Feed("scanners:top_volume", Kind.BOARD, "symbol", "top_volume", 4 * DAY_S),
    _of_india("scanners:in:top_gainers", Kind.BOARD, "top_gainers"),
    _of_india("scanners:in:top_gappers", Kind.BOARD, "top_gappers"),
    _of_india("scanners:in:top_volume", Kind.BOARD, "top_volume"),
    Feed("quote:{symbol}", Kind.STATE, "symbol", "quote", 4 * DAY_S),
    Feed("candles:{interval}:{symbol}", Kind.STATE, "start_ms", "candles", 4 * DAY_S),
    Feed("daily_range:{symbol}", Kind.STATE, "symbol", "daily_range", 4 * DAY_S, row=DailyRange),
    Feed(
        "daily_range_hod_alert",
        *(Kind.EVENT, "symbol", "daily_range_hod_alert", 4 * DAY_S),
        row=RangeAlert,
    ),
    Feed(
        "daily_range_lod_alert",
        *(Kind.EVENT, "symbol", "daily_range_lod_alert", 4 * DAY_S),
        row=RangeAlert,
    ),
    Feed("halt_state:{symbol}", Kind.STATE, "symbol", "halt_state", 4 * DAY_S, row=HaltState),
    Feed("halts", Kind.EVENT, "symbol", "halts", 4 * DAY_S, row=HaltEvent),
    Feed("raw:{stream}", Kind.EVENT, "symbol", "raw", 4 * DAY_S, row=RawEvent),
    Feed("top_trades:{window}:{metric}", Kind.STATE, "symbol", "top_trades", 4 * DAY_S),
    _of_india("top_trades:in:{window}:{metric}", Kind.STATE, "top_trades"),
    Feed("largest_prints", Kind.STATE, "rank", "largest_prints", 4 * DAY_S),
    Feed(
        "trades:{symbol}",
        *(Kind.EVENT, "symbol", "trades", 4 * DAY_S),
        row=Sale,
        max_items=1_000,
    ),
)

OWN_FEEDS: tuple[Feed, ...] = (Feed("system:status", Kind.STATE, "id", "status", 0),)
"""Feeds that the widget service makes itself; nothing of them is stored in WDC."""

PRIVATE_TTL_S = 4 * DAY_S
"""Private state lives as long as the rows that it continues."""

WINDOWS_TTL_S = 7_200
"""Except windows, which can change for a quarter of an hour."""

CURVES_TTL_S = 45 * DAY_S
"""And volume curves: 20 sessions are looked for in so many days."""

_PRIVATE_TTLS_S = {
    "windows": WINDOWS_TTL_S,
    "volume_curves": CURVES_TTL_S,
}
_BY_FAMILY = {feed.family: feed for feed in FEEDS}
_TAKEN = {feed.family: feed for feed in (*OWN_FEEDS, *FEEDS)}
_DECLARED: dict[str, Feed] = {}


class FeedTakenError(ValueError):
    """Somebody else has a feed of this family."""


def declare(*feeds: Feed) -> None:
    """Add a plug-in's feeds to those that this process knows; again is nothing new.

    Raises FeedTakenError for a family that another feed has.
    """
    for feed in feeds:
        known = _TAKEN.get(feed.family) or _DECLARED.get(feed.family)
        if known is not None and known != feed:
            raise FeedTakenError(
                f"feed {feed.pattern!r}: the family {feed.family!r} is that of"
                f" {known.pattern!r}; give it another"
            )
        if known is None:
            _DECLARED[feed.family] = feed


def all_feeds() -> tuple[Feed, ...]:
    """The table and what plug-ins have declared."""
    return (*FEEDS, *_DECLARED.values())


def ttl_s(name: str) -> int:
    """TTL in seconds of a hash or sorted set, from its name without the shard's tag."""
    family, _, rest = name.partition(":")
    if family == "private":
        return _PRIVATE_TTLS_S.get(rest.partition(":")[0], PRIVATE_TTL_S)
    feed = _BY_FAMILY.get(family) or _DECLARED.get(family)
    return feed.ttl_s if feed else PRIVATE_TTL_S


def max_items(name: str) -> int:
    """How many items of an event feed are kept, from its name."""
    family = name.partition(":")[0]
    feed = _BY_FAMILY.get(family) or _DECLARED.get(family)
    return feed.max_items if feed else MAX_ITEMS


def best_quote_hash(date: str) -> str:
    """Hash of the best bids and offers of a shard's symbols on a trading date; field = symbol."""
    return f"best_quote:{date}"


def quote_hash(date: str) -> str:
    """Hash of all quote records of a shard on a trading date; field = symbol."""
    return f"quote:{date}"


def board_set(board: str, date: str) -> str:
    """Sorted set of one board of a shard on a trading date; member = symbol."""
    return f"{board}:{date}"


def range_hash(date: str) -> str:
    """Hash of a shard's daily ranges on a trading date; field = symbol."""
    return f"daily_range:{date}"


def halt_hash(date: str) -> str:
    """Hash of a shard's halt states on a trading date; field = symbol."""
    return f"halt_state:{date}"


def top_trades_hash(date: str) -> str:
    """Hash of a shard's rankings of top trades; field = ``{window}:{metric}``, see AS_OF."""
    return f"top_trades:{date}"


def prints_hash(date: str) -> str:
    """Hash with one field, ``prints``: a shard's largest single trades of a trading date."""
    return f"largest_prints:{date}"


def board_feed(board: str, market: Market = US) -> str:
    """``scanners:top_volume`` and ``scanners:in:top_volume``."""
    return f"scanners:{_market_part(market)}{board}"


def top_trades_feed(window: str, metric: str, market: Market = US) -> str:
    """``top_trades:5m:value`` and ``top_trades:in:5m:value``."""
    return f"top_trades:{_market_part(market)}{window}:{metric}"


def _market_part(market: Market) -> str:
    return "" if market == US else f"{market.name}:"


def tape_feed(symbol: str) -> str:
    """The event feed of one symbol's time and sales."""
    return f"trades:{symbol}"


BOARDS = ("top_gainers", "top_gappers", "top_volume")
BOARD_SIZE = 500

WINDOWS_S = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": DAY_S}
"""Windows of top trades in whole seconds of event time."""

METRICS = ("trades", "volume", "value", "acceleration")
"""What top trades are ranked by; each is a field of ``TopTrade``."""

TOP_TRADES = 50
LARGEST_PRINTS = 100
AS_OF = "as_of"
"""Field beside the rankings: the end of their windows, ms UTC, as packed int."""
