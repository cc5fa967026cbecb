"""Which trading dates stay in the store, of every analyzer there is and after a week of events."""

from collections.abc import Callable

import pytest

from tapewire.model.changes import PRIVATE
from tapewire.model.events import Event, Luld, Quote
from tapewire.model.streams import Shard, Stream
from tapewire.services.analysis import Analysis
from tests.analyzers.market import Store
from tests.analyzers.tape import bar, clock, ms, trade

WEEK = ("2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20")
MONDAY = "2026-11-23"
MINUTES = ("09:30", "10:00", "15:59", "20:00")


def quote(symbol: str, at: str, date: str) -> Event:
    return Quote(symbol, ms(at, date), 99.0, 1, 101.0, 1)


def luld(symbol: str, at: str, date: str) -> Event:
    return Luld(symbol, 110.0, 90.0, ms(at, date), (15,))


EVENTS: dict[Stream, Callable[[str, str, str], Event]] = {
    Stream.TRADES: lambda symbol, at, date: trade(symbol, 100.0, at=at, date=date),
    Stream.AGGREGATE: lambda symbol, at, date: bar(symbol, 100.0, at=at, date=date),
    Stream.QUOTES: quote,
    Stream.HALTS: luld,
}


def dates_of(names: set[str]) -> dict[str, set[str]]:
    """Family -> the dates at the ends of its names."""
    found: dict[str, set[str]] = {}
    for name in names:
        head, _, end = name.rpartition(":")
        if end.startswith("2026-"):
            known = head.split(":")
            family = ":".join(known[:2]) if name.startswith(PRIVATE) else known[0]
            found.setdefault(family, set()).add(end[: len(MONDAY)])
    return found


def folded(stream: Stream, topics: tuple[str, ...]) -> Store:
    """A store after a week in which something happened every day, and the Monday after it."""
    store = Store()
    analyzers = Analysis.of(topics).maker()(Shard(stream, 0))
    for date in (*WEEK, MONDAY):
        for analyzer in analyzers:
            for at in MINUTES:
                analyzer.apply([EVENTS[stream]("AIG", at, date)])
                store.write(analyzer.drain())
            analyzer.apply([clock("20:05", date=date)])
            store.write(analyzer.drain())
    return store


@pytest.mark.parametrize(
    ("stream", "topics", "families"),
    [
        (Stream.TRADES, ("T.*",), {"quote", "candles", "top_volume", "private:trades_recent"}),
        (Stream.AGGREGATE, ("A.*",), {"quote", "candles", "daily_range", "private:days"}),
        (Stream.QUOTES, ("Q.*",), {"best_quote", "private:best_quotes"}),
        (Stream.HALTS, ("LULD.*",), {"halt_state", "private:halt_states"}),
    ],
)
def test_the_last_two_sessions_stay_and_private_state_of_the_date_before(
    stream: Stream, topics: tuple[str, ...], families: set[str]
) -> None:
    store = folded(stream, topics)
    names = {*store.rows, *store.boards, *(PRIVATE + name for name in store.private)}
    found = dates_of(names)
    curves = found.pop("private:volume_curves", set(WEEK))
    assert curves >= set(WEEK)
    assert families <= found.keys()
    for family, dates in found.items():
        first_kept = "2026-11-22" if family.startswith(PRIVATE) else "2026-11-19"
        assert min(dates) >= first_kept, family
        assert max(dates) == MONDAY, family
