"""All tables of the market, and how what the shards flush gets into them.

What comes in waits until ``apply``, which the hub calls once a tick: between two ticks no
row changes.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from tapewire.caches.cache import Followed, Items, Place
from tapewire.hub.candles import CandleTable
from tapewire.hub.decoding import Decoding
from tapewire.hub.events import EventLog
from tapewire.hub.feeds import ANY, Target
from tapewire.hub.rankings import RANKED_TABLES, RankingStore
from tapewire.hub.tables import BoardTable, OneRecord, RecordTable, Row, StatusTable, Table
from tapewire.model.candle_names import CandleHash, SecondsHash, is_candles, is_seconds
from tapewire.model.changes import BoardChange
from tapewire.model.events import Gap
from tapewire.model.feeds import BOARDS, Kind, all_feeds
from tapewire.model.markets import MARKETS, market_of_shard
from tapewire.model.messages import Loss
from tapewire.model.rows import QuoteRecord

SHOWN_LOSSES: Final = 20
"""Losses that a ``status`` lists, the newest (drop_oldest)."""


CandlesFound = Sequence[tuple[CandleHash, Mapping[str, bytes]]]
ItemsFound = Mapping[str, Items]


class Market:
    """Records, boards, rankings, candles, events, services, and losses upstream."""

    def __init__(self) -> None:
        self.decoding = Decoding()
        self.quotes = RecordTable(QuoteRecord, family="quote", decoding=self.decoding)
        self.records = {"quote": self.quotes} | {
            feed.family: RecordTable(feed.row, feed.key, family=feed.family, decoding=self.decoding)
            for feed in all_feeds()
            if feed.kind is Kind.STATE and feed.row is not None
        }
        self.rankings = {
            (market.name, family): RankingStore(family, self.decoding)
            for market in MARKETS
            for family in RANKED_TABLES
        }
        self.kept = frozenset({*self.records, *RANKED_TABLES})
        """Families of which all rows are kept: these are read before anything is followed."""

        self.boards = {
            (market.name, board): BoardTable(board, self.quotes)
            for market in MARKETS
            for board in BOARDS
        }
        self.services = StatusTable()
        self.candles: dict[tuple[str, str], CandleTable] = {}
        self.logs: dict[str, EventLog] = {}
        self.losses: deque[Loss] = deque(maxlen=SHOWN_LOSSES)
        self.new_losses = False
        self._pending: list[Callable[[], None]] = []

    @property
    def on_demand(self) -> list[CandleTable | EventLog]:
        """Tables that are read from the store when somebody asks for them."""
        return [*self.candles.values(), *self.logs.values()]

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
        for table in self._keepers():
            table.ready = True

    def _keepers(self) -> Iterable[RecordTable | RankingStore]:
        return (*self.records.values(), *self.rankings.values())

    def _keeper(self, shard: str, family: str) -> RecordTable | RankingStore | None:
        """What keeps a family's rows; rankings are kept market by market."""
        ranking = self.rankings.get((market_of_shard(shard).name, family))
        return ranking if ranking is not None else self.records.get(family)

    def load(
        self,
        table: CandleTable | EventLog,
        places: Mapping[str, Place],
        found: CandlesFound | ItemsFound,
    ) -> None:
        """Give a table what was read for it, and the places as of which."""
        self._pending.append(partial(table.load, places, found))  # type: ignore[arg-type]

    def show_services(self, rows: Sequence[Row]) -> None:
        """Show what the registry lists, in the order of ``StatusTable.fields``."""
        self._pending.append(partial(self.services.put, rows))

    def wanted(self) -> list[CandleTable | EventLog]:
        """Tables that somebody asked for and that have to be read."""
        return [table for table in self.on_demand if not table.ready]

    def _clear(self) -> None:
        for table in self._keepers():
            table.clear()
        self.losses.clear()
        for board in self.boards.values():
            board.clear()
        for each in self.on_demand:
            each.unload()

    def _apply(self, entry: Followed) -> None:
        changes = entry.changes
        for name, rows in changes.rows.items():
            self._put_rows(entry, name, rows)
        for name, gone in changes.removed.items():
            family, _, date = name.partition(":")
            keeper = self._keeper(entry.shard, family)
            if keeper is not None:
                keeper.remove(entry.shard, date, gone)
        for name, change in changes.boards.items():
            self._put_board(entry.shard, name, change)
        if self.logs:
            self._put_items(entry)
        if changes.gaps:
            self._lose(changes.gaps)

    def _put_board(self, shard: str, name: str, change: BoardChange) -> None:
        board, _, date = name.rpartition(":")
        table = self.boards.get((market_of_shard(shard).name, board))
        if table is not None and self.decoding.is_dated(board, date, len(change.put)):
            table.put(shard, date, change)

    def _put_rows(self, entry: Followed, name: str, rows: Mapping[str, bytes]) -> None:
        family, _, date = name.partition(":")
        keeper = self._keeper(entry.shard, family)
        if keeper is not None:
            if self.decoding.is_dated(family, date, len(rows)):
                keeper.put(entry.shard, date, rows)
        elif self.candles:
            self._put_candles(entry, name, rows)

    def _put_candles(self, entry: Followed, name: str, rows: Mapping[str, bytes]) -> None:
        if is_candles(name):
            place = self.decoding.name(CandleHash.parse, name, len(rows))
            if place is not None:
                self._put_some(entry, place, rows)
        elif is_seconds(name) and any(key[0] in ("1s", ANY) for key in self.candles):
            slot = self.decoding.name(SecondsHash.parse, name, len(rows))
            for one, packed in slot.split(rows) if slot is not None else ():
                self._put_some(entry, one, packed)

    def _put_some(self, entry: Followed, one: CandleHash, rows: Mapping[str, bytes]) -> None:
        for interval in (one.interval, ANY):
            for symbol in (one.symbol, ANY):
                table = self.candles.get((interval, symbol))
                if table is not None:
                    table.put(entry.shard, entry.place, one.name, rows)

    def _put_items(self, entry: Followed) -> None:
        for name, items in entry.changes.items.items():
            for feed in (name, f"{name.partition(':')[0]}:{ANY}"):
                log = self.logs.get(feed)
                if log is not None:
                    log.put(entry.shard, entry.place, name, items)

    def _lose(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            self.losses.append(Loss(gap.shard, gap.from_ms, gap.to_ms, gap.events))
        self.new_losses = True

    def table(self, target: Target) -> Table | EventLog:
        """The table that a feed shows; one that is read on demand is made when asked for."""
        family, place = target.feed.family, (target.feed.market, target.feed.family)
        if target.is_event:
            log = EventLog(target.feed, target.name, self.decoding)
            return self.logs.setdefault(target.name, log)
        if place in self.rankings:
            return RANKED_TABLES[family](self.rankings[place], target.window, target.metric)
        if family == "candles":
            key = (target.interval, target.symbol)
            table = CandleTable(target.symbol, target.interval, self.decoding)
            return self.candles.setdefault(key, table)
        if family in self.records:
            records = self.records[family]
            return records if target.is_wildcard else OneRecord(records, target.symbol)
        return self.services if family == "status" else self.boards[place]

    def keep_only(self, used: Collection[int]) -> None:
        """Forget candles and items that nobody looks at; ``used`` are ids of tables."""
        for key in [key for key, table in self.candles.items() if id(table) not in used]:
            del self.candles[key]
        for name in [name for name, log in self.logs.items() if id(log) not in used]:
            del self.logs[name]
