"""Reference rows of the whole market, loaded from the provider's REST into MDC.

Quote records measure against these: the previous session's bar, the average volume and the free
float. One load asks for the last 30 sessions' grouped days (one call each; the newest is the
previous session) and, where the plan has it, for the pages of free float. Nothing here is on the
way of an event: processors read the rows from the store and follow its changes.

A trading date is loaded half an hour before it turns (04:00 New York; the provider clears its
own day at 03:30), at every turn, also before a date without a session: it then loads the next
session's rows once more, since splits take effect and bars are corrected in between.

Of several replicas one loads, by lease; the others read its mark. A mark also spares a service
that is started again the load that was done before its start.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.known import Known, LookupCounts, LookupFailed
from tapewire.caches.provider_limits import provider_of
from tapewire.caches.reference import Loaded
from tapewire.market.sessions import SessionCalendar
from tapewire.model.rows import Reference
from tapewire.providers.massive.rest import MassiveRest, RestError, TryLater
from tapewire.runtime.lease import Lease
from tapewire.runtime.service import DependencyMissing, Report, State
from tapewire.services.reference_calls import AVERAGE_SESSIONS
from tapewire.services.reference_draft import Draft

WARMED = ("snapshots", "market_status")
"""What is asked for once, after each load, for all who look it up later."""


class ReferenceStore(Protocol):
    """Where the rows go (MDC)."""

    async def put(self, date: str, rows: Sequence[Reference]) -> None:
        """Upsert a trading date's rows by symbol; CacheUnavailable: try again, it is safe."""

    async def mark_loaded(self, loaded: Loaded) -> None:
        """Say that a trading date's rows are complete."""

    async def loaded(self, date: str) -> Loaded | None:
        """How a trading date's rows were loaded; None when they were not."""


class Lookups(Protocol):
    """The Market Data Cache as it is needed here."""

    counts: LookupCounts

    async def lookup(self, kind: str, argument: str = "") -> Known:
        """What is known of one thing."""

    async def close(self) -> None:
        """Stop asking."""


_WORKING = (State.RUNNING, State.DEGRADED, State.STAND_BY)


class NoPreviousSession(Exception):  # noqa: N818 - it says what happened
    """The provider shows no bars of the session before the date."""


class ReferenceSettings(Struct, frozen=True):
    """How much and how often.

    ``lead_ms``: how long before its turn a date is loaded. Seconds are waits: the first after a
    failure, the longest after many, between two looks at the wall clock when idle, between two
    looks at what another replica has loaded, and between two renewals of the lease.
    """

    sessions: int = AVERAGE_SESSIONS
    lead_ms: int = 30 * 60_000
    backoff_s: float = 2.0
    longest_backoff_s: float = 300.0
    look_s: float = 30.0
    stand_by_s: float = 2.0
    renew_s: float = 5.0


