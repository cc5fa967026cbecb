"""Candles as views show them: read from the store when asked for, followed from there on."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from msgspec.structs import astuple

from tapewire.caches.cache import Place
from tapewire.caches.reader import CandleHash
from tapewire.hub.feeds import ANY
from tapewire.hub.tables import ChangeLog, Row, Rows
from tapewire.model.messages import Key
from tapewire.model.rows import CandleView, decode_candle

_START: Final = CandleView.__struct_fields__.index("start_ms")

EARLY: Final = 10_000
"""Flushes that are kept while the store is being read (drop_oldest: all, and read again)."""


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
        self._missed = False
        self._log = ChangeLog()
        self._early: list[tuple[str, Place, CandleHash, Mapping[str, bytes]]] = []
        self._floor: Mapping[str, Place] = {}

    def unload(self) -> None:
        """Wait for the store again; until then the rows stay as they are."""
        self.ready = False
        self._early.clear()
        self._missed = False

    def put(self, shard: str, place: Place, name: CandleHash, rows: Mapping[str, bytes]) -> None:
        """Take in candles that a flush wrote."""
        if not self.ready:
            self._keep_early(shard, place, name, rows)
            return
        floor = self._floor.get(shard)
        if floor is not None and place <= floor:
            return
        self.version += 1
        self._log.add(self.version, {self._keep(name, packed) for packed in rows.values()})

    def _keep_early(
        self, shard: str, place: Place, name: CandleHash, rows: Mapping[str, bytes]
    ) -> None:
        self._early.append((shard, place, name, rows))
        if len(self._early) > EARLY:
            self._early.clear()
            self._missed = True

    def load(
        self, places: Mapping[str, Place], found: Iterable[tuple[CandleHash, Iterable[bytes]]]
    ) -> None:
        """Take in what was read, and each shard's place when it was read.

        Nothing, if too much came meanwhile: then it has to be read again.
        """
        if self._missed:
            self._missed = False
            return
        self._rows = {}
        self._log.clear()
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

    def _keep(self, name: CandleHash, packed: bytes) -> Key:
        candle = decode_candle(packed)
        key: Key = candle.start_ms
        if self.symbol == ANY:
            key = name.symbol
            known = self._rows.get(key)
            if known is not None and known[_START] > candle.start_ms:
                return key
        view = CandleView.of(candle, name.symbol, name.exchange, name.interval)
        self._rows[key] = astuple(view)
        return key

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
            keys = keys[:limit] if self.symbol == ANY else keys[-limit:]
        return {key: self._rows[key] for key in keys}
