"""Ticker symbols: which are well formed, which only test an exchange, which shard they are in.

Tickers are case-sensitive (``BCpC`` is a preferred share, ``ABCw`` a warrant) and are never
upper-cased (massive.md, section 1.7).
"""

from __future__ import annotations

import re
from typing import Final
from zlib import crc32

from tapewire.market.instruments import EXCHANGES
from tapewire.model.markets import INDIA, US, Market

MAX_SYMBOL_LENGTH: Final = 32
"""Characters; the longest tickers of the supported providers (options of NSE) stay below."""

_VISIBLE_ASCII: Final = re.compile(rf"[!-~]{{1,{MAX_SYMBOL_LENGTH}}}")

_TEST_TICKER: Final = re.compile(
    r"[ACMNPZ]TEST(\.[A-Z])?"  # NYSE group and Cboe: NTEST, NTEST.Q, ATEST.A, ZTEST
    r"|Z[A-Z]ZZT"  # Nasdaq: ZVZZT, ZWZZT, ZXZZT
    r"|ZVZZC|ZBZX|ZTST|ZEXIT|ZIEXT|ZXIET"  # Nasdaq, Cboe, IEX
)


_INDIAN: Final = frozenset(EXCHANGES)


def is_valid_symbol(symbol: str) -> bool:
    """Say whether a symbol is 1 to `MAX_SYMBOL_LENGTH` visible ASCII characters, no spaces."""
    return _VISIBLE_ASCII.fullmatch(symbol) is not None


def is_test_symbol(symbol: str) -> bool:
    """Say whether a ticker trades only to test an exchange's systems, so must be filtered.

    Whole tickers only, in their exact case: ``ZTSTF`` and ``TEST`` may be companies.
    """
    return _TEST_TICKER.fullmatch(symbol) is not None


def market_of_symbol(symbol: str) -> Market:
    """The market of ``AIG`` and ``O:SPY261218C00600000`` (US), and of ``NSE_FO:8765`` (India)."""
    return INDIA if symbol.partition(":")[0] in _INDIAN else US


def shard_of(symbol: str, shards: int) -> int:
    """Return the shard, 0 to ``shards - 1``, that a symbol's events belong to.

    ``crc32`` of the UTF-8 symbol modulo ``shards`` (architecture.md, section 2, decision 3):
    the same in every process and release. Raises ValueError when ``shards`` is below 1.
    """
    if shards < 1:
        raise ValueError(f"shards is {shards}; expected 1 or more")
    return crc32(symbol.encode()) % shards
