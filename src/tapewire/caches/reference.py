"""Reference rows in the Market Data Cache: what is there, and word of what changes.

Rows are idempotent upserts by (date, symbol), so a reader that takes a position in the
change stream, then a snapshot, then follows from the position ends with every row right.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final, Protocol

import msgspec
from msgspec import Struct, field

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import TIMEOUT_S, Command, Link, unix_ms
from tapewire.caches.keys import MarketDataCacheBounds as Bounds
from tapewire.caches.keys import MarketDataCacheKeys as Keys
from tapewire.caches.keys import MarketDataCacheTTL as Ttl
from tapewire.model.rows import Reference, decode_reference, encode_row

ROWS_AT_ONCE: Final = 2_000
"""Rows of one write and of one change stream entry: bounds a command's size (0.3 MB)."""

BLOCK_S: Final = 1.0

_decode_rows = msgspec.msgpack.Decoder(list[Reference]).decode


class Loaded(Struct, array_like=True):
    """How a trading date's rows were loaded.

    ``turn``: the turn of the trading day (its ISO date) before which it was done; ``loaded_ms``:
    UTC; ``counts``: symbols by what is known of them; ``missing``: field -> why it is empty;
    ``provider``: whose rows they are (`provider_limits.provider_of`).
    """

    date: str
    turn: str
    loaded_ms: int
    counts: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    provider: str = ""


decode_loaded: Final = msgspec.msgpack.Decoder(Loaded).decode


class FellBehind(Exception):  # noqa: N818 - it says what happened
    """The change stream no longer holds what comes after a position: take a snapshot."""


class ReferenceStore(Protocol):
    """Reference rows by trading date, in Redis or in memory."""

    async def put(self, date: str, rows: Sequence[Reference]) -> None:
        """Upsert a trading date's rows by symbol; CacheUnavailable: try again, it is safe."""

    async def mark_loaded(self, loaded: Loaded) -> None:
        """Say that a trading date's rows are complete."""

    async def loaded(self, date: str) -> Loaded | None:
        """How a trading date's rows were loaded; None when they were not."""

    async def snapshot(self, dates: Sequence[str] | None = None) -> Sequence[Reference]:
        """Rows of these dates, or of all that are stored; no order."""

    async def position(self) -> str:
        """Where the change stream ends now."""

    def follow(self, position: str) -> AsyncGenerator[Sequence[Reference], None]:
        """Rows put after a position, as they come. Close it (``contextlib.aclosing``).

        Raises CacheUnavailable, and FellBehind when entries are missing in between.
        """


