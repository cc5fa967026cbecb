"""What the health server answers, over a real socket."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from tapewire import __version__
from tapewire.runtime.health import HttpAddress, metrics
from tapewire.runtime.health_server import HealthServer
from tapewire.runtime.service import DependencyMissing, Report, State

Get = Callable[[str], "aiohttp.client._RequestContextManager"]


def report(state: State = State.RUNNING, *, healthy: bool = True, reason: str = "") -> Report:
    return Report(
        service="processor",
        instance="0",
        state=state,
        healthy=healthy,
        since_ms=0,
        rates={"trades": 12.5},
        lag_ms=80.0,
        gaps={"trades.0": 3},
        drops={'bad "json"': 2},
        queues={"trades.0": 7},
        detail={"feeds": {"trades": "ok"}},
        reason=reason,
    )


@asynccontextmanager
async def serving(shown: Report) -> AsyncIterator[Get]:
    times = iter([100.0, 160.5, 161.0])
    server = HealthServer(lambda: shown, HttpAddress("127.0.0.1", 0), clock=lambda: next(times))
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session.get
    await server.stop()


async def test_livez_answers_while_the_loop_turns() -> None:
    async with serving(report(State.FAILED, healthy=False)) as get, get("/livez") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (report(), 200),
        (report(State.STAND_BY, healthy=False), 200),
        (report(State.RUNNING, healthy=False, reason="no data for 10 s"), 503),
        (report(State.STARTING, healthy=False), 503),
    ],
)
async def test_readyz_says_no_unless_it_works_or_stands_by(shown: Report, status: int) -> None:
    async with serving(shown) as get, get("/readyz") as answer:
        assert answer.status == status
        assert shown.reason in await answer.text()


async def test_health_is_the_documented_object() -> None:
    async with serving(report()) as get, get("/health") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert msgspec.json.decode(await answer.read()) == {
            "service": "processor",
            "version": __version__,
            "status": "running",
            "status_code": 1,
            "uptime_s": 60.5,
            "feeds": {"trades": "ok"},
            "queues": {"trades.0": 7},
            "workers": {},
            "clients": 0,
            "reason": "",
        }


async def test_health_never_says_1_of_a_service_that_does_not_work() -> None:
    async with serving(report(State.DEGRADED, healthy=False)) as get, get("/health") as answer:
        assert msgspec.json.decode(await answer.read())["status_code"] == 0


async def test_metrics_are_prometheus_text() -> None:
    async with serving(report()) as get, get("/metrics") as answer:
        assert answer.content_type == "text/plain"
        lines = (await answer.text()).splitlines()
    common = 'service="processor",instance_name="0"'
    assert f"tapewire_healthy{{{common}}} 1" in lines
    assert f'tapewire_lost_events_total{{{common},shard="trades.0"}} 3' in lines
    assert f'tapewire_dropped_events_total{{{common},reason="bad \\"json\\""}} 2' in lines
    assert f'tapewire_queue_batches{{{common},shard="trades.0"}} 7' in lines


def test_a_lag_that_is_not_known_is_not_a_number() -> None:
    shown = Report("processor", "0", State.RUNNING, healthy=True, since_ms=0)
    assert "tapewire_lag" not in metrics(shown, 1.0)


async def test_a_taken_port_names_itself_and_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        address = HttpAddress("127.0.0.1", port, "TAPEWIRE_HTTP_PORT_MDP")
        server = HealthServer(report, address)
        with pytest.raises(DependencyMissing) as refused:
            await server.start()
    assert refused.value.exit_code == 4
    assert f"port {port}" in str(refused.value)
    assert "TAPEWIRE_HTTP_PORT_MDP" in str(refused.value)
