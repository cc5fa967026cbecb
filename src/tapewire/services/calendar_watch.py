"""Corrections of the exchange's calendar, taken from the provider's list of coming holidays.

The list is asked for through the Market Data Cache, so that many replicas make one call an
hour; what it says is stored for every process that keeps a calendar.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from tapewire.caches.cache import CacheError
from tapewire.caches.corrections import CalendarKeeper, CorrectionStore
from tapewire.caches.known import Known, LookupFailed
from tapewire.market.corrections import Correction
from tapewire.market.sessions import SessionCalendar

_log = logging.getLogger(__name__)

PROVIDER_NAMES: Final = {"XNYS": "NYSE"}
"""Exchange -> what the provider calls it in its list."""

STATUSES: Final = {"closed": False, "early-close": True}
"""The provider's status of a day -> whether there is a session."""

KEPT_DAYS: Final = 10
"""How long a correction is kept after its date, for whoever starts a few days later."""

LOOK_S: Final = 3600.0
RETRY_S: Final = 60.0


class Lookups(Protocol):
    """The Market Data Cache as it is needed here."""

    async def lookup(self, kind: str, argument: str = "") -> Known:
        """What is known of one thing."""


class CalendarWatch:
    """Stores corrections for all, and applies them to the calendar at hand.

    ``unreadable``: days of the list whose status or hours nobody here understands.
    """

    def __init__(
        self,
        lookups: Lookups,
        store: CorrectionStore,
        calendar: SessionCalendar,
        now_ms: Callable[[], int],
    ) -> None:
        self._lookups = lookups
        self._store = store
        self._calendar = calendar
        self._now_ms = now_ms
        self.keeper = CalendarKeeper(store, calendar)
        self.unreadable: list[str] = []

    async def look(self) -> None:
        """Take the list once; raises LookupFailed or CacheError."""
        known = await self._lookups.lookup("market_upcoming")
        exchange = self._calendar.exchange
        corrections, self.unreadable = read_list(known.value() or (), PROVIDER_NAMES[exchange])
        for text in self.unreadable:
            _log.warning("a coming day of the provider's list cannot be read: %s", text)
        await self._store.add(exchange, corrections, self._oldest())
        await self.keeper.look()

    async def follow(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Take the list every hour until cancelled; after a failure, soon again.

        What is stored already is applied first, also when the provider has no list.
        """
        while True:
            try:
                await self.keeper.look()
                await self.look()
                pause_s = LOOK_S
            except (LookupFailed, CacheError) as error:
                _log.info("coming holidays: %s; asking again in %.0f s", error, RETRY_S)
                pause_s = RETRY_S
            await sleep(pause_s)

    def _oldest(self) -> str:
        today = dt.date.fromisoformat(self._calendar.trading_date(self._now_ms()))
        return (today - dt.timedelta(days=KEPT_DAYS)).isoformat()


def read_list(
    rows: Iterable[Mapping[str, Any]], exchange: str
) -> tuple[list[Correction], list[str]]:
    """The days of one exchange as corrections, and in words those that cannot be read."""
    corrections, unreadable = [], []
    for row in rows:
        if row.get("exchange") != exchange:
            continue
        try:
            corrections.append(_correction(row))
        except (KeyError, ValueError) as error:
            unreadable.append(f"{row.get('date')} {row.get('name')}: {error!r}")
    return corrections, unreadable


def _correction(row: Mapping[str, Any]) -> Correction:
    is_session = STATUSES[row["status"]]
    name = f"{row['date']} {row.get('name', '')}".strip()
    if not is_session:
        return Correction(row["date"], is_session=False, name=name)
    opens, closes = (_ms(row.get(field)) for field in ("open", "close"))
    return Correction(row["date"], True, opens, closes, name)


def _ms(text: str | None) -> int | None:
    """UTC ms of a time in RFC 3339, which must say its offset."""
    if text is None:
        return None
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return round(time.timestamp() * 1000)
