"""The feed over several brokers with real sockets: who is listened to, and what counts once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from tapewire.market.instruments import InstrumentKind
from tapewire.model.events import Tick
from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.broker_client import Take
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.disconnects import BackOff, Fatal
from tapewire.providers.failover import FailoverLimits
from tapewire.runtime.service import RefusedByProvider
from tapewire.services.broker_feed import BrokerFeed
from tests.providers.small_broker import KEYS, MASTER, SmallBroker, opened, until
from tests.services.rivals import Fold, Market, Rival, computed, tape

BOUNDS = ClientBounds(
    mute_s=30, prove_s=0.3, watch_s=0.05, backoff_base_s=0.02, close_timeout_s=0.3
)
LIMITS = FailoverLimits(
    silence_s=0.3,
    unreachable_s=0.15,
    max_interruptions=3,
    prove_s=0.5,
    stable_s=0.3,
    settle_s=0.1,
    rest_s=0.2,
)
NAMES = ("one", "two")


class Stage:
    """A market, brokers that tell of it, and a feed over them."""

    def __init__(self, rivals: Sequence[Rival], market: Market, **options: Any) -> None:
        self.market = market
        self.rivals = rivals
        self.brokers = [
            SmallBroker(rival.exchange.url, name=name)
            for name, rival in zip(NAMES, rivals, strict=False)
        ]
        usual: dict[str, Any] = {"limits": LIMITS, "bounds": BOUNDS, "judge_s": 0.02}
        self.feed = BrokerFeed(self.brokers, options.pop("names", KEYS), **(usual | options))
        self.fold = Fold()
        self.ticks: list[Tick] = []

    def take(self, frame: bytes | str, ticks: Sequence[Tick]) -> None:
        self.ticks += ticks
        self.fold.take(frame, ticks)

    def break_off(self, *places: int) -> None:
        """Make brokers unreachable from the next connection on."""
        for place in places:
            self.brokers[place].refusal = Ending("away", BackOff(0.0))

    def mend(self, *places: int) -> None:
        for place in places:
            self.brokers[place].refusal = None

    async def play_while(self, still: Any, rows: int = 3) -> None:
        """Let the market go on for as long as something holds."""
        async with asyncio.timeout(20):
            while still():
                assert await self.market.play(rows), f"the tape is over: {self.feed.status()}"

    async def play_more(self) -> None:
        """Let the market go on until something of it has come."""
        seen = len(self.ticks)
        await self.play_while(lambda: len(self.ticks) == seen)

    async def drop(self, place: int) -> None:
        """Break a broker's connection, and wait for its next one."""
        exchange = self.rivals[place].exchange
        made = len(exchange.visits)
        self.rivals[place].drop()
        await until(lambda: len(exchange.visits) > made)

    async def finish(self) -> None:
        """Play the tape to its end, and wait until its last row has come."""
        while await self.market.play(50):
            pass
        volumes = {row[0]: row[2] for row in self.market.rows}
        last = {one.key: volumes[one.broker_key] for one in MASTER}
        await until(lambda: self.told() == last)

    def told(self) -> dict[str, int | None]:
        """The newest volume that was handed on of each instrument."""
        return {f"{tick.exchange}:{tick.token}": tick.day_volume for tick in self.ticks}

    def switches(self) -> list[tuple[str | None, str | None, str, bool]]:
        return [(one.source, one.target, one.reason, one.hole) for one in self.feed.switches]


@asynccontextmanager
async def staged(
    *lags: int, rows: int = 4000, market: Market | None = None, **options: Any
) -> AsyncIterator[Stage]:
    market = market or Market(tape(rows))
    rivals = [Rival(market, lag) for lag in lags]
    async with AsyncExitStack() as stack:
        for rival in rivals:
            await stack.enter_async_context(opened(rival.exchange))
        yield Stage(rivals, market, **options)


@asynccontextmanager
async def feeding(stage: Stage, take: Take | None = None) -> AsyncIterator[Stage]:
    run = asyncio.create_task(stage.feed.run(take or stage.take))
    try:
        yield stage
    finally:
        stage.feed.stop()
        await run


