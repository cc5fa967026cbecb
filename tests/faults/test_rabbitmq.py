"""RabbitMQ goes away under traffic, cuts connections, or lets batches expire."""

import pytest

from tests.faults.books import only, until
from tests.faults.day import Day, candles, without
from tests.faults.system import RealServers, beside_the_traffic, running, undisturbed
from tests.servers import RabbitServer

CLOSE_CONNECTIONS = (
    '[rabbit_networking:close_connection(P, "test") || P <- rabbit_networking:connections(),'
    ' [{{vhost, <<"{vhost}">>}}] =:= rabbit_reader:info(P, [vhost])], [].'
)


@pytest.fixture
def servers(rabbitmq_url: str, redis_url: str) -> RealServers:
    return RealServers(rabbitmq_url, redis_url)


@pytest.mark.stops_rabbitmq
async def test_a_crash_under_traffic_costs_only_what_the_broker_held(
    servers: RealServers, rabbitmq_server: RabbitServer
) -> None:
    day = Day(18_000)
    async with running(day, servers, speed="2000/s") as system:
        await until(lambda: system.taken_in() > 3_000)
        await beside_the_traffic(rabbitmq_server.kill)
        at_the_crash = system.taken_in()
        await beside_the_traffic(rabbitmq_server.start)
        assert system.taken_in() > at_the_crash + 4_000
        books = await system.end()
        outbox = system.outbox
        assert system.client.statistics.connections == 1
        assert system.processors[0].report().detail["takeovers"] == {"trades.0": 2}
        assert system.owner().state.refusals.duplicates <= outbox.resent_batches
    assert outbox.confirmed_batches == outbox.published_batches
    assert (outbox.dropped_batches, outbox.waiting_batches, outbox.reconnects) == (0, 0, 1)
    assert books.taken_in == 18_000
    assert books.balanced
    assert all(gap.to_offset <= at_the_crash for gap in books.gaps)
    assert books.candles == candles(without(day.prints, books.gaps), books.gaps)


@pytest.mark.stops_rabbitmq
async def test_a_restart_loses_what_nobody_had_taken_as_one_located_gap(
    servers: RealServers, rabbitmq_server: RabbitServer
) -> None:
    day = Day(18_000)
    async with running(day, servers, speed="2000/s") as system:
        await until(lambda: system.taken_in() > 2_000)
        await only(system.processors).stop()
        stored = await system.folded()
        held = system.taken_in() + 2_000
        await until(lambda: system.taken_in() > held)
        await beside_the_traffic(rabbitmq_server.stop)
        at_the_end = system.taken_in()
        await beside_the_traffic(rabbitmq_server.start)
        system.processors.clear()
        await system.start_processor()
        books = await system.end()
        outbox = system.outbox
    assert outbox.confirmed_batches == outbox.published_batches
    assert (outbox.dropped_batches, outbox.reconnects) == (0, 1)
    gap = only(books.losses)
    assert gap.from_offset == stored
    assert held - 500 < gap.to_offset <= at_the_end
    assert (gap.events, gap.reason) == (books.lost, "lost")
    assert books.taken_in == 18_000
    assert books.balanced
    assert books.candles == candles(without(day.prints, [gap]), books.gaps)


async def test_connections_that_the_broker_closes_cost_nothing(
    servers: RealServers, rabbitmq_server: RabbitServer, rabbitmq_vhost: str
) -> None:
    day = Day(12_000)
    async with running(day, servers, speed="4000/s") as system:
        closing = CLOSE_CONNECTIONS.format(vhost=rabbitmq_vhost)
        await until(lambda: system.taken_in() > 3_000)
        await beside_the_traffic(lambda: rabbitmq_server.evaluate(closing))
        await until(lambda: system.taken_in() > 6_000)
        await beside_the_traffic(lambda: rabbitmq_server.evaluate(closing))
        books = await system.end()
        assert system.processors[0].report().detail["takeovers"] == {"trades.0": 3}
        assert system.outbox.reconnects == 2
    assert (books.taken_in, books.folded, books.lost) == (12_000, 12_000, 0)
    assert books.gaps == []
    assert books.rows == await undisturbed(day)


async def test_batches_that_expire_in_the_queue_are_a_located_gap(servers: RealServers) -> None:
    day = Day(12_000)
    async with running(day, servers, speed="4000/s", ttl_ms=300) as system:
        await until(lambda: system.taken_in() > 2_000)
        await only(system.processors).stop()
        stored = await system.folded()
        at = system.taken_in()
        await until(lambda: system.taken_in() > at + 4_000)
        system.processors.clear()
        await system.start_processor()
        books = await system.end()
    gap = only(books.losses)
    assert gap.from_offset == stored
    assert 2_000 < gap.to_offset - gap.from_offset == gap.events == books.lost
    assert books.taken_in == 12_000
    assert books.balanced
    assert books.candles == candles(without(day.prints, [gap]), books.gaps)
