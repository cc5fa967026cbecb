"""The server around any simulated broker: upgrades, pacing, frames, bounds and faults."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import pytest
from aiohttp import ClientSession
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.simulators.broker_faults import GARBAGE
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.faults import FaultError
from tapewire.simulators.sources import SourceError, TimedTick
from tapewire.simulators.tick_tape import TickTape
from tests.simulators.client import until
from tests.simulators.toy_broker import ToySide, running, subscribed

RELIANCE, FUTURE = "NSE_EQ:2885", "NSE_FO:2885"
OPEN_MS = 1_795_146_300_000  # 2026-11-20 09:15 in India


class Minutes:
    """``count`` ticks a millisecond apart, by turns of two instruments with the same number."""

    def __init__(self, count: int, *, step_ms: int = 1, broken: bool = False) -> None:
        self.name = "minutes"
        self.notes: Sequence[str] = ()
        self.dates: tuple[str, ...] = ("2026-11-20",)
        self._count, self._step_ms, self._broken = count, step_ms, broken
        listed = (
            Instrument(exchange="NSE_EQ", token="2885", symbol="RELIANCE"),
            Instrument(exchange="NSE_FO", token="2885", symbol="NIFTY26NOVFUT"),
        )
        self.instruments: Mapping[str, Instrument] = {one.key: one for one in listed}

    def previous_close(self, key: str) -> float:
        return 100.0

    def skip(self, seconds: int) -> None:
        raise NotImplementedError

    def slices(self) -> Iterator[list[TimedTick]]:
        for start in range(0, self._count, 100):
            yield [self._tick(n) for n in range(start, min(start + 100, self._count))]
        if self._broken:
            raise SourceError("row 7 cannot be read")

    def _tick(self, number: int) -> TimedTick:
        exchange = ("NSE_EQ", "NSE_FO")[number % 2]
        time_ms = OPEN_MS + number * self._step_ms
        volume = number + 1
        price = 100 + number * 0.05
        tick = Tick("", exchange, "2885", "", price, 1, volume, None, time_ms, 0)
        return time_ms, f"{exchange}:2885", tick


def simulator(
    count: int = 1000, *faults: str, speed: str = "max", once: bool = True, step_ms: int = 1
) -> BrokerSimulator:
    tape = TickTape(Minutes(count, step_ms=step_ms))
    return BrokerSimulator(ToySide(tape), tape, speed=speed, once=once, faults=faults)


async def test_everything_subscribed_to_comes_in_order_and_the_end_is_a_proper_close() -> None:
    async with running(simulator()) as played, subscribed(played, RELIANCE, FUTURE) as client:
        ended = await client.until_closed()
        assert isinstance(ended, ConnectionClosedOK)
        assert ended.rcvd is not None
        assert (ended.rcvd.code, ended.rcvd.reason) == (1000, "end of source")
        assert [int(volume) for _, _, volume in client.lines] == list(range(1, 1001))
        assert played.statistics.taken == 1000


async def test_the_same_number_on_another_exchange_is_another_instrument() -> None:
    async with running(simulator(100)) as played, subscribed(played, FUTURE) as client:
        await client.until_closed()
        assert {key for key, _, _ in client.lines} == {FUTURE}
        assert len(client.lines) == 50


async def test_ticks_that_are_due_together_share_a_frame() -> None:
    async with running(simulator(100)) as played, subscribed(played, RELIANCE) as client:
        await client.until_closed()
        assert len(client.frames) == 1


async def test_a_tape_at_full_speed_waits_for_the_first_subscription_and_between_clients() -> None:
    async with running(simulator(2000, "drop@1000")) as played:
        async with subscribed(played), subscribed(played, RELIANCE, FUTURE) as client:
            ended = await client.until_closed()
            assert isinstance(ended, ConnectionClosedError)
            first = client.lines
        async with subscribed(played, RELIANCE, FUTURE) as client:
            await client.until_closed()
            volumes = [int(volume) for _, _, volume in [*first, *client.lines]]
        assert volumes == list(range(1, 2001))
        assert played.statistics.unheard == 0


async def test_at_wall_speed_the_market_moves_on_and_a_newcomer_finds_its_last_states() -> None:
    played = simulator(400, "drop@50", speed="x10", once=False, step_ms=10)
    async with running(played):
        async with subscribed(played, RELIANCE) as client:
            await client.until_closed()
        await until(lambda: played.statistics.unheard >= 100)
        async with subscribed(played, RELIANCE) as client:
            text = await client.next()
            assert isinstance(text, str)
            assert float(text.removeprefix("last ")) > 100 + 0.05 * 50


async def test_a_head_start_comes_at_once() -> None:
    tape = TickTape(Minutes(1000, step_ms=1000))
    played = BrokerSimulator(ToySide(tape), tape, head_start_ms=900_000)
    async with asyncio.timeout(2), running(played), subscribed(played, RELIANCE, FUTURE) as client:
        while len(client.lines) < 900:
            await client.next()


@pytest.mark.parametrize(
    ("path", "status"), [("/feed?token=wrong", 401), ("/feed", 401), ("/other?token=key", 404)]
)
async def test_a_refused_upgrade_is_the_brokers_answer(path: str, status: int) -> None:
    async with running(simulator()) as played:
        with pytest.raises(InvalidStatus) as refused:
            await connect(played.ws_url + path)
        assert refused.value.response.status_code == status
        assert played.statistics.refused_logins == 1


async def test_rest_calls_reach_the_broker_with_query_body_and_headers() -> None:
    async with running(simulator()) as played, ClientSession() as session:
        answer = await session.post(f"{played.rest_url}/names?token=key", data=b"!")
        assert (await answer.text(), answer.content_type) == (f"{RELIANCE},{FUTURE}!", "text/csv")
        assert answer.headers["X-Token"] == "key"
        assert (await session.get(f"{played.rest_url}/elsewhere")).status == 404


async def test_a_voice_that_wants_to_end_is_closed_with_its_code() -> None:
    async with running(simulator(once=False)) as played, subscribed(played) as client:
        await client.socket.send("bye")
        ended = await client.until_closed()
        assert ended.rcvd is not None
        assert ended.rcvd.code == 4000


async def test_the_oldest_connection_goes_with_the_brokers_word_when_there_are_too_many() -> None:
    tape = TickTape(Minutes(100))
    played = BrokerSimulator(ToySide(tape, most=1), tape)
    async with running(played), subscribed(played) as oldest, subscribed(played):
        assert await oldest.next() == "disconnect 805"
        await oldest.until_closed()


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    tape = TickTape(Minutes(300_000))
    played = BrokerSimulator(ToySide(tape), tape, speed="x1000", max_outbox_bytes=200_000)
    async with running(played), subscribed(played, RELIANCE, FUTURE) as client:
        await until(lambda: played.statistics.slow_consumers > 0)
        await client.until_closed()
        assert played.statistics.slow_consumers == 1


@pytest.mark.parametrize(
    ("fault", "code"), [("drop", None), ("reset", None), ("close", 1001), ("disconnect:805", 1000)]
)
async def test_connection_faults_end_the_connection_in_their_way(
    fault: str, code: int | None
) -> None:
    played = simulator(1000, f"{fault}@100")
    async with running(played), subscribed(played, RELIANCE, FUTURE) as client:
        ended = await client.until_closed()
        assert (ended.rcvd.code if ended.rcvd else None) == code
        assert played.statistics.faults == {fault: 1}
        if fault != "reset":
            assert len(client.lines) == 100
        if code == 1000:
            assert client.texts[-1] == "disconnect 805"


async def test_a_mute_connection_stays_open_and_says_nothing() -> None:
    played = simulator(1000, "mute@100")
    async with running(played), subscribed(played, RELIANCE, FUTURE) as client:
        while len(client.lines) < 100:
            await client.next()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.next()


async def test_tick_faults_change_the_order_or_number_of_ticks() -> None:
    played = simulator(100, "duplicate@10", "out_of_order@20")
    async with running(played), subscribed(played, RELIANCE, FUTURE) as client:
        await client.until_closed()
        volumes = [int(volume) for _, _, volume in client.lines]
        assert volumes[10:12] == [11, 11]
        assert [volume for volume in volumes if 20 <= volume <= 24] == [20, 22, 23, 21, 24]
        assert sorted(set(volumes)) == list(range(1, 101))


async def test_a_late_tick_comes_seconds_after_its_time() -> None:
    played = simulator(1000, "late@10", step_ms=100)
    async with running(played), subscribed(played, RELIANCE, FUTURE) as client:
        await client.until_closed()
        volumes = [int(volume) for _, _, volume in client.lines]
        assert volumes.index(11) == 59  # 50 ticks of 100 ms later


async def test_a_garbage_frame_comes_between_good_ones() -> None:
    played = simulator(200, "garbage@100")
    async with running(played), subscribed(played, RELIANCE, FUTURE) as client:
        first, second, third = [await client.next() for _ in range(3)]
        assert (second, first != third) == (GARBAGE, True)


async def test_refusals_hit_the_next_upgrade_or_call_that_they_fit() -> None:
    played = simulator(100, "throttle", "rest_throttle", "bad_token")
    async with running(played), ClientSession() as session:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{played.ws_url}/feed?token=key")
        assert refused.value.response.status_code == 429
        names = f"{played.rest_url}/names?token=key"
        assert [(await session.post(names)).status for _ in range(3)] == [429, 401, 200]


async def test_faults_can_be_asked_for_over_rest() -> None:
    played = simulator(once=False)
    async with running(played), ClientSession() as session:
        faults = f"{played.rest_url}/_simulator/faults"
        async with subscribed(played, RELIANCE) as client:
            assert (await session.post(faults, json={"fault": "disconnect:807"})).status == 200
            await client.until_closed()
            assert client.texts[-1] == "disconnect 807"
        refused = await session.post(faults, json={"fault": "flood"})
        assert (refused.status, "expected one of drop" in await refused.text()) == (400, True)
        figures = await session.get(f"{played.rest_url}/_simulator/statistics")
        assert (await figures.json())["faults"] == {"disconnect:807": 1}


@pytest.mark.parametrize("fault", ["flood", "disconnect", "drop:805", "drop@x"])
def test_an_unknown_fault_is_refused_at_the_start(fault: str) -> None:
    with pytest.raises(FaultError, match="fault"):
        simulator(1, fault)


async def test_a_tape_that_breaks_closes_with_1011_and_says_why_at_the_end() -> None:
    tape = TickTape(Minutes(100, broken=True))
    played = BrokerSimulator(ToySide(tape), tape, speed="max")
    await played.start()
    async with subscribed(played, RELIANCE) as client:
        ended = await client.until_closed()
    assert ended.rcvd is not None
    assert ended.rcvd.code == 1011
    with pytest.raises(SourceError, match="row 7"):
        await played.stop()
