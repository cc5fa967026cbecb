"""The latency benchmark for a second, with its real processes."""

import json
from pathlib import Path

from benchmarks import machine
from benchmarks.latency import EVENTS_PER_SECOND, SLOT_S, Market, measure
from benchmarks.rabbitmq import Servers
from tests.conftest import StartRedis
from tests.servers import RabbitServer


def test_a_price_tells_when_its_trade_was_stamped() -> None:
    market = Market()
    frames = [json.loads(market.frame()) for _ in range(3)]
    assert [len(frame) for frame in frames] == [round(EVENTS_PER_SECOND * SLOT_S)] * 3
    assert len({trade["q"] for frame in frames for trade in frame}) == market.events
    for stamp, frame in zip(market.stamps, frames, strict=True):
        price = f"{frame[0]['p']:.2f}".encode()
        assert abs(market.age_s(price, stamp + 1.5) - 1.5) < 1e-9


def test_a_short_run_goes_the_whole_way(
    rabbitmq_server: RabbitServer, start_redis: StartRedis, tmp_path: Path
) -> None:
    rabbitmq_server.start()
    servers = Servers(rabbitmq_server, start_redis(), tmp_path)
    ages, wrong = machine.run_on_loop(lambda: measure(servers, 1.0))
    assert [line for line in wrong if "expected at least" not in line] == []
    assert ages
    assert all(0 < age < 10 for age in ages)
