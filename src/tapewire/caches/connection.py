"""Connections to Redis or Valkey: no hidden retries, bounded waits, errors of our own.

redis-py repeats a command after a lost connection by default, which would apply a script
twice and hide an outage. ``Retry(NoBackoff(), 0)`` runs each command and each connect
exactly once, whatever the URL's options say; whoever called decides what is safe to repeat.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tapewire.caches.cache import CacheError, CacheUnavailable

TIMEOUT_S: Final = 5.0
"""How long one answer may take before the server counts as unavailable."""

NOT_NOW: Final = re.compile(
    r"\b(READONLY|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|OOM)\b"
)
"""Codes of a server that may take the same command later. Redis 6.2 puts a code that a
script ran into inside its message; redis-py cuts some codes off and has classes for them."""

NOT_NOW_CLASSES: Final = (
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
)


Argument = str | bytes | int | float
Command = tuple[Argument, ...]


class Script:
    """One Lua script of ``caches/lua``.

    Args:
        name: its file's name without ``.lua``.
    """

    def __init__(self, name: str) -> None:
        self.source = (files("tapewire.caches") / "lua" / f"{name}.lua").read_bytes()
        self.digest = sha1(self.source, usedforsecurity=False).hexdigest()


def unix_ms() -> int:
    """Wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


def open_redis(
    url: str, *, timeout_s: float | None = TIMEOUT_S, connect_s: float = TIMEOUT_S
) -> Any:
    """redis-py's own client (its types are loose), nothing repeated.

    ``timeout_s`` bounds sending and each answer, unless the caller does (None).
    """
    return Redis.from_url(
        url,
        protocol=2,
        decode_responses=False,
        socket_timeout=timeout_s,
        socket_connect_timeout=connect_s,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
    )


class Link:
    """Connections to one server; opened when first used.

    The bound of each request is our own: redis-py's uses ``wait_for``, which on Python 3.11
    loses a cancellation that comes while a command is sent, and its task then runs on.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…?db=N``; ValueError for another kind.
        timeout_s: bounds a request: connecting where needed, writing, waiting for the answer.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self.address = address_of(url)
        self.timeout_s = timeout_s
        self._redis = open_redis(url, timeout_s=None, connect_s=timeout_s)

    async def run(self, *command: Argument) -> Any:
        """Send one command once and return its answer; keys and values are bytes."""
        async with self._bounded():
            return await self._redis.execute_command(*command)

    async def script(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        """Run a script once.

        A server that does not know its digest (``NOSCRIPT``: restarted, flushed) has run
        nothing, so the whole text is sent.
        """
        rest = (len(keys), *keys, *arguments)
        async with self._bounded():
            try:
                return await self._redis.execute_command("EVALSHA", script.digest, *rest)
            except exceptions.NoScriptError:
                return await self._redis.execute_command("EVAL", script.source, *rest)

    async def together(self, commands: Iterable[Command], *, atomic: bool) -> list[Any]:
        """Send commands in one round trip, in one MULTI when ``atomic``; one answer each."""
        async with self._redis.pipeline(transaction=atomic) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            async with self._bounded():
                return list(await pipeline.execute())

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        with answers_from(self.address):
            async with asyncio.timeout(self.timeout_s):
                yield

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()


def address_of(url: str) -> str:
    """Where a URL points, without user and password: ``127.0.0.1:6379/0``, ``/run/wdc.sock``."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path or '/0'}"


@contextmanager
def answers_from(address: str) -> Iterator[None]:
    """Turn what redis-py raises into CacheUnavailable (try again) or CacheError (do not)."""
    try:
        yield
    except exceptions.AuthenticationError as error:
        raise CacheError(f"{address} refused the user or password: {error}") from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise CacheUnavailable(
            f"no answer from {address}: {str(error) or 'not in time'}"
        ) from error
    except exceptions.ResponseError as error:
        if isinstance(error, NOT_NOW_CLASSES) or NOT_NOW.search(str(error)):
            raise CacheUnavailable(f"{address} cannot serve now: {error}") from error
        raise CacheError(f"{address} refused a command: {error}") from error
    except exceptions.RedisError as error:
        raise CacheError(f"{address}: {error}") from error
