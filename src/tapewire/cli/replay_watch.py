"""Progress of a replay on stderr: a moving line in a terminal, nothing in a pipe."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from tapewire.cli.replay_result import ShardProgress


class Watcher:
    """Shows how many events are through and how fast."""

    def __init__(self, name: str) -> None:
        self._console = Console(stderr=True)
        self._status: Status | None = None
        self._name = name
        self._started = time.monotonic()

    @staticmethod
    def say(note: str) -> None:
        """One line for people, out of the result's way."""
        sys.stderr.write(f"{note}\n")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status(f"replaying {self._name}")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status:
            self._status.stop()

    def show(self, progress: Sequence[ShardProgress]) -> None:
        """Update the line."""
        if not self._status:
            return
        applied = sum(one.applied for one in progress)
        lost = sum(one.totals.lost for one in progress)
        ended = sum(one.ended for one in progress)
        seconds = max(time.monotonic() - self._started, 0.001)
        words = f"replaying: {applied:,} events, {applied / seconds:,.0f} a second"
        if lost:
            words += f", {lost:,} lost"
        self._status.update(f"{words}, {ended} of {len(progress)} shards done")
