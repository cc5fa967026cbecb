"""Bars merge in any order; sums stay exact; the window of sequences is packed in chunks."""

from itertools import permutations

import pytest

from tapewire.analyzers.bars import Bar, Recent, notional
from tapewire.market.conditions import ALL, HIGH_LOW, OPENING, VOLUME
from tests.analyzers.tape import ms, trade


def bar_of(price: float, at: str, sequence: int, effects: int = ALL) -> Bar:
    bar = Bar("AAPL", ms(at) // 1000 * 1000)
    bar.add(trade("AAPL", price, at=at, sequence=sequence), effects)
    return bar


def test_merging_in_any_order_gives_the_same_bar() -> None:
    parts = [
        bar_of(100.0, "09:31:02.100", 1),
        bar_of(103.0, "09:31:02.100", 2, ALL | OPENING),
        bar_of(98.0, "09:31:02.900", 3, HIGH_LOW | VOLUME),
        bar_of(101.0, "09:31:02.500", 9, ALL | OPENING),
    ]
    wholes = []
    for order in permutations(parts):
        whole = Bar("AAPL", ms("09:31:02"))
        for part in order:
            whole.merge(part)
        wholes.append(whole)
    assert all(whole == wholes[0] for whole in wholes)
    whole = wholes[0]
    assert (whole.open, whole.high, whole.low, whole.close) == (100.0, 103.0, 98.0, 101.0)
    assert (whole.official, whole.volume, whole.trades) == (103.0, 400, 4)


def test_sums_of_prices_are_exact() -> None:
    assert notional(0.1, 3) == 300_000
    assert notional(49.185, 100) == 4_918_500_000
    assert isinstance(notional(49.185, 100), int)
    assert sum(notional(0.1, 1) for _ in range(10)) == 1_000_000


@pytest.mark.parametrize(
    ("effects", "touched"), [(0, False), (VOLUME, True), (HIGH_LOW, True), (OPENING, True)]
)
def test_a_bar_is_touched_by_what_updates_something(effects: int, *, touched: bool) -> None:
    assert bar_of(100.0, "09:31", 1, effects).touched is touched


class TestRecent:
    def test_a_flush_writes_only_the_chunks_that_changed(self) -> None:
        recent = Recent()
        for number in range(200):
            recent.extend([number])
        assert [field for field, _ in recent.drain("AAPL")] == [f"AAPL:{n}" for n in range(4)]
        assert dict(recent.drain("AAPL")) == {}
        recent.extend([200])
        assert [field for field, _ in recent.drain("AAPL")] == ["AAPL:3"]

    def test_the_ring_of_fields_is_bounded(self) -> None:
        recent, stored = Recent(), dict[str, bytes]()
        for number in range(20_000):
            recent.extend([number])
            if number % 97 == 0:
                stored.update(recent.drain("AAPL"))
        stored.update(recent.drain("AAPL"))
        assert len(stored) == Recent.CHUNKS
        again = Recent.restore(stored.values())
        assert again.sequences[-Recent.WINDOW :].tolist() == [
            *range(20_000 - Recent.WINDOW, 20_000)
        ]
        assert again.newest == 19_999

    def test_a_restored_one_continues_in_the_same_fields(self) -> None:
        recent, stored = Recent(), dict[str, bytes]()
        for number in range(2_000):
            recent.extend([number])
        stored.update(recent.drain("AAPL"))
        for number in range(2_000, 4_000):
            recent = Recent.restore(stored.values())
            recent.extend([number])
            stored.update(recent.drain("AAPL"))
        again = Recent.restore(stored.values())
        assert again.sequences[-Recent.WINDOW :].tolist() == [*range(4_000 - Recent.WINDOW, 4_000)]

    def test_nothing_stored_is_an_empty_window(self) -> None:
        recent = Recent.restore([])
        assert not recent.sequences
        assert recent.newest == -1

    def test_a_window_is_trimmed_near_its_length(self) -> None:
        recent, longest = Recent(), 0
        for first in range(0, 50_000, 40):
            recent.extend(list(range(first, first + 40)))
            longest = max(longest, len(recent.sequences))
        assert Recent.WINDOW <= len(recent.sequences) <= longest
        assert longest * recent.sequences.itemsize <= 10_000

    def test_sequences_that_are_no_small_ints_are_kept_all_the_same(self) -> None:
        recent = Recent()
        recent.extend([1.0, 2, 2**70])
        assert recent.has(1)
        assert recent.sequences.tolist() == [1, 2, 2**63 - 1]


def test_the_largest_size_is_that_of_a_trade_that_counts_for_volume() -> None:
    first, second = bar_of(100.0, "09:31", 1, VOLUME), bar_of(100.0, "09:31", 2, HIGH_LOW)
    second.add(trade("AAPL", 100.0, at="09:31", size=700), VOLUME)
    second.add(trade("AAPL", 100.0, at="09:31", size=900), HIGH_LOW)
    first.merge(second)
    assert first.largest == 700
