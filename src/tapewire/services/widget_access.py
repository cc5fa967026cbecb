"""Which pages may connect: those of the dashboard's own origins."""

from collections.abc import Collection
from urllib.parse import urlsplit

from tapewire.runtime.loopback import LOOPBACK


class Origins:
    """Pages that may open a socket.

    Args:
        allowed: origins (``https://example.com``); none means pages that this machine
            serves itself, on any port.

    A browser names its page's origin in the handshake; a program names none, and may.
    """

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def allow(self, origin: str | None) -> bool:
        """Whether a handshake with this ``Origin`` header is welcome."""
        if origin is None:
            return True
        if self._allowed:
            return origin.lower() in self._allowed
        try:
            parts = urlsplit(origin)
            return parts.scheme in ("http", "https") and parts.hostname in LOOPBACK
        except ValueError:
            return False
