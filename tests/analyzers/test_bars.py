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
            recent.add(number)
        assert [field for field, _ in recent.drain("AAPL")] == [f"AAPL:{n}" for n in range(4)]
        assert dict(recent.drain("AAPL")) == {}
        recent.add(200)
        assert [field for field, _ in recent.drain("AAPL")] == ["AAPL:3"]

    def test_the_ring_of_fields_is_bounded(self) -> None:
        recent, stored = Recent(), dict[str, bytes]()
        for number in range(20_000):
            recent.add(number)
            if number % 97 == 0:
                stored.update(recent.drain("AAPL"))
        stored.update(recent.drain("AAPL"))
        assert len(stored) == Recent.CHUNKS
        again = Recent.restore(stored.values())
        assert again.sequences[-Recent.WINDOW :] == list(range(20_000 - Recent.WINDOW, 20_000))
        assert again.newest == 19_999

    def test_a_restored_one_continues_in_the_same_fields(self) -> None:
        recent, stored = Recent(), dict[str, bytes]()
        for number in range(2_000):
            recent.add(number)
        stored.update(recent.drain("AAPL"))
        for number in range(2_000, 4_000):
            recent = Recent.restore(stored.values())
            recent.add(number)
            stored.update(recent.drain("AAPL"))
        assert Recent.restore(stored.values()).sequences[-Recent.WINDOW :] == list(
            range(4_000 - Recent.WINDOW, 4_000)
        )

    def test_nothing_stored_is_an_empty_window(self) -> None:
        recent = Recent.restore([])
        assert recent.sequences == []
        assert recent.newest == -1
