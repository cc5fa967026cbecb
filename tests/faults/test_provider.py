"""The provider drops, mutes, kicks, refuses: recovery without hands, and the hole is told.

Against the whole path: after each reconnection the interrupted connection is a gap of unknown
size, and exactly the candles in its time carry the mark.
"""

import time

import pytest

from tapewire.model.events import Gap
from tapewire.providers.massive.client import ClientBounds
from tapewire.providers.massive.protocol import RECONNECT, CloseReason, CoolDown
from tapewire.simulators.massive import MassiveSimulator
from tests.faults.books import only, until
from tests.faults.day import Day, candles
from tests.faults.system import RealServers, running
from tests.simulators.client import subscribed

DAY = Day(12_000)
CUT = 6_000


@pytest.fixture
def servers(rabbitmq_url: str, redis_url: str) -> RealServers:
    return RealServers(rabbitmq_url, redis_url)


def interruption(before: int, after: int) -> Gap:
    """What the shard says of a connection lost between two trades of the day."""
    first, last = DAY.prints[before - 1].time_ms, DAY.prints[after].time_ms
    return Gap(
        "trades.0", "massive", 1000, before, before, None, first, last, "provider connection lost"
    )


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("drop", "dropped"),
        ("reset", "dropped"),
        ("close", "dropped"),
        ("mute", "mute"),
        ("force_disconnect", "force_disconnect"),
    ],
)
async def test_a_connection_that_ends_comes_back_and_marks_only_its_time(
    servers: RealServers, fault: str, ending: str
) -> None:
    bounds = ClientBounds(idle_s=0.5, backoff_base_s=0.05, close_timeout_s=0.2)
    async with running(DAY, servers, faults=(f"{fault}@{CUT}",), client=bounds) as system:
        books = await system.end()
        statistics = system.client.statistics
        assert system.simulator.statistics.connections == 2
    assert (statistics.connections, statistics.reconnects) == (2, 1)
    assert statistics.endings == {ending: 1, "end_of_source": 1}
    heard = CUT - (12_000 - books.taken_in)
    assert (heard == CUT) or (fault == "reset")  # which takes what is still in the socket
    assert books.balanced
    assert books.lost == 0
    assert books.gaps == [interruption(heard, CUT)]
    assert books.candles == candles(DAY.prints[:heard] + DAY.prints[CUT:], books.gaps)


async def test_what_a_live_feed_sent_meanwhile_is_not_made_up(servers: RealServers) -> None:
    slow = ClientBounds(backoff_base_s=1.0, close_timeout_s=0.2)
    async with running(
        DAY, servers, speed="4000/s", faults=(f"drop@{CUT}",), client=slow
    ) as system:
        books = await system.end()
        provider = system.simulator.statistics
        assert (provider.connections, system.client.statistics.reconnects) == (2, 1)
    assert provider.unheard > 1_000
    assert books.taken_in == books.folded == 12_000 - provider.unheard == provider.events["T"]
    again = CUT + provider.unheard
    assert books.gaps == [interruption(CUT, again)]
    heard = DAY.prints[:CUT] + DAY.prints[again:]
    assert books.candles == candles(heard, books.gaps)


async def test_a_second_connection_costs_a_cool_down_and_no_fight(servers: RealServers) -> None:
    assert RECONNECT[CloseReason.MAX_CONNECTIONS] == CoolDown(60.0)
    short = {**RECONNECT, CloseReason.MAX_CONNECTIONS: CoolDown(1.0)}
    async with running(DAY, servers, speed="4000/s", reconnect=short) as system:
        await until(lambda: system.taken_in() > 2_000)
        async with subscribed(system.simulator):
            began_s = time.monotonic()
            await until(lambda: system.client.statistics.endings["max_connections"] == 1)
        await until(lambda: system.client.subscribed)
        assert 1.0 <= time.monotonic() - began_s < 3.0
        books = await system.end()
        provider = system.simulator.statistics
    assert (provider.kicked, provider.connections) == (1, 3)
    statistics = system.client.statistics
    assert statistics.endings == {"max_connections": 1, "end_of_source": 1}
    assert (statistics.connections, statistics.reconnects) == (2, 1)
    assert only(books.gaps).reason == "provider connection lost"
    assert books.balanced


async def test_refused_upgrades_are_tried_again_one_after_the_other(servers: RealServers) -> None:
    faults = (f"drop@{CUT}", *["refuse_upgrade@1"] * 3)
    async with running(DAY, servers, faults=faults) as system:
        books = await system.end()
        statistics = system.client.statistics
        assert system.simulator.statistics.faults["refuse_upgrade"] == 3
    assert statistics.endings == {"dropped": 1, "unreachable": 3, "end_of_source": 1}
    assert (statistics.connections, statistics.reconnects) == (2, 4)
    assert books.taken_in == books.folded == 12_000
    assert books.gaps == [interruption(CUT, CUT)]
    assert books.candles == candles(DAY.prints, books.gaps)


async def test_a_provider_whose_port_is_closed_is_found_again(servers: RealServers) -> None:
    async with running(Day(3_000), servers, once=False) as system:
        await until(lambda: system.taken_in() == 3_000)
        port = system.simulator.port
        await system.simulator.stop()
        await until(lambda: system.client.statistics.endings["unreachable"] >= 3)
        assert not system.listener.report().healthy
        later = MassiveSimulator([Day(3_000, first=9_000)], speed="max", once=True, port=port)
        await later.start()
        system.stack.push_async_callback(later.stop)
        books = await system.end()
        statistics = system.client.statistics
    assert statistics.connections == 2
    assert statistics.reconnects == 1 + statistics.endings["unreachable"]
    assert statistics.endings["dropped"] == 1
    assert books.taken_in == books.folded == 6_000
    assert books.gaps == [interruption(3_000, 9_000)]
    heard = DAY.prints[:3_000] + DAY.prints[9_000:]
    assert books.candles == candles(heard, books.gaps)


async def test_every_interruption_is_a_gap_of_its_own(servers: RealServers) -> None:
    faults = tuple(f"drop@{at}" for at in (2_000, 5_000, 9_000))
    async with running(DAY, servers, faults=faults, shards=2) as system:
        books = await system.end()
        assert system.client.statistics.reconnects == 3
        holes = system.listener.report().detail["listener"]["holes"]
    assert [hole["reason"].partition(":")[0] for hole in holes] == ["dropped"] * 3
    assert books.taken_in == books.folded == 12_000
    assert len(books.gaps) == 6  # of each shard
    assert {(gap.events, gap.reason) for gap in books.gaps} == {(None, "provider connection lost")}
