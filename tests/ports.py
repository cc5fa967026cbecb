"""TCP ports for the tests' servers, which nobody takes between the look and the start.

The system gives ports above 32767 to connections: a server that starts a moment after such a
port was found free may lose it to one of them. These lie below; each process of a parallel run
has a range of its own, begun at a place where another run hardly begins; none comes twice.
"""

import os
import socket
from collections.abc import Iterator
from secrets import randbelow

LOWEST_PORT = 12_000
PORTS_OF_A_PROCESS = 4_000
RANGES = 5
WORKER = "PYTEST_XDIST_WORKER"
"""``gw0``, ``gw1``, … in the processes of a parallel run."""


def is_unused(port: int) -> bool:
    """Tell whether a server could listen on 127.0.0.1:``port`` now."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def unused_ports(worker: str | None) -> Iterator[int]:
    """Yield the unused ports in the range of one process, each once."""
    place = 0 if worker is None else 1 + int(worker.removeprefix("gw"))
    first = LOWEST_PORT + place % RANGES * PORTS_OF_A_PROCESS
    begin = randbelow(PORTS_OF_A_PROCESS)
    for number in range(PORTS_OF_A_PROCESS):
        port = first + (begin + number) % PORTS_OF_A_PROCESS
        if is_unused(port):
            yield port


FREE_PORTS = unused_ports(os.environ.get(WORKER))
