"""Ticks as they came, in one Redis list for other programs (``RAW_TICKS=on``).

It stands where a processor decodes: each tick passes there once, validated and whatever broker
it is from. Who dies before its flush is followed by somebody who decodes the same batches again,
so after a crash some ticks are in the list twice.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import asdict

from tapewire.caches.cache import CacheError
from tapewire.caches.connection import Command, Link
from tapewire.caches.keys import EarlierEngineKeys as Keys
from tapewire.market.ticks import objection
from tapewire.model.batch import Batch
from tapewire.model.events import Event, Tick
from tapewire.providers.circuit_breaker import CircuitBreaker
from tapewire.providers.decoded import Decoded
from tapewire.providers.tick_filter import TickFilter
from tapewire.runtime.logging import SampledLog, get_logger

log = get_logger(__name__)

TICKS_AT_ONCE: Final = 1_000
"""Ticks in one command: half a megabyte is never sent at once."""

LOOK_S: Final = 0.1

_encode: Final = msgspec.json.Encoder().encode


class RawTicks:
    """Keeps the newest ticks until they are in the list; never holds up whoever brings them.

    Args:
        link: the server with the list; it belongs to the caller.
        passes: what is published, None for everything.
        breaker: around the writing.

    What waits is bounded by what the list keeps (drop_oldest): a tick that is dropped here
    would have left the list by the time at which it had come in. ``counts``: ``written``,
    ``dropped``.
    """

    def __init__(self, link: Link, passes: TickFilter | None, breaker: CircuitBreaker) -> None:
        self._link = link
        self._passes = passes
        self._breaker = breaker
        self._waiting: deque[Tick] = deque(maxlen=Keys.RAW_TICKS_KEPT)
        self._sampled = SampledLog(log, per_second=1)
        self.counts: Counter[str] = Counter()

    def around(self, decode: Callable[[Batch], Decoded]) -> Callable[[Batch], Decoded]:
        """The same decoding, with the ticks of each batch taken in on the way."""

        def decoding(batch: Batch) -> Decoded:
            decoded = decode(batch)
            self.take(decoded.events)
            return decoded

        return decoding

    def take(self, events: Iterable[Event]) -> None:
        """Take in the ticks among some events: those that are valid and pass the filter."""
        valid = [one for one in events if isinstance(one, Tick) and not objection(one)]
        kept = valid if self._passes is None else self._passes.keep(valid)
        room = self._waiting.maxlen or 0
        self.counts["dropped"] += max(len(self._waiting) + len(kept) - room, 0)
        self._waiting.extend(kept)

    def drops(self) -> dict[str, int]:
        """Reason -> ticks that never came into the list, for a report."""
        dropped = self.counts["dropped"]
        return {"raw_ticks": dropped} if dropped else {}

    async def run(
        self, look_s: float = LOOK_S, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Write for ever what comes, whatever the server does."""
        while True:
            await self.flush()
            await sleep(look_s)

    async def flush(self) -> None:
        """Write what waits; nothing while the server does not take it."""
        while self._waiting:
            ticket = self._breaker.begin()
            if ticket is None:
                return
            some = [self._waiting.popleft() for _ in range(min(TICKS_AT_ONCE, len(self._waiting)))]
            if not await self._write(some, ticket):
                return

    async def _write(self, ticks: Sequence[Tick], ticket: int) -> bool:
        try:
            await self._link.together(_commands(ticks), atomic=True)
        except CacheError as error:
            self._breaker.failed(ticket)
            self._sampled.warning("raw ticks cannot be written", reason=str(error))
            self._give_back(ticks)
            return False
        except asyncio.CancelledError:
            self._breaker.abandoned(ticket)
            self._give_back(ticks)
            raise
        self._breaker.succeeded(ticket)
        self.counts["written"] += len(ticks)
        return True

    def _give_back(self, ticks: Sequence[Tick]) -> None:
        """Ticks that were not written wait on, before those that came since, if there is room."""
        room = (self._waiting.maxlen or 0) - len(self._waiting)
        self.counts["dropped"] += max(len(ticks) - room, 0)
        self._waiting.extendleft(reversed(ticks[max(len(ticks) - room, 0) :]))


def _commands(ticks: Sequence[Tick]) -> list[Command]:
    """Append to the list, cut its oldest off, let it live on."""
    texts = [_encode(asdict(tick)) for tick in ticks]
    return [
        ("RPUSH", Keys.RAW_TICKS, *texts),
        ("LTRIM", Keys.RAW_TICKS, -Keys.RAW_TICKS_KEPT, -1),
        ("EXPIRE", Keys.RAW_TICKS, Keys.TTL_S),
    ]
