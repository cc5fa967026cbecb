"""What the broker simulators play: an Indian market's ticks in time order, and its last states.

``SOURCE`` is ``generator[:name=value,...]`` (`indian_market.py`) or ``lean:PATH[,date=...]``:
recorded US trades as broker ticks, which carry the day's volume so far instead of each size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from tapewire.market.instruments import Instrument
from tapewire.market.sessions import SessionCalendar, TradingDay
from tapewire.model.events import Tick
from tapewire.simulators.generator_options import read_options, session_on
from tapewire.simulators.indian_market import IndianGenerator
from tapewire.simulators.lean import LeanSource, trade_slices
from tapewire.simulators.sources import SourceError, TimedEvent, TimedTick, merge

RECORDED_TICK_SIZE: Final = 0.0001
"""US trades may be at fractions of a cent."""
_FIRST_RECORDED: Final = 90_001


class TickSource(Protocol):
    """A market's day, or several, as timed ticks."""

    name: str
    """The ``SOURCE`` string that names it, for messages."""

    dates: tuple[str, ...]
    """The sessions that it plays, ISO dates in order; of an endless one the first."""

    notes: Sequence[str]
    """Lines for the user."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Everything that is listed, by key."""

    def previous_close(self, key: str) -> float:
        """The close of the session before, in rupees; 0.0 where there was none."""

    def skip(self, seconds: int) -> None:
        """Begin so much event time later."""

    def slices(self) -> Iterator[list[TimedTick]]:
        """The ticks from the beginning, in order of time; each call starts anew."""


class TickTape:
    """A source that is being played; a ``Market`` for the voices of a simulated broker.

    Whoever plays it says with `play` which ticks are due, and `last` knows them from then on.
    """

    def __init__(self, source: TickSource) -> None:
        self.name, self.dates, self.notes = source.name, source.dates, source.notes
        self._source = source
        self._instruments = source.instruments
        self._last: dict[str, Tick] = {}

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Everything that is listed, by key."""
        return self._instruments

    def last(self, key: str) -> Tick | None:
        """The newest tick of an instrument that was played; None before its first."""
        return self._last.get(key)

    def previous_close(self, key: str) -> float:
        """The close of the session before, in rupees; 0.0 where there was none."""
        return self._source.previous_close(key)

    def slices(self) -> Iterator[list[TimedTick]]:
        """The ticks in order of time, those of a moment together."""
        return self._source.slices()

    def play(self, ticks: Sequence[TimedTick]) -> list[Tick]:
        """These ticks are due: remember and return them."""
        self._last.update((key, tick) for _, key, tick in ticks)
        return [tick for _, _, tick in ticks]


class _Trade(msgspec.Struct):
    """Of a recorded trade in the provider's JSON: ticker, dollars, shares, ms UTC."""

    sym: str
    p: float
    s: int
    t: int


_decode: Final = msgspec.json.Decoder(_Trade).decode


