"""BrokerDataListener: ticks of whichever broker is active, into the shards' queues.

What every listener does is in ``listening.py``. Here ticks are decoded, since a broker's frame
means nothing without its connection, and they can wait: while the consumers of a shard or
RabbitMQ are slow they stay in a ``TickQueue`` instead of expiring in a queue, and the broker's
socket is read on.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, Unpack

from msgspec import to_builtins

from tapewire.model.batch import Batch
from tapewire.model.events import Tick
from tapewire.model.streams import Shard, Stream
from tapewire.providers import tick_wire
from tapewire.providers.batcher import Batcher, Slice
from tapewire.queues.queue import Queue
from tapewire.runtime.lease import Lease
from tapewire.services.listening import Listener, ListenerBounds, ListenerOptions
from tapewire.services.source import Reading, Take
from tapewire.services.tick_intake import TickIntake
from tapewire.services.tick_queue import Held, TickQueue

_log: Final = logging.getLogger(__name__)

PROVIDER: Final = "brokers"
"""``Batch.provider`` of ticks; each tick names its broker."""

BOUNDS: Final = ListenerBounds(depth_poll_s=0.1, max_ready_batches=20, max_waiting_batches=200)
"""A shard whose consumer is at its prefetch bound and has so many more batches ready is slow:
a tenth of a second of a busy feed, while a batch in a queue lives for five."""

MOST_RELEASED: Final = 64
"""Batches let go between two looks at the queues, once the consumers have shown that they
take what they get: half a million ticks a second."""

HAND_OVER_S: Final = 5.0
"""How long, at the end, what is held is given at the consumers' pace; then it goes at once."""

TakeTicks: TypeAlias = Callable[[bytes | str, Sequence[Tick]], None]


class FeedStatistics(Protocol):
    """What a listener must know of a feed's counts."""

    @property
    def connections(self) -> int:
        """A new one means that something was missed before it."""


class Feed(Reading, Protocol):
    """Ticks of the active broker (``broker_feed.py``)."""

    @property
    def statistics(self) -> FeedStatistics:
        """Counts since it was made."""

    async def run(self, take: TakeTicks) -> None:
        """Hand each frame of the active broker and its ticks to ``take``.

        The frame is empty where ticks are handed on that came before.
        """

    async def subscribe(self, names: Sequence[str]) -> Sequence[str]:
        """Add instruments; returns the names of all. ValueError for one that is unknown."""

    async def unsubscribe(self, names: Sequence[str]) -> Sequence[str]:
        """Give instruments back; returns the names of those that are left."""

    def revive(self, broker: str) -> None:
        """Try a broker again that had ended for good; ValueError for one that had not."""

    def status(self) -> Mapping[str, Any]:
        """Figures for reports."""


class BrokerSource:
    """A broker feed as a ``Source``."""

    def __init__(self, feed: Feed, intake: TickIntake) -> None:
        self._feed = feed
        self._intake = intake
        self._frames = 0
        self._bytes = 0
        self.pause = feed.pause
        self.resume = feed.resume
        self.stop = feed.stop

    @property
    def connections(self) -> int:
        """Connections made so far."""
        return self._feed.statistics.connections

    @property
    def last_ending(self) -> str:
        """Why the last connection ended."""
        return self._feed.last_ending

    @property
    def healthy(self) -> bool:
        """Data comes wherever it is expected."""
        return self._feed.healthy

    @property
    def paused(self) -> bool:
        """Reading has been stopped by ``pause``."""
        return self._feed.paused

    async def run(self, take: Take) -> None:
        """Read until ``stop``."""
        intake = self._intake

        def took(frame: bytes | str, ticks: Sequence[Tick]) -> None:
            self._frames += bool(frame)
            self._bytes += len(frame)
            raw = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
            take(raw, intake.slices(ticks), intake.newest_ms)

        await self._feed.run(took)

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``subscribe`` and ``unsubscribe`` take ``instruments``: a list, or text with commas.

        ``revive`` tries a ``broker`` again that had ended for good.
        """
        commands = {"subscribe": self._feed.subscribe, "unsubscribe": self._feed.unsubscribe}
        if name == "revive":
            self._feed.revive(str(arguments.get("broker", "")))
            return {"revived": arguments.get("broker")}
        action = commands.get(name)
        if action is None:
            known = ", ".join([*commands, "revive"])
            raise ValueError(f"{name!r} is not a command; expected one of {known}")
        return {"instruments": await action(_names(arguments.get("instruments")))}

    def detail(self) -> dict[str, Any]:
        """The feed's state, and what was in the frames."""
        return {
            "provider": dict(self._feed.status()),
            "frames": self._frames,
            "bytes": self._bytes,
            "refused": dict(self._intake.refused),
        }


