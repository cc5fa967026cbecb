"""Upstox's WebSocket protocol without I/O: one connection's state, and what its end means.

``UpstoxConnection`` knows what one socket has subscribed to, gives the messages to send, and
makes ticks of what came. Nothing acknowledges a subscription: its proof is the first update.
Every end is a row of ``DISCONNECTS``. Source: ``brokers.md`` 1.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from math import inf, isfinite
from typing import Any, Final

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.market.ticks import NO_PRICE
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.providers.broker import Ending
from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken
from tapewire.providers.http_text import MAX_WORDS_CHARS
from tapewire.providers.upstox.limits import LIMITS, Limits, Plan, check
from tapewire.providers.upstox.messages import (
    MARKET_STATUS,
    Fault,
    FrameKind,
    Method,
    Mode,
    Refusal,
    read_refusal,
    request,
)
from tapewire.providers.upstox.schema import DecodeError, Entry, Frame, Sections

BROKER: Final = "upstox"

SILENT_AFTER_S: Final = 40.0
"""No frame, ping or pong for this long: the socket is dead. There is no heartbeat but pings, and
they count as life, since a closed market sends nothing else all night."""

MAX_KEYS: Final = 500
"""Instrument keys in one request: about 10 KB."""


class End(StrEnum):
    """Why a connection ended, or never was."""

    NO_TOKEN = "no_token"
    TOKEN_REFUSED = "token_refused"
    CONNECTION_REFUSED = "connection_refused"
    LINK_REFUSED = "link_refused"
    RATE_LIMITED = "rate_limited"
    UNREADABLE = "unreadable"
    SILENT = "silent"
    UNREACHABLE = "unreachable"


# When a connection ends, what next? The address is single-use: each try asks for a new one.
DISCONNECTS: Final[Mapping[End, Policy]] = {
    End.NO_TOKEN: Fatal("set UPSTOX_ACCESS_TOKEN; an Analytics Token lasts a year"),
    End.TOKEN_REFUSED: RefreshToken("the access token has ended (daily at 03:30 IST) or is wrong"),
    End.CONNECTION_REFUSED: BackOff(
        60.0, "the plan's connections are all in use, or the token may not read the feed"
    ),
    End.LINK_REFUSED: BackOff(),
    End.RATE_LIMITED: BackOff(60.0),
    End.UNREADABLE: BackOff(60.0, "the authorize call does not answer as documented"),
    End.SILENT: BackOff(),
    End.UNREACHABLE: BackOff(),
}

_REFUSALS: Final = {
    401: End.TOKEN_REFUSED,
    403: End.CONNECTION_REFUSED,
    404: End.LINK_REFUSED,
    410: End.LINK_REFUSED,
    429: End.RATE_LIMITED,
}


def ending(end: End, detail: str = "") -> Ending:
    """Name an end and what follows it; ``detail`` is for people and holds no secret."""
    return Ending(str(end), DISCONNECTS[end], detail)


def refused(http_status: int, detail: str = "") -> Ending:
    """Say what a refusal of the authorize call or of the socket's upgrade means."""
    end = _REFUSALS.get(http_status, End.UNREACHABLE)
    return ending(end, detail or f"the server answered {http_status}")


class _Known:
    """One subscribed instrument: what its ticks carry, and what has been learned of it."""

    __slots__ = (
        "close",
        "exchange",
        "flags",
        "key",
        "mode",
        "proved",
        "symbol",
        "token",
        "wire_key",
    )

    def __init__(self, instrument: Instrument, mode: Mode) -> None:
        self.exchange = instrument.exchange
        self.token = instrument.token
        self.symbol = instrument.symbol
        self.key = instrument.key
        self.wire_key = instrument.broker_key
        self.flags = TICK_INDEX * (instrument.kind is InstrumentKind.INDEX)
        self.mode = mode
        self.proved = False
        self.close = -1.0