async def test_ticks_come_from_the_primary_alone_while_it_is_well() -> None:
    async with staged(0, 0) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy)
        await stage.finish()
        assert stage.feed.active == "one"
        assert {tick.broker for tick in stage.ticks} == {"one"}
        assert stage.rivals[1].exchange.visits == []
        assert stage.feed.statistics.connections == 1
    assert stage.fold.candles() == computed(stage.market.rows)
    assert stage.feed.active is None


@pytest.mark.parametrize(
    ("primary_lag", "backup_lag"), [(0, 0), (0, 40), (40, 0)], ids=["abreast", "ahead", "behind"]
)
async def test_no_candle_is_counted_twice_when_the_primary_comes_back(
    primary_lag: int, backup_lag: int
) -> None:
    async with staged(primary_lag, backup_lag) as stage:
        stage.break_off(0)
        async with feeding(stage):
            await until(lambda: stage.feed.active == "two" and stage.feed.healthy)
            await stage.play_while(lambda: len(stage.ticks) < 300)
            stage.mend(0)
            await stage.play_while(lambda: stage.feed.active == "two")
            await stage.play_while(lambda: stage.ticks[-1].broker == "two")
            await stage.finish()
        assert stage.switches() == [
            (None, "one", "start", False),
            ("one", "two", "unreachable", True),
            ("two", "one", "fail-back", False),
        ]
        assert stage.feed.statistics.connections == 1
        brokers = [tick.broker for tick in stage.ticks]
        assert brokers == sorted(brokers, reverse=True)
    assert stage.fold.candles() == computed(stage.market.rows)


async def test_an_unsteady_broker_is_left_for_another_without_a_hole_of_the_change() -> None:
    async with staged(0, 0) as stage, feeding(stage):
        stage.break_off(1)
        await until(lambda: stage.feed.healthy)
        for _ in range(4):
            await stage.play_more()
            await stage.drop(0)
            await until(lambda: stage.feed.healthy)
        stage.mend(1)
        await stage.play_while(lambda: stage.feed.active == "one")
        await stage.finish()
        assert stage.switches()[1:] == [("one", "two", "unsteady", False)]
        assert stage.feed.statistics.connections == 5  # four holes, each a lost connection
    _at_most(stage)


async def test_silence_of_an_open_market_changes_the_broker_and_is_a_hole() -> None:
    async with staged(0, 0) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy)
        await stage.play_while(lambda: len(stage.ticks) < 200)
        stage.rivals[0].mute = True
        await stage.play_while(lambda: stage.feed.active == "one")
        await stage.finish()
        assert stage.switches()[1:] == [("one", "two", "silent", True)]
        assert stage.feed.statistics.connections == 2
        assert stage.feed.last_ending == "one gave way to two: silent"
        assert stage.fold.skipped["missed"] > 0
    _at_most(stage)


async def test_a_fatal_ending_moves_on_at_once_and_can_be_taken_back() -> None:
    async with staged(0, 0) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy)
        await stage.play_while(lambda: len(stage.ticks) < 200)
        await stage.rivals[0].send("fatal")
        await until(lambda: stage.feed.active == "two")
        status = stage.feed.status()
        assert status["brokers"]["one"]["standing"] == "ended"
        assert status["brokers"]["two"]["standing"] == "active"
        with pytest.raises(ValueError, match="'two' has not ended; ended are \\['one'\\]"):
            stage.feed.revive("two")
        await until(lambda: stage.feed.healthy)
        stage.feed.revive("one")
        await stage.play_while(lambda: stage.feed.active == "two")
        await stage.finish()
        assert [switch[2] for switch in stage.switches()] == ["start", "ended", "fail-back"]
        assert stage.feed.statistics.connections == 2
    _at_most(stage)