async def keep_following(
    store: ReferenceStore,
    refer: Callable[[Sequence[Reference]], None],
    *,
    retry_s: float = 1.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Give every stored row and then every change to ``refer``, until cancelled.

    After an outage, or when changes were missed, every row is given once more.
    """
    while True:
        try:
            position = await store.position()
            refer(await store.snapshot())
            async with aclosing(store.follow(position)) as changes:
                async for rows in changes:
                    refer(rows)
        except (CacheUnavailable, FellBehind):
            await sleep(retry_s)


class ReferenceCache:
    """ReferenceStore on Redis or Valkey.

    Args:
        url: the Market Data Cache.
        now_ms: wall clock, for which dates have expired.
    """

    def __init__(
        self, url: str, *, now_ms: Callable[[], int] = unix_ms, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._link = Link(url, timeout_s=timeout_s)
        self._now_ms = now_ms

    async def close(self) -> None:
        """Close every connection."""
        await self._link.close()

    async def put(self, date: str, rows: Sequence[Reference]) -> None:
        """Write rows and their change stream entry together, 2,000 at a time."""
        for start in range(0, len(rows), ROWS_AT_ONCE):
            commands = self._writes(date, rows[start : start + ROWS_AT_ONCE])
            await self._link.together(commands, atomic=True)

    def _writes(self, date: str, rows: Sequence[Reference]) -> Iterable[Command]:
        key, now_ms = Keys.reference(date), self._now_ms()
        fields = [part for row in rows for part in (row.symbol, encode_row(row))]
        yield ("HSET", key, *fields)
        yield ("EXPIRE", key, Ttl.REFERENCE_S)
        yield ("ZREMRANGEBYSCORE", Keys.REFERENCE_DATES, "-inf", now_ms)
        yield ("ZADD", Keys.REFERENCE_DATES, now_ms + Ttl.REFERENCE_S * 1000, date)
        yield ("EXPIRE", Keys.REFERENCE_DATES, Ttl.REFERENCE_S)
        bound = ("MAXLEN", "~", Bounds.REFERENCE_CHANGES)
        yield ("XADD", Keys.REFERENCE_CHANGES, *bound, "*", "rows", encode_row(rows))
        yield ("EXPIRE", Keys.REFERENCE_CHANGES, Ttl.REFERENCE_S)

    async def mark_loaded(self, loaded: Loaded) -> None:
        """Write the mark that everybody reads before loading a date."""
        await self._link.run(
            "SET", Keys.loaded(loaded.date), encode_row(loaded), "EX", Ttl.REFERENCE_S
        )

    async def loaded(self, date: str) -> Loaded | None:
        """The mark of a date."""
        packed = await self._link.run("GET", Keys.loaded(date))
        return decode_loaded(packed) if packed else None

    async def newest(self) -> Loaded | None:
        """The mark of the newest date that was loaded."""
        dates = await self._link.run("ZRANGE", Keys.REFERENCE_DATES, 0, -1)
        for date in sorted(dates, reverse=True):
            if (loaded := await self.loaded(date.decode())) is not None:
                return loaded
        return None

    async def snapshot(self, dates: Sequence[str] | None = None) -> Sequence[Reference]:
        """Rows of these dates, or of all that have not expired."""
        if dates is None:
            found = await self._link.run(
                "ZRANGEBYSCORE", Keys.REFERENCE_DATES, self._now_ms(), "+inf"
            )
            dates = [date.decode() for date in found]
        rows: list[Reference] = []
        for date in dates:
            packed = await self._link.run("HVALS", Keys.reference(date))
            rows += map(decode_reference, packed)
        return rows

    async def position(self) -> str:
        """The newest entry's ID, ``0-0`` before any."""
        newest = await self._link.run("XREVRANGE", Keys.REFERENCE_CHANGES, "+", "-", "COUNT", 1)
        return newest[0][0].decode() if newest else "0-0"

    async def follow(self, position: str) -> AsyncGenerator[Sequence[Reference], None]:
        """Rows put after a position, on a connection of its own."""
        link = Link(self._link.url, timeout_s=self._link.timeout_s + BLOCK_S)
        block = ("XREAD", "COUNT", 10, "BLOCK", int(BLOCK_S * 1000), "STREAMS")
        try:
            await self._check(position)
            while True:
                answer = await link.run(*block, Keys.REFERENCE_CHANGES, position)
                if not answer:
                    await self._check(position)
                for _, entries in answer or ():
                    for entry_id, fields in entries:
                        position = entry_id.decode()
                        yield _decode_rows(fields[b"rows"])
        finally:
            await link.close()

    async def _check(self, position: str) -> None:
        """Raise FellBehind unless the entry at ``position`` is still in the stream."""
        if position == "0-0":
            return
        if not await self._link.run("XRANGE", Keys.REFERENCE_CHANGES, position, position):
            raise FellBehind(
                f"{self._link.address}: {Keys.REFERENCE_CHANGES} no longer holds the entry "
                f"{position}; take a new snapshot"
            )


class MemoryReference:
    """ReferenceStore in one process; nothing expires."""

    def __init__(self) -> None:
        self._dates: dict[str, dict[str, Reference]] = {}
        self._changes: deque[tuple[int, Sequence[Reference]]] = deque(
            maxlen=Bounds.REFERENCE_CHANGES
        )
        self._marks: dict[str, Loaded] = {}
        self._last = 0
        self._put = asyncio.Event()

    async def close(self) -> None:
        """Nothing to close."""

    async def put(self, date: str, rows: Sequence[Reference]) -> None:
        """Upsert a trading date's rows by symbol."""
        if not rows:
            return
        self._dates.setdefault(date, {}).update((row.symbol, row) for row in rows)
        self._last += 1
        self._changes.append((self._last, tuple(rows)))
        self._put.set()
        self._put = asyncio.Event()

    async def mark_loaded(self, loaded: Loaded) -> None:
        """Keep the mark of a date."""
        self._marks[loaded.date] = loaded

    async def loaded(self, date: str) -> Loaded | None:
        """The mark of a date."""
        return self._marks.get(date)

    async def snapshot(self, dates: Sequence[str] | None = None) -> Sequence[Reference]:
        """Rows of these dates, or of all."""
        wanted = self._dates if dates is None else dates
        return [row for date in wanted for row in self._dates.get(date, {}).values()]

    async def position(self) -> str:
        """How often rows were put."""
        return f"{self._last}-0"

    async def follow(self, position: str) -> AsyncGenerator[Sequence[Reference], None]:
        """Rows put after a position."""
        at = int(position.partition("-")[0])
        while True:
            put = self._put
            if self._changes and self._changes[0][0] > at + 1:
                raise FellBehind(f"the changes after {at} are gone; take a new snapshot")
            for number, rows in [change for change in self._changes if change[0] > at]:
                at = number
                yield rows
            if at == self._last:
                await put.wait()