class UpstoxConnection:
    """One socket, from its opening to its end; a `BrokerConnection`.

    ``mode`` is what ``subscribe`` asks for where it is not told otherwise; ``new_guid`` names
    requests. ``limits`` and ``max_keys`` (in one request) bound what is asked. Instruments are
    known by their ``broker_key`` (``NSE_EQ|INE002A01018``).
    """

    def __init__(
        self,
        new_guid: Callable[[], str],
        *,
        now_s: float,
        mode: Mode = Mode.FULL,
        limits: Limits = LIMITS[Plan.STANDARD],
        max_keys: int = MAX_KEYS,
        silent_after_s: float = SILENT_AFTER_S,
    ) -> None:
        self._new_guid = new_guid
        self._mode = mode
        self._limits = limits
        self._max_keys = max_keys
        self._silent_after_s = silent_after_s
        self._alive_s = now_s
        self._known: dict[bytes, _Known] = {}
        self._outbox: list[bytes | str] = []
        self._learned: dict[str, Reference] = {}
        self._markets: dict[str, str] = {}
        self._server_ms = 0
        self._refusal: Refusal | None = None
        self._proved = 0
        self.faults: Counter[str] = Counter()
        self.ending: Ending | None = None
        self.authenticated = False

    @property
    def proved(self) -> int:
        """Subscribed instruments of which something has come."""
        return self._proved

    def opened(self, now_s: float) -> None:
        """The socket is open; its single-use address was the credential."""
        self._alive_s = now_s
        self.authenticated = True

    def subscribe(self, instruments: Sequence[Instrument], mode: Mode | None = None) -> None:
        """Bring instruments into ``mode``; those already in it are left alone.

        Raises LimitError beyond the plan's limit and ValueError for an instrument without an
        Upstox key; then nothing is asked.
        """
        mode = mode or self._mode
        wanted = {_wire_key(each).encode(): each for each in instruments}
        before = {key: known.mode for key, known in self._known.items()}
        check({**before, **dict.fromkeys(wanted, mode)}.values(), self._limits)
        new = [each.broker_key for key, each in wanted.items() if key not in before]
        moved = [each.broker_key for key, each in wanted.items() if before.get(key, mode) != mode]
        for key, instrument in wanted.items():
            if key in before:
                self._known[key].mode = mode
            else:
                self._known[key] = _Known(instrument, mode)
                self._learned[instrument.key] = _reference(instrument.key, instrument.symbol)
        self._ask(Method.SUBSCRIBE, new, mode)
        self._ask(Method.CHANGE_MODE, moved, mode)

    def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Give instruments back; unknown ones are ignored."""
        gone = [self._known.pop(each.broker_key.encode(), None) for each in instruments]
        known = [each for each in gone if each is not None]
        self._proved -= sum(each.proved for each in known)
        self._ask(Method.UNSUBSCRIBE, [each.wire_key for each in known])

    def data_to_send(self) -> list[bytes | str]:
        """Requests to send now, in order, each given once."""
        waiting, self._outbox = self._outbox, []
        return waiting

    def receive(self, frame: bytes | str, received_ns: int, now_s: float) -> list[Tick]:
        """Ticks of one frame, in order: binary is a feed, text a refusal. Raises nothing.

        A malformed entry loses itself only; a frame that is malformed itself is lost whole.
        """
        self._alive_s = now_s
        if isinstance(frame, str):
            self._refused(read_refusal(frame))
            return []
        try:
            said = Frame.FromString(frame)
        except DecodeError:
            return self._salvaged(frame, received_ns)
        self._server_ms = said.time_ms or self._server_ms
        if said.kind == FrameKind.MARKET_INFO:
            self._markets.update(_statuses(said.info.segments))
        return self._ticks(said.entries, said.kind, received_ns)

    def heard(self, now_s: float) -> None:
        """A ping or pong came: the socket lives."""
        self._alive_s = now_s

    def due(self, now_s: float) -> None:
        """End after a silence. Nothing is sent: pings are the socket's own."""
        silent_s = now_s - self._alive_s
        if self.ending is None and silent_s >= self._silent_after_s:
            self.ending = ending(End.SILENT, f"nothing came for {silent_s:.0f} s")

    def close(self) -> None:
        """Upstox knows no good-bye but the closing of the socket."""

    def references(self) -> Sequence[Reference]:
        """Names and previous closes that were learned since the last call (``date`` empty)."""
        learned, self._learned = self._learned, {}
        return list(learned.values())

    def status(self) -> Mapping[str, object]:
        """Mode, segments' market status, the server's clock, refusals and the last one's text."""
        return {
            "mode": str(self._mode),
            "markets": dict(self._markets),
            "server_ms": self._server_ms,
            "refusals": self.faults[Fault.REFUSED],
            "refusal": self._refusal.error[:MAX_WORDS_CHARS] if self._refusal else None,
        }

    def _ask(self, method: Method, keys: Iterable[str], mode: Mode | None = None) -> None:
        for batch in _batches(keys, self._max_keys):
            self._outbox.append(request(self._new_guid(), method, batch, mode))

    def _refused(self, refusal: Refusal) -> None:
        self.faults[Fault.REFUSED] += 1
        self._refusal = refusal

    def _ticks(self, entries: Iterable[Any], kind: int, received_ns: int) -> list[Tick]:
        """The hot loop: a market's instrument in ``full`` mode takes no call but its tick's."""
        ticks: list[Tick] = []
        find, put = self._known.get, ticks.append
        flags = 0 if kind == FrameKind.LIVE_FEED else TICK_SNAPSHOT
        for entry in entries:
            known = find(entry.key)
            if known is None:
                self.faults[Fault.NOT_SUBSCRIBED] += 1
                continue
            market = entry.feed.full.market
            last = market.last
            price, interest, close = last.price, market.interest, last.close
            if close != known.close:
                self._learn(known, close)
            if not (0.0 < price < inf and 0.0 <= interest < inf):
                self._put_irregular(entry.feed, known, received_ns, flags, ticks)
                continue
            put(
                Tick(
                    BROKER,
                    known.exchange,
                    known.token,
                    known.symbol,
                    price,
                    last.size,
                    market.volume,
                    int(interest),
                    last.time_ms,
                    received_ns,
                    flags | known.flags,
                )
            )
        return ticks

    def _put_irregular(
        self, feed: Any, known: _Known, received_ns: int, flags: int, ticks: list[Tick]
    ) -> None:
        """Another mode than ``full``, an index, or an update that has no price."""
        last, totals = _shape(feed)
        volume = totals.volume if totals is not None else None
        interest = totals.interest if totals is not None else None
        self._learn(known, last.close)
        if not isfinite(last.price) or not isfinite(interest or 0.0):
            self.faults[Fault.BAD_VALUE] += 1
        elif not last.price:
            self.faults[NO_PRICE] += 1
        else:
            ticks.append(
                Tick(
                    BROKER,
                    known.exchange,
                    known.token,
                    known.symbol,
                    last.price,
                    last.size,
                    volume,
                    None if interest is None else int(interest),
                    last.time_ms,
                    received_ns,
                    flags | known.flags,
                )
            )

    def _learn(self, known: _Known, close: float) -> None:
        """Note that something came of an instrument, and a previous close that is new."""
        if not known.proved:
            known.proved = True
            self._proved += 1
        if close != known.close and 0.0 < close < inf:
            known.close = close
            self._learned[known.key] = _reference(known.key, known.symbol, close)

    def _salvaged(self, frame: bytes, received_ns: int) -> list[Tick]:
        """Read a frame entry by entry, because one of them, or all of it, is malformed."""
        try:
            sections = Sections.FromString(frame)
        except DecodeError:
            self.faults[Fault.MALFORMED_FRAME] += 1
            return []
        entries = []
        for section in sections.entries:
            try:
                entries.append(Entry.FromString(section))
            except DecodeError:
                self.faults[Fault.MALFORMED_ENTRY] += 1
        if len(entries) == len(sections.entries):
            self.faults[Fault.MALFORMED_FRAME] += 1
        return self._ticks(entries, sections.kind, received_ns)


