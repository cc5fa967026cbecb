"""Massive's REST as the ``fetch`` of the Market Data Cache: calls by name, rows as plain JSON.

The caches know nothing of providers; this is where the two meet. What a row is called here is
what its field is called in ``providers/massive/rest_reference_models.py``; fields without a value
are left out.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from tapewire.caches.known import Fetched, FetchFailed, FetchRefused, Found, FoundMarket, Nothing
from tapewire.market.sessions import CalendarRangeError, SessionCalendar
from tapewire.providers.massive.rest import (
    CallRejected,
    NotEntitled,
    NotFound,
    RestError,
    TryLater,
)
from tapewire.providers.massive.rest_reference import MassiveReference
from tapewire.runtime.service import RefusedByProvider

AVERAGE_SESSIONS: Final = 30
"""Sessions in the average volume (``components.md`` 4)."""

MAX_BARS: Final = 50_000
"""Bars of one ``aggregates`` answer; a longer range is refused."""

_encode: Final = msgspec.json.Encoder().encode


def plain(value: Any) -> Any:
    """A Struct as a dictionary by field names, without fields that have no value."""
    if isinstance(value, Struct):
        fields = ((name, plain(getattr(value, name))) for name in value.__struct_fields__)
        return {name: shown for name, shown in fields if shown is not None}
    return [plain(one) for one in value] if isinstance(value, list) else value


class MassiveFetch:
    """Implements ``caches.known.Fetch``.

    ``calendar`` and ``now_ms`` tell which sessions an average volume is made of.
    """

    def __init__(
        self, rest: MassiveReference, calendar: SessionCalendar, now_ms: Callable[[], int]
    ) -> None:
        self._rest = rest
        self._calendar = calendar
        self._now_ms = now_ms

    async def __call__(self, call: str, argument: str) -> Fetched:
        """Make the call; FetchRefused where plan or key forbid it, FetchFailed without data."""
        try:
            return await _CALLS[call](self, argument)
        except NotFound as error:
            return Nothing(str(error))
        except (NotEntitled, CallRejected, RefusedByProvider) as error:
            raise FetchRefused(str(error)) from error
        except TryLater as error:
            raise FetchFailed(str(error), error.retry_after_s) from error
        except RestError as error:
            raise FetchFailed(str(error)) from error

    async def last_trade(self, symbol: str) -> Fetched:
        """The most recent trade."""
        return _thing(await self._rest.last_trade(symbol))

    async def last_quote(self, symbol: str) -> Fetched:
        """The most recent best bid and ask."""
        return _thing(await self._rest.last_quote(symbol))

    async def snapshot(self, symbol: str) -> Fetched:
        """The day's state of one ticker."""
        return _thing(await self._rest.snapshot(symbol))

    async def snapshots(self, _: str) -> Fetched:
        """The day's state of every ticker."""
        rows = await self._rest.snapshots()
        return FoundMarket({row.symbol: _encode(plain(row)) for row in rows})

    async def ticker_details(self, symbol: str) -> Fetched:
        """The company; addresses of pictures stay here, since they need the key."""
        details = await self._rest.ticker_details(symbol)
        if details is not None:
            details.branding = None
        return _thing(details)

    async def ticker_events(self, symbol: str) -> Fetched:
        """The names that a company's shares have had."""
        return _thing(await self._rest.ticker_events(symbol))

    async def short_interest(self, symbol: str) -> Fetched:
        """Reports of short interest, newest first."""
        return _rows(await self._rest.short_interest(symbol))

    async def short_volume(self, symbol: str) -> Fetched:
        """Daily short volume, newest first."""
        return _rows(await self._rest.short_volume(symbol))

    async def splits(self, symbol: str) -> Fetched:
        """Splits, newest first."""
        return _rows(await self._rest.splits(symbol))

    async def dividends(self, symbol: str) -> Fetched:
        """Dividends, newest first."""
        return _rows(await self._rest.dividends(symbol))

    async def news(self, symbol: str) -> Fetched:
        """Headlines, newest first."""
        return _rows(await self._rest.news(symbol))

    async def free_float(self, symbol: str) -> Fetched:
        """Shares that can be traded."""
        return _thing(await self._rest.free_float(symbol))

    async def previous_day(self, symbol: str) -> Fetched:
        """The last complete session's bar."""
        return _thing(await self._rest.previous_close(symbol))

    async def average_volume(self, symbol: str) -> Fetched:
        """Mean volume over those of the last 30 sessions in which the symbol traded."""
        dates = self._last_sessions()
        if not dates:
            return Nothing("the calendar begins with this date")
        pages = self._rest.bars(symbol, 1, "day", dates[0], dates[-1])
        volumes = [bar.volume async for page in pages for bar in page if bar.volume is not None]
        if not volumes:
            return Nothing(f"no bars from {dates[0]} to {dates[-1]}")
        mean = sum(volumes) / len(volumes)
        return _found({"symbol": symbol, "avg_volume": mean, "sessions": len(volumes)})

    async def aggregates(self, argument: str) -> Fetched:
        """Bars of ``symbol:multiplier:timespan:first:last``, oldest first."""
        symbol, *range_ = argument.split(":")
        if len(range_) != 4 or not range_[0].isdecimal():
            raise FetchRefused(
                f"aggregates of {argument!r}; expected symbol:multiplier:timespan:first:last"
            )
        multiplier, timespan, first, last = range_
        bars: list[dict[str, Any]] = []
        async for page in self._rest.bars(symbol, int(multiplier), timespan, first, last):
            bars += map(plain, page)
            if len(bars) > MAX_BARS:
                raise FetchRefused(f"aggregates of {argument}: over {MAX_BARS} bars; ask for less")
        return _found(bars) if bars else Nothing(f"no bars from {first} to {last}")

    async def market_status(self, _: str) -> Fetched:
        """Whether the market is open now, as the provider sees it."""
        return _thing(await self._rest.market_status())

    async def upcoming_holidays(self, _: str) -> Fetched:
        """Coming closures and early closes."""
        return _found(plain(await self._rest.upcoming_holidays()))

    async def logo(self, symbol: str) -> Fetched:
        """A company's logo, as bytes."""
        return await self._picture(symbol, "logo_url")

    async def icon(self, symbol: str) -> Fetched:
        """A company's icon, as bytes."""
        return await self._picture(symbol, "icon_url")

    async def _picture(self, symbol: str, which: str) -> Fetched:
        details = await self._rest.ticker_details(symbol)
        address = details and details.branding and getattr(details.branding, which)
        if not address:
            return Nothing("the provider has no such picture")
        picture = await self._rest.picture(address)
        return Found(*picture) if picture else Nothing("the provider has no such picture")

    def _last_sessions(self) -> Sequence[str]:
        """Dates of the sessions before the current trading day, oldest first."""
        found = [self._calendar.trading_date(self._now_ms())]
        with suppress(CalendarRangeError):  # the calendar begins here: a shorter mean
            while len(found) <= AVERAGE_SESSIONS:
                found.append(self._calendar.previous_session(found[-1]).date)
        return found[:0:-1]


