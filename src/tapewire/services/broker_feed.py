"""BrokerFeed: ticks of one broker at a time, and of the next one when it fails.

``failover.py`` decides who that is; here its decisions are carried out. While a second broker
proves itself both run, and `Overlap` joins them at one moment: every tick before it is the old
one's, every tick after it the new one's, and what both said counts once.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import to_builtins

from tapewire.market.instrument_names import InstrumentBook
from tapewire.model.events import Tick
from tapewire.model.rows import Reference
from tapewire.providers.broker import Broker, BrokerError, Ending
from tapewire.providers.broker_client import BrokerClient, Take
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.disconnects import Fatal
from tapewire.providers.failover import MAX_SWITCHES, Failover, FailoverLimits, Standing, Switch
from tapewire.providers.instrument_cache import master_date
from tapewire.providers.overlap import HOLD_S, Overlap
from tapewire.runtime.service import RefusedByProvider
from tapewire.services.broker_line import BrokerLine, Chosen
from tapewire.services.feed_statistics import FeedStatistics, FeedSwitch
from tapewire.services.token_watch import TokenWatch

_log: Final = logging.getLogger(__name__)

JUDGE_S: Final = 1.0
"""Between two looks at the brokers; one that ends is seen at once."""

REFRESH_RETRY_S: Final = 60.0
"""Between two attempts to have a broker's instruments at hand."""


