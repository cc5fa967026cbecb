"""The words of Upstox's Market Data Feed V3: modes, kinds of frames, requests and refusals.

Source: ``brokers.md`` 1. The protobuf inside binary frames is in ``schema.py``.
"""

from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from tapewire.providers.http_text import MAX_WORDS_CHARS


class Mode(StrEnum):
    """What is sent of an instrument, as a request names it."""

    LTPC = "ltpc"
    OPTION_GREEKS = "option_greeks"
    FULL = "full"
    FULL_D30 = "full_d30"


class Method(StrEnum):
    """What a request asks for."""

    SUBSCRIBE = "sub"
    CHANGE_MODE = "change_mode"
    UNSUBSCRIBE = "unsub"


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


class Fault:
    """Why something in a frame was not taken: the keys of ``UpstoxConnection.faults``."""

    MALFORMED_FRAME: Final = "malformed_frame"
    MALFORMED_ENTRY: Final = "malformed_entry"
    NOT_SUBSCRIBED: Final = "not_subscribed"
    BAD_VALUE: Final = "bad_value"
    REFUSED: Final = "refused"


class Refusal(Struct, frozen=True):
    """The provider's JSON answer to a request that it did not take."""

    status: str = ""
    method: str = ""
    error: str = ""


def read_refusal(text: str) -> Refusal:
    """Read a text frame; what is not the JSON of a refusal becomes its ``error``, cut short."""
    try:
        return msgspec.json.decode(text, type=Refusal)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return Refusal("unreadable", error=text[:MAX_WORDS_CHARS])


def request(guid: str, method: Method, keys: Sequence[str], mode: Mode | None = None) -> bytes:
    """JSON to be sent as a *binary* frame (text is ignored). No ``mode`` for ``unsub``."""
    data: dict[str, Any] = {} if mode is None else {"mode": mode}
    data["instrumentKeys"] = keys
    return msgspec.json.encode({"guid": guid, "method": method, "data": data})
