"""How a symbol's volume usually grows over the day: what ``relative_volume_tod`` divides by.

Each session leaves one curve a symbol: shares traded in each minute since the day's turn, of
the minutes in which it traded at all. The mean over the newest 20 sessions, up to and
including the current minute, is what a day is measured against (``components.md`` 4); below
five sessions there is none. Minutes count from the turn, so half days line up with full ones.

A curve is 3 to 5 bytes a minute: 500 bytes for a symbol that trades in 150 of them.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from datetime import date as calendar_date
from datetime import timedelta
from itertools import accumulate, islice
from typing import Final

from msgspec import Struct

from tapewire.analyzers.bars import SECOND_MS
from tapewire.analyzers.windows import MICRO
from tapewire.market.sessions import MINUTE_MS, TradingDay

MOST_SESSIONS: Final = 20
FEWEST_SESSIONS: Final = 5
DAYS_BACK: Final = 45
"""Calendar days in which the newest 20 sessions are looked for; curves live as long."""

AT_ONCE: Final = 100
"""Baselines made ready in one second of event time: bounds a cut (about 30 ms)."""

LOST_MS: Final = 60 * SECOND_MS
"""A session in which more event time than this was lost is no measure for others."""

PREFIX: Final = "volume_curves:"
INCOMPLETE: Final = ""
"""Field of a date's hash: this session was not seen whole."""

_GAP: Final = 255
_CODES: Final = {2: "H", 4: "I", 8: "Q"}


class Curve:
    """One symbol's shares by minute since the turn, as it is packed."""

    __slots__ = ("gaps", "last", "volumes")

    def __init__(self) -> None:
        self.last = 0
        self.gaps = bytearray()
        self.volumes = array("H")

    def add(self, minute: int, volume: int) -> None:
        """Append a minute later than all before it."""
        while minute - self.last > _GAP:
            self.add(self.last + _GAP, 0)
        if volume >= 1 << 8 * self.volumes.itemsize:
            self.volumes = array(_CODES[4 if volume < 1 << 32 else 8], self.volumes)
        self.gaps.append(minute - self.last)
        self.volumes.append(volume)
        self.last = minute

    def pack(self) -> bytes:
        """One byte that says how wide a volume is, distances of minutes, volumes.

        A distance is a byte, so a long one goes through minutes without volume. A volume has
        2, 4 or 8 bytes, little end first.
        """
        volumes = _little(self.volumes)
        return bytes((volumes.itemsize,)) + self.gaps + volumes.tobytes()

    @classmethod
    def read(cls, packed: bytes) -> "Curve":
        """Read ``pack`` back. Raises ValueError that says what was found instead."""
        width = packed[0] if packed else 0
        if width not in _CODES or (len(packed) - 1) % (1 + width):
            raise ValueError(f"{len(packed)} bytes beginning with {width} are no volume curve")
        curve = cls()
        split = 1 + (len(packed) - 1) // (1 + width)
        curve.gaps += packed[1:split]
        curve.volumes = array(_CODES[width])
        curve.volumes.frombytes(packed[split:])
        curve.volumes = _little(curve.volumes)
        curve.last = sum(curve.gaps)
        return curve

    def rows(self) -> Iterator[tuple[int, int]]:
        """Minute and volume, in order."""
        return zip(accumulate(self.gaps), self.volumes, strict=True)


def encode_curve(cumulative: Mapping[int, int]) -> bytes:
    """Pack what reference data gives: minute since the turn -> shares traded by its end."""
    curve, before = Curve(), 0
    for minute in sorted(cumulative):
        curve.add(minute, cumulative[minute] - before)
        before = cumulative[minute]
    return curve.pack()


def _little(values: "array[int]") -> "array[int]":
    if sys.byteorder == "little":
        return values
    swapped = array(values.typecode, values)
    swapped.byteswap()
    return swapped


