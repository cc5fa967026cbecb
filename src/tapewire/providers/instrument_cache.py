"""Instrument masters on disk: fetched once a day, there when the broker's server is not.

A master is kept as one file, replaced whole or not at all. What cannot be fetched, cannot be
read, holds nothing, or holds far less than the one before never replaces it.
"""

import asyncio
import logging
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from tapewire.market.instruments import Instrument
from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.disconnects import BackOff

_log: Final = logging.getLogger(__name__)

NEW_AT: Final = timedelta(hours=5, minutes=30) - timedelta(hours=7)
"""A master's day turns at 07:00 in India: brokers publish between 06:00 and then."""

LEAST_SHARE: Final = 0.5
"""A master with less than this share of the instruments before counts as cut off."""

SUFFIX: Final = ".instruments"
_VERSION: Final = 1
_UNSAFE: Final = re.compile(r"[^\w.-]+")

Fetch = Callable[[str], Awaitable[bytes]]
"""GET of a URL; raises BrokerError, OSError or aiohttp.ClientError when it fails."""

Parse = Callable[[bytes], Sequence[Instrument]]
"""Instruments of a file; raises ValueError for what is none. Called in a thread."""


def master_date(now_s: float) -> str:
    """The day (of ``NEW_AT``) whose masters are to be had at wall-clock seconds UTC."""
    return (datetime.fromtimestamp(now_s, UTC) + NEW_AT).date().isoformat()


class Kept(Struct, frozen=True):
    """A master as it lies on disk; ``date`` is the day (of `NEW_AT`) it was fetched on."""

    version: int
    date: str
    fetched_ms: int
    instruments: list[Instrument]


class InstrumentCache:
    """Masters under ``folder``, which is made when it is not there.

    ``clock`` is wall-clock seconds UTC. ``counts`` has ``fetched``, ``reused`` (same day's),
    ``fell_back`` (an older one, since there was no new one), ``not_kept`` (could not be
    written), ``unreadable`` (on disk, ignored), ``cut_off``. ``ages_s`` says by name how old
    what was given last is.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self.counts: Counter[str] = Counter()
        self.ages_s: dict[str, float] = {}

    async def load(self, name: str, url: str, fetch: Fetch, parse: Parse) -> Sequence[Instrument]:
        """The master of this name: today's, else a new one, else the one on disk.

        Reading, parsing and writing happen in threads. Raises BrokerError when there is
        nothing to give.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            kept = await asyncio.to_thread(self._read, name)
            if kept is not None and kept.date == self._today():
                self.counts["reused"] += 1
                return self._give(name, kept)
            try:
                fresh = await self._fetched(url, fetch, parse, kept)
            except (BrokerError, OSError, aiohttp.ClientError, ValueError) as error:
                return self._fall_back(name, kept, error)
            self.counts["fetched"] += 1
            await asyncio.to_thread(self._write, name, fresh)
            return self._give(name, fresh)

    async def _fetched(self, url: str, fetch: Fetch, parse: Parse, kept: Kept | None) -> Kept:
        """A new master; raises ValueError when it is not as large as it should be."""
        data = await fetch(url)
        instruments = list(await asyncio.to_thread(parse, data))
        least = 1 if kept is None else max(1, int(len(kept.instruments) * LEAST_SHARE))
        if len(instruments) < least:
            self.counts["cut_off"] += 1
            raise ValueError(f"{len(instruments)} instruments, expected at least {least}")
        return Kept(_VERSION, self._today(), int(self._clock() * 1000), instruments)

    def _fall_back(self, name: str, kept: Kept | None, error: Exception) -> Sequence[Instrument]:
        why = str(error) or type(error).__name__
        if kept is None:
            advice = "there is none on disk either: check the network, or try again later"
            ending = Ending("no_master", BackOff(10.0), f"instruments {name}: {why}; {advice}")
            raise BrokerError(ending) from error
        self.counts["fell_back"] += 1
        instruments = self._give(name, kept)
        _log.warning(
            "instruments %s: %s; using those of %s, %.1f h old: new contracts are missing",
            name,
            why,
            kept.date,
            self.ages_s[name] / 3600,
        )
        return instruments

    def _give(self, name: str, kept: Kept) -> Sequence[Instrument]:
        self.ages_s[name] = self._clock() - kept.fetched_ms / 1000
        return kept.instruments

    def _today(self) -> str:
        return master_date(self._clock())

    # -- on disk

    def path(self, name: str) -> Path:
        """Where the master of this name is kept."""
        return self._folder / f"{_UNSAFE.sub('_', name)}{SUFFIX}"

    def _read(self, name: str) -> Kept | None:
        path = self.path(name)
        try:
            kept = _decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._ignore(path, str(error))
            return None
        if kept.version != _VERSION or not kept.instruments:
            self._ignore(path, f"version {kept.version}, expected {_VERSION}")
            return None
        return kept

    def _ignore(self, path: Path, why: str) -> None:
        self.counts["unreadable"] += 1
        _log.warning("instruments on disk are ignored: %s: %s", path.name, why)

    def _write(self, name: str, kept: Kept) -> None:
        """Replace the file whole. Who cannot write goes on without, and that is said."""
        path = self.path(name)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(_encode(kept))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            self.counts["not_kept"] += 1
            with suppress(OSError):  # where nothing can be made, nothing is left
                temporary.unlink()
            _log.warning("instruments %s cannot be kept: %s", name, error)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Kept).decode
