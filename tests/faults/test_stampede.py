"""The opening stampede: 09:29:50 to 09:31:00 at ten times its rate, through the live system.

Processes of their own, RabbitMQ at the default TTL, live settings, two processors. The seventy
seconds are played in seven (speed x10): ten times the events of each second of the clock on the
wall, by which lag and boards are judged. The change of base at 09:30 lies one second into it.
The market is made up beforehand, so that the simulator has nothing to do but send.
"""

import asyncio
import operator
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tapewire.caches.reader import WidgetReader
from tapewire.caches.registry import RedisRegistry
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli.replay_result import progress_of
from tapewire.cli.simulated import sources_of
from tapewire.model.events import Gap
from tapewire.model.streams import Shard, Stream
from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.source_strings import parse_source
from tapewire.simulators.sources import Slice, Source
from tests.conftest import StartRedis
from tests.faults.processes import processors_of
from tests.replays import environment, started

SOURCE: Final = "generator:at=09:29:50,until=09:31"
TIMES: Final = 10
SECONDS: Final = 70.0
SHARDS: Final = [Shard(Stream.TRADES, 0), Shard(Stream.AGGREGATE, 0)]
BOARDS: Final = ("top_volume", "top_gappers", "top_gainers")
LOOK_S: Final = 0.1


Sample = dict[str, list[tuple[str, float]]]
"""The boards' lines at one moment: symbols and scores in order."""


class Look(NamedTuple):
    """One look at both ends: events sent by the simulator, and accounted for in the store."""

    at_s: float
    sent: int
    stored: int


class Books(NamedTuple):
    """What was taken in by the listener, folded, and lost, over both shards."""

    taken_in: int
    folded: int
    lost: int


class MadeUp:
    """A source whose events are all there before it is played."""

    whole_frames = False

    def __init__(self, source: Source) -> None:
        self.name, self.notes, self.reference = source.name, source.notes, source.reference
        self.topics, self.symbols, self.dates = source.topics, source.symbols, source.dates
        self._slices = list(source.slices())

    def slices(self) -> Iterator[Slice]:
        return iter(self._slices)


class Market:
    """The running system, seen from its two ends."""

    def __init__(self, simulator: MassiveSimulator, env: Mapping[str, str]) -> None:
        self._simulator = simulator
        self.cache = RedisWidgetCache(env["WDC_REDIS_URL"])
        self._reader = WidgetReader(self.cache)
        self.registry = RedisRegistry(env["MDC_REDIS_URL"])

    async def close(self) -> None:
        await self.registry.close()
        await self.cache.close()

    async def look(self) -> Look:
        at_s, sent = time.monotonic(), sum(self._simulator.statistics.events.values())
        progress = await progress_of(self.cache, SHARDS)
        return Look(at_s, sent, sum(one.totals.events + one.totals.lost for one in progress))

    async def boards(self) -> Sample:
        """The first hundred lines of each board."""
        return {
            name: [(line.symbol, line.score) for line in await self._reader.board(name, 100)]
            for name in BOARDS
        }

    async def reports(self, service: str) -> list[Any]:
        return [one for one in await self.registry.reports() if one.service == service]

    async def ready(self) -> None:
        """Return when reference rows are loaded and both processors wait for events."""
        async with asyncio.timeout(40):
            while True:
                reference = await self.reports("reference")
                processors = await self.reports("processor")
                if len(processors) == 2 and any(one.healthy for one in reference):
                    return
                await asyncio.sleep(0.1)

    async def books(self) -> Books:
        (listener,) = await self.reports("listener")
        taken_in = sum(listener.detail["taken_in"][shard.name] for shard in SHARDS)
        totals = [one.totals for one in await progress_of(self.cache, SHARDS)]
        return Books(taken_in, sum(t.events for t in totals), sum(t.lost for t in totals))


@asynccontextmanager
async def market_of(env: Mapping[str, str]) -> AsyncIterator[tuple[Market, int]]:
    """The system while it is stormed, and the process id of its processors' manager.

    The listener comes last: its subscription begins the play.
    """
    (source,) = sources_of([SOURCE], None, int(time.time() * 1000))
    simulator = MassiveSimulator([MadeUp(parse_source(source))], speed=f"x{TIMES}")
    await simulator.start()
    places = {"MASSIVE_FEED": simulator.ws_url, "MASSIVE_REST_URL": simulator.rest_url}
    env = {**env, **places, "MASSIVE_API_KEY": "any"}
    market, run = Market(simulator, env), ("run", "--http", "off")
    try:
        with ExitStack() as stack:
            stack.enter_context(started(*run, "reference", env=env))
            manager = stack.enter_context(started(*run, "processor", "--processors", "2", env=env))
            await market.ready()
            stack.enter_context(started(*run, "listener", env=env))
            yield market, manager.pid
    finally:
        await market.close()
        await simulator.stop()