class Baseline(Struct, gc=False):
    """The sum of some sessions' curves, and how far a day has come along it."""

    sessions: int
    minutes: "array[int]"
    volumes: "array[int]"
    at: int = 0
    total: int = 0

    @classmethod
    def of(cls, curves: Iterable[bytes]) -> "Baseline":
        """Add curves up."""
        sums: dict[int, int] = {}
        sessions = 0
        for packed in curves:
            sessions += 1
            for minute, volume in Curve.read(packed).rows():
                sums[minute] = sums.get(minute, 0) + volume
        minutes = sorted(sums)
        code = "I" if max(sums.values(), default=0) < 1 << 32 else "Q"
        return cls(sessions, array("H", minutes), array(code, [sums[m] for m in minutes]))

    def reach(self, minute: int) -> bool:
        """Let the day come to a minute, which counts whole; whether the mean grew."""
        at = before = self.at
        minutes = self.minutes
        while at < len(minutes) and minutes[at] <= minute:
            self.total += self.volumes[at]
            at += 1
        self.at = at
        return at != before


Curves = dict[str, bytes]
"""Symbol -> packed curve."""


class VolumeCurves:
    """Curves of earlier sessions, today's, and the means; ``Windows`` tells it what settled."""

    def __init__(self) -> None:
        self._history: dict[str, Curves] = {}
        self._warm: dict[str, Curves] = {}
        self._baselines: dict[str, Baseline] = {}
        self._unready: dict[str, None] = {}
        self._owed: list[str] = []
        self._unwritten: dict[str, Curves] = {}
        self._second_ms = -1
        self._begin("", 0, is_session=False)

    def begin(self, day: TradingDay, second_ms: int) -> None:
        """A trading day begins for us in this second.

        After the open it is too late: what the session had traded before is not known.
        """
        self._keep_day()
        self._begin(day.date, day.turn_ms, is_session=day.is_session)
        self._second_ms = second_ms
        if day.is_session and second_ms >= day.open_ms:
            self._is_whole = False
            self._unwritten.setdefault(day.date, {})[INCOMPLETE] = b""
        self._prepare()

    def _begin(self, date: str, turn_ms: int, *, is_session: bool) -> None:
        self._date, self._turn_ms, self._is_session = date, turn_ms, is_session
        self._is_whole = is_session
        self._filling: dict[str, int] = {}
        self._filling_minute = -1
        self._today: dict[str, Curve] = {}
        self._changed: set[str] = set()

    def _keep_day(self) -> None:
        """The day that ends becomes history, and what was not written yet still will be."""
        self._finish_minute()
        self._put_unwritten()
        if self._is_whole and self._today:
            packed = {symbol: curve.pack() for symbol, curve in self._today.items()}
            self._history[self._date] = packed

    def _prepare(self) -> None:
        """Begin the day's means anew."""
        self._baselines, self._unready = {}, {}
        oldest = first_date(self._date)
        for kept in (self._history, self._warm):
            for past in [past for past in kept if past < oldest]:
                del kept[past]
            for curves in kept.values():
                self._unready.update(dict.fromkeys(curves))

    def warm(self, date: str, symbol: str, packed: bytes) -> None:
        """Take in a curve of a session that was not seen here (``encode_curve``)."""
        self._warm.setdefault(date, {})[symbol] = packed
        self._unready[symbol] = None

    def lose(self, day: TradingDay, from_ms: int, to_ms: int) -> None:
        """Events between these times never came: a session with a long hole is no measure."""
        lost_ms = min(to_ms, day.close_ms) - max(from_ms, day.open_ms)
        if self._is_whole and lost_ms > LOST_MS:
            self._is_whole = False
            self._unwritten.setdefault(day.date, {})[INCOMPLETE] = b""

    def settle(self, second: int, symbols: Iterable[str], volumes: Iterable[int]) -> None:
        """Add a second that can no longer change; volumes in millionths of a share."""
        minute = (second * SECOND_MS - self._turn_ms) // MINUTE_MS
        if minute != self._filling_minute:
            self._finish_minute()
            self._filling_minute = minute
        filling = self._filling
        for symbol, volume in zip(symbols, volumes, strict=True):
            if volume:
                filling[symbol] = filling.get(symbol, 0) + volume

    def close(self, before: int) -> None:
        """Every minute before this unix second has ended."""
        if self._turn_ms + (self._filling_minute + 1) * MINUTE_MS <= before * SECOND_MS:
            self._finish_minute()

    def _finish_minute(self) -> None:
        filling, self._filling = self._filling, {}
        if not self._is_session:
            return
        for symbol, micro in filling.items():
            curve = self._today.get(symbol)
            if curve is None:
                curve = self._today[symbol] = Curve()
            curve.add(self._filling_minute, round(micro / MICRO))
        self._changed.update(filling)

    def clock(self, second_ms: int) -> set[str]:
        """Event time stands in this second; returns the symbols whose mean is another now."""
        passed = (second_ms - self._second_ms) // SECOND_MS
        before = (self._second_ms - self._turn_ms) // MINUTE_MS
        self._second_ms = second_ms
        minute = (second_ms - self._turn_ms) // MINUTE_MS
        moved = set()
        if minute != before:
            baselines = self._baselines.items()
            moved = {symbol for symbol, baseline in baselines if baseline.reach(minute)}
        if self._unready:
            moved.update(self._make_ready(AT_ONCE * max(1, passed), minute))
        return moved

    def want(self, symbols: Iterable[str]) -> None:
        """Let these come first when baselines are made ready."""
        first = {symbol: None for symbol in symbols if symbol in self._unready}
        self._unready = first | self._unready

    def _make_ready(self, most: int, minute: int) -> list[str]:
        ready = list(islice(self._unready, most))
        for symbol in ready:
            del self._unready[symbol]
            curves = self._curves_of(symbol)
            if len(curves) >= FEWEST_SESSIONS:
                baseline = self._baselines[symbol] = Baseline.of(curves)
                baseline.reach(minute)
        return ready

    def _curves_of(self, symbol: str) -> list[bytes]:
        """A symbol's newest curves of sessions before today, our own before those told us."""
        found: list[bytes] = []
        for date in sorted(self._history.keys() | self._warm.keys(), reverse=True):
            if date < self._date and len(found) < MOST_SESSIONS:
                for kept in (self._history, self._warm):
                    packed = kept.get(date, _NONE).get(symbol)
                    if packed is not None:
                        found.append(packed)
                        break
        return found

    def relative(self, symbol: str, volume: float) -> float | None:
        """A volume over the mean at this minute; None below five sessions, or at a mean of 0."""
        baseline = self._baselines.get(symbol)
        if baseline is None or not baseline.total:
            return None
        return volume * baseline.sessions / baseline.total

    def drain(self) -> dict[str, Curves]:
        """Private state: the curves that grew since the last drain, by hash and symbol."""
        self._put_unwritten()
        if self._owed:
            date = self._owed.pop()
            self._unwritten.setdefault(date, {}).update(self._history.get(date, _NONE))
        unwritten, self._unwritten = self._unwritten, {}
        return {f"{PREFIX}{date}": curves for date, curves in unwritten.items()}

    def _put_unwritten(self) -> None:
        if self._changed:
            packed = {symbol: self._today[symbol].pack() for symbol in self._changed}
            self._unwritten.setdefault(self._date, {}).update(packed)
            self._changed = set()

    def renew(self) -> None:
        """Make the coming drains write everything: today's curves, then a session each."""
        self._changed.update(self._today)
        if self._is_session and not self._is_whole:
            self._unwritten.setdefault(self._date, {})[INCOMPLETE] = b""
        self._owed = sorted(self._history)

    def restore(
        self, day: TradingDay, second_ms: int, stored: Mapping[str, Mapping[str, bytes]]
    ) -> None:
        """Continue in the middle of a day from the private hashes (``hashes``)."""
        self._begin(day.date, day.turn_ms, is_session=day.is_session)
        self._second_ms = second_ms
        for name, curves in stored.items():
            date = name.removeprefix(PREFIX)
            is_whole = INCOMPLETE not in curves
            if date == day.date:
                self._is_whole = self._is_session and is_whole
                self._today = {s: Curve.read(packed) for s, packed in curves.items() if s}
            elif is_whole and curves:
                self._history[date] = dict(curves)
        self._prepare()


_NONE: Final[Mapping[str, bytes]] = {}


def hashes(date: str) -> list[str]:
    """Private hashes that ``restore`` needs on a trading date."""
    return [f"{PREFIX}{past}" for past in _dates(date)]


def first_date(date: str) -> str:
    """The oldest date whose curves count on a trading date."""
    return _dates(date)[-1]


def _dates(date: str) -> list[str]:
    """A trading date and those before it in which sessions are looked for, newest first."""
    newest = calendar_date.fromisoformat(date)
    return [(newest - timedelta(days=back)).isoformat() for back in range(DAYS_BACK + 1)]
