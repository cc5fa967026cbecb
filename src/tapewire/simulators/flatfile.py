"""``flatfile:PATH``: Massive's own flat files, and a writer of the same layout.

``PATH`` is one ``.csv`` or ``.csv.gz``, or a folder of them; a file's kind is told by its header
(massive.md, section 2: ``trades_v1``, ``quotes_v1``, ``minute_aggs_v1``), its day by its name.
Events go out in the order of ``sip_timestamp`` over all tickers, then of ``sequence_number``
(minute bars when their minute ends). The provider's files are ordered by ticker; what does not
fit into memory is sorted through temporary files.

The writer keeps a source's order within a millisecond by counting it in the nanoseconds, so
that what was written plays exactly as the source it was written from.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from tapewire.market.sessions import SessionCalendar
from tapewire.simulators.daily import DailyTally
from tapewire.simulators.flatfile_order import in_order
from tapewire.simulators.flatfile_rows import (
    NS_PER_MS,
    QUOTE_COLUMNS,
    TOPICS,
    TRADE_COLUMNS,
    FlatFile,
    events_of,
    kind_of,
)
from tapewire.simulators.sources import (
    DailyBar,
    Reference,
    Slice,
    Source,
    SourceError,
    TickerReference,
    TimedEvent,
    merge,
)

_DAY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.csv(\.gz)?")


class FlatFileSource:
    """One or more days of flat files, day after day."""

    whole_frames = False

    def __init__(self, path: Path) -> None:
        self.name = f"flatfile:{path}"
        self.files = sorted(_find(path), key=lambda file: (file.day, file.kind, file.path))
        if not self.files:
            raise SourceError(
                f"{path} holds no flat file; expected YYYY-MM-DD.csv or .csv.gz with the header of "
                "trades_v1, quotes_v1 or minute_aggs_v1"
            )
        self.topics = frozenset(TOPICS[file.kind] for file in self.files)
        self.symbols: frozenset[str] = frozenset()
        self.notes: Sequence[str] = ()
        self.dates: tuple[str, ...] = tuple(dict.fromkeys(file.day for file in self.files))
        self.reference: Reference = FlatFileReference(self.files)

    def slices(self) -> Iterator[Slice]:
        """Each day's files merged by their nanoseconds."""
        for _, files in groupby(self.files, key=lambda file: file.day):
            for events in merge(in_order(partial(events_of, file)) for file in files):
                yield [(time_ns // NS_PER_MS, topic, text) for time_ns, topic, text in events]


class FlatFileReference:
    """Daily bars from the trade files that lie beside those played. No float, no names."""

    def __init__(self, files: Sequence[FlatFile]) -> None:
        self._files = [file for file in files if file.kind == "trades"]
        self._today = min(file.day for file in files)
        self._bars: dict[str, dict[str, DailyBar]] = {}

    def tickers(self) -> Sequence[TickerReference]:
        """The tickers of the days whose bars have been asked for."""
        symbols = {symbol for bars in self._bars.values() for symbol in bars}
        return [TickerReference(symbol, symbol, "", None, None) for symbol in sorted(symbols)]

    def today(self) -> str:
        """The first day of the files."""
        return self._today

    def daily_bars(self, day: str) -> Mapping[str, DailyBar]:
        """Each ticker's bar of a day, from every file of that day beside those played."""
        if day not in self._bars:
            beside = {_beside(file.path, file.day, day) for file in self._files}
            files = [FlatFile(path, "trades", day) for path in sorted(beside) if path.is_file()]
            self._bars[day] = _daily_bars(files)
        return self._bars[day]


class _PricedTrade(msgspec.Struct):
    sym: str
    p: float
    s: int
    c: tuple[int, ...] = ()


_priced: Final = msgspec.json.Decoder(_PricedTrade).decode


def _daily_bars(files: Sequence[FlatFile]) -> dict[str, DailyBar]:
    tallies: dict[str, DailyTally] = {}
    calendar = SessionCalendar.load("XNYS")
    for file in files:
        day = calendar.day(file.day)
        for events in in_order(partial(events_of, file)):
            for time_ns, _, text in events:
                trade = _priced(text)
                tally = tallies.get(trade.sym)
                if tally is None:
                    tally = tallies[trade.sym] = DailyTally(day)
                tally.add(time_ns // 1_000_000, trade.p, trade.s, trade.c)
    bars = {symbol: tally.bar() for symbol, tally in tallies.items()}
    return {symbol: bar for symbol, bar in bars.items() if bar}


def _beside(path: Path, day: str, other: str) -> Path:
    """The file of another day: in the same folder, or where ``.../YYYY/MM/`` puts it."""
    name = path.name.replace(day, other)
    if path.absolute().parts[-3:-1] == (day[:4], day[5:7]):
        return path.absolute().parents[2] / other[:4] / other[5:7] / name
    return path.with_name(name)


def _find(path: Path) -> Iterator[FlatFile]:
    if not path.exists():
        raise SourceError(f"{path} does not exist; expected a flat file or a folder of them")
    for candidate in [path] if path.is_file() else sorted(path.rglob("*.csv*")):
        named = _DAY.fullmatch(candidate.name)
        kind = kind_of(candidate) if named else None
        if named and kind:
            yield FlatFile(candidate, kind, named[1])


def write_flat_files(source: Source, folder: Path) -> list[Path]:
    """Write a source's trades and quotes as ``{trades,quotes}_v1/YYYY/MM/YYYY-MM-DD.csv.gz``.

    Returns the files written, sorted. Raises FileExistsError rather than overwriting one.
    Other events (bars, LULD) have no place in these files and are left out.
    """
    with ExitStack() as files:
        writer = _Writer(folder, files)
        for events in source.slices():
            for event in events:
                writer.write(event)
    return sorted(writer.paths)


class _Writer:
    """Open files by day and kind, and the count of events within the present millisecond."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self._folder = folder
        self._files = files
        self._calendar = SessionCalendar.load("XNYS")
        self._rows: dict[tuple[str, str], Callable[[Sequence[object]], object]] = {}
        self._time_ms = -1
        self._within = 0
        self.paths: list[Path] = []

    def write(self, event: TimedEvent) -> None:
        time_ms, topic, text = event
        prefix = topic.partition(".")[0]
        if prefix not in _LAYOUTS:
            return
        self._within = self._within + 1 if time_ms == self._time_ms else 0
        self._time_ms = time_ms
        self._row(prefix, time_ms)(_ROWS[prefix](text, time_ms * NS_PER_MS + self._within))

    def _row(self, prefix: str, time_ms: int) -> Callable[[Sequence[object]], object]:
        day = self._calendar.trading_date(time_ms)
        if (prefix, day) not in self._rows:
            folder, columns = _LAYOUTS[prefix]
            path = self._folder / folder / day[:4] / day[5:7] / f"{day}.csv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            text: TextIO = self._files.enter_context(_new_text(path))
            row = self._rows[prefix, day] = csv.writer(text, lineterminator="\n").writerow
            row(columns)
            self.paths.append(path)
        return self._rows[prefix, day]


def _new_text(path: Path) -> TextIO:
    return gzip.open(path, "xt", compresslevel=1, encoding="ascii", newline="")


_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def _trade_row(text: str, time_ns: int) -> Sequence[object]:
    trade = _decode(text)
    conditions = ",".join(map(str, trade.get("c", ())))
    return (
        trade["sym"], conditions, 0, trade["x"], trade["i"], time_ns, trade["p"], trade["q"],
        time_ns, trade.get("ds", trade["s"]), trade["z"], trade.get("trfi", 0),
        time_ns if "trfi" in trade else 0,
    )  # fmt: skip


def _quote_row(text: str, time_ns: int) -> Sequence[object]:
    quote = _decode(text)
    indicators = ",".join(map(str, quote.get("i", ())))
    return (
        quote["sym"], quote.get("ax", 0), quote.get("ap", 0), quote.get("as", 0),
        quote.get("bx", 0), quote.get("bp", 0), quote.get("bs", 0), quote.get("c", 0), indicators,
        time_ns, quote["q"], time_ns, quote["z"], 0,
    )  # fmt: skip


_ROWS: Final = {"T": _trade_row, "Q": _quote_row}
_LAYOUTS: Final = {"T": ("trades_v1", TRADE_COLUMNS), "Q": ("quotes_v1", QUOTE_COLUMNS)}
