"""Ports of this machine: which are free, and which one to take instead."""

import socket
from typing import Final

from tapewire.runtime.service import DependencyMissing

TRIES: Final = 100


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def given_or_next(host: str, given: int | None, default: int, option: str) -> int:
    """``given`` if it is free, else DependencyMissing; without it the next free one.

    ``default`` is the first one tried.
    """
    if given is not None:
        if not is_free(host, given):
            raise DependencyMissing(
                f"port {given} is taken; stop what has it, or choose another one with {option}"
                f" (without {option} the next free port is taken)"
            )
        return given
    for port in range(default, default + TRIES):
        if is_free(host, port):
            return port
    raise DependencyMissing(f"no port from {default} to {default + TRIES - 1} is free")


def any_free(host: str, count: int) -> list[int]:
    """Ports that are free now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
