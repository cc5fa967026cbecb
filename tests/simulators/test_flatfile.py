"""Flat files: read in the provider's layout, and written so that they play like their source."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.simulators.flatfile import FlatFileSource, write_flat_files
from tapewire.simulators.flatfile_order import SequencedEvent, in_order
from tapewire.simulators.lean import LeanSource
from tapewire.simulators.sources import MergedSources, Source, SourceError

Event = dict[str, Any]

TRADES = (
    "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,"
    "sip_timestamp,size,tape,trf_id,trf_timestamp\n"
)
QUOTES = (
    "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,"
    "participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp\n"
)
BARS = "ticker,volume,open,close,high,low,window_start,transactions\n"
OPEN_NS = 1_381_152_600_000_000_000


def events_of(source: Source) -> list[Event]:
    return [json.loads(text) for events in source.slices() for _, _, text in events]


def written(path: Path, header: str, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return path


def test_what_is_written_from_recorded_ticks_plays_like_them(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/lean/tick"
    recorded = MergedSources(
        [LeanSource(folder / "ibm"), LeanSource(folder / "aig/20131007_trade.zip")]
    )
    paths = write_flat_files(recorded, tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        f"{kind}_v1/2013/10/2013-10-0{day}.csv.gz"
        for kind in ("quotes", "trades")
        for day in (7, 8)
    ]
    source = FlatFileSource(tmp_path)
    assert source.topics == {"T", "Q"}
    assert events_of(source) == events_of(recorded)


def test_the_previous_close_comes_from_the_file_of_the_day_before(
    shared: Path, tmp_path: Path
) -> None:
    recorded = LeanSource(shared / "data/lean/tick/ibm")
    write_flat_files(recorded, tmp_path)
    played = FlatFileSource(tmp_path / "trades_v1/2013/10/2013-10-08.csv.gz")
    assert played.reference.today() == "2013-10-08"
    bars = played.reference.daily_bars("2013-10-07")
    assert bars == recorded.reference.daily_bars("2013-10-07")
    assert bars["IBM"].close > 0


def test_rows_ordered_by_ticker_play_in_the_order_of_time(tmp_path: Path) -> None:
    path = written(
        tmp_path / "2013-10-07.csv",
        TRADES,
        f'AIG,"12,41",0,11,77,{OPEN_NS},49.18,9,{OPEN_NS + 5_000_001},300,1,0,0',
        f"AIG,,0,4,78,{OPEN_NS},49.2,12,{OPEN_NS + 9_000_000},0.5,1,202,{OPEN_NS}",
        f"IBM,,0,10,5,{OPEN_NS},182,8,{OPEN_NS + 5_000_001},100,1,,",
    )
    base = OPEN_NS // 1_000_000
    assert events_of(FlatFileSource(path)) == [
        {"ev": "T", "sym": "IBM", "i": "5", "p": 182, "s": 100, "x": 10, "z": 1, "t": base + 5,
         "q": 8},
        {"ev": "T", "sym": "AIG", "i": "77", "p": 49.18, "s": 300, "x": 11, "z": 1, "c": [12, 41],
         "t": base + 5, "q": 9},
        {"ev": "T", "sym": "AIG", "i": "78", "p": 49.2, "s": 0, "x": 4, "z": 1, "ds": "0.5",
         "trfi": 202, "t": base + 9, "q": 12},
    ]  # fmt: skip


def test_quotes_may_lack_a_side(tmp_path: Path) -> None:
    path = written(
        tmp_path / "2013-10-07.csv",
        QUOTES,
        f"AIG,10,49.2,3,0,0,0,0,604,{OPEN_NS},1,{OPEN_NS},1,0",
    )
    assert events_of(FlatFileSource(path)) == [
        {"ev": "Q", "sym": "AIG", "ax": 10, "ap": 49.2, "as": 3, "c": 0, "i": [604], "z": 1,
         "t": OPEN_NS // 1_000_000, "q": 1},
    ]  # fmt: skip


def test_minute_bars_go_out_when_their_minute_ends(tmp_path: Path) -> None:
    minute = 60_000_000_000
    path = tmp_path / "2013-10-07.csv.gz"
    rows = [
        f"AIG,1000,49,49.1,49.2,48.9,{OPEN_NS},10",
        f"AIG,500,49.1,49.1,49.1,49.1,{OPEN_NS + minute},4",
        f"IBM,300,182,182,182,182,{OPEN_NS},3",
    ]
    with gzip.open(path, "wt") as text:
        text.write(BARS + "\n".join(rows) + "\n")
    source = FlatFileSource(path)
    times = [time for events in source.slices() for time, _, _ in events]
    bars = events_of(source)
    start = OPEN_NS // 1_000_000
    assert times == [start + 60_000, start + 60_000, start + 120_000]
    assert [(bar["sym"], bar["v"], bar["av"], bar["z"]) for bar in bars] == [
        ("AIG", 1000, 1000, 100),
        ("IBM", 300, 300, 100),
        ("AIG", 500, 1500, 125),
    ]
    assert (bars[0]["s"], bars[0]["e"]) == (start, start + 60_000)


def test_a_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "2013-10-07.csv", BARS, "AIG,1000,49,49.1,49.2,48.9,noon,10")
    with pytest.raises(SourceError, match="line 2: not a row of minute bars"):
        list(FlatFileSource(path).slices())


def test_other_files_are_not_flat_files(tmp_path: Path) -> None:
    written(tmp_path / "2013-10-07.csv", "a,b,c\n", "1,2,3")
    with pytest.raises(SourceError, match="holds no flat file; expected YYYY-MM-DD"):
        FlatFileSource(tmp_path)


@given(
    rows=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=60),
    max_events=st.integers(1, 20),
)
def test_any_order_of_rows_is_sorted_whatever_fits_into_memory(
    rows: list[tuple[int, int]], max_events: int
) -> None:
    events: list[SequencedEvent] = [
        (time, sequence, "T.A", f"{time}/{sequence}") for time, sequence in rows
    ]
    slices = list(in_order(lambda: iter(events), max_events))
    times = [event[0] for part in slices for event in part]
    assert times == sorted(time for time, _ in rows)
    if len(events) < max_events:
        texts = [event[2] for part in slices for event in part]
        assert texts == [text for _, _, _, text in sorted(events, key=lambda e: e[:2])]
