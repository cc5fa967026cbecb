"""A peak of the live market, made from recorded trades.

Each recorded trade, from 09:30 on, is cloned under made-up tickers until there are 1,000
of them; the clones of one trade follow each other. Event time is stamped anew so that it
runs at wall speed: one second of it per as many events as a second of the benchmark folds.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from benchmarks.frames import FramesError, Recording, framed, is_trade
from benchmarks.oracle import NEW_YORK

TICKERS: Final = 1_000

START: Final = timedelta(hours=9, minutes=30, seconds=57, milliseconds=500)
"""Event time begins here, so that a minute ends, and its candles close, within five seconds."""

_TICKER: Final = re.compile(rb'"sym"\s*:\s*"([^"]*)"')
_TIME: Final = re.compile(rb'"t"\s*:\s*\d+')


@dataclass(frozen=True)
class Original:
    """A recorded trade with its new time: its JSON, and the same decoded."""

    text: bytes
    trade: dict[str, Any]


@dataclass(frozen=True)
class Peak:
    """Trades to clone. ``clones`` is 1 where the recording has enough tickers of its own."""

    originals: list[Original]
    clones: int
    events_per_second: float
    """Events in one second of event time."""

    @property
    def count(self) -> int:
        """Events, clones included."""
        return len(self.originals) * self.clones

    def events(self) -> Iterator[bytes]:
        """Every event's JSON."""
        for original in self.originals:
            yield from self._clones(original)

    def _clones(self, original: Original) -> Iterator[bytes]:
        if self.clones == 1:
            yield original.text
            return
        symbol = original.trade["sym"]
        found = _TICKER.search(original.text)
        assert found is not None
        head, tail = original.text[: found.start(1)], original.text[found.end(1) :]
        for k in range(self.clones):
            yield b"%s%s%s" % (head, clone_name(symbol, k).encode(), tail)

    def frames(self) -> list[bytes]:
        """Frames of 100 events."""
        return list(framed(self.events()))


def clone_name(symbol: str, k: int) -> str:
    """``AIG`` and 7 -> ``AIG007``."""
    return f"{symbol}{k:03}"


def make_peak(recording: Recording, events: int, events_per_second: float) -> Peak:
    """About ``events`` events; fewer where the recording has fewer trades than that takes.

    Raises FramesError when it has none.
    """
    clones = max(1, TICKERS // max(1, len(_tickers(recording))))
    trades = _trades(recording)
    start_ms = 0.0
    originals: list[Original] = []
    for text, trade in trades:
        if not originals:
            start_ms = _start_ms(trade["t"])
        at_ms = int(start_ms + 1000 * len(originals) * clones / events_per_second)
        stamped = _TIME.sub(b'"t":%d' % at_ms, text, count=1)
        originals.append(Original(stamped, {**trade, "t": at_ms}))
        if len(originals) * clones >= events:
            break
    if not originals:
        raise FramesError(
            f"{recording.label}: there is no trade in them; expected events of type T"
        )
    return Peak(originals, clones, events_per_second)


def _tickers(recording: Recording) -> set[bytes]:
    found: set[bytes] = set()
    for frame in recording.frames:
        found.update(_TICKER.findall(frame))
        if len(found) > TICKERS:
            break
    return found


def _trades(recording: Recording) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Trades from 09:30 on; all of them where none is as late as that."""
    opened = False
    for text, trade in _decoded(recording):
        opened = opened or _since_midnight(trade["t"]) >= timedelta(hours=9, minutes=30)
        if opened:
            yield text, trade
    if not opened:
        yield from _decoded(recording)


def _decoded(recording: Recording) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for text in recording.events():
        event = json.loads(text)
        if is_trade(event):
            yield text, event


def _midnight(timestamp_ms: int) -> datetime:
    at = datetime.fromtimestamp(timestamp_ms / 1000, NEW_YORK)
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _since_midnight(timestamp_ms: int) -> timedelta:
    at = datetime.fromtimestamp(timestamp_ms / 1000, NEW_YORK)
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)


def _start_ms(timestamp_ms: int) -> float:
    return (_midnight(timestamp_ms) + START).timestamp() * 1000
