"""The client over real sockets: what it survives, what it refuses, what it says of itself."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest

from tapewire.model.streams import Stream
from tapewire.providers.batcher import Slice
from tapewire.providers.massive.client import ClientBounds, MassiveClient
from tapewire.providers.massive.protocol import (
    RECONNECT,
    CloseReason,
    CoolDown,
    FrameSplitter,
    QueueNameResolver,
)
from tapewire.runtime.service import DependencyMissing, RefusedByProvider
from tapewire.simulators.connection import Account, Excess
from tapewire.simulators.massive import MassiveSimulator
from tests.providers.massive.events import bar, status, trade
from tests.providers.massive.provider import Provider, Visit, playing
from tests.simulators.client import running, until
from tests.simulators.tape import Tape

QUICK = ClientBounds(idle_s=0.4, auth_timeout_s=0.4, backoff_base_s=0.02, close_timeout_s=0.2)
BRIEF = {**RECONNECT, CloseReason.MAX_CONNECTIONS: CoolDown(0.5)}


class Taken:
    """What a client handed on."""

    def __init__(self) -> None:
        self.splitter = FrameSplitter(QueueNameResolver({Stream.TRADES: 1}))
        self.frames: list[bytes] = []
        self.events = 0

    def take(self, frame: bytes, slices: Sequence[Slice]) -> None:
        self.frames.append(frame)
        self.events += sum(piece.count for piece in slices)


def client(url: str, key: str = "secret", **options: Any) -> MassiveClient:
    usual: dict[str, Any] = {"bounds": QUICK, "reconnect": BRIEF, "draw": lambda: 0.99}
    return MassiveClient(url, key, ["T.*"], **(usual | options))


@asynccontextmanager
async def reading(one: MassiveClient) -> AsyncIterator[Taken]:
    """The client's run in the background, ended at the end."""
    taken = Taken()
    run = asyncio.create_task(one.run(taken.splitter, taken.take))
    try:
        yield taken
    finally:
        one.stop()
        await run


def claims(one: MassiveClient) -> tuple[bool, bool, bool, bool]:
    """What a client says of itself."""
    return one.connected, one.authenticated, one.subscribed, one.healthy


async def stream(visit: Visit) -> None:
    await visit.admit()
    await visit.say(trade())
    await visit.linger()


async def drop(visit: Visit) -> None:
    await visit.admit()
    await visit.say(trade())
    visit.drop()


async def test_everything_of_a_replay_arrives_and_its_end_ends_the_run() -> None:
    simulator = MassiveSimulator([Tape(5000)], speed="max", once=True)
    async with running(simulator):
        one = client(f"{simulator.ws_url}/stocks", once=True)
        taken = Taken()
        await one.run(taken.splitter, taken.take)
    assert taken.events == 5000
    assert taken.splitter.statistics.bad_frames == 0
    assert one.statistics.connections == 1
    assert not one.healthy


async def test_a_wrong_key_is_refused_at_once_and_not_tried_again() -> None:
    simulator = MassiveSimulator([Tape(10)], key="right")
    async with running(simulator):
        one = client(f"{simulator.ws_url}/stocks", key="wrong")
        taken = Taken()
        with pytest.raises(RefusedByProvider, match="authentication failed; check the API key"):
            await one.run(taken.splitter, taken.take)
        assert simulator.statistics.refused_logins == 1
        assert simulator.statistics.connections == 1
    assert RefusedByProvider.exit_code == 3


async def test_a_delayed_plan_on_the_real_time_host_is_told_what_to_use() -> None:
    async def delayed(visit: Visit) -> None:
        await visit.say(status("connected"))
        await visit.heard()
        await visit.say(status("auth_success"))
        await visit.say(status("error", "You don't have access real-time data. If your plan..."))
        await visit.linger()

    async with playing(Provider(delayed)) as provider:
        taken = Taken()
        with pytest.raises(RefusedByProvider, match="use the feed 'Delayed'"):
            await client(provider.url).run(taken.splitter, taken.take)


async def test_an_upgrade_refused_for_the_key_is_an_end() -> None:
    async with playing(Provider(stream, refusals=(HTTPStatus.UNAUTHORIZED,))) as provider:
        taken = Taken()
        with pytest.raises(RefusedByProvider, match="check the API key"):
            await client(provider.url).run(taken.splitter, taken.take)


