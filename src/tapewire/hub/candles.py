"""Candles as views show them: read from the store when asked for, followed from there on."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from msgspec.structs import astuple

from tapewire.caches.cache import Place
from tapewire.hub.decoding import Decoding
from tapewire.hub.feeds import ANY
from tapewire.hub.loading import OnDemand
from tapewire.hub.tables import ChangeLog, Row, Rows
from tapewire.model.candle_names import INTERVALS, SECONDS_KEPT_MS, CandleHash
from tapewire.model.messages import Key
from tapewire.model.rows import CandleView

_START: Final = CandleView.__struct_fields__.index("start_ms")

_INTERVAL: Final = CandleView.__struct_fields__.index("interval")
_PLACE: Final = {interval: place for place, interval in enumerate(INTERVALS)}


def key_of(symbol: str, interval: str) -> str:
    """The field that rows of a candle feed are keyed by."""
    if symbol == ANY:
        return "symbol"
    return "interval" if interval == ANY else "start_ms"


def _age(row: Row) -> tuple[int, int]:
    """What the newest candle has the greatest of; of equal starts the shortest interval's."""
    return row[_START], -_PLACE[row[_INTERVAL]]


class CandleTable(OnDemand[Mapping[str, bytes]]):
    """``candles:1m:AAPL`` or ``candles:1m:*``; read from the store when first asked for.

    Of a wildcard for symbols each symbol's newest candle is a
    row; of one for intervals each interval's; of both each symbol's, of the shortest interval
    among those that start last. One-second candles of a symbol go when they are 15 minutes old.
    """

    fields = CandleView.__struct_fields__
    is_board = False

    def __init__(self, symbol: str, interval: str, decoding: Decoding) -> None:
        super().__init__()
        self._decoding = decoding
        self.key = key_of(symbol, interval)
        self.symbol = symbol
        self.interval = interval
        self.version = 0
        self.generation = 0
        self._rows: dict[Key, Row] = {}
        self._log = ChangeLog()

    @property
    def is_newest_only(self) -> bool:
        """Whether each row is the newest candle of its key."""
        return self.key != "start_ms"

    def take(self, shard: str, name: str, value: Mapping[str, bytes]) -> None:
        """Take in candles that a flush wrote."""
        parsed = CandleHash.parse(name)
        self.version += 1
        self._log.add(self.version, self._keep(parsed, value))

    def load(
        self, places: Mapping[str, Place], found: Iterable[tuple[CandleHash, Mapping[str, bytes]]]
    ) -> None:
        """Take in what was read, and each shard's place when it was read.

        Nothing, if too much came meanwhile: then it has to be read again.
        """
        if self.was_overrun():
            return
        self._rows = {}
        self._log.clear()
        for name, rows in found:
            self._keep(name, rows)
        self.follow(places)
        self.version += 1
        self.generation += 1

    def _keep(self, name: CandleHash, rows: Mapping[str, bytes]) -> set[Key]:
        """Take in packed candles; the keys of rows that changed."""
        touched: set[Key] = set()
        for candle in self._decoding.candles(name, rows):
            row = astuple(CandleView.of(candle, name.symbol, name.exchange, name.interval))
            key: Key = candle.start_ms
            if self.is_newest_only:
                key = name.symbol if self.symbol == ANY else name.interval
            known = self._rows.get(key)
            if known != row and (known is None or _age(known) <= _age(row)):
                self._rows[key] = row
                touched.add(key)
        if self.interval == "1s" and not self.is_newest_only:
            touched |= self._forget_seconds()
        return touched

    def _forget_seconds(self) -> set[Key]:
        oldest = max(map(int, self._rows), default=0) - SECONDS_KEPT_MS
        old = {start for start in self._rows if int(start) < oldest}
        for start in old:
            del self._rows[start]
        return old

    def row(self, key: Key) -> Row | None:
        """One candle."""
        return self._rows.get(key)

    def touched(self, since: int) -> Collection[Key] | None:
        """Candles touched after a version."""
        return self._log.since(since)

    def rows(self, limit: int | None) -> Rows:
        """Candles oldest first, with a limit the newest ones; of all symbols by symbol."""
        keys: list[Any] = sorted(self._rows)
        if limit is not None:
            keys = keys[:limit] if self.is_newest_only else keys[-limit:]
        return {key: self._rows[key] for key in keys}
