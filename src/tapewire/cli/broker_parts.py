"""``tapewire run listener --provider brokers``: accounts, instruments and their way to MDC.

Of ``BROKERS`` those with credentials are used, in that order. What an instrument master says at
a broker's own address is kept in the data folder; what it says elsewhere (a simulator) is
forgotten when the process ends.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from msgspec.structs import replace

from tapewire.caches.cache import CacheUnavailable
from tapewire.cli.clock import wall_ms
from tapewire.cli.wiring import Wiring
from tapewire.market.exchange_hours import may_speak, must_speak
from tapewire.market.instrument_names import read_names
from tapewire.market.sessions import CalendarRangeError, SessionCalendar
from tapewire.model.markets import INDIA
from tapewire.model.rows import Reference
from tapewire.providers.broker import Broker
from tapewire.providers.broker_factory import BrokerFactory
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.failover import FailoverLimits
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.queues.queue import Queue
from tapewire.runtime.lease import Lease
from tapewire.runtime.logging import get_logger
from tapewire.runtime.service import Report, UsageError
from tapewire.runtime.settings import Settings
from tapewire.services.broker_feed import BrokerFeed
from tapewire.services.broker_listener import BrokerDataListener
from tapewire.services.tick_queue import TickQueue
from tapewire.services.token_watch import TokenWatch

log = get_logger(__name__)

REFERENCES_S: Final = 1.0
"""How often what brokers told of names and previous closes is written to MDC."""

_FOLDER: Final = "instruments"
_FILES: Final = (".txt", ".csv")
"""A value that ends so, or has a / in it, is the path of a file."""


def is_own(settings: Settings, broker: str) -> bool:
    """Whether a broker is asked at an address of one's own: a simulator's, say."""
    name = f"{broker}_rest_url"
    return bool(getattr(settings, name) != Settings.model_fields[name].default)


def instrument_names(settings: Settings) -> list[str]:
    """What ``BROKER_INSTRUMENTS`` or its file names; UsageError when that is nothing."""
    text = settings.required("broker_instruments")
    is_file = "/" in text or text.endswith(_FILES)
    names = read_names(_read(text) if is_file else text)
    if not names:
        raise UsageError(
            "BROKER_INSTRUMENTS names nothing; expected a list such as NIFTY,RELIANCE,NIFTY-I, or"
            " a file with one on each line"
        )
    return names


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"BROKER_INSTRUMENTS: cannot read {path} ({error}); expected a text file with an"
            " instrument on each line"
        ) from error


def build_brokers(settings: Settings, stack: AsyncExitStack) -> tuple[list[Broker], TokenWatch]:
    """The usable brokers, in order of preference; they are closed with the stack.

    And the watch over the files that their tokens come from.
    """

    def cache_of(broker: str) -> InstrumentCache:
        return InstrumentCache(_folder(settings, broker, stack), time.time)

    factory = BrokerFactory(settings, cache_of)
    brokers = factory.make()
    for broker in brokers:
        stack.push_async_callback(broker.close)
    return brokers, TokenWatch(factory.token_files)


def _folder(settings: Settings, broker: str, stack: AsyncExitStack) -> Path:
    if is_own(settings, broker):
        return Path(stack.enter_context(TemporaryDirectory(prefix=f"tapewire-{broker}-")))
    return settings.tapewire_data_dir.expanduser() / _FOLDER


def lease_name(settings: Settings) -> str:
    """One lease per set of accounts, as far as they can be told apart without their tokens."""
    token = settings.fyers_access_token
    fyers = token.get_secret_value().rpartition(":")[0] if token else ""
    own = (getattr(settings, f"{broker}_rest_url") for broker in settings.brokers)
    account = " ".join([*sorted(settings.brokers), *own, settings.dhan_client_id or "", fyers])
    return f"brokers:{hashlib.sha256(account.encode()).hexdigest()[:16]}"


def build_broker_listener(
    settings: Settings,
    wiring: Wiring,
    queue: Queue,
    lease: Lease,
    stack: AsyncExitStack,
    *,
    instance: str = "0",
) -> tuple[BrokerDataListener, BrokerFeed]:
    """The listener over the brokers, and their feed; the queue belongs to the caller.

    UsageError when there is nobody to ask or nothing to ask for.
    """
    brokers, tokens = build_brokers(settings, stack)
    feed: BrokerFeed = BrokerFeed(
        brokers,
        instrument_names(settings),
        live=at_hours(settings, must_speak, lambda: feed.exchanges),
        trading=at_hours(settings, may_speak, lambda: feed.exchanges),
        tokens=tokens,
        limits=failover_limits(settings),
        bounds=client_bounds(settings),
    )
    listener = BrokerDataListener(
        feed,
        queue,
        lease,
        shards=settings.tapewire_shards,
        held=TickQueue(settings.tick_queue_max, settings.tick_queue_max_bytes),
        instance=instance,
        lossless=wiring.lossless,
    )
    return listener, feed


def failover_limits(settings: Settings) -> FailoverLimits:
    """When to change brokers."""
    silence_s, failback_s = settings.broker_silence_s, settings.broker_failback_s
    return FailoverLimits(silence_s=silence_s, stable_s=failback_s)


def client_bounds(settings: Settings) -> ClientBounds:
    """What a connection may do: be silent for as long as its broker may, at least."""
    usual = ClientBounds()
    return ClientBounds(mute_s=max(usual.mute_s, settings.broker_silence_s))


def at_hours(
    settings: Settings,
    speaks: Callable[[Collection[str], int, SessionCalendar], bool],
    exchanges: Callable[[], Collection[str]],
    now_ms: Callable[[], int] = wall_ms,
) -> Callable[[], bool]:
    """One of ``exchange_hours.py`` by the clock; at addresses of one's own it is always so."""
    if any(is_own(settings, broker) for broker in settings.brokers):
        return lambda: True
    calendar = SessionCalendar.load(INDIA.calendar)
    return lambda: speaks(exchanges(), now_ms(), calendar)


