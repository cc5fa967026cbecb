"""One RabbitMQ for the whole run, also where several processes run tests.

The process that began the run owns the broker (``BrokerKeeper``): it alone starts it, at the
first wish, and ends it. Whoever runs tests holds a ``SharedRabbitServer``, which sends its
wishes to the keeper over a Unix socket and speaks with the broker itself directly.

Tests use the broker side by side, each its own virtual host. A test that stops, kills or
freezes it is marked ``stops_rabbitmq`` and has it to itself (``turn``).
"""

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from subprocess import SubprocessError
from threading import Thread

from tests.servers import RabbitAddress, RabbitServer, ServerError

SOCKET = "keeper.sock"
ALONE = "mark a test that stops, kills or freezes RabbitMQ with pytest.mark.stops_rabbitmq"


class BrokerKeeper:
    """Owns the run's broker and does what the run's processes ask of it, one by one.

    Its thread is the broker's parent for the kernel: it lives until ``close``.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tapewire-tests-"))
        self._server = RabbitServer(self.folder / "rabbitmq")
        self._listener = Listener(str(self.folder / SOCKET), "AF_UNIX")
        self._open = True
        self._wishes: dict[str, Callable[[], object]] = {
            "address": lambda: self._server.address,
            "pid": lambda: self._server.pid,
            "start": self._server.start,
            "stop": self._server.stop,
            "kill": self._server.kill,
            "close": self._close,
        }
        self._thread = Thread(target=self._serve, name="broker keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the broker and its ``epmd``. Raises ServerError when something remains."""
        try:
            ask(self.folder, "close")
        finally:
            self._thread.join()
            self._listener.close()
            shutil.rmtree(self.folder)

    def _close(self) -> None:
        self._open = False
        self._server.close()

    def _serve(self) -> None:
        while self._open:
            # A worker that is killed while it asks ends its question, not the keeper.
            with suppress(OSError, EOFError), self._listener.accept() as asking:
                self._answer(asking)

    def _answer(self, asking: Connection) -> None:
        answer: object
        try:
            answer = self._wishes[asking.recv()]()
        except (ServerError, SubprocessError) as error:
            answer = ServerError(str(error))
        asking.send(answer)


def ask(folder: Path, wish: str) -> object:
    """Send one wish to the keeper that lives in ``folder`` and return its answer.

    Raises ServerError with what it says, or when no keeper is there.
    """
    try:
        with Client(str(folder / SOCKET), "AF_UNIX") as keeper:
            keeper.send(wish)
            answer = keeper.recv()
    except (OSError, EOFError) as error:
        raise ServerError(f"the process that owns RabbitMQ is gone: {error}") from error
    if isinstance(answer, ServerError):
        raise answer
    return answer


def address_of(keeper: Path) -> RabbitAddress:
    """The ports, the name and the secrets of the broker that a keeper owns."""
    address = ask(keeper, "address")
    assert isinstance(address, RabbitAddress)
    return address


class SharedRabbitServer(RabbitServer):
    """The run's broker as a test sees it; ``is_alone`` tells whether it has it to itself now."""

    def __init__(self, keeper: Path, is_alone: Callable[[], bool]) -> None:
        super().__init__(keeper / "rabbitmq", address_of(keeper))
        self._keeper = keeper
        self._is_alone = is_alone

    @property
    def pid(self) -> int:
        """The broker's process id, for a test that freezes it."""
        self._require_alone()
        pid = ask(self._keeper, "pid")
        assert isinstance(pid, int)
        return pid

    def start(self) -> None:
        """Start it, or start it again on the same port; without effect while it runs."""
        ask(self._keeper, "start")

    def stop(self) -> None:
        """End the broker with SIGTERM."""
        self._require_alone()
        ask(self._keeper, "stop")

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash does."""
        self._require_alone()
        ask(self._keeper, "kill")

    def close(self) -> None:
        """Refused: it belongs to the run."""
        raise ServerError("the run's RabbitMQ ends with the run")

    def _require_alone(self) -> None:
        if not self._is_alone():
            raise ServerError(ALONE)


@contextmanager
def turn(keeper: Path, *, alone: bool) -> Iterator[None]:
    """Use the run's broker beside others, or alone.

    Who waits to be alone keeps the gate shut: those that come later wait behind it.
    """
    with (keeper / "gate").open("w") as gate, (keeper / "room").open("w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # A child that inherited the file keeps it open, not locked.
            fcntl.flock(room, fcntl.LOCK_UN)
