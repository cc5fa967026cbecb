"""Merging sources by time."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.simulators.sources import MergedSources, Slice, SourceError, merge
from tests.simulators.tape import Tape


def cut(events: Slice, sizes: list[int]) -> Iterator[Slice]:
    """``events`` in slices of these sizes, empty ones included; the rest in one."""
    for size in sizes:
        yield events[:size]
        events = events[size:]
    yield events


TIMES = st.lists(st.lists(st.integers(0, 30), max_size=40).map(sorted), max_size=4)
SIZES = st.lists(st.integers(0, 7), max_size=10)


@given(TIMES, SIZES)
def test_merged_order_is_by_time_then_input_then_position(
    times: list[list[int]], sizes: list[int]
) -> None:
    inputs: list[Slice] = [
        [(time, f"T.{number}", str(position)) for position, time in enumerate(each)]
        for number, each in enumerate(times)
    ]
    expected = sorted((event for events in inputs for event in events), key=lambda event: event[0])
    slices = list(merge(cut(events, sizes) for events in inputs))
    assert [event for events in slices for event in events] == expected
    assert all(slices)


def test_several_sources_play_as_one() -> None:
    merged = MergedSources([Tape(20, symbols=["AIG"]), Tape(20, symbols=["IBM"])])
    topics = [topic for events in merged.slices() for _, topic, _ in events]
    assert topics == ["T.AIG", "T.IBM"] * 20
    assert merged.symbols == {"AIG", "IBM"}


def test_nothing_to_play_is_an_error() -> None:
    with pytest.raises(SourceError, match="at least one SOURCE"):
        MergedSources([])
