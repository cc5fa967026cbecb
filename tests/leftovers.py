"""Find processes that outlive the test run.

Every process inherits a variable with this run's own value, and Linux shows the environment
that a process began with. Elsewhere nothing can be seen and nothing is reported.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

RUN_ID = "PYTEST_RUN_ID"
PROCESSES = Path("/proc")


def mark_this_run() -> None:
    """Give this run's future children a mark of their own."""
    os.environ[RUN_ID] = token_hex(8)


def describe_leftovers(seconds: float = 2.0) -> list[str]:
    """Return ``pid command`` of every marked process that is still there after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (found := list(_marked_processes())) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _marked_processes() -> Iterator[str]:
    mark = f"{RUN_ID}={os.environ.get(RUN_ID)}".encode()
    for folder in PROCESSES.glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
        if mark in environment and "resource_tracker" not in command:
            yield f"{folder.name} {command.strip()}"
