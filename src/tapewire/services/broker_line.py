"""One broker in the feed: its instruments out of its own master, its client, its ticks' way.

Names are resolved once, by the first broker that can (``Chosen``), into join keys; every other
broker then looks the same keys up in its own master, since each spells its symbols differently.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from tapewire.market.instrument_names import InstrumentBook, InstrumentNameError
from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.providers.broker import Broker, BrokerError, Ending
from tapewire.providers.broker_client import BrokerClient
from tapewire.providers.disconnects import BackOff, Fatal
from tapewire.providers.failover import Seen

_log: Final = logging.getLogger(__name__)

RETRY_S: Final = 10.0
"""Between two attempts to load an instrument master, at least."""

TakeOf = Callable[["BrokerLine", bytes | str, Sequence[Tick]], None]
"""Where a line hands each frame of its client and its ticks."""


class Chosen:
    """The instruments that the feed is to have: names as given, and the keys they mean.

    ``date`` is the day on which names that move with the calendar were resolved; ``exchanges``
    are those of the keys.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._keys: dict[str, str] = dict.fromkeys(names, "")
        self.date = ""
        self.version = 0
        self.exchanges: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """What was asked for."""
        return list(self._keys)

    @property
    def keys(self) -> dict[str, str]:
        """Name -> join key, as far as any broker could resolve it."""
        return {name: key for name, key in self._keys.items() if key}

    def begin(self, date: str) -> None:
        """A new day: names that move with the calendar may mean something else."""
        self.date = date
        self._keys = dict.fromkeys(self._keys, "")
        self.version += 1

    def add(self, names: Mapping[str, str]) -> None:
        """Ask for more; name -> key."""
        self._keys |= names
        self.version += 1

    def remove(self, names: Iterable[str]) -> list[str]:
        """Ask for less, by name or key; returns the keys that nothing means any more."""
        given = set(names)
        gone = {name: key for name, key in self._keys.items() if given & {name, key}}
        for name in gone:
            del self._keys[name]
        self._note_exchanges()
        self.version += 1
        return sorted(set(filter(None, gone.values())) - set(self._keys.values()))

    def instruments(self, book: InstrumentBook) -> tuple[dict[str, Instrument], dict[str, str]]:
        """A broker's instruments by key; and what it does not have: name -> why."""
        found: dict[str, Instrument] = {}
        missing: dict[str, str] = {}
        for name, key in self._keys.items():
            try:
                one = book.find(key or name, self.date)
            except InstrumentNameError as error:
                missing[name] = str(error)
                continue
            self._keys[name] = one.key
            found[one.key] = one
        self._note_exchanges()
        return found, missing

    def _note_exchanges(self) -> None:
        keys = filter(None, self._keys.values())
        self.exchanges = frozenset(key.partition(":")[0] for key in keys)


class BrokerLine:
    """One broker's part of the feed. ``changed`` is called when its run has ended.

    ``active`` ticks are handed on; ``ended`` is why the broker is out of use. ``missing`` says
    why instruments are not had from it, by name.
    """

    def __init__(
        self,
        broker: Broker,
        client: BrokerClient,
        chosen: Chosen,
        take: TakeOf,
        changed: Callable[[], None],
    ) -> None:
        self.name = broker.name
        self.broker = broker
        self.client = client
        self._chosen = chosen
        self._take = take
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._version = -1
        self._choosing = asyncio.Lock()
        self.active = False
        self.ended: Ending | None = None
        self.missing: dict[str, str] = {}
        self.seen_connections = 0
        self.retry_s = 0.0
        self.master_failures = 0
        self.last_failure = ""

    # -- what it says of itself

    @property
    def running(self) -> bool:
        """Its client is to be kept up."""
        return self._task is not None and not self._task.done()

    @property
    def prepared(self) -> bool:
        """Its instruments are those that are asked for now."""
        return self._version == self._chosen.version

    def seen(self) -> Seen:
        """What the failover decides by."""
        client = self.client
        return Seen(
            ready=client.ready,
            heard_s=client.heard_at,
            interruptions=client.statistics.interruptions,
            ended=self.ended is not None,
        )

    @property
    def last_ending(self) -> str:
        """Why its connection ended or does not come about."""
        return self.client.last_ending or self.last_failure

    def status(self) -> dict[str, Any]:
        """Figures for reports."""
        return self.client.status() | {
            "last_ending": self.last_ending,
            "missing": dict(self.missing),
            "master_failures": self.master_failures,
        }

    # -- its run

    def start(self) -> None:
        """Begin, once the run before has left."""
        if not self.running:
            self.ended = None
            self._task = asyncio.create_task(self._run(self._leaving), name=f"broker {self.name}")

    def leave(self) -> None:
        """Begin to end; nothing more is handed on."""
        self.active = False
        if self._task is not None:
            self.client.stop()
            self._task.cancel()
            self._leaving, self._task = self._task, None

    async def left(self) -> None:
        """Return when the socket is closed."""
        if self._leaving is not None:
            await asyncio.wait([self._leaving])

    def fail(self) -> None:
        """Raise what a run ended with unexpectedly."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _run(self, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
            self.ended = await self._prepare() or await self.client.run(self._took)
        finally:
            self._changed()

    def _took(self, frame: bytes | str, ticks: Sequence[Tick]) -> None:
        self._take(self, frame, ticks)

    async def _prepare(self) -> Ending | None:
        """Load the master until there is one; the ending when there will be none."""
        while True:
            try:
                await self.choose()
            except BrokerError as error:
                if isinstance(error.ending.policy, Fatal):
                    return error.ending
                await asyncio.sleep(_wait_s(error.ending))
            else:
                return None

    async def choose(self) -> None:
        """Bring the client's instruments to what is asked for now. Raises BrokerError.

        Raises ValueError beyond the broker's limit, on a connection that is open.
        """
        async with self._choosing:
            if self.prepared:
                return
            book = await self.book()
            version = self._chosen.version
            found, self.missing = self._chosen.instruments(book)
            for name, why in self.missing.items():
                _log.warning("%s: %s is not had: %s", self.name, name, why)
            await self.client.unsubscribe(self.client.instruments.keys() - found.keys())
            await self.client.subscribe(found.values())
            self._version = version

    async def book(self) -> InstrumentBook:
        """This broker's whole master, to be looked up in. Raises BrokerError."""
        try:
            instruments = await self.broker.instruments()
        except BrokerError as error:
            self.master_failures += 1
            self.last_failure = str(error)
            _log.warning("%s: no instruments: %s", self.name, error)
            raise
        return await asyncio.to_thread(InstrumentBook, instruments)


def _wait_s(ending: Ending) -> float:
    policy = ending.policy
    return max(RETRY_S, policy.seconds) if isinstance(policy, BackOff) else RETRY_S
