"""Ticks that are late, double, of yesterday, of two exchanges: what an earlier engine got wrong.

A simulated broker over a real socket, its client, the listener, the processor, a real Redis.
"""

import asyncio
from collections.abc import Iterable

import pytest

from tests.faults.books import Books
from tests.faults.tick_day import (
    MONDAY,
    Candle,
    Deal,
    DealTape,
    Trading,
    candles,
    closing_states,
    future,
    ms,
    share,
    shares,
)
from tests.faults.tick_system import LocalQueue, TickSetup, TickSystem, listening

BROKERS = ("upstox", "fyers", "dhan")
SHARE = share("2885")


class Pipeline:
    """Deals to a broker, candles from Redis."""

    def __init__(self, redis_url: str) -> None:
        self.servers = LocalQueue(redis_url)

    async def tells(self, *deals: Deal, broker: str = "upstox") -> Books:
        """Let a broker tell of deals, in this order, to their end."""
        tape = DealTape(deals)
        before = closing_states(tape.instruments.values())
        setup = TickSetup(broker, before=before)
        async with listening(tape, self.servers, setup) as system:
            books = await system.end()
        assert books.balanced
        assert (books.lost, books.gaps) == (0, [])
        return books


@pytest.fixture
def pipeline(redis_url: str) -> Pipeline:
    return Pipeline(redis_url)


def as_told(broker: str, deals: Iterable[Deal]) -> list[Deal]:
    """Fyers and Dhan tell whole seconds."""
    return [deal if broker == "upstox" else deal.to_the_second() for deal in deals]


def at(clock: str, found: Iterable[Candle]) -> Candle:
    """The one candle of a minute of Friday."""
    (one,) = (candle for candle in found if candle["start_ms"] == ms(clock))
    return one


def revised(found: Iterable[Candle], **revisions: int) -> list[Candle]:
    """Candles as they are after so many amendments of those of a minute (``at_0915=1``)."""
    times = {ms(f"{name[3:5]}:{name[5:7]}"): count for name, count in revisions.items()}
    return [one | {"revision": times.get(one["start_ms"], 0)} for one in found]


@pytest.mark.parametrize("broker", BROKERS)
class TestLateTicks:
    async def test_one_amends_its_own_minute_and_no_other(
        self, pipeline: Pipeline, broker: str
    ) -> None:
        trading = Trading()
        first = trading.deal(SHARE, 10_000, 10, "09:15:10")
        late = trading.deal(SHARE, 9_900, 5, "09:15:58")
        third = trading.deal(SHARE, 10_300, 7, "09:16:05")
        last = trading.deal(SHARE, 10_250, 3, "09:17:00")
        books = await pipeline.tells(first, third, late, last, broker=broker)
        before, after = at("09:15", books.candles), at("09:16", books.candles)
        assert (before["low"], before["close"], before["closed"]) == (99.0, 99.0, True)
        assert (after["open"], after["close"]) == (103.0, 103.0)
        # What it added to the day's volume had been told by the one that came before it.
        assert (before["volume"], after["volume"]) == (10, 12)
        told = as_told(broker, (first, third, late, last))
        assert books.candles == revised(candles(told), at_0915=1)

    async def test_one_that_brings_volume_brings_it_to_its_own_minute(
        self, pipeline: Pipeline, broker: str
    ) -> None:
        trading = Trading()
        first = trading.deal(SHARE, 10_000, 10, "09:15:10")
        second = trading.deal(SHARE, 10_300, 7, "09:16:05")
        late = trading.deal(SHARE, 10_500, 20, "09:15:59")
        last = trading.deal(SHARE, 10_250, 3, "09:17:00")
        books = await pipeline.tells(first, second, late, last, broker=broker)
        before, after = at("09:15", books.candles), at("09:16", books.candles)
        assert (before["high"], before["close"], before["volume"]) == (105.0, 105.0, 30)
        assert (after["open"], after["high"], after["volume"]) == (103.0, 103.0, 7)
        told = as_told(broker, (first, second, late, last))
        assert books.candles == revised(candles(told), at_0915=1)

    async def test_within_a_second_the_days_volume_tells_the_order(
        self, pipeline: Pipeline, broker: str
    ) -> None:
        trading = Trading()
        first = trading.deal(SHARE, 10_000, 10, "09:15:10.100")
        second = trading.deal(SHARE, 10_100, 10, "09:15:10.200")
        third = trading.deal(SHARE, 10_200, 10, "09:15:10.300")
        books = await pipeline.tells(first, third, second, broker=broker)
        (candle,) = books.candles
        assert (candle["close"], candle["volume"]) == (102.0, 30)


