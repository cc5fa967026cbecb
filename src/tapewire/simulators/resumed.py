"""Playing on: sources whose beginning was played before, by a simulator that has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tapewire.simulators.generator import GeneratorSource
from tapewire.simulators.sources import MergedSources, Slice, Source


def resume(sources: Sequence[Source], played_ms: int) -> Sequence[Source]:
    """The sources without the first ``played_ms`` of event time, counted from the first event."""
    if played_ms <= 0 or not sources:
        return sources
    if len(sources) == 1 and isinstance(sources[0], GeneratorSource):
        sources[0].skip(played_ms // 1000)
        return sources
    return [ResumedSource(sources, played_ms)]


class ResumedSource(MergedSources):
    """Several sources played as one, from a moment on."""

    def __init__(self, sources: Sequence[Source], played_ms: int) -> None:
        super().__init__(sources)
        self._played_ms = played_ms

    def slices(self) -> Iterator[Slice]:
        """The events that were not played."""
        begin_ms: int | None = None
        for events in super().slices():
            if begin_ms is None:
                begin_ms = events[0][0] + self._played_ms
            if rest := [event for event in events if event[0] >= begin_ms]:
                yield rest
