"""All tables of the market, and how what the shards flush gets into them.

What comes in waits until ``apply``, which the hub calls once a tick: between two ticks no
row changes.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from tapewire.caches.cache import Followed, Place
from tapewire.caches.reader import CandleHash
from tapewire.hub.candles import CandleTable
from tapewire.hub.feeds import ANY, Target
from tapewire.hub.tables import BoardTable, OneQuote, QuoteTable, Row, StatusTable, Table
from tapewire.model.events import Gap
from tapewire.model.feeds import BOARDS
from tapewire.model.messages import Loss

SHOWN_LOSSES: Final = 20
"""Losses that a ``status`` lists, the newest (drop_oldest)."""


class Market:
    """Quote records, boards, candles, services, and losses upstream."""

    def __init__(self) -> None:
        self.quotes = QuoteTable()
        self.boards = {name: BoardTable(name, self.quotes) for name in BOARDS}
        self.services = StatusTable()
        self.candles: dict[tuple[str, str], CandleTable] = {}
        self.losses: deque[Loss] = deque(maxlen=SHOWN_LOSSES)
        self.new_losses = False
        self._pending: list[Callable[[], None]] = []

    def apply(self) -> bool:
        """Let everything in that came; False if nothing did."""
        pending, self._pending = self._pending, []
        for apply in pending:
            apply()
        return bool(pending)

    def take(self, entries: Iterable[Followed]) -> None:
        """Take in change stream entries, in order."""
        self._pending += [partial(self._apply, entry) for entry in entries]

    def reset(self) -> None:
        """Begin anew: what is taken in next has nothing to do with what came before."""
        self._pending = [self._clear]

    def open(self) -> None:
        """The store was read for the first time, whatever was in it: views may show it."""
        self._pending.append(self._open)

    def _open(self) -> None:
        self.quotes.ready = True

    def load(
        self,
        table: CandleTable,
        places: Mapping[str, Place],
        found: Sequence[tuple[CandleHash, Iterable[bytes]]],
    ) -> None:
        """Give a table of candles what was read for it."""
        self._pending.append(partial(table.load, places, found))

    def show_services(self, rows: Sequence[Row]) -> None:
        """Show what the registry lists, in the order of ``StatusTable.fields``."""
        self._pending.append(partial(self.services.put, rows))

    def wanted(self) -> list[CandleTable]:
        """Tables that somebody asked for and that have to be read."""
        return [table for table in self.candles.values() if not table.ready]

    def _clear(self) -> None:
        self.quotes.clear()
        self.losses.clear()
        for board in self.boards.values():
            board.clear()
        for table in self.candles.values():
            table.unload()

    def _apply(self, entry: Followed) -> None:
        changes = entry.changes
        for name, rows in changes.rows.items():
            family, _, rest = name.partition(":")
            if family == "quote":
                self.quotes.put(entry.shard, rest, rows)
            elif family == "candles" and self.candles:
                self._put_candles(entry, CandleHash.parse(name), rows)
        for name, gone in changes.removed.items():
            family, _, rest = name.partition(":")
            if family == "quote":
                self.quotes.remove(entry.shard, rest, gone)
        for name, change in changes.boards.items():
            board, _, date = name.rpartition(":")
            if board in self.boards:
                self.boards[board].put(entry.shard, date, change)
        if changes.gaps:
            self._lose(changes.gaps)

    def _put_candles(self, entry: Followed, name: CandleHash, rows: Mapping[str, bytes]) -> None:
        for interval in (name.interval, ANY):
            for symbol in (name.symbol, ANY):
                table = self.candles.get((interval, symbol))
                if table is not None:
                    table.put(entry.shard, entry.place, name, rows)

    def _lose(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            self.losses.append(Loss(gap.shard, gap.from_ms, gap.to_ms, gap.events))
        self.new_losses = True

    def table(self, target: Target) -> Table:
        """The table that a feed shows; one of candles is made when first asked for."""
        family = target.feed.family
        if family == "quote":
            return self.quotes if target.is_wildcard else OneQuote(self.quotes, target.symbol)
        if family == "candles":
            key = (target.interval, target.symbol)
            return self.candles.setdefault(key, CandleTable(target.symbol, target.interval))
        return self.services if family == "status" else self.boards[family]

    def keep_only(self, used: Collection[int]) -> None:
        """Forget candles that nobody looks at; ``used`` are ids of tables."""
        for key in [key for key, table in self.candles.items() if id(table) not in used]:
            del self.candles[key]
