"""The trading day that has just ended, while late trades of it may still come.

Sequences begin anew with each trading day, so a late trade from before the turn is compared
with its own day's. Kept for as long as a trade may be late.
"""

from collections.abc import Iterable, Sequence

from tapewire.analyzers.bars import Recent
from tapewire.model.events import Trade


class DayBefore:
    """The last sequences of an ended day, by symbol.

    ``unsaved`` names the symbols whose sequences the store does not have yet.
    """

    def __init__(
        self,
        date: str = "",
        recent: dict[str, Recent] | None = None,
        unsaved: Iterable[str] = (),
    ) -> None:
        self.date = date
        self._recent = recent if recent is not None else {}
        self._unsaved = set(unsaved)
        self._kept: dict[str, list[Trade]] = {}

    def keep(self, trade: Trade) -> bool:
        """Take a trade in; False for one that was there before."""
        recent = self._recent.setdefault(trade.symbol, Recent())
        kept = self._kept.setdefault(trade.symbol, [])
        sequence = int(trade.sequence)
        if 0 < sequence <= recent.newest and is_repeated(sequence, kept, recent):
            return False
        kept.append(trade)
        recent.note(sequence)
        return True

    def settle(self) -> None:
        """Put the kept trades' sequences away."""
        kept, self._kept = self._kept, {}
        for symbol, trades in kept.items():
            if trades:
                self._recent[symbol].extend([trade.sequence for trade in trades])
                self._unsaved.add(symbol)

    def drain(self) -> dict[str, bytes]:
        """Fields of the day's hash of sequences that changed since the last drain."""
        fields: dict[str, bytes] = {}
        for symbol in self._unsaved:
            fields.update(self._recent[symbol].drain(symbol))
        self._unsaved = set()
        return fields

    def renew(self) -> None:
        """Make the next drain write everything."""
        self._unsaved = set(self._recent)
        for recent in self._recent.values():
            recent.renew()

    def forget(self) -> None:
        """No trade of this day can come any more; what the store lacks it need not have."""
        if self._recent:
            self._recent, self._unsaved = {}, set()


def is_repeated(sequence: int, kept: Sequence[Trade], recent: Recent) -> bool:
    """Whether a sequence is among a symbol's last 1,024, of which the newest are still kept."""
    newest = kept[-Recent.WINDOW :]
    if any(trade.sequence == sequence for trade in newest):
        return True
    return recent.has(sequence, Recent.WINDOW - len(newest))
