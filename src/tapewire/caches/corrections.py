"""Corrections of an exchange's calendar in MDC, and a process's calendar kept in step.

They are few and change a few times a year, so a reader asks for all of them now and then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.connection import Link
from tapewire.caches.keys import MarketDataCacheKeys as Keys
from tapewire.caches.keys import MarketDataCacheTTL as Ttl
from tapewire.market.corrections import Correction, correct, merged
from tapewire.market.sessions import SessionCalendar

_log = logging.getLogger(__name__)

LOOK_S: Final = 30.0
"""How soon a correction reaches every process."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Correction]).decode


class CorrectionStore:
    """Every correction of an exchange's calendar, as one value.

    Args:
        link: the Market Data Cache; its owner closes it.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def add(self, exchange: str, newer: Sequence[Correction], oldest: str) -> None:
        """Put corrections among the known ones; dates before ``oldest`` are forgotten.

        One writer at a time, who holds the reference service's lease. CacheUnavailable: try
        again, it is safe.
        """
        packed = _encode(merged(await self.corrections(exchange), newer, oldest))
        await self._link.run("SET", Keys.corrections(exchange), packed, "EX", Ttl.CORRECTIONS_S)

    async def corrections(self, exchange: str) -> Sequence[Correction]:
        """All of them, by date."""
        packed = await self._link.run("GET", Keys.corrections(exchange))
        return _decode(packed) if packed else ()


class CalendarKeeper:
    """Applies corrections to one calendar; ``misfits`` are those that do not fit their dates."""

    def __init__(self, store: CorrectionStore, calendar: SessionCalendar) -> None:
        self._store = store
        self._calendar = calendar
        self.applied = 0
        self.misfits: list[str] = []

    async def look(self) -> None:
        """Apply what is stored now; raises CacheUnavailable."""
        corrected = correct(self._calendar, await self._store.corrections(self._calendar.exchange))
        self.applied += len(corrected.days)
        for day in corrected.days:
            hours = "closed" if not day.is_session else f"open until {day.close_ms} ms UTC"
            _log.warning("%s %s is %s, by correction", day.exchange, day.date, hours)
        for misfit in corrected.misfits:
            if misfit not in self.misfits:
                _log.warning("calendar not corrected: %s", misfit)
        self.misfits = corrected.misfits

    async def follow(
        self, look_s: float = LOOK_S, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Look again and again until cancelled; without MDC the calendar stays as it is."""
        while True:
            try:
                await self.look()
            except CacheUnavailable as error:
                _log.info("corrections of the calendar: %s; looking again", error)
            await sleep(look_s)
