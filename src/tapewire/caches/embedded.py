"""The embedded server: Redis or Valkey on a private socket, for a system without servers.

One server serves every command of one data folder: WDC is its database 0, MDC its
database 1. Who uses it first starts it; whoever leaves last stops it, and it writes its data
to disk before it ends. A process that is killed counts as having left; the server it may
leave behind is used, and then stopped, by the next command.

Two lock files keep this true between processes: ``users.lock`` is held shared by every
user, ``turn.lock`` exclusively by the one that is just starting or leaving. The kernel
releases both when a process ends, however it ends.
"""

import asyncio
import os
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from tapewire.caches.binaries import find_server
from tapewire.caches.cache import CacheError, CacheUnavailable
from tapewire.caches.connection import Link
from tapewire.runtime.service import DependencyMissing

START_S: Final = 60.0
"""How long a server may take to load its data, and to write it."""

MAX_MEMORY: Final = "2gb"
MAX_LOG_BYTES: Final = 1_000_000
MAX_SOCKET_PATH: Final = 100
"""Bytes of a socket's path; the kernel's bound is 103 (macOS) or 107 (Linux)."""

_LOOK_S: Final = 0.02


class EmbeddedServer:
    """One user's hold on the server of a data folder.

    Args:
        data_dir: ``TAPEWIRE_DATA_DIR``; the server keeps to its folder ``redis``.
        path: where to look for a server program instead of the process's PATH.
        max_memory: bound on its data; beyond it writes are refused, nothing is evicted.
    """

    def __init__(
        self, data_dir: Path, *, path: str | None = None, max_memory: str = MAX_MEMORY
    ) -> None:
        self.folder = data_dir.expanduser().absolute() / "redis"
        self.socket = socket_path(self.folder)
        self._path = path
        self._max_memory = max_memory
        self._users = LockFile(self.folder / "users.lock")
        self._turn = LockFile(self.folder / "turn.lock")
        self._child: int | None = None

    @property
    def wdc_url(self) -> str:
        """The Widget Data Cache: database 0."""
        return f"unix://{self.socket}?db=0"

    @property
    def mdc_url(self) -> str:
        """The Market Data Cache: database 1."""
        return f"unix://{self.socket}?db=1"

    async def start(self) -> str:
        """Join the users, starting the server if it does not run; return ``wdc_url``.

        Raises DependencyMissing: the folder cannot be written, there is no server program,
        or it does not start (the message ends with what its log says).
        """
        prepare_folder(self.folder, self.socket)
        async with self._turn.held():
            self._users.share()
            try:
                await self._attach_or_launch()
            except BaseException:
                self._users.release()
                raise
        return self.wdc_url

    async def stop(self) -> None:
        """Leave; whoever leaves last stops the server, which keeps its data.

        Raises DependencyMissing when the data could not be written. Safe to call twice.
        """
        if not self._users.is_held:
            return
        async with self._turn.held():
            self._users.release()
            if self._users.is_free():
                await self._shut_down()

    async def is_running(self) -> bool:
        """Whether the server answers; one that has ended is started by `start`."""
        return await self._answers()

    async def _answers(self) -> bool:
        """Whether a server is there; one that still loads its data is waited for."""
        link = Link(self.wdc_url, timeout_s=5.0)
        try:
            while True:
                try:
                    return bool(await link.run("PING"))
                except CacheUnavailable as error:
                    if "loading" not in str(error).lower():
                        return False
                await asyncio.sleep(_LOOK_S)
        finally:
            await link.close()

    async def _attach_or_launch(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                if not await self._answers():
                    await self._launch()
        except TimeoutError:
            raise self._failed(f"did not answer within {START_S:g} s") from None

    async def _launch(self) -> None:
        binary = await asyncio.to_thread(find_server, self._path)
        self._reap()
        self._child = spawn(binary, self._options(), self.folder / "server.log")
        while not await self._answers():
            self._check_alive()
            await asyncio.sleep(_LOOK_S)

    def _reap(self) -> None:
        """Take the end of an earlier child that was killed."""
        if self._child is not None and os.waitpid(self._child, os.WNOHANG)[0]:
            self._child = None

    def _check_alive(self) -> None:
        if self._child is not None and os.waitpid(self._child, os.WNOHANG)[0]:
            self._child = None
            raise self._failed("ended at once")

    def _failed(self, what: str) -> DependencyMissing:
        log = self.folder / "server.log"
        tail = log.read_text(errors="replace")[-1000:].strip() if log.exists() else "nothing"
        return DependencyMissing(
            f"the embedded server {what}; its data is in {self.folder}, its log says:\n{tail}"
        )

    def _options(self) -> dict[str, str]:
        return {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "dbfilename": "dump.rdb",
            "save": "3600 1",
            "stop-writes-on-bgsave-error": "no",
            "appendonly": "no",
            "databases": "2",
            "maxmemory": self._max_memory,
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            "daemonize": "no",
        }

    async def _shut_down(self) -> None:
        link = Link(self.wdc_url, timeout_s=START_S)
        try:
            await link.run("SHUTDOWN", "SAVE")
        except CacheUnavailable:
            await self._ended()  # the connection ends with the server: that is its answer
        except CacheError as error:
            raise DependencyMissing(
                f"the embedded server could not write its data to {self.folder} and runs on: "
                f"{error}; make room, then run any command that reads"
            ) from error
        finally:
            await link.close()

    async def _ended(self) -> None:
        if self._child is not None:
            await asyncio.to_thread(os.waitpid, self._child, 0)
            self._child = None


class LockFile:
    """A file that processes lock with ``flock``, shared or alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds it."""
        return self._file is not None

    def share(self) -> None:
        """Hold it together with others."""
        if self._file is None:
            self._file = _locked(self._path, exclusively=False)

    def take(self) -> bool:
        """Hold it alone; False, and nothing held, while others have it."""
        if self._file is None:
            self._file = _locked(self._path, exclusively=True)
        return self._file is not None

    def is_free(self) -> bool:
        """Whether nobody holds it at this moment."""
        file = _locked(self._path, exclusively=True)
        if file is not None:
            os.close(file)
        return file is not None

    def release(self) -> None:
        """Give it up."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold it alone, waiting for whoever has it."""
        async with asyncio.timeout(2 * START_S):
            while (file := _locked(self._path, exclusively=True)) is None:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
        try:
            yield
        finally:
            os.close(file)


def _locked(path: Path, *, exclusively: bool) -> int | None:
    """Open and lock a file; its descriptor, or None while others hold it."""
    if sys.platform == "win32":
        raise DependencyMissing(
            "there is no embedded server on Windows: set MDC_REDIS_URL and WDC_REDIS_URL"
        )
    import fcntl

    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def socket_path(folder: Path) -> Path:
    """The server's socket: in its folder, or in a private one under /tmp if that is too long."""
    inside = folder / "server.sock"
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH:
        return inside
    digest = sha256(os.fsencode(folder)).hexdigest()[:16]
    # Not TMPDIR, which differs between the processes of one user.
    return Path("/tmp") / f"tapewire-{os.getuid()}" / f"{digest}.sock"


def prepare_folder(folder: Path, socket: Path) -> None:
    """Create the data folder and the socket's, private to the user.

    Raises DependencyMissing when that is impossible or the socket's folder is another's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket.parent.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DependencyMissing(
            f"the data folder {folder} cannot be written: {error.strerror}; set TAPEWIRE_DATA_DIR "
            "to a folder that can"
        ) from error
    found = socket.parent.stat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise DependencyMissing(
            f"{socket.parent} belongs to another user or others may write to it; remove it, or "
            "set TAPEWIRE_DATA_DIR to a folder of your own"
        )


def spawn(binary: Path, options: dict[str, str], log: Path) -> int:
    """Start a server in a session of its own, so that Ctrl-C does not reach it; its pid."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > MAX_LOG_BYTES:
            log.unlink()
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return os.posix_spawn(
            binary,
            [str(binary), *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(output)
