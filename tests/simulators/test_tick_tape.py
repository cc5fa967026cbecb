"""Tapes: what a source string names, and recorded trades as a broker's states."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tapewire.market.sessions import SessionCalendar
from tapewire.simulators.lean import LeanSource
from tapewire.simulators.sources import SourceError, TimedTick
from tapewire.simulators.tick_tape import TickTape, parse_tape, parse_ticks


def everything(tape: TickTape) -> list[TimedTick]:
    return [tick for ticks in tape.slices() for tick in ticks]


def by_key(ticks: Sequence[TimedTick], key: str) -> list[TimedTick]:
    return [tick for tick in ticks if tick[1] == key]


def test_a_tape_knows_what_was_played_last_and_no_more() -> None:
    tape = parse_tape("generator:seed=3,at=10:00")
    ticks = next(tape.slices())
    key = ticks[0][1]
    assert tape.last(key) is None
    played = tape.play(ticks)
    assert played == [tick for _, _, tick in ticks]
    assert tape.last(key) == by_key(ticks, key)[-1][2]
    assert tape.previous_close("NSE_EQ:2885") > 0


def test_a_seed_holds_where_the_options_name_none() -> None:
    assert parse_tape("generator:at=10:00", seed=5).name.startswith("generator:seed=5,")
    assert parse_tape("generator:seed=3", seed=5).name.startswith("generator:seed=3,")


def test_recorded_trades_become_states_with_the_days_volume(shared: Path) -> None:
    ticks = everything(parse_tape(f"lean:{shared / 'data/lean/tick/aig'}"))
    trades = [event for s in LeanSource(shared / "data/lean/tick/aig").slices() for event in s]
    recorded = [time_ms for time_ms, topic, _ in trades if topic.startswith("T.")]
    assert [time_ms for time_ms, _, _ in ticks] == recorded
    calendar, volumes = SessionCalendar.load("XNSE"), dict[str, int]()
    for time_ms, key, tick in ticks:
        date = calendar.trading_date(time_ms)
        volumes[date] = volumes.get(date, 0) + tick.last_size
        assert (key, tick.symbol, tick.day_volume) == ("NSE_EQ:90001", "AIG", volumes[date])


def test_recorded_days_can_be_played_in_indian_sessions(shared: Path) -> None:
    path = shared / "data/lean/tick/aig"
    kept, moved = parse_tape(f"lean:{path}"), parse_tape(f"lean:{path},date=2026-11-19")
    days = [SessionCalendar.load("XNSE").day(date) for date in ("2026-11-19", "2026-11-20")]
    assert moved.dates == tuple(day.date for day in days)[: len(moved.dates)]
    recorded, ticks = everything(kept), everything(moved)
    new_york = SessionCalendar.load("XNYS").day_at(recorded[0][0])
    shift_ms = days[0].open_ms - new_york.open_ms
    first_day = [tick for tick in ticks if tick[0] < days[0].next_turn_ms]
    expected = [
        time_ms + shift_ms
        for time_ms, _, _ in recorded
        if time_ms < new_york.next_turn_ms and days[0].turn_ms <= time_ms + shift_ms
    ]
    assert [time_ms for time_ms, _, _ in first_day] == expected
    assert first_day[-1][2].day_volume == sum(tick.last_size for _, _, tick in first_day)


def test_skipping_leaves_out_the_beginning_and_keeps_volumes(shared: Path) -> None:
    text = f"lean:{shared / 'data/lean/tick/aig'}"
    whole = everything(parse_tape(text))
    later = parse_ticks(text)
    later.skip(600)
    rest = everything(TickTape(later))
    assert rest == [tick for tick in whole if tick[0] >= whole[0][0] + 600_000]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flatfile:/data", "expected generator"),
        ("generator:symbols=5", "generator option 'symbols=5' is wrong"),
        ("generator:rate=fast", "wrong"),
        ("lean:/nowhere", "does not exist"),
    ],
)
def test_what_a_broker_cannot_play_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        parse_tape(text)


def test_a_closed_date_cannot_be_played_in(shared: Path) -> None:
    with pytest.raises(SourceError, match="no session in India; the next one is 2026-11-23"):
        parse_tape(f"lean:{shared / 'data/lean/tick/aig'},date=2026-11-21")
