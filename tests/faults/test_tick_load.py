"""More ticks than the earlier engine could take, in order and out of it: every candle is right.

That engine's 24 workers lost two thirds of 8,000 ticks a second, or reordered them until no
candle was right. Here a simulated broker offers as many and three times as many, paced by the
clock, over a real socket; queue, processor and Redis are real. ``-s`` shows what was reached.
"""

import random
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tests.faults.system import RealServers
from tests.faults.tick_day import Deal, DealTape, Trading, candles, closing_states, shares
from tests.faults.tick_system import LocalQueue, TickSetup, listening

PREDECESSOR_PER_S: Final = 8_000
WORKERS: Final = 24
OF_A_WORKER_PER_S: Final = 1_000
"""What one of the earlier engine's workers was meant to take."""


def shuffled(deals: Sequence[Deal], within_ms: int, seed: int = 5) -> list[Deal]:
    """The deals as they come when each is up to so much late; none leaves its minute behind."""
    draw = random.Random(seed)
    arrivals = []
    for place, deal in enumerate(deals):
        left_ms = 60_000 - deal.time_ms % 60_000
        arrivals.append((deal.time_ms + draw.randrange(min(within_ms, left_ms)), place))
    return [deals[place] for _, place in sorted(arrivals)]


async def test_8000_ticks_a_second_out_of_order(rabbitmq_url: str, redis_url: str) -> None:
    listed = shares(200)
    deals = Trading().stretch(listed, 48_000, PREDECESSOR_PER_S / 30, "09:15:00")
    told = shuffled(deals, within_ms=1_500)
    assert sum(one.time_ms > two.time_ms for one, two in pairwise(told)) > 10_000
    setup = TickSetup(speed=f"{PREDECESSOR_PER_S}/s", before=closing_states(listed))
    async with listening(DealTape(told), RealServers(rabbitmq_url, redis_url), setup) as system:
        began = time.monotonic()
        books = await system.end()
        took_s = time.monotonic() - began
    print(f"\n{len(deals)} ticks in {took_s:.1f} s, {books.skipped['behind']} of them behind")
    assert (books.balanced, books.lost, books.gaps) == (True, 0, [])
    found = books.candles
    # Prices and volumes as if all had come in order; what came late had been counted with others.
    names = ("symbol", "start_ms", "open", "high", "low", "close", "volume", "closed", "gap")
    assert [[one[n] for n in names] for one in found] == [
        [one[n] for n in names] for one in candles(deals)
    ]
    assert found == candles(told)


async def test_24_workers_worth_of_load(redis_url: str) -> None:
    listed = shares(WORKERS * 50)
    per_s = WORKERS * OF_A_WORKER_PER_S
    deals = Trading().stretch(listed, 10 * per_s, per_s, "09:15:55")
    setup = TickSetup(
        "fyers", speed=f"{per_s}/s", shards=2, live=True, before=closing_states(listed)
    )
    async with listening(DealTape(deals), LocalQueue(redis_url), setup) as system:
        began = time.monotonic()
        books = await system.end()
        took_s = time.monotonic() - began
        assert system.simulator.statistics.slow_consumers == 0
    print(f"\n{len(deals)} ticks in {took_s:.1f} s")
    assert len(deals) / took_s > PREDECESSOR_PER_S
    assert (books.balanced, books.lost, books.gaps) == (True, 0, [])
    assert books.candles == candles(deal.to_the_second() for deal in deals)
    assert len(books.candles) == 2 * len(listed)
