"""``capture:PATH``: what our own listener captured, frame by frame, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tapewire.market.sessions import SessionCalendar
from tapewire.providers.capture import CaptureReader, Frame
from tapewire.simulators.sources import (
    WHOLE_FRAME,
    NoReference,
    Reference,
    Slice,
    SourceError,
    TimedEvent,
)

_FRAMES_PER_SLICE: Final = 256


class _Kind(msgspec.Struct):
    ev: str


_kinds: Final = msgspec.json.Decoder(list[_Kind]).decode


class CaptureSource:
    """The frames of a capture in the order received, paced on their receive times.

    Frames that hold nothing but statuses are left out: the simulator greets and acknowledges
    itself. A frame that cannot be read as events is played as it came. Subscriptions decide
    only whether a client gets the frames, not what is in them.
    """

    whole_frames = True

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(f"{path} does not exist; expected a file written by tapewire capture")
        self._reader = CaptureReader(path)
        subscriptions = self._reader.header.subscriptions
        first = next(iter(self._reader), None)
        self.name = f"capture:{path}"
        self.topics = frozenset(topic.partition(".")[0] for topic in subscriptions)
        tickers = {topic.partition(".")[2] for topic in subscriptions}
        self.symbols = frozenset() if "*" in tickers else frozenset(tickers)
        self.notes: Sequence[str] = () if first else (f"{path} holds no frames",)
        self.dates: tuple[str, ...] = (_trading_date(first),)
        self.reference: Reference = NoReference(self.dates[0])

    def slices(self) -> Iterator[Slice]:
        """All frames with data; a note tells of a cut tail once it has been reached."""
        events: Slice = []
        for frame in self._reader:
            if not _is_status_only(frame.data):
                events.append(_event(frame))
            if len(events) >= _FRAMES_PER_SLICE:
                yield events
                events = []
        if self._reader.cut_bytes:
            self.notes = (f"{self.name}: the last {self._reader.cut_bytes} bytes are cut off",)
        if events:
            yield events


def _event(frame: Frame) -> TimedEvent:
    text = frame.data.decode("utf-8", "surrogateescape")
    return frame.received_ns // 1_000_000, WHOLE_FRAME, text


def _is_status_only(frame: bytes) -> bool:
    if b'"status"' not in frame:
        return False
    try:
        return all(event.ev == "status" for event in _kinds(frame))
    except msgspec.DecodeError:
        return False


def _trading_date(first: Frame | None) -> str:
    received_ms = first.received_ns // 1_000_000 if first else 0
    calendar = SessionCalendar.load("XNYS")
    return calendar.trading_date(max(received_ms, calendar.first_ms))