class ReferenceService:
    """Keeps the current and the coming trading date's reference rows in the store.

    ``wall_ms``: UTC milliseconds now. The session behind ``rest`` and the store's connection
    belong to whoever composes the service. ``lease``: of the one replica that loads; without one
    this is the only replica. ``adopts``: whether what was loaded before the start will do.
    ``lookups``: the Market Data Cache; ``more``: goes into the report's detail. Healthy only
    while the rows of the current (or, before its turn, the coming) session are in the store,
    with a previous session's bars.
    """

    name = "reference"

    def __init__(
        self,
        rest: MassiveRest,
        store: ReferenceStore,
        calendar: SessionCalendar,
        *,
        wall_ms: Callable[[], int],
        instance: str = "reference-0",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        settings: ReferenceSettings = ReferenceSettings(),  # noqa: B008 - frozen
        lease: Lease | None = None,
        lookups: Lookups | None = None,
        adopts: bool = True,
        more: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._rest = rest
        self._store = store
        self._calendar = calendar
        self._wall_ms = wall_ms
        self._instance = instance
        self._sleep = sleep
        self._jitter = jitter
        self._settings = settings
        self._lease = lease
        self._lookups = lookups
        self._more = more
        self._provider = provider_of(str(rest.base))
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._draft: Draft | None = None
        self._loaded: dict[str, dict[str, int]] = {}
        self._missing: dict[str, str] = {}
        self._done_at_turn = ""
        self._anew = not adopts
        self._failures = 0
        self._enter(State.STOPPED)

    async def load(self, date: str) -> list[Reference]:
        """Return a trading date's rows and write nothing: for a replay, which knows its dates.

        Prices and volumes are as they were traded, like the recorded events. No rows where the
        provider has nothing; DependencyMissing when it does not answer.
        """
        draft = self._begin(date)
        try:
            await self._ask_newest(draft, adjusted=False)
            await self._ask_rest(draft, adjusted=False)
        except TryLater as error:
            raise DependencyMissing(f"reference data of {date}: {error}") from error
        self._missing = draft.missing
        return draft.rows()

    async def start(self) -> None:
        """Begin loading; ``report`` says when the rows are there."""
        self._enter(State.STARTING)
        self._task = asyncio.create_task(self._keep_loaded(), name="reference")

    async def wait(self) -> None:
        """Return once drained or stopped; raise what ended the loading."""
        if self._task is not None:
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()

    async def drain(self) -> None:
        """Stop loading. A load cut short is harmless: writing its rows again is safe."""
        await self._end_task()
        if self._lookups is not None:
            await self._lookups.close()
        if self._state is not State.FAILED:
            self._enter(State.DRAINING)

    async def stop(self) -> None:
        """Stop loading and forget what was half loaded."""
        await self._end_task()
        self._draft = None
        if self._state is not State.FAILED:
            self._enter(State.STOPPED)

    def report(self) -> Report:
        """What is loaded, what is missing and why, and how the provider answered."""
        return Report(
            service=self.name,
            instance=self._instance,
            state=self._state,
            healthy=self._state in _WORKING and self._is_current(),
            since_ms=self._since_ms,
            detail={
                "loaded": self._loaded,
                "missing": self._missing,
                "failures": self._failures,
                "rest": msgspec.to_builtins(self._rest.counts, str_keys=True),
                "breaker": self._rest.breaker.state.value,
                "lookups": msgspec.to_builtins(self._lookups.counts) if self._lookups else {},
                **self._more(),
            },
            reason=self._reason,
        )

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``reload``: load the current date again now. ``lookup``: what is known of a thing.

        ``lookup`` takes ``kind`` and ``argument`` and answers with the value (not a picture),
        its age in ms and whether it is stale; ValueError in words where there is none.
        """
        if name == "lookup" and self._lookups is not None:
            return await self._answer(self._lookups, arguments)
        if name != "reload":
            raise ValueError(f"unknown command {name!r}; known: reload, lookup")
        self._done_at_turn, self._draft, self._anew = "", None, True
        self._wake.set()
        return {"date": self._due()[1]}

    async def _answer(self, lookups: Lookups, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            known = await lookups.lookup(str(asked.get("kind")), str(asked.get("argument", "")))
        except (LookupFailed, CacheUnavailable) as error:
            raise ValueError(str(error)) from error
        shown = {"value": known.value(), "age_ms": known.age_ms, "stale": known.stale}
        return shown | {"reason": known.reason, "source": known.source.value}

    async def _keep_loaded(self) -> None:
        try:
            while True:
                turn, date = self._due()
                if turn == self._done_at_turn:
                    await self._pause(self._settings.look_s)
                    continue
                await self._try(turn, date)
        except Exception as error:
            self._enter(State.FAILED, str(error))
            raise

    async def _try(self, turn: str, date: str) -> None:
        """Load once; after a failure say why and wait, longer each time."""
        try:
            loaded = await self._load_or_adopt(turn, date)
        except (RestError, NoPreviousSession, CacheUnavailable) as error:
            self._failures += 1
            self._enter(State.DEGRADED, f"{date}: {error}")
            await self._pause(self._backoff_s(error))
            return
        self._failures = 0
        if not loaded:
            self._enter(State.STAND_BY, f"another reference service loads {date}")
            await self._pause(self._settings.stand_by_s)
            return
        self._done_at_turn, self._draft, self._anew = turn, None, False
        self._enter(State.RUNNING)

    async def _load_or_adopt(self, turn: str, date: str) -> bool:
        """Whether the date is loaded now, by us or by somebody else."""
        if not self._anew and await self._adopt(turn, date):
            return True
        async with self._held() as ours:
            if ours and (self._anew or not await self._adopt(turn, date)):
                await self._refresh(turn, date)
        return ours

    async def _adopt(self, turn: str, date: str) -> bool:
        """Take over what somebody loaded for this turn; False when nobody did."""
        mark = await self._store.loaded(date)
        if mark is None or (mark.turn, mark.provider) != (turn, self._provider):
            return False
        self._remember(mark)
        return True

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[bool]:
        """Whether the lease is ours as long as the block lasts; alone it always is.

        A lease that is lost meanwhile ends nothing: two loads at once do no harm.
        """
        if self._lease is None:
            yield True
            return
        if await self._lease.acquire() is None:
            yield False
            return
        renewing = asyncio.create_task(self._renew(self._lease))
        try:
            yield True
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})
            await self._lease.release()

    async def _renew(self, lease: Lease) -> None:
        while True:
            await self._sleep(self._settings.renew_s)
            await lease.renew()

    async def _refresh(self, turn: str, date: str) -> None:
        """Load a date and put it; on its first load the previous bars go ahead of the rest."""
        if self._draft is None or self._draft.date != date:
            self._draft = self._begin(date)
        draft = self._draft
        await self._ask_newest(draft, adjusted=True)
        if draft.previous and date not in self._loaded:
            await self._store.put(date, draft.rows())
        await self._ask_rest(draft, adjusted=True)
        await self._store.put(date, rows := draft.rows())
        self._missing = draft.missing
        if not draft.previous:
            raise NoPreviousSession(draft.missing["prev_day"])
        await self._warm(draft)
        counts, now_ms = draft.counts(rows), self._wall_ms()
        mark = Loaded(date, turn, now_ms, counts, draft.missing, self._provider)
        await self._store.mark_loaded(mark)
        self._remember(mark)

    async def _warm(self, draft: Draft) -> None:
        """Ask for what everybody will look up; what cannot be had is said, and asked for then."""
        if self._lookups is None:
            return
        for kind in WARMED:
            try:
                await self._lookups.lookup(kind)
            except LookupFailed as error:
                draft.missing[kind] = str(error)

    def _begin(self, date: str) -> Draft:
        return Draft.of(date, self._calendar, self._settings.sessions)

    async def _ask_newest(self, draft: Draft, *, adjusted: bool) -> None:
        """Ask for the previous session's bars, unless they are there."""
        if draft.previous:
            return
        if not draft.newest:
            draft.missing["prev_day"] = "the calendar begins with this date"
            return
        draft.missing["prev_day"] = f"the provider has no bars of {draft.newest} (yet)"
        try:
            bars = await self._rest.grouped_day(draft.newest, adjusted=adjusted)
        except TryLater:
            raise
        except RestError as error:
            draft.missing["prev_day"] = str(error)
            return
        draft.add_session(bars, newest=True)
        if draft.previous:
            del draft.missing["prev_day"]

    async def _ask_rest(self, draft: Draft, *, adjusted: bool) -> None:
        """Ask for free float and older sessions; either may stay empty, and says why."""
        asked = (("free_float", self._ask_floats), ("avg_volume", self._ask_sessions))
        for name, ask in asked:
            draft.missing.pop(name, None)
            try:
                await ask(draft, adjusted)
            except TryLater:
                raise
            except RestError as error:
                draft.missing[name] = str(error)

    async def _ask_floats(self, draft: Draft, _: bool) -> None:
        if not draft.floats_asked:
            async for page in self._rest.floats():
                draft.add_floats(page)
        draft.floats_asked = True

    async def _ask_sessions(self, draft: Draft, adjusted: bool) -> None:
        while draft.waiting:
            date = draft.waiting[0]
            bars = list(await self._rest.grouped_day(date, adjusted=adjusted))
            draft.add_session(bars, newest=False)
            del draft.waiting[0]
            if not bars:
                draft.barren.append(date)
        if draft.barren:
            draft.missing["avg_volume"] = (
                f"the provider has no bars of {len(draft.barren)} of the last"
                f" {self._settings.sessions} sessions, so there is no mean over them"
            )

    def _remember(self, mark: Loaded) -> None:
        self._loaded[mark.date], self._missing = mark.counts, mark.missing
        for past in sorted(self._loaded)[:-2]:
            del self._loaded[past]

    def _due(self) -> tuple[str, str]:
        """The turn whose load is due, and the session's date that it loads."""
        turn = self._calendar.trading_date(self._wall_ms() + self._settings.lead_ms)
        return turn, self._session_from(turn)

    def _session_from(self, date: str) -> str:
        day = self._calendar.day(date)
        return day.date if day.is_session else self._calendar.next_session(date).date

    def _is_current(self) -> bool:
        """Before its turn the coming date will do: nothing trades until then."""
        current = self._session_from(self._calendar.trading_date(self._wall_ms()))
        return current in self._loaded or self._due()[1] in self._loaded

    def _backoff_s(self, error: Exception) -> float:
        settings = self._settings
        longest_s = min(
            settings.backoff_s * 2.0 ** min(self._failures - 1, 30), settings.longest_backoff_s
        )
        asked_s = error.retry_after_s if isinstance(error, TryLater) else None
        return max(longest_s * (0.5 + 0.5 * self._jitter()), asked_s or 0.0)

    async def _pause(self, seconds: float) -> None:
        """Sleep, or less when a command wakes the service."""
        waits = {
            asyncio.ensure_future(self._sleep(seconds)),
            asyncio.ensure_future(self._wake.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            self._wake.clear()

    async def _end_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _enter(self, state: State, reason: str = "") -> None:
        self._state, self._reason, self._since_ms = state, reason, self._wall_ms()
