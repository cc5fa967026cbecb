"""The simulator as a service of the command line: what it says, and its line of figures."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from tapewire.cli.output import Form, Printer, count
from tapewire.runtime.service import DependencyMissing, Report, State
from tapewire.simulators.statistics import Statistics

ANY_KEY = "any-key-will-do"

PATIENCE_S = 1.5
"""How long a simulator that ends with its clients lets them go first."""


class Simulator(Protocol):
    """What is run here: Massive's simulator, or a broker's."""

    statistics: Statistics

    async def start(self) -> None:
        """Listen; OSError when a port is taken."""

    async def left(self, within_s: float) -> None:
        """Return when nobody is connected any more, at the latest ``within_s`` from now."""

    async def ended(self) -> None:
        """Return when the source has ended (with ``once``) or failed, and the clients are gone."""

    async def stop(self) -> None:
        """Close every connection; raises what the source failed with."""

    def inject(self, fault: str, after: int = 0) -> None:
        """Make a fault happen once ``after`` more events were sent."""


class SimulatorService:
    """Runs a simulator; ``ready`` is called when it listens.

    ``patience_s``: how long a drain waits for clients that end too, so that none of them
    takes the end for a lost connection.
    """

    name = "simulator"

    def __init__(
        self,
        simulator: Simulator,
        since_ms: int,
        *,
        ready: Callable[[], None],
        patience_s: float = 0.0,
    ) -> None:
        self._simulator = simulator
        self._since_ms = since_ms
        self._ready = ready
        self._patience_s = patience_s
        self._figures: asyncio.Task[None] | None = None
        self._state = State.STARTING

    async def start(self) -> None:
        """Listen; DependencyMissing when a port is taken."""
        try:
            await self._simulator.start()
        except OSError as error:
            raise DependencyMissing(
                f"the simulator cannot listen: {error.strerror or error}. Stop the process that"
                " has the port, or give other ones with --port and --rest-port (0: any free one)"
            ) from error
        self._state = State.RUNNING
        self._ready()
        if sys.stderr.isatty():
            self._figures = asyncio.create_task(show_figures(self._simulator))

    async def wait(self) -> None:
        """Return at the source's end; a simulator without ``once`` goes on until it is stopped."""
        await self._simulator.ended()

    async def drain(self) -> None:
        """Let clients go first; nothing is owed to anybody."""
        self._state = State.DRAINING
        await self._simulator.left(self._patience_s)

    async def stop(self) -> None:
        """Close every connection; raises what the source failed with."""
        if self._figures is not None:
            self._figures.cancel()
            await asyncio.gather(self._figures, return_exceptions=True)
        if self._state is not State.STARTING:
            await self._simulator.stop()
        self._state = State.STOPPED

    def report(self) -> Report:
        """What was sent, by topic."""
        return Report(
            self.name,
            "0",
            self._state,
            self._state is State.RUNNING,
            self._since_ms,
            detail=self._simulator.statistics.as_dict(),
        )

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``fault``: make one happen (arguments ``fault`` and ``after``)."""
        if name != "fault":
            raise ValueError(f"unknown command {name!r}; known: fault")
        self._simulator.inject(str(arguments.get("fault", "")), int(arguments.get("after", 0)))
        return {}


class Playing(Struct, frozen=True):
    """What a simulator that listens has to tell: who it is, where, and what it plays.

    ``environment`` are the settings with which others find it, ``readers`` says who they are.
    """

    provider: str
    ws_url: str
    rest_url: str
    source: str
    environment: Mapping[str, str]
    notes: Sequence[str] = ()
    readers: str = "a listener"


def announce(told: Playing, printer: Printer, speed: str) -> None:
    """Print where it listens, and the environment with which a listener finds it."""
    for note in told.notes:
        sys.stderr.write(f"tapewire: note: {note}\n")
    if printer.form is Form.JSON:
        places = {"ws": told.ws_url, "rest": told.rest_url}
        printer.json({**places, "source": told.source, "environment": told.environment})
        return
    if printer.form is Form.TABLE:
        printer.text(f"{told.provider} simulator: {told.source} at speed {speed}")
        printer.text(f"  WebSocket  {told.ws_url}")
        printer.text(f"  REST       {told.rest_url}")
        printer.text(f"Let {told.readers} find it:")
    export = "  export " if printer.form is Form.TABLE else ""
    for name, value in told.environment.items():
        printer.text(f"{export}{name}={value}")
    if printer.form is Form.TABLE:
        printer.text("Ctrl-C ends it.")


async def show_figures(simulator: Simulator) -> None:
    """Keep one line of figures on the terminal, once a second."""
    from rich.console import Console
    from rich.live import Live

    before = 0
    with Live("", console=Console(stderr=True, highlight=False), auto_refresh=False) as live:
        while True:
            statistics = simulator.statistics
            sent = sum(statistics.events.values())
            live.update(figures(sent, sent - before, statistics.as_dict()), refresh=True)
            before = sent
            await asyncio.sleep(1)


def figures(sent: int, per_second: int, statistics: Mapping[str, Any]) -> str:
    """``1,204,331 events sent (5,120/s) · T 1,200,000 · A 4,331 · 1 connection``."""
    topics = [f"{topic} {count(n)}" for topic, n in sorted(statistics["events"].items())]
    made = statistics["connections"]
    connections = f"{count(made)} connection{'' if made == 1 else 's'} so far"
    parts = [f"{count(sent)} events sent ({count(per_second)}/s)", *topics, connections]
    return " · ".join(parts)