async def test_it_is_healthy_only_while_data_can_come() -> None:
    gate = asyncio.Event()

    async def slow(visit: Visit) -> None:
        await gate.wait()
        await visit.admit()
        await visit.say(trade())
        gate.clear()
        await gate.wait()

    async with playing(Provider(slow)) as provider:
        one = client(provider.url, bounds=ClientBounds(idle_s=5, backoff_base_s=30))
        assert claims(one) == (False, False, False, False)
        async with reading(one) as taken:
            await until(lambda: one.connected)
            assert claims(one) == (True, False, False, False)
            gate.set()
            await until(lambda: taken.events == 1)
            assert claims(one) == (True, True, True, True)
            gate.set()
            await until(lambda: not one.healthy)
            assert claims(one) == (False, False, False, False)


async def test_drops_without_a_close_frame_are_survived_and_subscribed_again() -> None:
    async with playing(Provider(drop, drop, drop, stream)) as provider:
        one = client(provider.url)
        async with reading(one) as taken:
            await until(lambda: taken.events == 4)
        assert one.statistics.endings == {"dropped": 3}
        assert (one.statistics.connections, one.statistics.reconnects) == (4, 3)


async def test_a_connection_that_carries_nothing_is_mute_whatever_it_pongs() -> None:
    async def silent(visit: Visit) -> None:
        await visit.admit()
        await visit.linger()

    async with playing(Provider(silent, stream)) as provider:
        bounds = ClientBounds(idle_s=0.4, ping_interval_s=0.05, backoff_base_s=0.02)
        one = client(provider.url, bounds=bounds)
        async with reading(one) as taken:
            await until(lambda: taken.events == 1)
            assert one.statistics.endings == {"mute": 1}


async def test_silence_is_fine_while_no_data_is_expected() -> None:
    is_open = False

    async def silent(visit: Visit) -> None:
        await visit.admit()
        await visit.linger()

    async with playing(Provider(silent, stream)) as provider:
        one = client(provider.url, live=lambda: is_open)
        async with reading(one) as taken:
            await asyncio.sleep(1.0)
            assert one.statistics.endings == {}
            assert one.healthy
            is_open = True
            await until(lambda: taken.events == 1)
            assert one.statistics.endings == {"mute": 1}


async def test_pausing_reads_nothing_and_does_not_look_mute() -> None:
    simulator = MassiveSimulator([Tape(200_000)], speed="max", once=True)
    async with running(simulator):
        one = client(f"{simulator.ws_url}/stocks", bounds=ClientBounds(idle_s=0.3), once=True)
        taken = Taken()
        run = asyncio.create_task(one.run(taken.splitter, taken.take))
        await until(lambda: taken.events > 0)
        one.pause()
        await asyncio.sleep(0.1)
        before = taken.events
        await asyncio.sleep(0.6)
        assert taken.events == before < 200_000
        one.resume()
        await run
        assert taken.events == 200_000
        assert one.statistics.endings == {"end_of_source": 1}


async def test_a_kicked_connection_cools_down_although_it_had_logged_in() -> None:
    account = Account(max_connections=0, on_excess=Excess.REJECT_NEWCOMER)
    simulator = MassiveSimulator([Tape(10)], account=account)
    async with running(simulator):
        one = client(f"{simulator.ws_url}/stocks")
        async with reading(one):
            await until(lambda: one.statistics.endings["max_connections"] == 1)
            await asyncio.sleep(0.3)
            assert one.statistics.connections == 1
            await until(lambda: one.statistics.connections == 2)
        assert simulator.statistics.logins == 2


async def test_back_off_grows_and_is_not_reset_by_a_login() -> None:
    async with playing(Provider(drop)) as provider:
        one = client(provider.url, bounds=ClientBounds(backoff_base_s=0.02, backoff_cap_s=0.2))
        async with reading(one):
            await until(lambda: provider.visits == 6)
        arrived = provider.arrived_s
        assert arrived[-1] - arrived[-2] > 0.19 > arrived[1] - arrived[0]


async def test_stable_data_makes_the_next_back_off_short_again() -> None:
    async def steady(visit: Visit) -> None:
        await visit.admit()
        for _ in range(10):
            await visit.say(trade())
            await asyncio.sleep(0.03)
        visit.drop()

    bounds = ClientBounds(backoff_base_s=0.02, backoff_cap_s=5, stable_s=0.2)
    async with playing(Provider(drop, drop, drop, drop, steady, stream)) as provider:
        one = client(provider.url, bounds=bounds)
        async with reading(one):
            await until(lambda: provider.visits == 6)
        arrived = provider.arrived_s
        assert arrived[5] - arrived[4] < 0.3 + 0.15


async def test_a_provider_that_never_greets_is_left() -> None:
    async with playing(Provider(Visit.linger, stream)) as provider:
        one = client(provider.url)
        async with reading(one) as taken:
            await until(lambda: taken.events == 1)
        assert one.statistics.endings == {"auth_timeout": 1}
        assert one.statistics.alarms == 1


