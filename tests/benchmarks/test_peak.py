import json
from itertools import pairwise

import pytest

from benchmarks.frames import FramesError, Recording, framed
from benchmarks.peak import START, Peak, make_peak
from tests.oracles.recorded import midnight_ms


def trade(symbol: str, q: int, t: int) -> bytes:
    event = {"ev": "T", "sym": symbol, "p": 10.0, "s": 5, "t": t, "q": q}
    return json.dumps(event).encode()


def test_four_tickers_become_a_thousand(small_peak: Peak) -> None:
    symbols = {json.loads(event)["sym"] for event in small_peak.events()}
    assert small_peak.clones == 250
    assert len(symbols) == 250 * len({one.trade["sym"] for one in small_peak.originals})


def test_the_clones_of_a_trade_follow_each_other(small_peak: Peak) -> None:
    first = [json.loads(event) for event in list(small_peak.events())[:250]]
    symbol = small_peak.originals[0].trade["sym"]
    assert [one.pop("sym") for one in first] == [f"{symbol}{k:03}" for k in range(250)]
    assert all(one == first[0] for one in first)


def test_no_ticker_has_a_sequence_twice(small_peak: Peak) -> None:
    places = [(e["sym"], e["q"]) for e in map(json.loads, small_peak.events())]
    assert len(places) == len(set(places)) == small_peak.count


def test_event_time_runs_as_fast_as_asked(small_peak: Peak) -> None:
    times = [one.trade["t"] for one in small_peak.originals]
    assert times[0] == midnight_ms("2013-10-07") + START.total_seconds() * 1000
    assert all(before <= after for before, after in pairwise(times))
    assert times[-1] - times[0] == pytest.approx(3000, rel=0.05)


def test_trades_before_the_open_are_left_out(small_peak: Peak, day: Recording) -> None:
    before = [
        e for e in map(json.loads, day.events()) if e["t"] < midnight_ms("2013-10-07") + 34_200_000
    ]
    places = {(e["sym"], e["q"]) for e in before}
    assert before
    assert places.isdisjoint((one.trade["sym"], one.trade["q"]) for one in small_peak.originals)


def test_a_recording_with_enough_tickers_is_not_cloned() -> None:
    noon_ms = midnight_ms("2013-10-07") + 12 * 3_600_000
    events = [trade(f"S{k}", 1, noon_ms + k) for k in range(1_200)]
    peak = make_peak(Recording("many", list(framed(events))), 10_000, 1_000)
    assert (peak.clones, peak.count) == (1, 1_200)
    assert {json.loads(event)["sym"] for event in peak.events()} == {f"S{k}" for k in range(1_200)}


def test_a_recording_without_trades_is_refused() -> None:
    with pytest.raises(FramesError, match="no trade in them"):
        make_peak(Recording("quotes", [b'[{"ev":"Q","sym":"A","t":1}]']), 100, 100)
