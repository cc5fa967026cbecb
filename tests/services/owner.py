"""A shard's owner without I/O: what it takes, flushes, and hands to the next one."""

from tapewire.model.events import Gap
from tapewire.model.feeds import quote_hash
from tapewire.model.rows import Candle, QuoteRecord, decode_quote
from tapewire.providers.massive.protocol import decode
from tapewire.services.analysis import Analysis
from tapewire.services.shard_state import PROGRESS, ShardState, Totals, decode_totals
from tests.analyzers.market import Store
from tests.analyzers.tape import FRIDAY, ms
from tests.services.producer import TRADES, Producer


class Owner:
    """A shard's state, its producer, and the store that its flushes fill."""

    def __init__(self, *, live: bool = False, delay_ms: int | None = None, **choices: str) -> None:
        self.make = Analysis.of(["T.*"], **choices).maker()
        self.live = live
        self.delay_ms = delay_ms
        self.store = Store()
        self.gaps: list[Gap] = []
        self.positions: dict[str, bytes] = {}
        self.producer = Producer()
        self.state = self.new()

    def new(self) -> ShardState:
        return ShardState(TRADES, self.make(TRADES), decode, live=self.live, delay_ms=self.delay_ms)

    def take(self, *bodies: bytes) -> None:
        for body in bodies:
            self.state.take(body)

    def wait(self, seconds: float) -> None:
        """The producer's clock runs on, and so do its heartbeats."""
        until_ms = self.producer.now_ms + int(seconds * 1000)
        while self.producer.now_ms < until_ms:
            self.producer.now_ms = min(self.producer.now_ms + 1000, until_ms)
            self.take(self.producer.heartbeat())

    def flush(self) -> None:
        changes = self.state.drain()
        self.store.write(changes)
        self.gaps += changes.gaps
        self.positions |= self.state.positions.pack()

    def crash(self) -> None:
        """Somebody else continues from what was flushed."""
        self.state = self.new()
        stored = self.store.restored
        first = {name: stored(name) for name in self.state.first_hashes()}
        further = {name: stored(name) for name in self.state.further_hashes(first)}
        self.state.restore(self.positions, first | further)

    def restart(self) -> None:
        self.flush()
        self.crash()

    def quote(self, symbol: str = "AAPL") -> QuoteRecord:
        return decode_quote(self.store.rows[quote_hash(FRIDAY)][symbol])

    def candle(self, at: str, symbol: str = "AAPL") -> Candle:
        return self.store.candles(symbol, "1m", FRIDAY)[ms(at)]

    def stored_totals(self) -> Totals:
        return decode_totals(self.store.private[PROGRESS]["totals"])