async def test_refused_upgrades_are_tried_again() -> None:
    refusals = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY)
    async with playing(Provider(stream, refusals=refusals)) as provider:
        one = client(provider.url)
        async with reading(one) as taken:
            await until(lambda: taken.events == 1)
        assert one.statistics.endings == {"unreachable": 2}


async def test_a_replay_whose_source_cannot_be_reached_says_so() -> None:
    async with playing(Provider(stream)) as provider:
        url = provider.url
    bounds = ClientBounds(backoff_base_s=0.01, max_unreachable=3)
    one = client(url, bounds=bounds, once=True)
    taken = Taken()
    with pytest.raises(DependencyMissing, match=f"cannot reach {url}.*after 3 attempts"):
        await one.run(taken.splitter, taken.take)


async def test_malformed_frames_are_counted_and_cost_nothing_else() -> None:
    faults = ["invalid_json@10", "not_array@20", "invalid_json@30"]
    simulator = MassiveSimulator([Tape(100)], speed="max", once=True, faults=faults)
    async with running(simulator):
        one = client(f"{simulator.ws_url}/stocks", once=True)
        taken = Taken()
        await one.run(taken.splitter, taken.take)
    assert taken.events == 100
    assert taken.splitter.statistics.bad_frames == 3
    assert one.statistics.connections == 1


async def test_topics_change_while_it_runs_and_survive_a_reconnect() -> None:
    asked: list[tuple[str, str]] = []
    again = asyncio.Event()

    async def attentive(visit: Visit) -> None:
        await visit.admit()
        asked.append(await visit.heard())
        asked.append(await visit.heard())
        visit.drop()

    async def after(visit: Visit) -> None:
        asked.append(("all", await visit.admit()))
        await visit.say(bar())
        again.set()
        await visit.linger()

    async with playing(Provider(attentive, after)) as provider:
        one = client(provider.url)
        async with reading(one):
            await until(lambda: one.subscribed)
            await one.subscribe(["A.*"])
            await one.unsubscribe(["T.*"])
            await again.wait()
    assert asked == [("subscribe", "A.*"), ("unsubscribe", "T.*"), ("all", "A.*")]


async def test_a_topic_that_meets_silence_is_asked_for_again_and_named() -> None:
    requests: list[str] = []

    async def deaf(visit: Visit) -> None:
        await visit.say(status("connected"))
        await visit.heard()
        await visit.say(status("auth_success"))
        while True:
            requests.append((await visit.heard())[1])

    async with playing(Provider(deaf)) as provider:
        bounds = ClientBounds(idle_s=0.8, confirm_timeout_s=0.1, auth_timeout_s=0.2)
        one = client(provider.url, bounds=bounds, live=lambda: False)
        async with reading(one):
            await until(lambda: len(requests) == 3)
            await until(lambda: one.unconfirmed == ["T.*"])
            assert not one.healthy
    assert requests == ["T.*"] * 3


async def test_a_large_frame_is_taken_and_alarms() -> None:
    events = [trade(q=number) for number in range(20_000)]

    async def large(visit: Visit) -> None:
        await visit.admit()
        await visit.say(*events)
        await visit.linger()

    async with playing(Provider(large)) as provider:
        one = client(provider.url)
        async with reading(one) as taken:
            await until(lambda: taken.events == 20_000)
        assert one.statistics.large_frames == 1


async def test_stopping_ends_a_wait_for_the_next_attempt() -> None:
    async with playing(Provider(drop)) as provider:
        one = client(provider.url, bounds=ClientBounds(backoff_base_s=30))
        async with reading(one):
            await until(lambda: one.statistics.endings["dropped"] == 1)
        assert provider.visits == 1


async def test_stopping_takes_leave_of_the_provider() -> None:
    codes: list[int | None] = []

    async def attentive(visit: Visit) -> None:
        await visit.admit()
        await visit.linger()
        codes.append(visit.socket.close_code)

    async with playing(Provider(attentive)) as provider:
        one = client(provider.url)
        async with reading(one):
            await until(lambda: one.subscribed)
        await until(lambda: bool(codes))
    assert codes == [1000]


async def test_the_key_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with playing(Provider(drop, stream)) as provider:
        one = client(provider.url, key="very-secret")
        async with reading(one) as taken:
            await until(lambda: taken.events == 2)
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("tapewire")]
    assert any("connection ended" in message for message in ours)
    assert not any("very-secret" in message for message in ours)
    assert not any(one.name == "websockets.client" for one in caplog.records)