class Told(Protocol):
    """Where names and previous closes come from."""

    def references(self) -> Sequence[Reference]:
        """What was learned since the last call; without dates."""


class Reporting(Protocol):
    """Whose report tells how far event time has come."""

    def report(self) -> Report:
        """The present state."""


class Keeping(Protocol):
    """Where reference rows are kept."""

    async def put(self, date: str, rows: Sequence[Reference]) -> None:
        """Write rows of a date."""


def traded_date(settings: Settings, listener: Reporting) -> Callable[[], str]:
    """The trading date that is traded now, empty while nobody knows.

    At addresses of one's own any day may be played: it is that of the newest tick.
    """
    if not any(is_own(settings, broker) for broker in settings.brokers):
        return lambda: _trading_date(wall_ms())

    def of_newest() -> str:
        lag_ms = listener.report().lag_ms
        return "" if lag_ms is None else _trading_date(wall_ms() - lag_ms)

    return of_newest


async def keep_references(feed: Told, store: Keeping, date_of: Callable[[], str]) -> None:
    """For ever: write what the brokers tell of instruments under the day that is traded."""
    book = References()
    while True:
        await asyncio.sleep(REFERENCES_S)
        rows = book.due(date_of(), feed.references())
        if not rows:
            continue
        try:
            await store.put(rows[0].date, rows)
        except CacheUnavailable as error:
            book.again(rows)
            log.warning("names and previous closes wait", cause=str(error))


_calendar: Final = SessionCalendar.load(INDIA.calendar)


def _trading_date(time_ms: float) -> str:
    """The trading date of a time; empty for one that no calendar knows."""
    try:
        return _calendar.trading_date(int(time_ms))
    except CalendarRangeError:
        return ""


class References:
    """What is known of instruments, and what of it is still to be written.

    Without a date nothing is written yet. On a new date names are written again; closes are
    not, since brokers tell the new ones.
    """

    def __init__(self) -> None:
        self._date = ""
        self._known: dict[str, Reference] = {}
        self._waiting: dict[str, Reference] = {}

    def due(self, date: str, learned: Iterable[Reference]) -> list[Reference]:
        """Rows to write now for a date, after what was just learned."""
        if date and self._date and date > self._date:
            self._known = {s: Reference(s, "", name=row.name) for s, row in self._known.items()}
            self._waiting = dict(self._known)
        self._date = max(date, self._date)
        for row in learned:
            known = self._known.get(row.symbol)
            self._known[row.symbol] = self._waiting[row.symbol] = _joined(known, row)
        if not date:
            return []
        rows = [replace(row, date=date) for row in self._waiting.values()]
        self._waiting = {}
        return rows

    def again(self, rows: Iterable[Reference]) -> None:
        """Rows that could not be written."""
        for row in rows:
            self._waiting.setdefault(row.symbol, row)


def _joined(known: Reference | None, row: Reference) -> Reference:
    """A row with what was known of the instrument where it says nothing."""
    if known is None:
        return row
    fields = {
        field: getattr(row, field) if getattr(row, field) is not None else getattr(known, field)
        for field in ("prev_day_close", "name")
    }
    return replace(row, **fields)
