"""Who may connect: this machine only, and pages of the dashboard's own origins."""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from tapewire.runtime.service import UsageError

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
"""The hosts that a system without accounts may listen on and be asked for."""


def check_host(host: str) -> str:
    """The host to listen on; UsageError for one that others could reach."""
    if host not in LOOPBACK:
        raise UsageError(
            f"TAPEWIRE_HTTP_HOST: {host!r} would let other machines read the feeds, and there"
            " are no accounts yet to tell who they are; expected 127.0.0.1, localhost or ::1."
            " To reach it from elsewhere, forward the port: ssh -L 4202:127.0.0.1:4202 HOST"
        )
    return host


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
