"""A replay over RabbitMQ: simulator, listener and processors as processes of their own.

They are ordinary ``tapewire`` command lines under the process manager; only their
environment is the replay's: its simulator, its queues' prefix, its Redis.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from tapewire.caches.reference import ReferenceCache
from tapewire.cli import compose
from tapewire.cli.ports import any_free
from tapewire.cli.replay_plan import KEY, Plan, at_simulator, load_references
from tapewire.cli.servers import reaching, server
from tapewire.model.streams import Shard, Stream
from tapewire.runtime.process_manager import (
    ProcessManager,
    Restart,
    WorkerSpec,
    tapewire_command,
)
from tapewire.runtime.service import DependencyMissing, ServiceError

START_S: Final = 30.0
"""How long the simulator's process may take until it listens."""


@asynccontextmanager
async def as_processes(plan: Plan) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Start everything; yields a wait for what fails. Queues are deleted in the end."""
    ws_port, rest_port = any_free("127.0.0.1", 2)
    settings = at_simulator(
        plan.settings, f"ws://127.0.0.1:{ws_port}", f"http://127.0.0.1:{rest_port}"
    )
    environment = environment_of(plan, ws_port, rest_port)
    async with AsyncExitStack() as stack:
        queue = compose.build_queue(settings, plan.wiring, name="replay")
        with reaching("rabbitmq_url"):
            await queue.start()
            await queue.declare(plan.shards)
        stack.push_async_callback(queue.stop)
        stack.push_async_callback(queue.delete, [*plan.shards, Shard(Stream.UNKNOWN, 0)])
        manager = await stack.enter_async_context(ProcessManager(environ=environment))
        await manager.start([simulator_of(plan, ws_port, rest_port)])
        await _listens(manager, rest_port)
        store = ReferenceCache(server(settings, "mdc_redis_url"))
        stack.push_async_callback(store.close)
        await load_references(settings, plan.source, store)
        await manager.start([*processors_of(plan), listener_of(plan)])
        yield lambda: _failure(manager)
        await manager.drain()


def simulator_of(plan: Plan, ws_port: int, rest_port: int) -> WorkerSpec:
    """The provider: it plays once, and is not started again."""
    options = [part for source in plan.options.sources for part in ("--source", source)]
    options += ["--speed", plan.options.speed, "--once", "--quiet"]
    options += ["--delayed"] if plan.options.delayed else []
    options += ["--port", str(ws_port), "--rest-port", str(rest_port)]
    command = tapewire_command("simulate", "massive", *options)
    return WorkerSpec("simulator", command, restart=Restart.NEVER)


def listener_of(plan: Plan) -> WorkerSpec:
    """The listener: a restart would miss what was sent meanwhile, so its end is final."""
    return WorkerSpec(
        "listener",
        tapewire_command("run", "listener", *_common(plan)),
        restart=Restart.NEVER,
    )


def processors_of(plan: Plan) -> list[WorkerSpec]:
    """The processors; one that dies is started again."""
    return [
        WorkerSpec(
            f"processor-{index}",
            tapewire_command("run", "processor", *_common(plan), "--index", str(index)),
            max_restarts=20,
        )
        for index in range(plan.options.processors)
    ]


def _common(plan: Plan) -> list[str]:
    options = ["--http", "off", "--once", "--streams", ",".join(plan.wiring.streams)]
    return [*options, "--lossless"] if plan.wiring.lossless else options


def environment_of(plan: Plan, ws_port: int, rest_port: int) -> Mapping[str, str]:
    """What the processes see: this environment, pointed at the replay's own parts."""
    settings = plan.settings
    ours = {
        "MASSIVE_FEED": f"ws://127.0.0.1:{ws_port}",
        "MASSIVE_REST_URL": f"http://127.0.0.1:{rest_port}",
        "MASSIVE_API_KEY": KEY,
        "MASSIVE_SUBSCRIPTIONS": ",".join(settings.massive_subscriptions),
        "RABBITMQ_URL": server(settings, "rabbitmq_url"),
        "QUEUE_PREFIX": plan.wiring.prefix or "",
        "MDC_REDIS_URL": server(settings, "mdc_redis_url"),
        "WDC_REDIS_URL": server(settings, "wdc_redis_url"),
        "TAPEWIRE_SHARDS": str(settings.tapewire_shards),
        "PARALLELISM": str(settings.parallelism),
        "CANDLE_CONDITIONS": settings.candle_conditions.value,
        "MARKET_DATA_MESSAGE_TTL": str(plan.options.ttl_ms or 0),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
    }
    return {**os.environ, **ours}


async def _listens(manager: ProcessManager, port: int) -> None:
    """Return when the simulator's REST side answers; raise when its process has ended."""
    worker = manager.worker("simulator")
    try:
        async with asyncio.timeout(START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    if worker.failure_code:
                        raise ServiceError("the simulator ended; its lines say why") from None
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return
    except TimeoutError:
        raise DependencyMissing(f"the simulator does not listen after {START_S:g} s") from None


async def _failure(manager: ProcessManager) -> None:
    """Return when everything has ended; raise with a failed process's exit code."""
    code = await manager.wait()
    if code:
        failure = ServiceError("a process of the replay failed; its lines say why")
        failure.exit_code = code
        raise failure
