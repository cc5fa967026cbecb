"""What is known of one thing, how it is asked for, and why it may not be known.

Errors::

    LookupFailed
    ├── Refused    the plan or the key does not allow it: asking again soon would not help
    └── NotYet     nobody has an answer yet; ``retry_after_s`` says when to ask again

A ``fetch`` raises `FetchRefused` and `FetchFailed` for the same two reasons.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from msgspec import Struct

JSON = "application/json"


class Found(Struct, frozen=True):
    """The provider's answer: JSON, or a picture's bytes with its content type."""

    body: bytes
    content_type: str = JSON


class FoundMarket(Struct, frozen=True):
    """The provider's answer for every symbol: symbol -> JSON."""

    bodies: Mapping[str, bytes]


class Nothing(Struct, frozen=True):
    """The provider has nothing of it; ``reason`` in its words or ours."""

    reason: str


Fetched = Found | FoundMarket | Nothing


class FetchRefused(Exception):  # noqa: N818 - it says what happened
    """The provider does not give this to us."""


class FetchFailed(Exception):  # noqa: N818 - it says what happened
    """No usable answer. ``retry_after_s``: when to ask again, where that is known."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Fetch(Protocol):
    """Asks the provider once, with all its patience, for one kind of thing."""

    async def __call__(self, call: str, argument: str) -> Fetched:
        """Answer ``Kind.call`` about ``argument``; raises FetchRefused or FetchFailed."""


class LookupFailed(Exception):  # noqa: N818 - it says what happened
    """Nothing is known and the provider gave no answer."""


class Refused(LookupFailed):
    """The plan or the key does not allow it."""


class NotYet(LookupFailed):
    """No answer yet."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Source(StrEnum):
    """Whose answer a value comes from: one about this thing, or one about the whole market."""

    ITSELF = "itself"
    MARKET = "market"
    ROWS = "rows"


class Known(Struct, frozen=True, kw_only=True):
    """What is known of one thing.

    ``body`` is None when the provider has nothing (``reason`` says so); times are UTC ms;
    ``stale``: it should be newer, and is being asked for again where that is possible.
    """

    kind: str
    argument: str
    body: bytes | None
    content_type: str
    fetched_ms: int
    age_ms: int
    stale: bool
    reason: str = ""
    source: Source = Source.ITSELF

    def value(self) -> Any:
        """The JSON value; None when there is nothing, or when it is a picture."""
        if self.body is None or self.content_type != JSON:
            return None
        return msgspec.json.decode(self.body)


class Entry(Struct, array_like=True):
    """A value as stored; ``body`` None is the sentinel for *the provider has nothing*."""

    fetched_ms: int
    fresh_until_ms: int
    body: bytes | None = None
    content_type: str = JSON
    reason: str = ""

    def known(self, kind: str, argument: str, now_ms: int, source: Source) -> Known:
        """The value as it is given to whoever asked."""
        return Known(
            kind=kind,
            argument=argument,
            body=self.body,
            content_type=self.content_type,
            fetched_ms=self.fetched_ms,
            age_ms=max(now_ms - self.fetched_ms, 0),
            stale=now_ms >= self.fresh_until_ms,
            reason=self.reason,
            source=source,
        )


class Trouble(Struct, array_like=True):
    """Why nobody asks the provider for a thing before ``until_ms``."""

    refused: bool
    reason: str
    until_ms: int

    def error(self, now_ms: int) -> LookupFailed:
        """The error for whoever asked and cannot be shown an older value."""
        if self.refused:
            return Refused(self.reason)
        return NotYet(self.reason, max(self.until_ms - now_ms, 0) / 1000)


class LookupCounts(Struct):
    """Everything that happened since the start, in look-ups but for ``calls``.

    ``calls``: times that the provider was asked. ``hits``: answered with a fresh value;
    ``stale``: with one that should be newer; ``negative``: fresh or not, with *nothing there*.
    ``refused``: plan or key do not allow it; ``failed``: no answer. ``waited``: had to wait for
    an answer that somebody was asking for already; ``taken_over``: went on for a process that
    had ended while asking; ``put_off``: not refreshed since too much was being asked for.
    """

    calls: int = 0
    hits: int = 0
    stale: int = 0
    negative: int = 0
    refused: int = 0
    failed: int = 0
    waited: int = 0
    taken_over: int = 0
    put_off: int = 0
