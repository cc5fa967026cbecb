"""A view's history: one delta from any remembered position to the present."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.hub.feeds import parse_feed
from tapewire.hub.tables import StatusTable
from tapewire.hub.views import KEPT_CHANGES, Spec, View, pick
from tapewire.hub.writers import V1, V1Writer
from tests.hub.stage import Held

ROWS = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.booleans(), st.integers(0, 2)))


def services(rows: dict[str, tuple[bool, int]]) -> list[tuple[Any, ...]]:
    """Rows of two fields that change."""
    return [
        (name, name, "0", "running", healthy, since, None, {}, {}, {}, {}, "")
        for name, (healthy, since) in rows.items()
    ]


def view_of(table: StatusTable, limit: int | None = None) -> View:
    target = parse_feed("system:status")
    return View(target, Spec(target.name, V1, None, limit, 20), table, V1Writer("e"))


def applied(messages: list[bytes], held: Held) -> Held:
    for message in messages:
        held.take(json.loads(message))
    return held


def copied(held: Held) -> Held:
    other = Held()
    other.rows = {key: dict(row) for key, row in held.rows.items()}
    other.seq = held.seq
    return other


@given(ROWS, st.lists(ROWS, max_size=8))
def test_any_position_catches_up_with_one_delta(
    first: dict[str, tuple[bool, int]], later: list[dict[str, tuple[bool, int]]]
) -> None:
    table = StatusTable()
    table.put(services(first))
    view = view_of(table)
    view.restart(0, 0)
    stood = [applied(view.snapshot(), Held())]
    for tick, rows in enumerate(later, 1):
        table.put(services(rows))
        stood.append(applied(view.advance(tick, 0), copied(stood[-1])))
    now = applied(view.snapshot(), Held())
    for held in stood:
        missed = view.catch_up(held.seq)
        assert missed is not None
        assert len(missed) <= 1
        assert applied(missed, held).rows == now.rows
        assert held.seq == view.seq


def test_a_position_that_was_never_one_cannot_be_resumed() -> None:
    table = StatusTable()
    view = view_of(table)
    view.restart(0, 0)
    for tick in (5, 9):
        table.put(services({"a": (True, tick)}))
        view.advance(tick, 0)
    assert view.catch_up(0)
    assert view.catch_up(9) == []
    assert [view.catch_up(position) for position in (None, -1, 3, 12)] == [None] * 4


def test_the_history_is_bounded() -> None:
    table = StatusTable()
    view = view_of(table)
    view.restart(0, 0)
    for tick in range(1, KEPT_CHANGES * 3):
        table.put(services({"a": (True, tick)}))
        view.advance(tick, 0)
    kept = [tick for tick in range(KEPT_CHANGES * 3) if view.catch_up(tick) is not None]
    assert len(kept) <= KEPT_CHANGES + 1
    assert kept[-1] == view.seq


def sent_at(writes: Callable[[int], bool], rate_hz: int = 10) -> list[int]:
    """Ticks at which a view sends when rows change at these."""
    table = StatusTable()
    target = parse_feed("system:status")
    view = View(target, Spec(target.name, V1, None, None, rate_hz), table, V1Writer("e"))
    view.restart(7, 0)
    sent = []
    for tick in range(8, 1_000):
        if writes(tick):
            table.put(services({"a": (True, tick)}))
        if view.is_changed and view.is_due(tick) and view.advance(tick, 0):
            sent.append(tick)
    return sent


@pytest.mark.parametrize("phase", range(10))
def test_a_view_falls_into_step_with_a_writer_of_its_rate(phase: int) -> None:
    sent = sent_at(lambda tick: tick % 10 == phase)
    assert all(tick % 10 in (phase, (phase + 1) % 10) for tick in sent[10:])
    assert 98 <= len(sent) <= 102


def test_a_view_keeps_its_rate_when_rows_change_all_the_time() -> None:
    for rate_hz, most in ((20, 201), (10, 101), (1, 11)):
        assert most - 4 <= len(sent_at(lambda _: True, rate_hz)) <= most


def test_a_change_after_a_quiet_time_is_sent_at_once() -> None:
    assert sent_at(lambda tick: tick in (500, 700), 1) == [500, 700]


def test_the_key_is_always_among_the_picked_fields() -> None:
    names, places = pick(StatusTable(), ["state", "lag_ms", "state"])
    assert names == ("id", "state", "lag_ms")
    assert places == (0, 3, 6)
    with pytest.raises(ValueError, match="no such fields: price; expected some of id, service"):
        pick(StatusTable(), ["price"])
