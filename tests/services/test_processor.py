"""The processor over the in-memory queue and cache: claim, flush, take-over, hand-over."""

import asyncio
import random

import pytest

from tapewire.model.rows import Reference
from tapewire.runtime.service import State
from tapewire.services import processor as processor_module
from tapewire.services import shard_owner as shard_owner_module
from tests.analyzers.tape import FRIDAY
from tests.services.processing import SECOND_SHARD, Platform, day, expected, parts, until
from tests.services.producer import TRADES, Producer


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of waiting that say nothing here."""
    monkeypatch.setattr(processor_module, "STAND_BY_S", 0.05)
    monkeypatch.setattr(processor_module, "RETRY_S", 0.01)
    monkeypatch.setattr(shard_owner_module, "RETRY_S", 0.01)


@pytest.fixture
def platform() -> Platform:
    return Platform()


async def test_batches_become_rows_and_are_acknowledged(platform: Platform) -> None:
    async with platform.processor() as processor:
        for trades in parts(day()):
            platform.publish(*trades)
        platform.publish(ending=True)
        await platform.settled()
        await until(lambda: processor.owned["trades.0"].ended)
        await processor.drain()
    assert (await platform.stored()).public() == expected(*parts(day())).public()
    assert await platform.depth() == 0
    assert platform.totals().events == 60
    assert await platform.cache.gaps("trades.0") == []


async def test_a_processor_that_gets_nothing_claims_nothing(platform: Platform) -> None:
    async with platform.processor(), platform.processor():
        await asyncio.sleep(0.1)
        assert await platform.cache.shards() == []


async def test_a_heartbeat_is_enough_to_own(platform: Platform) -> None:
    async with platform.processor() as processor:
        platform.publish()
        await until(lambda: "trades.0" in processor.owned)
        await until(lambda: platform.cache.flushes == 1)
        await until(lambda: platform.broker.find("trades") is not None)
    assert await platform.depth() == 0


async def test_a_quiet_shard_is_not_flushed(platform: Platform) -> None:
    async with platform.processor():
        platform.publish(*day(5))
        await platform.settled()
        await asyncio.sleep(0.05)
        before = platform.cache.flushes
        await asyncio.sleep(0.1)
        assert platform.cache.flushes == before


class TestTakeOver:
    async def test_what_an_owner_had_not_flushed_is_folded_by_the_next(
        self, platform: Platform
    ) -> None:
        async with platform.processor(flush_s=60) as first:
            platform.publish(*day()[:5])
            await platform.settled()
            platform.publish(*day()[5:20])
            await until(lambda: first.owned["trades.0"].totals.events == 20)
            assert platform.applied() == 5
            await first._consumers[TRADES].close()
            async with platform.processor() as second:
                platform.publish(*day()[20:], ending=True)
                await platform.settled()
                await until(lambda: bool({**first.owned, **second.owned}))
        rows = expected(day()[:5], day()[5:20], day()[20:])
        assert (await platform.stored()).public() == rows.public()
        assert platform.totals().events == 60

    @pytest.mark.parametrize("seed", range(6))
    async def test_owners_that_die_at_any_place_leave_the_same_rows(
        self, platform: Platform, seed: int
    ) -> None:
        chance = random.Random(seed)
        batches = parts(day(), 4)
        async with platform.processor(0, 2) as first, platform.processor(1, 2) as second:
            for trades in batches:
                platform.publish(*trades)
                await asyncio.sleep(chance.choice((0, 0, 0.003, 0.015)))
                if chance.random() < 0.4:
                    for one in (first, second):
                        if "trades.0" in one.owned:
                            await one._consumers[TRADES].close()
            platform.publish(ending=True)
            await platform.settled()
            await until(platform.ended)
            takeovers = [one.report().detail["takeovers"] for one in (first, second)]
            assert sum(each.get("trades.0", 0) for each in takeovers) > 1
        assert (await platform.stored()).public() == expected(*batches).public()
        assert (platform.totals().events, platform.totals().lost) == (60, 0)

    async def test_a_fenced_owner_drops_its_memory_and_nothing_is_lost(
        self, platform: Platform
    ) -> None:
        async with platform.processor() as processor:
            platform.publish(*day()[:20])
            await platform.settled()
            fenced = processor.owned["trades.0"]
            await platform.cache.claim("trades.0")
            platform.publish(*day()[20:])
            await platform.settled()
            platform.publish(ending=True)
            await until(platform.ended)
            assert processor.owned["trades.0"] is not fenced
            assert processor.report().detail["takeovers"] == {"trades.0": 2}
        rows = expected(day()[:20], day()[20:])
        assert (await platform.stored()).public() == rows.public()
        assert (platform.totals().events, platform.totals().lost) == (60, 0)


class TestCacheAway:
    async def test_folding_goes_on_and_one_flush_brings_everything(
        self, platform: Platform
    ) -> None:
        batches = parts(day(), 1)
        async with platform.processor(prefetch=8) as processor:
            platform.publish(*batches[0])
            await platform.settled()
            platform.cache.away = True
            for trades in batches[1:]:
                platform.publish(*trades)
            owned = processor.owned["trades.0"]
            await until(lambda: owned.totals.events == 60)
            report = processor.report()
            assert (report.healthy, report.state) == (False, State.DEGRADED)
            assert "does not answer" in report.reason
            assert platform.applied() == 1
            before = platform.cache.flushes
            platform.cache.away = False
            await platform.settled()
            await asyncio.sleep(0.05)
            assert platform.cache.flushes - before <= 2
            assert processor.owned["trades.0"] is owned
            assert processor.report().healthy
            platform.publish(ending=True)
            await until(platform.ended)
        assert (await platform.stored()).public() == expected(*batches).public()
        assert await platform.cache.gaps("trades.0") == []
        assert await platform.depth() == 0

    @pytest.mark.parametrize("prefetch", [1, 2, 3])
    async def test_the_smallest_prefetch_does_not_stop_the_folding(
        self, platform: Platform, prefetch: int
    ) -> None:
        async with platform.processor(prefetch=prefetch) as processor:
            platform.publish(*day(1))
            await platform.settled()
            platform.cache.away = True
            for trade in day(20)[1:]:
                platform.publish(trade)
            await until(lambda: processor.owned["trades.0"].totals.events == 20)
            platform.cache.away = False
            await platform.settled()
            assert processor.owned["trades.0"].lost == 0
            assert processor.report().healthy

    async def test_an_owner_that_dies_meanwhile_leaves_a_counted_gap(
        self, platform: Platform
    ) -> None:
        batches = parts(day(), 1)
        async with platform.processor(prefetch=8) as processor:
            platform.publish(*batches[0])
            await platform.settled()
            platform.cache.away = True
            for trades in batches[1:40]:
                platform.publish(*trades)
            await until(lambda: processor.owned["trades.0"].totals.events == 40)
            await processor._consumers[TRADES].close()
            platform.cache.away = False
            for trades in batches[40:]:
                platform.publish(*trades)
            platform.publish(ending=True)
            await until(platform.ended)
        totals = platform.totals()
        (gap,) = await platform.cache.gaps("trades.0")
        assert totals.lost == gap.events
        assert totals.events + totals.lost == platform.producer.taken_in == 60
        lost = range(gap.from_offset, gap.to_offset)
        assert (await platform.stored()).public() == expected(*batches, gaps=lost).public()

    async def test_a_claim_waits_for_it(self, platform: Platform) -> None:
        platform.cache.away = True
        async with platform.processor() as processor:
            platform.publish(*day(5))
            await until(lambda: processor.report().state is State.DEGRADED)
            platform.cache.away = False
            await platform.settled()
            assert processor.report().state is State.RUNNING
            platform.publish(ending=True)
            await until(platform.ended)
        assert (await platform.stored()).public() == expected(day(5)).public()

    async def test_a_drain_does_not_wait_for_a_claim(self, platform: Platform) -> None:
        platform.cache.away = True
        async with platform.processor() as processor:
            platform.publish(*day(5))
            await until(lambda: "trades.0" in processor.owned)
            async with asyncio.timeout(2):
                await processor.drain()
        assert await platform.depth() == 1


class TestLostWrites:
    async def test_everything_is_written_again(self, platform: Platform) -> None:
        async with platform.processor() as processor:
            platform.publish(*day()[:40])
            await platform.settled()
            owned = processor.owned["trades.0"]
            platform.cache.lose_everything()
            platform.publish(*day()[40:])
            await platform.settled()
            platform.publish(ending=True)
            await until(platform.ended)
            assert processor.owned["trades.0"] is owned
        rows = expected(day()[:40], day()[40:])
        assert (await platform.stored()).public() == rows.public()
        assert platform.totals().events == 60

    async def test_also_when_it_takes_a_while_to_claim_again(self, platform: Platform) -> None:
        async with platform.processor() as processor:
            platform.publish(*day()[:40])
            await platform.settled()
            platform.cache.lose_everything()
            platform.cache.claims_to_refuse = 3
            platform.publish(*day()[40:])
            await platform.settled()
            assert processor.report().state is State.RUNNING
            await processor._consumers[TRADES].close()
            platform.publish(ending=True)
            await until(platform.ended)
        rows = expected(day()[:40], day()[40:])
        assert (await platform.stored()).public() == rows.public()


class TestHandOver:
    async def test_the_next_owner_continues_with_nothing_lost_or_double(
        self, platform: Platform
    ) -> None:
        batches = parts(day(), 3)
        async with platform.processor(0, 2) as home, platform.processor(1, 2) as other:
            await asyncio.sleep(0.1)
            for trades in batches[:10]:
                platform.publish(*trades)
            await until(lambda: "trades.0" in home.owned)
            assert await home.command("hand_over", {"shard": "trades.0"}) == {
                "handed_over": "trades.0"
            }
            for trades in batches[10:]:
                platform.publish(*trades)
            await until(lambda: "trades.0" in other.owned)
            platform.publish(ending=True)
            await until(platform.ended)
            assert other.owned["trades.0"].refusals.duplicates == 0
        assert (await platform.stored()).public() == expected(*batches).public()
        assert (platform.totals().events, platform.totals().lost) == (60, 0)

    async def test_a_drain_flushes_and_acknowledges_everything_that_was_folded(
        self, platform: Platform
    ) -> None:
        async with platform.processor(flush_s=60) as processor:
            platform.publish(*day()[:5])
            await platform.settled()
            platform.publish(*day()[5:])
            await until(lambda: processor.owned["trades.0"].totals.events == 60)
            async with asyncio.timeout(2):
                await processor.drain()
            assert platform.applied() == 60
            assert await platform.depth() == 0
            assert processor.owned == {}
            platform.publish(*day()[:1])
            await asyncio.sleep(0.1)
            assert await platform.depth() == 1

    async def test_a_drain_folds_what_waits(self, platform: Platform) -> None:
        async with platform.processor() as processor:
            for trades in parts(day(), 1):
                platform.publish(*trades)
            async with asyncio.timeout(2):
                await processor.drain()
            assert platform.applied() == 60
            assert await platform.depth() == 0

    async def test_a_drain_folds_for_a_while_only(self, platform: Platform) -> None:
        async with platform.processor(finish_s=0) as processor:
            platform.publish(*day()[:5])
            await platform.settled()
            for trades in parts(day()[5:], 1):
                platform.publish(*trades)
            await processor.drain()
        assert 5 <= platform.applied() < 60
        assert await platform.depth() == 60 - platform.applied()

    async def test_what_an_owner_had_not_folded_goes_back(self, platform: Platform) -> None:
        async with platform.processor() as processor:
            platform.publish(*day()[:5])
            await platform.settled()
            for trades in parts(day()[5:], 1):
                platform.publish(*trades)
            await processor.hand_over(TRADES)
        folded = platform.applied()
        assert await platform.depth() == 60 - folded
        async with platform.processor():
            platform.publish(ending=True)
            await until(platform.ended)
        assert platform.totals().events == 60
        assert await platform.cache.gaps("trades.0") == []

    async def test_all_may_drain_at_once(self) -> None:
        platform = Platform([TRADES, SECOND_SHARD])
        async with platform.processor(0, 2) as first, platform.processor(1, 2) as second:
            await asyncio.sleep(0.1)
            for trades in parts(day(), 1):
                platform.publish(*trades)
            await platform.settled()
            async with asyncio.timeout(2):
                await asyncio.gather(first.drain(), second.drain())
            assert first.owned == second.owned == {}

    async def test_a_shard_goes_back_to_its_own_processor(self) -> None:
        platform = Platform([TRADES, SECOND_SHARD])
        platform.producer = Producer(shard=SECOND_SHARD)
        async with platform.processor(0, 2) as stand_by:
            await asyncio.sleep(0.1)
            platform.publish(*day()[:30])
            await until(lambda: platform.applied(SECOND_SHARD) == 30)
            assert list(stand_by.owned) == ["trades.1"]
            async with platform.processor(1, 2) as home:
                platform.homes_up = {0, 1}
                await until(lambda: stand_by.owned == {})
                platform.publish(*day()[30:], ending=True)
                await until(lambda: platform.applied(SECOND_SHARD) == 60)
                assert list(home.owned) == ["trades.1"]
        totals = platform.totals(SECOND_SHARD)
        assert (totals.events, totals.lost) == (60, 0)
        rows = expected(day()[:30], day()[30:])
        assert (await platform.stored()).public() == rows.public()


async def test_a_reference_that_changes_reaches_the_rows(platform: Platform) -> None:
    async with platform.processor() as processor:
        platform.publish(*day(5))
        await platform.settled()
        processor.refer([Reference("AAPL", FRIDAY, prev_day_close=50.0)])
        flushes = platform.cache.flushes
        await until(lambda: platform.cache.flushes > flushes)
        rows, _ = (await platform.stored()).public()
        assert getattr(rows[f"quote:{FRIDAY}"]["AAPL"], "prev_day_close", None) == 50.0


async def test_what_is_no_batch_stops_nobody(platform: Platform) -> None:
    async with platform.processor() as processor:
        queue = platform.broker.find("trades")
        assert queue is not None
        queue.put(b"nonsense")
        platform.publish(*day(5))
        await platform.settled()
        assert processor.owned["trades.0"].refusals.undecodable == 1
        await processor.drain()
    assert await platform.depth() == 0


async def test_an_error_in_folding_ends_the_service(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with platform.processor() as processor:
        platform.publish(*day(1))
        await platform.settled()
        monkeypatch.setattr(processor.owned["trades.0"], "take", None)
        platform.publish(*day(1))
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(processor.wait(), 2)
        assert caught.group_contains(TypeError)
        assert processor.report().state is State.FAILED
        assert not processor.report().healthy


async def test_a_report_tells_every_shard(platform: Platform) -> None:
    async with platform.processor() as processor:
        platform.publish(*day(30), day(1)[0])
        platform.producer.taken_in += 4
        platform.publish(ending=True)
        await until(platform.ended)
        report = processor.report()
        assert report.gaps == {"trades.0": 4}
        assert report.drops == {"duplicate": 1}
        told = report.detail["shards"]["trades.0"]
        assert (told["events"], told["applied"], told["lost"]) == (31, 35, 4)
        assert (told["batches"], told["ended"]) == (1, True)


async def test_unknown_commands_are_refused(platform: Platform) -> None:
    async with platform.processor() as processor:
        with pytest.raises(ValueError, match="unknown command 'explode'; known: hand_over"):
            await processor.command("explode", {})
        with pytest.raises(ValueError, match="is not a shard name"):
            await processor.command("hand_over", {"shard": "nobody"})
        assert await processor.command("hand_over", {"shard": "trades.7"}) == {
            "handed_over": "trades.7"
        }
