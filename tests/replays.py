"""``tapewire`` run as a user runs it, and what a replay leaves behind, read back.

A replay is a process with an environment of its own: nothing of the developer's settings
reaches it. Its result is read through the package's reader, or through the commands.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tapewire.caches.reader import WidgetReader
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli.replay_result import ShardProgress, progress_of
from tapewire.model.streams import Shard
from tests.leftovers import RUN_ID
from tests.servers import RedisServer

SYMBOLS = ("AIG", "BAC", "IBM", "SPY")
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", RUN_ID)

Row = dict[str, Any]


def environment(**settings: str) -> dict[str, str]:
    """What a command sees: the way to programs, and these settings."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | settings


def command(*arguments: str) -> list[str]:
    """The command line of ``tapewire``, in this interpreter."""
    return [sys.executable, "-m", "tapewire", *arguments]


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @cached_property
    def lines(self) -> list[Row]:
        """Its output as JSON lines; fails the test, with stderr, unless it ended well."""
        assert self.code == 0, f"exit code {self.code}\n{self.stderr}"
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def result(self) -> Row:
        """The one object that a replay prints."""
        (result,) = self.lines
        return result


def tapewire(*arguments: str, env: Mapping[str, str], seconds: float = 100.0) -> Ended:
    """Run one command to its end."""
    done = subprocess.run(
        command(*arguments),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Running:
    """A command that runs: ``pid`` now, ``end()`` when it has ended by itself."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def runs(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def end(self, seconds: float = 60.0) -> Ended:
        """Wait for its end."""
        stdout, stderr = self._process.communicate(timeout=seconds)
        return Ended(self._process.returncode, stdout, stderr)


@contextmanager
def started(*arguments: str, env: Mapping[str, str]) -> Iterator[Running]:
    """Start a command; whatever happens, it has ended afterwards, its children with it."""
    process = subprocess.Popen(
        command(*arguments),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=20.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def trade_files(shared: Path, *dates: str, symbols: Sequence[str] = SYMBOLS) -> list[str]:
    """``lean:`` sources of these days' (``2013-10-07``) trades."""
    ticks = shared / "data" / "lean" / "tick"
    names = [f"{date.replace('-', '')}_trade.zip" for date in dates]
    return [f"lean:{ticks / symbol.lower() / name}" for name in names for symbol in symbols]


@dataclass(frozen=True)
class Stored:
    """What a Widget Data Cache holds."""

    url: str

    @cached_property
    def dump(self) -> list[Row]:
        """Every final row, in the canonical order."""
        return asyncio.run(self._dump())

    async def _dump(self) -> list[Row]:
        cache = RedisWidgetCache(self.url)
        try:
            return [row async for row in WidgetReader(cache).dump()]
        finally:
            await cache.close()

    def rows(self, family: str) -> list[Row]:
        """Rows of one family (``candles``, ``quote``, ``scanners``), without the feed's name."""
        return [
            {name: value for name, value in row.items() if name != "feed"}
            for row in self.dump
            if row["feed"].partition(":")[0] == family
        ]

    def candles(self, interval: str = "1m") -> list[Row]:
        """Candles of one interval."""
        return [row for row in self.rows("candles") if row["interval"] == interval]

    def board(self, name: str) -> list[Row]:
        """The lines of one board."""
        wanted = f"scanners:{name}"
        lines = [row for row in self.dump if row["feed"] == wanted]
        return [{k: v for k, v in line.items() if k != "feed"} for line in lines]

    def progress(self, *shards: str) -> list[ShardProgress]:
        """How far these shards are at this moment."""
        return asyncio.run(self._progress([Shard.parse(shard) for shard in shards]))

    async def _progress(self, shards: Sequence[Shard]) -> list[ShardProgress]:
        cache = RedisWidgetCache(self.url)
        try:
            return await progress_of(cache, shards)
        finally:
            await cache.close()


def wait_for(condition: Any, what: str, seconds: float = 30.0) -> Any:
    """Poll until ``condition()`` is true and return it; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.005)
    return found


class Databases:
    """Empty databases of one Redis: each result of a module's replays keeps one for itself."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._numbers = iter(range(16))

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._server.pid

    def new(self) -> str:
        """The address of a database that nobody has used."""
        return f"{self._server.url.rpartition('/')[0]}/{next(self._numbers)}"


@contextmanager
def databases(folder: Path) -> Iterator[Databases]:
    """A Redis of a test module's own."""
    server = RedisServer(folder)
    try:
        server.start()
        yield Databases(server)
    finally:
        server.stop()


class Day:
    """One replayed day: what the command printed, and what it stored."""

    def __init__(self, ended: Ended, url: str) -> None:
        self.ended = ended
        self.result = ended.result
        self.stored = Stored(url)


class Replays:
    """Replays a day once for all the tests that look at it."""

    def __init__(self, shared: Path, found: Databases, rabbitmq_url: str) -> None:
        self.shared = shared
        self._databases = found
        self._rabbitmq_url = rabbitmq_url
        self._days: dict[tuple[str, ...], Day] = {}

    def of(self, date: str, *options: str) -> Day:
        """The day replayed with these options."""
        key = (date, *options)
        if key not in self._days:
            url = self._databases.new()
            env = environment(WDC_REDIS_URL=url, RABBITMQ_URL=self._rabbitmq_url)
            sources = trade_files(self.shared, date)
            ended = tapewire("replay", *sources, *options, "--json", env=env)
            self._days[key] = Day(ended, url)
        return self._days[key]
