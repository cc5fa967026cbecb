"""The tests' own servers: a real Redis and a real RabbitMQ in temporary folders.

Nothing here touches a server that is already on the machine: ports are free ones on
127.0.0.1, data lives in a temporary folder, RabbitMQ has a node name, a cookie and an
``epmd`` of its own. Each server is stopped by its process id. On Linux the kernel kills it
too when the test process dies without a chance to clean up (``setpriv --pdeathsig``).
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from tests.leftovers import RUN_ID
from tests.ports import FREE_PORTS

REDIS_BINARIES = ("redis-server", "valkey-server")

# The scripts behind the one on the PATH, which changes user when it is started by root.
RABBITMQ_BINARIES = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/opt/rabbitmq/sbin/rabbitmq-server",
    "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/local/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/local/sbin/rabbitmq-server",
)

RABBITMQ_USER = "tests"

RABBITMQ_CONF = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
loopback_users = none
log.file.level = info
# Never block a publisher on a small machine: neither memory nor disk raises an alarm.
vm_memory_high_watermark.absolute = 64GB
disk_free_limit.absolute = 1MB
"""

ADD_VHOST = """\
rabbit_vhost:add(<<"{vhost}">>, <<"{user}">>),
rabbit_auth_backend_internal:set_permissions(
    <<"{user}">>, <<"{vhost}">>, <<".*">>, <<".*">>, <<".*">>, <<"{user}">>),
[].
"""

DELETE_VHOST = 'rabbit_vhost:delete(<<"{vhost}">>, <<"{user}">>), [].'

QUEUES_OF_VHOST = """\
[[binary_to_list(element(4, amqqueue:get_name(Q)))
  | [V || {{_, V}} <- rabbit_amqqueue:info(
      Q, [messages_ready, messages_unacknowledged, consumers])]]
 || Q <- rabbit_amqqueue:list(<<"{vhost}">>)].
"""


class ServerError(RuntimeError):
    """A server is missing, or did not start or stop; the message holds the end of its log."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody uses and nobody is given by chance."""
    return next(FREE_PORTS)


def find_binary(names: tuple[str, ...], package: str) -> str:
    """Return the first of ``names`` (paths or commands) that exists.

    Raises ServerError with the name of the missing package: a test never skips.
    """
    for name in names:
        if found := shutil.which(name):
            return found
    raise ServerError(
        f"none of {', '.join(names)} was found; run `make test`, it says how to install {package}"
    )


def is_listening(port: int) -> bool:
    """Tell whether somebody accepts connections on 127.0.0.1:``port``."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(
    ready: Callable[[], bool],
    what: str,
    seconds: float,
    *,
    log: Path | None = None,
    process: subprocess.Popen[bytes] | None = None,
) -> None:
    """Poll ``ready`` every 20 ms until it holds.

    Raises ServerError after ``seconds``, or as soon as ``process`` has ended, with the end of
    ``log``.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:] if log and log.exists() else ""
            why = "its process ended" if ended else f"not within {seconds:g} s"
            raise ServerError(f"{what}: {why}\n{tail}")
        time.sleep(0.02)


