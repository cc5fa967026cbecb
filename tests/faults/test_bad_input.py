"""Malformed, repeated, late and disordered input: each is counted once, and costs nothing else."""

from collections import Counter

import pytest

from tests.faults.day import Day, candles
from tests.faults.system import RealServers, running, undisturbed

DAY = Day(9_000)
AT = 4_000


@pytest.fixture
def servers(rabbitmq_url: str, redis_url: str) -> RealServers:
    return RealServers(rabbitmq_url, redis_url)


@pytest.mark.parametrize("fault", ["invalid_json", "not_array"])
async def test_a_broken_frame_is_one_counted_frame(servers: RealServers, fault: str) -> None:
    async with running(DAY, servers, faults=(f"{fault}@{AT}",)) as system:
        books = await system.end()
        detail = system.listener.report().detail
        assert detail["frames"] == system.simulator.statistics.frames + 3  # and three statuses
    assert detail["bad_frames"] == 1
    assert detail["provider"]["connections"] == 1
    assert (books.taken_in, books.folded, books.lost) == (9_000, 9_000, 0)
    assert (books.skipped, books.gaps) == ({}, [])
    assert books.rows == await undisturbed(DAY)


async def test_an_unknown_event_goes_to_its_own_stream_and_is_counted_by_kind(
    servers: RealServers,
) -> None:
    async with running(DAY, servers, faults=(f"unknown_event@{AT}",) * 3) as system:
        books = await system.end()
        detail = system.listener.report().detail
    assert detail["unknown"] == {"ZZ": 3}
    assert detail["events_by_type"] == {"T": 9_000}
    assert detail["taken_in"] == {"unknown.0": 3, "trades.0": 9_000}
    assert books.skipped == {}
    assert books.rows == await undisturbed(DAY)


async def test_a_malformed_event_loses_one_event(servers: RealServers) -> None:
    async with running(DAY, servers, faults=(f"bad_event@{AT}",) * 2) as system:
        books = await system.end()
    assert (books.taken_in, books.folded) == (9_002, 9_002)
    assert books.skipped == {"wrong_type": 2}
    assert books.rows == await undisturbed(DAY)


async def test_a_float_in_an_integer_field_is_folded_like_the_integer(
    servers: RealServers,
) -> None:
    async with running(DAY, servers, faults=(f"float@{AT}",) * 5) as system:
        books = await system.end()
        assert system.simulator.statistics.faults["float"] == 5
    assert books.skipped == {}
    assert books.rows == await undisturbed(DAY)


async def test_a_duplicate_is_dropped_and_counted(servers: RealServers) -> None:
    faults = tuple(f"duplicate@{at}" for at in (0, AT, 8_999))
    async with running(DAY, servers, faults=faults) as system:
        books = await system.end()
    assert (books.taken_in, books.folded) == (9_003, 9_003)
    assert books.skipped == {"duplicate": 3}
    assert books.rows == await undisturbed(DAY)


async def test_two_trades_out_of_order_make_the_same_candles(servers: RealServers) -> None:
    faults = tuple(f"out_of_order@{at}" for at in (0, 2_999, 3_000, AT))
    async with running(DAY, servers, faults=faults) as system:
        books = await system.end()
        assert system.simulator.statistics.faults["out_of_order"] == 4
    assert (books.taken_in, books.skipped) == (9_000, {})
    assert books.candles == candles(DAY.prints)


async def test_a_late_trade_amends_its_own_candle_and_only_the_closed_one_is_revised(
    servers: RealServers,
) -> None:
    # Number 2,950 falls into the first minute's last second and comes 5 s later, 2 s past
    # the time that the candle stays open; number 4,000 comes late within its own minute.
    faults = ("late@2950", "late@4000")
    async with running(DAY, servers, faults=faults) as system:
        books = await system.end()
    late = DAY.prints[2_950]
    assert (books.taken_in, books.skipped, books.gaps) == (9_000, {}, [])
    expected = candles(DAY.prints)
    for candle in expected:
        mine = candle["symbol"] == late.symbol
        candle["revision"] = int(mine and candle["start_ms"] == late.time_ms // 60_000 * 60_000)
    assert Counter(candle["revision"] for candle in expected)[1] == 1
    assert books.candles == expected


async def test_all_of_it_at_once_in_two_shards(servers: RealServers) -> None:
    names = ("invalid_json", "not_array", "unknown_event", "bad_event", "float", "duplicate")
    faults = tuple(f"{name}@{1_000 + 300 * n}" for n, name in enumerate(names * 3))
    async with running(DAY, servers, faults=faults, shards=2) as system:
        books = await system.end()
        detail = system.listener.report().detail
    assert (detail["bad_frames"], detail["unknown"]) == (6, {"ZZ": 3})
    assert books.taken_in == books.folded == 9_006
    assert books.skipped == {"wrong_type": 3, "duplicate": 3}
    assert books.rows == await undisturbed(DAY)
