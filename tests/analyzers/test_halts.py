"""Halts from LULD: what stops, what goes on, between which prices, and what is said of it."""

from itertools import count, permutations

import pytest

from tapewire.analyzers.halts import EFFECTS, HaltFold
from tapewire.model.events import Clock, Event, Gap, Luld
from tapewire.model.feeds import halt_hash
from tapewire.model.rows import HaltEvent, HaltState, decode_halt_event, decode_halt_state
from tests.analyzers.tape import CALENDAR, FRIDAY, MONDAY, clock, ms

_sequences = count(1)


def luld(
    *indicators: int,
    at: str,
    symbol: str = "ATHR",
    band: tuple[float, float] = (9.0, 11.0),
    date: str = FRIDAY,
    sequence: int | None = None,
) -> Luld:
    number = next(_sequences) if sequence is None else sequence
    return Luld(symbol, band[1], band[0], ms(at, date), indicators, 3, number)


def lost(at: str) -> Gap:
    return Gap("halts.0", "mdl", 1, 0, 1, 1, ms(at), ms(at), "lost")


class Desk:
    """One shard of ``halts``: send, flush, restart; read rows and events."""

    def __init__(self) -> None:
        self.fold = HaltFold(CALENDAR)
        self.rows: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, dict[str, bytes]] = {}
        self.items: list[bytes] = []

    def send(self, *events: Event) -> "Desk":
        self.fold.apply(events)
        changes = self.fold.drain()
        for mine, new in ((self.rows, changes.rows), (self.private, changes.private)):
            for name, values in new.items():
                mine.setdefault(name, {}).update(values)
        self.items += changes.items.get("halts", [])
        return self

    def restart(self) -> "Desk":
        self.fold = HaltFold(CALENDAR)
        stored = self.private
        first = {name: stored.get(name, {}) for name in self.fold.first_hashes()}
        further = self.fold.further_hashes(first)
        self.fold.restore(first | {name: stored.get(name, {}) for name in further})
        return self

    def row(self, symbol: str = "ATHR", date: str = FRIDAY) -> HaltState:
        return decode_halt_state(self.rows[halt_hash(date)][symbol])

    def events(self) -> list[HaltEvent]:
        return [decode_halt_event(item) for item in self.items]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events()]


def test_a_halt_and_its_end() -> None:
    desk = Desk().send(luld(17, at="10:00:00"))
    row = desk.row()
    assert (row.halted, row.reason, row.since_ms) == (True, "trading halt or pause", ms("10:00"))
    desk.send(luld(18, at="10:05:30"))
    row = desk.row()
    assert (row.halted, row.reason, row.since_ms) == (False, None, None)
    assert row.timestamp_ms == ms("10:05:30")
    assert desk.kinds() == ["halt", "resume"]
    halt = desk.events()[0]
    assert (halt.symbol, halt.indicator, halt.timestamp_ms) == ("ATHR", 17, ms("10:00"))
    assert (halt.band_low, halt.band_high) == (9.0, 11.0)


def test_an_extension_keeps_the_halts_beginning_and_each_is_told() -> None:
    desk = Desk().send(luld(17, at="10:00"), luld(20, at="10:05"), luld(20, at="10:10"))
    assert (desk.row().since_ms, desk.row().reason) == (ms("10:00"), "reopening auction extended")
    assert desk.kinds() == ["halt", "extension", "extension"]


def test_the_same_halt_said_again_is_told_once() -> None:
    halt = luld(17, at="10:00")
    desk = Desk().send(halt, halt, luld(17, at="10:01"))
    assert desk.kinds() == ["halt"]
    assert desk.row().since_ms == ms("10:00")


def test_a_reopening_of_a_halt_that_nobody_saw_is_told() -> None:
    desk = Desk().send(luld(18, at="10:00"), luld(18, at="10:01"))
    assert desk.kinds() == ["resume"]
    assert not desk.row().halted


@pytest.mark.parametrize("indicator", [14, 15, 16, 21, 22])
def test_bands_change_the_row_and_are_no_news(indicator: int) -> None:
    desk = Desk().send(luld(indicator, at="10:00", band=(8.5, 9.5)))
    assert (desk.row().band_low, desk.row().band_high, desk.row().halted) == (8.5, 9.5, False)
    assert desk.items == []


def test_outside_their_hours_there_are_no_bands() -> None:
    desk = Desk().send(luld(15, at="15:59"), luld(19, at="16:00"))
    assert (desk.row().band_low, desk.row().band_high) == (None, None)


def test_a_halt_without_bands_says_so() -> None:
    desk = Desk().send(luld(17, at="10:00", band=(0.0, 0.0)))
    assert (desk.events()[0].band_low, desk.events()[0].band_high) == (None, None)


def test_bands_after_a_halt_do_not_end_it() -> None:
    assert Desk().send(luld(17, at="10:00"), luld(16, at="10:01")).row().halted


LIMIT_STATES = {
    (23,): "up", (25,): "down", (27,): "both", (23, 25): "both", (27, 24): "down",
    (27, 26): "up", (27, 28): None, (25, 29): "up", (23, 30): "down", (23, 24): None,
}  # fmt: skip


