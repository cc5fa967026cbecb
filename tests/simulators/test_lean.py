"""Recorded ticks as the provider's events, compared with the files read another way."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tapewire.simulators.lean import LeanSource, conditions_of, midnight_ms
from tapewire.simulators.sources import SourceError

Event = dict[str, Any]


def rows_of(path: Path) -> list[list[str]]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return [line.split(",") for line in text.splitlines()]


def events_of(path: Path) -> list[Event]:
    return [json.loads(text) for events in LeanSource(path).slices() for _, _, text in events]


def written(folder: Path, name: str, *rows: str) -> Path:
    """A recorded file made up for a test."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ticks.csv", "".join(f"{row}\n" for row in rows))
    return path


def test_every_recorded_trade_is_an_event_in_the_order_recorded(shared: Path) -> None:
    path = shared / "data/lean/tick/ibm/20131007_trade.zip"
    rows, events = rows_of(path), events_of(path)
    assert [event["t"] - midnight_ms("2013-10-07") for event in events] == [int(r[0]) for r in rows]
    assert [round(event["p"] * 10_000) for event in events] == [int(row[1]) for row in rows]
    assert [event["s"] for event in events] == [int(row[2]) for row in rows]
    assert [event["q"] for event in events] == list(range(1, len(rows) + 1))
    assert {event["sym"] for event in events} == {"IBM"}


def test_several_symbols_are_merged_by_time(shared: Path) -> None:
    folder = shared / "data/lean/tick"
    source = LeanSource(folder / "ibm")
    times = [time for events in source.slices() for time, _, _ in events]
    assert times == sorted(times)
    assert source.topics == {"T", "Q"}
    assert source.symbols == {"IBM"}


def test_both_days_play_one_after_the_other(tmp_path: Path) -> None:
    for date in ("20131008", "20131007"):
        for symbol in ("ibm", "aig"):
            written(tmp_path, f"{symbol}/{date}_trade.zip", "34200000,1820000,100,N,1,0")
    events = events_of(tmp_path)
    assert [event["sym"] for event in events] == ["AIG", "IBM"] * 2
    assert events[2]["t"] - events[0]["t"] == 86_400_000


def test_a_row_becomes_the_providers_fields(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "spy/20131007_trade.zip",
        "34200001,1674150,100,P,1,0",
        "34200002,1674100,7,D,20002020,0",
        "34200003,1674100,500,Q,80000041,0",
    )
    base = 1_381_152_600_000
    assert events_of(path) == [
        {"ev": "T", "sym": "SPY", "i": "1", "p": 167.415, "s": 100, "x": 11, "z": 2,
         "t": base + 1, "q": 1},
        {"ev": "T", "sym": "SPY", "i": "2", "p": 167.41, "s": 7, "x": 4, "z": 2,
         "c": [14, 12, 41], "trfi": 201, "t": base + 2, "q": 2},
        {"ev": "T", "sym": "SPY", "i": "3", "p": 167.41, "s": 500, "x": 12, "z": 2,
         "c": [0, 17, 37], "t": base + 3, "q": 3},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "tape", "ids"),
    [
        (0x1, 1, ()),
        (0x20000001, 1, (0, 41)),
        (0x80, 1, (19,)),
        (0x80, 3, (8,)),
        (0x40, 3, (25,)),
        (0x100, 3, (28,)),
        (0x100, 2, (18,)),
        (0x2400, 1, (12,)),
    ],
)
def test_condition_flags_become_ids(flags: int, tape: int, ids: tuple[int, ...]) -> None:
    assert conditions_of(flags, tape) == ids


def test_a_bid_and_an_ask_of_one_moment_are_one_quote_and_repetitions_none(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "aig/20131007_quote.zip",
        "34200000,0,0,492000,300,P,1,0",
        "34200005,491000,200,0,0,N,1,0",
        "34200005,0,0,492000,300,P,1,0",
        "34200006,491000,200,0,0,N,1,0",
        "34200006,0,0,492000,300,P,1,0",
        "34200007,491000,100,0,0,N,1,0",
        "34200008,0,0,491500,300,Q,1,0",
    )
    quotes = [
        (event["t"] % 1000, event.get("bp"), event.get("bs"), event["ap"], event["ax"])
        for event in events_of(path)
    ]
    assert quotes == [
        (0, None, None, 49.2, 11),
        (5, 49.1, 200, 49.2, 11),
        (7, 49.1, 100, 49.2, 11),
        (8, 49.1, 100, 49.15, 12),
    ]


def test_bars_in_the_folder_are_left_out_and_said_so(shared: Path) -> None:
    source = LeanSource(shared / "data/lean")
    assert all(file.path.parent.parent.name == "tick" for file in source.files)
    assert source.notes[0].endswith("are not played")


def test_the_close_is_the_last_eligible_regular_trade_of_the_file_beside(tmp_path: Path) -> None:
    written(
        tmp_path,
        "aig/20131007_trade.zip",
        "30000000,480000,100,P,2000,0",
        "34200000,490000,100,N,40,0",
        "57599999,487200,200,N,1,0",
        "57607744,487300,1000,N,80,0",
        "57727777,489400,700,D,102000,0",
        "61000000,500000,100,P,2000,0",
    )
    played = written(tmp_path, "aig/20131008_trade.zip", "34200000,490000,100,N,1,0")
    bars = LeanSource(played).reference.daily_bars("2013-10-07")
    bar = bars["AIG"]
    assert (bar.open, bar.high, bar.low, bar.close) == (49.0, 49.0, 48.72, 48.72)
    assert bar.volume == 2200
    assert LeanSource(played).reference.daily_bars("2013-10-04") == {}


def test_a_folder_without_ticks_is_an_error_that_says_what_was_expected(tmp_path: Path) -> None:
    written(tmp_path, "aig/20131007_trade.zip", "34200000,1,2,3,4,5")
    with pytest.raises(SourceError, match="expected <symbol>/<yyyymmdd>_trade"):
        LeanSource(tmp_path)


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        LeanSource(tmp_path / "nothing")
