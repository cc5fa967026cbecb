"""Every fault, as a client meets it, and its exact counts."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from tapewire.simulators.faults import Fault, FaultError
from tapewire.simulators.massive import MassiveSimulator
from tests.simulators.client import Client, connected, running, subscribed
from tests.simulators.tape import Tape


async def played(
    *faults: str, count: int = 100, every_ms: int = 1
) -> tuple[Client, dict[str, int]]:
    """A client that was sent a whole tape with faults, and what was counted as sent."""
    tape = Tape(count, every_ms=every_ms)
    simulator = MassiveSimulator([tape], speed="max", once=True, faults=faults)
    async with running(simulator), subscribed(simulator) as client:
        await client.until_closed()
        assert simulator.statistics.taken == count
        assert sum(simulator.statistics.faults.values()) == len(faults)
        return client, dict(simulator.statistics.events)


def sequences(client: Client) -> list[int]:
    return [event["q"] for event in client.data() if "q" in event]


async def test_a_duplicate_comes_right_behind_its_original() -> None:
    client, events = await played("duplicate@5")
    assert sequences(client) == [0, 1, 2, 3, 4, 5, 5, *range(6, 100)]
    assert events == {"T": 101}


async def test_a_late_event_comes_five_seconds_after_its_time() -> None:
    client, _ = await played("late@5", every_ms=1000)
    assert sequences(client)[:12] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 5, 10, 11]


async def test_a_late_event_still_comes_when_the_source_ends() -> None:
    client, events = await played("late@99")
    assert sequences(client)[-1] == 99
    assert events == {"T": 100}


async def test_out_of_order_swaps_two_trades_of_one_ticker() -> None:
    client, _ = await played("out_of_order@4")
    assert sequences(client)[3:8] == [3, 5, 6, 4, 7]  # tickers alternate


async def test_an_integer_comes_as_a_float() -> None:
    client, events = await played("float@0")
    assert b'"s":100.0,' in b"".join(client.raw)
    assert sequences(client) == list(range(100))
    assert events == {"T": 100}


async def test_an_event_of_an_unknown_kind_comes_between_the_others() -> None:
    client, events = await played("unknown_event@7")
    assert client.data()[7]["ev"] == "ZZ"
    assert events == {"T": 100, "ZZ": 1}


async def test_a_malformed_event_comes_between_the_others() -> None:
    client, events = await played("bad_event@7")
    assert client.data()[7]["p"] == "many"
    assert events == {"T": 100, "malformed": 1}


@pytest.mark.parametrize("fault", ["invalid_json", "not_array"])
async def test_a_broken_frame_loses_no_event(fault: str) -> None:
    client, events = await played(f"{fault}@50")
    assert len(client.bad_frames) == 1
    assert sequences(client) == list(range(100))
    assert events == {"T": 100}


@pytest.mark.parametrize(
    ("fault", "code", "statuses"),
    [
        ("drop", None, []),
        ("close", 1001, []),
        ("kick", 1008, ["max_connections"]),
        ("force_disconnect", 1008, ["force_disconnect"]),
    ],
)
async def test_a_connection_ends_after_exactly_so_many_events(
    fault: str, code: int | None, statuses: list[str]
) -> None:
    simulator = MassiveSimulator([Tape(100)], speed="max", once=True, faults=[f"{fault}@33"])
    async with running(simulator), subscribed(simulator) as client:
        ended = await client.until_closed()
        assert sequences(client) == list(range(33))
        assert (ended.rcvd.code if ended.rcvd else None) == code
        assert client.statuses() == statuses


async def test_a_reset_ends_the_connection_at_once() -> None:
    simulator = MassiveSimulator([Tape(100, every_ms=100)])
    async with running(simulator), subscribed(simulator) as client:
        simulator.inject("reset")
        assert (await client.until_closed()).rcvd is None


async def test_a_muted_connection_neither_speaks_nor_ends() -> None:
    simulator = MassiveSimulator([Tape(100)], speed="max", once=True, faults=["mute@20"])
    async with running(simulator):
        async with subscribed(simulator) as client:
            await client.take(20)
            pong = await client.socket.ping()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.socket.recv(), 0.1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pong, 0.1)
            async with subscribed(simulator) as successor:  # the muted one makes way
                await successor.until_closed()
                assert sequences(successor) == list(range(20, 100))


async def test_the_next_login_is_refused_once() -> None:
    simulator = MassiveSimulator([Tape(0)], faults=["bad_key"])
    async with running(simulator):
        async with connected(simulator) as client:
            assert (await client.login())[0]["status"] == "auth_failed"
        async with connected(simulator) as client:
            assert (await client.login())[0]["status"] == "auth_success"
        assert simulator.statistics.faults == {"bad_key": 1}


async def test_the_next_upgrade_is_refused_once() -> None:
    simulator = MassiveSimulator([Tape(0)])
    async with running(simulator):
        simulator.inject("refuse_upgrade")
        with pytest.raises(InvalidStatus, match="503"):
            async with connected(simulator):
                pass
        async with connected(simulator) as client:
            await client.login()


async def test_a_fault_can_be_injected_while_it_runs() -> None:
    simulator = MassiveSimulator([Tape(1000, every_ms=1)], speed="x2")
    async with running(simulator), subscribed(simulator) as client:
        await client.take(10)
        before = simulator.statistics.taken
        simulator.inject("drop", after=25)
        await client.until_closed()
        assert len(client.data()) == before + 25


def test_an_unknown_fault_names_those_that_exist() -> None:
    with pytest.raises(FaultError, match=r"'explode@3' is unknown; expected one of drop, "):
        Fault.parse("explode@3")