def spawn(
    command: list[str], folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``command`` in ``folder``, out of the terminal's reach; output goes to ``out.log``.

    The process id is the server's own: every wrapper in between replaces itself.
    """
    if shutil.which("setpriv"):
        command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
    with (folder / "out.log").open("ab") as out:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], sent: signal.Signals, seconds: float = 30.0) -> None:
    """Send a signal to one process and wait for its end; SIGKILL it after ``seconds``."""
    if process.poll() is not None:
        return
    process.send_signal(sent)
    if sent is not signal.SIGCONT:
        # A frozen process (SIGSTOP) hears SIGTERM only once it runs again.
        process.send_signal(signal.SIGCONT)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10.0)


class RedisServer:
    """One ``redis-server`` (or ``valkey-server``) on a fixed port, in a folder of its own.

    ``appendonly``: keep an append-only file, synced with every write, so that a restart finds
    all its data. Without it a restart begins empty.
    """

    def __init__(self, folder: Path, *, appendonly: bool = False, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.appendonly = appendonly
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address as settings take it, database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's process id. Raises ServerError while it is stopped."""
        if self._process is None:
            raise ServerError("this Redis is stopped: call start() first")
        return self._process.pid

    def start(self, *, wipe: bool = False) -> None:
        """Start (again) on the same port; with ``wipe``, without the data that it kept."""
        if self._process is not None:
            return
        if wipe and self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = spawn(self._command(), self.folder)
        log = self.folder / "out.log"
        wait_until(self._answers, "Redis", 15.0, log=log, process=self._process)

    def stop(self) -> None:
        """End it with SIGTERM; an append-only file keeps the data."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, sent: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, sent)
            self._process = None

    def _command(self) -> list[str]:
        binary = find_binary(REDIS_BINARIES, "Redis 6.2 or later")
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self.appendonly else "no",
            "appendfsync": "always",
            "daemonize": "no",
        }
        return [binary, *(part for key, value in options.items() for part in (f"--{key}", value))]

    def _answers(self) -> bool:
        """Tell whether it answers PING with PONG (not while it still loads its file)."""
        return self.call("PING") == b"+PONG\r\n"

    def call(self, command: str) -> bytes:
        """Send one inline command and return the first bytes of the raw reply."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5.0) as connection:
                connection.sendall(command.encode() + b"\r\n")
                return connection.recv(65536)
        except OSError:
            return b""


@dataclass(frozen=True)
class QueueInfo:
    """What the broker says of one queue at this moment, in messages and consumers."""

    name: str
    ready: int
    unacknowledged: int
    consumers: int


@dataclass(frozen=True)
class RabbitAddress:
    """The ports, the name and the secrets of one RabbitMQ node."""

    port: int = field(default_factory=free_port)
    epmd_port: int = field(default_factory=free_port)
    distribution_port: int = field(default_factory=free_port)
    node: str = field(default_factory=lambda: f"tapewire-{token_hex(4)}@localhost")
    password: str = field(default_factory=lambda: token_hex(16), repr=False)
    cookie: str = field(default_factory=lambda: token_hex(16), repr=False)


class RabbitServer:
    """One RabbitMQ node with a virtual host per test; a start takes about 6 s.

    Virtual hosts and queue counts go through ``erl_call`` (part of Erlang), which takes
    milliseconds where ``rabbitmqctl`` takes most of a second.
    """

    def __init__(self, folder: Path, address: RabbitAddress | None = None) -> None:
        self.folder = folder
        self.address = address or RabbitAddress()
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The broker's process id. Raises ServerError while it is stopped."""
        if self._process is None:
            raise ServerError("this RabbitMQ is stopped: call start() first")
        return self._process.pid

    def url(self, vhost: str) -> str:
        """The address of one virtual host, as settings take it."""
        return (
            f"amqp://{RABBITMQ_USER}:{self.address.password}@127.0.0.1:{self.address.port}/{vhost}"
        )

    def start(self) -> None:
        """Start, or start again on the same port with what the disk kept (durable queues)."""
        if self._process is not None:
            return
        binary = find_binary(RABBITMQ_BINARIES, "RabbitMQ")
        self._write_files()
        self._start_epmd()
        self._process = spawn([binary], self.folder, self._environment())
        log = self.folder / "out.log"
        wait_until(self._is_up, "RabbitMQ", 90.0, log=log, process=self._process)

    def stop(self) -> None:
        """End the broker with SIGTERM; ``epmd`` stays for the next start."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the whole process and start it again; transient messages are gone."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the broker and its ``epmd``. Raises ServerError when something remains."""
        self.stop()
        if self._epmd is not None:
            end(self._epmd, signal.SIGTERM)
            self._epmd = None
        for port in (self.address.port, self.address.epmd_port):
            if is_listening(port):
                raise ServerError(f"port {port} is still open after RabbitMQ has been stopped")

    def add_vhost(self) -> str:
        """Make a virtual host that nobody has used and return its name."""
        vhost = f"test-{token_hex(4)}"
        self.evaluate(ADD_VHOST.format(vhost=vhost, user=RABBITMQ_USER))
        return vhost

    def delete_vhost(self, vhost: str) -> None:
        """Remove a virtual host with its queues and connections."""
        self.evaluate(DELETE_VHOST.format(vhost=vhost, user=RABBITMQ_USER))

    def queue_info(self, vhost: str) -> dict[str, QueueInfo]:
        """Return every queue of a virtual host by name, counted by the queue itself."""
        rows = json.loads(self.evaluate(QUEUES_OF_VHOST.format(vhost=vhost)))
        return {row[0]: QueueInfo(*row) for row in rows}

    def evaluate(self, code: str, attempts: int = 5) -> str:
        """Run Erlang statements in the broker and return the printed value of the last one.

        A node that cannot be connected to is asked again: a busy machine may take longer than
        ``erl_call`` waits. Raises ServerError when it does not answer or the code fails.
        """
        for _ in range(attempts - 1):
            try:
                return self._evaluate(code)
            except ServerError as error:
                if "failed to connect" not in str(error):
                    raise
                time.sleep(0.3)
        return self._evaluate(code)

    def _evaluate(self, code: str) -> str:
        erl_call = find_binary(("erl_call", "/usr/lib/erlang/bin/erl_call"), "Erlang's erl_call")
        done = subprocess.run(
            [erl_call, "-c", self.address.cookie, "-n", self.address.node, "-e"],
            input=f"{code.strip()}\n".encode(),
            env=self._environment(),
            capture_output=True,
            timeout=60.0,
            check=False,
        )
        answer = done.stdout.decode()
        if done.returncode != 0 or not answer.startswith("{ok, "):
            raise ServerError(f"RabbitMQ refused {code!r}: {answer}{done.stderr.decode()}")
        return answer.strip()[len("{ok, ") : -1]

    def _end(self, sent: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, sent, seconds=60.0)
            self._process = None

    def _is_up(self) -> bool:
        if not is_listening(self.address.port):
            return False
        try:
            return self._evaluate("rabbit:is_running().") == "true"
        except ServerError:
            return False

    def _write_files(self) -> None:
        for name in ("data", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "enabled_plugins").write_text("[].\n")
        settings = RABBITMQ_CONF.format(
            port=self.address.port, user=RABBITMQ_USER, password=self.address.password
        )
        (self.folder / "rabbitmq.conf").write_text(settings)
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self.address.cookie)
            cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            RUN_ID: os.environ.get(RUN_ID, ""),
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.address.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.address.node,
            "RABBITMQ_DIST_PORT": str(self.address.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # The start script then becomes the broker instead of watching over it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _start_epmd(self) -> None:
        """Run Erlang's port mapper in the foreground, or the broker would leave one behind."""
        if self._epmd is not None and self._epmd.poll() is None:
            return
        binary = find_binary(("epmd", "/usr/lib/erlang/bin/epmd"), "Erlang")
        self._epmd = spawn(
            [binary, "-port", str(self.address.epmd_port)], self.folder, self._environment()
        )
        wait_until(
            lambda: is_listening(self.address.epmd_port),
            "epmd",
            10.0,
            log=self.folder / "out.log",
            process=self._epmd,
        )
