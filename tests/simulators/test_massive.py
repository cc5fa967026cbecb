"""The simulator's dialogue, policies, pacing and end, over real sockets."""

import time
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from tapewire.simulators.connection import Account, Acks, Excess
from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.sources import Slice, SourceError
from tests.simulators.client import connected, running, status, subscribed, until
from tests.simulators.tape import Tape


async def test_everything_is_sent_in_order_and_the_end_is_a_proper_close() -> None:
    simulator = MassiveSimulator([Tape(1000)], speed="max", once=True)
    async with running(simulator), subscribed(simulator) as client:
        ended = await client.until_closed()
        assert isinstance(ended, ConnectionClosedOK)
        assert ended.rcvd is not None
        assert (ended.rcvd.code, ended.rcvd.reason) == (1000, "end of source")
        assert [event["q"] for event in client.data()] == list(range(1000))
        assert simulator.finished.is_set()
        assert simulator.statistics.events == {"T": 1000}


async def test_only_what_is_subscribed_to_is_sent_and_the_rest_is_counted() -> None:
    simulator = MassiveSimulator([Tape(100)], speed="max", once=True)
    async with running(simulator), subscribed(simulator, "T.IBM") as client:
        await client.until_closed()
        assert {event["sym"] for event in client.data()} == {"IBM"}
        assert simulator.statistics.events == {"T": 50}
        assert simulator.statistics.unsubscribed == {"T": 50}


async def test_each_topic_is_acknowledged_and_the_unknown_meets_silence() -> None:
    simulator = MassiveSimulator([Tape(0)])
    async with running(simulator), connected(simulator) as client:
        assert await client.login() == [status("auth_success", "authenticated")]
        acks = await client.subscribe("T.NOTATICKER, ZZ.AIG,NOI.*,A.*")
        assert acks == [
            status("success", "subscribed to: T.NOTATICKER"),
            status("error", "not authorized"),
            status("success", "subscribed to: A.*"),
        ]
        await client.ask("subscribe", "A.*")  # held already: no answer
        await client.ask("unsubscribe", "A.*,Q.*")
        assert await client.frame() == [status("success", "unsubscribed to: A.*")]


async def test_acks_come_in_a_frame_each_when_split() -> None:
    simulator = MassiveSimulator([Tape(0)], account=Account(acks=Acks.SPLIT))
    async with running(simulator), connected(simulator) as client:
        await client.login()
        assert await client.subscribe("T.*,Q.*") == [status("success", "subscribed to: T.*")]
        assert await client.frame() == [status("success", "subscribed to: Q.*")]


async def test_acks_come_in_the_first_data_frame_when_mixed() -> None:
    account = Account(acks=Acks.MIXED)
    simulator = MassiveSimulator([Tape(20)], speed="max", account=account)
    async with running(simulator), connected(simulator) as client:
        await client.login()
        frame = await client.subscribe("T.*")
        assert [event["ev"] for event in frame] == ["status"] + ["T"] * 10


async def test_a_refused_topic_leaves_the_others_of_the_request_alone() -> None:
    account = Account(refused_topics=frozenset({"Q"}))
    simulator = MassiveSimulator([Tape(0)], account=account)
    async with running(simulator), connected(simulator) as client:
        await client.login()
        acks = await client.subscribe("Q.*,T.*")
        assert acks == [status("error", "not authorized"), status("success", "subscribed to: T.*")]


@pytest.mark.parametrize(("key", "given"), [(None, ""), ("right", "wrong")])
async def test_a_bad_key_is_told_so_and_dropped_without_a_close_frame(
    key: str | None, given: str
) -> None:
    simulator = MassiveSimulator([Tape(0)], key=key)
    async with running(simulator), connected(simulator) as client:
        assert await client.login(given) == [status("auth_failed", "authentication failed")]
        ended = await client.until_closed()
        assert isinstance(ended, ConnectionClosedError)
        assert ended.rcvd is None
        assert simulator.statistics.refused_logins == 1


async def test_silence_instead_of_a_key_ends_in_auth_timeout() -> None:
    simulator = MassiveSimulator([Tape(0)], account=Account(auth_timeout_s=0.05))
    async with running(simulator), connected(simulator) as client:
        await client.frame()
        await client.ask("subscribe", "T.*")  # not before the key: counted, not answered
        assert await client.frame() == [
            status("auth_timeout", "No authentication request received.")
        ]
        await client.until_closed()
        assert simulator.statistics.bad_requests == 1


