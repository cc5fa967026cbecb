"""``tapewire simulate``: a provider on one's own machine, until Ctrl-C."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tapewire.cli.options import Delayed, Faults, Json, Key, Seed, Sources, Speed

if TYPE_CHECKING:
    from tapewire.cli.simulated import Asked
    from tapewire.cli.simulator_service import Playing, Simulator


class Simulated(StrEnum):
    """Whom to simulate."""

    MASSIVE = "massive"
    UPSTOX = "upstox"
    FYERS = "fyers"
    DHAN = "dhan"


Port = Annotated[
    int,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        metavar="N",
        help="Port of the WebSocket; 0 takes a free one.",
    ),
]
RestPort = Annotated[
    int | None,
    typer.Option(
        "--rest-port",
        min=0,
        max=65535,
        metavar="N",
        help="Port of the REST calls; default: the one after --port.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", hidden=True)]
Began = Annotated[int | None, typer.Option("--began", hidden=True)]
HeadStart = Annotated[int, typer.Option("--head-start", hidden=True)]
Once = Annotated[bool, typer.Option("--once", help="End when the source does.")]


def simulate(
    provider: Annotated[
        Simulated, typer.Argument(metavar="PROVIDER", help="massive, upstox, fyers or dhan")
    ],
    source: Sources = None,
    speed: Speed = "original",
    seed: Seed = None,
    port: Port = 0,
    rest_port: RestPort = None,
    key: Key = None,
    fault: Faults = None,
    once: Once = False,
    delayed: Delayed = False,
    quiet: Quiet = False,
    began: Began = None,
    head_start: HeadStart = 0,
    json: Json = False,
) -> None:
    """Serve a provider's real protocol from recorded, captured or generated data."""
    from tapewire.cli.clock import wall_ms
    from tapewire.cli.edge import load_for_foreground
    from tapewire.cli.simulated import Asked, beginning

    load_for_foreground()
    now_ms = wall_ms()
    began_ms = now_ms if began is None else began
    asked = Asked(
        source,
        speed,
        seed,
        port,
        (port + 1 if port else 0) if rest_port is None else rest_port,
        key,
        tuple(fault or ()),
        once,
        began_ms,
        beginning(began_ms, now_ms, speed, head_start),
        delayed,
    )
    raise typer.Exit(_run(provider, asked, quiet=quiet, json=json))


def _run(provider: Simulated, asked: "Asked", *, quiet: bool, json: bool) -> int:
    """Play until the end or a signal; exit code."""
    from tapewire.cli.clock import wall_ms
    from tapewire.cli.errors import say
    from tapewire.cli.output import Printer
    from tapewire.cli.simulator_service import PATIENCE_S, SimulatorService, announce
    from tapewire.runtime.runner import run_service

    simulator, told = _massive(asked) if provider is Simulated.MASSIVE else _broker(provider, asked)
    printer = Printer.for_stdout(json=json)
    ready = _say_nothing if quiet else lambda: announce(told(), printer, asked.speed)
    patience_s = PATIENCE_S if quiet else 0.0
    service = SimulatorService(simulator, wall_ms(), ready=ready, patience_s=patience_s)
    return run_service(service, explain=say)


def _massive(asked: "Asked") -> "tuple[Simulator, Callable[[], Playing]]":
    """Massive's simulator, and what it has to tell once it listens."""
    from tapewire.cli.simulate_massive import build, playing

    simulator = build(asked)
    return simulator, lambda: playing(simulator, asked)


def _broker(provider: Simulated, asked: "Asked") -> "tuple[Simulator, Callable[[], Playing]]":
    """A broker's simulator, and what it has to tell once it listens."""
    from tapewire.cli.simulate_broker import build, playing

    simulator = build(provider, asked)
    return simulator, lambda: playing(provider, simulator, asked)


def _say_nothing() -> None:
    """A replay's simulator has nothing to tell people."""
