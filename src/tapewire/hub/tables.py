"""The rows that views show: quote records, boards, candles, services.

A table gives its rows as tuples in the order of ``fields``. A row that did not change is
the same object as before, so a view finds what changed by identity. Rows are decoded when
somebody looks at them, not when they arrive.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date as calendar_date
from datetime import timedelta
from typing import Any, Final, Protocol

from msgspec import Struct
from msgspec.structs import astuple

from tapewire.caches.boards import Line, merge_boards
from tapewire.caches.cache import Place
from tapewire.caches.reader import CandleHash
from tapewire.hub.feeds import ANY
from tapewire.model.changes import BoardChange
from tapewire.model.feeds import BOARD_SIZE
from tapewire.model.messages import Key
from tapewire.model.rows import CandleView, QuoteRecord, decode_candle, decode_quote

Row = tuple[Any, ...]
Rows = Mapping[Key, Row]

KEPT_DAYS: Final = 4
"""Quote records of symbols that did not trade for this many days are forgotten."""


class Table(Protocol):
    """What a view shows."""

    @property
    def key(self) -> str:
        """Name of the field that rows are keyed by."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of a row's values."""

    @property
    def is_board(self) -> bool:
        """Whether the order of the rows says something."""

    @property
    def version(self) -> int:
        """Grows whenever a row may have changed."""

    @property
    def generation(self) -> int:
        """Grows when the rows have nothing to do with those before."""

    @property
    def ready(self) -> bool:
        """False while the rows are still being read."""

    def rows(self, limit: int | None) -> Rows:
        """Rows by key, in order; at most ``limit``."""


class Stored(Struct, gc=False):
    """One quote record as it came, and decoded once somebody looked."""

    date: str
    shard: str
    packed: bytes
    row: Row | None = None

    def decoded(self) -> Row:
        """The record's fields."""
        if self.row is None:
            self.row = astuple(decode_quote(self.packed))
        return self.row


_END: Final = QuoteRecord.__struct_fields__.index("end_timestamp")


class QuoteTable:
    """``quote:*``: the newest record of every symbol."""

    key = "symbol"
    fields = QuoteRecord.__struct_fields__
    is_board = False
    ready = True

    def __init__(self) -> None:
        self.version = 0
        self.generation = 0
        self._stored: dict[str, Stored] = {}
        self._newest = ""
        self._memo: tuple[int, dict[Key, Row]] = (-1, {})

    def clear(self) -> None:
        """Forget everything; what follows has nothing to do with it."""
        self._stored.clear()
        self._newest = ""
        self.version += 1
        self.generation += 1

    def put(self, shard: str, date: str, rows: Mapping[str, bytes]) -> None:
        """Take in rows of one shard and trading date; older dates lose to newer ones."""
        stored = self._stored
        for symbol, packed in rows.items():
            known = stored.get(symbol)
            if known is None or _replaces(known, shard, date, packed):
                stored[symbol] = Stored(date, shard, packed)
        self.version += 1
        if date > self._newest:
            self._newest = date
            self._forget(_days_before(date, KEPT_DAYS))

    def remove(self, shard: str, date: str, symbols: Iterable[str]) -> None:
        """Take out rows that their shard removed."""
        for symbol in symbols:
            known = self._stored.get(symbol)
            if known is not None and (known.shard, known.date) == (shard, date):
                del self._stored[symbol]
        self.version += 1

    def _forget(self, before: str) -> None:
        old = [symbol for symbol, stored in self._stored.items() if stored.date < before]
        for symbol in old:
            del self._stored[symbol]

    def row(self, symbol: str) -> Row | None:
        """One symbol's record."""
        stored = self._stored.get(symbol)
        return stored.decoded() if stored is not None else None

    def rows(self, limit: int | None) -> Rows:
        """Every symbol's record; with a limit the first symbols of the alphabet."""
        if limit is not None:
            first = sorted(self._stored)[:limit]
            return {symbol: self._stored[symbol].decoded() for symbol in first}
        if self._memo[0] != self.version:
            rows: dict[Key, Row] = {symbol: s.decoded() for symbol, s in self._stored.items()}
            self._memo = (self.version, rows)
        return self._memo[1]


def _replaces(known: Stored, shard: str, date: str, packed: bytes) -> bool:
    """Whether a record counts instead of the known one.

    A symbol is in two shards when their number was changed; then the later record counts.
    """
    if known.shard == shard or known.date != date:
        return date >= known.date
    return bool(decode_quote(packed).end_timestamp >= known.decoded()[_END])


def _days_before(date: str, days: int) -> str:
    return (calendar_date.fromisoformat(date) - timedelta(days=days)).isoformat()


class OneQuote:
    """``quote:AAPL``: one row, or none while there is none."""

    key = "symbol"
    fields = QuoteTable.fields
    is_board = False

    def __init__(self, quotes: QuoteTable, symbol: str) -> None:
        self._quotes = quotes
        self._symbol = symbol

    @property
    def ready(self) -> bool:
        """As the quotes are."""
        return self._quotes.ready

    @property
    def version(self) -> int:
        """As that of all quotes."""
        return self._quotes.version

    @property
    def generation(self) -> int:
        """As that of all quotes."""
        return self._quotes.generation

    def rows(self, limit: int | None) -> Rows:
        """The row."""
        row = self._quotes.row(self._symbol)
        return {} if row is None else {self._symbol: row}


