"""MarketDataCache: reference data, cache-aside over a provider that is asked as little as can be.

A look-up answers from MDC. What is fresh is simply given; what is stale is given too, marked,
while it is asked for in the background; only what nobody knows is waited for, and not for ever.
One task of one process asks for a thing at a time (a *flight*): others wait for its answer. Who
asks says so in a key that it keeps alive; when it dies the next one goes on. That the provider
has nothing is remembered like any value, and a failure as *trouble*, so that it is not asked
again at once.

The provider is a ``fetch`` that is handed in (``known.py``); what there is to ask for, and how
long it lives, is the table in ``kinds.py``.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Final

from msgspec import Struct

from tapewire.caches.cache import CacheError
from tapewire.caches.connection import Link, unix_ms
from tapewire.caches.keys import JITTER
from tapewire.caches.kinds import KINDS, Kind
from tapewire.caches.known import (
    Entry,
    Fetch,
    FetchFailed,
    FetchRefused,
    Found,
    FoundMarket,
    Known,
    LookupCounts,
    LookupFailed,
    Nothing,
    NotYet,
    Refused,
    Trouble,
)
from tapewire.caches.shelf import Seen, SessionDay, Shelf
from tapewire.market.sessions import SessionCalendar

_log = logging.getLogger(__name__)

MAX_ARGUMENT: Final = 100


class CacheBounds(Struct, frozen=True):
    """How long things take and how much is done at once; who looks up pays when one is hit.

    ``wait_s``: how long a look-up of something unknown waits before `NotYet`; ``fetch_s``: how
    long one asking may take; ``flight_s``: how long a process that asks may be silent before
    another one goes on; ``failed_s``, ``refused_s``: how long a thing is left alone after no
    answer and after a refusal; ``longest_trouble_s`` bounds what the provider asks for instead;
    ``flights``: things asked for at once; ``waiting``: more than so many are not refreshed.
    """

    wait_s: float = 15.0
    fetch_s: float = 120.0
    flight_s: float = 6.0
    poll_s: float = 0.02
    longest_poll_s: float = 0.25
    failed_s: float = 5.0
    refused_s: float = 60.0
    longest_trouble_s: float = 300.0
    flights: int = 16
    waiting: int = 500


class MarketDataCache:
    """Look-ups of everything in ``kinds.py``.

    Args:
        link: the Market Data Cache; its owner closes it.
        fetch: asks the provider; None for a reader that only shows what is there.
        calendar: when a trading day turns.
        provider: a name for where values come from (`provider_limits.provider_of`).
        now_ms: wall clock; all processes of a deployment should agree on it.
        jitter: 0 to 1, spreads what expires.
    """

    def __init__(
        self,
        link: Link,
        fetch: Fetch | None,
        calendar: SessionCalendar,
        provider: str,
        *,
        now_ms: Callable[[], int] = unix_ms,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        new_token: Callable[[], str] = token_hex,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        bounds: CacheBounds = CacheBounds(),  # noqa: B008 - frozen
    ) -> None:
        self._shelf = Shelf(link, provider)
        self._fetch = fetch
        self._calendar = calendar
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._jitter = jitter
        self._new_token = new_token
        self._sleep = sleep
        self._bounds = bounds
        self._places = asyncio.Semaphore(bounds.flights)
        self._flights: dict[tuple[str, str], asyncio.Task[Seen]] = {}
        self.counts = LookupCounts()

    async def lookup(self, kind: str, argument: str = "") -> Known:
        """What is known of one thing; asks the provider where nothing fresh is.

        Raises `Refused` or `NotYet` when nothing at all is known, CacheError when MDC does not
        answer, ValueError for a kind or argument that cannot be.
        """
        chosen = checked(kind, argument)
        seen = await self._see(chosen, argument)
        if seen.entry is None:
            seen = await self._wait_for(chosen, argument, seen)
        elif self._is_stale(seen.entry):
            self._refresh(chosen, argument, seen)
        return await self._answer(chosen, argument, seen)

    async def peek(self, kind: str, argument: str = "") -> Known | None:
        """What is known of one thing; never asks the provider. Raises as `lookup` does."""
        chosen = checked(kind, argument)
        seen = await self._see(chosen, argument)
        return None if seen.entry is None else await self._answer(chosen, argument, seen)

    async def trouble(self, kind: str, argument: str = "") -> str:
        """Why the provider is not asked for a thing now; empty when it may be."""
        seen = await self._see(checked(kind, argument), argument)
        return seen.trouble.reason if seen.trouble else ""

    async def close(self) -> None:
        """Stop asking; what was being asked for is free for others at once."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _see(self, kind: Kind, argument: str) -> Seen:
        return await self._shelf.see(kind, argument, self._sessions())

    def _sessions(self) -> Sequence[SessionDay]:
        """The session whose reference rows hold now (the day's, or the next), and the last one."""
        day = self._calendar.day_at(self._now_ms())
        session = day if day.is_session else self._calendar.next_session(day.date)
        before = self._calendar.previous_session(session.date)
        return [SessionDay(one.date, one.next_turn_ms) for one in (session, before)]

    def _is_stale(self, entry: Entry) -> bool:
        return self._now_ms() >= entry.fresh_until_ms

    async def _answer(self, kind: Kind, argument: str, seen: Seen) -> Known:
        """Count and shape an answer; raise the error where there is none."""
        counts, now_ms = self.counts, self._now_ms()
        if seen.entry is None:
            error = _why(kind, argument, seen, now_ms)
            counts.refused += isinstance(error, Refused)
            counts.failed += isinstance(error, NotYet)
            raise error
        if kind.is_market and seen.entry.body is None and not seen.entry.reason:
            seen.entry.body = await self._shelf.market(kind)
        known = seen.entry.known(kind.name, argument, now_ms, seen.source)
        counts.hits += not known.stale
        counts.stale += known.stale
        counts.negative += known.body is None
        return known

    def _refresh(self, kind: Kind, argument: str, seen: Seen) -> None:
        """Ask in the background, unless somebody does or it was in vain just now."""
        key = (kind.name, argument)
        if self._fetch is None or key in self._flights or self._is_troubled(seen):
            return
        if len(self._flights) >= self._bounds.waiting:
            self.counts.put_off += 1
            return
        self._begin(kind, argument)

    async def _wait_for(self, kind: Kind, argument: str, seen: Seen) -> Seen:
        """Wait for an answer, ours or somebody else's; what was seen when it takes too long."""
        if self._fetch is None or self._is_troubled(seen):
            return seen
        flight = self._flights.get((kind.name, argument))
        self.counts.waited += flight is not None
        flight = flight or self._begin(kind, argument)
        done, _ = await asyncio.wait({flight}, timeout=self._bounds.wait_s)
        if not done:
            return Seen(trouble=self._trouble("no answer in time", self._bounds.wait_s))
        if flight.cancelled():
            return Seen(trouble=self._trouble("stopped while asking", self._bounds.failed_s))
        return flight.result()

    def _is_troubled(self, seen: Seen) -> bool:
        return seen.trouble is not None and seen.trouble.until_ms > self._now_ms()

    def _begin(self, kind: Kind, argument: str) -> "asyncio.Task[Seen]":
        key = (kind.name, argument)
        flight = asyncio.create_task(self._fly(kind, argument), name=f"look up {key}")
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._ended(key, done))
        return flight

    def _ended(self, key: tuple[str, str], flight: "asyncio.Task[Seen]") -> None:
        del self._flights[key]
        if not flight.cancelled() and (error := flight.exception()):
            _log.warning("%s of %s was not asked for: %s", *key, error)

    async def _fly(self, kind: Kind, argument: str) -> Seen:
        """Ask, or wait until whoever asks has an answer or is gone."""
        async with self._places:
            token = self._new_token()
            lease_ms = int(self._bounds.flight_s * 1000)
            poll_s, waits = self._bounds.poll_s, 0
            deadline_s = self._monotonic() + self._bounds.fetch_s
            while not await self._shelf.depart(kind, argument, token, lease_ms):
                if self._monotonic() > deadline_s:
                    return Seen(trouble=self._trouble("another process is asking", poll_s))
                self.counts.waited += not waits
                waits += 1
                await self._sleep(poll_s)
                poll_s = min(poll_s * 2, self._bounds.longest_poll_s)
            seen = await self._see(kind, argument)
            if self._is_troubled(seen) or (seen.entry and not self._is_stale(seen.entry)):
                await self._shelf.give_up(kind, argument, token)
                return seen
            self.counts.taken_over += waits > 0
            return await self._lead(kind, argument, token)

    async def _lead(self, kind: Kind, argument: str, token: str) -> Seen:
        """Ask the provider, store what it says, and give the flight back in every case."""
        landed = False
        try:
            async with self._kept(kind, argument, token):
                seen = await self._ask(kind, argument, token)
            landed = True
            return seen
        finally:
            if not landed:
                await self._shelf.give_up(kind, argument, token)

    async def _ask(self, kind: Kind, argument: str, token: str) -> Seen:
        assert self._fetch is not None
        self.counts.calls += 1
        try:
            async with asyncio.timeout(self._bounds.fetch_s):
                fetched = await self._fetch(kind.call, argument)
            _check_size(kind, fetched)
        except FetchRefused as error:
            trouble = self._trouble(str(error), self._bounds.refused_s, refused=True)
        except FetchFailed as error:
            asked_s = error.retry_after_s or 0.0
            trouble = self._trouble(str(error), max(asked_s, self._bounds.failed_s))
        except TimeoutError:
            trouble = self._trouble(
                f"no answer within {self._bounds.fetch_s:g} s", self._bounds.failed_s
            )
        else:
            return await self._land(kind, argument, token, fetched)
        live_ms = max(trouble.until_ms - self._now_ms(), 1)
        await self._shelf.land_trouble(kind, argument, token, trouble, live_ms)
        return Seen(trouble=trouble)

    async def _land(
        self, kind: Kind, argument: str, token: str, fetched: Found | FoundMarket | Nothing
    ) -> Seen:
        entry = self._entry(kind, fetched)
        live_ms = entry.fresh_until_ms - entry.fetched_ms + kind.stale_s * 1000
        if isinstance(fetched, FoundMarket):
            await self._shelf.land_market(kind, token, entry, fetched.bodies, live_ms)
        else:
            await self._shelf.land(kind, argument, token, entry, live_ms)
        return Seen(entry=entry)

    def _entry(self, kind: Kind, fetched: Found | FoundMarket | Nothing) -> Entry:
        now_ms = self._now_ms()
        nothing = isinstance(fetched, Nothing)
        fresh_s = self._jittered(kind.negative_s if nothing else kind.fresh_s)
        fresh_until_ms = now_ms + int(fresh_s * 1000)
        if kind.daily:
            fresh_until_ms = min(fresh_until_ms, self._calendar.day_at(now_ms).next_turn_ms)
        entry = Entry(now_ms, fresh_until_ms)
        if isinstance(fetched, Found):
            entry.body, entry.content_type = fetched.body, fetched.content_type
        elif isinstance(fetched, Nothing):
            entry.reason = fetched.reason or "the provider has nothing"
        return entry

    def _trouble(self, reason: str, seconds: float, *, refused: bool = False) -> Trouble:
        left_s = self._jittered(min(seconds, self._bounds.longest_trouble_s))
        return Trouble(refused, reason, self._now_ms() + max(int(left_s * 1000), 1))

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + JITTER * (2 * self._jitter() - 1))

    @asynccontextmanager
    async def _kept(self, kind: Kind, argument: str, token: str) -> AsyncIterator[None]:
        """Tell others, as long as the block lasts, that we still ask."""
        keeping = asyncio.create_task(self._keep(kind, argument, token))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def _keep(self, kind: Kind, argument: str, token: str) -> None:
        lease_ms = int(self._bounds.flight_s * 1000)
        held = True
        while held:
            await self._sleep(self._bounds.flight_s / 3)
            try:
                held = await self._shelf.keep(kind, argument, token, lease_ms)
            except CacheError as error:
                _log.warning("%s of %s: still asking, but %s", kind.name, argument, error)


