"""``tapewire up`` as a person runs it: in a process group of its own, as in a terminal.

Every process that it starts has the data folder in its environment or its title, by which
they are found in ``/proc``, however far they have gone from it.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

from tests.conftest import PROJECT
from tests.replays import environment
from tests.servers import free_port, wait_until

TAPEWIRE = (sys.executable, "-m", "tapewire", "up")
MAKE_UP = (
    "make", "--no-print-directory", f"--old-file={sys.prefix}/.runtime", "up", f"VENV={sys.prefix}",
)  # fmt: skip
"""What people type; the requirements are those of the interpreter that runs the tests."""

DASHBOARD = re.compile(r"Dashboard: (http://\S+)")
CONFIG = re.compile(r'id="tapewire-config">([^<]+)<')
STARTS_WITHIN_S = 40.0
LISTENING = "0A"
"""A listening socket's state in ``/proc/net/tcp``."""

PARTS = {
    "simulator": "simulate massive",
    "core": "tapewire core",
    "widgets": "run widgets",
    "control": "run control",
    "server": "server.sock",
}
"""What the command lines of the processes contain."""

Message = dict[str, Any]


def build_dashboard() -> None:
    """Build ``web/dist``, and what that needs, unless it is newer than its sources."""
    build = [sys.executable, str(PROJECT / "scripts" / "build_dashboard.py")]
    with changing_web():
        done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def changing_web() -> Iterator[None]:
    """Nobody else that runs tests changes ``web/dist`` or ``web/node_modules`` meanwhile."""
    with (PROJECT / "web" / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)


class UpProcess:
    """One run: its lines as they come, its processes, its data folder."""

    def __init__(self, folder: Path, command: Sequence[str], settings: dict[str, str]) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.began_s = time.monotonic()
        with _interruptible():
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=environment(TAPEWIRE_DATA_DIR=str(folder), **settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    @property
    def text(self) -> str:
        """Everything that it has said."""
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        """The dashboard's address; waits until it has been printed."""
        wait_until(
            lambda: bool(DASHBOARD.search(self.text)) or self._process.poll() is not None,
            f"tapewire up prints the dashboard's address, but said:\n{self.text}",
            STARTS_WITHIN_S,
        )
        found = DASHBOARD.search(self.text)
        assert found, f"tapewire up ended with {self._process.returncode}:\n{self.text}"
        return found[1]

    @property
    def config(self) -> dict[str, Any]:
        """What the page is told: ``wds_url`` among it."""
        with urlopen(f"{self.url}/", timeout=10) as answer:
            found = CONFIG.search(answer.read().decode())
        assert found
        config = json.loads(found[1])
        assert isinstance(config, dict)
        return config

    @property
    def rest_url(self) -> str:
        """The simulator's REST side, with its controls."""
        arguments = self.processes()[self.pid("simulator")].split()
        return f"http://127.0.0.1:{arguments[arguments.index('--rest-port') + 1]}"

    def stream(self) -> ClientConnection:
        """A client of the stream that the page uses."""
        return connect(self.config["wds_url"], subprotocols=["tapewire.v1"])  # type: ignore[list-item]

    def processes(self) -> dict[int, str]:
        """Command lines by process id: everything that this run started and still is there."""
        return dict(_processes_of(self.folder))

    def pid(self, part: str) -> int:
        """The process of a part (``PARTS``), which must run."""
        found = [pid for pid, command in self.processes().items() if PARTS[part] in command]
        assert len(found) == 1, f"{part}: {found} of {self.processes()}"
        return found[0]

    def restarted(self, part: str, killed: int) -> bool:
        """Whether a process other than ``killed`` does this part's work."""
        found = {pid for pid, command in self.processes().items() if PARTS[part] in command}
        return bool(found - {killed})

    def interrupt(self) -> None:
        """What Ctrl-C in a terminal does: SIGINT to the whole foreground process group."""
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to ``tapewire up`` itself, and to nobody else."""
        self._process.kill()

    def end(self, seconds: float = 15.0) -> int:
        """Wait for its end; the exit code."""
        code = self._process.wait(seconds)
        self._reading.join(5.0)
        return code

    def remains(self) -> list[str]:
        """What is left of it: processes, sockets, locks."""
        left = [f"process {pid}: {command}" for pid, command in self.processes().items()]
        for path in sorted(self.folder.rglob("*")):
            if path.is_socket():
                left.append(f"socket {path.name}")
            elif path.suffix == ".lock" and not _is_free(path):
                left.append(f"lock {path.name}")
        return left

    def clean_up(self) -> None:
        """End it whatever its state, so that a failed test leaves nothing running."""
        if self._process.poll() is None:
            self.interrupt()
            try:
                self.end()
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10.0)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def running_up(
    folder: Path,
    *options: str,
    make: bool = False,
    usual_ports: bool = False,
    **settings: str,
) -> Iterator[UpProcess]:
    """Start ``tapewire up`` (or ``make up``) on a data folder; it has ended afterwards.

    Its ports are free ones of the test's own, unless the ``usual_ports`` (which another system
    on this machine may take at the same moment) are what the test is about.
    """
    if not usual_ports:
        settings = {"TAPEWIRE_HTTP_PORT_WDS": str(free_port())} | settings
        options = options if "--port" in options else (*options, "--port", str(free_port()))
    command = (*MAKE_UP, f"ARGS={' '.join(options)}") if make else (*TAPEWIRE, *options)
    up = UpProcess(folder, command, settings)
    try:
        yield up
    finally:
        up.clean_up()


def messages(client: ClientConnection, seconds: float) -> Iterator[Message]:
    """What the stream says in the next ``seconds``."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            frame = client.recv(timeout=left_s)
        except TimeoutError:
            return
        yield from json.loads(frame)


def subscribe(client: ClientConnection, *feeds: str) -> None:
    """Ask for feeds."""
    client.send(json.dumps({"op": "subscribe", "feeds": feeds}))


def seconds_until_rows_move(up: UpProcess, feed: str = "scanners:top_volume") -> float:
    """Seconds from the command's start until a client of the page's stream saw rows change."""
    with up.stream() as client:
        subscribe(client, feed)
        for message in messages(client, STARTS_WITHIN_S):
            if message["op"] == "delta" and message.get("set"):
                return time.monotonic() - up.began_s
    raise AssertionError(f"no row of {feed} has changed:\n{up.text}")


def listening_addresses(pids: Sequence[int]) -> set[str]:
    """Addresses that these processes listen on, as ``/proc/net`` writes them: ``0100007F``."""
    inodes = {inode for pid in pids for inode in _sockets_of(pid)}
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def _sockets_of(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _processes_of(folder: Path) -> Iterator[tuple[int, str]]:
    """Those with the folder in their environment, or, as Redis shows itself, in their title."""
    variable = f"TAPEWIRE_DATA_DIR={folder}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            title = (process / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
        if variable in variables or f"{folder}/".encode() in title:
            yield int(process.name), title.decode(errors="replace").strip()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Children begun here hear SIGINT, also where this run was put in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
