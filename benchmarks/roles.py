"""The processes of the ``rabbitmq`` benchmark, and what starts them.

``python -m benchmarks.roles ROLE`` reads its task as one line of JSON, answers with lines
of JSON on stdout (the first when it is ready) and ends when its stdin does, so that no
process outlives the benchmark.
"""

import asyncio
import json
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from msgspec import Struct
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from benchmarks import machine
from benchmarks.batches import TRADES
from benchmarks.frames import PROJECT
from benchmarks.listener import DIALOGUE
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.rows import Reference
from tapewire.model.streams import Stream
from tapewire.providers.massive.client import ClientBounds, MassiveClient
from tapewire.providers.massive.protocol import END_OF_SOURCE
from tapewire.providers.massive.wire import decode
from tapewire.queues.arguments import QueueLayout
from tapewire.queues.rabbitmq import RabbitQueue
from tapewire.runtime.lease import LocalLease
from tapewire.services.analysis import Analysis
from tapewire.services.listener import MassiveDataListener
from tapewire.services.processor import MassiveDataProcessor
from tapewire.services.shard_owner import ProcessorOptions
from tests.servers import ServerError

TOPICS: Final = ("T.*",)
SHARDS: Final = {Stream.TRADES: 1}
PREFIX: Final = "benchmark."
WRITE_BYTES: Final = 256 * 1024


class Task(Struct):
    """What a role needs to know; each reads its own part."""

    amqp: str = ""
    redis: str = ""
    feed: str = ""
    tape: str = ""
    references: list[Reference] = msgspec.field(default_factory=list)


class Roles:
    """The running processes by role."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str, **task: object) -> dict[str, Any]:
        """Start a role and wait until it is ready; returns what it then says."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.roles", role],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._processes[role] = process
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        process.stdin.flush()
        return self.hear(role)

    def hear(self, role: str) -> dict[str, Any]:
        """The next line of a role. Raises ServerError when it has ended instead."""
        stdout = self._processes[role].stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise ServerError(f"the benchmark's {role} ended; its last lines say why")
        said: dict[str, Any] = json.loads(line)
        return said

    def check(self) -> None:
        """Raise ServerError when a role has ended too soon."""
        for role, process in self._processes.items():
            if process.poll() is not None:
                raise ServerError(f"the benchmark's {role} ended; its last lines say why")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            end(process)


def end(process: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    """Close a role's stdin and wait for its end; kill it when it does not hear."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def wire(frames: Iterable[bytes]) -> bytes:
    """Text frames as a server sends them (RFC 6455, 5.2): unmasked, one frame a message."""
    return b"".join(part for frame in frames for part in (_head(len(frame)), frame))


def _head(size: int) -> bytes:
    if size < 126:
        return struct.pack("!BB", 0x81, size)
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size)
    return struct.pack("!BBQ", 0x81, 127, size)


# -- the roles themselves


def answer(**said: object) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def run_feeder(task: Task, ended: Awaitable[object]) -> None:
    """The provider: its dialogue, then the tape, then the end of the source."""
    tape = Path(task.tape).read_bytes()  # noqa: ASYNC240  # nobody waits for us yet

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Feed(reader, writer).play(tape)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        answer(url=f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stocks")
        await ended


class Feed:
    """One client of the feeder."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol()

    async def play(self, tape: bytes) -> None:
        """Shake hands, hear key and subscription, write the tape, close."""
        await self._shake_hands()
        connected, authenticated, subscribed = DIALOGUE
        self._say(connected)
        await self._hear()
        self._say(authenticated)
        await self._hear()
        self._say(subscribed)
        answer(first_sent=time.monotonic())
        view = memoryview(tape)
        for start in range(0, len(tape), WRITE_BYTES):
            self._writer.write(view[start : start + WRITE_BYTES])
            await self._writer.drain()
        self._protocol.send_close(1000, END_OF_SOURCE)
        self._send()
        while self._protocol.close_rcvd is None:
            await self._more()
        self._writer.close()

    async def _shake_hands(self) -> None:
        request = await self._hear()
        assert isinstance(request, Request)
        self._protocol.send_response(self._protocol.accept(request))
        self._send()

    async def _hear(self) -> object:
        """The client's next request or message; its pings and pongs do not count."""
        while True:
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    return event
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    return event
            await self._more()

    async def _more(self) -> None:
        data = await self._reader.read(65_536)
        if not data:
            raise ConnectionError("the listener left before the end")
        self._protocol.receive_data(data)

    def _say(self, text: bytes) -> None:
        self._protocol.send_text(text)
        self._send()

    def _send(self) -> None:
        for data in self._protocol.data_to_send():
            self._writer.write(data)


async def run_listener(task: Task, ended: Awaitable[object]) -> None:
    """A lossless listener, as ``tapewire replay`` runs it."""
    queue = RabbitQueue(task.amqp, QueueLayout.lossless(PREFIX, SHARDS), name="listener")
    await queue.start()
    bounds = ClientBounds(max_unreachable=3)
    client = MassiveClient(task.feed, "benchmark", TOPICS, once=True, bounds=bounds)
    lease = LocalLease(time.time_ns() // 1_000_000)
    service = MassiveDataListener(client, queue, lease, shards=SHARDS, lossless=True)
    await service.start()
    answer(ready=True)
    await service.wait()
    await ended
    await service.stop()
    await queue.stop()


class FixedReferences:
    """Reference rows that were given with the task."""

    def __init__(self, rows: Sequence[Reference]) -> None:
        self._rows = rows

    async def snapshot(self) -> Sequence[Reference]:
        return self._rows


async def run_processor(task: Task, ended: Awaitable[object]) -> None:
    """A lossless processor, as ``tapewire replay`` runs it."""
    queue = RabbitQueue(task.amqp, QueueLayout.lossless(PREFIX, SHARDS), name="processor")
    cache = RedisWidgetCache(task.redis)
    service = MassiveDataProcessor(
        queue,
        cache,
        FixedReferences(task.references),
        [TRADES],
        Analysis.of(TOPICS).maker(),
        decode,
        ProcessorOptions(live=False),
    )
    await service.start()
    answer(ready=True)
    await ended
    await service.stop()
    await cache.close()


ROLES: Final[Mapping[str, Callable[[Task, Awaitable[object]], Awaitable[None]]]] = {
    "feeder": run_feeder,
    "listener": run_listener,
    "processor": run_processor,
}


async def play_role(name: str) -> None:
    """Read the task, play the role until stdin ends."""
    task = msgspec.json.decode(sys.stdin.readline(), type=Task)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await ROLES[name](task, ended)


if __name__ == "__main__":
    machine.run_on_loop(lambda: play_role(sys.argv[1]))
