"""A shard of daily ranges under test: send events, flush, restart; read rows and alerts."""

from tapewire.analyzers.aggregates import AggregateFold
from tapewire.analyzers.daily_range import HOD_ALERT, LOD_ALERT, DailyRangeAnalyzer, RangeRules
from tapewire.analyzers.trades import TradeFold
from tapewire.model.events import Event
from tapewire.model.feeds import range_hash
from tapewire.model.rows import DailyRange, RangeAlert, decode_range, decode_range_alert
from tests.analyzers.tape import CALENDAR, FRIDAY


class Desk:
    """One shard's ranges: send events, flush, restart; read rows and alerts."""

    def __init__(self, source: str = "trades", **rules: float) -> None:
        self._source, self._rules = source, RangeRules(**rules)  # type: ignore[arg-type]
        self.fold = self._new()
        self.rows: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, dict[str, bytes]] = {}
        self.items: dict[str, list[bytes]] = {HOD_ALERT: [], LOD_ALERT: []}

    def _new(self) -> TradeFold | AggregateFold:
        part = DailyRangeAnalyzer(self._rules)
        if self._source == "trades":
            return TradeFold(CALENDAR, [part])
        return AggregateFold(CALENDAR, [part])

    def send(self, *events: Event) -> "Desk":
        self.fold.apply(events)
        return self.flush()

    def flush(self) -> "Desk":
        changes = self.fold.drain()
        for mine, new in ((self.rows, changes.rows), (self.private, changes.private)):
            for name, values in new.items():
                mine.setdefault(name, {}).update(values)
        for feed, items in changes.items.items():
            self.items[feed] += items
        return self

    def restart(self) -> "Desk":
        self.fold = self._new()
        stored = self.private
        first = {name: stored.get(name, {}) for name in self.fold.first_hashes()}
        further = self.fold.further_hashes(first)
        self.fold.restore(first | {name: stored.get(name, {}) for name in further})
        return self

    def row(self, symbol: str = "AAPL", date: str = FRIDAY) -> DailyRange:
        return decode_range(self.rows[range_hash(date)][symbol])

    def alerts(self, feed: str = HOD_ALERT) -> list[RangeAlert]:
        return [decode_range_alert(item) for item in self.items[feed]]

    def notes(self, feed: str = HOD_ALERT) -> list[tuple[str, str, float]]:
        """What was said, of whom, at what price."""
        return [(one.symbol, one.note, one.price) for one in self.alerts(feed)]
