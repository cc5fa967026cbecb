"""One second's volumes and prices side by side, and sums that follow behind them.

The columns of ``windows.py``: in memory 30 bytes for each symbol that traded in a second.
"""

from array import array
from collections.abc import Iterator

from msgspec import Struct, field


class Entry(Struct, gc=False):
    """One symbol's volume (in millionths) and last price in one second."""

    id: int
    volume: int
    close: float
    time: int
    sequence: int


class Columns:
    """What a second's symbols traded: one row a symbol, numbers side by side.

    ``times`` are ms within the second, -1 where no price is open/close-eligible; with
    ``sequences`` they say which of two prices is the later one.
    """

    __slots__ = ("closes", "ids", "places", "sequences", "times", "volumes")

    def __init__(self) -> None:
        self.places: dict[int, int] | None = None  # while a second is young: symbol -> row
        self.ids = array("i")
        self.volumes = array("q")
        self.closes = array("d")
        self.times = array("h")
        self.sequences = array("q")

    def append(self, entry: Entry) -> None:
        """Put a symbol in that is not there yet."""
        if self.places is not None:
            self.places[entry.id] = len(self.ids)
        self.ids.append(entry.id)
        self.volumes.append(entry.volume)
        self.closes.append(entry.close)
        self.times.append(entry.time)
        self.sequences.append(entry.sequence)

    def merge(self, entry: Entry) -> float:
        """Add to a symbol's row; of two prices the later counts, and is returned (0.0: none)."""
        at = self.find(entry.id)
        if at < 0:
            self.append(entry)
            return entry.close
        self.volumes[at] += entry.volume
        known = (self.times[at], self.sequences[at])
        if entry.time < 0 or (entry.time, entry.sequence) < known:
            return 0.0
        self.closes[at], self.times[at], self.sequences[at] = (
            entry.close,
            entry.time,
            entry.sequence,
        )
        return entry.close

    def replace(self, entry: Entry) -> int:
        """Put a symbol's row in place of the one before; returns by how much its volume grew."""
        at = self.find(entry.id)
        if at < 0:
            self.append(entry)
            return entry.volume
        before = self.volumes[at]
        self.volumes[at], self.closes[at] = entry.volume, entry.close
        return entry.volume - before

    def find(self, symbol_id: int) -> int:
        """Row of a symbol, -1 where it has none."""
        if self.places is not None:
            return self.places.get(symbol_id, -1)
        try:
            return self.ids.index(symbol_id)
        except ValueError:
            return -1


class Lag:
    """Sums and last prices of everything up to some seconds behind the cut, by symbol."""

    __slots__ = ("behind_s", "closes", "seconds", "volumes")

    def __init__(self, behind_s: int) -> None:
        self.behind_s = behind_s
        self.volumes: list[int] = []
        self.closes: list[float] = []
        self.seconds: list[int] = []

    def grow(self, close: float, second: int) -> None:
        """One more symbol; its last price, 0.0 where there is none."""
        self.volumes.append(0)
        self.closes.append(close)
        self.seconds.append(second)

    def pass_second(self, second: int, columns: Columns) -> None:
        """The next second is now behind."""
        volumes, closes, seconds = self.volumes, self.closes, self.seconds
        rows = zip(columns.ids, columns.volumes, columns.closes, columns.times)  # noqa: B905 - hot
        for i, volume, close, time in rows:
            volumes[i] += volume
            if time >= 0:
                closes[i] = close
                seconds[i] = second

    def amend(self, second: int, i: int, volume: int, close: float) -> None:
        """A second that is behind already has changed by a volume; its price, 0.0 for none."""
        self.volumes[i] += volume
        if close and second >= self.seconds[i]:
            self.closes[i] = close
            self.seconds[i] = second


class Arrivals(Struct, array_like=True, gc=False):
    """What came during one second, as it is stored: columns, one row for each entry.

    ``ages`` say how many seconds before that second each belongs. ``replaces``: an entry is
    a symbol's whole second (a provider's bar), not an addition to it.
    """

    replaces: bool = False
    ages: list[int] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    volumes: list[int] = field(default_factory=list)
    closes: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)

    def append(self, age: int, symbol: str, entry: Entry) -> None:
        """Put one entry in."""
        self.ages.append(age)
        self.symbols.append(symbol)
        self.volumes.append(entry.volume)
        self.closes.append(entry.close)
        self.times.append(entry.time)
        self.sequences.append(entry.sequence)

    def rows(self) -> Iterator[tuple[int, str, int, float, int, int]]:
        """Age, symbol, volume, close, time, sequence of each entry."""
        return zip(
            self.ages,
            self.symbols,
            self.volumes,
            self.closes,
            self.times,
            self.sequences,
            strict=True,
        )
