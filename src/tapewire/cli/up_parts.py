"""What ``tapewire up`` starts: the plan, its ports, and the processes as command lines.

All are ordinary commands under the process manager: simulator, core (the data path), widgets
and control. ``up_service.py`` runs them.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from tapewire.caches.embedded import EmbeddedServer
from tapewire.cli.ports import any_free, given_or_next
from tapewire.cli.wiring import MASSIVE
from tapewire.runtime.process_manager import WorkerSpec, tapewire_command
from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import HTTP_PORTS, Settings

DASHBOARD_PORT: Final = 8000
STREAM_PORT: Final = 4202
STREAM_SETTING: Final = HTTP_PORTS["widgets"].upper()
KEY: Final = "simulator"
DRAIN_S: Final = 4.0

MARKET: Final = "generator:at=09:25"
INDIAN_MARKET: Final = "generator:at=09:10"
HEAD_START_S: Final = 290
"""The market opens 10 s after the page has; what went before is on its chart already."""


class Played(Struct, frozen=True):
    """What the simulator plays.

    ``subscriptions``: topics that the sources have, empty where the settings' ones hold.
    ``date``: their first day, empty for the current session. ``head_start_s``: event time
    that is played at once. ``broker``: who plays it, empty for Massive; ``instruments`` are
    then what there is to subscribe to.
    """

    sources: tuple[str, ...]
    subscriptions: tuple[str, ...] = ()
    date: str = ""
    head_start_s: int = 0
    broker: str = ""
    instruments: tuple[str, ...] = ()


class UpPlan(Struct, frozen=True):
    """One ``tapewire up`` as asked for.

    ``played``: None for live data. ``provider`` is ``massive`` or ``brokers``. ``began_ms``:
    wall clock when it was asked for.
    """

    settings: Settings
    played: Played | None
    speed: str
    port: int | None
    host: str
    began_ms: int
    provider: str = MASSIVE

    @property
    def live(self) -> bool:
        """Whether the data is the provider's."""
        return self.played is None

    @property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return self.settings.tapewire_data_dir.expanduser().absolute()