@pytest.mark.parametrize("broker", BROKERS)
async def test_the_same_token_on_three_exchanges_is_three_instruments(
    pipeline: Pipeline, broker: str
) -> None:
    trading = Trading()
    namesakes = [share("2885", "NSE_EQ"), share("2885", "BSE_EQ"), future("2885")]
    deals = [
        trading.deal(one, 10_000 * place + 5 * number, place * 7, ms("09:15") + 250 * number)
        for number in range(600)
        for place, one in enumerate(namesakes, 1)
    ]
    books = await pipeline.tells(*deals, broker=broker)
    assert books.candles == candles(as_told(broker, deals))
    assert {candle["symbol"] for candle in books.candles} == {
        "NSE_EQ:2885", "BSE_EQ:2885", "NSE_FO:2885",
    }  # fmt: skip


@pytest.mark.parametrize("broker", BROKERS)
async def test_the_same_minute_of_the_next_day_is_another_candle(
    pipeline: Pipeline, broker: str
) -> None:
    trading, listed = Trading(), shares(5)
    deals = [
        *trading.stretch(listed, 600, 4, "09:15:00"),
        *trading.stretch(listed, 360, 4, "15:28:30"),
        *trading.stretch(listed, 600, 4, ms("09:15", MONDAY)),
    ]
    books = await pipeline.tells(*deals, broker=broker)
    assert books.candles == candles(as_told(broker, deals))
    opening = [one for one in books.candles if one["minute_int"] == 91_500]
    assert {one["start_ms"] for one in opening} == {ms("09:15"), ms("09:15", MONDAY)}
    assert len(opening) == 2 * len(listed)


async def test_the_days_last_candle_closes_though_nothing_comes_after_it(
    pipeline: Pipeline,
) -> None:
    listed = shares(5)
    deals = Trading().stretch(listed, 500, 5, "15:28:20")
    setup = TickSetup(before=closing_states(listed), once=False, live=True)
    async with listening(DealTape(deals), pipeline.servers, setup) as system:
        found = await closed_candles(system, 2 * len(listed))
        assert system.client.connected
    assert found == candles(deals)
    assert {one["minute_int"] for one in found} == {152_800, 152_900}


async def closed_candles(system: TickSystem, count: int, within_s: float = 15) -> list[Candle]:
    """The 1-minute candles, once so many are closed."""
    async with asyncio.timeout(within_s):
        while True:
            found = await system.candles()
            if sum(one["closed"] for one in found) >= count:
                return found
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("broker", BROKERS)
class TestRepeats:
    async def test_every_tick_twice_counts_once(self, pipeline: Pipeline, broker: str) -> None:
        deals = Trading().stretch(shares(20), 3_000, 20, "09:15:00")
        twice = [deal for deal in deals for _ in range(2)]
        books = await pipeline.tells(*twice, broker=broker)
        assert books.candles == candles(as_told(broker, deals))
        assert books.skipped["duplicate"] >= len(deals)

    async def test_packets_that_come_again_later_change_nothing(
        self, pipeline: Pipeline, broker: str
    ) -> None:
        deals = Trading().stretch(shares(20), 3_000, 20, "09:15:00")
        again = [one for start in range(0, 3_000, 100) for one in (deals[start : start + 100] * 2)]
        books = await pipeline.tells(*again, broker=broker)
        expected = candles(as_told(broker, deals))
        assert [one | {"revision": 0} for one in books.candles] == expected


@pytest.mark.parametrize("broker", BROKERS)
class TestFirstStates:
    async def test_yesterdays_state_makes_no_candle(self, pipeline: Pipeline, broker: str) -> None:
        listed = shares(5)
        tape = DealTape((), listed)
        before = closing_states(listed)
        async with listening(tape, pipeline.servers, broker=broker, before=before) as system:
            books = await system.end()
        assert dict(books.skipped) == {"baseline": 5}
        assert [row for row in books.rows if row["feed"].startswith("candles:")] == []

    async def test_after_yesterdays_state_the_days_volume_counts_from_zero(
        self, pipeline: Pipeline, broker: str
    ) -> None:
        deals = Trading().stretch(shares(5), 300, 5, "09:15:00")
        books = await pipeline.tells(*deals, broker=broker)
        assert books.candles == candles(as_told(broker, deals))
        assert volume_of(books.candles) == sum(deal.size for deal in deals)

    async def test_todays_state_makes_no_candle_and_volume_counts_from_it(
        self, pipeline: Pipeline, broker: str
    ) -> None:
        trading, listed = Trading(), shares(5)
        known = trading.stretch(listed, 50, 5, "09:15:00")
        deals = trading.stretch(listed, 300, 5, "11:00:00")
        tape = DealTape(deals)
        before = [deal.timed for deal in known]
        async with listening(tape, pipeline.servers, broker=broker, before=before) as system:
            books = await system.end()
        told = candles(as_told(broker, [*known, *deals]), missed=range(50))
        assert books.candles == told

    async def test_the_first_trade_of_an_instrument_that_never_traded_counts(
        self, pipeline: Pipeline, broker: str
    ) -> None:
        deals = Trading().stretch(shares(5), 300, 5, "09:15:00")
        async with listening(DealTape(deals), pipeline.servers, broker=broker) as system:
            books = await system.end()
        assert books.candles == candles(as_told(broker, deals))


def volume_of(found: Iterable[Candle]) -> int:
    return sum(one["volume"] for one in found)
