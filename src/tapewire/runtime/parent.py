"""The tie between a worker and the process manager that started it.

The manager hands down two file descriptors by environment: the read end of a pipe that
only the manager can write to (``TAPEWIRE_PARENT_FD``; end of file means that it is gone),
and the write end of a pipe for heartbeats (``TAPEWIRE_HEARTBEAT_FD``).

``watch_parent`` belongs at the very beginning of a process, before heavy imports: a thread
waits on the pipe, so that a process whose main thread is stuck also ends.
"""

import os
import signal
import threading
from collections.abc import Callable, MutableMapping
from typing import Final

PARENT_FD: Final = "TAPEWIRE_PARENT_FD"
HEARTBEAT_FD: Final = "TAPEWIRE_HEARTBEAT_FD"

ORPHAN_GRACE_S: Final = 3.5
"""How long a process may drain after its parent has gone; then it is killed."""


class ParentWatch:
    """Waits for the parent's end. One per process; see ``watch_parent``."""

    def __init__(self, parent_fd: int | None, heartbeat_fd: int | None) -> None:
        self._parent_fd = parent_fd
        self._heartbeat_fd = heartbeat_fd
        self._lock = threading.Lock()
        self._on_gone: Callable[[], object] | None = None
        self.gone = False
        if heartbeat_fd is not None:
            os.set_inheritable(heartbeat_fd, False)
            os.set_blocking(heartbeat_fd, False)
        if parent_fd is not None:
            os.set_inheritable(parent_fd, False)
            threading.Thread(target=self._watch, name="parent-watch", daemon=True).start()

    def on_gone(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called (from another thread) when the parent is gone, or now."""
        with self._lock:
            self._on_gone = callback
            already = self.gone
        if already:
            callback()

    def beat(self) -> bool:
        """Tell the manager that the loop turns; False when there is nobody to tell.

        A full pipe means that the manager has beats to read: nothing is missing.
        """
        if self._heartbeat_fd is None:
            return False
        try:
            os.write(self._heartbeat_fd, b".")
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return True

    def _watch(self) -> None:
        """Until end of file; then drain if somebody knows how to, and never outlive the grace."""
        assert self._parent_fd is not None
        while os.read(self._parent_fd, 1):
            pass
        with self._lock:
            self.gone = True
            callback = self._on_gone
        try:
            if callback is not None:
                callback()
                threading.Event().wait(ORPHAN_GRACE_S)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)


_watch: ParentWatch | None = None


def watch_parent(environ: MutableMapping[str, str] = os.environ) -> ParentWatch:
    """Take the descriptors out of ``environ`` and watch; later calls return the same watch.

    They are removed so that this process's own children do not take them for theirs.
    """
    global _watch  # the descriptors belong to the process, and so does this
    if _watch is None:
        parent, heartbeat = environ.pop(PARENT_FD, ""), environ.pop(HEARTBEAT_FD, "")
        _watch = ParentWatch(int(parent) if parent else None, int(heartbeat) if heartbeat else None)
    return _watch