class BrokerDataListener(Listener):
    """The service around one broker feed.

    ``shards`` is the number of shards of the stream ``ticks``; ``held`` where ticks wait.
    ``options`` are ``Listener``'s; a ``lossless`` run stops reading instead of holding.
    """

    def __init__(
        self,
        feed: Feed,
        queue: Queue,
        lease: Lease,
        *,
        shards: int = 1,
        producer: str = PROVIDER,
        held: TickQueue | None = None,
        hand_over_s: float = HAND_OVER_S,
        **options: Unpack[ListenerOptions],
    ) -> None:
        self._intake = TickIntake(shards)
        names = [Shard(Stream.TICKS, k) for k in range(shards)]
        batcher = Batcher(PROVIDER, producer, names, separator=tick_wire.SEPARATOR)
        options["bounds"] = options.get("bounds") or BOUNDS
        super().__init__(BrokerSource(feed, self._intake), batcher, queue, lease, **options)
        self._ticks = TickQueue() if held is None else held
        self._hand_over_s = hand_over_s
        self._holding = False
        self._interrupted = False

    def _helpers(self) -> Iterable[Any]:
        yield from super()._helpers()
        if not self._lossless:
            yield self._let_go()

    def _interrupt(self) -> None:
        self._interrupted = True

    def _offer(self, slices: Sequence[Slice], received_ns: int) -> None:
        """Publish at once while consumers take what they get; else let the ticks wait."""
        interrupted, self._interrupted = self._interrupted, False
        if not (self._holding or self._ticks):
            if interrupted:
                super()._interrupt()
            super()._offer(slices, received_ns)
            return
        held = Held(received_ns, slices, interrupted)
        for dropped in self._ticks.put(held):
            if dropped.interrupted:
                super()._interrupt()
            self._publish(self._batcher.lose(dropped.slices))

    def _release(self, held: Held) -> int:
        """Give a frame to the batcher; returns how many batches that published."""
        before = self._queue.statistics.published_batches
        if held.interrupted:
            super()._interrupt()
        super()._offer(held.slices, held.received_ns)
        return self._queue.statistics.published_batches - before

    def _publish(self, batches: Sequence[Batch]) -> None:
        super()._publish(batches)
        if batches and not self._lossless and self._is_outbox_full():
            self._holding = True

    async def _let_go(self) -> None:
        """Let held ticks go at the pace at which they are taken; hold on where they are not."""
        most = 1
        while True:
            self._holding = await self._is_too_full()
            most = 1 if self._holding else min(2 * most, MOST_RELEASED)
            self._release_up_to(0 if self._holding else most)
            await asyncio.sleep(self._bounds.depth_poll_s)

    def _release_up_to(self, batches: int) -> None:
        while self._ticks and batches > 0:
            batches -= self._release(self._ticks.pop())

    async def _hand_over(self) -> None:
        """Publish what is held: at the consumers' pace while there is time, then at once."""
        try:
            async with asyncio.timeout(self._hand_over_s):
                while self._ticks:
                    full = await self._is_too_full()
                    self._release_up_to(0 if full else MOST_RELEASED)
                    await asyncio.sleep(self._bounds.depth_poll_s if full else 0)
        except TimeoutError:
            _log.warning("%d ticks are published at once: consumers are slow", len(self._ticks))
        while self._ticks:
            self._release(self._ticks.pop())

    def _published_ns(self) -> int:
        """Not past what waits: a quiet shard's clock must not run ahead of it."""
        oldest_ns = self._ticks.oldest_ns
        return self._clock_ns() if oldest_ns is None else oldest_ns

    def _drops(self) -> dict[str, int]:
        return super()._drops() | {"tick_queue": self._ticks.statistics.dropped}

    def _detail(self) -> dict[str, Any]:
        held = {"ticks": len(self._ticks), "bytes": self._ticks.bytes, "holding": self._holding}
        return super()._detail() | {"held": held | to_builtins(self._ticks.statistics)}


def _names(given: Any) -> list[str]:
    """Instruments of a command's arguments; raises ValueError that says what was expected."""
    names = given.split(",") if isinstance(given, str) else given
    sound = isinstance(names, list) and names and all(isinstance(one, str) for one in names)
    if not sound:
        raise ValueError(f"instruments is {given!r}; expected a list like ['NIFTY-I']")
    return [name.strip() for name in names if name.strip()]
