"""Minute candles from trades or from provider aggregates, open until time closes them.

The exact rule is ``components.md`` section 4, *Candles*. A candle is closed when event
time passes its end by the grace; a late trade amends its own candle for 15 minutes, and
each amendment after the close counts as a revision. A bucket without an
open/close-eligible trade makes no candle.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import msgpack

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS, Bar
from tapewire.analyzers.shard_clock import LATENESS_MS
from tapewire.market.sessions import SessionCalendar, TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Aggregate
from tapewire.model.feeds import candle_hash
from tapewire.model.rows import NOTIONAL_SCALE, Candle, Reference, encode_row, vwap

MINUTE_MS: Final = 60 * SECOND_MS
GRACE_MS: Final = 2 * SECOND_MS
_SLOT_MS: Final = 5 * MINUTE_MS


class Minute(Bar):
    """A candle in the making: a bar of one minute with what became of it.

    ``parts`` holds a provider's second bars by start, since each may be corrected.
    """

    date: str = ""
    closed: bool = False
    revision: int = 0
    gap: bool = False
    parts: dict[int, Bar] | None = None


class AtomicOhlcEngine:
    """A ``Part`` that publishes ``candles:1m:{symbol}``.

    ``grace_ms`` (``CANDLE_GRACE_MS``) is how long after its end a candle still counts as
    open; ``exchange`` is ``US`` for US equities.
    """

    def __init__(
        self, calendar: SessionCalendar, exchange: str = "US", grace_ms: int = GRACE_MS
    ) -> None:
        self._calendar = calendar
        self._exchange = exchange
        self._grace_ms = grace_ms
        self._minutes: dict[int, dict[str, Minute]] = {}
        self._unclosed: set[int] = set()
        self._changed: dict[tuple[int, str], Minute] = {}
        self._gaps: list[tuple[int, int]] = []
        self._second_ms = -1

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """Put a second's bars into their minute, and late trades into theirs."""
        for bar in bars:
            self._of(bar.symbol, bar.start_ms).merge(bar)
        for bar in late:
            minute = self._of(bar.symbol, bar.start_ms)
            minute.merge(bar)
            minute.revision += minute.closed

    def take(self, aggregate: Aggregate) -> None:
        """Put a provider's bar in: a second's replaces that second, a minute's the minute."""
        start_ms = int(aggregate.start_timestamp)
        minute = self._of(aggregate.symbol, start_ms)
        if minute.parts is None:
            minute.parts = {}
        bar = bar_of(aggregate)
        if minute.parts.get(start_ms) == bar:
            return
        minute.parts[start_ms] = bar
        minute.revision += minute.closed
        _rebuild(minute)

    def _of(self, symbol: str, timestamp_ms: int) -> Minute:
        start_ms = timestamp_ms // MINUTE_MS * MINUTE_MS
        minutes = self._minutes.get(start_ms)
        if minutes is None:
            minutes = self._minutes[start_ms] = {}
            if self._second_ms < start_ms + MINUTE_MS + self._grace_ms:
                self._unclosed.add(start_ms)
        minute = minutes.get(symbol)
        if minute is None:
            minute = minutes[symbol] = self._begin(symbol, start_ms)
        self._changed[start_ms, symbol] = minute
        return minute

    def _begin(self, symbol: str, start_ms: int) -> Minute:
        """A minute without trades; when its time is over, what comes is an amendment."""
        gap = any(start < start_ms + MINUTE_MS and start_ms <= end for start, end in self._gaps)
        date = self._calendar.trading_date(start_ms)
        return Minute(symbol, start_ms, date=date, closed=start_ms not in self._unclosed, gap=gap)

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Close the minutes that have passed, forget those that can no longer change."""
        for start_ms in [s for s in self._unclosed if s + MINUTE_MS + self._grace_ms <= second_ms]:
            self._close(start_ms)
        oldest_ms = second_ms - LATENESS_MS - MINUTE_MS
        for start_ms in [s for s in self._minutes if s <= oldest_ms]:
            if start_ms not in self._unclosed:
                del self._minutes[start_ms]
        self._gaps = [gap for gap in self._gaps if gap[1] > oldest_ms]
        self._second_ms = second_ms

    def _close(self, start_ms: int) -> None:
        self._unclosed.discard(start_ms)
        for symbol, minute in self._minutes[start_ms].items():
            if not minute.closed:
                minute.closed = True
                self._changed[start_ms, symbol] = minute

    def finish(self) -> None:
        """Close everything."""
        for start_ms in list(self._unclosed):
            self._close(start_ms)

    def gap(self, from_ms: int, to_ms: int) -> None:
        """Candles that overlap the gap carry its mark, those to come included."""
        self._gaps.append((from_ms, to_ms))
        for start_ms, minutes in self._minutes.items():
            if from_ms < start_ms + MINUTE_MS and start_ms <= to_ms:
                for symbol, minute in minutes.items():
                    minute.gap = True
                    self._changed[start_ms, symbol] = minute

    def refer(self, references: Iterable[Reference]) -> None:
        """Candles need no references."""

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Candles that changed at a cut, and their exact sums as private state.

        The open candle is written at most once a second of event time: cuts are when it
        changes. The unfinished second waits for its cut.
        """
        changes = Changes()
        for (start_ms, symbol), minute in self._changed.items():
            field = str(start_ms)
            private = changes.private.setdefault(_slot_hash(start_ms), {})
            private[f"{symbol}:{field}"] = _encode(minute)
            if minute.close_t >= 0:
                name = candle_hash(self._exchange, symbol, "1m", minute.date)
                changes.rows.setdefault(name, {})[field] = encode_row(candle_of(minute))
        self._changed = {}
        return changes

    def renew(self) -> None:
        """Make the next drain write every candle that is still in memory."""
        for start_ms, minutes in self._minutes.items():
            for symbol, minute in minutes.items():
                self._changed[start_ms, symbol] = minute

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """The minutes that could still change then, in slots of five minutes."""
        first = (second_ms - LATENESS_MS - MINUTE_MS) // _SLOT_MS * _SLOT_MS
        return [_slot_hash(start) for start in range(first, second_ms + SECOND_MS, _SLOT_MS)]

    def restore(self, private: Hashes) -> None:
        """Read the minutes back; those that can no longer change go at the next clock."""
        for name, values in private.items():
            if name.startswith(_MINUTES):
                for value in values.values():
                    self._put_back(_decode_minute(value))

    def _put_back(self, minute: Minute) -> None:
        self._minutes.setdefault(minute.start_ms, {})[minute.symbol] = minute
        if not minute.closed:
            self._unclosed.add(minute.start_ms)


