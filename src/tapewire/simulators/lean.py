"""``lean:PATH``: recorded US equity ticks in LEAN's file layout, as the provider's events.

``PATH`` is one zip or a folder of them, searched through; symbol and day come from the path
(``.../aig/20131007_trade.zip``). Rows become Massive events by the tables below: exchange
letters and condition flags to ids, rows of bids and asks to quotes.
Sequence numbers and trade ids are made up: 1, 2, 3, ... per ticker, day and kind.

Reading is the cheapest thing that works, since replay speed hangs on it: rows are split, never
converted to numbers where the text will do, and everything that repeats (exchange with
conditions, prices) is rendered once.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from itertools import count, groupby
from pathlib import Path
from typing import Final, NamedTuple

from tapewire.market.sessions import SessionCalendar
from tapewire.simulators.daily import DailyTally
from tapewire.simulators.sources import (
    DailyBar,
    Reference,
    Slice,
    SourceError,
    TickerReference,
    TimedEvent,
    merge,
)

EXCHANGES: Final = {
    "A": 1, "B": 2, "C": 3, "D": 4, "J": 7, "K": 8, "M": 9, "N": 10, "P": 11, "Q": 12, "T": 12,
    "W": 16, "X": 17, "Y": 18, "Z": 19,
}  # fmt: skip
"""Exchange letter -> Massive's exchange id."""

TAPES: Final = {"SPY": 2, "AIG": 1, "BAC": 1, "IBM": 1}
"""Ticker -> tape (1 NYSE, 2 NYSE American and Arca, 3 Nasdaq); others are taken for tape 1."""

REGULAR: Final = 0
_TAPE_C: Final = 3
_FINRA: Final = 4

# Flag bit -> condition id: (on tapes A and B, on tape C). Bit 30 has no counterpart.
CONDITIONS: Final[Mapping[int, tuple[int, int]]] = {
    0: (REGULAR, REGULAR), 1: (7, 7), 2: (20, 20), 3: (29, 29), 4: (36, 36), 5: (14, 14),
    6: (17, 25), 7: (19, 8), 8: (18, 28), 9: (10, 10), 10: (12, 12), 11: (30, 30), 12: (27, 27),
    13: (12, 12), 14: (32, 32), 15: (34, 34), 16: (1, 1), 17: (4, 4), 18: (35, 35), 19: (11, 11),
    20: (2, 2), 21: (9, 9), 22: (21, 21), 23: (23, 23), 24: (15, 15), 25: (22, 22), 26: (16, 16),
    27: (6, 6), 28: (3, 3), 29: (41, 41), 31: (37, 37),
}  # fmt: skip

_PATH: Final = re.compile(r"(?P<date>\d{8})_(?P<kind>trade|quote)\.zip")
_TICK_COLUMNS: Final = (6, 8)  # trades, quotes
_SLICE_BYTES: Final = 262_144


def conditions_of(flags: int, tape: int) -> tuple[int, ...]:
    """LEAN's condition flags as Massive's condition ids, ascending by flag bit.

    Regular standing alone is the empty tuple: the wire then has no ``c`` at all.
    """
    column = 1 if tape == _TAPE_C else 0
    ids = dict.fromkeys(ids[column] for bit, ids in CONDITIONS.items() if flags >> bit & 1)
    return () if tuple(ids) == (REGULAR,) else tuple(ids)


class TickFile(NamedTuple):
    """One recorded file: what its path says, and where it lies."""

    path: Path
    symbol: str
    day: str
    kind: str

    @property
    def tape(self) -> int:
        """The ticker's tape."""
        return TAPES.get(self.symbol, 1)

    def sibling(self, day: str) -> TickFile:
        """The same ticker's file of another ISO date, which need not exist."""
        path = self.path.with_name(f"{day.replace('-', '')}_{self.kind}.zip")
        return self._replace(path=path, day=day)


class _Tails(dict[str, str]):
    """``"D,20000020,0"`` (a trade row's end) -> the rest of its JSON up to the time stamp."""

    def __init__(self, tape: int) -> None:
        super().__init__()
        self._tape = tape

    def __missing__(self, columns: str) -> str:
        letter, flags = columns.split(",")[:2]
        exchange = _exchange_id(letter)
        conditions = conditions_of(int(flags, 16), self._tape)
        text = f',"x":{exchange},"z":{self._tape}'
        if conditions:
            text += f',"c":[{",".join(map(str, conditions))}]'
        if exchange == _FINRA:
            text += f',"trfi":{201 + int(flags, 16) % 2}'
        self[columns] = tail = text + ',"t":'
        return tail


