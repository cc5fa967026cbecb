"""What an Upstox V3 frame says, decoded: updates of instruments, market status, refusals.

Names are ours (``market_data_feed.proto`` has the provider's). An update is a statement of
fact, not yet a tick: whether it is a trade is decided by the change of ``day_volume``.
"""

from collections import Counter
from enum import IntEnum, StrEnum
from typing import Final

from msgspec import Struct, field

from tapewire.market.ticks import instrument_key


class Mode(StrEnum):
    """What is sent of an instrument, as a request names it."""

    LTPC = "ltpc"
    OPTION_GREEKS = "option_greeks"
    FULL = "full"
    FULL_D30 = "full_d30"


class FrameKind(IntEnum):
    """The enum ``Type``: what a frame is about. The numbers are the provider's."""

    INITIAL_FEED = 0
    LIVE_FEED = 1
    MARKET_INFO = 2


MARKET_STATUS: Final = (
    "PRE_OPEN_START",
    "PRE_OPEN_END",
    "NORMAL_OPEN",
    "NORMAL_CLOSE",
    "CLOSING_START",
    "CLOSING_END",
)
"""Names of the enum ``MarketStatus`` by number."""


class Skipped:
    """Why something in a frame was not taken: the keys of ``Feed.skipped``."""

    MALFORMED_FRAME: Final = "malformed_frame"
    MALFORMED_ENTRY: Final = "malformed_entry"
    BAD_KEY: Final = "bad_key"
    EMPTY_EXCHANGE: Final = "empty_exchange"
    EMPTY_TOKEN: Final = "empty_token"
    BAD_VALUE: Final = "bad_value"


class InstrumentKeyError(ValueError):
    """An instrument key that names no instrument; ``reason`` is one of ``Skipped``."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"instrument key {key!r}: expected 'SEGMENT|TOKEN' ({reason})")
        self.reason = reason


class Instrument(Struct, frozen=True, gc=False):
    """An instrument key (``NSE_EQ|INE020B01018``) and its two halves.

    ``exchange`` is the segment (``NSE_EQ``): one token may exist in several. ``token`` is an
    ISIN for cash, the exchange's number for derivatives, a name for indices, where spaces
    have become underscores (``Nifty_50``). ``symbol`` is what it is folded under.
    """

    key: str
    exchange: str
    token: str
    symbol: str


def split_key(key: str) -> Instrument:
    """Split ``SEGMENT|TOKEN``. Raises InstrumentKeyError."""
    exchange, bar, token = (part.strip() for part in key.partition("|"))
    if not bar or "|" in token:
        raise InstrumentKeyError(key, Skipped.BAD_KEY)
    if not exchange:
        raise InstrumentKeyError(key, Skipped.EMPTY_EXCHANGE)
    if not token:
        raise InstrumentKeyError(key, Skipped.EMPTY_TOKEN)
    token = token.replace(" ", "_")
    return Instrument(key, exchange, token, instrument_key(exchange, token))


class Update(Struct, gc=False):
    """One instrument in one frame. Times in ms UTC, prices in rupees, sizes in units.

    ``last_price`` and ``close`` (of the previous day) are None where the frame has none: a
    depth-only change carries no last trade. ``day_volume`` and ``open_interest`` are None in
    modes that never carry them, 0 where they are zero; so are ``bid`` and ``ask`` and their
    sizes. ``snapshot`` marks a baseline (``initial_feed``), which is never a trade.
    """

    instrument: Instrument
    last_price: float | None = None
    last_size: int = 0
    last_trade_ms: int = 0
    close: float | None = None
    day_volume: int | None = None
    open_interest: int | None = None
    bid: float | None = None
    bid_size: int | None = None
    ask: float | None = None
    ask_size: int | None = None
    snapshot: bool = True
    index: bool = False


class Feed(Struct):
    """A decoded frame.

    ``markets`` maps a segment to a name of ``MARKET_STATUS`` (``UNKNOWN_9`` for a number that
    is not in it). ``skipped`` counts what was left out, by reason.
    """

    kind: int = FrameKind.INITIAL_FEED
    time_ms: int = 0
    updates: list[Update] = field(default_factory=list)
    markets: dict[str, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)


class Refusal(Struct, frozen=True):
    """The provider's JSON answer to a request that it did not take."""

    status: str = ""
    method: str = ""
    error: str = ""