def _found(value: Any) -> Found:
    return Found(_encode(value))


def _thing(value: Struct | None) -> Fetched:
    return Nothing("the provider knows nothing of it") if value is None else _found(plain(value))


def _rows(rows: Sequence[Struct]) -> Fetched:
    return _found(plain(list(rows))) if rows else Nothing("the provider has no rows")


_CALLS: Final[Mapping[str, Callable[[MassiveFetch, str], Awaitable[Fetched]]]] = {
    call.__name__: call
    for call in (
        MassiveFetch.last_trade,
        MassiveFetch.last_quote,
        MassiveFetch.snapshot,
        MassiveFetch.snapshots,
        MassiveFetch.ticker_details,
        MassiveFetch.ticker_events,
        MassiveFetch.short_interest,
        MassiveFetch.short_volume,
        MassiveFetch.splits,
        MassiveFetch.dividends,
        MassiveFetch.news,
        MassiveFetch.free_float,
        MassiveFetch.previous_day,
        MassiveFetch.average_volume,
        MassiveFetch.aggregates,
        MassiveFetch.market_status,
        MassiveFetch.upcoming_holidays,
        MassiveFetch.logo,
        MassiveFetch.icon,
    )
}
CALLS: Final = frozenset(_CALLS)
"""Names of the calls; ``Kind.call`` of every kind is among them."""
