"""How this process names itself as the holder of a lease, and how long it holds one."""

import os
import socket
from typing import Final

from tapewire.cli.clock import wall_ms

LEASE_TTL_S: Final = 15.0


def holder() -> str:
    """This process's name as the holder of a lease: another one after every start."""
    return f"{socket.gethostname()}:{os.getpid()}:{wall_ms()}"
