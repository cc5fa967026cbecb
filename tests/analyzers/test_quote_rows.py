"""Rows: a day together with its unfinished bar looks as if the two were merged."""

from hypothesis import given
from hypothesis import strategies as st

from tapewire.analyzers.bars import Bar
from tapewire.analyzers.days import Day, concerns
from tapewire.analyzers.quote_rows import NOTHING_TOLD, Texts, extends, new_row, show_bar, show_day
from tapewire.analyzers.quotes import copied
from tapewire.market.conditions import ALL, HIGH_LOW, OPEN_CLOSE, OPENING, VOLUME
from tapewire.model.events import Trade
from tapewire.model.rows import QuoteRecord, Reference
from tests.analyzers.tape import CALENDAR, FRIDAY

DAY = CALENDAR.day(FRIDAY)
REFERENCE = Reference("AIG", FRIDAY, prev_day_close=99.0, avg_volume=1e6)
SECONDS = [
    start_ms + 1000 * n
    for start_ms in (DAY.turn_ms, DAY.pre_ms, DAY.open_ms, DAY.close_ms, DAY.post_ms)
    for n in (-2, -1, 0, 1, 2)
    if start_ms + 1000 * n >= DAY.turn_ms
]


@st.composite
def bars(draw: st.DrawFn) -> list[Bar]:
    """Bars of seconds around the boundaries of a day, in order of time."""
    made = []
    for start_ms in sorted(draw(st.sets(st.sampled_from(SECONDS), min_size=1, max_size=6))):
        bar = Bar("AIG", start_ms)
        for q in range(draw(st.integers(1, 3))):
            effects = draw(st.sampled_from([ALL, VOLUME, HIGH_LOW, OPEN_CLOSE, OPENING | VOLUME]))
            price, size = draw(st.integers(9_800, 10_200)) / 100, draw(st.integers(1, 500))
            bar.add(Trade("AIG", price, size, start_ms + q, (), q), effects)
        made.append(bar)
    return made


def shown(record: Day, at_ms: int) -> QuoteRecord:
    row = new_row("AIG", REFERENCE, NOTHING_TOLD)
    show_day(row, record, at_ms >= DAY.open_ms, Texts(DAY))
    return row


@given(bars())
def test_it_looks_as_if_they_were_merged(seconds: list[Bar]) -> None:
    record, row = Day("AIG"), new_row("AIG", REFERENCE, NOTHING_TOLD)
    for bar in seconds:
        session = DAY.session_at(bar.start_ms)
        if not concerns(bar, session):
            continue
        merged = copied(record)
        merged.merge(bar, session)
        if extends(bar, record, session):
            show_bar(row, record, bar, bar.start_ms >= DAY.open_ms, Texts(DAY))
            assert row == shown(merged, bar.start_ms)
        record = merged


def test_a_bar_that_is_not_the_newest_has_to_be_merged() -> None:
    bar = Bar("AIG", DAY.open_ms)
    bar.add(Trade("AIG", 100.0, 1, DAY.open_ms, (), 1), ALL)
    record, session = Day("AIG"), DAY.session_at(DAY.open_ms)
    assert not extends(bar, record, session)
    record.merge(bar, session)
    assert not extends(bar, record, session)
    later = Bar("AIG", DAY.open_ms + 1000)
    assert extends(later, record, session)