def _at_most(stage: Stage) -> None:
    """Where a hole was, candles hold no more than was traded; elsewhere exactly that."""
    direct, folded = computed(stage.market.rows), stage.fold.candles()
    assert folded.keys() <= direct.keys()
    for place, candle in folded.items():
        assert candle[4] <= direct[place][4]
        assert candle[1] <= direct[place][1]
        assert candle[2] >= direct[place][2]
    whole = [place for place, candle in folded.items() if candle == direct[place]]
    assert whole


async def test_a_lost_connection_is_a_hole_only_if_the_market_was_open() -> None:
    live = [False]
    async with staged(0, live=lambda: live[0]) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy and bool(stage.ticks))
        assert stage.feed.statistics.connections == 1
        for is_open, connections in ((False, 1), (True, 2)):
            live[0] = is_open
            stage.ticks.clear()
            await stage.drop(0)
            await until(lambda: bool(stage.ticks))
            assert stage.feed.statistics.connections == connections
        assert stage.feed.last_ending == "one: dropped: without a closing frame"


async def test_in_the_auction_silence_is_no_fault_but_a_lost_connection_is_a_hole() -> None:
    async with (
        staged(0, 0, live=lambda: False, trading=lambda: True) as stage,
        feeding(stage),
    ):
        await until(lambda: stage.feed.healthy)
        await stage.play_more()
        stage.rivals[0].mute = True
        await asyncio.sleep(3 * LIMITS.silence_s)
        assert stage.feed.active == "one"
        stage.rivals[0].mute = False
        stage.ticks.clear()
        await stage.drop(0)
        await stage.play_while(lambda: not stage.ticks)
        assert stage.feed.statistics.connections == 2


async def test_a_change_of_brokers_in_the_night_is_no_hole() -> None:
    async with staged(0, 0, live=lambda: False) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy)
        await stage.play_more()
        await stage.rivals[0].send("fatal")
        await until(lambda: stage.feed.active == "two" and stage.feed.healthy)
        await stage.play_more()
        assert stage.switches() == [(None, "one", "start", False), ("one", "two", "ended", False)]
        assert stage.feed.statistics.connections == 1
        assert stage.feed.statistics.switched_to == {"two": 1}


async def test_when_every_broker_has_ended_the_feed_says_why() -> None:
    async with staged(0, 0) as stage:
        for broker in stage.brokers:
            broker.refusal = Ending("no_plan", Fatal("buy the data plan"))
        with pytest.raises(RefusedByProvider) as raised:
            await stage.feed.run(stage.take)
    assert str(raised.value) == (
        "no broker serves us: one: no_plan; buy the data plan | two: no_plan; buy the data plan"
    )
    assert RefusedByProvider.exit_code == 3


async def test_a_feed_that_was_stopped_can_run_again() -> None:
    async with staged(0) as stage:
        async with feeding(stage):
            await until(lambda: stage.feed.healthy)
        assert not stage.feed.healthy
        async with feeding(stage):
            await until(lambda: stage.feed.healthy)
            await stage.finish()
        assert stage.feed.statistics.connections == 2


async def test_each_broker_takes_the_same_keys_out_of_its_own_master() -> None:
    names = ["RELIANCE", "NSE_FO:2885", "NIFTY-W9-1-CE"]
    async with staged(0, 0, names=names) as stage:
        _, second = stage.brokers
        second.master = [
            replace(MASTER[0], symbol="RELIANCE-EQ", broker_key="r"),
            replace(MASTER[1], symbol="RELIANCE", broker_key="x"),
        ]
        stage.break_off(0)
        async with feeding(stage):
            await until(lambda: stage.feed.active == "two" and stage.feed.healthy)
            status = stage.feed.status()
            assert stage.rivals[1].exchange.visits[0].asked == ["r"]
            assert set(status["brokers"]["one"]["missing"]) == {"NIFTY-W9-1-CE"}
            assert set(status["brokers"]["two"]["missing"]) == {"NIFTY-W9-1-CE", "NSE_FO:2885"}
            assert status["instruments"] == {
                "RELIANCE": "NSE_EQ:2885",
                "NSE_FO:2885": "NSE_FO:2885",
            }


