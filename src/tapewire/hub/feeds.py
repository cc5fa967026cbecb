"""Feed names into what they name. What is not in the feed table has no name here.

No part of a client's text ever becomes a key in Redis unless it passed one of the patterns
below.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from msgspec import Struct

from tapewire.market.symbols import is_valid_symbol, market_of_symbol
from tapewire.model.candle_names import INTERVALS
from tapewire.model.feeds import BOARDS, METRICS, OWN_FEEDS, WINDOWS_S, Feed, Kind, all_feeds
from tapewire.model.markets import BY_NAME, Market, market_of
from tapewire.model.streams import Stream

ANY: Final = "*"
RANKED: Final = frozenset({"top_trades", "largest_prints"})
"""Families of which each shard keeps whole lists."""


class UnknownFeedError(ValueError):
    """No such feed; the message lists those that there are."""


class Target(Struct, frozen=True):
    """What a feed name names. ``symbol`` and ``interval`` may be ``*``, or empty.

    ``window`` and ``metric`` are those of top trades, ``stream`` that of raw events, else empty.
    """

    name: str
    feed: Feed
    symbol: str = ""
    interval: str = ""
    window: str = ""
    metric: str = ""
    stream: str = ""

    @property
    def is_wildcard(self) -> bool:
        """Whether it is a pattern: rows of many symbols or intervals."""
        return ANY in (self.symbol, self.interval)

    @property
    def is_single(self) -> bool:
        """Whether it has at most one row: the record of a symbol."""
        feed = self.feed
        has_one = feed.kind is Kind.STATE and feed.key == "symbol" and bool(self.symbol)
        return has_one and not self.is_wildcard

    @property
    def market(self) -> Market | None:
        """The market of its rows; None where they may be of several."""
        if self.is_ranked:
            return BY_NAME[self.feed.market]
        if self.stream:
            return market_of(Stream(self.stream))
        named = self.symbol not in ("", ANY)
        return market_of_symbol(self.symbol) if named else None

    @property
    def is_event(self) -> bool:
        """Whether it has items in order instead of rows."""
        return self.feed.kind is Kind.EVENT

    @property
    def is_ranked(self) -> bool:
        """Whether its rows are one list, by rank."""
        return self.feed.kind is Kind.BOARD or self.feed.family in RANKED


def _part(found: re.Match[str]) -> str:
    return f"(?P<{found[1]}>.+?)"


@cache
def _patterns(feeds: tuple[Feed, ...]) -> tuple[tuple[re.Pattern[str], Feed], ...]:
    """Compiled once for every set of feeds: plug-ins may declare more."""
    escaped = ((re.escape(feed.pattern), feed) for feed in feeds if _is_served(feed))
    return tuple((re.compile(_PLACE.sub(_part, text)), feed) for text, feed in escaped)


def _is_served(feed: Feed) -> bool:
    """Whether the hub knows what its rows are: the table says so, or a table of its own does."""
    if feed.kind is Kind.BOARD:
        return feed.family in BOARDS
    return feed.row is not None or feed.family in _OWN_TABLES


def parse_feed(name: str) -> Target:
    """Read ``candles:1m:AAPL``; UnknownFeedError for what is not in the feed table."""
    patterns = _patterns((*all_feeds(), *OWN_FEEDS))
    for pattern, feed in patterns:
        found = pattern.fullmatch(name)
        if found and _are_known(parts := found.groupdict()):
            return Target(name, feed, **parts)
    known = ", ".join(feed.pattern for _, feed in patterns)
    raise UnknownFeedError(f"{name[:80]!r} is not a feed; expected one of {known}")


def _are_known(parts: dict[str, str]) -> bool:
    return all(part in _KNOWN and _KNOWN[part](text) for part, text in parts.items())


_STREAMS: Final = frozenset(stream.value for stream in Stream)

_OWN_TABLES: Final = frozenset({"quote", "candles", "status", *RANKED})

_PLACE: Final = re.compile(r"\\\{(\w+)\\\}")
"""A place in an escaped pattern: ``\\{symbol\\}``."""

_KNOWN: Final[Mapping[str, Callable[[str], bool]]] = {
    "symbol": is_valid_symbol,
    "interval": lambda text: text == ANY or text in INTERVALS,
    "window": lambda text: text in WINDOWS_S,
    "metric": lambda text: text in METRICS,
    "stream": lambda text: text in _STREAMS,
}
"""What may stand in each place; a feed with another place cannot be asked for."""
