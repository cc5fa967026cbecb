"""Volumes of the day: differences, resets, repeats, days."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.analyzers.day_volumes import NOTHING, DayVolume, is_days_first
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick

MONDAY, TUESDAY = 1_795_000_000_000, 1_795_086_400_000


def tick(volume: int | None, at: int, price: float = 100.0, flags: int = 0) -> Tick:
    return Tick("fyers", "NSE_FO", "8765", "NIFTY-I", price, 75, volume, None, at, 0, flags)


class Ledger:
    """One instrument's volume, told ticks at seconds of two trading days."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self.day: DayVolume | None = None

    def tell(
        self,
        volume: int | None,
        s: int,
        *,
        price: float = 100.0,
        flags: int = 0,
        turn: int = MONDAY,
    ) -> int:
        """What was traded; ``NOTHING`` for the very first."""
        one = tick(volume, turn + s * 1_000, price, flags)
        if self.day is None:
            self.day = DayVolume.first("NSE_FO:8765", turn, one, self.skipped)
            return NOTHING
        return self.day.take(turn, one, self.skipped)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


class TestBaselines:
    def test_the_first_is_never_a_trade(self, ledger: Ledger) -> None:
        assert ledger.tell(5_000_000, 1) == NOTHING
        assert ledger.tell(5_000_075, 2) == 75
        assert ledger.skipped == {"baseline": 1}

    def test_a_snapshot_later_in_the_day_is_none_either(self, ledger: Ledger) -> None:
        ledger.tell(1_000, 1)
        assert ledger.tell(1_500, 9, flags=TICK_SNAPSHOT) == NOTHING
        assert ledger.tell(1_510, 10) == 10
        assert ledger.skipped == {"baseline": 2, "missed": 1}

    def test_a_snapshot_that_is_behind_takes_nothing_back(self, ledger: Ledger) -> None:
        ledger.tell(1_000, 1)
        ledger.tell(2_000, 10)
        assert ledger.tell(1_500, 8, flags=TICK_SNAPSHOT) == NOTHING
        assert ledger.tell(2_010, 11) == 10

    def test_a_snapshot_of_a_counter_that_began_anew_is_believed(self, ledger: Ledger) -> None:
        ledger.tell(1_000, 1)
        assert ledger.tell(10, 9, flags=TICK_SNAPSHOT) == NOTHING
        assert ledger.tell(15, 10) == 5
        assert ledger.skipped["reset"] == 1

    def test_the_first_volume_after_prices_alone_is_a_baseline(self, ledger: Ledger) -> None:
        ledger.tell(None, 1)
        assert [ledger.tell(None, 2), ledger.tell(700, 3), ledger.tell(710, 4)] == [0, 0, 10]


class TestDays:
    def test_yesterdays_snapshot_is_no_part_of_today(self, ledger: Ledger) -> None:
        ledger.tell(9_000_000, 20_000, flags=TICK_SNAPSHOT)
        assert ledger.tell(50, 1, turn=TUESDAY) == 50

    def test_a_state_of_yesterday_that_comes_today_changes_nothing(self, ledger: Ledger) -> None:
        ledger.tell(10, 1, turn=TUESDAY)
        assert ledger.tell(9_000_000, 20_000, flags=TICK_SNAPSHOT) == NOTHING
        assert ledger.tell(9_000_000, 20_000) == NOTHING
        assert ledger.tell(15, 2, turn=TUESDAY) == 5
        assert ledger.skipped == {"baseline": 1, "day_before": 2}

    def test_the_next_day_begins_at_zero_even_with_more_volume(self, ledger: Ledger) -> None:
        ledger.tell(100, 1)
        assert ledger.tell(300, 1, turn=TUESDAY) == 300


class TestRepeats:
    @pytest.mark.parametrize("flags", [0, TICK_SNAPSHOT])
    def test_the_same_again_is_nothing(self, ledger: Ledger, flags: int) -> None:
        ledger.tell(100, 1)
        ledger.tell(175, 2)
        assert ledger.tell(175, 2, flags=flags) == NOTHING
        assert ledger.skipped == {"baseline": 1, "duplicate": 1}

    def test_another_price_at_the_same_volume_is_a_price(self, ledger: Ledger) -> None:
        ledger.tell(100, 1)
        assert ledger.tell(100, 2, price=101.0) == 0


class TestLessVolume:
    def test_an_older_state_is_a_price_only(self, ledger: Ledger) -> None:
        ledger.tell(100, 1)
        ledger.tell(300, 5)
        assert ledger.tell(200, 3, price=99.0) == 0
        assert ledger.tell(310, 6) == 10
        assert ledger.skipped["behind"] == 1

    def test_one_faulty_state_moves_nothing(self, ledger: Ledger) -> None:
        ledger.tell(1_000, 1)
        assert [ledger.tell(3, 2), ledger.tell(1_005, 3)] == [0, 5]
        assert ledger.skipped["reset"] == 0

    def test_a_second_one_is_a_counter_that_began_anew(self, ledger: Ledger) -> None:
        ledger.tell(1_000, 1)
        assert [ledger.tell(3, 2), ledger.tell(10, 3), ledger.tell(12, 4)] == [0, 7, 2]
        assert ledger.skipped["reset"] == 1

    def test_a_late_state_does_not_confirm_it(self, ledger: Ledger) -> None:
        ledger.tell(900, 1)
        ledger.tell(1_000, 5)
        assert [ledger.tell(3, 6), ledger.tell(950, 4), ledger.tell(1_001, 7)] == [0, 0, 1]


def test_an_index_has_prices_and_no_volume(ledger: Ledger) -> None:
    ledger.tell(None, 1, flags=TICK_INDEX)
    assert ledger.tell(None, 2, price=101.0, flags=TICK_INDEX) == 0


def test_last_sizes_are_not_added_up(ledger: Ledger) -> None:
    ledger.tell(None, 1)
    assert ledger.tell(None, 2, price=101.0) == 0


@given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.data())
def test_sizes_add_up_whatever_is_lost_repeated_or_late(
    sizes: list[int], data: st.DataObject
) -> None:
    volumes = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    states = [(volume, n + 1) for n, volume in enumerate(volumes)]
    sent = data.draw(st.lists(st.sampled_from(states), max_size=80))
    order = sorted(sent) if data.draw(st.booleans()) else sent
    ledger = Ledger()
    ledger.tell(0, 0)
    traded = sum(max(ledger.tell(volume, s), 0) for volume, s in order)
    assert traded == max((volume for volume, _ in sent), default=0)


@pytest.mark.parametrize(
    ("volume", "flags", "first"),
    [(75, 0, True), (76, 0, False), (0, 0, False), (None, 0, False), (75, TICK_SNAPSHOT, False)],
)
def test_a_days_first_trade_is_the_whole_volume(
    volume: int | None, flags: int, *, first: bool
) -> None:
    assert is_days_first(tick(volume, MONDAY, flags=flags)) is first
