"""``tapewire simulate``: a provider on one's own machine, until Ctrl-C."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from tapewire.cli.options import Delayed, Faults, Json, Key, Seed, Sources, Speed
from tapewire.cli.wall_clock import NEW_YORK, WallClock

if TYPE_CHECKING:
    from tapewire.cli.simulator_service import Playing, Simulator
    from tapewire.simulators.massive import MassiveSimulator


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

STARTING_S: Final = 15.0
"""A simulator that starts within this of when playing was begun has not been restarted."""


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
    from tapewire.cli.errors import say
    from tapewire.cli.output import Printer
    from tapewire.cli.simulator_service import PATIENCE_S, SimulatorService, announce
    from tapewire.runtime.runner import run_service

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
    simulator, told = _massive(asked) if provider is Simulated.MASSIVE else _broker(provider, asked)
    printer = Printer.for_stdout(json=json)
    ready = _say_nothing if quiet else lambda: announce(told(), printer, speed)
    patience_s = PATIENCE_S if quiet else 0.0
    service = SimulatorService(simulator, wall_ms(), ready=ready, patience_s=patience_s)
    raise typer.Exit(run_service(service, explain=say))


class Beginning(NamedTuple):
    """Event time of a source that is left out, and then what is played at once, in ms."""

    skipped_ms: int = 0
    at_once_ms: int = 0


class Asked(NamedTuple):
    """One ``tapewire simulate`` as asked for."""

    sources: Sequence[str] | None
    speed: str
    seed: int | None
    port: int
    rest_port: int
    key: str | None
    faults: tuple[str, ...]
    once: bool
    began_ms: int
    begin: Beginning
    delayed: bool


def _massive(asked: Asked) -> "tuple[Simulator, Callable[[], Playing]]":
    """Massive's simulator, and what it has to tell once it listens."""
    from tapewire.cli.simulator_service import playing

    simulator = build_simulator(
        sources_of(asked.sources, asked.seed, asked.began_ms),
        asked.speed,
        asked.once,
        asked.key,
        asked.faults,
        asked.port,
        asked.rest_port,
        asked.begin,
        delayed=asked.delayed,
    )
    return simulator, lambda: playing(simulator, asked.key)


def _broker(provider: Simulated, asked: Asked) -> "tuple[Simulator, Callable[[], Playing]]":
    """A broker's simulator, and what it has to tell once it listens."""
    from tapewire.cli.simulate_broker import build, playing

    simulator = build(provider, asked)
    return simulator, lambda: playing(provider, simulator, asked)


def beginning(began_ms: int, now_ms: int, speed: str, head_start_s: int) -> Beginning:
    """Where to begin a source that was first begun at ``began_ms``.

    The first time ``head_start_s`` of it come at once; a simulator that is started again
    plays on from where it would be.
    """
    from tapewire.simulators.pacing import Speed, SpeedKind

    pace, elapsed_ms = Speed.parse(speed), now_ms - began_ms
    if pace.kind is not SpeedKind.TIMES:
        return Beginning()
    if elapsed_ms < STARTING_S * 1000:
        return Beginning(at_once_ms=head_start_s * 1000)
    return Beginning(skipped_ms=head_start_s * 1000 + int(elapsed_ms * pace.value))


def _say_nothing() -> None:
    """A replay's simulator has nothing to tell people."""


def sources_of(
    texts: Sequence[str] | None, seed: int | None, now_ms: int, clock: WallClock = NEW_YORK
) -> list[str]:
    """The ``SOURCE`` strings to play; generators get the seed, and the current session's date.

    With that date the reference service, which goes by the wall clock, finds the rows that
    the generated events are measured against. A date in the string stays.
    """
    date = session_date(now_ms, clock)
    return [_completed(text, seed, date) for text in texts or ["generator"]]


def session_date(now_ms: int, clock: WallClock = NEW_YORK) -> str:
    """The session that trades now, or the next one: half an hour before 04:00 it is the new day."""
    from tapewire.services.reference import ReferenceSettings

    day = clock.calendar.day_at(now_ms + ReferenceSettings().lead_ms)
    return day.date if day.is_session else clock.calendar.next_session(day.date).date


def _completed(text: str, seed: int | None, date: str) -> str:
    kind, _, given = text.partition(":")
    if kind != "generator":
        return text
    options = [option for option in given.split(",") if option]
    names = {option.partition("=")[0] for option in options}
    if seed is not None and "seed" not in names:
        options.append(f"seed={seed}")
    if "date" not in names:
        options.append(f"date={date}")
    return f"generator:{','.join(options)}"


def build_simulator(
    sources: Sequence[str],
    speed: str,
    once: bool,
    key: str | None,
    faults: Sequence[str],
    port: int,
    rest_port: int,
    begin: Beginning = Beginning(),  # noqa: B008 - a tuple
    *,
    delayed: bool = False,
) -> "MassiveSimulator":
    """The simulator of these sources, not started; SourceError or FaultError (exit code 2)."""
    from tapewire.providers.massive.feeds import DELAY_MS
    from tapewire.simulators.massive import MassiveSimulator
    from tapewire.simulators.resumed import resume
    from tapewire.simulators.source_strings import parse_source

    return MassiveSimulator(
        resume([parse_source(text) for text in sources], begin.skipped_ms),
        speed=speed,
        once=once,
        key=key,
        faults=faults,
        port=port,
        rest_port=rest_port,
        head_start_ms=begin.at_once_ms,
        delay_ms=DELAY_MS if delayed else 0,
    )