async def test_the_newcomer_wins_and_the_oldest_is_closed_with_1008() -> None:
    simulator = MassiveSimulator([Tape(0)])
    async with running(simulator), subscribed(simulator) as old, subscribed(simulator):
        ended = await old.until_closed()
        assert old.statuses() == ["max_connections"]
        assert ended.rcvd is not None
        assert ended.rcvd.code == 1008
        assert simulator.statistics.kicked == 1


async def test_the_newcomer_loses_after_its_subscription_when_the_policy_says_so() -> None:
    account = Account(on_excess=Excess.REJECT_NEWCOMER)
    simulator = MassiveSimulator([Tape(0)], account=account)
    async with running(simulator), subscribed(simulator), subscribed(simulator) as second:
        ended = await second.until_closed()
        assert second.statuses() == ["max_connections"]
        assert ended.rcvd is not None
        assert ended.rcvd.code == 1008


async def test_another_path_is_not_found() -> None:
    simulator = MassiveSimulator([Tape(0)])
    async with running(simulator):
        with pytest.raises(InvalidStatus, match="404"):
            await connect(f"{simulator.ws_url}/options")


async def test_at_full_speed_the_source_waits_for_the_next_subscriber() -> None:
    simulator = MassiveSimulator([Tape(5000)], speed="max", once=True, faults=["drop@1234"])
    async with running(simulator):
        async with subscribed(simulator) as first:
            await first.until_closed()
        async with subscribed(simulator) as second:
            await second.until_closed()
        taken = [event["q"] for client in (first, second) for event in client.data()]
        assert taken == list(range(5000))
        assert len(first.data()) == 1234


async def test_live_the_source_runs_on_while_nobody_listens() -> None:
    simulator = MassiveSimulator([Tape(100)], speed="x100", once=True, faults=["drop@10"])
    async with running(simulator):
        async with subscribed(simulator) as client:
            await client.until_closed()
        await simulator.finished.wait()
        assert len(client.data()) == 10
        assert simulator.statistics.unheard == 90


async def test_original_speed_keeps_the_time_between_events() -> None:
    simulator = MassiveSimulator([Tape(16, every_ms=20)], once=True)
    async with running(simulator), subscribed(simulator) as client:
        started = time.monotonic()
        await client.until_closed()
        assert 0.29 <= time.monotonic() - started < 2
        assert simulator.statistics.frames == 16


async def test_a_rate_is_kept() -> None:
    simulator = MassiveSimulator([Tape(100, every_ms=60_000)], speed="400/s", once=True)
    async with running(simulator), subscribed(simulator) as client:
        started = time.monotonic()
        await client.until_closed()
        assert 0.2 <= time.monotonic() - started < 2


async def test_live_a_reader_too_far_behind_is_told_and_dropped() -> None:
    account = Account(max_buffer_bytes=200_000)
    simulator = MassiveSimulator([Tape(200_000)], speed="x1000", account=account)
    async with running(simulator), subscribed(simulator) as client:
        await until(lambda: simulator.statistics.slow_consumers == 1)
        await client.until_closed()
        assert client.statuses() == ["slow_consumer"]
        assert len(client.data()) < 200_000


class TornTape(Tape):
    """A tape that cannot be read to its end."""

    def slices(self) -> Iterator[Slice]:
        yield from super().slices()
        raise SourceError("line 7: not a row of trades")


async def test_a_source_that_fails_is_not_taken_for_its_end() -> None:
    simulator = MassiveSimulator([TornTape(50)], speed="max", once=True)
    await simulator.start()
    async with subscribed(simulator) as client:
        ended = await client.until_closed()
    assert ended.rcvd is not None
    assert ended.rcvd.code == 1011
    assert len(client.data()) == 50
    assert simulator.finished.is_set()
    with pytest.raises(SourceError, match="line 7"):
        await simulator.stop()


async def test_a_port_in_use_is_an_error_and_leaves_nothing_behind() -> None:
    async with running(MassiveSimulator([Tape(0)])) as first:
        second = MassiveSimulator([Tape(0)], port=first.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()


async def test_whoever_subscribes_after_the_end_is_told_so() -> None:
    simulator = MassiveSimulator([Tape(10)], speed="max", once=True)
    async with running(simulator):
        async with subscribed(simulator) as client:
            await client.until_closed()
        async with subscribed(simulator) as late:
            ended = await late.until_closed()
    assert ended.rcvd is not None
    assert ended.rcvd.reason == "end of source"
