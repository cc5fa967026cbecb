"""Time and sales: single trades of the symbols that somebody watches or that trade most."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import msgpack

from tapewire.model.events import Trade
from tapewire.model.feeds import tape_feed
from tapewire.model.rows import Sale, encode_row


class TimeAndSales:
    """Writes down the trades of chosen and of watched symbols, in order of arrival.

    ``size`` symbols are chosen at a time; every trade counts that was applied, whatever its
    conditions, late ones too.
    """

    def __init__(self, size: int = 200) -> None:
        self.size = size
        self.chosen_changed = False
        self._chosen: frozenset[str] = frozenset()
        self._watched: set[str] = set()
        self._items: dict[str, list[bytes]] = {}

    def choose(self, symbols: Iterable[str]) -> None:
        """Write these down from now on."""
        chosen = frozenset(symbols)
        self.chosen_changed = self.chosen_changed or chosen != self._chosen
        self._chosen = chosen

    def watch(self, symbol: str, *, watched: bool) -> None:
        """Somebody watches a symbol, or nobody does any more."""
        if watched:
            self._watched.add(symbol)
        else:
            self._watched.discard(symbol)

    def see(self, trades: Mapping[str, Sequence[Trade]]) -> None:
        """Write down those of ``trades`` (by symbol) that are wanted."""
        for wanted in (self._chosen, self._watched - self._chosen):
            for symbol in wanted & trades.keys():
                items = self._items.setdefault(tape_feed(symbol), [])
                items += [encode_row(sale_of(trade)) for trade in trades[symbol]]

    def drain(self) -> dict[str, list[bytes]]:
        """Items by feed since the last drain."""
        items, self._items = self._items, {}
        return items

    def renew(self) -> None:
        """Which symbols are chosen has to be written again; items are not, they were flushed."""
        self.chosen_changed = bool(self._chosen)

    def pack(self) -> bytes:
        """Which symbols are chosen."""
        self.chosen_changed = False
        return encode_row(sorted(self._chosen))

    def restore(self, packed: bytes) -> None:
        """Read ``pack`` back."""
        self._chosen = frozenset(_decode(packed))


def sale_of(trade: Trade) -> Sale:
    """A trade as a line of time and sales."""
    return Sale(
        int(trade.timestamp_ms),
        trade.price,
        trade.size,
        tuple(trade.conditions),
        int(trade.exchange),
        int(trade.sequence),
    )


_decode = msgpack.Decoder(list[str]).decode
