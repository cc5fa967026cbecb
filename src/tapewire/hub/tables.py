"""The rows that views show: records of symbols, boards, services.

Candles are in ``candles.py``, rankings that shards keep whole in ``rankings.py``, items of
event feeds in ``events.py``.

A table gives its rows as tuples in the order of ``fields``. A row that did not change is
the same object as before, so a view finds what changed by identity. Rows are decoded when
somebody looks at them, not when they arrive.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date as calendar_date
from datetime import timedelta
from itertools import islice
from typing import Any, Final, Protocol

from msgspec import Struct

from tapewire.caches.boards import Line, merge_boards
from tapewire.caches.records import TIMES
from tapewire.hub.decoding import Decoding
from tapewire.model.changes import BoardChange
from tapewire.model.feeds import BOARD_SIZE
from tapewire.model.markets import Market, market_of_shard
from tapewire.model.messages import Key
from tapewire.model.rows import QuoteRecord

Row = tuple[Any, ...]
Rows = Mapping[Key, Row]

KEPT_DAYS: Final = 4
"""Records of symbols that did not trade for this many days are forgotten."""


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

    def touched(self, since: int) -> Collection[Key] | None:
        """Keys of rows that came, changed or went after version ``since``; None: look at all."""

    def row(self, key: Key) -> Row | None:
        """The row of a touched key; None when it went."""


class ChangeLog:
    """Which keys the last versions of a table touched (drop_oldest: 256 versions)."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, Collection[Key]]] = deque(maxlen=256)

    def add(self, version: int, keys: Collection[Key]) -> None:
        """A version touched these keys; versions come one after the other."""
        self._entries.append((version, keys))

    def clear(self) -> None:
        """What happened before can no longer be told."""
        self._entries.clear()

    def since(self, version: int) -> Collection[Key] | None:
        """Keys touched after ``version``; None when that is too long ago."""
        if not self._entries or self._entries[0][0] > version + 1:
            return None
        touched: set[Key] = set()
        for at, keys in reversed(self._entries):
            if at <= version:
                break
            touched.update(keys)
        return touched


class Stored(Struct, gc=False):
    """One record as it came, and decoded once somebody looked; ``row`` is empty if it cannot be."""

    date: str
    shard: str
    packed: bytes
    version: int
    row: Row | None = None