class RecordedTicks:
    """Every trade of recorded US tickers as a tick of an instrument on ``NSE_EQ``.

    Prices stay, in rupees; the day's volume counts every trade from an Indian trading date's
    beginning on. Times stay, or with ``date`` move so that the US open of the first recorded day
    falls on the open of that Indian session, and so on with the following days; what would be
    before that date's turn is left out.
    """

    def __init__(self, path: Path, date: str | None = None) -> None:
        recorded = LeanSource(path)
        self._files = [file for file in recorded.files if file.kind == "trade"]
        if not self._files:
            raise SourceError(f"{path} holds no recorded trades; expected <yyyymmdd>_trade.zip")
        self.name = f"{recorded.name}{f',date={date}' if date else ''}"
        self.notes = recorded.notes
        self._calendar = SessionCalendar.load("XNSE")
        self._shifts = self._shifted(date) if date else {}
        self.dates = tuple(day.date for day, _ in self._shifts.values()) or recorded.dates
        symbols = sorted({file.symbol for file in self._files})
        self._by_symbol = {
            symbol: _recorded_instrument(symbol, _FIRST_RECORDED + number)
            for number, symbol in enumerate(symbols)
        }
        self._skipped_ms = 0

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """One for each recorded ticker."""
        return {instrument.key: instrument for instrument in self._by_symbol.values()}

    def previous_close(self, key: str) -> float:
        """Nothing is known of the day before."""
        return 0.0

    def skip(self, seconds: int) -> None:
        """Begin so much event time after the first trade."""
        self._skipped_ms += seconds * 1000

    def slices(self) -> Iterator[list[TimedTick]]:
        """Each day's trades of all tickers, merged by time."""
        begin_ms: int | None = None
        for ticks in self._all():
            if begin_ms is None:
                begin_ms = ticks[0][0] + self._skipped_ms
            if rest := [tick for tick in ticks if tick[0] >= begin_ms]:
                yield rest

    def _all(self) -> Iterator[list[TimedTick]]:
        volumes: dict[tuple[str, str], int] = {}
        for day, files in groupby(self._files, key=lambda file: file.day):
            for trades in merge(trade_slices(file) for file in files):
                if ticks := self._ticks(trades, day, volumes):
                    yield ticks

    def _ticks(
        self, trades: Sequence[TimedEvent], day: str, volumes: dict[tuple[str, str], int]
    ) -> list[TimedTick]:
        """Trades as states; ``volumes`` holds the volume of a ticker and a trading date so far."""
        shift = self._shifts.get(day)
        earliest_ms, shift_ms = (shift[0].turn_ms, shift[1]) if shift else (0, 0)
        ticks: list[TimedTick] = []
        for _, _, text in trades:
            trade = _decode(text)
            time_ms = trade.t + shift_ms
            if time_ms < earliest_ms:
                continue
            counted = (trade.sym, self._calendar.day_at(time_ms).date)
            volumes[counted] = volume = volumes.get(counted, 0) + trade.s
            tick = _state(self._by_symbol[trade.sym], trade, time_ms, volume)
            ticks.append((time_ms, f"{tick.exchange}:{tick.token}", tick))
        return ticks

    def _shifted(self, date: str) -> dict[str, tuple[TradingDay, int]]:
        """Recorded date -> the Indian session that it is played in, and by how much it moves."""
        session = session_on(self._calendar, date, where=" in India")
        new_york, shifts = SessionCalendar.load("XNYS"), {}
        for day in dict.fromkeys(file.day for file in self._files):
            shifts[day] = session, session.open_ms - new_york.day(day).open_ms
            session = self._calendar.next_session(session.date)
        return shifts


def _recorded_instrument(symbol: str, number: int) -> Instrument:
    return Instrument(
        exchange="NSE_EQ", token=str(number), symbol=symbol, tick_size=RECORDED_TICK_SIZE
    )


def _state(instrument: Instrument, trade: _Trade, time_ms: int, volume: int) -> Tick:
    return Tick(
        broker="",
        exchange=instrument.exchange,
        token=instrument.token,
        symbol=instrument.symbol,
        last_price=trade.p,
        last_size=trade.s,
        day_volume=volume,
        open_interest=None,
        timestamp_ms=time_ms,
        received_ns=0,
    )


_OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "seed": int,
    "date": str,
    "at": str,
    "rate": float,
    "until": str,
}


def parse_tape(text: str, *, seed: int | None = None) -> TickTape:
    """The tape that a ``SOURCE`` string names; SourceError says what was expected."""
    return TickTape(parse_ticks(text, seed=seed))


def parse_ticks(text: str, *, seed: int | None = None) -> TickSource:
    """The source of ticks that a ``SOURCE`` string names; SourceError says what was expected."""
    kind, colon, rest = text.partition(":")
    if kind == "generator":
        return IndianGenerator(**read_options(rest, _OPTIONS, seed))
    if kind == "lean" and colon:
        path, _, date = rest.partition(",date=")
        return RecordedTicks(Path(path), date or None)
    raise SourceError(
        f"source {text!r} is not one that a broker can play; expected generator[:name=value,...]"
        " or lean:PATH[,date=YYYY-MM-DD]"
    )