def checked(kind: str, argument: str) -> Kind:
    """The kind of that name; ValueError when there is none, or for what it cannot be about."""
    known = KINDS.get(kind)
    if known is None:
        raise ValueError(f"unknown kind {kind!r}; expected one of {', '.join(KINDS)}")
    plain = argument.isascii() and argument.isprintable() and not set(argument) & set(" {}")
    if not plain or len(argument) > MAX_ARGUMENT or bool(argument) != bool(known.argument):
        expected = known.argument or "nothing: it is about the whole market"
        raise ValueError(f"{kind} of {argument[:MAX_ARGUMENT]!r}; expected {expected}")
    return known


def _check_size(kind: Kind, fetched: Found | FoundMarket | Nothing) -> None:
    size = 0
    if isinstance(fetched, Found):
        size = len(fetched.body)
    elif isinstance(fetched, FoundMarket):
        size = sum(map(len, fetched.bodies.values()))
    if size > kind.max_bytes:
        raise FetchFailed(f"{kind.name}: {size} bytes; at most {kind.max_bytes} are kept")


def _why(kind: Kind, argument: str, seen: Seen, now_ms: int) -> LookupFailed:
    if seen.trouble is not None:
        return seen.trouble.error(now_ms)
    return NotYet(f"nothing is known of {kind.name} {argument}".rstrip())
