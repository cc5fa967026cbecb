"""Captures: what was written is read, also when the end is missing, never when it changed."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.providers.capture import (
    CaptureReader,
    CaptureWriter,
    DamagedCaptureError,
    Frame,
    Header,
    NotACaptureError,
)

HEADER = Header("massive", "ws://provider/stocks", ("T.*", "A.*"), clock_offset_ns=-250_000)


def frame(number: int, data: bytes = b'[{"ev":"T","sym":"AIG","p":49.18}]') -> Frame:
    return Frame(number % 2, 1_381_152_600_000_000_000 + number, 10_000 + number, data)


def captured(path: Path, frames: list[Frame], block_bytes: int = 1000) -> Path:
    with CaptureWriter(path, HEADER, block_bytes=block_bytes) as writer:
        for one in frames:
            writer.write(one.data, one.received_ns, one.monotonic_ns, connection=one.connection)
    return path


def test_every_frame_comes_back_byte_by_byte(tmp_path: Path) -> None:
    frames = [frame(number, bytes([number % 256]) * number) for number in range(500)]
    reader = CaptureReader(captured(tmp_path / "day.twcap", frames))
    assert reader.header == HEADER
    assert list(reader) == frames
    assert list(reader) == frames
    assert reader.cut_bytes == 0


def test_an_empty_capture_has_a_header_and_no_frames(tmp_path: Path) -> None:
    reader = CaptureReader(captured(tmp_path / "day.twcap", []))
    assert list(reader) == []
    assert reader.header.subscriptions == ("T.*", "A.*")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A capture of 100 frames in blocks of about ten."""
    path = tmp_path_factory.mktemp("capture") / "day.twcap"
    return captured(path, [frame(number) for number in range(100)], block_bytes=600).read_bytes()


@given(data=st.data())
@settings(max_examples=60)
def test_a_cut_tail_loses_only_the_last_block_and_is_measured(
    data: st.DataObject, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "day.twcap"
    header_bytes = len(captured(path, []).read_bytes())
    kept = data.draw(st.integers(header_bytes, len(whole)))
    path.write_bytes(whole[:kept])
    reader = CaptureReader(path)
    frames = list(reader)
    assert frames == [frame(number) for number in range(len(frames))]
    path.write_bytes(whole[: kept - reader.cut_bytes])
    assert list(reader) == frames
    assert reader.cut_bytes == 0


def test_what_was_flushed_survives_without_close(tmp_path: Path) -> None:
    path = tmp_path / "day.twcap"
    writer = CaptureWriter(path, HEADER)
    writer.write(b"first", 1, 1)
    writer.flush()
    writer.write(b"second", 2, 2)
    assert [one.data for one in CaptureReader(path)] == [b"first"]
    writer.close()
    assert [one.data for one in CaptureReader(path)] == [b"first", b"second"]


def test_a_changed_byte_in_the_middle_is_damage(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "day.twcap"
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(DamagedCaptureError, match="does not match its checksum"):
        list(CaptureReader(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a capture"),
        (b"PK\x03\x04 something else entirely", "is not a capture"),
        (b"TWCAP\x09" + b"\x00" * 20, "version 9; this release reads 1"),
        (b"TWCAP\x01\x05\x00\x00\x00\x01\x00\x00\x00{}", "header is cut off or damaged"),
    ],
)
def test_another_file_is_refused_with_what_was_seen(
    content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(NotACaptureError, match=said):
        CaptureReader(path)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = captured(tmp_path / "day.twcap", [frame(1)])
    with pytest.raises(FileExistsError):
        CaptureWriter(path, HEADER)
