"""The seam between a listener and what it listens to.

``MassiveSource`` (``listener.py``) and ``BrokerSource`` (``broker_listener.py``) are the two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from tapewire.providers.batcher import Slice

Take: TypeAlias = Callable[[bytes, Sequence[Slice], int | None], None]
"""Where a source hands each frame: its bytes, the slices that were cut from it, and the event
time of its newest event in ms (None where it says none). Returns at once."""


class Reading(Protocol):
    """What reads for ever and says how it goes: a source, or the feed behind one."""

    @property
    def last_ending(self) -> str:
        """Why the last connection ended, for people; empty before the first end."""

    @property
    def healthy(self) -> bool:
        """Subscribed, and data comes wherever it is expected."""

    @property
    def paused(self) -> bool:
        """Reading has been stopped by ``pause``."""

    def pause(self) -> None:
        """Stop reading: back-pressure of a lossless run, for nothing else."""

    def resume(self) -> None:
        """Read on."""

    def stop(self) -> None:
        """Make ``run`` return."""


class Source(Reading, Protocol):
    """What a listener reads: a connection that is kept up, and frames cut into slices."""

    @property
    def connections(self) -> int:
        """Connections made so far; what came before a new one may not be complete."""

    async def run(self, take: Take) -> None:
        """Read until ``stop`` or the source's end.

        Raises RefusedByProvider or DependencyMissing when it gives up.
        """

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out a run-time command; ValueError names the known ones."""

    def detail(self) -> dict[str, Any]:
        """The source's part of the report's ``detail``."""


class Capture(Protocol):
    """Where raw frames are recorded; raises OSError when it cannot write."""

    def write(self, frame: bytes, received_ns: int, monotonic_ns: int) -> object:
        """Record one frame as it came off the socket."""
