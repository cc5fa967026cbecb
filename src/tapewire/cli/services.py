"""What ``tapewire run`` does: each service with its heartbeats and health.

What a service is made of is imported when that service is asked for: a process pays for its
own parts only.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from tapewire.caches.registry import RedisRegistry
from tapewire.cli.clock import wall_ms
from tapewire.cli.composed import Alongside, Composed, Make
from tapewire.cli.errors import explain
from tapewire.cli.servers import server
from tapewire.cli.wiring import (
    ALL_BROKERS,
    MASSIVE,
    Wiring,
    check_listened,
    is_broker,
    parse_streams,
)
from tapewire.runtime.health import HttpAddress
from tapewire.runtime.process_manager import (
    ManagedWorkers,
    ProcessManager,
    Supervision,
    WorkerSpec,
    tapewire_command,
)
from tapewire.runtime.runner import Deadlines, run_service
from tapewire.runtime.service import Service, UsageError
from tapewire.runtime.settings import HTTP_PORTS, Settings

_SERVE_THEMSELVES: Final = frozenset({"control", "widgets"})
"""Services whose health is on the port that they serve anyway."""


class Plan(Struct, frozen=True):
    """One ``tapewire run``: which service, which of its instances, how it is wired."""

    settings: Settings
    service: str
    wiring: Wiring
    index: int | None = None
    http: bool = True
    capture: Path | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        service: str,
        streams: str | None,
        *,
        index: int | None,
        http: bool,
        provider: str = MASSIVE,
        capture: Path | None = None,
        lossless: bool = False,
        once: bool = False,
    ) -> "Plan":
        """Check the options against each other; UsageError when they contradict."""
        if service == "processor" and index is not None and index >= settings.parallelism:
            raise UsageError(
                f"--index {index} does not exist among {settings.parallelism} processor(s);"
                " expected a smaller one, or a larger --processors"
            )
        if capture is not None and service != "listener":
            raise UsageError(
                f"--capture records what a listener reads; the {service} reads no socket"
            )
        carried = parse_streams(streams, settings, provider)
        if service == "listener":
            check_listened(carried, provider)
        if is_broker(provider) and provider != ALL_BROKERS:
            settings = settings.replaced(brokers=(provider,))
        wiring = Wiring(streams=carried, lossless=lossless, once=once)
        return cls(settings, service, wiring, index, http, capture)

    @property
    def is_many(self) -> bool:
        """Whether several processors are to run here."""
        return self.service == "processor" and self.index is None and self.settings.parallelism > 1

    @property
    def instance(self) -> str:
        """The service's name for itself in the registry."""
        return str(self.index or 0)

    @property
    def address(self) -> HttpAddress | None:
        """Where health and metrics listen; None when they are off."""
        if not self.http or self.service in _SERVE_THEMSELVES:
            return None
        settings = self.settings
        setting = HTTP_PORTS[self.service].upper()
        return HttpAddress(settings.tapewire_http_host, settings.http_port(self.service), setting)


def run_one(plan: Plan) -> int:
    """Run one service until it ends; its exit code."""
    make: Make = partial(_MAKERS[plan.service], plan)
    return _host(plan, Composed(plan.service, plan.instance, wall_ms(), make))


def run_processors(plan: Plan, provider: str) -> int:
    """Run every processor of PARALLELISM under a process manager; the first failure's code."""
    drain_s = plan.settings.tapewire_drain_s
    manager = ProcessManager(Supervision(drain_s=0.8 * drain_s))
    count = plan.settings.parallelism
    specs = [_worker(plan, provider, k) for k in range(count)]
    return _host(plan, ManagedWorkers(manager, specs))


def _worker(plan: Plan, provider: str, index: int) -> WorkerSpec:
    settings, wiring = plan.settings, plan.wiring
    options = {
        "--provider": provider,
        "--streams": ",".join(wiring.streams),
        "--shards": settings.tapewire_shards,
        "--processors": settings.parallelism,
        "--index": index,
        "--http": "off",
    }
    words = [str(word) for pair in options.items() for word in pair]
    flags = ["--lossless"] if wiring.lossless else []
    return WorkerSpec(f"processor-{index}", tapewire_command("run", "processor", *words, *flags))


def _host(plan: Plan, service: Service) -> int:
    registry = RedisRegistry(server(plan.settings, "mdc_redis_url"))
    return run_service(
        service,
        registry=registry,
        http=plan.address,
        deadlines=Deadlines.within(plan.settings.tapewire_drain_s),
        explain=explain,
        close=registry.close,
    )


async def _make_listener(plan: Plan, stack: AsyncExitStack, alongside: Alongside) -> Service:
    from tapewire.cli.data_parts import make_listener

    return await make_listener(
        plan.settings, plan.wiring, stack, alongside, instance=plan.instance, capture=plan.capture
    )


async def _make_processor(plan: Plan, stack: AsyncExitStack, alongside: Alongside) -> Service:
    from tapewire.cli.data_parts import make_processor

    return await make_processor(plan.settings, plan.wiring, stack, alongside, index=plan.index or 0)


async def _make_reference(plan: Plan, stack: AsyncExitStack, alongside: Alongside) -> Service:
    from tapewire.cli.reference_parts import make_reference

    return await make_reference(plan.settings, stack, alongside, instance=plan.instance)


async def _make_control(plan: Plan, stack: AsyncExitStack, alongside: Alongside) -> Service:
    from tapewire.cli.control_parts import make_control

    return await make_control(plan.settings, stack, alongside)


async def _make_widgets(plan: Plan, stack: AsyncExitStack, alongside: Alongside) -> Service:
    from tapewire.cli.widget_parts import make_widgets

    return await make_widgets(plan.settings, stack, alongside, instance=plan.instance)


_MAKERS: Final[Mapping[str, Callable[[Plan, AsyncExitStack, Alongside], Awaitable[Service]]]] = {
    "listener": _make_listener,
    "processor": _make_processor,
    "reference": _make_reference,
    "widgets": _make_widgets,
    "control": _make_control,
}
