"""Rows of any order, in the order of time, within a bound of memory."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, pairwise
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from tapewire.simulators.sources import Slice, merge

SequencedEvent: TypeAlias = tuple[int, int, str, str]
"""``(time_ns, sequence, "T.AIG", JSON)``: a row, ordered by its first two."""

MAX_EVENTS: Final = 1_000_000
"""Rows held in memory at a time, about 400 MB; a larger file pays with temporary files."""

_EVENTS_PER_SLICE: Final = 4096
_key = itemgetter(0, 1)


def in_order(
    read: Callable[[], Iterator[SequencedEvent]], max_events: int = MAX_EVENTS
) -> Iterator[Slice]:
    """What ``read()`` yields, by time, then sequence; times in slices are nanoseconds.

    Rows that are in order already are handed on as they are read. Others are sorted: in memory
    up to ``max_events``, above it through temporary files (as large as the events' JSON) that
    are removed at the end. ``read`` is called once, or twice when there is more than
    ``max_events``.
    """
    events = read()
    first = list(islice(events, max_events))
    if len(first) < max_events:
        first.sort(key=_key)
        yield from _slices(first)
    elif all(_key(earlier) <= _key(later) for earlier, later in pairwise(read())):
        yield from _slices(chain(first, events))
    else:
        yield from _sorted_outside(first, events, max_events)


def _sorted_outside(
    run: list[SequencedEvent], events: Iterator[SequencedEvent], max_events: int
) -> Iterator[Slice]:
    with TemporaryDirectory(prefix="tapewire-flatfile-") as folder:
        runs: list[Path] = []
        while run:
            run.sort(key=_key)
            runs.append(_store(run, Path(folder, str(len(runs)))))
            run = list(islice(events, max_events))
        yield from merge(_stored(path) for path in runs)


def _slices(events: Iterable[SequencedEvent]) -> Iterator[Slice]:
    remaining = iter(events)
    while chunk := list(islice(remaining, _EVENTS_PER_SLICE)):
        yield [(time_ns, topic, text) for time_ns, _, topic, text in chunk]


def _store(run: list[SequencedEvent], path: Path) -> Path:
    with path.open("wb") as file:
        for events in _slices(run):
            marshal.dump(events, file)
    return path


def _stored(path: Path) -> Iterator[Slice]:
    with path.open("rb") as file:
        while file.peek(1):
            yield marshal.load(file)
