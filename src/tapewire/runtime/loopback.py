"""Which hosts a system without accounts may listen on and be asked for: this machine's own.

One rule for everything that faces people (architecture, decision 11), so that stream and
dashboard cannot come to differ in it.
"""

from typing import Final

from tapewire.runtime.service import UsageError

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
"""The hosts that a system without accounts may listen on and be asked for."""


def check_host(host: str) -> str:
    """The host to listen on; UsageError for one that others could reach."""
    if host not in LOOPBACK:
        raise UsageError(
            f"TAPEWIRE_HTTP_HOST or --host: {host!r} would let other machines read the feeds, and"
            " there are no accounts yet to tell who they are; expected 127.0.0.1, localhost or"
            " ::1. To reach it from elsewhere, forward the ports:"
            " ssh -L 8000:127.0.0.1:8000 -L 4202:127.0.0.1:4202 HOST"
        )
    return host


def hostname(host_header: str) -> str:
    """``localhost`` of ``localhost:8000``; ``::1`` of ``[::1]:8000``."""
    if host_header.startswith("["):
        return host_header[1:].partition("]")[0]
    return host_header.partition(":")[0]