@pytest.mark.parametrize(("indicators", "state"), LIMIT_STATES.items(), ids=str)
def test_limit_states_follow_bid_and_offer(indicators: tuple[int, ...], state: str | None) -> None:
    desk = Desk().send(*(luld(one, at=f"10:00:0{at}") for at, one in enumerate(indicators)))
    assert desk.row().limit_state == state
    assert len(desk.items) == len(indicators)


def test_limit_states_are_told_in_words() -> None:
    desk = Desk().send(luld(23, at="10:00"), luld(29, at="10:01"), luld(24, at="10:02"))
    assert [(event.kind, event.reason) for event in desk.events()] == [
        ("limit_state_entered", "best bid entered a limit state"),
        ("limit_state_exited", "best bid left its limit state"),
    ]
    desk.send(luld(27, at="10:03"))
    assert desk.events()[-1].reason == (
        "best bid entered a limit state, best offer entered a limit state"
    )


def test_every_documented_indicator_has_an_effect() -> None:
    assert sorted(EFFECTS) == list(range(14, 31))


def test_an_unknown_indicator_is_counted_and_the_others_of_its_event_count() -> None:
    desk = Desk().send(luld(99, at="10:00"), luld(99, 17, at="10:01"), luld(at="10:02"))
    assert desk.fold.skipped == {"unknown_indicator": 2}
    assert desk.row().halted


def test_an_older_event_of_the_same_kind_is_counted_and_changes_nothing() -> None:
    desk = Desk().send(luld(18, at="10:05"), luld(17, at="10:00"))
    assert not desk.row().halted
    assert desk.fold.skipped == {"out_of_order": 1}
    assert desk.kinds() == ["resume"]


def test_a_halt_behind_newer_bands_still_counts() -> None:
    desk = Desk().send(luld(16, at="10:00:01", band=(8.0, 12.0)), luld(17, at="10:00:00"))
    assert desk.row().halted
    assert (desk.row().band_low, desk.row().timestamp_ms) == (8.0, ms("10:00:01"))


def test_within_one_millisecond_the_sequence_decides() -> None:
    halt, resume = luld(17, at="10:00", sequence=5), luld(18, at="10:00", sequence=6)
    assert not Desk().send(resume, halt).row().halted


def test_any_order_of_arrival_ends_in_the_same_rows() -> None:
    tape = [
        luld(16, at="10:00:00", band=(7.0, 8.0)), luld(17, at="10:00:01"), luld(23, at="10:00:01"),
        luld(18, at="10:00:02"), luld(24, at="10:00:03"), luld(22, at="10:00:04"),
    ]  # fmt: skip
    rows = {Desk().send(*order).rows[halt_hash(FRIDAY)]["ATHR"] for order in permutations(tape)}
    assert len(rows) == 1


def test_a_halted_stock_stays_halted_when_the_day_turns() -> None:
    desk = Desk().send(
        luld(17, 23, at="15:59"), luld(16, at="15:59", symbol="IBM"), clock("04:00", date=MONDAY)
    )
    row = desk.row(date=MONDAY)
    assert (row.halted, row.since_ms) == (True, ms("15:59"))
    assert (row.band_high, row.limit_state) == (None, None)
    assert set(desk.rows[halt_hash(MONDAY)]) == {"ATHR"}
    desk.restart().send(luld(18, at="10:00", date=MONDAY))
    assert not desk.row(date=MONDAY).halted
    assert desk.kinds() == ["halt", "limit_state_entered", "resume"]


def test_events_of_an_earlier_day_or_of_no_day_are_counted() -> None:
    desk = Desk().send(luld(16, at="10:00", date=MONDAY), luld(17, at="15:59"))
    desk.send(Luld("ATHR", 11.0, 9.0, 4_000_000_000_000, (17,), 3, 1))
    assert desk.fold.skipped == {"too_late": 1, "bad_timestamp": 1}
    assert not desk.row(date=MONDAY).halted


def test_a_gap_marks_the_rows_until_its_session_ends() -> None:
    desk = Desk().send(luld(16, at="10:00"), lost("10:01"))
    assert desk.row().gap
    assert not desk.send(clock("16:00")).row().gap


def test_a_restart_between_any_two_events_changes_nothing() -> None:
    tape: list[Event] = [
        luld(16, at="09:30"), luld(23, at="09:59"), luld(17, at="10:00"), lost("10:01"),
        luld(20, at="10:05"), luld(17, at="09:59:59"), luld(18, at="10:10"), clock("16:00"),
        luld(17, at="16:30", symbol="IBM"), clock("04:00", date=MONDAY),
        luld(18, at="08:00", symbol="IBM", date=MONDAY),
    ]  # fmt: skip
    whole, restarted = Desk().send(*tape), Desk()
    for event in tape:
        restarted.send(event).restart()
    assert restarted.items == whole.items
    assert restarted.rows == whole.rows
    assert restarted.fold.second_ms == whole.fold.second_ms


def test_a_store_that_lost_everything_gets_the_rows_again_and_no_event_twice() -> None:
    desk = Desk().send(luld(17, at="10:00"))
    desk.rows.clear()
    desk.fold.renew()
    assert desk.send(Clock(ms("10:01"))).row().halted
    assert desk.kinds() == ["halt"]
