"""What every fold does with time, loss and a new owner, shown by one that only counts."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

import pytest
from msgspec import Struct

from tapewire.analyzers.fold import SecondFold
from tapewire.model.changes import Changes
from tapewire.model.events import Clock, Event, Quote
from tapewire.model.rows import Fact
from tapewire.model.streams import Stream
from tests.analyzers.market import Store
from tests.analyzers.tape import CALENDAR, gap, ms


def quote(symbol: str, at: str) -> Quote:
    return Quote(symbol, ms(at), 10.0, 1, 10.1, 1)


class Counted(Struct, array_like=True):
    """How many quotes of a symbol came in the current second."""

    symbol: str
    count: int


class CountingFold(SecondFold[Quote, Counted]):
    """Publishes the number of quotes of each symbol and second when the second ends."""

    stream = Stream.QUOTES

    def __init__(self) -> None:
        super().__init__(CALENDAR, (), "counts", Counted)
        self._counts: Counter[str] = Counter()
        self._ended: dict[str, bytes] = {}
        self.shown: list[str] = []

    def _fold(self, quotes: Iterable[Quote]) -> None:
        for one in quotes:
            t = int(one.timestamp_ms)
            if t < self._clock.cut_ms or self._cut(t):
                self._counts[one.symbol] += 1

    def _end(self, timestamp_ms: int) -> None:
        for symbol, count in self._counts.items():
            self._ended[f"{symbol} {self.second_ms}"] = b"%d" % count
        self._counts = Counter()
        self._end_with(timestamp_ms, ())

    def _changes(self) -> Changes:
        changes = super()._changes()
        if self._log.wants_all:
            self._drained = {}
        new = [Counted(*one) for one in self._counts.items() if self._drained.get(one[0]) != one[1]]
        self._drained.update((one.symbol, one.count) for one in new)
        self.shown = [one.symbol for one in new]
        self._log.write(changes, self.second_ms, new)
        changes.rows["counts"], self._ended = self._ended, {}
        return changes

    def _take_back(self, entry: Counted) -> None:
        self._counts[entry.symbol] = self._drained[entry.symbol] = entry.count


class Desk:
    """Owners of one shard, one after another, and their store."""

    def __init__(self) -> None:
        self.store, self.fold = Store(), CountingFold()

    def show(self, *events: Event) -> Self:
        self.fold.apply(events)
        self.store.write(self.fold.drain())
        return self

    def crash(self) -> Self:
        """A new owner continues from the last flush."""
        self.fold = CountingFold()
        first = {name: self.store.restored(name) for name in self.fold.first_hashes()}
        further = {name: self.store.restored(name) for name in self.fold.further_hashes(first)}
        self.fold.restore(first | further)
        return self

    def counts(self, at: str) -> dict[str, int]:
        rows = self.store.rows["counts"]
        found = {name.partition(" ")[0]: int(n) for name, n in rows.items() if f"{ms(at)}" in name}
        return dict(sorted(found.items()))


@pytest.fixture
def desk() -> Desk:
    return Desk().show(quote("AIG", "09:31:02"), quote("IBM", "09:31:02.5"))


def test_the_next_second_ends_the_one_before(desk: Desk) -> None:
    desk.show(quote("AIG", "09:31:02.9"), quote("AIG", "09:31:03"))
    assert desk.counts("09:31:02") == {"AIG": 2, "IBM": 1}


def test_so_does_a_clock_also_in_the_middle_of_a_list(desk: Desk) -> None:
    desk.show(quote("AIG", "09:31:02.9"), Clock(ms("09:31:05")), quote("AIG", "09:31:05.1"))
    assert desk.counts("09:31:02") == {"AIG": 2, "IBM": 1}
    assert desk.fold.second_ms == ms("09:31:05")


def test_the_end_of_a_replay_ends_the_last_second_too(desk: Desk) -> None:
    desk.show(Clock(ms("09:31:02"), final=True))
    assert desk.counts("09:31:02") == {"AIG": 1, "IBM": 1}


def test_an_end_before_the_first_event_is_none() -> None:
    assert Desk().show(Clock(0, final=True)).fold.second_ms == -1


def test_a_time_that_no_calendar_knows_is_counted(desk: Desk) -> None:
    desk.show(Quote("AIG", CALENDAR.end_ms, 10.0, 1, 10.1, 1), Clock(CALENDAR.end_ms))
    assert desk.fold.skipped == {"bad_timestamp": 1}
    assert desk.fold.second_ms == ms("09:31:02")


def test_a_new_owner_goes_on_in_the_middle_of_the_second(desk: Desk) -> None:
    desk.crash().show(quote("AIG", "09:31:02.9")).crash().show(Clock(ms("09:31:03")))
    assert desk.counts("09:31:02") == {"AIG": 2, "IBM": 1}


def test_a_store_that_lost_everything_gets_the_second_again(desk: Desk) -> None:
    desk.store = Store()
    desk.fold.renew()
    desk.show().crash().show(Clock(ms("09:31:03")))
    assert desk.counts("09:31:02") == {"AIG": 1, "IBM": 1}


def test_what_a_drain_showed_is_shown_again_only_when_something_about_it_changed(
    desk: Desk,
) -> None:
    assert desk.show(quote("IBM", "09:31:02.9")).fold.shown == ["IBM"]
    assert desk.show().fold.shown == []
    desk.fold.learn([Fact("AIG", "halted", True)])
    assert desk.show().fold.shown == ["AIG"]
    desk.fold.refer([])
    assert desk.show().fold.shown == ["AIG", "IBM"]
    assert desk.show(gap("09:31:02", "09:31:02.5")).fold.shown == ["AIG", "IBM"]


def test_a_loss_is_known_to_the_next_owner(desk: Desk) -> None:
    desk.show(gap("09:31:02", "09:31:02.5")).crash().fold.renew()
    standing = desk.show().store.private["counts"]["standing"]
    assert ms("09:31:02.5").to_bytes(8, "big") in standing
