"""Bars of the simulated provider: days as its source has them, hours and minutes made of these."""

from __future__ import annotations

import asyncio
from binascii import crc32
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

from aiohttp import web

from tapewire.market.sessions import CalendarError, SessionCalendar, TradingDay
from tapewire.simulators.daily import MINUTE_MS, merged, minutes_of
from tapewire.simulators.rest_answers import BadRequestError, Row
from tapewire.simulators.rest_snapshots import prices
from tapewire.simulators.sources import DailyBar, Reference

_DAYS_KEPT: Final = 40
_MINUTES: Final = {"minute": 1, "hour": 60}
"""Spans that are made of minutes, and of how many."""


class BarHistory:
    """Bars of sessions that are over; ``is_over`` tells of a date whether it is."""

    def __init__(
        self, reference: Reference, calendar: SessionCalendar, is_over: Callable[[str], bool]
    ) -> None:
        self._reference = reference
        self._calendar = calendar
        self._is_over = is_over
        self._days: dict[str, Mapping[str, DailyBar]] = {}

    def day(self, text: str) -> TradingDay:
        """The trading day of ``YYYY-MM-DD`` or of milliseconds."""
        try:
            if text.isdigit():
                return self._calendar.day_at(int(text))
            return self._calendar.day(text)
        except CalendarError as error:
            raise BadRequestError(f"Could not parse the time input: {error}") from error

    async def daily(self, day: TradingDay) -> Mapping[str, DailyBar]:
        """A day's bars, worked out in a thread: recorded days are read from files."""
        if not self._is_over(day.date):
            return {}
        known = self._days.get(day.date)
        if known is None:
            known = await asyncio.to_thread(self._reference.daily_bars, day.date)
            self._days[day.date] = known
            for past in list(self._days)[:-_DAYS_KEPT]:
                del self._days[past]
        return known

    async def rows(
        self, ticker: str, multiplier: str, span: str, first: str, last: str
    ) -> list[Row]:
        """Bars of days, of minutes and of hours, oldest first; of other spans there are none."""
        number = int(multiplier) if multiplier.isdigit() else 0
        days = self._calendar.sessions(self.day(first).date, self.day(last).date)
        rows: list[Row] = []
        if span == "day" and number == 1:
            rows = await self._day_rows(ticker, days)
        elif span in _MINUTES and number:
            rows = await self._minute_rows(ticker, days, number * _MINUTES[span] * MINUTE_MS)
        begin_ms = int(first) if first.isdigit() else 0
        return [row for row in rows if row["t"] >= begin_ms]

    async def _day_rows(self, ticker: str, days: Sequence[TradingDay]) -> list[Row]:
        return [
            bar_row(bar, day.turn_ms - 4 * 3_600_000)
            for day in days
            if (bar := (await self.daily(day)).get(ticker))
        ]

    async def _minute_rows(
        self, ticker: str, days: Sequence[TradingDay], long_ms: int
    ) -> list[Row]:
        rows: list[Row] = []
        for day in days:
            bar = (await self.daily(day)).get(ticker)
            seed = crc32(f"{ticker} {day.date}".encode())
            minutes = minutes_of(bar, day, seed) if bar else []
            for slot, some in groupby(minutes, lambda one: one[0] // long_ms):
                rows.append(bar_row(merged([minute for _, minute in some]), slot * long_ms))
        return rows


def bar_row(bar: DailyBar, time_ms: int) -> Row:
    """A bar by the wire's names, with the time at which it starts (a day's: its midnight)."""
    return prices(bar) | {"t": time_ms, "n": bar.trades}


def rest_of(request: web.Request, time_ms: int) -> str:
    """The address of the rest of a range, which begins at a time."""
    *path, _, last = request.path.split("/")
    query = {name: value for name, value in request.query.items() if name != "apiKey"}
    return str(request.url.with_path("/".join([*path, str(time_ms), last])).with_query(query))
