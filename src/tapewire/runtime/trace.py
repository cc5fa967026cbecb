"""W3C trace context (``traceparent``, version 00), handed from process to process."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

ENVIRONMENT_NAME: Final = "TRACEPARENT"

_HEADER: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True)
class TraceContext:
    """One span's place in a trace: ids in lower-case hex (32, 16 and 2 digits)."""

    trace_id: str
    span_id: str
    flags: str = "00"

    @classmethod
    def new(cls, random_hex: Callable[[int], str] = secrets.token_hex) -> Self:
        """Begin a trace; ``random_hex(n)`` gives n random bytes in hex."""
        return cls(random_hex(16), random_hex(8))

    @classmethod
    def parse(cls, header: str) -> Self | None:
        """Read a ``traceparent``; None when it is not one (the standard: then begin anew)."""
        match = _HEADER.fullmatch(header.strip())
        if match is None or not (int(match[1], 16) and int(match[2], 16)):
            return None
        return cls(*match.groups())

    def child(self, random_hex: Callable[[int], str] = secrets.token_hex) -> Self:
        """A span of its own in the same trace."""
        return type(self)(self.trace_id, random_hex(8), self.flags)

    @property
    def header(self) -> str:
        """The ``traceparent`` text."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"