class _Prices(dict[str, str]):
    """A price in 1/10000 dollar, as text -> the JSON number in dollars."""

    def __missing__(self, ten_thousandths: str) -> str:
        self[ten_thousandths] = dollars = repr(int(ten_thousandths) / 10_000)
        return dollars


def _exchange_id(letter: str) -> int:
    try:
        return EXCHANGES[letter]
    except KeyError:
        raise SourceError(
            f"exchange letter {letter!r} has no id; known are {' '.join(sorted(EXCHANGES))}"
        ) from None


@cache
def midnight_ms(day: str) -> int:
    """Milliseconds UTC of the New York midnight that begins an ISO date."""
    return SessionCalendar.load("XNYS").day(day).turn_ms - 4 * 3_600_000


def _chunks(file: TickFile) -> Iterator[list[str]]:
    """The rows of a recorded file, some thousand at a time."""
    with zipfile.ZipFile(file.path) as archive:
        content = archive.read(archive.namelist()[0])
    start = 0
    while start < len(content):
        end = content.find(b"\n", start + _SLICE_BYTES) + 1 or len(content)
        yield content[start:end].decode("ascii").split()
        start = end


def trade_slices(file: TickFile) -> Iterator[Slice]:
    """A trade file's events in the order recorded."""
    base = midnight_ms(file.day)
    topic = f"T.{file.symbol}"
    head = f'{{"ev":"T","sym":"{file.symbol}","i":"'
    tails, prices, sequence = _Tails(file.tape), _Prices(), count(1)
    for rows in _chunks(file):
        columns = [row.split(",", 3) for row in rows]
        yield [
            (
                (time := base + int(ms)),
                topic,
                f'{head}{number}","p":{prices[price]},"s":{size}{tails[tail]}{time},"q":{number}}}',
            )
            for (ms, price, size, tail), number in zip(columns, sequence, strict=False)
        ]


def quote_slices(file: TickFile) -> Iterator[Slice]:
    """National best bids and offers from a quote file: one event per change.

    The rows are the national best as it changed, each with the exchange that set it, usually a
    bid row and an ask row of one moment, which make one event. (Taken as each exchange's own best
    they would be crossed all day, since nothing withdraws an exchange's earlier price; taken
    as the national best, 96 % of AIG's are one cent wide.) A side that nobody has quoted yet is
    absent. Sizes are as recorded. Conditions are sent as 0, regular, like all but a few of them.
    """
    book = _Book(file, midnight_ms(file.day))
    for rows in _chunks(file):
        yield list(book.fold(rows))
    yield list(book.flush())


class _Book:
    """The national best of one ticker, and how its changes are written."""

    def __init__(self, file: TickFile, base_ms: int) -> None:
        self._base = base_ms
        self._topic = f"Q.{file.symbol}"
        self._head = f'{{"ev":"Q","sym":"{file.symbol}"'
        self._tail = f',"c":0,"z":{file.tape}'
        self._bid = self._ask = ""
        self._bids, self._asks = _Sides("b"), _Sides("a")
        self._changed_at = ""
        self._awaiting = ""  # when the row before was a bid: its time, at which its ask is due
        self._sequence = 0

    def fold(self, rows: list[str]) -> Iterator[TimedEvent]:
        """The quotes that are complete after these rows; the last one may wait for its ask."""
        bids, asks = self._bids, self._asks
        for row in rows:
            ms, bid, bid_size, ask, ask_size, exchange, _ = row.split(",", 6)
            is_bid = ask == "0"
            if self._changed_at and (is_bid or self._awaiting != ms):
                yield self._quote()
            if is_bid:
                before, self._bid = self._bid, bids[bid, bid_size, exchange]
                changed = before is not self._bid
            else:
                before, self._ask = self._ask, asks[ask, ask_size, exchange]
                changed = before is not self._ask
            if changed:
                self._changed_at = ms
            self._awaiting = ms if is_bid else ""

    def flush(self) -> Iterator[TimedEvent]:
        """The quote that still waits when the file ends."""
        if self._changed_at:
            yield self._quote()

    def _quote(self) -> TimedEvent:
        time = self._base + int(self._changed_at)
        self._changed_at = ""
        self._sequence = number = self._sequence + 1
        text = f'{self._head}{self._bid}{self._ask}{self._tail},"t":{time},"q":{number}}}'
        return time, self._topic, text


class _Sides(dict[tuple[str, str, str], str]):
    """One side's price, size and exchange letter -> its JSON, the same object every time."""

    def __init__(self, side: str) -> None:
        super().__init__()
        self._side = side

    def __missing__(self, columns: tuple[str, str, str]) -> str:
        price, size, letter = columns
        side, dollars = self._side, repr(int(price) / 10_000)
        text = f',"{side}x":{_exchange_id(letter)},"{side}p":{dollars},"{side}s":{size}'
        self[columns] = text
        return text


