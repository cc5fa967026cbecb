"""Dhan's live market feed v2 without I/O: one connection's state, its requests and its ticks.

Requests are JSON text, answers are frames of packets (``packets.py``). Nothing acknowledges a
subscription: its proof is the first packet, and the first price of an instrument is a snapshot.
Times become UTC by the offset that ``clock.py`` finds; until then ticks wait.

Sources: the market feed and annexure pages of Dhan's API v2 (``brokers.md`` 3).
"""

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

from tapewire.market.instruments import Instrument
from tapewire.market.ticks import NO_PRICE
from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.providers.broker import Ending
from tapewire.providers.dhan.clock import SETTLED_AFTER_S, FeedClock
from tapewire.providers.dhan.packets import (
    LAYOUTS,
    Disconnect,
    Full,
    MarketStatus,
    OpenInterest,
    PreviousClose,
    Priced,
    Ticker,
    Update,
    read,
)
from tapewire.providers.dhan.subscriptions import (
    NAME,
    Held,
    Mode,
    goodbye,
    hold,
    requests,
)
from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken

BROKER: Final = "dhan"

MAX_INSTRUMENTS: Final = 5_000
"""Instruments on one connection (five connections a user)."""

SILENCE_LIMIT_S: Final = 40.0
"""The server pings every 10 s and closes a connection that is silent for longer than this."""

MAX_WAITING: Final = 50_000
"""Ticks that wait for the feed's clock to be known; later ones carry what more of them would,
since volumes are those of the day."""

# When the server ends a connection, what next? The numbers are the contract, their texts vary.
DISCONNECTS: Final[Mapping[int, Policy]] = {
    800: BackOff(advice="Dhan reports an internal error"),
    804: Fatal("more instruments than the plan allows: subscribe to fewer"),
    805: BackOff(60.0, "too many connections: another process uses this account's five"),
    806: Fatal("the account has no data API subscription: buy the add-on"),
    807: RefreshToken("the access token has expired (24 hours): provide a new one"),
    808: Fatal("authentication failed: check the client id and the access token"),
    809: RefreshToken("the access token is not valid: provide a new one"),
    810: Fatal("the client id is not valid: check DHAN_CLIENT_ID"),
    811: Fatal("an expiry date is not valid: check the instruments"),
    812: Fatal("a date has a wrong format: check the instruments"),
    813: Fatal("a security id is not valid: load the instrument master again"),
    814: Fatal("the request is not valid"),
}
UNKNOWN_DISCONNECT: Final = BackOff(60.0, "Dhan gave a reason that is not documented")


def disconnect(reason: int) -> Ending:
    """What a disconnect packet's reason means; an unknown one waits a minute."""
    policy = DISCONNECTS.get(reason, UNKNOWN_DISCONNECT)
    return Ending(str(reason), policy, f"Dhan ended the connection: {policy.advice}")


# An upgrade that was refused: how it is counted, and what next.
_REFUSALS: Final[Mapping[int, tuple[str, Policy]]] = {
    401: ("token_refused", RefreshToken("the access token was refused: provide a new one")),
    403: ("token_refused", RefreshToken("the access token was refused: provide a new one")),
    429: ("rate_limited", BackOff(60.0, "too many connections or requests: the client waits")),
}


def upgrade_refused(http_status: int) -> Ending:
    """What a refused upgrade means: further tries of a client that is blocked prolong it."""
    reason, policy = _REFUSALS.get(http_status, ("unreachable", BackOff()))
    return Ending(reason, policy, f"Dhan answered the upgrade with {http_status}")


class Fault:
    """What can be wrong with an update: keys of ``faults``, beside those of ``packets.Fault``."""

    NOT_SUBSCRIBED: Final = "not_subscribed"
    """The instrument is not, or no longer, asked for: the packet is dropped."""
    BAD_PRICE: Final = "bad_price"
    """Less than zero or not a number."""
    NO_TIME: Final = "no_time"
    """A price without a time of a trade."""
    IMPLAUSIBLE_TIME: Final = "implausible_time"
    """In the future, or of a live packet and hours off, on either clock."""
    CLOCK_UNKNOWN: Final = "clock_unknown"
    """More ticks wait for the feed's clock than may: left out."""
    TEXT: Final = "text"
    """A text frame; the feed has none."""


_QUOTE: Final = 4
_QUOTE_SIZE: Final = LAYOUTS[_QUOTE].size
_QUOTE_HEAD: Final = struct.Struct("<xH5sfHI4xI")
"""Length, instrument, last price, last size, time, volume of the day; the rest is not used."""

_INTEREST: Final = 5
_INTEREST_SIZE: Final = LAYOUTS[_INTEREST].size
_INTEREST_BODY: Final = struct.Struct("<xH5sI")


