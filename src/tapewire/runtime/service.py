"""The one contract that every long-running part fulfils.

The process manager, the CLI and the control plane know only this.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct, field


class State(StrEnum):
    """Where a service is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STAND_BY = "stand_by"
    DEGRADED = "degraded"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class Report(Struct):
    """What a service says of itself: ``tapewire status`` prints one object of this shape.

    ``healthy`` is True only if the service does its work right now. ``rates``: events and
    batches per second by stream; ``lag_ms``: wall clock minus event time of the newest
    event (None before one); ``gaps``: lost events by shard; ``drops``: events dropped by
    reason; ``queues``: batches waiting by shard; ``detail``: anything else by name.
    """

    service: str
    instance: str
    state: State
    healthy: bool
    since_ms: int
    rates: dict[str, float] = field(default_factory=dict)
    lag_ms: float | None = None
    gaps: dict[str, int] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    queues: dict[str, int] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


class Service(Protocol):
    """A long-running part of Tapewire."""

    name: str

    async def start(self) -> None:
        """Acquire what it needs and begin; raise an error with an exit code when it cannot."""

    async def wait(self) -> None:
        """Return when the work has ended by itself; raise what ended it otherwise."""

    async def drain(self) -> None:
        """Finish what has been taken in, hand over, then be ready to stop."""

    async def stop(self) -> None:
        """Release everything. Safe after ``drain`` and on its own."""

    def report(self) -> Report:
        """Health and figures, cheap enough for once a second."""

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out a run-time command; raise ValueError naming the known ones otherwise."""


class ServiceError(Exception):
    """Ends a service. ``exit_code`` is the process's (``cli.py`` has the table)."""

    exit_code = 1


class UsageError(ServiceError):
    """A setting or option is wrong."""

    exit_code = 2


class RefusedByProvider(ServiceError):  # noqa: N818 - it says what happened
    """The provider will not serve us (key, plan); trying again would not help."""

    exit_code = 3


class DependencyMissing(ServiceError):  # noqa: N818 - it says what happened
    """A server or file that the service needs is missing or unreachable."""

    exit_code = 4
