"""``tapewire simulate massive``: the provider on one's own machine, until Ctrl-C."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tapewire.cli.options import Faults, Json, Key, Provider, Seed, Sources, Speed

if TYPE_CHECKING:
    from tapewire.simulators.massive import MassiveSimulator

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
Once = Annotated[bool, typer.Option("--once", help="End when the source does.")]


def simulate(
    provider: Annotated[Provider, typer.Argument(metavar="PROVIDER", help="massive")],
    source: Sources = None,
    speed: Speed = "original",
    seed: Seed = None,
    port: Port = 0,
    rest_port: RestPort = None,
    key: Key = None,
    fault: Faults = None,
    once: Once = False,
    json: Json = False,
) -> None:
    """Serve a provider's real protocol from recorded, captured or generated data."""
    from tapewire.cli.compose import wall_ms
    from tapewire.cli.edge import load_for_service
    from tapewire.cli.output import Printer
    from tapewire.cli.simulator_service import SimulatorService, announce
    from tapewire.runtime.runner import run_service
    from tapewire.runtime.settings import LogLevel

    quiet = LogLevel.WARNING if sys.stderr.isatty() else None
    load_for_service({"log_level": quiet}, service="simulator")
    if rest_port is None:
        rest_port = port + 1 if port else 0
    simulator = build_simulator(
        sources_of(source, seed), speed, once, key, fault or (), port, rest_port
    )
    printer = Printer.for_stdout(json=json)
    service = SimulatorService(
        simulator, wall_ms(), ready=lambda: announce(simulator, printer, speed, key), once=once
    )
    raise typer.Exit(run_service(service))


def sources_of(texts: Sequence[str] | None, seed: int | None) -> list[str]:
    """The ``SOURCE`` strings to play, a seed put into those of generators."""
    return [_seeded(text, seed) for text in texts or ["generator"]]


def _seeded(text: str, seed: int | None) -> str:
    kind, _, options = text.partition(":")
    if seed is None or kind != "generator" or "seed=" in options:
        return text
    return f"generator:{options},seed={seed}" if options else f"generator:seed={seed}"


def build_simulator(
    sources: Sequence[str],
    speed: str,
    once: bool,
    key: str | None,
    faults: Sequence[str],
    port: int,
    rest_port: int,
) -> "MassiveSimulator":
    """The simulator of these sources, not started; SourceError or FaultError (exit code 2)."""
    from tapewire.simulators.massive import MassiveSimulator
    from tapewire.simulators.source_strings import parse_source

    return MassiveSimulator(
        [parse_source(text) for text in sources],
        speed=speed,
        once=once,
        key=key,
        faults=faults,
        port=port,
        rest_port=rest_port,
    )
