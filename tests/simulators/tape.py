"""A small tape of made-up trades, as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tapewire.simulators.sources import NoReference, Reference, Slice

START_MS = 1_381_152_600_000  # 2013-10-07 09:30 New York


class Tape:
    """``count`` trades, ``every_ms`` apart, of the tickers in turn, in slices of ten."""

    dates: tuple[str, ...] = ("2013-10-07",)
    whole_frames = False

    def __init__(
        self, count: int, *, every_ms: int = 1, symbols: Sequence[str] = ("AIG", "IBM")
    ) -> None:
        self.name = "tape"
        self.topics = frozenset({"T"})
        self.symbols = frozenset(symbols)
        self.notes: Sequence[str] = ()
        self.reference: Reference = NoReference("2013-10-07")
        self._events: Slice = [
            trade(number, symbols[number % len(symbols)], START_MS + number * every_ms)
            for number in range(count)
        ]

    def slices(self) -> Iterator[Slice]:
        for start in range(0, len(self._events), 10):
            yield self._events[start : start + 10]


def trade(number: int, symbol: str, time_ms: int) -> tuple[int, str, str]:
    text = (
        f'{{"ev":"T","sym":"{symbol}","i":"{number}","x":11,"p":49.18,"s":100,"z":1,'
        f'"t":{time_ms},"q":{number}}}'
    )
    return time_ms, f"T.{symbol}", text