async def watch(market: Market) -> tuple[list[Look], list[Sample]]:
    """Look at both ends until all that was sent is stored; the boards once a second."""
    looks: list[Look] = []
    boards: list[Sample] = []
    async with asyncio.timeout(45):
        while not is_over(looks):
            look = await market.look()
            if look.sent and len(boards) <= look.at_s - (looks or [look])[0].at_s:
                boards.append(await market.boards())
            if look.sent:
                looks.append(look)
            await asyncio.sleep(LOOK_S)
    return looks, boards


def is_over(looks: list[Look]) -> bool:
    """Nothing was sent for a second, and all of it is stored."""
    before = [look for look in looks if look.at_s <= looks[-1].at_s - 1.0]
    return bool(before) and before[-1].sent == looks[-1].sent == looks[-1].stored


def lag_s(look: Look, looks: list[Look]) -> float:
    """How long ago what is stored by then was sent."""
    return max(0.0, look.at_s - next(each.at_s for each in looks if each.sent >= look.stored))


def end_of(looks: list[Look]) -> float:
    """When the last event was sent."""
    return next(look.at_s for look in looks if look.sent == looks[-1].sent)


@pytest.fixture
def env(tmp_path: Path, start_redis: StartRedis, rabbitmq_url: str) -> dict[str, str]:
    """Settings as they are by default, over servers of the test's own."""
    return environment(
        TAPEWIRE_DATA_DIR=str(tmp_path / "data"),
        RABBITMQ_URL=rabbitmq_url,
        MDC_REDIS_URL=start_redis().url,
        WDC_REDIS_URL=start_redis().url,
    )


class Storm:
    """What was seen of a run: both ends all the time, the boards once a second."""

    def __init__(
        self, looks: list[Look], boards: list[Sample], books: Books, gaps: list[Gap]
    ) -> None:
        self.looks, self.boards, self.books, self.gaps = looks, boards, books, gaps
        self.sent = looks[-1].sent
        self.burst_s = end_of(looks) - looks[0].at_s
        self.times = SECONDS / self.burst_s
        self.lags = [lag_s(look, looks) for look in looks]
        late = [at_s for (at_s, *_), lag in zip(looks, self.lags, strict=True) if lag > 1]
        self.calm_s = max([0.0, *(at_s - end_of(looks) for at_s in late)])

    def __str__(self) -> str:
        return (
            f"{self.sent:,} events in {self.burst_s:.1f} s: {self.sent / self.burst_s:,.0f}/s,"
            f" {self.times:.1f} times their rate; lag at most {max(self.lags):.2f} s, under 1 s"
            f" from {self.calm_s:.1f} s after the end; {self.books}, {len(self.gaps)} gaps,"
            f" {len(self.boards)} samples of the boards"
        )

    def check_books(self) -> None:
        """Every event that was sent is folded, or counted as lost in a gap of known time."""
        assert self.books.taken_in == self.sent == self.books.folded + self.books.lost
        assert sum(gap.events or 0 for gap in self.gaps) == self.books.lost
        assert all(0 < gap.from_ms <= gap.to_ms <= gap.from_ms + 80_000 for gap in self.gaps)


async def storm(market: Market) -> Storm:
    looks, boards = await watch(market)
    await asyncio.sleep(1.2)  # until the listener has reported once more
    gaps = [gap for shard in SHARDS for gap in await market.cache.gaps(shard.name)]
    return Storm(looks, boards, await market.books(), gaps)


async def test_the_opening_stampede_at_ten_times_its_rate(
    env: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with market_of(env) as (market, _):
        seen = await storm(market)
    with capsys.disabled():
        print(f"\n  {seen}")
    assert seen.times > 0.8 * TIMES
    assert seen.calm_s < 5.0
    during = seen.boards[: int(seen.burst_s) + 1]
    assert len(during) >= 7
    for name in BOARDS:
        # At 09:30 every gainer's base is another one: that board is empty for a moment.
        shown = dropwhile(operator.not_, (sample[name] for sample in during))
        pairs = pairwise(shown)
        still = [second for second, (before, after) in enumerate(pairs) if before == after]
        assert during[-1][name], f"{name} is empty"
        assert not still, f"{name} stood still in seconds {still}"
    seen.check_books()


async def test_what_expires_while_no_processor_works_is_counted_and_located(
    env: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Both freeze two seconds into it, with who would replace them, for longer than the TTL."""
    async with market_of(env) as (market, manager):
        frozen = asyncio.create_task(freeze_all(market, manager))
        seen = await storm(market)
        await frozen
    with capsys.disabled():
        print(f"\n  {seen}")
    assert seen.books.lost > 1_000
    assert {gap.reason for gap in seen.gaps if gap.events} == {"lost"}
    seen.check_books()


FROZEN_S = 6.5
"""Longer than a batch lives in a queue, 5 s."""


async def freeze_all(market: Market, manager: int) -> None:
    """Freeze every processor once a quarter of the events came; end them when some expired."""
    while (await market.look()).stored < 30_000:  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.05)
    frozen = [manager, *processors_of(manager).values()]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(FROZEN_S)
    for pid in frozen[1:]:
        os.kill(pid, signal.SIGKILL)
    os.kill(manager, signal.SIGCONT)
