"""A trading date's reference rows while they are being asked for. Pure."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from msgspec import Struct, field

from tapewire.market.sessions import CalendarRangeError, SessionCalendar
from tapewire.model.rows import Reference
from tapewire.providers.massive.rest_models import DayBar, FreeFloat, Number


class Draft(Struct):
    """A date's rows while they are being asked for; a failed load goes on where it stopped.

    ``newest``: the session before the date; ``waiting``: older sessions still to be asked for,
    newest first; ``barren``: those of which the provider has no bars at all.
    ``volumes``: symbol -> sum and number of the sessions in which it appears.
    ``missing``: field -> why it is empty.
    """

    date: str
    newest: str
    waiting: list[str]
    previous: dict[str, DayBar] = field(default_factory=dict)
    volumes: dict[str, tuple[Number, int]] = field(default_factory=dict)
    floats: dict[str, Number] = field(default_factory=dict)
    floats_asked: bool = False
    barren: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, date: str, calendar: SessionCalendar, sessions: int) -> "Draft":
        """Name the sessions before a date, as far back as the calendar reaches."""
        found = [date]
        with suppress(CalendarRangeError):  # the calendar begins here: a shorter mean
            while len(found) <= sessions:
                found.append(calendar.previous_session(found[-1]).date)
        return cls(date, found[1] if found[1:] else "", found[2:])

    @property
    def is_averaged(self) -> bool:
        """Whether every session could be had.

        Without one of them nobody gets an average: it would be a mean over fewer sessions than
        the column says, for every symbol.
        """
        return not self.waiting and not self.barren

    def add_session(self, bars: Iterable[DayBar], *, newest: bool) -> None:
        """Take in one session's grouped day."""
        for bar in bars:
            if newest:
                self.previous[bar.symbol] = bar
            if bar.volume is not None:
                total, sessions = self.volumes.get(bar.symbol, (0, 0))
                self.volumes[bar.symbol] = (total + bar.volume, sessions + 1)

    def add_floats(self, rows: Iterable[FreeFloat]) -> None:
        """Take in a page of free floats; one that takes effect after the date is not known yet."""
        for row in rows:
            if row.free_float is not None and (row.effective_date or "") <= self.date:
                self.floats[row.symbol] = row.free_float

    def rows(self) -> list[Reference]:
        """One row for each symbol of which anything is known, by symbol."""
        symbols = self.previous.keys() | self.floats.keys() | self.volumes.keys()
        return [self._row(symbol) for symbol in sorted(symbols) if self._knows(symbol)]

    def counts(self, rows: Sequence[Reference]) -> dict[str, int]:
        """How many symbols there are, and of how many each thing is known."""
        return {
            "symbols": len(rows),
            "prev_day": len(self.previous),
            "avg_volume": sum(row.avg_volume is not None for row in rows),
            "free_float": len(self.floats),
        }

    def average_volume(self, symbol: str) -> float | None:
        """Mean over the sessions in which the symbol appears; None without one."""
        total, sessions = self.volumes.get(symbol, (0, 0))
        return total / sessions if sessions and self.is_averaged else None

    def _knows(self, symbol: str) -> bool:
        return self.is_averaged or symbol in self.previous or symbol in self.floats

    def _row(self, symbol: str) -> Reference:
        row = Reference(
            symbol,
            self.date,
            avg_volume=self.average_volume(symbol),
            free_float=self.floats.get(symbol),
        )
        if (bar := self.previous.get(symbol)) is not None:
            row.prev_day_open, row.prev_day_high = bar.open, bar.high
            row.prev_day_low, row.prev_day_close = bar.low, bar.close
            row.prev_day_volume, row.prev_day_vwap = bar.volume, bar.vwap
        return row