async def test_instruments_are_added_and_given_back_while_it_runs() -> None:
    async with staged(0, names=["RELIANCE"]) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy)
        assert await stage.feed.subscribe(["INFY"]) == ["RELIANCE", "INFY"]
        with pytest.raises(ValueError, match=r"no instrument is called 'INFI'.*near: INFY"):
            await stage.feed.subscribe(["NSE_FO:2885", "INFI"])
        assert await stage.feed.unsubscribe(["NSE_EQ:2885", "nothing"]) == ["INFY"]
        stage.ticks.clear()
        await stage.play_while(lambda: not stage.ticks)
        assert stage.told().keys() == {"NSE_EQ:1594"}


async def test_beyond_the_active_brokers_limit_nothing_is_added() -> None:
    async with staged(0, names=["RELIANCE"]) as stage:
        stage.brokers[0]._limit = 1
        async with feeding(stage):
            await until(lambda: stage.feed.healthy)
            with pytest.raises(ValueError, match="2 asked, limit 1"):
                await stage.feed.subscribe(["INFY"])
            assert stage.feed.names == ["RELIANCE"]
            assert stage.feed.healthy


async def test_names_that_move_with_the_calendar_are_resolved_anew_each_day() -> None:
    near, far = (
        replace(
            MASTER[2],
            token=token,
            kind=InstrumentKind.FUTURE,
            underlying="NIFTY",
            expiry=expiry,
            broker_key=key,
        )
        for token, expiry, key in (("1", "2026-11-24", "n"), ("2", "2026-12-29", "i"))
    )
    today = ["2026-11-24"]
    async with staged(0, names=["NIFTY-I"], today=lambda: today[0]) as stage:
        stage.brokers[0].master = [near, far]
        async with feeding(stage):
            await until(lambda: stage.feed.healthy)
            assert stage.feed.status()["instruments"] == {"NIFTY-I": near.key}
            today[0] = "2026-11-25"
            await until(lambda: stage.feed.status()["instruments"] == {"NIFTY-I": far.key})
            await stage.play_while(lambda: far.key not in stage.told())


async def test_a_broker_without_instruments_is_waited_for_and_replaced() -> None:
    class Empty(SmallBroker):
        async def instruments(self) -> Any:
            raise BrokerError(Ending("no_master", BackOff(0.0), "nothing on disk"))

    async with staged(0, 0) as stage:
        brokers = [Empty("ws://nowhere", name="one"), stage.brokers[1]]
        stage.feed = BrokerFeed(brokers, KEYS, limits=LIMITS, bounds=BOUNDS, judge_s=0.02)
        async with feeding(stage):
            await until(lambda: stage.feed.active == "two" and stage.feed.healthy)
            one = stage.feed.status()["brokers"]["one"]
            assert one["last_ending"] == "no_master: nothing on disk"
            assert one["master_failures"] >= 1


async def test_a_paused_feed_blames_nobody() -> None:
    async with staged(0, 0) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy)
        await stage.play_while(lambda: len(stage.ticks) < 50)
        stage.feed.pause()
        assert stage.feed.paused
        await asyncio.sleep(3 * LIMITS.silence_s)
        assert stage.feed.active == "one"
        stage.feed.resume()
        await stage.finish()
        assert len(stage.feed.switches) == 1


async def test_a_new_day_gives_those_that_had_ended_another_chance() -> None:
    today = ["2026-11-20"]
    async with staged(0, 0, today=lambda: today[0]) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy)
        await stage.rivals[0].send("fatal")
        await until(lambda: stage.feed.active == "two" and stage.feed.healthy)
        today[0] = "2026-11-23"
        await stage.play_while(lambda: stage.feed.active == "two")
        assert stage.feed.active == "one"


async def test_what_the_active_broker_told_of_instruments_is_passed_on() -> None:
    async with staged(0) as stage, feeding(stage):
        await until(lambda: stage.feed.healthy)
        assert {row.symbol for row in stage.feed.references()} == set(KEYS)
    assert stage.feed.references() == []
