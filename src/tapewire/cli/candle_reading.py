"""What ``tapewire candles`` reads: which candles somebody asks for, and where they come from."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import asdict

from tapewire.caches.reader import WidgetReader
from tapewire.cli.clock import wall_ms
from tapewire.cli.output import named
from tapewire.cli.stores import widget_cache
from tapewire.cli.wall_clock import CLOCKS, WallClock
from tapewire.market.instruments import EXCHANGES
from tapewire.market.ticks import instrument_key
from tapewire.model.markets import INDIA, US, Market
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


class Newest(StrEnum):
    """Which single candle is wanted."""

    LATEST = "latest"
    CONFIRMED = "confirmed"


class Traded(Struct, frozen=True):
    """What somebody asks for: an instrument as it was typed, and the exchange of its candles.

    ``exchange`` is ``US`` and the like for tickers, of Indian instruments the exchange and
    segment (``NSE_FO``), ``IN`` where only the symbol could say it.
    """

    symbol: str
    exchange: str

    @classmethod
    def of(cls, symbol: str, exchange: str = "US") -> "Traded":
        """``NSE_FO:8765``, or ``8765`` (also a trading symbol) with its exchange."""
        before = symbol.partition(":")[0].upper()
        if before in EXCHANGES:
            return cls(before + symbol[len(before) :], before)
        exchange = exchange.upper()
        if exchange in EXCHANGES:
            return cls(instrument_key(exchange, symbol), exchange)
        return cls(symbol, exchange)

    @property
    def is_indian(self) -> bool:
        """Whether it is traded in India."""
        return self.exchange in EXCHANGES or self.exchange == INDIA.exchange

    @property
    def market(self) -> Market:
        """Where it is traded."""
        return INDIA if self.is_indian else US

    @property
    def clock(self) -> WallClock:
        """The clock that its times are told by."""
        return CLOCKS[self.market]

    @property
    def candles(self) -> str:
        """The exchange under which its candles are stored."""
        return INDIA.exchange if self.is_indian else self.exchange

    async def symbols(self, reader: WidgetReader) -> AsyncIterator[str]:
        """Symbols that may be meant: as given, in capitals, then whatever has that name."""
        for symbol in dict.fromkeys((self.symbol, self.symbol.upper())):
            yield symbol
        if self.exchange in EXCHANGES:
            name = self.symbol.partition(":")[2]
            for called in dict.fromkeys((name, name.upper())):
                found = await reader.symbol_named(called, self.exchange)
                if found is not None:
                    yield found


class Found(Struct):
    """Candles to show, their heading, and why older ones are missing (empty: they are not)."""

    views: list[CandleView]
    title: str
    clock: WallClock
    missing: str = ""

    @property
    def has_provided(self) -> bool:
        """Whether some come from the provider."""
        return any(isinstance(view, ProviderCandle) for view in self.views)

    @property
    def is_one_day(self) -> bool:
        """Whether a clock time tells them apart."""
        return len({self.clock.date_of(view.start_ms) for view in self.views}) == 1


class Wanted(Struct):
    """Which candles somebody asks for, as it was typed."""

    traded: Traded
    interval: str
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
                calendar = self.traded.clock.calendar
                history = await CandleHistory(reader, calendar, fetch, wall_ms).read(
                    symbol, self.interval, first, last, exchange=self.traded.candles
                )
            if not history.candles:
                raise await self._nothing(reader, symbol, dates, history)
        return self._found(symbol, history)

    async def _known(self, reader: WidgetReader) -> tuple[str, list[str]]:
        """The symbol that has candles of those that may be meant, and the dates of these."""
        async for symbol in self.traded.symbols(reader):
            dates = await reader.candle_dates(
                symbol, exchange=self.traded.candles, interval=self.interval
            )
            if dates:
                return symbol, dates
        is_ticker = not self.traded.is_indian
        return self.traded.symbol.upper() if is_ticker else self.traded.symbol, []

    async def _one(self, reader: WidgetReader, symbol: str) -> list[Candle]:
        read = reader.latest if self.newest is Newest.LATEST else reader.confirmed
        found = await read(symbol, self.interval, exchange=self.traded.candles)
        return [found] if found else []

    def _bounds(self, dates: list[str]) -> tuple[int, int]:
        """First start and end: of the date asked for, else of the newest, or of any dates."""
        calendar = self.traded.clock.calendar
        date = self.date or (dates[-1] if dates else None)
        if date is None:
            date = calendar.trading_date(wall_ms())
        day = calendar.day(date)
        first = self._moment(self.from_, date) if self.from_ else day.turn_ms
        last = self._moment(self.to, date) if self.to else day.next_turn_ms
        if self.date:
            return max(first, day.turn_ms), min(last, day.next_turn_ms)
        if self.from_ and not self.to and not _CLOCK.fullmatch(self.from_):
            last = max(last, min(_END_MS, calendar.end_ms - 1))
        return first, last

    def _moment(self, text: str, date: str) -> int:
        """UTC ms of a time; a date alone is its beginning, 04:00."""
        clock = self.traded.clock
        if _DATE.fullmatch(text):
            return clock.calendar.day(clock.date(text)).turn_ms
        return clock.to_ms(text, date)

    async def _nothing(
        self, reader: WidgetReader, symbol: str, dates: list[str], history: History
    ) -> Exception:
        about = f"; {history.missing}" if history.missing else ""
        if not dates:
            where = self.traded.candles
            symbols = await reader.candle_symbols(exchange=where, interval=self.interval)
            return ServiceError(
                f"no {self.interval} candles of {self.traded.symbol} on exchange {where};"
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
        clock = self.traded.clock
        views = [
            CandleView.of(candle, symbol, self.traded.candles, self.interval)
            for candle in history.candles
        ]
        for k, view in enumerate(views):
            if view.start_ms in history.provided:
                views[k] = ProviderCandle(**asdict(view))
        ends = sorted({clock.date_of(view.start_ms) for view in (views[0], views[-1])})
        title = f"{symbol} {self.interval}, {' to '.join(ends)} {clock.place}"
        return Found(views, title, clock, history.missing)


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
