"""Opening range breakouts, as an analyzer for Tapewire.

One class, `OpeningRange`, is a ``Part``: it is given each second's bars (or a provider's bars)
and says what changed. Everything that it must remember is in `State`, which it hands over with
the rows; so another process can go on from there at any moment, and the result is the same.
"""

from collections.abc import Iterable, Sequence
from math import inf

from msgspec import Struct, msgpack

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.analyzers.plugin import Context, Plugin
from tapewire.market.sessions import TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate
from tapewire.model.feeds import DAY_S, Feed, Kind
from tapewire.model.rows import Reference

MINUTE_MS = 60_000
ROWS, EVENTS, STATES = "opening_range", "opening_range_breakout", "opening_range_states"


class Row(Struct, array_like=True):
    """A symbol's opening range. ``broke_*_ms`` is when it broke upwards or downwards."""

    symbol: str
    high: float
    low: float
    complete: bool
    broke_up_ms: int | None
    broke_down_ms: int | None


class Breakout(Struct, array_like=True):
    """The first bar that closed outside a complete range: ``direction`` is up or down."""

    symbol: str
    direction: str
    price: float
    level: float
    timestamp_ms: int


class State(Struct, array_like=True):
    """What is remembered of one symbol."""

    high: float = -inf
    low: float = inf
    broke_up_ms: int | None = None
    broke_down_ms: int | None = None


class OpeningRange:
    """Folds bars. ``minutes``: how long after the open the range forms."""

    def __init__(self, minutes: float = 15.0) -> None:
        self._length_ms = round(minutes * MINUTE_MS)
        self._day: TradingDay | None = None
        self._complete = False
        self._states: dict[str, State] = {}
        self._changed: set[str] = set()
        self._events: list[Breakout] = []

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """A second has ended. A late trade still widens the range that it belongs to."""
        for bar in late:
            self._widen(bar.symbol, bar.start_ms, bar.high, bar.low)
        for bar in sorted(bars, key=lambda bar: bar.symbol):
            self._widen(bar.symbol, bar.start_ms, bar.high, bar.low)
            if bar.close_t >= 0:
                self._judge(bar.symbol, bar.start_ms, bar.close)

    def take(self, aggregate: Aggregate) -> None:
        """A provider's bar; without this method there would be none where aggregates are folded."""
        start_ms = int(aggregate.start_timestamp)
        self._widen(aggregate.symbol, start_ms, aggregate.high, aggregate.low)
        self._judge(aggregate.symbol, start_ms, aggregate.close)

    def _widen(self, symbol: str, at_ms: int, high: float, low: float) -> None:
        day = self._day
        if day is None or high == -inf or not day.open_ms <= at_ms < day.open_ms + self._length_ms:
            return
        state = self._states.setdefault(symbol, State())
        if high > state.high or low < state.low:
            state.high, state.low = max(high, state.high), min(low, state.low)
            self._changed.add(symbol)

    def _judge(self, symbol: str, at_ms: int, close: float) -> None:
        day, state = self._day, self._states.get(symbol)
        if day is None or state is None:
            return
        if not day.open_ms + self._length_ms <= at_ms < day.close_ms:
            return
        if close > state.high and state.broke_up_ms is None:
            state.broke_up_ms = at_ms
            self._tell(Breakout(symbol, "up", close, state.high, at_ms))
        elif close < state.low and state.broke_down_ms is None:
            state.broke_down_ms = at_ms
            self._tell(Breakout(symbol, "down", close, state.low, at_ms))

    def _tell(self, breakout: Breakout) -> None:
        self._events.append(breakout)
        self._changed.add(breakout.symbol)

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Event time has come here: a new day begins, or the ranges are complete."""
        if self._day is not None and day.date != self._day.date:
            self._states, self._changed = {}, set()
        self._day = day
        complete = second_ms >= day.open_ms + self._length_ms
        if complete is not self._complete:
            self._complete = complete
            self._changed.update(self._states)

    def finish(self) -> None:
        """The replay has ended; nothing stays open here."""

    def gap(self, from_ms: int, to_ms: int) -> None:
        """Events were lost; rows of this example do not say so."""

    def refer(self, references: Iterable[Reference]) -> None:
        """Previous closes and the like; not needed here."""

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Rows to publish by symbol, events in order, and the state behind them."""
        changes = Changes()
        if self._events:
            changes.items[EVENTS] = [encode(event) for event in self._events]
            self._events = []
        if self._day is not None and self._changed:
            date, states = self._day.date, self._states
            rows = {symbol: encode(self._row(symbol)) for symbol in self._changed}
            changes.rows[f"{ROWS}:{date}"] = rows
            kept = {symbol: encode(states[symbol]) for symbol in self._changed}
            changes.private[f"{STATES}:{date}"] = kept
            self._changed = set()
        return changes

    def _row(self, symbol: str) -> Row:
        state = self._states[symbol]
        return Row(
            symbol, state.high, state.low, self._complete, state.broke_up_ms, state.broke_down_ms
        )

    def renew(self) -> None:
        """The store lost everything: the next drain writes every row."""
        self._changed.update(self._states)

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """Which private hashes ``restore`` needs."""
        return [f"{STATES}:{date}"]

    def restore(self, private: Hashes) -> None:
        """Go on where another process ended; ``clock`` follows."""
        for name, values in private.items():
            if name.startswith(f"{STATES}:"):
                self._states = {symbol: decode_state(value) for symbol, value in values.items()}
                self._changed = set(self._states)


encode = msgpack.Encoder().encode
decode_state = msgpack.Decoder(State).decode


def make(context: Context) -> OpeningRange:
    """What Tapewire calls for each shard that a process comes to own."""
    minutes = context.number("minutes", 15.0)
    if not 0 < minutes < 390:
        raise ValueError(f"minutes={minutes:g} is not within a session; expected 1 to 389")
    return OpeningRange(minutes)


PLUGIN = Plugin(
    make=make,
    options=frozenset({"minutes"}),
    feeds=(
        Feed("opening_range:{symbol}", Kind.STATE, "symbol", ROWS, 4 * DAY_S, row=Row),
        Feed("opening_range_breakout", Kind.EVENT, "symbol", EVENTS, 4 * DAY_S, row=Breakout),
    ),
)
