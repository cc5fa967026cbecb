"""Two years of session boundaries: each passes once, in time, whether or not anybody trades.

A listener's clock is run through 2024 and 2025, with changes of daylight saving, half days and
holidays; an owner's shard folds a trade now and then, and a part writes down what time it is told.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import pytest

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.analyzers.trades import TradeFold
from tapewire.market.sessions import Session, SessionCalendar, TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Trade
from tapewire.model.rows import Reference
from tapewire.providers.massive.protocol import decode
from tapewire.services.shard_state import ShardState
from tests.services.producer import TRADES, Producer

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DELAY_MS: Final = 15 * MINUTE_MS
BEAT_MS: Final = 19 * MINUTE_MS + 7_000
"""Between two heartbeats; real ones come each second and find less to do."""


class Passed(NamedTuple):
    """A boundary as the part heard of it: event time, and what began then."""

    second_ms: int
    date: str
    session: Session


class Diary:
    """A part that writes down when a date or a session began."""

    def __init__(self) -> None:
        self.passed: list[Passed] = []
        self.told: Counter[int] = Counter()
        self.heard_ms: dict[Passed, int] = {}
        self.wall_ms = 0

    def clock(self, second_ms: int, day: TradingDay) -> None:
        self.told[second_ms] += 1
        now = Passed(second_ms, day.date, day.session_at(second_ms))
        if not self.passed or now[1:] != self.passed[-1][1:]:
            self.passed.append(now)
            self.heard_ms[now] = self.wall_ms

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None: ...
    def finish(self) -> None: ...
    def gap(self, from_ms: int, to_ms: int) -> None: ...
    def refer(self, references: Iterable[Reference]) -> None: ...
    def renew(self) -> None: ...
    def restore(self, private: Hashes) -> None: ...
    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        return Changes()

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        return []


def run_through(
    calendar: SessionCalendar,
    first: str,
    last: str,
    *,
    trade_every_ms: int,
    beats: bool = True,
    delay_ms: int = 0,
) -> Diary:
    """Play a shard from the turn of ``first`` to the end of ``last``."""
    diary, producer = Diary(), Producer()
    fold = TradeFold(calendar, [diary])
    state = ShardState(TRADES, [fold], decode, delay_ms=delay_ms)
    at_ms, end_ms = calendar.day(first).turn_ms, calendar.day(last).next_turn_ms
    trade_at_ms, step_ms = at_ms, BEAT_MS if beats else trade_every_ms
    while at_ms < end_ms:
        producer.now_ms = diary.wall_ms = at_ms + delay_ms
        if at_ms >= trade_at_ms:
            sale = Trade("AAPL", 100.0, 100, at_ms, (), at_ms)
            state.take(producer.deliver(sale))
            trade_at_ms += trade_every_ms
        else:
            state.take(producer.heartbeat())
        at_ms += step_ms
    assert state.skips() == {}
    return diary


def boundaries(calendar: SessionCalendar, first: str, last: str) -> Iterator[Passed]:
    """What should pass: every date's turn, and in sessions what begins at which time."""
    day, end_ms = calendar.day(first), calendar.day(last).next_turn_ms
    while day.turn_ms < end_ms:
        times = sorted({day.turn_ms, day.pre_ms, day.open_ms, day.close_ms, day.post_ms})
        yield from (Passed(at_ms, day.date, day.session_at(at_ms)) for at_ms in times)
        if day.next_turn_ms >= end_ms:
            return
        day = calendar.day_at(day.next_turn_ms)


@pytest.fixture(params=["XNYS", "XNSE"])
def calendar(request: pytest.FixtureRequest) -> SessionCalendar:
    return SessionCalendar.load(request.param)


FIRST, LAST = "2024-01-01", "2025-12-30"


def check(diary: Diary, calendar: SessionCalendar, until_ms: int) -> None:
    """Everything that passed until then passed once and in order."""
    expected = [each for each in boundaries(calendar, FIRST, LAST) if each.second_ms <= until_ms]
    assert diary.passed == expected
    assert {diary.told[each.second_ms] for each in expected} == {1}


@pytest.mark.parametrize(
    ("trade_every_ms", "delay_ms"),
    [(31 * MINUTE_MS, 0), (5 * HOUR_MS, DELAY_MS), (40 * 24 * HOUR_MS, 0)],
)
def test_with_heartbeats_each_passes_once_and_in_time(
    calendar: SessionCalendar, trade_every_ms: int, delay_ms: int
) -> None:
    diary = run_through(calendar, FIRST, LAST, trade_every_ms=trade_every_ms, delay_ms=delay_ms)
    check(diary, calendar, diary.wall_ms - delay_ms)
    late_ms = [wall_ms - each.second_ms for each, wall_ms in diary.heard_ms.items()]
    assert min(late_ms) >= delay_ms
    assert max(late_ms) <= delay_ms + BEAT_MS + 1000


@pytest.mark.parametrize("trade_every_ms", [2 * HOUR_MS, 31 * HOUR_MS, 40 * 24 * HOUR_MS])
def test_without_a_heartbeat_each_passes_with_the_next_trade(
    calendar: SessionCalendar, trade_every_ms: int
) -> None:
    diary = run_through(calendar, FIRST, LAST, trade_every_ms=trade_every_ms, beats=False)
    check(diary, calendar, diary.wall_ms)


def test_the_years_have_every_kind_of_day() -> None:
    new_york = SessionCalendar.load("XNYS")
    days = new_york.sessions("2024-01-01", "2025-12-31")
    assert len(days) == 252 + 250
    assert [day.date for day in days if day.early_close] == [
        *("2024-07-03", "2024-11-29", "2024-12-24"),
        *("2025-07-03", "2025-11-28", "2025-12-24"),
    ]
    lengths = [new_york.day(date) for date in ("2024-03-09", "2024-11-02", "2025-03-08")]
    assert [(day.next_turn_ms - day.turn_ms) // HOUR_MS for day in lengths] == [23, 25, 23]