def candle_of(minute: Minute) -> Candle:
    """The row of a minute that has an open and a close."""
    return Candle(
        minute.start_ms,
        minute.open,
        minute.high,
        minute.low,
        minute.close,
        minute.volume,
        vwap(minute.notional, minute.volume),
        minute.trades,
        minute.closed,
        minute.revision,
        minute.gap,
    )


def bar_of(aggregate: Aggregate) -> Bar:
    """A provider's bar in our terms; the number of trades follows from its average size."""
    start_ms, volume = int(aggregate.start_timestamp), aggregate.volume
    price = aggregate.vwap if aggregate.vwap is not None else aggregate.close
    size = aggregate.average_size
    return Bar(
        aggregate.symbol,
        start_ms,
        volume=volume,
        notional=round(price * volume * NOTIONAL_SCALE),
        trades=round(volume / size) if size else 0,
        high=aggregate.high,
        low=aggregate.low,
        open=aggregate.open,
        open_t=start_ms,
        open_q=0,
        close=aggregate.close,
        close_t=start_ms,
        close_q=0,
    )


def _rebuild(minute: Minute) -> None:
    whole = Bar(minute.symbol, minute.start_ms)
    for part in (minute.parts or {}).values():
        whole.merge(part)
    for name in Bar.__struct_fields__:
        setattr(minute, name, getattr(whole, name))


_MINUTES: Final = "minutes:"


def _slot_hash(start_ms: int) -> str:
    return f"{_MINUTES}{start_ms // _SLOT_MS * _SLOT_MS}"


_encode = msgpack.Encoder().encode
_decode_minute = msgpack.Decoder(Minute).decode