class RecordTable:
    """``quote:*``, ``daily_range:*``, ``halt_state:*``: the newest record of every symbol.

    A record that does not decode is as good as none.

    Args:
        record: what a packed record is.
        key: the field that records are keyed by.
        family: the feed's, under which ``decoding`` counts.
    """

    is_board = False

    def __init__(
        self, record: type[Struct], key: str = "symbol", *, family: str, decoding: Decoding
    ) -> None:
        self.fields = record.__struct_fields__
        self.key = key
        self._decode = decoding.rows(family, record)
        self._time = next((self.fields.index(name) for name in TIMES if name in self.fields), None)
        self.ready = False
        self.version = 0
        self.generation = 0
        self._stored: dict[Key, Stored] = {}
        self._newest: dict[Market, str] = {}
        self._log = ChangeLog()

    def clear(self) -> None:
        """Forget everything; what follows has nothing to do with it."""
        self._stored.clear()
        self._log.clear()
        self._newest = {}
        self.version += 1
        self.generation += 1

    def put(self, shard: str, date: str, rows: Mapping[str, bytes]) -> None:
        """Take in rows of one shard and trading date; older dates lose to newer ones."""
        stored, version = self._stored, self.version + 1
        for symbol, packed in rows.items():
            known = stored.get(symbol)
            new = Stored(date, shard, packed, version)
            if known is None or self._replaces(known, new):
                stored[symbol] = new
        self._touch(rows.keys())
        market = market_of_shard(shard)
        if date > self._newest.get(market, ""):
            self._newest[market] = date
            self._forget(market, _days_before(date, KEPT_DAYS))

    def _touch(self, symbols: Collection[Key]) -> None:
        self.version += 1
        self._log.add(self.version, symbols)

    def remove(self, shard: str, date: str, symbols: Collection[str]) -> None:
        """Take out rows that their shard removed."""
        for symbol in symbols:
            known = self._stored.get(symbol)
            if known is not None and (known.shard, known.date) == (shard, date):
                del self._stored[symbol]
        self._touch(symbols)

    def _forget(self, market: Market, before: str) -> None:
        old = [
            symbol
            for symbol, stored in self._stored.items()
            if stored.date < before and market_of_shard(stored.shard) == market
        ]
        for symbol in old:
            del self._stored[symbol]
        self._touch(old)

    def _replaces(self, known: Stored, new: Stored) -> bool:
        """Whether a record counts instead of the known one.

        A symbol is in two shards when their number was changed, or when two streams have it;
        then the later record counts, and of records without a time the one that came last.
        """
        if known.shard == new.shard or known.date != new.date or self._time is None:
            return new.date >= known.date
        newer, older = self._decoded(new), self._decoded(known)
        return not older or bool(newer and newer[self._time] >= older[self._time])

    def _decoded(self, stored: Stored) -> Row:
        if stored.row is None:
            stored.row = self._decode(stored.packed)
        return stored.row

    def row(self, key: Key) -> Row | None:
        """One symbol's record."""
        stored = self._stored.get(key)
        return (self._decoded(stored) or None) if stored is not None else None

    def touched(self, since: int) -> Collection[Key] | None:
        """Symbols touched after a version."""
        return self._log.since(since)

    def version_of(self, symbol: str) -> int:
        """The version in which a symbol's record came; -1 while there is none."""
        stored = self._stored.get(symbol)
        return stored.version if stored is not None else -1

    def rows(self, limit: int | None) -> Rows:
        """Every symbol's record; with a limit the first symbols of the alphabet."""
        if limit is not None:
            known = ((symbol, self._stored[symbol]) for symbol in sorted(self._stored, key=str))
            return dict(islice(self._readable(known), limit))
        return dict(self._readable(self._stored.items()))

    def _readable(self, stored: Iterable[tuple[Key, Stored]]) -> Iterator[tuple[Key, Row]]:
        return ((symbol, row) for symbol, one in stored if (row := self._decoded(one)))


def _days_before(date: str, days: int) -> str:
    return (calendar_date.fromisoformat(date) - timedelta(days=days)).isoformat()


class OneRecord:
    """``quote:AAPL``: one row, or none while there is none."""

    is_board = False

    def __init__(self, records: RecordTable, symbol: str) -> None:
        self.key = records.key
        self.fields = records.fields
        self._records = records
        self._symbol = symbol

    @property
    def ready(self) -> bool:
        """As the records are."""
        return self._records.ready

    @property
    def version(self) -> int:
        """That of its record; -1 while there is none."""
        return self._records.version_of(self._symbol)

    @property
    def generation(self) -> int:
        """As that of all records."""
        return self._records.generation

    def rows(self, limit: int | None) -> Rows:
        """The row."""
        row = self._records.row(self._symbol)
        return {} if row is None else {self._symbol: row}

    def touched(self, since: int) -> Collection[Key] | None:
        """Few rows: look at all."""
        return None

    def row(self, key: Key) -> Row | None:
        """Not asked."""
        return self.rows(None).get(key)


class BoardTable:
    """One leaderboard, merged over all shards: quote records with ``rank`` first."""

    key = "symbol"
    fields = ("rank", *QuoteRecord.__struct_fields__)
    is_board = True

    def __init__(self, name: str, quotes: RecordTable) -> None:
        self.name = name
        self._quotes = quotes
        self._changes = 0
        self._scores: dict[str, dict[str, dict[str, float]]] = {}
        self._lines: list[Line] | None = None
        self._ranked: dict[str, tuple[int, Row | None, Row]] = {}

    @property
    def ready(self) -> bool:
        """As the quotes are."""
        return self._quotes.ready

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

    def touched(self, since: int) -> Collection[Key] | None:
        """A rank changes without its row: look at all."""
        return None

    def row(self, key: Key) -> Row | None:
        """Not asked."""
        return self.rows(None).get(key)

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
    return (symbol, *(None,) * (len(QuoteRecord.__struct_fields__) - 1))


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

    def touched(self, since: int) -> Collection[Key] | None:
        """Few rows: look at all."""
        return None

    def row(self, key: Key) -> Row | None:
        """Not asked."""
        return self.rows(None).get(key)