class Addresses(Struct, frozen=True):
    """Where this run listens: ports of page, stream and simulator, and the page's URL."""

    host: str
    dashboard: int
    stream: int
    feed: int
    rest: int

    @property
    def url(self) -> str:
        """The dashboard's address."""
        return f"http://{self._name}:{self.dashboard}"

    @property
    def health(self) -> str:
        """Where the stream's server says that it lives."""
        return f"http://{self._name}:{self.stream}/livez"

    @property
    def _name(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def choose_ports(plan: UpPlan, environ: Mapping[str, str]) -> tuple[Addresses, list[str]]:
    """Ports of page and stream: those asked for, else the next free ones; lines that say so.

    Raises DependencyMissing when one that was asked for is taken.
    """
    host = plan.host
    given = plan.settings.http_port("widgets") if environ.get(STREAM_SETTING) else None
    dashboard = given_or_next(host, plan.port, DASHBOARD_PORT, "--port")
    stream = given_or_next(host, given, STREAM_PORT, STREAM_SETTING)
    lines = [
        f"port {wanted} is taken: the {what} is on {taken}"
        for wanted, taken, what in (
            (plan.port or DASHBOARD_PORT, dashboard, "dashboard"),
            (given or STREAM_PORT, stream, "stream"),
        )
        if wanted != taken
    ]
    feed, rest = any_free("127.0.0.1", 2)
    return Addresses(host, dashboard, stream, feed, rest), lines


def what_is_played(texts: Sequence[str] | None, now_ms: int) -> Played:
    """What to make of ``--source``; without one a market that is about to open.

    Of recorded days only what they have is subscribed to: trades, and second bars, else
    minute bars. Without bars boards are folded from the trades. Raises SourceError for what
    is no source.
    """
    if not texts:
        return Played((MARKET,), head_start_s=HEAD_START_S)
    from tapewire.cli.simulated import sources_of
    from tapewire.simulators.source_strings import parse_source

    sources = [parse_source(text) for text in sources_of(texts, None, now_ms)]
    topics = frozenset[str]().union(*(source.topics for source in sources))
    bars = next((topic for topic in ("A", "AM") if topic in topics), None)
    subscriptions = tuple(f"{topic}.*" for topic in ("T", bars) if topic in topics)
    return Played(tuple(texts), subscriptions, min(date for one in sources for date in one.dates))


def what_a_broker_plays(broker: str, texts: Sequence[str] | None, now_ms: int) -> Played:
    """What to make of ``--source`` for a simulated broker; everything is subscribed to.

    Raises SourceError for what is no source, UsageError for several.
    """
    from tapewire.cli.simulated import sources_of
    from tapewire.cli.wall_clock import IN_INDIA
    from tapewire.simulators.tick_tape import parse_ticks

    if texts and len(texts) > 1:
        raise UsageError(f"--source is given {len(texts)} times; a broker plays one source")
    completed = sources_of(texts or [INDIAN_MARKET], None, now_ms, IN_INDIA)
    source = parse_ticks(completed[0])
    return Played(
        tuple(completed),
        date=source.dates[0],
        head_start_s=0 if texts else HEAD_START_S,
        broker=broker,
        instruments=tuple(source.instruments),
    )


def workers_of(plan: UpPlan, addresses: Addresses) -> list[WorkerSpec]:
    """What to run, in the order in which it is good to start."""
    core = WorkerSpec("core", tapewire_command("core", *_core_options(plan, addresses)))
    simulator = [] if plan.played is None else [_simulator(plan, plan.played, addresses)]
    return [
        *simulator,
        core,
        WorkerSpec("widgets", tapewire_command("run", "widgets")),
        WorkerSpec("control", tapewire_command("run", "control")),
    ]


def _core_options(plan: UpPlan, addresses: Addresses) -> list[str]:
    provider = ["--provider", plan.provider] if plan.provider != MASSIVE else []
    if plan.played is None:
        return provider
    date = ["--date", plan.played.date] if plan.played.date else []
    return [*provider, "--after-port", str(addresses.rest), *date]


def _simulator(plan: UpPlan, played: Played, addresses: Addresses) -> WorkerSpec:
    options = [part for source in played.sources for part in ("--source", source)]
    options += ["--speed", plan.speed, "--quiet", "--began", str(plan.began_ms)]
    options += ["--head-start", str(played.head_start_s)]
    options += ["--port", str(addresses.feed), "--rest-port", str(addresses.rest)]
    who = played.broker or MASSIVE
    return WorkerSpec("simulator", tapewire_command("simulate", who, *options))


def environment_of(
    plan: UpPlan, server: EmbeddedServer, addresses: Addresses, environ: Mapping[str, str]
) -> Mapping[str, str]:
    """What the processes see: this environment, the embedded server, the ports chosen."""
    ours = {
        "WDC_REDIS_URL": server.wdc_url,
        "MDC_REDIS_URL": server.mdc_url,
        "TAPEWIRE_DATA_DIR": str(plan.folder),
        "TAPEWIRE_HTTP_HOST": plan.host,
        HTTP_PORTS["control"].upper(): str(addresses.dashboard),
        STREAM_SETTING: str(addresses.stream),
        "TAPEWIRE_DRAIN_S": str(DRAIN_S),
        "LOG_LEVEL": environ.get("LOG_LEVEL", "WARNING"),
    }
    if plan.played is not None:
        ours |= _simulators_environment(plan, plan.played, addresses, environ)
    return {**environ, **ours}


def _simulators_environment(
    plan: UpPlan, played: Played, addresses: Addresses, environ: Mapping[str, str]
) -> Mapping[str, str]:
    """The settings with which the simulator is found, and what it has is subscribed to."""
    ws_url, rest_url = f"ws://127.0.0.1:{addresses.feed}", f"http://127.0.0.1:{addresses.rest}"
    if played.broker:
        from tapewire.simulators.brokers import environment, token_of

        token = token_of(played.broker, KEY, plan.began_ms)
        instruments = environ.get("BROKER_INSTRUMENTS") or ",".join(played.instruments)
        found = environment(played.broker, rest_url, ws_url, token)
        return found | {"BROKER_INSTRUMENTS": instruments}
    ours = {"MASSIVE_FEED": ws_url, "MASSIVE_REST_URL": rest_url, "MASSIVE_API_KEY": KEY}
    if played.subscriptions and "MASSIVE_SUBSCRIPTIONS" not in environ:
        ours["MASSIVE_SUBSCRIPTIONS"] = ",".join(played.subscriptions)
    return ours


def environment() -> Mapping[str, str]:
    """This process's environment."""
    return dict(os.environ)
