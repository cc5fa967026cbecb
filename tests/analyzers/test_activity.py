"""Sums over windows: against counting anew, over days, late trades, jumps and restarts."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.analyzers.activity import LATENESS_S, Activity, Stairs
from tapewire.analyzers.activity_columns import Columns, counts_only, exact, pack, unpack
from tapewire.analyzers.bars import Bar

LENGTHS_S = (60, 900, 86_400)
START_S = 1_795_000_000
Entry = tuple[int, str, int, int, int]  # second, symbol, trades, volume, largest


def bar(symbol: str, trades: int, volume: float, largest: float) -> Bar:
    return Bar(symbol, 0, volume=volume, notional=volume * 7, trades=trades, largest=largest)


def recounted(entries: list[Entry], now_s: int, length_s: int) -> dict[str, tuple[float, ...]]:
    """Symbol -> trades, volume, value, largest and trades before, counted anew."""
    found: dict[str, tuple[float, ...]] = {}
    for symbol in {entry[1] for entry in entries}:
        own = [entry for entry in entries if entry[1] == symbol]
        inside = [entry for entry in own if now_s - length_s <= entry[0] < now_s]
        before = [e for e in own if now_s - 2 * length_s <= e[0] < now_s - length_s]
        volume = sum(entry[3] for entry in inside)
        found[symbol] = (
            *(sum(entry[2] for entry in inside), volume, volume * 7),
            *(max((e[4] for e in inside), default=0), sum(e[2] for e in before)),
        )
    return found


def kept(activity: Activity, length_s: int) -> dict[str, tuple[float, ...]]:
    window = activity.windows[length_s]
    sums = window.sums
    return {
        name: (
            *(sums.trades[i], sums.volumes[i], sums.notionals[i]),
            *(activity.largest(i, window), window.before[i]),
        )
        for i, name in enumerate(activity.names)
        if name
    }


class Owner:
    """Activities one after the other over one store."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, bytes]] = {}
        self.activity = Activity(LENGTHS_S)
        self.activity.advance(START_S)

    def flush(self) -> None:
        changed, dropped = self.activity.drain()
        for name, fields in changed.items():
            self.stored.setdefault(name, {}).update(fields)
        for name in dropped:
            self.stored.pop(name, None)

    def restart(self) -> None:
        self.flush()
        now_s, fresh = self.activity.now_s, Activity(LENGTHS_S)
        names = fresh.hashes(now_s)
        fresh.restore({name: self.stored.get(name, {}) for name in names}, now_s)
        self.activity = fresh


@pytest.mark.parametrize("seed", range(3))
def test_sums_are_those_of_counting_anew(seed: int) -> None:
    random, owner, entries = Random(seed), Owner(), list[Entry]()
    steps = [1, 1, 1, 1, 1, 30, 61, 400, 3_000, 20_000, 100_000]
    now_s = START_S
    for step in range(400):
        past = step % 7 == 3
        second_s = now_s - random.randrange(1, LATENESS_S) if past else now_s
        symbols = random.sample("ABCDEF", random.randrange(1, 5))
        bars = []
        for symbol in symbols:
            size = random.choice([5, 10, 100, 100, 1_000, 70_000])
            entries.append((second_s, symbol, 2, size + 5, size))
            bars.append(bar(symbol, 2, size + 5, size))
        owner.activity.put(second_s, bars)
        if not past:
            now_s += random.choice(steps)
        if random.randrange(3):
            owner.activity.advance(now_s)
        if random.randrange(9) == 0:
            owner.activity.advance(now_s)
            owner.restart()
    owner.activity.advance(now_s)
    for length_s in LENGTHS_S:
        found, wanted = kept(owner.activity, length_s), recounted(entries, now_s, length_s)
        assert found == {symbol: wanted[symbol] for symbol in found}
        assert not any(sum(row) for symbol, row in wanted.items() if symbol not in found)


def test_what_no_window_reaches_any_more_is_dropped() -> None:
    owner = Owner()
    for hour in range(100):
        owner.activity.put(START_S + hour * 3_600, [bar("A", 1, 10, 10)])
        owner.activity.advance(START_S + (hour + 1) * 3_600)
        owner.flush()
    assert set(owner.stored) <= set(owner.activity.hashes(owner.activity.now_s))
    assert len(owner.stored) == 48


def test_a_dense_second_is_packed_small() -> None:
    random, count = Random(1), 5_000
    sizes = [random.choice([1, 7, 50, 100, 100, 200]) for _ in range(count)]
    values = [size * random.randrange(1_000, 50_000) * 10_000 for size in sizes]
    columns = Columns(random.sample(range(10_000), count), [1] * count, sizes, values, sizes)
    packed = pack(columns)
    assert [list(column) for column in unpack(packed)] == [list(column) for column in columns]
    assert len(packed) <= 11 * count
    assert list(unpack(counts_only(packed)).trades) == [1] * count


def test_fractions_of_shares_add_up_exactly() -> None:
    owner = Owner()
    for second in range(300):
        owner.activity.put(START_S + second, [bar("A", 1, 0.1, 0.1), bar("B", 1, 3, 3)])
        owner.activity.advance(START_S + second + 1)
    window = owner.activity.windows[60]
    assert window.sums.volumes == [60 * exact(0.1), 180]
    owner.activity.advance(START_S + 400)
    assert owner.activity.windows[60].sums.volumes == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=30))
def test_stairs_know_the_largest_since_any_second(puts: list[tuple[int, int]]) -> None:
    stairs = Stairs()
    for second, size in puts:
        stairs.put(second, size)
    for since in range(32):
        wanted = max((size for second, size in puts if second >= since), default=0)
        assert stairs.since(since) == wanted
    assert stairs.sizes == sorted(stairs.sizes, reverse=True)
