"""A broker listener's side of a shard: batches of ticks, in order, and their owner."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self

from tapewire.caches.cache import Place, WidgetCache
from tapewire.market.sessions import SessionCalendar
from tapewire.model.batch import Batch, encode_batch
from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.model.streams import Shard, Stream
from tapewire.providers import tick_wire
from tapewire.services.analysis import Analysis
from tapewire.services.decoding import decode
from tapewire.services.shard_owner import stored_name
from tapewire.services.shard_state import Decode, ShardState

FRIDAY = "2026-11-20"
RELIANCE, FUTURE = "NSE_EQ:2885", "NSE_FO:8765"
TICKS = Shard(Stream.TICKS, 0)
NAMES = {RELIANCE: "RELIANCE", FUTURE: "NIFTY26NOVFUT"}


def ms(clock: str, date: str = FRIDAY) -> int:
    """Indian wall clock to ms UTC."""
    return round(datetime.fromisoformat(f"{date}T{clock}+05:30").timestamp() * 1000)


def tick(
    symbol: str, price: float, volume: int | None, at: str, *, flags: int = 0, size: int = 1
) -> Tick:
    """A state of one instrument."""
    exchange, _, token = symbol.partition(":")
    t = ms(at)
    name = NAMES.get(symbol, "")
    return Tick("upstox", exchange, token, name, price, size, volume, None, t, 0, flags)


def baseline(symbol: str, price: float = 100.0, volume: int = 0) -> Tick:
    """What a broker sends on subscription, before the open."""
    return tick(symbol, price, volume, "09:14", flags=TICK_SNAPSHOT)


class TickDesk:
    """The owner of one shard of ticks over a cache; time is the ticks'."""

    def __init__(
        self,
        cache: WidgetCache,
        *,
        shard: Shard = TICKS,
        calendar: SessionCalendar | None = None,
        decode: Decode = decode,
        delay_ms: int | None = None,
    ) -> None:
        self.cache = cache
        self.shard = shard
        self._decode = decode
        self._delay_ms = delay_ms
        self._make = Analysis.of([]).maker(*([calendar] if calendar else []))
        self._taken_in = 0
        self._place: Place | None = None
        self.state: ShardState

    async def claim(self) -> Self:
        """A new owner, that continues from what is stored."""
        analyzers = self._make(self.shard)
        state = ShardState(self.shard, analyzers, self._decode, delay_ms=self._delay_ms)
        claim = await self.cache.claim(self.shard.name)
        first = await self._private(state.first_hashes())
        state.restore(claim.positions, first | await self._private(state.further_hashes(first)))
        self.state, self._place = state, claim.place
        self._taken_in = state.applied
        return self

    async def _private(self, names: Sequence[str]) -> dict[str, dict[str, bytes]]:
        stored = {stored_name(name): name for name in names}
        found = await self.cache.fetch(self.shard.name, dict.fromkeys(stored))
        return {stored[name]: values for name, values in found.items()}

    def refer(self, references: Iterable[Reference]) -> None:
        """Give reference rows."""
        self.state.refer(references)

    def send(self, *ticks: Tick, ending: bool = False, received: str = "") -> None:
        """One batch, received when its newest tick was made unless another time is said."""
        newest_ms = max((one.timestamp_ms for one in ticks), default=0)
        received_ms = ms(received) if received else newest_ms
        batch = Batch(
            provider="brokers",
            stream=self.shard.stream,
            shard=self.shard.index,
            producer="brokers",
            epoch=1,
            offset=self._taken_in,
            count=len(ticks),
            received_ns=received_ms * 1_000_000,
            payload=tick_wire.encode(ticks) if ticks else b"",
            ending=ending,
        )
        self._taken_in += len(ticks)
        self.state.take(encode_batch(batch))

    async def flush(self) -> None:
        """Write what changed."""
        assert self._place is not None
        changes, positions = self.state.drain(), self.state.positions.pack()
        self._place = await self.cache.flush(self.shard.name, self._place, positions, changes)

    async def show(self, *ticks: Tick, ending: bool = False) -> None:
        """One batch, flushed."""
        self.send(*ticks, ending=ending)
        await self.flush()
