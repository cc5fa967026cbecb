"""Ticks that wait: in order, within bounds, and conflated so that no candle changes."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.analyzers.candles import AtomicOhlcEngine
from tapewire.analyzers.ticks import TickFold
from tapewire.market.sessions import SessionCalendar
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Clock, Tick
from tapewire.model.streams import Shard, Stream
from tapewire.providers import tick_wire
from tapewire.services.tick_intake import TickIntake
from tapewire.services.tick_queue import Conflation, Held, TickQueue
from tests.analyzers.market import Store
from tests.services.indian import FRIDAY, OPEN_MS, tick

CALENDAR = SessionCalendar.load("XNSE")
TICKS = Shard(Stream.TICKS, 0)


def frame(intake: TickIntake, ticks: Iterable[Tick], at_ns: int = 1, **marks: bool) -> Held:
    return Held(at_ns, intake.slices(ticks), **marks)


def ticks_in(held: Iterable[Held]) -> list[Tick]:
    return [
        one
        for each in held
        for piece in each.slices
        for one in tick_wire.read(piece.payload, piece.count)
    ]


def emptied(queue: TickQueue) -> list[Held]:
    found = []
    while queue:
        found.append(queue.pop())
    return found


def busy(seconds: int, instruments: int = 3, a_second: int = 20) -> list[list[Tick]]:
    """Frames with a tick of every instrument, each in order."""
    return [
        [
            tick(100 + (n * 7 + k) % 13, 10 * n, OPEN_MS + n * 1000 // a_second, token=str(k))
            for k in range(instruments)
        ]
        for n in range(seconds * a_second)
    ]


class TestWaiting:
    def test_what_comes_first_goes_first(self) -> None:
        queue, intake = TickQueue(), TickIntake(2)
        frames = [frame(intake, ticks, n) for n, ticks in enumerate(busy(1))]
        assert [queue.put(one) for one in frames] == [()] * len(frames)
        assert (len(queue), queue.oldest_ns) == (60, 0)
        assert emptied(queue) == frames
        assert (len(queue), queue.bytes, queue.oldest_ns) == (0, 0, None)

    def test_nothing_can_be_taken_from_an_empty_queue(self) -> None:
        with pytest.raises(IndexError):
            TickQueue().pop()

    def test_bytes_bound_it_too(self) -> None:
        queue, intake = TickQueue(max_bytes=100_000), TickIntake(1)
        for ticks in busy(200):
            queue.put(frame(intake, ticks))
            assert queue.bytes <= 100_000
        assert queue.statistics.dropped > 0


class TestConflation:
    def test_of_a_second_the_first_highest_lowest_and_last_stay(self) -> None:
        intake, conflation = TickIntake(1), Conflation()
        prices = [50, 5, 9, 3, 7, 11, 4, 8, 6]  # the first of all has nothing before it
        ticks = [tick(price, n, OPEN_MS + n) for n, price in enumerate(prices)]
        conflation.add(ticks_in([frame(intake, ticks)]))
        assert conflation.count == 5
        assert [one.last_price for one in conflation.take()] == [50, 5, 3, 11, 6]
        assert conflation.count == 0

    def test_each_second_and_each_instrument_is_its_own(self) -> None:
        intake, conflation = TickIntake(1), Conflation()
        for ticks in busy(3, instruments=2):
            conflation.add(ticks_in([frame(intake, ticks)]))
        kept = conflation.take()
        for token in "01":
            seconds = [one.timestamp_ms // 1000 for one in kept if one.token == token]
            assert all(2 <= seconds.count(second) <= 5 for second in set(seconds))
            assert len(set(seconds)) == 3

    def test_ticks_out_of_order_all_stay(self) -> None:
        intake, conflation = TickIntake(1), Conflation()
        ticks = [tick(5, 100 - n, OPEN_MS + 500) for n in range(10)]
        conflation.add(ticks_in([frame(intake, ticks)]))
        assert conflation.count == 10

    def test_repeats_go_and_do_not_end_a_run(self) -> None:
        intake, conflation = TickIntake(1), Conflation()
        told = [(5, 1), (6, 2), (6, 2), (7, 3), (7, 3), (8, 4), (8, 4)]
        ticks = [tick(price, volume, OPEN_MS + volume) for price, volume in told]
        conflation.add(ticks_in([frame(intake, ticks)]))
        assert [one.last_price for one in conflation.take()] == [5, 6, 8]

    def test_a_full_queue_conflates_its_oldest_part_and_counts(self) -> None:
        queue, intake = TickQueue(max_ticks=2_000), TickIntake(2)
        for ticks in busy(60):
            assert not queue.put(frame(intake, ticks))
            assert len(queue) <= 2_000
        statistics = queue.statistics
        assert statistics.put == 3_600 == statistics.conflated + len(queue)
        assert statistics.most_ticks <= 2_000
        left = emptied(queue)
        assert sum(one.ticks for one in left) == 3_600 - statistics.conflated
        volumes = [one.day_volume or 0 for one in ticks_in(left) if one.token == "0"]
        assert volumes == sorted(volumes)
        assert len(queue) == queue.bytes == 0

    def test_what_does_not_fit_even_so_is_dropped_oldest_first(self) -> None:
        queue, intake = TickQueue(max_ticks=600), TickIntake(1)
        dropped: list[Held] = []
        for ticks in busy(120):
            dropped += queue.put(frame(intake, ticks))
            assert len(queue) <= 600
        statistics = queue.statistics
        assert statistics.dropped == sum(one.ticks for one in dropped) > 0
        assert statistics.put == statistics.conflated + statistics.dropped + len(queue)
        lost, left = ticks_in(dropped), ticks_in(emptied(queue))
        assert max(one.timestamp_ms for one in lost) <= min(one.timestamp_ms for one in left)

    def test_an_interruption_keeps_its_place(self) -> None:
        queue, intake = TickQueue(max_ticks=500), TickIntake(1)
        for n, ticks in enumerate(busy(10)):
            queue.put(frame(intake, ticks, n, interrupted=n == 50))
        assert queue.statistics.conflated
        left = emptied(queue)
        at = [one.interrupted for one in left].index(True)
        boundary = busy(10)[50][0].timestamp_ms
        assert all(one.timestamp_ms < boundary for one in ticks_in(left[:at]))
        assert all(one.timestamp_ms >= boundary for one in ticks_in(left[at:]))
        assert sum(one.interrupted for one in left) == 1

    def test_conflated_ticks_are_as_old_as_the_newest_of_them(self) -> None:
        queue, intake = TickQueue(max_ticks=500), TickIntake(1)
        for n, ticks in enumerate(busy(20)):
            queue.put(frame(intake, ticks, n))
        times = [one.received_ns for one in emptied(queue)]
        assert times == sorted(times)


@st.composite
def feeds(draw: st.DrawFn) -> list[list[Tick]]:
    """Frames of three instruments: mostly in order; some late, some begun anew, some baselines."""
    volumes, now = [1_000, 0, 77], 0
    frames: list[list[Tick]] = []
    kinds = ["next"] * 12 + ["late", "reset", "snapshot", "unsized", "again", "faulty"]
    for _ in range(draw(st.integers(1, 60))):
        now += draw(st.integers(0, 600) | st.sampled_from([0, 0, 1_000, 61_000]))
        one: list[Tick] = []
        for _ in range(draw(st.integers(1, 6))):
            which, kind = draw(st.integers(0, 2)), draw(st.sampled_from(kinds))
            one.append(_drawn(draw, kind, which, volumes, now))
        frames.append(one)
    return frames


def _drawn(draw: st.DrawFn, kind: str, which: int, volumes: list[int], now: int) -> Tick:
    at, flags, volume = OPEN_MS + now, 0, None
    step = draw(st.integers(0, 5))
    match kind:
        case "next" | "snapshot":
            volumes[which] += step
            volume, flags = volumes[which], TICK_SNAPSHOT * (kind == "snapshot")
        case "late":
            at -= draw(st.integers(0, 3_000))
            volume = volumes[which] - step
        case "reset":
            volume = volumes[which] = step
        case "faulty":
            volume = step
        case "again":
            volume = volumes[which]
        case _:
            flags = draw(st.sampled_from([0, TICK_INDEX]))
    price = draw(st.integers(9_990, 10_010)) / 100
    exchange, token = [("NSE_FO", "8765"), ("BSE_FO", "8765"), ("NSE_EQ", "11536")][which]
    return tick(price, volume, at, exchange=exchange, token=token, flags=flags)


def candles(ticks: Iterable[Sequence[Tick]]) -> dict[str, object]:
    """Start, open, high, low, close and volume of every candle of every interval."""
    fold, store = TickFold(CALENDAR, [AtomicOhlcEngine(CALENDAR, exchange="IN")]), Store()
    for some in ticks:
        fold.apply(some)
    if fold.second_ms >= 0:
        fold.apply([Clock(fold.second_ms, final=True)])
    store.write(fold.drain())
    found: dict[str, object] = {}
    for symbol in ("NSE_FO:8765", "BSE_FO:8765", "NSE_EQ:11536"):
        for interval in ("1s", "1m", "5m", "1h", "1d"):
            rows = store.candles(symbol, interval, FRIDAY).values()
            found[f"{symbol} {interval}"] = [
                (one.start_ms, one.open, one.high, one.low, one.close, one.volume) for one in rows
            ]
    return found


@settings(deadline=None, max_examples=150)
@given(feeds(), st.data())
def test_candles_are_the_same_whatever_is_conflated_and_when(
    frames: list[list[Tick]], data: st.DataObject
) -> None:
    """Vwap and the number of trades may differ; what is compared may not."""
    intake, conflation = TickIntake(1), Conflation()
    whole: list[list[Tick]] = []
    arrived: list[list[Tick]] = []
    for ticks in frames:
        one = ticks_in([frame(intake, ticks)])
        whole.append(one)
        if data.draw(st.integers(0, 5)):
            conflation.add(one)
        else:
            arrived += [conflation.take(), one]
    arrived.append(conflation.take())
    assert candles(arrived) == candles(whole)