class BoardTable:
    """One leaderboard, merged over all shards: quote records with ``rank`` first."""

    key = "symbol"
    fields = ("rank", *QuoteTable.fields)
    is_board = True
    ready = True

    def __init__(self, name: str, quotes: QuoteTable) -> None:
        self.name = name
        self._quotes = quotes
        self._changes = 0
        self._scores: dict[str, dict[str, dict[str, float]]] = {}
        self._lines: list[Line] | None = None
        self._ranked: dict[str, tuple[int, Row | None, Row]] = {}

    @property
    def version(self) -> int:
        """Grows with the scores, and with the quote records."""
        return self._changes + self._quotes.version

    @property
    def generation(self) -> int:
        """As that of the quotes."""
        return self._quotes.generation

    def clear(self) -> None:
        """Forget everything."""
        self._scores.clear()
        self._touch()

    def put(self, shard: str, date: str, change: BoardChange) -> None:
        """Take in one shard's change to its board of a trading date; older boards are dropped."""
        dates = self._scores.setdefault(shard, {})
        scores = dates.setdefault(date, {})
        scores.update(change.put)
        for symbol in change.removed:
            scores.pop(symbol, None)
        newest = max((day for day, found in dates.items() if found), default=date)
        for old in [day for day in dates if day < newest]:
            del dates[old]
        self._touch()

    def _touch(self) -> None:
        self._changes += 1
        self._lines = None

    def lines(self) -> list[Line]:
        """The merged board of the newest trading day."""
        if self._lines is None:
            shards = [item for dates in self._scores.values() for item in dates.items()]
            self._lines = merge_boards(shards, BOARD_SIZE)
            listed = {line.symbol for line in self._lines}
            self._ranked = {s: known for s, known in self._ranked.items() if s in listed}
        return self._lines

    def rows(self, limit: int | None) -> Rows:
        """The first ``limit`` lines, by rank."""
        return {line.symbol: self._row(line) for line in self.lines()[:limit]}

    def _row(self, line: Line) -> Row:
        quote = self._quotes.row(line.symbol)
        known = self._ranked.get(line.symbol)
        if known is not None and known[0] == line.rank and known[1] is quote:
            return known[2]
        row = (line.rank, *(quote or _unknown(line.symbol)))
        self._ranked[line.symbol] = (line.rank, quote, row)
        return row


def _unknown(symbol: str) -> Row:
    """A listed symbol's record while there is none."""
    return (symbol, *(None,) * (len(QuoteTable.fields) - 1))


class CandleTable:
    """``candles:1m:AAPL`` or ``candles:1m:*``; read from the store when first asked for.

    What the change streams bring while the store is being read is kept, and put over what
    was read unless that is as new. Of a wildcard each symbol's newest candle is a row.
    """

    fields = CandleView.__struct_fields__
    is_board = False

    def __init__(self, symbol: str, interval: str) -> None:
        self.key = "symbol" if symbol == ANY else "start_ms"
        self.symbol = symbol
        self.interval = interval
        self.version = 0
        self.generation = 0
        self.ready = False
        self._rows: dict[Key, Row] = {}
        self._early: list[tuple[str, Place, CandleHash, Mapping[str, bytes]]] = []
        self._floor: Mapping[str, Place] = {}

    def unload(self) -> None:
        """Wait for the store again; until then the rows stay as they are."""
        self.ready = False
        self._early.clear()

    def put(self, shard: str, place: Place, name: CandleHash, rows: Mapping[str, bytes]) -> None:
        """Take in candles that a flush wrote."""
        if not self.ready:
            self._early.append((shard, place, name, rows))
            return
        floor = self._floor.get(shard)
        if floor is not None and place <= floor:
            return
        for packed in rows.values():
            self._keep(name, packed)
        self.version += 1

    def load(
        self, places: Mapping[str, Place], found: Iterable[tuple[CandleHash, Iterable[bytes]]]
    ) -> None:
        """Take in what was read, and each shard's place when it was read."""
        self._rows = {}
        for name, rows in found:
            for packed in rows:
                self._keep(name, packed)
        self._floor = places
        self.ready = True
        early, self._early = self._early, []
        for entry in early:
            self.put(*entry)
        self.version += 1
        self.generation += 1

    def _keep(self, name: CandleHash, packed: bytes) -> None:
        candle = decode_candle(packed)
        key: Key = candle.start_ms
        if self.symbol == ANY:
            key = name.symbol
            known = self._rows.get(key)
            if known is not None and known[_START] > candle.start_ms:
                return
        view = CandleView.of(candle, name.symbol, name.exchange, name.interval)
        self._rows[key] = astuple(view)

    def rows(self, limit: int | None) -> Rows:
        """Candles oldest first, with a limit the newest ones; of all symbols by symbol."""
        keys: list[Any] = sorted(self._rows)
        if limit is not None:
            keys = keys[:limit] if self.symbol == ANY else keys[-limit:]
        return {key: self._rows[key] for key in keys}


_START: Final = CandleView.__struct_fields__.index("start_ms")


class StatusTable:
    """``system:status``: one row for each instance of a service, as the registry has them."""

    key = "id"
    fields = (
        "id", "service", "instance", "state", "healthy", "since_ms", "lag_ms", "rates",
        "gaps", "drops", "queues", "reason",
    )  # fmt: skip
    is_board = False
    ready = True
    generation = 0

    def __init__(self) -> None:
        self.version = 0
        self._rows: dict[Key, Row] = {}

    def put(self, rows: Sequence[Row]) -> None:
        """Replace all rows; those that say the same as before stay the same objects."""
        known = self._rows
        self._rows = {row[0]: known[row[0]] if known.get(row[0]) == row else row for row in rows}
        self.version += 1

    def rows(self, limit: int | None) -> Rows:
        """Rows by service and instance."""
        if limit is None:
            return self._rows
        return dict(list(self._rows.items())[:limit])
