"""What one call of the benchmarks runs on and how often."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.frames import Recording
from benchmarks.report import say


@dataclass(frozen=True)
class Plan:
    """``seconds``: the least that a run should take; ``folder``: temporary, for servers.

    ``file`` is where the frames are from, None for the recorded day; ``processes`` is what
    ``brokers`` measures beyond two.
    """

    recording: Recording
    folder: Path
    seconds: float = 5.0
    runs: int = 5
    file: Path | None = None
    processes: int = 4

    def counted(self, name: str) -> Iterator[int]:
        """The runs, said on stderr as they begin."""
        for run in range(1, self.runs + 1):
            say(f"{name}: run {run} of {self.runs}")
            yield run
