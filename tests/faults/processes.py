"""The processes of a replay over RabbitMQ: found by their command lines, frozen, killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROCESSES = Path("/proc")


def processors_of(replay: int) -> dict[int, int]:
    """Process id of each processor that a replay (by its process id) runs, by index."""
    found: dict[int, int] = {}
    for pid, command in children_of(replay):
        words = command.split("\0")
        if "processor" in words:
            found[int(words[words.index("--index") + 1])] = pid
    return found


def children_of(parent: int) -> Iterator[tuple[int, str]]:
    """Process id and command line (parts ended by NUL) of each child of a process."""
    for folder in PROCESSES.glob("[0-9]*"):
        try:
            # pid (name) state ppid ...; a name may hold anything, so read from its end.
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if int(status[1]) == parent and command:
            yield int(folder.name), command


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process for as long as the block takes; it may be killed meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return
