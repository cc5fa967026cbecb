"""What ``tapewire candles`` reads: which candles somebody asks for, and where they come from."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import asdict

from tapewire.caches.reader import WidgetReader
from tapewire.cli import new_york
from tapewire.cli.candles import Newest, named
from tapewire.cli.stores import widget_cache
from tapewire.model.rows import Candle, CandleView
from tapewire.runtime.service import ServiceError
from tapewire.services.candle_history import CandleHistory, History

if TYPE_CHECKING:
    from tapewire.runtime.settings import Settings
    from tapewire.services.candle_history import Fetch

_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_END_MS: Final = 253_402_300_799_000


class ProviderCandle(CandleView):
    """A candle that the provider gave, in today's shares."""

    origin: str = "provider"


class Found(Struct):
    """Candles to show, their heading, and why older ones are missing (empty: they are not)."""

    views: list[CandleView]
    title: str
    missing: str = ""

    @property
    def has_provided(self) -> bool:
        """Whether some come from the provider."""
        return any(isinstance(view, ProviderCandle) for view in self.views)

    @property
    def is_one_day(self) -> bool:
        """Whether a clock time tells them apart."""
        return len({new_york.date_of(view.start_ms) for view in self.views}) == 1


class Wanted(Struct):
    """Which candles somebody asks for, as it was typed."""

    symbol: str
    interval: str
    exchange: str
    date: str | None = None
    from_: str | None = None
    to: str | None = None
    newest: Newest | None = None

    async def read(self, settings: "Settings") -> Found:
        """The candles; ServiceError (exit code 1) that says what there is when there are none."""
        async with widget_cache(settings) as cache, provider(settings) as fetch:
            reader = WidgetReader(cache)
            symbol, dates = await self._known(reader)
            if self.newest is not None:
                history = History(await self._one(reader, symbol))
            else:
                first, last = self._bounds(dates)
                history = await CandleHistory(
                    reader, new_york.calendar(), fetch, lambda: int(time.time() * 1000)
                ).read(symbol, self.interval, first, last, exchange=self.exchange)
            if not history.candles:
                raise await self._nothing(reader, symbol, dates, history)
        return self._found(symbol, history)

    async def _known(self, reader: WidgetReader) -> tuple[str, list[str]]:
        """The symbol as given, else in capitals, and the dates on which it has candles."""
        where = {"exchange": self.exchange, "interval": self.interval}
        for symbol in (self.symbol, self.symbol.upper()):
            dates = await reader.candle_dates(symbol, **where)
            if dates:
                return symbol, dates
        return self.symbol.upper(), []

    async def _one(self, reader: WidgetReader, symbol: str) -> list[Candle]:
        read = reader.latest if self.newest is Newest.LATEST else reader.confirmed
        found = await read(symbol, self.interval, exchange=self.exchange)
        return [found] if found else []

    def _bounds(self, dates: list[str]) -> tuple[int, int]:
        """First start and end: of the date asked for, else of the newest, or of any dates."""
        date = self.date or (dates[-1] if dates else None)
        if date is None:
            date = new_york.calendar().trading_date(int(time.time() * 1000))
        day = new_york.calendar().day(date)
        first = _moment(self.from_, date) if self.from_ else day.turn_ms
        last = _moment(self.to, date) if self.to else day.next_turn_ms
        if self.date:
            return max(first, day.turn_ms), min(last, day.next_turn_ms)
        if self.from_ and not self.to and not _CLOCK.fullmatch(self.from_):
            last = max(last, min(_END_MS, new_york.calendar().end_ms - 1))
        return first, last

    async def _nothing(
        self, reader: WidgetReader, symbol: str, dates: list[str], history: History
    ) -> Exception:
        about = f"; {history.missing}" if history.missing else ""
        if not dates:
            symbols = await reader.candle_symbols(exchange=self.exchange, interval=self.interval)
            return ServiceError(
                f"no {self.interval} candles of {self.symbol} on exchange {self.exchange};"
                f" there are some of {named(symbols)}{about}"
            )
        if self.date and self.date not in dates:
            return ServiceError(
                f"no {self.interval} candles of {symbol} on {self.date}; there are some on"
                f" {named(dates)}{about}"
            )
        return ServiceError(
            f"{symbol} has {self.interval} candles on {named(dates)}, but none in that time{about}"
        )

    def _found(self, symbol: str, history: History) -> Found:
        views = [
            CandleView.of(candle, symbol, self.exchange, self.interval)
            for candle in history.candles
        ]
        for k, view in enumerate(views):
            if view.start_ms in history.provided:
                views[k] = ProviderCandle(**asdict(view))
        ends = sorted({new_york.date_of(view.start_ms) for view in (views[0], views[-1])})
        title = f"{symbol} {self.interval}, {' to '.join(ends)} New York"
        return Found(views, title, history.missing)


def _moment(text: str, date: str) -> int:
    """UTC ms of a time; a date alone is its beginning, 04:00."""
    if _DATE.fullmatch(text):
        return new_york.calendar().day(new_york.date(text)).turn_ms
    return new_york.to_ms(text, date)


@asynccontextmanager
async def provider(settings: "Settings") -> AsyncIterator["Fetch | None"]:
    """The provider's bars, None without a key."""
    if settings.massive_api_key is None:
        yield None
        return
    import aiohttp

    from tapewire.providers.massive.rest import MassiveRest

    key = settings.required("massive_api_key")
    async with aiohttp.ClientSession() as session:
        rest = MassiveRest(settings.massive_rest_url, key, session=session, clock=time.monotonic)
        yield rest.bars
