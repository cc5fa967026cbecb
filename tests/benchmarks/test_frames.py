from pathlib import Path

import pytest

from benchmarks.frames import FramesError, Recording, events_of, framed, from_file, load
from tapewire.providers.capture import CaptureWriter, Header

ONE, TWO = b'{"ev":"T","sym":"A"}', b'{"ev":"T","sym":"B,]"}'


def test_frames_hold_a_hundred_events_and_the_last_the_rest(day: Recording) -> None:
    sizes = [len(events_of(frame)) for frame in day.frames]
    assert set(sizes[:-1]) == {100}
    assert 0 < sizes[-1] <= 100


def test_events_come_out_as_they_went_in() -> None:
    assert events_of(b"[" + ONE + b" , " + TWO + b"]") == [ONE, TWO]
    assert list(framed([ONE, TWO], size=1)) == [b"[" + ONE + b"]", b"[" + TWO + b"]"]


@pytest.mark.parametrize("frame", [b"", b"{}", b"[", b'[{"ev"', b"\xff[]", b"[1 2]"])
def test_what_is_no_frame_has_no_events(frame: bytes) -> None:
    assert events_of(frame) == []


def test_a_file_may_hold_one_frame_a_line(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_bytes(b"[" + ONE + b"]\n\n[" + TWO + b"]\n")
    assert list(load(path, tmp_path).events()) == [ONE, TWO]


def test_a_file_may_be_a_raw_capture(tmp_path: Path) -> None:
    path = tmp_path / "day.twcap"
    with CaptureWriter(path, Header("massive", "ws://127.0.0.1")) as writer:
        writer.write(b"[" + TWO + b"]", 1, 1)
    assert list(from_file(path).events()) == [TWO]


def test_a_file_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing here")
    with pytest.raises(FramesError, match=r"notes\.txt holds no frames; expected a raw capture"):
        from_file(path)
