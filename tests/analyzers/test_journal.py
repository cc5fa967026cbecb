"""Journals: whatever changed when, what is stored is every symbol's last state."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tapewire.analyzers.journal import Journal

SYMBOLS = ["AIG", "BAC", "IBM", "SPY"]


class Desk:
    """States of symbols, their journal and the hash that it fills."""

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.journal: Journal[int] = Journal()
        self.stored: dict[str, bytes] = {}

    def change(self, *symbols: str) -> dict[str, bytes]:
        for symbol in symbols:
            self.states[symbol] = self.states.get(symbol, 0) + 1
        changed = {symbol: self.states[symbol] for symbol in symbols}
        fields = self.journal.write(changed, self.states.get)
        self.stored.update(fields)
        return fields

    def restart(self) -> None:
        self.journal = Journal()
        assert self.read(self.journal) == self.states

    def lose(self, kept: int) -> None:
        """The store comes back with an older state, in which ``kept`` fields are left."""
        self.stored = dict(list(self.stored.items())[:kept])
        self.journal.renew()
        self.stored.update(self.journal.write(self.states, self.states.get))

    def read(self, journal: Journal[int]) -> dict[str, int]:
        found = journal.read(self.stored)
        return {symbol: msgspec.msgpack.decode(packed) for symbol, packed in found.items()}


def test_what_changes_together_is_one_field() -> None:
    assert len(Desk().change(*SYMBOLS)) == 1


def test_who_changes_all_the_time_never_needs_a_field_of_its_own() -> None:
    desk = Desk()
    for _ in range(5 * Journal.ENTRIES):
        desk.change("AIG", "BAC")
    assert len(desk.stored) == Journal.ENTRIES
    desk.restart()


def test_who_changed_once_gets_one_when_its_entry_is_written_over() -> None:
    desk = Desk()
    desk.change("SPY")
    for _ in range(Journal.ENTRIES):
        assert "SPY" not in desk.stored
        desk.change("AIG")
    assert "SPY" in desk.stored
    desk.restart()


def test_who_is_of_no_more_use_gets_none() -> None:
    desk = Desk()
    desk.change("SPY")
    del desk.states["SPY"]
    for _ in range(Journal.ENTRIES):
        desk.change("AIG")
    assert set(desk.read(Journal())) == {"AIG"}


def test_nothing_new_writes_nothing() -> None:
    assert Desk().change() == {}


@given(
    st.lists(
        st.lists(st.sampled_from(SYMBOLS), unique=True) | st.just("restart") | st.integers(0, 12),
        max_size=60,
    )
)
def test_whatever_happens_the_stored_states_are_the_last(
    steps: list[list[str] | str | int],
) -> None:
    desk = Desk()
    for step in steps:
        if isinstance(step, int):
            desk.lose(step)
        elif isinstance(step, str):
            desk.restart()
        else:
            desk.change(*step)
        assert desk.read(Journal()) == desk.states