def _reference(key: str, name: str, close: float | None = None) -> Reference:
    return Reference(key, "", prev_day_close=close, name=name)


def _wire_key(instrument: Instrument) -> str:
    if "|" not in instrument.broker_key:
        raise ValueError(
            f"{instrument.key}: broker_key {instrument.broker_key!r} is not Upstox's; expected "
            "one like 'NSE_EQ|INE002A01018', as its instrument master has"
        )
    return instrument.broker_key


def _batches(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(keys)
    while batch := list(islice(rest, size)):
        yield batch


def _statuses(segments: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Segments and the names of their statuses; ``UNKNOWN_9`` for a number without a name."""
    for segment in segments:
        number = segment.status
        known = 0 <= number < len(MARKET_STATUS)
        name = MARKET_STATUS[number] if known else f"UNKNOWN_{number}"
        yield segment.name.decode("utf-8", "replace"), name


def _shape(feed: Any) -> tuple[Any, Any]:
    """Where the last trade is, and what has volume and open interest (None: nothing)."""
    if feed.HasField("greeks"):
        return feed.greeks.last, feed.greeks
    if not feed.HasField("full"):
        return feed.last, None
    if feed.full.HasField("index"):
        return feed.full.index.last, None
    return feed.full.market.last, feed.full.market
