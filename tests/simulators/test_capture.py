"""Captured frames played again, byte by byte."""

from pathlib import Path

import pytest

from tapewire.providers.capture import CaptureWriter, Header
from tapewire.simulators.capture import CaptureSource
from tapewire.simulators.faults import FaultError
from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.sources import MergedSources, SourceError
from tests.simulators.client import running, subscribed
from tests.simulators.tape import Tape

STATUS = b'[{"ev":"status","status":"success","message":"subscribed to: T.*"}]'
FRAMES = [
    b'[{"ev":"T","sym":"AIG","p":49.18,"s":100,"t":1381152600000,"q":1}]',
    b'[ {"ev":"T", "sym":"IBM" ,"p":182.0,"s":1.5} ,{"ev":"ZZ"}]',
    b'[{"ev":"status","status":"success","message":"x"},{"ev":"T","sym":"BAC"}]',
    b'[{"ev":"T","sym":"A',
    b'[{"ev":"T","sym":"\xff"}]',
]
RECEIVED_NS = 1_381_152_600_000_000_000


def captured(path: Path) -> Path:
    with CaptureWriter(path, Header("massive", "ws://x/stocks", ("T.*",))) as writer:
        for number, frame in enumerate([STATUS, *FRAMES]):
            writer.write(frame, RECEIVED_NS + number * 50_000_000, number)
    return path


async def test_every_frame_with_data_is_sent_byte_by_byte(tmp_path: Path) -> None:
    source = CaptureSource(captured(tmp_path / "day.twcap"))
    simulator = MassiveSimulator([source], speed="max", once=True)
    async with running(simulator), subscribed(simulator) as client:
        raw = [await client.socket.recv(decode=False) for _ in FRAMES]
        assert raw == FRAMES
        await client.until_closed()
        assert simulator.statistics.frames == len(FRAMES)


def test_it_knows_its_topics_and_day_and_paces_on_receive_times(tmp_path: Path) -> None:
    source = CaptureSource(captured(tmp_path / "day.twcap"))
    times = [time for events in source.slices() for time, _, _ in events]
    assert times == [RECEIVED_NS // 1_000_000 + 50 * number for number in range(1, 6)]
    assert source.topics == {"T"}
    assert source.symbols == frozenset()
    assert source.reference.today() == "2013-10-07"


def test_a_cut_tail_is_said(tmp_path: Path) -> None:
    path = captured(tmp_path / "day.twcap")
    path.write_bytes(path.read_bytes()[:-3])
    source = CaptureSource(path)
    assert list(source.slices()) == []
    assert source.notes[0].endswith("bytes are cut off")


def test_it_is_not_merged_with_events_nor_tampered_with(tmp_path: Path) -> None:
    source = CaptureSource(captured(tmp_path / "day.twcap"))
    with pytest.raises(SourceError, match="play it alone"):
        MergedSources([source, Tape(1)])


async def test_faults_that_change_events_are_refused(tmp_path: Path) -> None:
    source = CaptureSource(captured(tmp_path / "day.twcap"))
    with pytest.raises(FaultError, match="played as frames"):
        MassiveSimulator([source], faults=["duplicate@1"])
