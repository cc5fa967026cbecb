"""Massive's feeds by name: which host serves which data (massive.md 1.1)."""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from tapewire.runtime.service import UsageError

_HOST_STEMS: Final = (
    "socket",
    "delayed",
    "business",
    "delayed-business",
    "polyfeed",
    "polyfeedplus",
    "nasdaqfeed",
    "starterfeed",
    "launchpad",
    "edgx-business",
    "iex-business",
    "delayed-edgx-business",
    "delayed-nasdaq-last-sale-business",
    "delayed-nasdaq-basic-business",
    "delayed-fullmarket-business",
    "fullmarket-business",
    "nasdaq-last-sale-business",
    "nasdaq-basic-business",
)
_ALIASES: Final = {"realtime": "socket", "nasdaq": "nasdaqfeed"}
_PATH: Final = "/stocks"

DELAY_MS: Final = 15 * 60_000
"""How far the delayed hosts are behind (massive.md 1.1)."""


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


_STEM_OF_NAME: Final = {_plain(stem): stem for stem in _HOST_STEMS} | _ALIASES


def endpoint(feed: str) -> str:
    """The URL of a feed: ``RealTime``, ``Delayed``, ``DelayedBusiness``... or a URL itself.

    Names are those of massive.md 1.1, in any case and with or without hyphens. A ``ws://``
    or ``wss://`` URL without a path gets ``/stocks``. Raises UsageError for anything else.
    """
    parts = urlsplit(feed)
    if parts.scheme in ("ws", "wss") and parts.hostname:
        return urlunsplit(parts._replace(path=_PATH)) if parts.path in ("", "/") else feed
    stem = _STEM_OF_NAME.get(_plain(feed)) if "://" not in feed else None
    if stem is None:
        names = ", ".join(("RealTime", *_HOST_STEMS[1:]))
        raise UsageError(
            f"{feed!r} is not a Massive feed; expected one of {names}, or a ws:// or wss:// URL"
        )
    return f"wss://{stem}.massive.com{_PATH}"


def delay_ms(feed: str) -> int | None:
    """How far a feed's events are at least behind the wall clock; None for a URL.

    At a URL of one's own (a simulator) any day may be played.
    """
    if "://" in feed:
        return None
    return DELAY_MS if _plain(feed).startswith("delayed") else 0
