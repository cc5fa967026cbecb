"""Rows of Massive's flat files as the events of its WebSocket, field by field.

Headers are those of massive.md, section 2, and of the provider's ``quotes_v1`` files. Columns may
come in any order, and more of them. Prices go out as they are written.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from tapewire.simulators.flatfile_order import SequencedEvent
from tapewire.simulators.sources import SourceError

NS_PER_MS: Final = 1_000_000
MINUTE_NS: Final = 60_000 * NS_PER_MS

TRADE_COLUMNS: Final = (
    "ticker", "conditions", "correction", "exchange", "id", "participant_timestamp", "price",
    "sequence_number", "sip_timestamp", "size", "tape", "trf_id", "trf_timestamp",
)  # fmt: skip
QUOTE_COLUMNS: Final = (
    "ticker", "ask_exchange", "ask_price", "ask_size", "bid_exchange", "bid_price", "bid_size",
    "conditions", "indicators", "participant_timestamp", "sequence_number", "sip_timestamp",
    "tape", "trf_timestamp",
)  # fmt: skip
BAR_COLUMNS: Final = (
    "ticker", "volume", "open", "close", "high", "low", "window_start", "transactions",
)  # fmt: skip

_NOT_SENT: Final = frozenset({"correction", "participant_timestamp", "trf_timestamp"})
_TRADE_FIELDS: Final = frozenset(TRADE_COLUMNS) - _NOT_SENT
_QUOTE_FIELDS: Final = frozenset(QUOTE_COLUMNS) - _NOT_SENT
_ABSENT: Final = frozenset({"", "0", "0.0"})

Row = Sequence[str]


class FlatFile(NamedTuple):
    """One flat file: what its header and its name say."""

    path: Path
    kind: str
    day: str


def open_text(path: Path) -> TextIO:
    """The file's text, unpacked when it is gzip."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="ascii", newline="")
    return path.open(encoding="ascii", newline="")


def columns_of(header: Row, names: Sequence[str]) -> list[int]:
    """Where each named column is; the header may have them in any order, and more."""
    return [header.index(name) for name in names]


def _numbers(text: str) -> str:
    """A list cell (``12,41``, quoted in the file) as a JSON array's inside; empty for none."""
    return text.strip("[]").replace(" ", "")


class _Trades:
    """Rows of ``trades_v1`` as T events."""

    def __init__(self, header: Row) -> None:
        self._at = columns_of(header, [c for c in TRADE_COLUMNS if c in _TRADE_FIELDS])

    def __call__(self, row: Row) -> SequencedEvent:
        ticker, conditions, exchange, id_, price, sequence, sip, size, tape, trf = (
            row[at] for at in self._at
        )
        time_ns = int(sip)
        shares, _, fraction = size.partition(".")
        more = f',"c":[{_numbers(conditions)}]' if conditions else ""
        if fraction.strip("0"):
            more += f',"ds":"{size}"'
        if trf not in _ABSENT:
            more += f',"trfi":{trf}'
        text = (
            f'{{"ev":"T","sym":"{ticker}","i":"{id_}","p":{price},"s":{shares},"x":{exchange},'
            f'"z":{tape}{more},"t":{time_ns // NS_PER_MS},"q":{sequence}}}'
        )
        return time_ns, int(sequence), f"T.{ticker}", text


class _Quotes:
    """Rows of ``quotes_v1`` as Q events; a side without a price is absent."""

    def __init__(self, header: Row) -> None:
        self._at = columns_of(header, [c for c in QUOTE_COLUMNS if c in _QUOTE_FIELDS])

    def __call__(self, row: Row) -> SequencedEvent:
        ticker, ax, ap, asks, bx, bp, bids, conditions, indicators, sequence, sip, tape = (
            row[at] for at in self._at
        )
        time_ns = int(sip)
        bid = "" if bp in _ABSENT else f',"bx":{bx},"bp":{bp},"bs":{_whole(bids)}'
        ask = "" if ap in _ABSENT else f',"ax":{ax},"ap":{ap},"as":{_whole(asks)}'
        condition = _numbers(conditions).partition(",")[0] or "0"
        more = f',"i":[{_numbers(indicators)}]' if indicators else ""
        text = (
            f'{{"ev":"Q","sym":"{ticker}"{bid}{ask},"c":{condition}{more},"z":{tape},'
            f'"t":{time_ns // NS_PER_MS},"q":{sequence}}}'
        )
        return time_ns, int(sequence), f"Q.{ticker}", text


class _MinuteBars:
    """Rows of ``minute_aggs_v1`` as AM events, due at the end of their minute.

    ``av`` is added up from the rows; the file has no VWAP and no official open, so those fields
    are absent.
    """

    def __init__(self, header: Row) -> None:
        self._at = columns_of(header, BAR_COLUMNS)
        self._volume: dict[str, int] = {}

    def __call__(self, row: Row) -> SequencedEvent:
        ticker, shares, open_, close, high, low, start, transactions = (row[at] for at in self._at)
        start_ms = int(start) // NS_PER_MS
        volume = int(_whole(shares))
        total = self._volume[ticker] = self._volume.get(ticker, 0) + volume
        average = volume // max(1, int(transactions))
        text = (
            f'{{"ev":"AM","sym":"{ticker}","v":{volume},"av":{total},"o":{open_},"c":{close},'
            f'"h":{high},"l":{low},"z":{average},"s":{start_ms},"e":{start_ms + 60_000}}}'
        )
        return int(start) + MINUTE_NS, 0, f"AM.{ticker}", text


def _whole(number: str) -> str:
    """The whole part of a size, which the files have had as a decimal since 2026."""
    return number.partition(".")[0]


_READERS: Final[Mapping[str, Callable[[Row], Callable[[Row], SequencedEvent]]]] = {
    "trades": _Trades,
    "quotes": _Quotes,
    "minute bars": _MinuteBars,
}
TOPICS: Final = {"trades": "T", "quotes": "Q", "minute bars": "AM"}
"""A file's kind -> the topic of its events."""

_COLUMNS: Final = {
    "trades": TRADE_COLUMNS,
    "quotes": QUOTE_COLUMNS,
    "minute bars": BAR_COLUMNS,
}
_TOLD_BY: Final = {"price": "trades", "bid_price": "quotes", "window_start": "minute bars"}


def kind_of(path: Path) -> str | None:
    """``trades``, ``quotes`` or ``minute bars`` by the header; None for anything else."""
    with open_text(path) as text:
        header = text.readline().strip().split(",")
    return next((kind for column, kind in _TOLD_BY.items() if column in header), None)


def events_of(file: FlatFile) -> Iterator[SequencedEvent]:
    """A file's events in the order of its rows; SourceError names a row that cannot be read."""
    with open_text(file.path) as text:
        rows = csv.reader(text)
        try:
            yield from map(_READERS[file.kind](next(rows)), filter(None, rows))
        except (ValueError, IndexError) as error:
            raise SourceError(
                f"{file.path}, line {rows.line_num}: not a row of {file.kind} ({error}); expected "
                f"the columns {', '.join(_COLUMNS[file.kind])}"
            ) from error