class DhanConnection:
    """One connection, from the open socket to its end; a ``BrokerConnection``.

    ``mode`` is asked for of everything but indices, which have a value and a time only.
    ``clock_offset_s`` is how far the feed's clock is ahead of UTC (0 or 19800), None to find
    out. ``faults`` counts what could not be used, by ``Fault``; it may be shared by successive
    connections. ``now_s`` is of any steady clock, ``received_ns`` since 1970.
    """

    def __init__(
        self,
        now_s: float,
        *,
        mode: Mode = Mode.QUOTE,
        clock_offset_s: int | None = None,
        faults: Counter[str] | None = None,
        max_instruments: int = MAX_INSTRUMENTS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.faults: Counter[str] = Counter() if faults is None else faults
        self.ending: Ending | None = None
        self.authenticated = False
        self.proved = 0
        self._mode = mode
        self._clock = FeedClock(clock_offset_s)
        self._max_instruments = max_instruments
        self._max_waiting = max_waiting
        self._alive_s = now_s
        self._held: dict[bytes, Held] = {}
        self._settled: dict[bytes, Held] = {}
        self._waiting: list[Tick] = []
        self._references: list[Reference] = []
        self._market_changes = 0
        self._is_open = False
        self._out: list[bytes | str] = []

    def opened(self, now_s: float) -> None:
        """The socket is open: ask for everything that is wanted."""
        self._alive_s = now_s
        self._is_open = True
        self._out += requests(self._held.values())

    def data_to_send(self) -> list[bytes | str]:
        """Text messages to send now, in order; each is given once."""
        out, self._out = self._out, []
        return out

    def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Ask for instruments; those that are held already are left alone.

        Raises ``ValueError``, and asks for nothing, when the connection would hold more than
        its limit or a ``broker_key`` is not Dhan's.
        """
        asked = (hold(instrument, self._mode) for instrument in instruments)
        new = {held.name: held for held in asked if held.name not in self._held}
        total = len(self._held) + len(new)
        if total > self._max_instruments:
            raise ValueError(
                f"{total} instruments on one connection, the limit is "
                f"{self._max_instruments}: open another connection"
            )
        self._held.update(new)
        if self._is_open:
            self._out += requests(new.values())

    def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Give instruments back; unknown ones are ignored."""
        keys = {one.key for one in instruments}
        gone = [held for held in self._held.values() if held.instrument.key in keys]
        for held in gone:
            del self._held[held.name]
            self._settled.pop(held.name, None)
            self.proved -= held.heard
        if self._is_open:
            self._out += requests(gone, end=True)

    def close(self) -> None:
        """Say good-bye before the socket is closed."""
        if self._is_open:
            self._out.append(goodbye())

    def heard(self, now_s: float) -> None:
        """A ping or pong came: the socket lives."""
        self._alive_s = now_s

    def due(self, now_s: float) -> None:
        """End the connection after a silence; the server pings every 10 s."""
        silent_s = now_s - self._alive_s
        if self.ending is None and silent_s >= SILENCE_LIMIT_S:
            self.ending = Ending("silent", BackOff(), f"nothing came for {silent_s:.0f} s")

    def receive(self, frame: bytes | str, received_ns: int, now_s: float) -> list[Tick]:
        """Ticks of one message, in order; each instrument's first one is a snapshot.

        Those that waited for the feed's clock come with the message that makes it known.
        """
        self._alive_s = now_s
        if isinstance(frame, bytes):
            return self._ticks(frame, received_ns)
        self.faults[Fault.TEXT] += 1
        return []

    def _ticks(self, frame: bytes, received_ns: int) -> list[Tick]:
        """The hot loop: a settled instrument's quote and open interest take no call."""
        ticks: list[Tick] = []
        find, put, clock = self._settled.get, ticks.append, self._clock
        quote, interest = _QUOTE_HEAD.unpack_from, _INTEREST_BODY.unpack_from
        received_s = received_ns // 1_000_000_000
        offset_s, latest_s = clock.offset_s or 0, clock.latest_s(received_s)
        at, end = 0, len(frame)
        last_quote, last_interest = end - _QUOTE_SIZE, end - _INTEREST_SIZE
        while at < end:
            code = frame[at]
            if code == _QUOTE and at <= last_quote:
                length, name, raw, size, time_s, volume = quote(frame, at)
                held = find(name)
                if held and length == _QUOTE_SIZE and 0 < raw < inf and 0 < time_s <= latest_s:
                    if raw != held.raw:
                        held.raw, held.price = raw, held.nearest(raw)
                    exchange, token, symbol = held.exchange, held.token, held.symbol
                    price, interest_now, flags = held.price, held.open_interest, held.flags
                    t = (time_s - offset_s) * 1_000
                    put(
                        Tick(
                            BROKER, exchange, token, symbol, price, size, volume, interest_now,
                            t, received_ns, flags,
                        )
                    )  # fmt: skip
                    at += _QUOTE_SIZE
                    continue
            elif code == _INTEREST and at <= last_interest:
                length, name, value = interest(frame, at)
                held = find(name)
                if held and length == _INTEREST_SIZE:
                    held.open_interest = value
                    at += _INTEREST_SIZE
                    continue
            update, at = read(frame, at, self.faults)
            if update is not None:
                self._accept(update, received_ns, ticks)
                offset_s, latest_s = clock.offset_s or 0, clock.latest_s(received_s)
        return ticks

    def references(self) -> Sequence[Reference]:
        """Previous closes that came since the last call, with their instruments' names."""
        learned, self._references = self._references, []
        return learned

    def status(self) -> Mapping[str, object]:
        """The clock's offset and how it is known, what waits for it, changes of market status."""
        return {
            "clock_offset_s": self._clock.offset_s,
            "clock_offset_given": self._clock.given,
            "waiting_for_clock": len(self._waiting),
            "market_status_changes": self._market_changes,
        }

    def _accept(self, update: Update, received_ns: int, ticks: list[Tick]) -> None:
        """Take what is not a settled instrument's quote or open interest."""
        if isinstance(update, Disconnect):
            self.ending = disconnect(update.reason)
            return
        self.authenticated = True
        if isinstance(update, MarketStatus):
            self._market_changes += 1
            return
        held = self._held.get(NAME.pack(update.segment, update.security_id))
        if held is None:
            self.faults[Fault.NOT_SUBSCRIBED] += 1
            return
        if not held.heard:
            held.heard = True
            self.proved += 1
        if isinstance(update, OpenInterest):
            held.open_interest = update.open_interest
        elif isinstance(update, PreviousClose):
            self._refer(held, update.previous_close)
        else:
            self._price(held, update, received_ns, ticks)

    def _refer(self, held: Held, previous_close: float) -> None:
        if 0 < previous_close < inf:
            close = held.nearest(previous_close)
            key, symbol = held.instrument.key, held.symbol
            self._references.append(Reference(key, "", prev_day_close=close, name=symbol))

    def _price(self, held: Held, update: Priced, received_ns: int, ticks: list[Tick]) -> None:
        """Make a tick where price and time are usable; let it wait until the clock is known."""
        fault = _fault(update) or self._untimely(held, update.last_trade_time_s, received_ns)
        if fault:
            self.faults[fault] += 1
            if fault in _UNTRADED:
                self._settled[held.name] = held
            return
        known = self._clock.offset_s is not None
        if not known and len(self._waiting) >= self._max_waiting:
            self.faults[Fault.CLOCK_UNKNOWN] += 1
            return
        snapshot = TICK_SNAPSHOT * (held.name not in self._settled)
        tick = _tick(held, update, received_ns, held.flags | snapshot)
        self._settled[held.name] = held
        self._waiting.append(tick)
        if known:
            self._release(ticks)

    def _untimely(self, held: Held, time_s: int, received_ns: int) -> str | None:
        """Learn the clock from an update's time; the fault of one that is true on neither."""
        received_s = received_ns // 1_000_000_000
        if not held.since_s:
            held.since_s = received_s
        settled = received_s - held.since_s >= SETTLED_AFTER_S
        live = settled and 0 < held.time_s < time_s
        held.time_s = time_s
        if not self._clock.observe(time_s, received_s, live):
            return Fault.IMPLAUSIBLE_TIME
        latest_s = self._clock.latest_s(received_s)
        return Fault.IMPLAUSIBLE_TIME if 0 < latest_s < time_s else None

    def _release(self, ticks: list[Tick]) -> None:
        """Give what waited, in order, now that its times can be told."""
        offset_ms = (self._clock.offset_s or 0) * 1_000
        for tick in self._waiting:
            tick.timestamp_ms -= offset_ms
        ticks += self._waiting
        self._waiting = []


_UNTRADED: Final = frozenset({NO_PRICE, Fault.NO_TIME})
"""Faults of an instrument that has not traded yet: what comes next is no snapshot but a trade."""


def _fault(update: Priced) -> str | None:
    if update.last_price == 0:
        return NO_PRICE
    if not 0 < update.last_price < inf:
        return Fault.BAD_PRICE
    return None if update.last_trade_time_s else Fault.NO_TIME


def _tick(held: Held, update: Priced, received_ns: int, flags: int) -> Tick:
    """A tick whose time is still that of the feed's clock."""
    if isinstance(update, Full):
        held.open_interest = update.open_interest
    size, volume = (
        (0, None) if isinstance(update, Ticker) else (update.last_size, update.day_volume)
    )
    return Tick(
        BROKER,
        held.exchange,
        held.token,
        held.symbol,
        held.nearest(update.last_price),
        size,
        volume,
        held.open_interest,
        update.last_trade_time_s * 1_000,
        received_ns,
        flags,
    )
