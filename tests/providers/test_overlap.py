"""Two brokers' ticks joined at one moment: what counts, and that it counts once."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tapewire.analyzers.day_volumes import DayVolume
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.providers import overlap
from tapewire.providers.overlap import Overlap

START_MS = 1_795_232_700_000


def tick(volume: int | None, *, token: str = "1", broker: str = "old", flags: int = 0) -> Tick:
    """A tick whose price and time follow from its volume, as for all brokers of one exchange."""
    t = START_MS + (volume or 0)
    price = 100.0 + (volume or 0) % 7
    return Tick(broker, "NSE_FO", token, "NIFTY", price, 1, volume, None, t, t * 1_000_000, flags)


def new(volume: int | None, **other: object) -> Tick:
    return tick(volume, broker="new", **other)  # type: ignore[arg-type]


def volumes(ticks: Sequence[Tick]) -> list[int | None]:
    return [one.day_volume for one in ticks]


def test_what_the_new_one_said_that_the_old_had_not_is_handed_on_at_once() -> None:
    joint = Overlap()
    joint.probed([new(90, flags=TICK_SNAPSHOT)])
    joint.active([tick(100)])
    joint.probed([new(100), new(110), new(120)])
    assert volumes(joint.take_over(hole=False)) == [110, 120]
    assert volumes(joint.admit([new(130)])) == [130]


def test_what_the_old_one_had_said_does_not_come_again() -> None:
    joint = Overlap()
    joint.active([tick(100), tick(100, token="2")])
    assert joint.take_over(hole=False) == []
    assert volumes(joint.admit([new(80), new(100), new(105), new(110)])) == [105, 110]
    assert volumes(joint.admit([new(99, token="2"), new(50, token="3")])) == [50]
    assert joint.behind == 3


def test_a_snapshot_after_a_change_without_a_hole_is_a_tick() -> None:
    joint = Overlap()
    joint.active([tick(100)])
    (taken,) = joint.admit([new(130, flags=TICK_SNAPSHOT)])
    assert taken.flags == 0
    (first,) = joint.admit([new(7, token="2", flags=TICK_SNAPSHOT)])
    assert first.flags == TICK_SNAPSHOT


def test_after_a_hole_the_new_ones_state_is_a_baseline() -> None:
    joint = Overlap()
    joint.active([tick(100), tick(10, token="2")])
    joint.probed([new(150), new(200), new(10, token="2"), new(5, token="3")])
    taken = joint.take_over(hole=True)
    assert [(one.token, one.day_volume) for one in taken] == [("1", 200), ("3", 5)]
    assert {one.flags for one in taken} == {TICK_SNAPSHOT}
    (late,) = joint.admit([new(30, token="2", flags=TICK_SNAPSHOT)])
    assert late.flags == TICK_SNAPSHOT


def test_indices_and_modes_without_volume_pass() -> None:
    joint = Overlap()
    joint.active([tick(0, flags=TICK_INDEX), tick(None, token="2")])
    ticks = [new(0, flags=TICK_INDEX), new(None, token="2")]
    assert joint.admit(ticks) == ticks


def test_little_is_kept_however_long_the_probe_takes() -> None:
    joint = Overlap()
    for volume in range(1, 20_000, 10):
        joint.probed([new(volume)])
    span_ms = overlap.BUFFER_NS // 1_000_000
    assert len(joint._frames) <= span_ms / 10 + 1
    assert volumes(joint.take_over(hole=False))[-1] == 19_991


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    began=st.integers(0, 60),
    changed=st.integers(0, 60),
    old_lag=st.integers(0, 10),
    new_lag=st.integers(0, 10),
)
def test_every_trade_counts_once_whoever_is_ahead(
    sizes: list[int], began: int, changed: int, old_lag: int, new_lag: int
) -> None:
    """Both tell one tape, each behind by its lag; the change is once what was under way came."""
    tape = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    began = min(began, len(tape))
    changed = max(began + old_lag, changed)
    joint = Overlap()
    handed: list[Tick] = [tick(0, flags=TICK_SNAPSHOT)]
    told_old = told_new = 0
    joined = started = False
    for step in range(len(tape) + 82):
        upto_old = min(max(step - old_lag, 0), len(tape))
        upto_new = min(max(step - new_lag, 0), len(tape))
        if step == began:
            started, told_new = True, upto_new
            joint.probed([new(tape[upto_new - 1] if upto_new else 0, flags=TICK_SNAPSHOT)])
        if not joined:
            ticks = [tick(volume) for volume in tape[told_old:upto_old]]
            told_old = max(told_old, upto_old)
            handed += ticks
            if started:
                joint.active(ticks)
        if started:
            fresh = [new(volume) for volume in tape[told_new:upto_new]]
            told_new = max(told_new, upto_new)
            if joined:
                handed += joint.admit(fresh)
            else:
                joint.probed(fresh)
        if started and not joined and step >= changed:
            joined = True
            handed += joint.take_over(hole=False)
    counted, skipped = _traded(handed), Counter[str]()
    assert counted == sizes, skipped


def _traded(ticks: Sequence[Tick]) -> list[int]:
    """The sizes that the fold's own rule makes of ticks."""
    skipped: Counter[str] = Counter()
    day = DayVolume.first("NSE_FO:1", 0, ticks[0], skipped)
    sizes = [day.take(0, one, skipped) for one in ticks[1:]]
    return [size for size in sizes if size > 0]