class BrokerFeed:
    """Instruments by name, ticks from the brokers in order of preference.

    Names are those of ``instrument_names.py``; those that move with the calendar are resolved
    anew on each day of the masters, which ``today`` tells (an ISO date). ``live`` says whether
    data must come now, ``trading`` whether it may, so that a loss leaves a hole; without it, they
    are the same. ``tokens``: who may get a new one while we run, and is tried again then. Raises
    ValueError for no broker, or one that is there twice.
    """

    def __init__(
        self,
        brokers: Sequence[Broker],
        names: Iterable[str],
        *,
        live: Callable[[], bool] = lambda: True,
        trading: Callable[[], bool] | None = None,
        tokens: TokenWatch | None = None,
        today: Callable[[], str] | None = None,
        limits: FailoverLimits | None = None,
        bounds: ClientBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
        clock_ns: Callable[[], int] = time.time_ns,
        draw: Callable[[], float] = random.random,
        judge_s: float = JUDGE_S,
    ) -> None:
        self._failover = Failover([one.name for one in brokers], limits)
        self._chosen = Chosen(names)
        self._live = live
        self._trading = trading or live
        self._tokens = tokens or TokenWatch()
        self._clock = clock
        self._clock_ns = clock_ns
        self._today = today or (lambda: master_date(clock_ns() / 1e9))
        self._judge_s = judge_s
        self._news = asyncio.Event()
        clients = [
            BrokerClient(one, clock=clock, clock_ns=clock_ns, draw=draw, live=live, bounds=bounds)
            for one in brokers
        ]
        self._lines = {client.name: self._line(client) for client in clients}
        self._active: BrokerLine | None = None
        self._overlap: Overlap | None = None
        self._probed: str | None = None
        self._joined_s: float | None = None
        self._broken = True
        self._down_while_trading = False
        self._stopping = False
        self._take: Take = _ignore
        self._errands: set[asyncio.Task[None]] = set()
        self._last_ending = ""
        self.switches: deque[FeedSwitch] = deque(maxlen=MAX_SWITCHES)
        self.statistics = FeedStatistics()

    def _line(self, client: BrokerClient) -> BrokerLine:
        return BrokerLine(client.broker, client, self._chosen, self._hand_on, self._news.set)

    # -- what it says of itself

    @property
    def active(self) -> str | None:
        """The broker that is listened to."""
        return None if self._active is None else self._active.name

    @property
    def healthy(self) -> bool:
        """The active broker's data comes wherever it is expected."""
        return self._active is not None and self._active.client.healthy

    @property
    def last_ending(self) -> str:
        """Why the last connection ended, or the active broker was changed."""
        line = self._active
        if line is None or line.client.healthy or not line.last_ending:
            return self._last_ending
        return f"{line.name}: {line.last_ending}"

    @property
    def names(self) -> list[str]:
        """What was asked for."""
        return self._chosen.names

    @property
    def exchanges(self) -> frozenset[str]:
        """Exchange and segment of what is subscribed, as far as it is known."""
        return self._chosen.exchanges

    @property
    def paused(self) -> bool:
        """Reading has been stopped by ``pause``."""
        return any(line.client.paused for line in self._lines.values())

    def references(self) -> list[Reference]:
        """Names and previous closes that the active broker told since the last call."""
        return [] if self._active is None else self._active.client.references()

    def status(self) -> dict[str, Any]:
        """The active broker, every broker's state, switches and counts, for reports."""
        standings, reasons = self._failover.standings, self._failover.reasons
        brokers = {
            name: {"standing": standings[name].value, "reason": reasons[name]} | line.status()
            for name, line in self._lines.items()
        }
        counts: dict[str, Any] = to_builtins(self.statistics)
        return counts | {
            "active": self.active,
            "probed": self._failover.probed,
            "brokers": brokers,
            "last_switches": [to_builtins(one) for one in self.switches],
            "instruments": self._chosen.keys,
            "date": self._chosen.date,
        }

    # -- what it can be told

    def pause(self) -> None:
        """Stop reading: for sources that can wait and nothing else."""
        for line in self._lines.values():
            line.client.pause()

    def resume(self) -> None:
        """Read on."""
        for line in self._lines.values():
            line.client.resume()

    def stop(self) -> None:
        """Make ``run`` close the sockets and return."""
        self._stopping = True
        self._news.set()

    def revive(self, broker: str) -> None:
        """Try a broker again that had ended for good. ValueError for one that had not."""
        if not self._failover.revive(broker):
            ended = [
                name for name, one in self._failover.standings.items() if one is Standing.ENDED
            ]
            raise ValueError(f"broker {broker!r} has not ended; ended are {ended}")
        self._lines[broker].ended = None
        self._news.set()

    async def subscribe(self, names: Sequence[str]) -> list[str]:
        """Add instruments; returns the names of all.

        Raises ValueError for a name that no broker's master knows or knows twice, and beyond
        the active broker's limit, or when no master can be had; nothing is added then.
        """
        try:
            book = await self._any_book()
        except BrokerError as error:
            raise ValueError(f"nothing to look {list(names)} up in: {error}") from error
        date = self._chosen.date or self._today()
        new = {name: book.find(name, date).key for name in names if name not in self._chosen.names}
        self._chosen.add(new)
        try:
            await self._choose()
        except ValueError:
            self._chosen.remove(new)
            await self._choose()
            raise
        return self.names

    async def unsubscribe(self, names: Sequence[str]) -> list[str]:
        """Give instruments back, by name or key; returns the names of those that are left."""
        self._chosen.remove(names)
        await self._choose()
        return self.names

    async def _any_book(self) -> InstrumentBook:
        """The master of the active broker, else of the first one that has one."""
        ordered = sorted(self._lines.values(), key=lambda line: not line.active)
        for line in ordered[:-1]:
            try:
                return await line.book()
            except BrokerError:
                continue  # logged and counted where it happened
        return await ordered[-1].book()

    async def _choose(self) -> None:
        """Bring the active broker to what is asked for now; the others follow by themselves."""
        for line in self._lines.values():
            line.retry_s = 0.0
        if self._active is not None:
            try:
                await self._active.choose()
            except BrokerError as error:
                raise ValueError(f"{self._active.name}: {error}") from error
        self._news.set()

    # -- the run

    async def run(self, take: Take) -> None:
        """Hand each frame of the active broker and its ticks to ``take``, until ``stop``.

        A change of brokers may hand on ticks with an empty frame. Raises RefusedByProvider
        when every broker has ended for good, and no new token may come that would help.
        """
        self._stopping, self._take = False, take
        try:
            while not self._stopping:
                self._news.clear()
                self._turn_day()
                self._judge()
                self._try_renewed()
                await self._next_look()
        finally:
            await self._leave()

    def _try_renewed(self) -> None:
        """Try those again that have a new token; give up when nobody is left who may get one."""
        standings = self._failover.standings
        ended = {
            name: line.ended
            for name, line in self._lines.items()
            if line.ended is not None and standings[name] is Standing.ENDED
        }
        for name in self._tokens.renewed(self._clock(), ended):
            self.revive(name)
        if self._failover.exhausted:
            self._last_ending = self._why_exhausted(ended)
            if not self._tokens.awaits(ended):
                raise RefusedByProvider(self._last_ending)

    async def _next_look(self) -> None:
        try:
            async with asyncio.timeout(self._judge_s):
                await self._news.wait()
        except TimeoutError:
            return

    async def _leave(self) -> None:
        for errand in self._errands:
            errand.cancel()
        for line in self._lines.values():
            line.leave()
            line.ended = None
        self._active = self._overlap = self._probed = self._joined_s = None
        await asyncio.gather(*self._errands, return_exceptions=True)
        await asyncio.gather(*(line.left() for line in self._lines.values()))
        self._failover = Failover(list(self._lines), self._failover.limits)

    def _why_exhausted(self, ended: Mapping[str, Ending]) -> str:
        """Every broker's reason and advice."""
        said = []
        for name, ending in ended.items():
            advice = ending.policy.advice if isinstance(ending.policy, Fatal) else ""
            said.append(f"{name}: {ending.reason}; {advice}")
        return "no broker serves us: " + " | ".join(said)

    def _judge(self) -> None:
        """Look at the brokers, and do what the failover decides."""
        for line in self._lines.values():
            line.fail()
        market_open = self._live() and not self.paused
        if self._active is None or not self._active.client.connected:
            self._down_while_trading |= self._trading() and not self.paused
        seen = {name: line.seen() for name, line in self._lines.items()}
        for switch in self._failover.judge(self._clock(), seen, market_open=market_open):
            self._switch(switch)
        running = self._failover.running
        for name, line in self._lines.items():
            if name in running:
                line.start()
            elif line.running:
                line.leave()
        self._watch_overlap()
        self._prepare_idle()

    def _watch_overlap(self) -> None:
        """While a broker is probed, keep what joins it to the active one."""
        probed = self._failover.probed
        if probed != self._probed:
            self._probed = probed
            if probed is not None:
                self._overlap, self._joined_s = Overlap(), None
        if self._joined_s is not None and self._clock() - self._joined_s >= HOLD_S:
            self._joined_s = None
        if probed is None and self._joined_s is None:
            self._overlap = None

    def _switch(self, switch: Switch) -> None:
        """From this moment on the new broker's ticks are handed on and no others."""
        source, target = switch.source, switch.target
        for line in self._lines.values():
            line.active = line.name == target
        self._active = self._lines[target] if target else None
        at_ms = self._clock_ns() // 1_000_000
        is_first = source is None and not switch.hole
        hole = switch.hole and (self._down_while_trading or self._trading())
        self.switches.append(FeedSwitch(at_ms, source, target, switch.reason, hole))
        if is_first:
            return
        self.statistics.switches += 1
        if target is not None:
            self.statistics.switched_to[target] += 1
        self._last_ending = (
            f"{source or 'nobody'} gave way to {target or 'nobody'}: {switch.reason}"
        )
        _log.warning("%s%s", self._last_ending, "; ticks are missing" if hole else "")
        self._broken |= hole
        if self._active is not None:
            self._join(self._active, hole=switch.hole)

    def _join(self, line: BrokerLine, *, hole: bool) -> None:
        overlap = self._overlap
        if overlap is None or not line.client.connected:
            return  # it begins now, with baselines of its own
        line.seen_connections = line.client.statistics.connections
        self._down_while_trading = False
        self._joined_s, self._probed = self._clock(), None
        self._give(b"", overlap.take_over(hole=hole))

    # -- the way of the ticks

    def _hand_on(self, line: BrokerLine, frame: bytes | str, ticks: Sequence[Tick]) -> None:
        """One frame of any broker that runs, on its reader's turn."""
        overlap = self._overlap
        if not line.active:
            self.statistics.overlapped += 1
            if overlap is not None and line.name == self._probed:
                overlap.probed(ticks)
            return
        if ticks and line.seen_connections != line.client.statistics.connections:
            self._reconnected(line)
        if overlap is not None:
            ticks = self._through(overlap, ticks)
        self._give(frame, ticks)

    def _through(self, overlap: Overlap, ticks: Sequence[Tick]) -> Sequence[Tick]:
        if self._joined_s is None:
            overlap.active(ticks)
            return ticks
        before = overlap.behind
        admitted = overlap.admit(ticks)
        self.statistics.behind += overlap.behind - before
        return admitted

    def _reconnected(self, line: BrokerLine) -> None:
        """The first ticks of a connection: a hole is before them if something was traded."""
        line.seen_connections = line.client.statistics.connections
        if self._down_while_trading or self._trading():
            self._broken = True
            self._last_ending = f"{line.name}: {line.last_ending}" if line.last_ending else ""
        self._down_while_trading = False

    def _give(self, frame: bytes | str, ticks: Sequence[Tick]) -> None:
        if ticks and self._broken:
            self._broken = False
            self.statistics.connections += 1
        if frame or ticks:
            self._take(frame, ticks)

    # -- masters

    def _turn_day(self) -> None:
        """On a new day names are resolved anew, and who had ended may try again."""
        date = self._today()
        if date == self._chosen.date:
            return
        first = not self._chosen.date
        self._chosen.begin(date)
        if first:
            return
        for name, line in self._lines.items():
            if self._failover.revive(name):
                line.ended = None
            if line.running:
                self._run_errand(line)

    def _prepare_idle(self) -> None:
        """Have the backups' instruments at hand, one at a time, once the active one is up."""
        active = self._active
        if self._errands or active is None or not (active.client.ready or active.prepared):
            return
        waiting = (one for one in self._lines.values() if not one.prepared and one.ended is None)
        line = next((one for one in waiting if one.retry_s <= self._clock()), None)
        if line is not None:
            self._run_errand(line)

    def _run_errand(self, line: BrokerLine) -> None:
        errand = asyncio.create_task(self._prepare(line), name=f"instruments {line.name}")
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _prepare(self, line: BrokerLine) -> None:
        try:
            await line.choose()
        except (BrokerError, ValueError) as error:
            self.statistics.refresh_failures += 1
            line.retry_s = self._clock() + REFRESH_RETRY_S
            _log.warning("%s: instruments stay as they were: %s", line.name, error)


def _ignore(frame: bytes | str, ticks: Sequence[Tick]) -> None:
    """Where ticks go while nobody runs the feed."""
