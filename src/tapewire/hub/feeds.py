"""Feed names into what they name. What is not in the feed table has no name here.

No part of a client's text ever becomes a key in Redis unless it passed one of the patterns
below.
"""

import re
from typing import Final

from msgspec import Struct

from tapewire.market.symbols import is_valid_symbol
from tapewire.model.feeds import BOARDS, FEEDS, OWN_FEEDS, Feed

ANY: Final = "*"
INTERVALS: Final = ("1m",)
"""Candle intervals that are published; ``*`` stands for all of them."""


class UnknownFeedError(ValueError):
    """No such feed; the message lists those that there are."""


class Target(Struct, frozen=True):
    """What a feed name names. ``symbol`` and ``interval`` may be ``*``, or empty."""

    name: str
    feed: Feed
    symbol: str = ""
    interval: str = ""

    @property
    def is_wildcard(self) -> bool:
        """Whether it is a pattern: rows of many symbols, keyed by symbol."""
        return self.symbol == ANY

    @property
    def is_single(self) -> bool:
        """Whether it has at most one row: the quote record of a symbol."""
        return self.feed.family == "quote" and not self.is_wildcard


def _compile(feed: Feed) -> tuple[re.Pattern[str], Feed]:
    pattern = re.escape(feed.pattern)
    for name in ("symbol", "interval"):
        pattern = pattern.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>.+?)")
    return re.compile(pattern), feed


SERVED: Final = frozenset({"quote", "candles", *BOARDS})
"""Families of stored feeds that the hub has tables for."""

_PATTERNS: Final = tuple(
    _compile(feed) for feed in (*FEEDS, *OWN_FEEDS) if feed.family in SERVED or feed in OWN_FEEDS
)


def parse_feed(name: str) -> Target:
    """Read ``candles:1m:AAPL``; UnknownFeedError for what is not in the feed table."""
    for pattern, feed in _PATTERNS:
        found = pattern.fullmatch(name)
        if found and _are_known(parts := found.groupdict()):
            return Target(name, feed, **parts)
    known = ", ".join(feed.pattern for _, feed in _PATTERNS)
    raise UnknownFeedError(f"{name[:80]!r} is not a feed; expected one of {known}")


def _are_known(parts: dict[str, str]) -> bool:
    symbol, interval = parts.get("symbol", ANY), parts.get("interval", ANY)
    return is_valid_symbol(symbol) and (interval == ANY or interval in INTERVALS)
