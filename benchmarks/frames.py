"""What the benchmarks feed: the provider's frames, recorded, generated or from a file.

The default is one recorded day (7 October 2013: AIG, BAC, IBM, SPY), its trades in frames
of 100 as the provider sends them. Where the recorded data is absent a generated day in the
same layout stands in, and says so.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tapewire.providers.capture import CaptureReader, NotACaptureError
from tapewire.simulators.lean import LeanSource, trade_slices
from tapewire.simulators.sources import merge, text_of
from tests.generated_day import write_generated_day

DATE: Final = "2013-10-07"
FRAME_EVENTS: Final = 100
MIN_MS, MAX_MS = 946_684_800_000, 4_102_444_800_000  # 2000 to 2100
PROJECT: Final = Path(__file__).resolve().parent.parent


class FramesError(ValueError):
    """A file of frames that holds none; the message says what was expected."""


@dataclass(frozen=True)
class Recording:
    """Frames as the provider sent them, in order.

    ``label`` says in words where they are from. ``lean`` is the folder that holds
    ``lean/tick`` when they are one whole day of it, None for frames from a file.
    """

    label: str
    frames: list[bytes]
    lean: Path | None = None

    def events(self) -> Iterator[bytes]:
        """Every event's own JSON, in order; what is no event of a JSON array is left out."""
        for frame in self.frames:
            yield from events_of(frame)


def load(file: Path | None, folder: Path) -> Recording:
    """The frames of ``file``, else the recorded day, else one generated in ``folder``."""
    if file is not None:
        return from_file(file)
    shared = Path(os.environ.get("TAPEWIRE_SHARED") or PROJECT.parent / "shared")
    if (shared / "data" / "lean" / "tick").is_dir():
        return of_day(shared, f"recorded trades of {DATE}")
    return of_day(write_generated_day(folder), f"generated trades (no recorded data in {shared})")


def of_day(shared: Path, label: str) -> Recording:
    """All trades of ``DATE`` below ``shared/data/lean``, merged by time, 100 a frame."""
    files = LeanSource(shared / "data" / "lean" / "tick").files
    slices = merge(
        trade_slices(file) for file in files if file.kind == "trade" and file.day == DATE
    )
    texts = (text_of(event).encode() for events in slices for event in events)
    return Recording(label, list(framed(texts)), shared / "data")


def from_file(path: Path) -> Recording:
    """Frames of a raw capture, or of a text file with one JSON frame a line.

    Raises FramesError when there is no frame in it.
    """
    try:
        frames = [frame.data for frame in CaptureReader(path)]
    except NotACaptureError:
        lines = (line.strip() for line in path.read_bytes().splitlines())
        frames = [line for line in lines if line]
    if not any(frame.lstrip().startswith(b"[") for frame in frames):
        raise FramesError(
            f"{path} holds no frames; expected a raw capture, or one JSON array of events a line"
        )
    return Recording(f"frames of {path.name}", frames)


def framed(events: Iterable[bytes], size: int = FRAME_EVENTS) -> Iterator[bytes]:
    """JSON arrays of ``size`` events; the last may hold fewer."""
    remaining = iter(events)
    while chunk := list(islice(remaining, size)):
        yield b"[" + b",".join(chunk) + b"]"


_read_one = json.JSONDecoder().raw_decode


def events_of(frame: bytes) -> list[bytes]:
    """The raw JSON of a frame's events; empty for what is not a JSON array of objects."""
    try:
        text = frame.decode()
        return [text[start:end].encode() for start, end in _spans(text)]
    except (UnicodeDecodeError, ValueError):
        return []


def _spans(text: str) -> Sequence[tuple[int, int]]:
    """Where each element of a JSON array begins and ends."""
    at = _skip(text, 0, "[")
    spans = []
    while not text.startswith("]", at):
        _, end = _read_one(text, at)
        spans.append((at, end))
        at = _after_blanks(text, end)
        if not text.startswith("]", at):
            at = _skip(text, at, ",")
    return spans


def _skip(text: str, at: int, sign: str) -> int:
    at = _after_blanks(text, at)
    if not text.startswith(sign, at):
        raise ValueError(f"expected {sign!r} at {at}")
    return _after_blanks(text, at + 1)


def _after_blanks(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def is_trade(event: Any) -> bool:
    """Whether a decoded event is a trade whose fields can be used."""
    return (
        isinstance(event, dict)
        and event.get("ev") == "T"
        and isinstance(event.get("sym"), str)
        and isinstance(event.get("t"), int)
        and MIN_MS <= event["t"] < MAX_MS
        and isinstance(event.get("s"), int | float)
        and isinstance(event.get("p"), int | float)
        and event["p"] > 0
    )
