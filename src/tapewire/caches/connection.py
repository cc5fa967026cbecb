"""Connections to Redis or Valkey: no hidden retries, bounded waits, errors of our own.

redis-py repeats a command after a lost connection by default, which would apply a script
twice and hide an outage. ``Retry(NoBackoff(), 0)`` runs each command and each connect
exactly once, whatever the URL's options say; whoever called decides what is safe to repeat.
"""

import re
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Protocol, Self, cast
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis as RedisPy
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


class Pipeline(Protocol):
    """Commands sent together."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def execute_command(self, *arguments: Any) -> Any:
        """Add one command."""

    async def execute(self) -> Sequence[Any]:
        """Send them; one answer each. Raises the first error."""


class Redis(Protocol):
    """What the caches use of redis-py's client. Keys and values come back as bytes."""

    def execute_command(self, *arguments: Any) -> Awaitable[Any]:
        """Send one command, return its answer."""

    def pipeline(self, *, transaction: bool) -> Pipeline:
        """Send many commands in one round trip; in one MULTI with ``transaction``."""

    async def aclose(self) -> None:
        """Close every connection."""


def unix_ms() -> int:
    """Wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


def open_redis(url: str, *, timeout_s: float = TIMEOUT_S) -> Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://``; connects when first used.

    Raises ValueError for another kind of URL. ``timeout_s`` bounds connecting, writing
    and waiting for one answer.
    """
    client = RedisPy.from_url(
        url,
        protocol=2,
        decode_responses=False,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
    )
    return cast(Redis, client)


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
        raise CacheUnavailable(f"no answer from {address}: {error}") from error
    except exceptions.ResponseError as error:
        if isinstance(error, NOT_NOW_CLASSES) or NOT_NOW.search(str(error)):
            raise CacheUnavailable(f"{address} cannot serve now: {error}") from error
        raise CacheError(f"{address} refused a command: {error}") from error
    except exceptions.RedisError as error:
        raise CacheError(f"{address}: {error}") from error
