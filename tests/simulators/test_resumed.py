"""Sources that play on where an earlier simulator ended."""

import json
from itertools import chain, islice

import pytest

from tapewire.market.sessions import SessionCalendar
from tapewire.simulators.generator import GeneratorSource
from tapewire.simulators.resumed import resume
from tapewire.simulators.sources import Slice, Source
from tests.simulators.tape import START_MS, Tape

END_MS = SessionCalendar.load("XNYS").day("2026-11-20").open_ms + 60_000


def played(*sources: Source, after_ms: int) -> Slice:
    (source,) = resume(sources, after_ms)
    return list(chain.from_iterable(source.slices()))


def test_what_was_played_is_left_out() -> None:
    events = played(Tape(100, every_ms=10), after_ms=250)
    assert (len(events), events[0][0]) == (75, START_MS + 250)


def test_several_sources_count_from_the_first_event_of_any() -> None:
    late = Tape(10)
    late._events = [(time_ms + 500, topic, text) for time_ms, topic, text in late._events]
    sources = resume([Tape(10), late], 500)
    assert len(list(chain.from_iterable(sources[0].slices()))) == 10


def test_nothing_is_left_out_of_a_source_that_begins_now() -> None:
    tape = Tape(10)
    assert resume([tape], 0) == [tape]


@pytest.mark.parametrize("until", ["09:31", None])
def test_a_generator_plays_the_trades_that_it_would_have_come_to(until: str | None) -> None:
    def source() -> GeneratorSource:
        return GeneratorSource(symbols=50, rate=50, at="09:30", until=until)

    def trades(source: Source) -> list[str]:
        first_minute = islice(source.slices(), 60)
        events = [event for events in first_minute for event in events]
        return [text for time_ms, topic, text in events if topic[0] == "T" and time_ms < END_MS]

    (resumed,) = resume([source()], 30_900)
    begin_ms = END_MS - 30_000
    rest = [text for text in trades(source()) if json.loads(text)["t"] >= begin_ms]
    assert rest
    assert trades(resumed) == rest


def test_a_generator_never_skips_its_end() -> None:
    (source,) = resume([GeneratorSource(symbols=5, rate=5, at="09:30", until="09:31")], 3_600_000)
    assert 1 <= len(list(source.slices())) <= 2