_READERS: Final = {"trade": trade_slices, "quote": quote_slices}
_TOPICS: Final = {"trade": "T", "quote": "Q"}


class LeanSource:
    """Recorded trades and quotes of one or more tickers, day after day."""

    whole_frames = False

    def __init__(self, path: Path) -> None:
        self.name = f"lean:{path}"
        files, bars = _find(path)
        if not files:
            raise SourceError(
                f"{path} holds no recorded ticks; expected <symbol>/<yyyymmdd>_trade.zip or "
                f"_quote.zip{f', found only {len(bars)} files of bars' if bars else ''}"
            )
        self.files = sorted(files, key=lambda file: (file.day, file.kind, file.symbol))
        self.topics = frozenset(_TOPICS[file.kind] for file in files)
        self.symbols = frozenset(file.symbol for file in files)
        self.notes: Sequence[str] = (
            [f"{len(bars)} files of bars under {path} are not played"] if bars else []
        )
        self.dates: tuple[str, ...] = tuple(dict.fromkeys(file.day for file in self.files))
        self.reference: Reference = LeanReference(self.files)

    def slices(self) -> Iterator[Slice]:
        """Each day's files merged by time; within a millisecond quotes first, then by ticker."""
        for _, files in groupby(self.files, key=lambda file: file.day):
            yield from merge(_READERS[file.kind](file) for file in files)


class LeanReference:
    """Daily bars computed from the ticks that lie beside the files played. No float, no names."""

    def __init__(self, files: Sequence[TickFile]) -> None:
        self._trades = {file.symbol: file._replace(kind="trade") for file in files}
        self._today = min(file.day for file in files)
        self._bars: dict[str, dict[str, DailyBar]] = {}

    def tickers(self) -> Sequence[TickerReference]:
        """The tickers of the files, each named by its symbol."""
        return [TickerReference(s, s, "", None, None) for s in sorted(self._trades)]

    def today(self) -> str:
        """The first day recorded."""
        return self._today

    def daily_bars(self, day: str) -> Mapping[str, DailyBar]:
        """Each ticker's regular bar of a day whose trade file exists; read once, then kept."""
        if day not in self._bars:
            files = [file.sibling(day) for file in self._trades.values()]
            bars = {file.symbol: daily_bar(file) for file in files if file.path.is_file()}
            self._bars[day] = {symbol: bar for symbol, bar in bars.items() if bar}
        return self._bars[day]


def daily_bar(file: TickFile) -> DailyBar | None:
    """A session's official bar from a trade file; None without an eligible trade."""
    tally = DailyTally(SessionCalendar.load("XNYS").day(file.day))
    conditions, base = _Conditions(file.tape), midnight_ms(file.day)
    for rows in _chunks(file):
        for row in rows:
            ms, price, size, tail = row.split(",", 3)
            tally.add(base + int(ms), int(price) / 10_000, int(size), conditions[tail])
    return tally.bar()


class _Conditions(dict[str, tuple[int, ...]]):
    """A trade row's end -> the trade's condition ids."""

    def __init__(self, tape: int) -> None:
        super().__init__()
        self._tape = tape

    def __missing__(self, columns: str) -> tuple[int, ...]:
        self[columns] = ids = conditions_of(int(columns.split(",")[1], 16), self._tape)
        return ids


def _find(path: Path) -> tuple[list[TickFile], list[Path]]:
    """The tick files of a path, and the files of bars among them."""
    if not path.exists():
        raise SourceError(f"{path} does not exist; expected a recorded zip or a folder of them")
    candidates = [path] if path.is_file() else sorted(path.rglob("*.zip"))
    files: list[TickFile] = []
    bars: list[Path] = []
    for candidate in candidates:
        named = _PATH.fullmatch(candidate.name)
        if named is None:
            continue
        if not _holds_ticks(candidate):
            bars.append(candidate)
            continue
        symbol = candidate.absolute().parent.name.upper()
        day = date.fromisoformat(named["date"]).isoformat()
        files.append(TickFile(candidate, symbol, day, named["kind"]))
    return files, bars


def _holds_ticks(path: Path) -> bool:
    """Whether the first row has an exchange letter where ticks have it (bars have a price)."""
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as rows:
        columns = rows.readline().decode("ascii", "replace").strip().split(",")
    return len(columns) in _TICK_COLUMNS and columns[-3].isalpha()
